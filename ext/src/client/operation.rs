//! The operations of the API, as far as errors and retries need to know them.

use std::borrow::Cow;

use bigcommerce_sdk::SentOperation;
use reqwest::{Method, Url};

/// The name of the operation that lists values.
pub(crate) const LIST_VALUES: &str = "list_attribute_values";
/// The name of the operation that lists customers.
pub(crate) const LIST_CUSTOMERS: &str = "list_customers";
const CREATE_ATTRIBUTES: &str = "create_attributes";
const UPDATE_ATTRIBUTES: &str = "update_attributes";
const DELETE_ATTRIBUTES: &str = "delete_attributes";

/// The server executes the request later, or not at all.
const ACCEPTED: u16 = 202;
/// The response has a status per row, in a form that nobody documents.
const MULTI_STATUS: u16 = 207;

/// Returns `true` if the response to a write, of this status, shows what was executed.
pub(crate) fn shows_result(status: u16) -> bool {
    !matches!(status, ACCEPTED | MULTI_STATUS)
}

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
    /// The OAuth scope that it needs, if that is known.
    scope: Option<&'static str>,
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

    /// Creates the operation of one page of customers.
    pub(crate) fn list_customers(page: u64) -> Self {
        let label = format!("GET /customers, page {page},");
        Self::read(LIST_CUSTOMERS, label)
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

    /// Creates the operation that renames an attribute, given by its current name.
    pub(crate) fn rename_attribute(name: &str) -> Self {
        Self::write(
            UPDATE_ATTRIBUTES,
            format!("PUT /customers/attributes, attribute {name:?},"),
        )
    }

    /// Creates the operation that deletes an attribute. It is not repeated before the attributes are
    /// listed again.
    pub(crate) fn delete_attribute(name: &str) -> Self {
        Self {
            is_idempotent: false,
            ..Self::write(
                DELETE_ATTRIBUTES,
                format!("DELETE /customers/attributes, attribute {name:?},"),
            )
        }
    }

    /// Creates an operation that the caller sends. Its label is that of the request.
    pub(crate) fn of_caller(is_idempotent: bool) -> Self {
        Self {
            name: "call",
            label: Cow::Borrowed(""),
            is_read: false,
            is_idempotent,
            scope: None,
        }
    }

    /// Returns `true` if the caller sends the operation.
    pub(super) fn is_of_caller(&self) -> bool {
        self.label.is_empty()
    }

    /// Returns the operation with the label of a request, if it has none of its own.
    pub(super) fn labelled(&self, sent: Option<&SentOperation>, base_url: &str) -> Self {
        let mut operation = self.clone();
        if !self.is_of_caller() {
            return operation;
        }
        operation.label = match sent {
            None => Cow::Borrowed("the call"),
            Some(sent) => {
                let base_path = Url::parse(base_url).ok();
                let base_path = base_path.as_ref().map_or("", Url::path);
                let path = sent.path.strip_prefix(base_path).unwrap_or(&sent.path);
                Cow::Owned(format!("{} {path}", sent.method))
            }
        };
        operation.is_read |= sent.is_some_and(|sent| sent.method == Method::GET);
        operation
    }

    fn write(name: &'static str, label: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name,
            label: label.into(),
            is_read: false,
            is_idempotent: true,
            scope: Some("store_v2_customers (Customers: modify)"),
        }
    }

    fn read(name: &'static str, label: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name,
            label: label.into(),
            is_read: true,
            is_idempotent: true,
            scope: Some("store_v2_customers_read_only (Customers: read-only)"),
        }
    }

    pub(super) fn scope(&self) -> Option<&'static str> {
        self.scope
    }
}
