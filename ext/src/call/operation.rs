//! What a call is for, as far as errors and retries have to know it.

use std::borrow::Cow;

/// An operation of the API.
#[derive(Clone, Debug)]
pub struct Operation {
    pub label: Cow<'static, str>,
    /// Whether it changes nothing, so that a lost answer leaves nothing open.
    pub is_read: bool,
    /// Whether it may be sent again although it may have been done.
    pub is_idempotent: bool,
}

impl Operation {
    pub(crate) fn upsert() -> Self {
        Self::write("PUT /customers/attribute-values")
    }

    pub(crate) fn delete() -> Self {
        Self::write("DELETE /customers/attribute-values")
    }

    /// Of a page, by its number and, where there are several queries, that of the query.
    pub(crate) fn list(page: u64, query: Option<usize>) -> Self {
        let query = query.map_or(String::new(), |query| format!(" of query {}", query + 1));
        Self::read(format!(
            "GET /customers/attribute-values, page {page}{query},"
        ))
    }

    pub(crate) fn list_attributes() -> Self {
        Self::read("GET /customers/attributes")
    }

    /// Sent twice, it is refused or creates an attribute twice.
    pub(crate) fn create_attributes() -> Self {
        Self {
            is_idempotent: false,
            ..Self::write("POST /customers/attributes")
        }
    }

    /// Of one attribute, by its name: what is refused is known.
    pub(crate) fn create_attribute(name: &str) -> Self {
        Self {
            is_idempotent: false,
            ..Self::write(format!("POST /customers/attributes, attribute {name:?},"))
        }
    }

    fn write(label: impl Into<Cow<'static, str>>) -> Self {
        Self {
            label: label.into(),
            is_read: false,
            is_idempotent: true,
        }
    }

    fn read(label: impl Into<Cow<'static, str>>) -> Self {
        Self {
            label: label.into(),
            is_read: true,
            is_idempotent: true,
        }
    }

    /// The OAuth scope that it needs.
    pub(crate) fn scope(&self) -> &'static str {
        match self.is_read {
            true => "store_v2_customers_read_only (Customers: read-only)",
            false => "store_v2_customers (Customers: modify)",
        }
    }
}
