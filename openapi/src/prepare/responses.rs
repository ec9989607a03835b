use serde_json::{Value, json};

use super::accessors::{operation_mut, response};
use crate::constraints;
use crate::contract::{RECORDS, Record};
use crate::error::Problem;
use crate::read::{LimitPolicy, Location, merge};
use crate::schema::Schema;

/// Gives all responses with the same records one page type, and all pages the same `meta`.
///
/// The types accept any length, missing optional fields and unknown values, so that the SDK works
/// with a server that is newer than the document.
pub(super) fn relax_responses(root: &mut Value) -> Result<(), Problem> {
    let mut meta = SharedSchema::default();
    let mut pages = Vec::new();
    for record in RECORDS {
        let page = read_pages(root, record)?;
        if let (Some(own), Some(first)) =
            (page.pointer("/properties/meta"), record.operations().next())
        {
            let location = Location::new(&first.label(), "response").field("meta");
            meta.add(own, &first.label(), &location)?;
        }
        pages.push(page);
    }
    for (record, mut page) in RECORDS.into_iter().zip(pages) {
        page["properties"]["meta"] = meta.schema.clone().into();
        relax(&mut page);
        require(&mut page, record);
        let response =
            json!({"description": "", "content": {"application/json": {"schema": page}}});
        for operation in record.operations() {
            let own = operation_mut(root, operation);
            if let Some(responses) = own.and_then(|o| o.get_mut("responses")) {
                for status in operation.success {
                    responses[status] = response.clone();
                }
            }
        }
    }
    Ok(())
}

/// A schema that several responses share.
#[derive(Default)]
struct SharedSchema {
    schema: Schema,
    /// The first operation with this schema, for messages.
    first: Option<String>,
}

impl SharedSchema {
    fn add(&mut self, schema: &Value, label: &str, location: &Location) -> Result<(), Problem> {
        let first = self.first.get_or_insert_with(|| label.to_owned());
        let Value::Object(schema) = schema.clone() else {
            return Ok(());
        };
        merge(
            &mut self.schema,
            schema,
            LimitPolicy::KeepFirst,
            location,
            &|location, one, other| {
                Problem::new(format!(
                    "{location} is {other}, but {one} in the response of {first}"
                ))
            },
        )
    }
}

/// Merges the pages of all operations that return this record.
fn read_pages(root: &Value, record: &Record) -> Result<Value, Problem> {
    let mut pages = SharedSchema::default();
    for operation in record.operations() {
        let location = Location::new(&operation.label(), "response");
        let mut page = known_page(record);
        if let Some(Value::Object(own)) = response(root, operation, "200") {
            merge(
                &mut page,
                own.clone(),
                LimitPolicy::KeepFirst,
                &location,
                &|location, ours, theirs| {
                    Problem::new(format!("{location} is {theirs}, but the SDK needs {ours}"))
                },
            )?;
        }
        pages.add(&page.into(), &operation.label(), &location)?;
    }
    Ok(pages.schema.into())
}

/// Returns a page's optional fields, so that the Rust types don't depend on which of them a document
/// declares. Required fields must come from the document: see
/// [`check_requirements`](super::requirements).
fn known_page(record: &Record) -> Schema {
    let int64 = json!({"type": "integer", "format": "int64"});
    let text = json!({"type": "string"});
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    let links = object(json!({"previous": text, "current": text, "next": text}));
    let pagination = object(json!({
        "total": int64,
        "count": int64,
        "per_page": int64,
        "current_page": int64,
        "total_pages": int64,
        "links": links,
    }));
    let cursors = object(json!({"start_cursor": text, "end_cursor": text}));
    let optional = record.optional.iter().map(|(name, kind, format)| {
        let mut field = json!({"type": kind});
        if let Some(format) = format {
            field["format"] = (*format).into();
        }
        ((*name).to_owned(), field)
    });
    let id_lists = record.id_lists.iter().map(|name| {
        let list = json!({"type": "array", "items": int64, "nullable": true});
        ((*name).to_owned(), list)
    });
    let fields = optional.chain(id_lists).collect::<Schema>();
    let properties = json!({
        "data": {"type": "array", "items": object(fields.into())},
        "meta": object(json!({"pagination": pagination, "cursor_pagination": cursors})),
    });
    Schema::from_iter([
        ("type".to_owned(), "object".into()),
        ("properties".to_owned(), properties),
    ])
}

fn require(page: &mut Value, record: &Record) {
    let fields: Vec<_> = record.fields.iter().map(|(name, _)| *name).collect();
    for (place, required) in [("", vec!["data"]), ("/properties/data/items", fields)] {
        if let Some(owner) = page.pointer_mut(place) {
            owner["required"] = json!(required);
            for name in required {
                let field = owner.get_mut("properties").and_then(|p| p.get_mut(name));
                if let Some(field) = field.and_then(Value::as_object_mut) {
                    field.remove("nullable");
                }
            }
        }
    }
}

/// Returns `true` for formats with a Rust type that parses every value the endpoints send.
fn has_rust_type(format: &Value) -> bool {
    format == "int64" || format == "date-time"
}

fn relax(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    constraints::stash(schema, |key, value| match key {
        "format" => has_rust_type(value),
        "type" | "properties" | "items" | "nullable" | "description" | "example" => true,
        _ => false,
    });
    // The generator makes optional lists and maps an `Option` only if they are nullable.
    let kind = schema.get("type").and_then(Value::as_str);
    if kind == Some("array") || (kind == Some("object") && !schema.contains_key("properties")) {
        constraints::allow_null(schema);
    }
    if let Some(items) = schema.get_mut("items") {
        relax(items);
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (_, property) in properties.into_iter().flatten() {
        relax(property);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{self, ATTRIBUTES, VALUES};

    fn operation(item: Value, meta: Value) -> Value {
        let data = json!({"type": "array", "items": {"type": "object", "properties": item}});
        let page = json!({"type": "object", "properties": {"data": data, "meta": meta}});
        json!({"responses": {"200": {"content": {"application/json": {"schema": page}}}}})
    }

    /// Removes the constraints, which the generator doesn't see.
    fn visible(schema: &Value) -> Value {
        match schema {
            Value::Object(map) => {
                let mut map = map.clone();
                constraints::discard(&mut map);
                map.values_mut().for_each(|value| *value = visible(value));
                map.into()
            }
            other => other.clone(),
        }
    }

    fn document(get: Value, put: Value) -> Value {
        let [get, put] = [get, put].map(|item| operation(item, json!({})));
        json!({"paths": {VALUES: {"get": get, "put": put}}})
    }

    #[test]
    fn both_responses_become_one_without_constraints() {
        let get = json!({
            "customer_id": {"type": "integer", "format": "int64", "nullable": true},
            "attribute_value": {"type": "string", "maxLength": 255, "pattern": "."},
            "date_created": {"type": "string", "format": "date", "description": "When."},
        });
        let put = json!({
            "kind": {"type": "string", "enum": ["a"], "nullable": true},
            "tags": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
            "owner": {
                "type": "object",
                "required": ["email"],
                "additionalProperties": false,
                "properties": {"email": {"type": "string", "format": "email"}},
            },
        });
        let mut root = document(get, put);
        relax_responses(&mut root).expect("they agree");
        let page = response(&root, contract::operation("list_attribute_values"), "200")
            .expect("the schema exists")
            .clone();
        assert_eq!(
            response(&root, contract::operation("upsert_attribute_values"), "200"),
            Some(&page)
        );
        assert_eq!(page["required"], json!(["data"]));
        assert!(page["properties"]["meta"]["properties"]["pagination"].is_object());
        let date_time = json!({"type": "string", "format": "date-time"});
        let int64 = json!({"type": "integer", "format": "int64"});
        assert_eq!(
            visible(&page["properties"]["data"]["items"]),
            json!({
                "type": "object",
                "required": ["attribute_id", "attribute_value", "customer_id"],
                "properties": {
                    "id": int64,
                    "customer_id": int64,
                    "attribute_value": {"type": "string"},
                    "date_created": {
                        "type": "string", "format": "date-time", "description": "When.",
                    },
                    "date_modified": date_time,
                    "kind": {"type": "string", "nullable": true},
                    "tags": {"type": "array", "nullable": true, "items": {"type": "string"}},
                    "owner": {"type": "object", "properties": {"email": {"type": "string"}}},
                },
            })
        );
    }

    #[test]
    fn responses_that_contradict_each_other_are_rejected_by_name() {
        let of = |kind: &str| json!({"tier": {"type": kind}});
        let mut root = document(of("string"), of("integer"));
        let problem = relax_responses(&mut root).expect_err("they disagree");
        assert_eq!(
            problem.to_string(),
            "PUT /customers/attribute-values: response field \"data[].tier\" is integer, \
             but string in the response of GET /customers/attribute-values"
        );
        let mut root = document(json!({"id": {"type": "string"}}), json!({}));
        let problem = relax_responses(&mut root).expect_err("IDs are integers");
        assert_eq!(
            problem.to_string(),
            "GET /customers/attribute-values: response field \"data[].id\" is string, \
             but the SDK needs integer"
        );
    }

    #[test]
    fn each_path_has_its_own_pages_with_the_same_meta() {
        let text = json!({"type": "string"});
        let meta = |name: &str, kind: &str| {
            let field = json!({"type": kind, "maxLength": 9});
            json!({"type": "object", "properties": {name: field}})
        };
        let attribute = json!({
            "type": {"type": "string", "enum": ["string", "number", "date"]},
            "id": {"type": "integer", "format": "int64", "nullable": true},
        });
        let mut root = json!({"paths": {
            VALUES: {"get": operation(json!({}), meta("cursor", "string"))},
            ATTRIBUTES: {
                "get": operation(attribute, meta("more", "boolean")),
                "post": operation(json!({"name": text}), json!({})),
            },
        }});
        relax_responses(&mut root).expect("they agree");
        let page =
            |name: &str, status: &str| response(&root, contract::operation(name), status).cloned();
        let attributes = page("list_attributes", "200").expect("the schema exists");
        assert_eq!(page("list_attributes", "201"), None);
        for status in ["200", "201"] {
            assert_eq!(
                page("create_attributes", status).as_ref(),
                Some(&attributes)
            );
        }
        let date_time = json!({"type": "string", "format": "date-time"});
        assert_eq!(
            visible(&attributes["properties"]["data"]["items"]),
            json!({
                "type": "object",
                "required": ["id", "name", "type"],
                "properties": {
                    "id": {"type": "integer", "format": "int64"},
                    "name": text,
                    "type": text,
                    "date_created": date_time,
                    "date_modified": date_time,
                },
            })
        );
        let meta = &attributes["properties"]["meta"];
        assert_eq!(visible(&meta["properties"]["cursor"]), text);
        assert_eq!(
            visible(&meta["properties"]["more"]),
            json!({"type": "boolean"})
        );
        let values = page("list_attribute_values", "200").expect("the schema exists");
        assert_eq!(&values["properties"]["meta"], meta);
    }

    #[test]
    fn pages_that_contradict_each_other_are_rejected_by_name() {
        let of = |kind: &str| json!({"type": "object", "properties": {"next": {"type": kind}}});
        let mut root = json!({"paths": {
            VALUES: {"get": operation(json!({}), of("string"))},
            ATTRIBUTES: {"get": operation(json!({}), of("integer"))},
        }});
        let problem = relax_responses(&mut root).expect_err("they disagree");
        assert_eq!(
            problem.to_string(),
            "GET /customers/attributes: response field \"meta.next\" is integer, \
             but string in the response of GET /customers/attribute-values"
        );
    }
}
