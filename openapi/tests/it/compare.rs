//! Every kind of change, in what is sent and in what is received: each is reported with its class,
//! and nothing else is.

use bigcommerce_openapi::{Document, Impact};
use serde_json::{Value, json};

use crate::support::{
    ATTRIBUTES, VALUES, differences, each_object, file, operation, remove, vendored,
};

/// What a change does to the values that a schema admits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Admits {
    Fewer,
    More,
    Others,
}

use Admits::{Fewer, More, Others};

/// A schema before and after, what is said of it, and what it admits then.
type Row = (Value, Value, &'static str, Admits);

fn rows() -> Vec<Row> {
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
            "is number, was integer",
            Others,
        ),
        (
            bare("string"),
            bare("boolean"),
            "is boolean, was string",
            Others,
        ),
        (
            bare("string"),
            json!({}),
            "is of no single type, was string",
            Others,
        ),
        (
            bare("string"),
            json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
            "is of no single type, was string",
            Others,
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
            Others,
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
            "enum has \"a\" no more",
            Fewer,
        ),
        (
            text("enum", json!(["a"])),
            text("enum", json!(["", "a"])),
            "enum has \"\" now",
            More,
        ),
        (
            json!({"type": "integer", "enum": [1, 2]}),
            json!({"type": "integer", "enum": [2]}),
            "enum has 1 no more",
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
            Others,
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

/// Changes that count in fields only: a query has no null, and its dates are text of any form.
fn field_rows() -> Vec<Row> {
    let bare = |kind: &str| json!({"type": kind});
    let format = |format: &str| json!({"type": "string", "format": format});
    let nullable = json!({"type": "string", "nullable": true});
    vec![
        (
            bare("string"),
            format("date-time"),
            "is date-time, was string",
            Others,
        ),
        (
            format("date-time"),
            format("date"),
            "is date, was date-time",
            Others,
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
            Others,
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
            "is not of 1, was no choice",
            Others,
        ),
        (
            json!({"type": "string", "oneOf": [{"maxLength": 1}, {"minLength": 3}]}),
            bare("string"),
            "is no choice, was oneOf of 2",
            Others,
        ),
        (
            nullable,
            bare("string"),
            "nullable is false, was true",
            Fewer,
        ),
    ]
}

fn impact(admits: Admits, is_received: bool) -> &'static str {
    match (admits, is_received) {
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
    "GET /customers/attributes: answer field \"data[].probe\"",
    "POST /customers/attributes: answer field \"data[].probe\"",
];

#[test]
fn what_a_schema_admits() {
    let mut checked = 0;
    for (is_field, rows) in [(false, rows()), (true, field_rows())] {
        for (before, after, change, admits) in rows {
            let of = |with: &dyn Fn(&Value) -> Value| differences(&with(&before), &with(&after));
            let sent = impact(admits, false);
            let found = of(&with_parameter);
            // A query has text where it has no single type.
            if is_field || change.starts_with("is of no") {
                assert_eq!(found, [""; 0], "{change}");
            } else {
                assert_eq!(found, [format!("{sent}: {PARAMETER}: {change}")]);
            }
            let found = of(&|schema| with_field("AttributeCreate", schema));
            assert_eq!(found, [format!("{sent}: {SENT}: {change}")]);
            let received = impact(admits, true);
            let found = of(&|schema| with_field("Attribute", schema));
            assert_eq!(
                found,
                RECEIVED.map(|on| format!("{received}: {on}: {change}"))
            );
            // As deep as it may be.
            let deep =
                |schema: &Value| json!({"type": "array", "items": {"properties": {"a": schema}}});
            let found = of(&|schema| with_field("AttributeCreate", &deep(schema)));
            let on = SENT.replace(PROBE, "probe[].a");
            assert_eq!(found, [format!("{sent}: {on}: {change}")]);
            checked += 1;
        }
    }
    assert_eq!(checked, 43 + 9);
}

#[test]
fn what_has_no_effect_on_the_wire() {
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

/// What `change` makes of the vendored document, compared with it, and the other way round.
#[track_caller]
fn assert_changes(change: impl Fn(&mut Value), there: &[&str], back: &[&str]) {
    let mut changed = vendored();
    change(&mut changed);
    assert_eq!(differences(&vendored(), &changed), there, "there");
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
fn fields() {
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
    // Required without a word on what it is.
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
            "breaking: POST /customers/attributes: request field \"name\": is of no single type, was string",
        ],
        &[
            "breaking: POST /customers/attributes: request field \"name\": is string, was of no single type",
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
            "compatible: GET /customers/attribute-values: answer field \"data[].id\": is required, was optional",
            "compatible: PUT /customers/attribute-values: answer field \"data[].id\": is required, was optional",
        ],
        &[
            "breaking: GET /customers/attribute-values: answer field \"data[].id\": is optional, was required",
            "breaking: PUT /customers/attribute-values: answer field \"data[].id\": is optional, was required",
        ],
    );
}

#[test]
fn fields_that_go_one_way() {
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
        "GET /customers/attribute-values: answer field \"data[].id\"",
        "PUT /customers/attribute-values: answer field \"data[].id\"",
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
fn parameters() {
    for place in ["query", "header", "cookie"] {
        let on = format!("PUT /customers/attribute-values: {place} parameter \"probe\"");
        let add = |required: bool| {
            move |root: &mut Value| {
                operation(root, VALUES, "put")["parameters"] = json!([
                    {"name": PROBE, "in": place, "required": required, "schema": {}},
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
    let of = |text: &str| {
        [
            "GET /customers/attribute-values",
            "GET /customers/attributes",
        ]
        .map(|get| text.replace("{}", &format!("{get}: {page}")))
    };
    let there = of("breaking: {}: is required, was optional");
    let back = of("compatible: {}: is optional, was required");
    assert_changes(
        |root| root["components"]["parameters"]["Page"]["required"] = true.into(),
        &there.each_ref().map(String::as_str),
        &back.each_ref().map(String::as_str),
    );
    let ids = "DELETE /customers/attribute-values: query parameter \"id:in\": maxItems is";
    assert_changes(
        |root| root["components"]["parameters"]["IdIn"]["schema"]["maxItems"] = 50.into(),
        &[&format!("breaking: {ids} 50, was not set")],
        &[&format!("compatible: {ids} not set, was 50")],
    );
    // The client sends these by itself.
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
            "is boolean, was a list of IDs",
            "is a list of IDs, was boolean",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            "is array, was a list of IDs",
            "is a list of IDs, was array",
        ),
    ] {
        assert_changes(
            |root| schema(root, new.clone()),
            &[&format!("breaking: {on}: {change}")],
            &[&format!("breaking: {on}: {back}")],
        );
    }
    // The same on the wire.
    assert_changes(|root| schema(root, json!({"type": "string"})), &[], &[]);
    let items = json!({"type": "array", "items": {"type": "integer", "maximum": 100}});
    assert_changes(
        |root| schema(root, items.clone()),
        &[
            &format!("breaking: {on} field \"[]\": maximum is 100, was not set")
                .replace(" field \"[]\"", ""),
        ],
        &[&format!("compatible: {on}: maximum is not set, was 100")],
    );
    assert_changes(
        |root| root["components"]["parameters"]["IdIn"]["explode"] = true.into(),
        &[&format!("breaking: {on}: explode is true, was false")],
        &[&format!("breaking: {on}: explode is false, was true")],
    );
}

#[test]
fn the_parts_of_a_schema_hold_together_in_any_order() {
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
fn operations() {
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
fn requests() {
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
fn answers() {
    let put = "PUT /customers/attribute-values: answer";
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
            let answers = &mut operation(root, VALUES, "put")["responses"];
            answers["201"] = remove(answers, "200");
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
        &[&format!("breaking: {put}: has no JSON schema")],
        &[&format!("compatible: {put}: has a JSON schema now")],
    );
    // One of either is as good, and so is a class of them.
    assert_changes(
        |root| {
            let answers = &mut operation(root, ATTRIBUTES, "post")["responses"];
            answers["201"] = remove(answers, "200");
        },
        &[],
        &[],
    );
    assert_changes(
        |root| {
            let answers = &mut operation(root, VALUES, "put")["responses"];
            answers["2xx"] = remove(answers, "200");
            answers["4XX"] = remove(answers, "401");
            for status in ["403", "413", "422", "429"] {
                remove(answers, status);
            }
            answers["x-note"] = "no status".into();
        },
        &[],
        &[],
    );
    // Of a failure only the status counts.
    assert_changes(
        |root| row(root, "ErrorBody")["properties"]["status"] = json!({"type": "string"}),
        &[],
        &[],
    );
}

#[test]
fn prose_does_not_count() {
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

/// The place of the least that says what has changed, or of what is around it.
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
fn a_document_held_against_itself_shows_nothing() {
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
