//! The part of the API that the SDK binds: its operations, fields, parameters and conventions.
//!
//! Everything that reading and preparing a document know about the endpoints is in this file.

/// The paths of the operations, relative to a store's base URL.
pub(crate) const VALUES: &str = "/customers/attribute-values";
pub(crate) const ATTRIBUTES: &str = "/customers/attributes";
pub(crate) const CUSTOMERS: &str = "/customers";

/// The schemas of comma-joined IDs and texts in a query. The SDK has its own types for them.
pub(crate) const ID_LIST: &str = "IdList";
pub(crate) const TEXT_LIST: &str = "TextList";
pub(crate) const LISTS: [&str; 2] = [ID_LIST, TEXT_LIST];

/// The header with the access token, in lower case.
pub(crate) const TOKEN_HEADER: &str = "x-auth-token";

/// Headers that authenticate a request, in lower case.
const AUTHENTICATION_HEADERS: [&str; 2] = ["authorization", TOKEN_HEADER];

/// Other headers that the client sets on every request, in lower case.
const CLIENT_HEADERS: [&str; 2] = ["accept", "content-type"];

/// The class of all statuses that mean success, whichever of them a server uses.
const ANY_SUCCESS: &str = "2XX";

/// The filters of attributes that the vendored document has and `ext` doesn't use. They are texts in Rust.
const ATTRIBUTE_FILTERS: [&str; 9] = [
    "date_created",
    "date_created:max",
    "date_created:min",
    "date_modified",
    "date_modified:max",
    "date_modified:min",
    "name",
    "name:like",
    "type",
];

pub(crate) struct Operation {
    pub(crate) path: &'static str,
    pub(crate) method: &'static str,
    /// The name of the Rust method.
    pub(crate) name: &'static str,
    /// The query parameters that `bigcommerce-ext` uses.
    pub(crate) query: &'static [QueryParameter],
    /// The rows of the request. Without them, the request has no body.
    pub(crate) sends: Option<&'static Row>,
    /// The records of the response. Without them, the response has no body.
    pub(crate) returns: Option<&'static Record>,
    /// The statuses that mean success, all with the same response.
    pub(crate) success: &'static [&'static str],
    /// `true` if a document may leave query parameters undeclared.
    pub(crate) may_lack_parameters: bool,
}

impl Operation {
    /// Returns the operation's name in messages, such as `GET /customers/attributes`.
    pub(crate) fn label(&self) -> String {
        format!("{} {}", self.method.to_uppercase(), self.path)
    }

    /// Returns `true` if the vendored document has this parameter. None of them is an enum in Rust.
    pub(crate) fn has_text_parameter(&self, name: &str) -> bool {
        let is_bound = self.query.iter().any(|bound| bound.name == name);
        is_bound || (self.path == ATTRIBUTES && ATTRIBUTE_FILTERS.contains(&name))
    }
}

pub(crate) struct QueryParameter {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    /// `true` if every request has this parameter.
    pub(crate) is_always_sent: bool,
}

/// An item of a request's array.
pub(crate) struct Row {
    /// The name of the Rust type.
    pub(crate) name: &'static str,
    /// The fields that every row has: name and type.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    pub(crate) enums: &'static [EnumField],
    /// The texts that become Rust types of their own, whether the document limits them or not.
    pub(crate) texts: &'static [TextField],
}

/// A row's text with a fixed range of lengths, in characters.
pub(crate) struct TextField {
    pub(crate) field: &'static str,
    pub(crate) min_length: u64,
    pub(crate) max_length: u64,
}

/// A row's field with a fixed set of values, which becomes a Rust enum.
pub(crate) struct EnumField {
    pub(crate) field: &'static str,
    /// The name of the Rust type.
    pub(crate) name: &'static str,
    pub(crate) values: &'static [&'static str],
}

/// An item of a response's page.
pub(crate) struct Record {
    /// The name of the record's Rust type.
    pub(crate) name: &'static str,
    /// The name of the page's Rust type.
    pub(crate) page: &'static str,
    /// The fields that every record has and every document must declare: name and type.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    /// The fields that a record can have, declared or not: name, type and format, if any.
    pub(crate) optional: &'static [(&'static str, &'static str, Option<&'static str>)],
    /// The fields with a list of IDs that a record can have, declared or not.
    pub(crate) id_lists: &'static [&'static str],
    /// `true` if the SDK leaves out the objects and arrays of a record, except for `id_lists`.
    pub(crate) is_flat: bool,
}

impl Record {
    /// Returns `true` if the contract lists a field of this name.
    pub(crate) fn has_field(&self, name: &str) -> bool {
        let fields = self.fields.iter().map(|(field, _)| field);
        let optional = self.optional.iter().map(|(field, ..)| field);
        let mut all = fields.chain(optional).chain(self.id_lists);
        all.any(|field| *field == name)
    }

    /// Returns the operations that respond with a page of these records.
    pub(crate) fn operations(&self) -> impl Iterator<Item = &'static Operation> {
        OPERATIONS.iter().filter(|operation| {
            operation
                .returns
                .is_some_and(|record| record.name == self.name)
        })
    }
}

const fn optional(name: &'static str, kind: &'static str) -> QueryParameter {
    QueryParameter {
        name,
        kind,
        is_always_sent: false,
    }
}

const INT64: Option<&str> = Some("int64");
const DATE_TIME: Option<&str> = Some("date-time");

static UPSERT: Row = Row {
    name: "AttributeValueUpsert",
    fields: &[
        ("attribute_id", "integer"),
        ("value", "string"),
        ("customer_id", "integer"),
    ],
    enums: &[],
    texts: &[TextField {
        field: "value",
        min_length: 0,
        max_length: 255,
    }],
};

const ATTRIBUTE_NAME: TextField = TextField {
    field: "name",
    min_length: 1,
    max_length: 255,
};

static CREATE: Row = Row {
    name: "AttributeCreate",
    fields: &[("name", "string"), ("type", "string")],
    enums: &[EnumField {
        field: "type",
        name: "AttributeType",
        values: &["string", "number", "date"],
    }],
    texts: &[ATTRIBUTE_NAME],
};

static UPDATE: Row = Row {
    name: "AttributeUpdate",
    fields: &[("id", "integer"), ("name", "string")],
    enums: &[],
    texts: &[ATTRIBUTE_NAME],
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
        ("id", "integer", INT64),
        ("date_created", "string", DATE_TIME),
        ("date_modified", "string", DATE_TIME),
    ],
    id_lists: &[],
    is_flat: false,
};

static ATTRIBUTE: Record = Record {
    name: "Attribute",
    page: "AttributePage",
    fields: &[("id", "integer"), ("name", "string"), ("type", "string")],
    optional: &[
        ("date_created", "string", DATE_TIME),
        ("date_modified", "string", DATE_TIME),
    ],
    id_lists: &[],
    is_flat: false,
};

static CUSTOMER: Record = Record {
    name: "Customer",
    page: "CustomerPage",
    fields: &[("id", "integer"), ("email", "string")],
    optional: &[
        ("first_name", "string", None),
        ("last_name", "string", None),
        ("company", "string", None),
        ("phone", "string", None),
        ("customer_group_id", "integer", INT64),
        ("notes", "string", None),
        ("tax_exempt_category", "string", None),
        ("registration_ip_address", "string", None),
        ("date_created", "string", DATE_TIME),
        ("date_modified", "string", DATE_TIME),
        ("address_count", "integer", INT64),
        ("attribute_count", "integer", INT64),
        (
            "accepts_product_review_abandoned_cart_emails",
            "boolean",
            None,
        ),
        ("origin_channel_id", "integer", INT64),
    ],
    id_lists: &["channel_ids"],
    is_flat: true,
};

pub(crate) static RECORDS: [&Record; 3] = [&VALUE, &ATTRIBUTE, &CUSTOMER];

pub(crate) static OPERATIONS: [Operation; 8] = [
    Operation {
        path: VALUES,
        method: "get",
        name: "list_attribute_values",
        query: &[
            optional("page", "integer"),
            optional("limit", "integer"),
            optional("customer_id:in", ID_LIST),
            optional("attribute_id:in", ID_LIST),
            optional("name", "string"),
            optional("date_created", "string"),
            optional("date_created:min", "string"),
            optional("date_created:max", "string"),
            optional("date_modified", "string"),
            optional("date_modified:min", "string"),
            optional("date_modified:max", "string"),
        ],
        sends: None,
        returns: Some(&VALUE),
        success: &["200", ANY_SUCCESS],
        may_lack_parameters: false,
    },
    Operation {
        path: VALUES,
        method: "put",
        name: "upsert_attribute_values",
        query: &[],
        sends: Some(&UPSERT),
        returns: Some(&VALUE),
        success: &["200", ANY_SUCCESS],
        may_lack_parameters: false,
    },
    Operation {
        path: VALUES,
        method: "delete",
        name: "delete_attribute_values",
        query: &[QueryParameter {
            name: "id:in",
            kind: ID_LIST,
            is_always_sent: true,
        }],
        sends: None,
        returns: None,
        success: &["204", ANY_SUCCESS],
        may_lack_parameters: false,
    },
    Operation {
        path: ATTRIBUTES,
        method: "get",
        name: "list_attributes",
        query: &[optional("page", "integer"), optional("limit", "integer")],
        sends: None,
        returns: Some(&ATTRIBUTE),
        success: &["200", ANY_SUCCESS],
        may_lack_parameters: false,
    },
    Operation {
        path: ATTRIBUTES,
        method: "post",
        name: "create_attributes",
        query: &[],
        sends: Some(&CREATE),
        returns: Some(&ATTRIBUTE),
        // The provider's endpoints respond with 200 or 201 when they create something.
        success: &["200", "201", ANY_SUCCESS],
        may_lack_parameters: false,
    },
    Operation {
        path: ATTRIBUTES,
        method: "put",
        name: "update_attributes",
        query: &[],
        sends: Some(&UPDATE),
        returns: Some(&ATTRIBUTE),
        success: &["200", ANY_SUCCESS],
        may_lack_parameters: false,
    },
    Operation {
        path: ATTRIBUTES,
        method: "delete",
        name: "delete_attributes",
        query: &[QueryParameter {
            name: "id:in",
            kind: ID_LIST,
            is_always_sent: true,
        }],
        sends: None,
        returns: None,
        success: &["204", ANY_SUCCESS],
        may_lack_parameters: false,
    },
    Operation {
        path: CUSTOMERS,
        method: "get",
        name: "list_customers",
        query: &[
            optional("page", "integer"),
            optional("limit", "integer"),
            optional("after", "string"),
            optional("before", "string"),
            optional("id:in", ID_LIST),
            optional("email:in", TEXT_LIST),
            optional("customer_group_id:in", ID_LIST),
            optional("date_created", "string"),
            optional("date_created:min", "string"),
            optional("date_created:max", "string"),
            optional("date_modified", "string"),
            optional("date_modified:min", "string"),
            optional("date_modified:max", "string"),
            optional("sort", "string"),
        ],
        sends: None,
        returns: Some(&CUSTOMER),
        success: &["200", ANY_SUCCESS],
        may_lack_parameters: true,
    },
];

/// Returns `true` if the client sets this parameter itself.
pub(crate) fn is_sent_by_client(location: &str, name: &str) -> bool {
    let is_client_header = CLIENT_HEADERS.contains(&name.to_lowercase().as_str());
    location == "header" && (is_client_header || is_authentication_header(name))
}

/// Returns `true` if a header of this name authenticates a request.
pub(crate) fn is_authentication_header(name: &str) -> bool {
    AUTHENTICATION_HEADERS.contains(&name.to_lowercase().as_str())
}

/// Returns `true` if a field or parameter of this name holds an ID or a count.
pub(crate) fn is_id_or_count(name: &str) -> bool {
    let is_id = name == "id" || name.ends_with("_id");
    let is_count = matches!(
        name,
        "page" | "limit" | "total" | "count" | "per_page" | "current_page" | "total_pages"
    );
    is_id || is_count || name.ends_with("_count")
}

/// Returns `true` if a limit admits all values that the SDK sends in the parameter or field `name`.
#[cfg(feature = "cli")]
pub(crate) fn admits_what_is_sent(name: &str, keyword: &str, limit: f64) -> bool {
    /// The largest ID that every document admits.
    const MAX_ID: f64 = 2_147_483_647.0;
    let is_id = name == "id" || name.ends_with("_id") || name.ends_with("id:in");
    match (keyword, name) {
        ("minimum", "page" | "limit") => limit <= 1.0,
        ("minimum", _) => is_id && limit <= 1.0,
        ("maximum", "limit") => limit >= 250.0,
        ("maximum", _) => is_id && limit >= MAX_ID,
        ("minLength", "name") => limit <= 1.0,
        ("minLength", "email:in") => limit <= 3.0,
        ("maxLength", "name" | "value" | "email:in") => limit >= 255.0,
        // The type of an attribute: `date`, `number` or `string`.
        ("minLength", "type") => limit <= 4.0,
        ("maxLength", "type") => limit >= 6.0,
        // The length of a date with a time, a fraction and a zone.
        ("minLength" | "maxLength", _) if name.starts_with("date_") => {
            (keyword == "minLength" && limit <= 20.0) || (keyword == "maxLength" && limit >= 35.0)
        }
        // An empty list is never sent, and every object of a request has two fields.
        ("minItems", _) => limit <= 1.0,
        ("minProperties", _) => limit <= 2.0,
        // A value has its ID, that of its attribute and of its customer, and its text.
        ("maxProperties", _) => limit >= 4.0,
        _ => false,
    }
}

/// Returns `true` if the values that the SDK sends in the parameter or field `name` have this format.
#[cfg(feature = "cli")]
pub(crate) fn is_sent_in_format(name: &str, format: &str) -> bool {
    match format {
        // A date filter takes dates and times, whichever of them a document names.
        "date" | "date-time" => name.starts_with("date_"),
        "email" => name == "email:in",
        "int32" | "int64" | "float" | "double" => true,
        _ => false,
    }
}

#[cfg(test)]
pub(crate) fn operation(name: &str) -> &'static Operation {
    let mut operations = OPERATIONS.iter();
    operations
        .find(|operation| operation.name == name)
        .expect("the operation exists")
}
