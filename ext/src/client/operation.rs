//! The operations of the API, as far as errors and retries need to know them.

use std::borrow::Cow;

/// The name of the operation that lists values.
pub(crate) const LIST_VALUES: &str = "list_attribute_values";
const CREATE_ATTRIBUTES: &str = "create_attributes";

/// An operation of the API.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Names the operation in events and logs.
    pub name: &'static str,
    /// Names the operation in errors.
    pub label: Cow<'static, str>,
    /// Whether it changes nothing, so that a lost response leaves nothing in doubt.
    pub is_read: bool,
    /// Whether it may be sent again after it may have been executed.
    pub is_idempotent: bool,
}

impl Operation {
    pub(crate) fn upsert() -> Self {
        Self::write("upsert_attribute_values", "PUT /customers/attribute-values")
    }

    pub(crate) fn delete() -> Self {
        Self::write(
            "delete_attribute_values",
            "DELETE /customers/attribute-values",
        )
    }

    /// Creates the operation of one page. `query` is the index of the page's query, if the list
    /// has several.
    pub(crate) fn list(page: u64, query: Option<usize>) -> Self {
        let query = query.map_or(String::new(), |query| format!(" of query {}", query + 1));
        Self::read(
            LIST_VALUES,
            format!("GET /customers/attribute-values, page {page}{query},"),
        )
    }

    pub(crate) fn list_attributes() -> Self {
        Self::read("list_attributes", "GET /customers/attributes")
    }

    /// Creates an operation that is not idempotent: sent twice, the server rejects it or creates
    /// an attribute twice.
    pub(crate) fn create_attributes() -> Self {
        Self {
            is_idempotent: false,
            ..Self::write(CREATE_ATTRIBUTES, "POST /customers/attributes")
        }
    }

    /// Creates the operation for a single attribute, whose name errors show.
    pub(crate) fn create_attribute(name: &str) -> Self {
        Self {
            is_idempotent: false,
            ..Self::write(
                CREATE_ATTRIBUTES,
                format!("POST /customers/attributes, attribute {name:?},"),
            )
        }
    }

    fn write(name: &'static str, label: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name,
            label: label.into(),
            is_read: false,
            is_idempotent: true,
        }
    }

    fn read(name: &'static str, label: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name,
            label: label.into(),
            is_read: true,
            is_idempotent: true,
        }
    }

    /// Returns the OAuth scope that the operation needs, if it is known.
    pub(super) fn scope(&self) -> Option<&'static str> {
        match self.is_read {
            true => Some("store_v2_customers_read_only (Customers: read-only)"),
            false => Some("store_v2_customers (Customers: modify)"),
        }
    }
}
