use serde_json::{Map, Value, json};

use super::endpoint::{answer, operation_mut};
use crate::bound::{RECORDS, Record};
use crate::error::Problem;
use crate::read::{Limits, Spot, merge};
use crate::said;

/// Makes one page type of all answers with the same records, and one that refuses nothing over a
/// length, a missing optional field or an unknown value: the SDK should live longer than the
/// document. What pages say about themselves is one type for all of them.
pub(super) fn tolerate_answers(root: &mut Value) -> Result<(), Problem> {
    let mut meta = Shared::default();
    let mut pages = Vec::new();
    for record in RECORDS {
        let page = read_pages(root, record)?;
        if let (Some(own), Some(first)) =
            (page.pointer("/properties/meta"), record.operations().next())
        {
            let spot = Spot::new(&first.label(), "answer").field("meta");
            meta.add(own, &first.label(), &spot)?;
        }
        pages.push(page);
    }
    for (record, mut page) in RECORDS.into_iter().zip(pages) {
        page["properties"]["meta"] = meta.schema.clone().into();
        loosen(&mut page);
        require(&mut page, record);
        let response =
            json!({"description": "", "content": {"application/json": {"schema": page}}});
        for operation in record.operations() {
            let bound = operation_mut(root, operation);
            if let Some(responses) = bound.and_then(|o| o.get_mut("responses")) {
                for status in operation.success {
                    responses[status] = response.clone();
                }
            }
        }
    }
    Ok(())
}

/// A schema that several answers share.
#[derive(Default)]
struct Shared {
    schema: Map<String, Value>,
    /// The first operation that has it.
    first: Option<String>,
}

impl Shared {
    fn add(&mut self, schema: &Value, label: &str, spot: &Spot) -> Result<(), Problem> {
        let first = self.first.get_or_insert_with(|| label.to_owned());
        let Value::Object(schema) = schema.clone() else {
            return Ok(());
        };
        merge(
            &mut self.schema,
            schema,
            Limits::First,
            spot,
            &|spot, one, other| {
                Problem::new(format!(
                    "{spot} is {other}, but {one} in the answer of {first}"
                ))
            },
        )
    }
}

/// The page that all answers with a record's pages are.
fn read_pages(root: &Value, record: &Record) -> Result<Value, Problem> {
    let mut pages = Shared::default();
    for operation in record.operations() {
        let spot = Spot::new(&operation.label(), "answer");
        let mut page = known_page(record);
        if let Some(Value::Object(answer)) = answer(root, operation, "200") {
            merge(
                &mut page,
                answer.clone(),
                Limits::First,
                &spot,
                &|spot, ours, theirs| {
                    Problem::new(format!("{spot} is {theirs}, but the SDK needs {ours}"))
                },
            )?;
        }
        pages.add(&page.into(), &operation.label(), &spot)?;
    }
    Ok(pages.schema.into())
}

/// What every page can have, so that a document that leaves out an optional field gives the same
/// Rust types. Required fields are not in it: [`check_needs`](super::needs) makes sure that the
/// document has those itself.
fn known_page(record: &Record) -> Map<String, Value> {
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
    let optional = record.optional.iter().map(|(name, kind, format)| {
        let field = json!({"type": kind, "format": format});
        ((*name).to_owned(), field)
    });
    let properties = json!({
        "data": {"type": "array", "items": object(optional.collect::<Map<_, _>>().into())},
        "meta": object(json!({"pagination": pagination})),
    });
    Map::from_iter([
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

/// The formats whose values have a Rust type of their own, in which servers and we agree.
fn is_trusted(format: &Value) -> bool {
    format == "int64" || format == "date-time"
}

fn loosen(schema: &mut Value) {
    let Some(schema) = schema.as_object_mut() else {
        return;
    };
    said::keep_back(schema, |key, value| match key {
        "format" => is_trusted(value),
        "type" | "properties" | "items" | "nullable" | "description" | "example" => true,
        _ => false,
    });
    // Optional lists and maps are generated without an `Option`, unless they can be null.
    let kind = schema.get("type").and_then(Value::as_str);
    if kind == Some("array") || (kind == Some("object") && !schema.contains_key("properties")) {
        said::admit_null(schema);
    }
    if let Some(items) = schema.get_mut("items") {
        loosen(items);
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (_, property) in properties.into_iter().flatten() {
        loosen(property);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::{ATTRIBUTES, VALUES, named};

    fn operation(item: Value, meta: Value) -> Value {
        let data = json!({"type": "array", "items": {"type": "object", "properties": item}});
        let page = json!({"type": "object", "properties": {"data": data, "meta": meta}});
        json!({"responses": {"200": {"content": {"application/json": {"schema": page}}}}})
    }

    /// What the generator sees.
    fn seen(schema: &Value) -> Value {
        match schema {
            Value::Object(map) => {
                let mut map = map.clone();
                said::forget(&mut map);
                map.values_mut().for_each(|value| *value = seen(value));
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
    fn both_answers_become_one_that_refuses_nothing() {
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
        tolerate_answers(&mut root).expect("they agree");
        let page = answer(&root, named("list_attribute_values"), "200")
            .expect("is there")
            .clone();
        assert_eq!(
            answer(&root, named("upsert_attribute_values"), "200"),
            Some(&page)
        );
        assert_eq!(page["required"], json!(["data"]));
        assert!(page["properties"]["meta"]["properties"]["pagination"].is_object());
        let date_time = json!({"type": "string", "format": "date-time"});
        let int64 = json!({"type": "integer", "format": "int64"});
        assert_eq!(
            seen(&page["properties"]["data"]["items"]),
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
    fn answers_that_contradict_each_other_are_refused_by_name() {
        let of = |kind: &str| json!({"tier": {"type": kind}});
        let mut root = document(of("string"), of("integer"));
        let problem = tolerate_answers(&mut root).expect_err("they disagree");
        assert_eq!(
            problem.to_string(),
            "PUT /customers/attribute-values: answer field \"data[].tier\" is integer, \
             but string in the answer of GET /customers/attribute-values"
        );
        let mut root = document(json!({"id": {"type": "string"}}), json!({}));
        let problem = tolerate_answers(&mut root).expect_err("IDs are integers");
        assert_eq!(
            problem.to_string(),
            "GET /customers/attribute-values: answer field \"data[].id\" is string, \
             but the SDK needs integer"
        );
    }

    #[test]
    fn each_path_has_pages_of_its_own_that_say_the_same_of_themselves() {
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
        tolerate_answers(&mut root).expect("they agree");
        let page = |name: &str, status: &str| answer(&root, named(name), status).cloned();
        let attributes = page("list_attributes", "200").expect("is there");
        assert_eq!(page("list_attributes", "201"), None);
        for status in ["200", "201"] {
            assert_eq!(
                page("create_attributes", status).as_ref(),
                Some(&attributes)
            );
        }
        let date_time = json!({"type": "string", "format": "date-time"});
        assert_eq!(
            seen(&attributes["properties"]["data"]["items"]),
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
        assert_eq!(seen(&meta["properties"]["cursor"]), text);
        assert_eq!(
            seen(&meta["properties"]["more"]),
            json!({"type": "boolean"})
        );
        let values = page("list_attribute_values", "200").expect("is there");
        assert_eq!(&values["properties"]["meta"], meta);
    }

    #[test]
    fn pages_that_contradict_each_other_are_refused_by_name() {
        let of = |kind: &str| json!({"type": "object", "properties": {"next": {"type": kind}}});
        let mut root = json!({"paths": {
            VALUES: {"get": operation(json!({}), of("string"))},
            ATTRIBUTES: {"get": operation(json!({}), of("integer"))},
        }});
        let problem = tolerate_answers(&mut root).expect_err("they disagree");
        assert_eq!(
            problem.to_string(),
            "GET /customers/attributes: answer field \"meta.next\" is integer, \
             but string in the answer of GET /customers/attribute-values"
        );
    }
}
