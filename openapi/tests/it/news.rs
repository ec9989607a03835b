//! Tests of what a document changes for a program that was written against the SDK.

use std::collections::BTreeSet;

use bigcommerce_openapi::Document;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::support::{
    ATTRIBUTES, CUSTOMERS, VALUES, code, each_object, each_parameter, file, operation, prepare,
    public_names, remove, vendored,
};

/// Returns the news of a document, without places.
fn news(root: &Value) -> Vec<String> {
    let document = Document::parse("test.json", &root.to_string()).expect("is a document");
    let found = document.news().expect("can be compared").into_iter();
    found
        .map(|d| format!("{}: {}: {}", d.impact, d.subject, d.change))
        .collect()
}

#[track_caller]
fn assert_news(change: impl Fn(&mut Value), expected: &[&str]) {
    let mut changed = vendored();
    change(&mut changed);
    assert_ne!(changed, vendored(), "the change changes nothing");
    assert_eq!(news(&changed), expected);
}

fn schema<'a>(root: &'a mut Value, name: &str) -> &'a mut Value {
    &mut root["components"]["schemas"][name]
}

#[test]
fn what_preparation_adds_or_loosens_is_no_news() {
    assert_eq!(news(&vendored()), [""; 0]);
    assert_news(
        |root| {
            for page in ["AttributeValuePage", "AttributePage", "CustomerPage"] {
                remove(schema(root, page), "required");
                schema(root, page)["properties"]["meta"] = json!({});
            }
            schema(root, "AttributeCreate")["properties"]["name"]["maxLength"] = 255.into();
            each_parameter(root, &mut |parameter| {
                let name = parameter["name"].as_str().expect("has a name");
                if name == "limit" {
                    parameter["schema"] = json!({"type": "number", "minimum": 1, "maximum": 250});
                } else if name.starts_with("date_") {
                    parameter["schema"] = json!({"type": "string", "format": "date-time"});
                }
            });
        },
        &[],
    );
    // Types of numbers, statuses, bodies of errors, limits of what is received.
    assert_news(
        |root| {
            each_object(root, &mut |map| {
                if map.get("type") == Some(&json!("integer")) {
                    map.insert("format".to_owned(), "int32".into());
                    map.insert("minimum".to_owned(), 1.into());
                }
            });
            schema(root, "ErrorBody")["properties"]["status"] = json!({"type": "boolean"});
            schema(root, "AttributeValue")["required"] = json!(["id", "attribute_id"]);
            schema(root, "AttributeValue")["properties"]["attribute_value"]["maxLength"] = 9.into();
            schema(root, "Attribute")["properties"]["name"]["nullable"] = true.into();
            schema(root, "Customer")["properties"]["channel_ids"] = json!({"type": "string"});
            let put = operation(root, VALUES, "put");
            put["responses"]["500"] = json!({"description": ""});
            put["responses"]["202"] = json!({"description": ""});
            remove(&mut put["responses"], "422");
            put["requestBody"]["required"] = false.into();
        },
        &[],
    );
    // Parameters that documents often don't declare.
    assert_news(
        |root| {
            let get = operation(root, CUSTOMERS, "get");
            let parameters = get["parameters"].as_array_mut().expect("is a list");
            parameters.retain(|p| p["$ref"] != "#/components/parameters/After");
        },
        &[],
    );
}

#[test]
fn what_the_sdk_sends_and_a_document_no_longer_admits_is_news() {
    let value = "breaking: PUT /customers/attribute-values: request field \"value\":";
    assert_news(
        |root| {
            schema(root, "AttributeValueUpsert")["properties"]["value"]["maxLength"] = 254.into();
        },
        &[&format!("{value} maxLength is 254, was 255")],
    );
    assert_news(
        |root| {
            let rows = &mut operation(root, VALUES, "put")["requestBody"]["content"];
            rows["application/json"]["schema"]["maxItems"] = 10.into();
        },
        &["breaking: PUT /customers/attribute-values: request: maxItems is 10, was not set"],
    );
    assert_news(
        |root| {
            schema(root, "AttributeValueUpsert")["properties"]["customer_id"]["minimum"] = 2.into();
        },
        &[
            "breaking: PUT /customers/attribute-values: request field \"customer_id\": minimum is 2, was not set",
        ],
    );
    // An ID is 1 or more.
    assert_news(
        |root| {
            let id = &mut schema(root, "AttributeValueUpsert")["properties"]["customer_id"];
            id["minimum"] = 1.into();
            id["exclusiveMinimum"] = true.into();
        },
        &[
            "breaking: PUT /customers/attribute-values: request field \"customer_id\": minimum is 1 (exclusive), was not set",
        ],
    );
    assert_news(
        |root| {
            let id = &mut schema(root, "AttributeValueUpsert")["properties"]["customer_id"];
            id["minimum"] = 0.into();
            id["exclusiveMinimum"] = true.into();
            schema(root, "AttributeValueUpsert")["maxProperties"] = 4.into();
        },
        &[],
    );
    assert_news(
        |root| {
            schema(root, "AttributeValueUpsert")["properties"]["value"]["not"] =
                json!({"enum": [""]});
        },
        &[&format!("{value} not is set, was not set")],
    );
    assert_news(
        |root| {
            schema(root, "AttributeValueUpsert")["properties"]["value"]["readOnly"] = true.into();
        },
        &[&format!("{value} is missing")],
    );
    let delete = "DELETE /customers/attribute-values: request:";
    assert_news(
        |root| {
            let content = json!({"application/json": {"schema": {"type": "array", "items": {}}}});
            operation(root, VALUES, "delete")["requestBody"] =
                json!({"required": true, "content": content});
        },
        &[&format!("breaking: {delete} is new and required")],
    );
    assert_news(
        |root| {
            root["components"]["securitySchemes"]["AccessToken"]["name"] = "X-BC-Token".into();
            root["components"]["parameters"]["IdIn"]["explode"] = true.into();
            root["servers"][0]["url"] = "https://api.bigcommerce.com/{store}".into();
            operation(root, VALUES, "put")["deprecated"] = true.into();
        },
        &[
            "breaking: DELETE /customers/attribute-values: query parameter \"id:in\": explode is true, was false",
            "breaking: all operations: authentication: is header \"x-bc-token\", was header \"x-auth-token\"",
            "breaking: all operations: base URL: is https://api.bigcommerce.com/{store}, was https://api.bigcommerce.com/stores/{store_hash}/v3",
            "compatible: PUT /customers/attribute-values: is deprecated",
        ],
    );
    assert_news(
        |root| {
            schema(root, "AttributeValueUpsert")["properties"]["value"]["pattern"] = 9.into();
        },
        &[
            "compatible: PUT /customers/attribute-values: request field \"value\": pattern is 9, which makes no sense",
        ],
    );
}

#[test]
fn a_changed_name_type_or_optionality_is_news() {
    let put = "PUT /customers/attribute-values: request field";
    assert_news(
        |root| {
            let row = &mut schema(root, "AttributeValueUpsert")["properties"];
            row["source"] = json!({"type": "string"});
            remove(row, "id");
            // Its type has limits, whether the document states them or not.
            remove(&mut row["value"], "maxLength");
            schema(root, "AttributeValue")["properties"]["date_created"] =
                json!({"type": "string", "format": "date-time", "nullable": true});
            schema(root, "Customer")["properties"]["points"] = json!({"type": "integer"});
            root["paths"]["/customers/addresses"] = json!({"get": {}});
        },
        &[
            &format!("breaking: {put} \"id\": is missing"),
            &format!("compatible: {put} \"source\": is new"),
            "compatible: GET /customers: response field \"data[].points\": is new",
            "ignored: /customers/addresses: is new, and the SDK doesn't bind it",
        ],
    );
    // A deprecation is said beside another change of the same field.
    let kind = "compatible: POST /customers/attributes: request field \"type\":";
    assert_news(
        |root| {
            let values = &mut schema(root, "AttributeType")["enum"];
            values
                .as_array_mut()
                .expect("is a list")
                .push("money".into());
            schema(root, "AttributeType")["deprecated"] = true.into();
        },
        &[
            &format!("{kind} enum now has \"money\""),
            &format!("{kind} is deprecated"),
        ],
    );
    let get = "GET /customers/attribute-values:";
    assert_news(
        |root| {
            let parameters = &mut operation(root, VALUES, "get")["parameters"];
            let parameters = parameters.as_array_mut().expect("is a list");
            parameters.push(json!({"name": "channel_id:in", "in": "query", "schema": {
                "type": "array", "items": {"type": "integer"},
            }, "explode": false}));
            let record = &mut schema(root, "AttributeValue")["properties"];
            record["channel"] =
                json!({"type": "object", "properties": {"id": {"type": "integer"}}});
        },
        &[
            &format!("compatible: {get} query parameter \"channel_id:in\": is new"),
            &format!("compatible: {get} response field \"data[].channel\": is new"),
            "compatible: PUT /customers/attribute-values: response field \"data[].channel\": is new",
        ],
    );
}

#[test]
fn a_response_that_the_types_cannot_read_is_news() {
    assert_news(
        |root| {
            let content = json!({"application/json": {"schema": {"type": "array", "items": {}}}});
            operation(root, VALUES, "put")["responses"]["207"] = json!({"content": content});
        },
        &[
            "breaking: PUT /customers/attribute-values: response 207: is new, and its records are not those of the response",
        ],
    );
}

/// The places of news are in the documents as they are written, not as they are prepared.
#[test]
fn places_are_json_pointers_into_both_documents() {
    let whole = std::fs::read_to_string(file("provider-whole.yaml")).expect("the file exists");
    let root: Value = serde_norway::from_str(&whole).expect("is YAML");
    let document = Document::parse("whole.yaml", &whole).expect("is a document");
    let news = document.news().expect("can be compared");
    assert!(news.len() > 10, "{news:?}");
    for difference in news {
        assert!(
            vendored().pointer(&difference.before).is_some(),
            "{difference}"
        );
        assert!(root.pointer(&difference.after).is_some(), "{difference}");
    }
}

/// Changes a schema, a parameter or a field at random.
fn change(root: &mut Value, rng: &mut Rng) {
    let schemas = [
        "AttributeValueUpsert",
        "AttributeCreate",
        "AttributeValue",
        "Attribute",
        "Customer",
        "AttributeValuePage",
        "PageMeta",
        "Pagination",
    ];
    let mut name = schemas[rng.usize(..schemas.len())];
    let new = match rng.u8(..12) {
        0 => json!({"type": "string"}),
        1 => json!({"type": "string", "maxLength": 9}),
        2 => json!({"type": "string", "format": "date-time"}),
        3 => json!({"type": "string", "enum": ["a", "b"]}),
        4 => json!({"type": "integer", "format": "int32", "minimum": 1}),
        5 => json!({"type": "number"}),
        6 => json!({"type": "boolean", "nullable": true}),
        7 => json!({"type": "array", "items": {"type": "string"}}),
        8 => json!({"type": "object", "properties": {"a": {"type": "integer"}}}),
        9 => json!({}),
        10 => json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
        _ => json!({"type": "object", "additionalProperties": {"type": "string"}}),
    };
    if rng.u8(..5) == 0 {
        let paths = [
            (VALUES, "get"),
            (ATTRIBUTES, "get"),
            (CUSTOMERS, "get"),
            (VALUES, "put"),
        ];
        let (path, method) = paths[rng.usize(..paths.len())];
        let operation = operation(root, path, method);
        let parameter = json!({"name": format!("p{}", rng.u8(..3)), "in": "query", "schema": new});
        match operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut)
        {
            Some(parameters) if rng.bool() && !parameters.is_empty() => {
                parameters.remove(rng.usize(..parameters.len()));
            }
            Some(parameters) => parameters.push(parameter),
            None => operation["parameters"] = json!([parameter]),
        }
        return;
    }
    // Few fields may change: the SDK needs most of them, or adds them.
    let is_free = rng.u8(..4) == 0;
    if is_free {
        name = "AttributeValueUpsert";
    }
    let object = schema(root, name);
    let fields: Vec<_> = object["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .collect();
    let known = fields[rng.usize(..fields.len())].0.clone();
    let field = match rng.u8(..3) {
        _ if is_free => "id".to_owned(),
        0 => "new_field".to_owned(),
        _ => known,
    };
    match rng.u8(..4) {
        0 => drop(
            object["properties"]
                .as_object_mut()
                .and_then(|fields| fields.remove(&field)),
        ),
        1 => object["required"] = json!([field]),
        2 if object["properties"].get(&field).is_some() => {
            object["properties"][&field]["nullable"] = true.into();
        }
        _ if object["properties"].is_null() => {}
        _ => object["properties"][&field] = new,
    }
}

/// Whatever a document changes: if a public name or type of the generated code is another one, or gone,
/// that is breaking news, and if one is added, that is news. If neither, nothing of the kind is said.
#[test]
fn news_agrees_with_the_generated_code() {
    let names = |root: &Value| {
        let (client, _) = code(&prepare(root)?);
        Ok::<_, String>(public_names(&client))
    };
    let ours = names(&vendored()).expect("can be prepared");
    let (mut broken, mut extended, mut same) = (0, 0, 0);
    for seed in 0..64 {
        let mut rng = Rng::with_seed(seed);
        let mut root = vendored();
        for _ in 0..rng.usize(1..=2) {
            change(&mut root, &mut rng);
        }
        let Ok(theirs) = names(&root) else {
            let said = Document::parse("t", &root.to_string()).expect("is a document");
            assert!(said.prepare().is_err());
            continue;
        };
        let news = news(&root);
        let tells = |impact: &str| news.iter().any(|line| line.starts_with(impact));
        let differs = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
            one.difference(other).next().cloned()
        };
        match (differs(&ours, &theirs), differs(&theirs, &ours)) {
            (Some(gone), _) => {
                assert!(
                    tells("breaking: "),
                    "seed {seed}: {gone} is gone: {news:#?}"
                );
                broken += 1;
            }
            (None, Some(new)) => {
                assert!(
                    tells("compatible: "),
                    "seed {seed}: {new} is new: {news:#?}"
                );
                extended += 1;
            }
            (None, None) => {
                let of_types = news.iter().find(|line| {
                    line.contains("the generated type")
                        || line.ends_with(": is missing")
                        || line.ends_with(": is new")
                });
                assert_eq!(of_types, None, "seed {seed}");
                same += 1;
            }
        }
    }
    assert!(
        broken > 5 && extended > 5 && same > 5,
        "{broken} {extended} {same}"
    );
}
