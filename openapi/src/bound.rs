//! What we bind of a document: all that the passes know about our endpoints, in one table.

use crate::prepare::ID_LIST;

/// The paths that we bind, relative to a store's base URL.
pub(crate) const VALUES: &str = "/customers/attribute-values";
pub(crate) const ATTRIBUTES: &str = "/customers/attributes";

/// An operation that we bind.
pub(crate) struct Operation {
    pub(crate) path: &'static str,
    pub(crate) method: &'static str,
    /// The name of the Rust method.
    pub(crate) name: &'static str,
    /// The query parameters that `bigcommerce-ext` is written against.
    pub(crate) query: &'static [Query],
    /// What its request is a list of.
    pub(crate) sends: Option<&'static Row>,
    /// What its answer is a page of; without it, the answer has no body.
    pub(crate) returns: Option<&'static Record>,
    /// The statuses that mean success, all with the same answer.
    pub(crate) success: &'static [&'static str],
}

impl Operation {
    /// The operation as messages call it.
    pub(crate) fn label(&self) -> String {
        format!("{} {}", self.method.to_uppercase(), self.path)
    }
}

/// A query parameter: its name, its type, and whether each call sends it.
pub(crate) struct Query {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) always: bool,
}

/// What is sent.
pub(crate) struct Row {
    /// The name of the Rust type.
    pub(crate) name: &'static str,
    /// The fields that it always has: name and type.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    pub(crate) choices: &'static [Choice],
}

/// A field of a row that takes a few values only: a Rust enum.
pub(crate) struct Choice {
    pub(crate) field: &'static str,
    /// The name of the Rust type.
    pub(crate) name: &'static str,
    pub(crate) values: &'static [&'static str],
}

/// What comes back.
pub(crate) struct Record {
    /// The names of the Rust types: of one, and of a page of them.
    pub(crate) name: &'static str,
    pub(crate) page: &'static str,
    /// The fields that it always has, and that a document has to have: name and type.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    /// The fields that it can have, whether or not a document tells of them: name, type and format.
    pub(crate) optional: &'static [(&'static str, &'static str, &'static str)],
}

const fn sometimes(name: &'static str, kind: &'static str) -> Query {
    Query {
        name,
        kind,
        always: false,
    }
}

static UPSERT: Row = Row {
    name: "AttributeValueUpsert",
    fields: &[
        ("attribute_id", "integer"),
        ("value", "string"),
        ("customer_id", "integer"),
    ],
    choices: &[],
};

static CREATE: Row = Row {
    name: "AttributeCreate",
    fields: &[("name", "string"), ("type", "string")],
    choices: &[Choice {
        field: "type",
        name: "AttributeType",
        values: &["string", "number", "date"],
    }],
};

static VALUE: Record = Record {
    name: "AttributeValue",
    page: "AttributeValuePage",
    fields: &[
        ("attribute_id", "integer"),
        ("attribute_value", "string"),
        ("customer_id", "integer"),
    ],
    optional: &[
        ("id", "integer", "int64"),
        ("date_created", "string", "date-time"),
        ("date_modified", "string", "date-time"),
    ],
};

static ATTRIBUTE: Record = Record {
    name: "Attribute",
    page: "AttributePage",
    fields: &[("id", "integer"), ("name", "string"), ("type", "string")],
    optional: &[
        ("date_created", "string", "date-time"),
        ("date_modified", "string", "date-time"),
    ],
};

pub(crate) static RECORDS: [&Record; 2] = [&VALUE, &ATTRIBUTE];

impl Record {
    /// The operations that answer with a page of it.
    pub(crate) fn operations(&self) -> impl Iterator<Item = &'static Operation> {
        OPERATIONS.iter().filter(|operation| {
            operation
                .returns
                .is_some_and(|record| record.name == self.name)
        })
    }
}

pub(crate) static OPERATIONS: [Operation; 5] = [
    Operation {
        path: VALUES,
        method: "get",
        name: "list_attribute_values",
        query: &[
            sometimes("page", "integer"),
            sometimes("limit", "integer"),
            sometimes("customer_id:in", ID_LIST),
            sometimes("attribute_id:in", ID_LIST),
            sometimes("name", "string"),
            sometimes("date_created", "string"),
            sometimes("date_created:min", "string"),
            sometimes("date_created:max", "string"),
            sometimes("date_modified", "string"),
            sometimes("date_modified:min", "string"),
            sometimes("date_modified:max", "string"),
        ],
        sends: None,
        returns: Some(&VALUE),
        success: &["200"],
    },
    Operation {
        path: VALUES,
        method: "put",
        name: "upsert_attribute_values",
        query: &[],
        sends: Some(&UPSERT),
        returns: Some(&VALUE),
        success: &["200"],
    },
    Operation {
        path: VALUES,
        method: "delete",
        name: "delete_attribute_values",
        query: &[Query {
            name: "id:in",
            kind: ID_LIST,
            always: true,
        }],
        sends: None,
        returns: None,
        success: &["204"],
    },
    Operation {
        path: ATTRIBUTES,
        method: "get",
        name: "list_attributes",
        query: &[sometimes("page", "integer"), sometimes("limit", "integer")],
        sends: None,
        returns: Some(&ATTRIBUTE),
        success: &["200"],
    },
    Operation {
        path: ATTRIBUTES,
        method: "post",
        name: "create_attributes",
        query: &[],
        sends: Some(&CREATE),
        returns: Some(&ATTRIBUTE),
        // The provider's endpoints answer either where something is new.
        success: &["200", "201"],
    },
];

#[cfg(test)]
pub(crate) fn named(name: &str) -> &'static Operation {
    let mut operations = OPERATIONS.iter();
    operations
        .find(|operation| operation.name == name)
        .expect("is bound")
}
