//! Tests that each kind of change, in requests and in responses, is reported with its impact, and
//! nothing else is.

use bigcommerce_openapi::{Document, Impact};
use serde_json::{Value, json};

use crate::support::{
    ATTRIBUTES, VALUES, differences, each_object, file, operation, remove, vendored,
};

/// How a change affects the set of values that a schema accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Effect {
    Fewer,
    More,
    Unknown,
}

use Effect::{Fewer, More, Unknown};

/// A schema before and after, the reported change, and its effect.
type SchemaChange = (Value, Value, &'static str, Effect);

fn schema_changes() -> Vec<SchemaChange> {
    let text = |key: &str, value: Value| json!({"type": "string", key: value});
    let number = |key: &str, value: Value| json!({"type": "number", key: value});
    let list = |key: &str, value: Value| json!({"type": "array", "items": {}, key: value});
    let bare = |kind: &str| json!({"type": kind});
    let exclusive = |limit: &str, value: Value, flag: &str| {
        let mut schema = number(limit, value);
        schema[flag] = true.into();
        schema
    };
    vec![
        (
            bare("integer"),
            bare("number"),
            "type is number, was integer",
            Unknown,
        ),
        (
            bare("string"),
            bare("boolean"),
            "type is boolean, was string",
            Unknown,
        ),
        (
            bare("string"),
            json!({}),
            "type is not set, was string",
            Unknown,
        ),
        (
            bare("string"),
            json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
            "type is not set, was string",
            Unknown,
        ),
        (
            text("maxLength", json!(9)),
            text("maxLength", json!(8)),
            "maxLength is 8, was 9",
            Fewer,
        ),
        (
            text("maxLength", json!(8)),
            text("maxLength", json!(9)),
            "maxLength is 9, was 8",
            More,
        ),
        (
            bare("string"),
            text("maxLength", json!(0)),
            "maxLength is 0, was not set",
            Fewer,
        ),
        (
            text("maxLength", json!(8)),
            bare("string"),
            "maxLength is not set, was 8",
            More,
        ),
        (
            text("minLength", json!(1)),
            text("minLength", json!(2)),
            "minLength is 2, was 1",
            Fewer,
        ),
        (
            text("minLength", json!(2)),
            text("minLength", json!(1)),
            "minLength is 1, was 2",
            More,
        ),
        (
            text("minLength", json!(0)),
            text("minLength", json!(1)),
            "minLength is 1, was not set",
            Fewer,
        ),
        (
            text("minLength", json!(1)),
            bare("string"),
            "minLength is not set, was 1",
            More,
        ),
        (
            bare("string"),
            text("pattern", json!("^a")),
            "pattern is \"^a\", was not set",
            Fewer,
        ),
        (
            text("pattern", json!("^a")),
            bare("string"),
            "pattern is not set, was \"^a\"",
            More,
        ),
        (
            text("pattern", json!("a")),
            text("pattern", json!("b")),
            "pattern is \"b\", was \"a\"",
            Unknown,
        ),
        (
            bare("string"),
            text("enum", json!(["a"])),
            "enum is \"a\", was not set",
            Fewer,
        ),
        (
            text("enum", json!(["a"])),
            bare("string"),
            "enum is not set, was \"a\"",
            More,
        ),
        (
            text("enum", json!(["a", "b"])),
            text("enum", json!(["b"])),
            "enum no longer has \"a\"",
            Fewer,
        ),
        (
            text("enum", json!(["a"])),
            text("enum", json!(["", "a"])),
            "enum now has \"\"",
            More,
        ),
        (
            json!({"type": "integer", "enum": [1, 2]}),
            json!({"type": "integer", "enum": [2]}),
            "enum no longer has 1",
            Fewer,
        ),
        (
            number("maximum", json!(9)),
            number("maximum", json!(8.5)),
            "maximum is 8.5, was 9",
            Fewer,
        ),
        (
            number("maximum", json!(8)),
            number("maximum", json!(9)),
            "maximum is 9, was 8",
            More,
        ),
        (
            bare("number"),
            number("maximum", json!(9)),
            "maximum is 9, was not set",
            Fewer,
        ),
        (
            number("maximum", json!(9)),
            bare("number"),
            "maximum is not set, was 9",
            More,
        ),
        (
            number("maximum", json!(9)),
            exclusive("maximum", json!(9), "exclusiveMaximum"),
            "maximum is 9 (exclusive), was 9",
            Fewer,
        ),
        (
            number("minimum", json!(1)),
            number("minimum", json!(-1)),
            "minimum is -1, was 1",
            More,
        ),
        (
            number("minimum", json!(1)),
            number("minimum", json!(2)),
            "minimum is 2, was 1",
            Fewer,
        ),
        (
            bare("integer"),
            json!({"type": "integer", "minimum": 1}),
            "minimum is 1, was not set",
            Fewer,
        ),
        (
            number("minimum", json!(1)),
            bare("number"),
            "minimum is not set, was 1",
            More,
        ),
        (
            exclusive("minimum", json!(1), "exclusiveMinimum"),
            number("minimum", json!(1)),
            "minimum is 1, was 1 (exclusive)",
            More,
        ),
        (
            number("multipleOf", json!(2)),
            number("multipleOf", json!(6)),
            "multipleOf is 6, was 2",
            Fewer,
        ),
        (
            number("multipleOf", json!(6)),
            number("multipleOf", json!(2)),
            "multipleOf is 2, was 6",
            More,
        ),
        (
            number("multipleOf", json!(2)),
            number("multipleOf", json!(3)),
            "multipleOf is 3, was 2",
            Unknown,
        ),
        (
            bare("number"),
            number("multipleOf", json!(2)),
            "multipleOf is 2, was not set",
            Fewer,
        ),
        (
            number("multipleOf", json!(2)),
            bare("number"),
            "multipleOf is not set, was 2",
            More,
        ),
        (
            list("maxItems", json!(9)),
            list("maxItems", json!(8)),
            "maxItems is 8, was 9",
            Fewer,
        ),
        (
            list("maxItems", json!(8)),
            list("maxItems", json!(9)),
            "maxItems is 9, was 8",
            More,
        ),
        (
            bare("array"),
            list("maxItems", json!(9)),
            "maxItems is 9, was not set",
            Fewer,
        ),
        (
            list("maxItems", json!(9)),
            bare("array"),
            "maxItems is not set, was 9",
            More,
        ),
        (
            bare("array"),
            list("minItems", json!(1)),
            "minItems is 1, was not set",
            Fewer,
        ),
        (
            list("minItems", json!(1)),
            bare("array"),
            "minItems is not set, was 1",
            More,
        ),
        (
            bare("array"),
            list("uniqueItems", json!(true)),
            "uniqueItems is true, was false",
            Fewer,
        ),
        (
            list("uniqueItems", json!(true)),
            bare("array"),
            "uniqueItems is false, was true",
            More,
        ),
    ]
}

/// Changes that count in fields only: a parameter can't be null, and a date in it has no type.
fn field_changes() -> Vec<SchemaChange> {
    let bare = |kind: &str| json!({"type": kind});
    let format = |format: &str| json!({"type": "string", "format": format});
    let nullable = json!({"type": "string", "nullable": true});
    vec![
        (
            bare("string"),
            format("date-time"),
            "type is date-time, was string",
            Unknown,
        ),
        (
            format("date-time"),
            format("date"),
            "type is date, was date-time",
            Unknown,
        ),
        (
            bare("string"),
            format("email"),
            "format is \"email\", was not set",
            Fewer,
        ),
        (
            format("email"),
            bare("string"),
            "format is not set, was \"email\"",
            More,
        ),
        (
            format("email"),
            format("uri"),
            "format is \"uri\", was \"email\"",
            Unknown,
        ),
        (
            bare("string"),
            nullable.clone(),
            "nullable is true, was false",
            More,
        ),
        (
            bare("string"),
            json!({"type": "string", "not": {"enum": ["a"]}}),
            "composition is \"not\", was not set",
            Unknown,
        ),
        (
            json!({"type": "string", "oneOf": [{"maxLength": 1}, {"minLength": 3}]}),
            bare("string"),
            "composition is not set, was \"oneOf\" of 2",
            Unknown,
        ),
        (
            nullable,
            bare("string"),
            "nullable is false, was true",
            Fewer,
        ),
    ]
}

fn impact(effect: Effect, is_received: bool) -> &'static str {
    match (effect, is_received) {
        (More, false) | (Fewer, true) => "compatible",
        _ => "breaking",
    }
}

const PROBE: &str = "probe";

fn with_parameter(schema: &Value) -> Value {
    let mut root = vendored();
    let get = operation(&mut root, ATTRIBUTES, "get");
    let parameters = get["parameters"].as_array_mut().expect("is a list");
    parameters.push(json!({"name": PROBE, "in": "query", "schema": schema}));
    root
}

fn with_field(owner: &str, schema: &Value) -> Value {
    let mut root = vendored();
    root["components"]["schemas"][owner]["properties"][PROBE] = schema.clone();
    root
}

const PARAMETER: &str = "GET /customers/attributes: query parameter \"probe\"";
const SENT: &str = "POST /customers/attributes: request field \"probe\"";
const RECEIVED: [&str; 2] = [
    "GET /customers/attributes: response field \"data[].probe\"",
    "POST /customers/attributes: response field \"data[].probe\"",
];

#[test]
fn a_change_of_a_schema_has_its_impact_in_each_place() {
    let mut checked = 0;
    for (is_field_only, changes) in [(false, schema_changes()), (true, field_changes())] {
        for (before, after, change, effect) in changes {
            let compare =
                |with: &dyn Fn(&Value) -> Value| differences(&with(&before), &with(&after));
            let sent = impact(effect, false);
            let found = compare(&with_parameter);
            // A parameter without a single type is text.
            if is_field_only || change.starts_with("type is not set") {
                assert_eq!(found, [""; 0], "{change}");
            } else {
                assert_eq!(found, [format!("{sent}: {PARAMETER}: {change}")]);
            }
            let found = compare(&|schema| with_field("AttributeCreate", schema));
            assert_eq!(found, [format!("{sent}: {SENT}: {change}")]);
            let received = impact(effect, true);
            let found = compare(&|schema| with_field("Attribute", schema));
            assert_eq!(
                found,
                RECEIVED.map(|on| format!("{received}: {on}: {change}"))
            );
            // The same in a nested field.
            let deep =
                |schema: &Value| json!({"type": "array", "items": {"properties": {"a": schema}}});
            let found = compare(&|schema| with_field("AttributeCreate", &deep(schema)));
            let on = SENT.replace(PROBE, "probe[].a");
            assert_eq!(found, [format!("{sent}: {on}: {change}")]);
            checked += 1;
        }
    }
    assert_eq!(checked, 43 + 9);
}

#[test]
fn a_change_that_does_not_affect_requests_or_responses_is_not_reported() {
    let bare = |kind: &str| json!({"type": kind});
    for (before, after) in [
        (
            bare("string"),
            json!({"type": "string", "description": "A.", "example": "a"}),
        ),
        (
            bare("string"),
            json!({"type": "string", "default": "a", "title": "A", "x-a": 1}),
        ),
        (
            bare("string"),
            json!({"type": "string", "minLength": 0, "deprecated": true}),
        ),
        (
            bare("string"),
            json!({"allOf": [{"type": "string"}], "description": "A."}),
        ),
        (
            bare("integer"),
            json!({"type": "integer", "format": "int32"}),
        ),
        (bare("number"), json!({"type": "number", "format": "float"})),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!({"type": "string", "enum": ["b", "a"]}),
        ),
        (
            bare("object"),
            json!({"type": "object", "additionalProperties": false}),
        ),
    ] {
        let none = [""; 0];
        assert_eq!(
            differences(&with_parameter(&before), &with_parameter(&after)),
            none
        );
        for owner in ["AttributeCreate", "Attribute"] {
            let [one, other] = [&before, &after].map(|schema| with_field(owner, schema));
            assert_eq!(differences(&one, &other), none);
        }
    }
}

/// Compares the vendored document with a changed copy, in both directions.
#[track_caller]
fn assert_changes(change: impl Fn(&mut Value), forward: &[&str], back: &[&str]) {
    let mut changed = vendored();
    change(&mut changed);
    assert_eq!(differences(&vendored(), &changed), forward, "forward");
    assert_eq!(differences(&changed, &vendored()), back, "back");
}

fn row<'a>(root: &'a mut Value, name: &str) -> &'a mut Value {
    &mut root["components"]["schemas"][name]
}

fn require(schema: &mut Value, name: &str) {
    let required = schema["required"].as_array_mut().expect("is a list");
    required.push(name.into());
}

#[test]
fn fields_that_are_new_missing_or_required() {
    let both = |text: &str| RECEIVED.map(|on| text.replace("{}", on));
    assert_changes(
        |root| row(root, "AttributeCreate")["properties"][PROBE] = json!({"type": "string"}),
        &[&format!("compatible: {SENT}: is new")],
        &[&format!("breaking: {SENT}: is missing")],
    );
    let (new, gone) = (
        both("compatible: {}: is new"),
        both("breaking: {}: is missing"),
    );
    assert_changes(
        |root| row(root, "Attribute")["properties"][PROBE] = json!({"type": "string"}),
        &new.each_ref().map(String::as_str),
        &gone.each_ref().map(String::as_str),
    );
    assert_changes(
        |root| {
            row(root, "AttributeCreate")["properties"][PROBE] = json!({"type": "string"});
            require(row(root, "AttributeCreate"), PROBE);
        },
        &[&format!("breaking: {SENT}: is new and required")],
        &[&format!("breaking: {SENT}: is missing")],
    );
    // A field that is required but not declared.
    assert_changes(
        |root| require(row(root, "AttributeCreate"), PROBE),
        &[&format!("breaking: {SENT}: is new and required")],
        &[&format!("breaking: {SENT}: is missing")],
    );
    assert_changes(
        |root| {
            row(root, "Attribute")["properties"][PROBE] = json!({"type": "string"});
            require(row(root, "Attribute"), PROBE);
        },
        &new.each_ref().map(String::as_str),
        &gone.each_ref().map(String::as_str),
    );
    assert_changes(
        |root| {
            remove(&mut row(root, "AttributeCreate")["properties"], "name");
        },
        &[
            "breaking: POST /customers/attributes: request field \"name\": type is not set, was string",
        ],
        &[
            "breaking: POST /customers/attributes: request field \"name\": type is string, was not set",
        ],
    );
    assert_changes(
        |root| require(row(root, "AttributeValueUpsert"), "id"),
        &[
            "breaking: PUT /customers/attribute-values: request field \"id\": is required, was optional",
        ],
        &[
            "compatible: PUT /customers/attribute-values: request field \"id\": is optional, was required",
        ],
    );
    assert_changes(
        |root| require(row(root, "AttributeValue"), "id"),
        &[
            "compatible: GET /customers/attribute-values: response field \"data[].id\": is required, was optional",
            "compatible: PUT /customers/attribute-values: response field \"data[].id\": is required, was optional",
        ],
        &[
            "breaking: GET /customers/attribute-values: response field \"data[].id\": is optional, was required",
            "breaking: PUT /customers/attribute-values: response field \"data[].id\": is optional, was required",
        ],
    );
}

#[test]
fn read_only_and_write_only_fields() {
    let id = "PUT /customers/attribute-values: request field \"id\"";
    assert_changes(
        |root| row(root, "AttributeValueUpsert")["properties"]["id"]["readOnly"] = true.into(),
        &[&format!("breaking: {id}: is missing")],
        &[&format!("compatible: {id}: is new")],
    );
    assert_changes(
        |root| row(root, "AttributeValueUpsert")["properties"]["id"]["writeOnly"] = true.into(),
        &[],
        &[],
    );
    let ids = [
        "GET /customers/attribute-values: response field \"data[].id\"",
        "PUT /customers/attribute-values: response field \"data[].id\"",
    ];
    let gone = ids.map(|id| format!("breaking: {id}: is missing"));
    let new = ids.map(|id| format!("compatible: {id}: is new"));
    assert_changes(
        |root| row(root, "AttributeValue")["properties"]["id"]["writeOnly"] = true.into(),
        &gone.each_ref().map(String::as_str),
        &new.each_ref().map(String::as_str),
    );
}

#[test]
fn parameters_that_are_new_missing_or_required() {
    for sent_in in ["query", "header", "cookie"] {
        let on = format!("PUT /customers/attribute-values: {sent_in} parameter \"probe\"");
        let add = |required: bool| {
            move |root: &mut Value| {
                operation(root, VALUES, "put")["parameters"] = json!([
                    {"name": PROBE, "in": sent_in, "required": required, "schema": {}},
                ]);
            }
        };
        let gone = format!("breaking: {on}: is missing");
        assert_changes(
            add(false),
            &[&format!("compatible: {on}: is new")],
            &[&gone],
        );
        assert_changes(
            add(true),
            &[&format!("breaking: {on}: is new and required")],
            &[&gone],
        );
    }
    let page = "query parameter \"page\"";
    let both = |text: &str| {
        [
            "GET /customers/attribute-values",
            "GET /customers/attributes",
            "GET /customers",
        ]
        .map(|get| text.replace("{}", &format!("{get}: {page}")))
    };
    let forward = both("breaking: {}: is required, was optional");
    let back = both("compatible: {}: is optional, was required");
    assert_changes(
        |root| root["components"]["parameters"]["Page"]["required"] = true.into(),
        &forward.each_ref().map(String::as_str),
        &back.each_ref().map(String::as_str),
    );
    let ids = "DELETE /customers/attribute-values: query parameter \"id:in\": maxItems is";
    assert_changes(
        |root| root["components"]["parameters"]["IdIn"]["schema"]["maxItems"] = 50.into(),
        &[&format!("breaking: {ids} 50, was not set")],
        &[&format!("compatible: {ids} not set, was 50")],
    );
    // The client sets these itself.
    assert_changes(
        |root| {
            operation(root, VALUES, "put")["parameters"] = json!([
                {"name": "Accept", "in": "header", "required": true},
                {"name": "content-type", "in": "header", "required": true},
            ]);
        },
        &[],
        &[],
    );
}

#[test]
fn lists_of_ids() {
    let on = "DELETE /customers/attribute-values: query parameter \"id:in\"";
    let schema = |root: &mut Value, schema: Value| {
        root["components"]["parameters"]["IdIn"]["schema"] = schema;
    };
    for (new, change, back) in [
        (
            json!({"type": "boolean"}),
            "type is boolean, was a list of IDs",
            "type is a list of IDs, was boolean",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            "type is array, was a list of IDs",
            "type is a list of IDs, was array",
        ),
    ] {
        assert_changes(
            |root| schema(root, new.clone()),
            &[&format!("breaking: {on}: {change}")],
            &[&format!("breaking: {on}: {back}")],
        );
    }
    // Both declare a comma-joined list.
    assert_changes(|root| schema(root, json!({"type": "string"})), &[], &[]);
    let items = json!({"type": "array", "items": {"type": "integer", "maximum": 100}});
    assert_changes(
        |root| schema(root, items.clone()),
        &[&format!("breaking: {on}: maximum is 100, was not set")],
        &[&format!("compatible: {on}: maximum is not set, was 100")],
    );
    assert_changes(
        |root| root["components"]["parameters"]["IdIn"]["explode"] = true.into(),
        &[&format!("breaking: {on}: explode is true, was false")],
        &[&format!("breaking: {on}: explode is false, was true")],
    );
}

#[test]
fn lists_of_texts() {
    let on = "GET /customers: query parameter \"email:in\"";
    let schema = |root: &mut Value, schema: Value| {
        root["components"]["parameters"]["EmailIn"]["schema"] = schema;
    };
    // Both declare a comma-joined list.
    assert_changes(|root| schema(root, json!({"type": "string"})), &[], &[]);
    assert_changes(
        |root| schema(root, json!({"type": "array", "items": {"type": "integer"}})),
        &[&format!(
            "breaking: {on}: type is a list of IDs, was a list of texts"
        )],
        &[&format!(
            "breaking: {on}: type is a list of texts, was a list of IDs"
        )],
    );
}

#[test]
fn sub_resources_of_customers_do_not_count() {
    let fields = |root: &mut Value, new: Value| {
        let schemas = &mut root["components"]["schemas"];
        schemas["Address"] = json!({"properties": {
            "customer": {"$ref": "#/components/schemas/Customer"},
        }});
        schemas["Customer"]["properties"]["new"] = new;
    };
    let address = json!({"$ref": "#/components/schemas/Address"});
    for new in [address.clone(), json!({"type": "array", "items": address})] {
        assert_changes(|root| fields(root, new.clone()), &[], &[]);
    }
    let on = "GET /customers: response field \"data[].new\"";
    assert_changes(
        |root| fields(root, json!({"type": "string"})),
        &[&format!("compatible: {on}: is new")],
        &[&format!("breaking: {on}: is missing")],
    );
}

#[test]
fn the_order_of_an_all_of_does_not_matter() {
    let part = |limit: u64| json!({"type": "string", "maxLength": limit});
    let row = |parts: Vec<Value>| with_field("AttributeCreate", &json!({"allOf": parts}));
    let one = row(vec![part(255), part(100)]);
    let other = row(vec![part(100), part(255)]);
    assert_eq!(differences(&one, &other), [""; 0]);
    let looser = with_field("AttributeCreate", &part(255));
    let tighter = format!("breaking: {SENT}: maxLength is 100, was 255");
    for tight in [&one, &other] {
        assert_eq!(differences(&looser, tight), [tighter.as_str()]);
    }
}

#[test]
fn operations_that_are_new_or_missing() {
    assert_changes(
        |root| drop(remove(&mut root["paths"][VALUES], "delete")),
        &["breaking: DELETE /customers/attribute-values: is missing"],
        &["compatible: DELETE /customers/attribute-values: is new"],
    );
    assert_changes(
        |root| drop(remove(&mut root["paths"], ATTRIBUTES)),
        &[
            "breaking: GET /customers/attributes: is missing",
            "breaking: POST /customers/attributes: is missing",
        ],
        &[
            "compatible: GET /customers/attributes: is new",
            "compatible: POST /customers/attributes: is new",
        ],
    );
    assert_changes(
        |root| operation(root, ATTRIBUTES, "put")["responses"] = json!({}),
        &[],
        &[],
    );
}

#[test]
fn request_bodies() {
    let put = "PUT /customers/attribute-values: request";
    assert_changes(
        |root| drop(remove(operation(root, VALUES, "put"), "requestBody")),
        &[&format!("breaking: {put}: is missing")],
        &[&format!("breaking: {put}: is new and required")],
    );
    assert_changes(
        |root| {
            let content = &mut operation(root, VALUES, "put")["requestBody"]["content"];
            *content = json!({"application/xml": content["application/json"].take()});
        },
        &[&format!("breaking: {put}: is missing")],
        &[&format!("breaking: {put}: is new and required")],
    );
    assert_changes(
        |root| operation(root, VALUES, "put")["requestBody"]["required"] = false.into(),
        &[&format!("compatible: {put}: is optional, was required")],
        &[&format!("breaking: {put}: is required, was optional")],
    );
    assert_changes(
        |root| {
            let body = &mut operation(root, VALUES, "put")["requestBody"];
            body["content"]["application/json"]["schema"]["maxItems"] = 10.into();
        },
        &[&format!("breaking: {put}: maxItems is 10, was not set")],
        &[&format!("compatible: {put}: maxItems is not set, was 10")],
    );
    let delete = "DELETE /customers/attribute-values: request";
    let json_body = json!({"application/json": {"schema": {}}});
    assert_changes(
        |root| operation(root, VALUES, "delete")["requestBody"] = json!({"content": json_body}),
        &[&format!("compatible: {delete}: is new")],
        &[&format!("breaking: {delete}: is missing")],
    );
}

#[test]
fn responses() {
    let put = "PUT /customers/attribute-values: response";
    for status in ["207", "409", "default"] {
        assert_changes(
            |root| operation(root, VALUES, "put")["responses"][status] = json!({}),
            &[&format!("compatible: {put} {status}: is new")],
            &[&format!(
                "{}: {put} {status}: is missing",
                if status == "207" {
                    "breaking"
                } else {
                    "compatible"
                }
            )],
        );
    }
    assert_changes(
        |root| {
            let responses = &mut operation(root, VALUES, "put")["responses"];
            responses["201"] = remove(responses, "200");
        },
        &[
            &format!("breaking: {put} 200: is missing"),
            &format!("compatible: {put} 201: is new"),
        ],
        &[
            &format!("breaking: {put} 201: is missing"),
            &format!("compatible: {put} 200: is new"),
        ],
    );
    assert_changes(
        |root| operation(root, VALUES, "put")["responses"]["200"] = json!({"description": ""}),
        &[&format!("breaking: {put}: no longer has a JSON schema")],
        &[&format!("compatible: {put}: now has a JSON schema")],
    );
    // Either status means success, and so does their class.
    assert_changes(
        |root| {
            let responses = &mut operation(root, ATTRIBUTES, "post")["responses"];
            responses["201"] = remove(responses, "200");
        },
        &[],
        &[],
    );
    assert_changes(
        |root| {
            let responses = &mut operation(root, VALUES, "put")["responses"];
            responses["2xx"] = remove(responses, "200");
            responses["4XX"] = remove(responses, "401");
            for status in ["403", "413", "422", "429"] {
                remove(responses, status);
            }
            responses["x-note"] = "no status".into();
        },
        &[],
        &[],
    );
    // Bodies of error responses don't count.
    assert_changes(
        |root| row(root, "ErrorBody")["properties"]["status"] = json!({"type": "string"}),
        &[],
        &[],
    );
}

#[test]
fn descriptions_and_examples_do_not_count() {
    assert_changes(
        |root| {
            root["info"] = json!({"title": "T", "version": "4"});
            each_object(root, &mut |map| {
                for key in ["summary", "description"] {
                    if map.get(key).is_some_and(Value::is_string) {
                        map.insert(key.to_owned(), "Other words.".into());
                    }
                }
                map.remove("example");
            });
        },
        &[],
        &[],
    );
}

/// The pointers lead to the changed keyword, field or operation, or to its nearest parent.
#[test]
fn places_are_json_pointers_into_both_documents() {
    let mut changed = vendored();
    row(&mut changed, "AttributeValueUpsert")["properties"]["value"] =
        json!({"$ref": "#/components/schemas/Text"});
    *row(&mut changed, "Text") = json!({"allOf": [{"type": "string"}, {"maxLength": 100}]});
    let create = row(&mut changed, "AttributeCreate");
    remove(&mut create["properties"], "name");
    create["required"] = json!(["type"]);
    let parameters = json!([{"name": "probe", "in": "query"}]);
    operation(&mut changed, VALUES, "put")["parameters"] = parameters;
    let document = |root: &Value| Document::parse("t", &root.to_string()).expect("is a document");
    let (ours, theirs) = (vendored(), changed);
    let found = document(&ours)
        .compare(&document(&theirs))
        .expect("can be compared");
    let places: Vec<_> = found
        .iter()
        .map(|d| (d.impact, d.before.as_str(), d.after.as_str()))
        .collect();
    let schemas = "/components/schemas";
    let put = "/paths/~1customers~1attribute-values/put";
    assert_eq!(
        places,
        [
            (
                Impact::Breaking,
                &*format!("{schemas}/AttributeValueUpsert/properties/value/maxLength"),
                &*format!("{schemas}/Text/allOf/1/maxLength"),
            ),
            (
                Impact::Breaking,
                &*format!("{schemas}/AttributeCreate/properties/name"),
                &*format!("{schemas}/AttributeCreate"),
            ),
            (Impact::Compatible, put, &*format!("{put}/parameters/0")),
        ]
    );
    for difference in &found {
        assert!(ours.pointer(&difference.before).is_some());
        assert!(theirs.pointer(&difference.after).is_some());
    }
    assert_eq!(
        found[1].to_string(),
        format!(
            "breaking: POST /customers/attributes: request field \"name\": is missing \
             (#{schemas}/AttributeCreate/properties/name -> #{schemas}/AttributeCreate)"
        )
    );
}

#[test]
fn a_document_does_not_differ_from_itself() {
    for name in [
        "provider.yaml",
        "provider-prefixed.json",
        "lacks-delete.yaml",
    ] {
        let document = Document::load(&file(name)).expect("is a document");
        assert_eq!(
            document.compare(&document).expect("can be compared"),
            [],
            "{name}"
        );
    }
}
