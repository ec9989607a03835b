//! Tests that each kind of change, in requests and in responses, is reported with its impact, and
//! nothing else is.

use bigcommerce_openapi::{Document, Impact};
use serde_json::{Value, json};

use crate::support::{
    ATTRIBUTES, VALUES, differences, each_object, file, operation, remove, vendored,
};

/// How a change affects the set of values that a schema accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    Fewer,
    More,
    Same,
    Unknown,
}

use Effect::{Fewer, More, Same, Unknown};

/// A schema before and after, the reported change, and its effect.
pub type SchemaChange = (Value, Value, &'static str, Effect);

pub fn schema_changes() -> Vec<SchemaChange> {
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
        (
            bare("integer"),
            json!({"type": "integer", "format": "int32"}),
            "format is \"int32\", was not set",
            Fewer,
        ),
        (
            json!({"type": "integer", "format": "int32"}),
            json!({"type": "integer", "format": "int64"}),
            "format is \"int64\", was \"int32\"",
            More,
        ),
        (
            bare("integer"),
            json!({"type": "integer", "format": "int64"}),
            "format is \"int64\", was not set",
            Same,
        ),
        (
            bare("number"),
            json!({"type": "number", "format": "float"}),
            "format is \"float\", was not set",
            Fewer,
        ),
        (
            bare("string"),
            text("format", json!("email")),
            "format is \"email\", was not set",
            Fewer,
        ),
        (
            text("format", json!("email")),
            bare("string"),
            "format is not set, was \"email\"",
            More,
        ),
        (
            text("format", json!("email")),
            text("format", json!("uri")),
            "format is \"uri\", was \"email\"",
            Unknown,
        ),
        (
            bare("string"),
            json!({"type": "string", "not": {"enum": ["a"]}}),
            "not is set, was not set",
            Unknown,
        ),
        (
            json!({"type": "string", "not": {"enum": ["a"]}}),
            json!({"type": "string", "not": {"enum": ["b"]}}),
            "not is another schema",
            Unknown,
        ),
        (
            json!({"type": "string", "oneOf": [{"maxLength": 1}, {"minLength": 3}]}),
            bare("string"),
            "oneOf is not set, was set",
            Unknown,
        ),
        (
            json!({"type": "string", "anyOf": [{"maxLength": 1}, {"format": "uri"}]}),
            json!({"type": "string", "anyOf": [
                {"format": "uri"}, {"maxLength": 1}, {"type": "string", "pattern": "^a"},
            ]}),
            "anyOf now has {\"pattern\":\"^a\",\"type\":\"string\"}",
            More,
        ),
        (
            json!({"oneOf": [bare("string"), bare("integer"), bare("boolean")]}),
            json!({"oneOf": [bare("integer"), bare("string")]}),
            "oneOf no longer has {\"type\":\"boolean\"}",
            Fewer,
        ),
        (
            bare("string"),
            text("maxLength", json!("9")),
            "maxLength is \"9\", which makes no sense",
            Unknown,
        ),
        (
            text("pattern", json!(["a"])),
            bare("string"),
            "pattern makes sense, was [\"a\"]",
            Unknown,
        ),
        (
            bare("string"),
            text("deprecated", json!(true)),
            "is deprecated",
            Same,
        ),
        (
            text("deprecated", json!(true)),
            bare("string"),
            "is no longer deprecated",
            Same,
        ),
        (
            bare("object"),
            json!({"type": "object", "additionalProperties": false}),
            "additionalProperties is false, was not set",
            Fewer,
        ),
        (
            json!({"type": "object", "additionalProperties": false}),
            json!({"type": "object", "additionalProperties": bare("string")}),
            "additionalProperties is a schema, was false",
            More,
        ),
        (
            json!({"type": "object", "additionalProperties": bare("string")}),
            json!({"type": "object", "additionalProperties": true}),
            "additionalProperties is not set, was a schema",
            More,
        ),
        (
            bare("object"),
            json!({"type": "object", "minProperties": 1}),
            "minProperties is 1, was not set",
            Fewer,
        ),
        (
            json!({"type": "object", "maxProperties": 3}),
            json!({"type": "object", "maxProperties": 9}),
            "maxProperties is 9, was 3",
            More,
        ),
        // One change, though a limit goes and an odd keyword comes.
        (
            text("maxLength", json!(9)),
            text("maxLength", json!("9")),
            "maxLength is \"9\", which makes no sense",
            Unknown,
        ),
        (
            bare("string"),
            text("enum", json!([])),
            "enum is [], which makes no sense",
            Unknown,
        ),
        // Values of any type have these limits.
        (
            bare("boolean"),
            json!({"type": "boolean", "enum": [true]}),
            "enum is true, was not set",
            Fewer,
        ),
        (
            json!({}),
            json!({"maxLength": 9}),
            "maxLength is 9, was not set",
            Fewer,
        ),
    ]
}

/// Changes that count in fields only: a parameter can't be null, and a date in it has no type.
pub fn field_changes() -> Vec<SchemaChange> {
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
            nullable.clone(),
            "nullable is true, was false",
            More,
        ),
        (
            nullable,
            bare("string"),
            "nullable is false, was true",
            Fewer,
        ),
    ]
}

/// Changes within a member of a composition and within the values of a map: the place of the change, and
/// what is reported there.
fn inner_changes() -> Vec<(Value, Value, &'static str, &'static str, Effect)> {
    let map = |limit: u64| json!({"additionalProperties": {"type": "string", "maxLength": limit}, "type": "object"});
    let any_of = |kind: &str| {
        json!({"anyOf": [
            {"type": "integer"},
            {"type": "object", "properties": {"a": {"type": kind}}},
        ]})
    };
    let one_of = |limit: u64| json!({"oneOf": [{"type": "string", "maxLength": limit}, {"type": "integer"}]});
    vec![
        (map(9), map(8), ".*", "maxLength is 8, was 9", Fewer),
        (
            any_of("string"),
            any_of("boolean"),
            "(anyOf).a",
            "type is boolean, was string",
            Unknown,
        ),
        (
            json!({"oneOf": [{"type": "object", "properties": {"example": {"type": "string"}}}, {}]}),
            json!({"oneOf": [{"type": "object", "properties": {"example": {"type": "boolean"}}}, {}]}),
            "(oneOf).example",
            "type is boolean, was string",
            Unknown,
        ),
        (
            one_of(8),
            one_of(9),
            "(oneOf)",
            "maxLength is 9, was 8",
            More,
        ),
    ]
}

pub fn impact(effect: Effect, is_received: bool) -> &'static str {
    match (effect, is_received) {
        (Same, _) | (More, false) | (Fewer, true) => "compatible",
        _ => "breaking",
    }
}

pub const PROBE: &str = "probe";

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
const RECEIVED: [&str; 3] = [
    "GET /customers/attributes: response field \"data[].probe\"",
    "POST /customers/attributes: response field \"data[].probe\"",
    "PUT /customers/attributes: response field \"data[].probe\"",
];

/// Asserts that a change of the probe is reported at the probe, and at the keyword where it is set.
fn assert_places(one: &Value, other: &Value, change: &str) {
    const FIELD: &str = "/components/schemas/AttributeCreate/properties/probe";
    let document = |root: &Value| Document::parse("t", &root.to_string()).expect("is a document");
    let found = document(one)
        .compare(&document(other))
        .expect("can be compared");
    let keyword = change.split(' ').next().unwrap_or_default();
    for difference in found {
        for (root, place) in [(one, &difference.before), (other, &difference.after)] {
            let field = root.pointer(FIELD).expect("has the probe");
            let keyword = field.get(keyword).map(|_| format!("{FIELD}/{keyword}"));
            let is_odd = change.contains("makes") && *place == FIELD;
            let expected = keyword.unwrap_or_else(|| FIELD.to_owned());
            let is_said_otherwise = change.starts_with("is ") || change.starts_with("type is");
            assert!(
                *place == expected || is_odd || is_said_otherwise,
                "{difference}"
            );
            assert!(
                place.starts_with(FIELD) && root.pointer(place).is_some(),
                "{difference}"
            );
        }
    }
}

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
            if change.starts_with("type is not set") {
                assert_eq!(
                    found.len(),
                    usize::from(!after["oneOf"].is_null()),
                    "{change}"
                );
            } else if !is_field_only {
                assert_eq!(found, [format!("{sent}: {PARAMETER}: {change}")]);
            }
            let found = compare(&|schema| with_field("AttributeCreate", schema));
            assert_eq!(found, [format!("{sent}: {SENT}: {change}")]);
            let [one, other] =
                [&before, &after].map(|schema| with_field("AttributeCreate", schema));
            assert_places(&one, &other, change);
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
    assert_eq!(checked, 68 + 4);
    for (before, after, place, change, effect) in inner_changes() {
        let found = differences(
            &with_field("AttributeCreate", &before),
            &with_field("AttributeCreate", &after),
        );
        let sent = impact(effect, false);
        let on = SENT.replace(PROBE, &format!("probe{place}"));
        assert_eq!(found, [format!("{sent}: {on}: {change}")]);
        let found = differences(
            &with_field("Attribute", &before),
            &with_field("Attribute", &after),
        );
        let received = impact(effect, true);
        let on = RECEIVED.map(|on| on.replace(PROBE, &format!("probe{place}")));
        assert_eq!(found, on.map(|on| format!("{received}: {on}: {change}")));
    }
}

#[test]
fn dates_of_parameters_have_formats_and_no_types() {
    let text = |format: &str| with_parameter(&json!({"type": "string", "format": format}));
    let bare = with_parameter(&json!({"type": "string"}));
    for (before, after, change) in [
        (
            &bare,
            &text("date"),
            "breaking: {}: format is \"date\", was not set",
        ),
        (
            &text("date"),
            &bare,
            "compatible: {}: format is not set, was \"date\"",
        ),
        (
            &text("date"),
            &text("date-time"),
            "breaking: {}: format is \"date-time\", was \"date\"",
        ),
    ] {
        let expected = change.replace("{}", PARAMETER);
        assert_eq!(differences(before, after), [expected]);
    }
}

#[test]
fn an_id_that_becomes_a_number_is_said() {
    let id = |root: &mut Value, kind: &str| {
        row(root, "AttributeValueUpsert")["properties"]["customer_id"] = json!({"type": kind});
    };
    let on = "PUT /customers/attribute-values: request field \"customer_id\"";
    let [mut one, mut other] = [vendored(), vendored()];
    id(&mut one, "integer");
    id(&mut other, "number");
    let said = |is: &str, was: &str| [format!("compatible: {on}: type is {is}, was {was}")];
    assert_eq!(differences(&one, &other), said("number", "integer"));
    assert_eq!(differences(&other, &one), said("integer", "number"));
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
            json!({"type": "string", "minLength": 0, "deprecated": false}),
        ),
        (
            bare("string"),
            json!({"allOf": [{"type": "string"}], "description": "A."}),
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!({"type": "string", "enum": ["b", "a"]}),
        ),
        (
            bare("object"),
            json!({"type": "object", "additionalProperties": {}}),
        ),
        (
            bare("object"),
            json!({"type": "object", "additionalProperties": {"description": "Anything."}}),
        ),
        // A limit that doesn't fit the type.
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"type": "object", "additionalProperties": {"type": "string", "maximum": 9}}),
        ),
        (
            json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
            json!({"oneOf": [{"type": "string", "maximum": 9}, {"type": "integer"}]}),
        ),
        (
            json!({"type": "string", "anyOf": [{"pattern": "a"}, {"pattern": "b"}]}),
            json!({"type": "string", "anyOf": [{"pattern": "a"}, {"pattern": "b", "minItems": 9}]}),
        ),
        (
            json!({"oneOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "integer"}]}),
            json!({"oneOf": [
                {"type": "integer", "description": "N."}, {"type": "string", "enum": ["b", "a"]},
            ]}),
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
    let items = json!({"type": "array", "items": {
        "type": "integer", "format": "int64", "maximum": 100,
    }});
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
            "breaking: PUT /customers/attributes: is missing",
            "breaking: DELETE /customers/attributes: is missing",
        ],
        &[
            "compatible: GET /customers/attributes: is new",
            "compatible: POST /customers/attributes: is new",
            "compatible: PUT /customers/attributes: is new",
            "compatible: DELETE /customers/attributes: is new",
        ],
    );
    let patch = "ignored: PATCH /customers/attributes:";
    assert_changes(
        |root| operation(root, ATTRIBUTES, "patch")["responses"] = json!({}),
        &[&format!("{patch} is new, and the SDK doesn't bind it")],
        &[&format!("{patch} is missing, and the SDK doesn't bind it")],
    );
    let path = "ignored: /customers/{customer}/consent:";
    assert_changes(
        |root| root["paths"]["/customers/{customer}/consent"] = json!({"get": {}}),
        &[&format!("{path} is new, and the SDK doesn't bind it")],
        &[&format!("{path} is missing, and the SDK doesn't bind it")],
    );
}

#[test]
fn a_document_of_something_else_is_one_error() {
    let document = |root: &Value| Document::parse("pets.json", &root.to_string());
    let pets = json!({"openapi": "3.0.3", "paths": {"/pets": {"get": {}}}});
    let (ours, pets) = (document(&vendored()), document(&pets));
    let (ours, pets) = (ours.expect("is a document"), pets.expect("is a document"));
    for result in [ours.compare(&pets), pets.compare(&ours), pets.news()] {
        let error = result.expect_err("is something else").to_string();
        let start = "pets.json: has none of the SDK's paths (/customers/attribute-values, ";
        assert!(error.starts_with(start), "{error}");
    }
}

#[test]
fn authentication() {
    fn scheme(root: &mut Value) -> &mut Value {
        &mut root["components"]["securitySchemes"]["AccessToken"]
    }
    let on = "all operations: authentication: is";
    let token = "header \"x-auth-token\"";
    type Change = fn(&mut Value);
    let changes: [(Change, &str, &str, &str); 8] = [
        (
            |root| scheme(root)["name"] = "X-BC-Token".into(),
            "breaking",
            "compatible",
            "header \"x-bc-token\"",
        ),
        (
            |root| scheme(root)["in"] = "query".into(),
            "breaking",
            "compatible",
            "query \"X-Auth-Token\"",
        ),
        (
            |root| *scheme(root) = json!({"type": "http", "scheme": "Bearer"}),
            "breaking",
            "compatible",
            "HTTP bearer",
        ),
        (
            |root| *scheme(root) = json!({"type": "oauth2", "flows": {}}),
            "breaking",
            "compatible",
            "oauth2",
        ),
        (
            |root| root["security"] = json!([]),
            "compatible",
            "compatible",
            "nothing",
        ),
        (
            |root| drop(remove(root, "security")),
            "compatible",
            "compatible",
            "not stated",
        ),
        (
            |root| root["security"] = Value::Null,
            "compatible",
            "compatible",
            "not stated",
        ),
        (
            |root| {
                root["components"]["securitySchemes"]["Other"] =
                    json!({"type": "http", "scheme": "bearer"});
                root["security"] = json!([{"Other": []}, {"AccessToken": []}]);
            },
            "compatible",
            "compatible",
            "HTTP bearer or header \"x-auth-token\"",
        ),
    ];
    for (change, forward, back, needs) in changes {
        assert_changes(
            change,
            &[&format!("{forward}: {on} {needs}, was {token}")],
            &[&format!("{back}: {on} {token}, was {needs}")],
        );
    }
    // A scheme of another name, the header in other letters, and as a parameter.
    assert_changes(
        |root| {
            let mut token = remove(&mut root["components"]["securitySchemes"], "AccessToken");
            token["name"] = "X-AUTH-TOKEN".into();
            root["components"]["securitySchemes"]["Token"] = token;
            root["security"] = json!([{"Token": []}]);
            operation(root, VALUES, "put")["parameters"] =
                json!([{"name": "x-auth-token", "in": "header", "schema": {"type": "string"}}]);
        },
        &[],
        &[],
    );
    let on = "DELETE /customers/attribute-values: authentication: is";
    assert_changes(
        |root| operation(root, VALUES, "delete")["security"] = json!([{"Undefined": []}]),
        &[&format!(
            "breaking: {on} the scheme \"Undefined\", which is not defined, was {token}"
        )],
        &[&format!(
            "compatible: {on} {token}, was the scheme \"Undefined\", which is not defined"
        )],
    );
}

#[test]
fn base_urls() {
    let on = "all operations: base URL: is";
    let ours = "https://api.bigcommerce.com/stores/{store_hash}/v3";
    let other = "https://api.bigcommerce.com/stores/{hash}/v4";
    let set = |url: &'static str| move |root: &mut Value| root["servers"] = json!([{"url": url}]);
    assert_changes(
        set("https://api.bigcommerce.com/stores/{hash}/v4"),
        &[&format!("breaking: {on} {other}, was {ours}")],
        &[&format!("breaking: {on} {ours}, was {other}")],
    );
    // Another name of the variable, and no host.
    for same in [
        "https://api.bigcommerce.com/stores/{$$.env.hash}/v3/",
        "/stores/{hash}/v3",
    ] {
        assert_changes(set(same), &[], &[]);
    }
    assert_changes(
        |root| drop(remove(root, "servers")),
        &[&format!("compatible: {on} not stated, was {ours}")],
        &[&format!("compatible: {on} {ours}, was not stated")],
    );
    // Without hosts, several URLs have one path, and another order.
    let urls = |urls: &[&str]| {
        let mut root = vendored();
        root["servers"] = urls.iter().map(|url| json!({"url": url})).collect();
        root
    };
    let with_hosts = urls(&["https://a/z", "https://b/y", "https://c/z"]);
    assert_eq!(differences(&with_hosts, &urls(&["/y", "/z"])), [""; 0]);
    assert_changes(
        |root| {
            let servers = root["servers"].as_array_mut().expect("is a list");
            servers.push(json!({"url": "https://sandbox.example.com/{hash}"}));
        },
        &[&format!(
            "compatible: {on} {ours} or https://sandbox.example.com/{{hash}}, was {ours}"
        )],
        &[&format!(
            "breaking: {on} {ours}, was {ours} or https://sandbox.example.com/{{hash}}"
        )],
    );
    let on = "PUT /customers/attribute-values: base URL: is https://example.com, was";
    let mut changed = vendored();
    operation(&mut changed, VALUES, "put")["servers"] = json!([{"url": "https://example.com"}]);
    assert_eq!(
        differences(&vendored(), &changed),
        [format!("breaking: {on} {ours}")]
    );
}

#[test]
fn styles_of_lists() {
    let on = "DELETE /customers/attribute-values: query parameter \"id:in\":";
    for style in ["spaceDelimited", "pipeDelimited"] {
        assert_changes(
            |root| root["components"]["parameters"]["IdIn"]["style"] = style.into(),
            &[&format!("breaking: {on} style is {style}, was form")],
            &[&format!("breaking: {on} style is form, was {style}")],
        );
    }
    // What is not a list has no separator.
    assert_changes(
        |root| root["components"]["parameters"]["Page"]["style"] = "spaceDelimited".into(),
        &[],
        &[],
    );
}

#[test]
fn keywords_of_parameters_that_make_no_sense() {
    let on = "DELETE /customers/attribute-values: query parameter \"id:in\":";
    for keyword in ["deprecated", "allowed"] {
        let mut changed = vendored();
        id_in(&mut changed)[keyword] = "true".into();
        let said = format!("breaking: {on} {keyword} is \"true\", which makes no sense");
        let expected = if keyword == "allowed" {
            vec![]
        } else {
            vec![said]
        };
        assert_eq!(differences(&vendored(), &changed), expected);
    }
    let mut changed = vendored();
    id_in(&mut changed)["deprecated"] = "true".into();
    assert_eq!(
        differences(&changed, &vendored()),
        [format!(
            "breaking: {on} deprecated makes sense, was \"true\""
        )]
    );
    let mut extended = vendored();
    extended["paths"]["x-note"] = json!({"get": {}});
    assert_eq!(differences(&vendored(), &extended), [""; 0]);
}

fn id_in(root: &mut Value) -> &mut Value {
    &mut root["components"]["parameters"]["IdIn"]
}

#[test]
fn parameters_with_content() {
    let on = "GET /customers/attributes: query parameter \"probe\": content is";
    let with = |key: &str, value: Value| {
        let mut root = vendored();
        let parameters = &mut operation(&mut root, ATTRIBUTES, "get")["parameters"];
        let parameters = parameters.as_array_mut().expect("is a list");
        parameters.push(json!({"name": PROBE, "in": "query", key: value}));
        root
    };
    let list = json!({"type": "array", "items": {"type": "string"}});
    let by_style = with("schema", list.clone());
    let in_json = with("content", json!({"application/json": {"schema": list}}));
    assert_eq!(
        differences(&by_style, &in_json),
        [format!("breaking: {on} \"application/json\", was not set")]
    );
    assert_eq!(
        differences(&in_json, &by_style),
        [format!("breaking: {on} not set, was \"application/json\"")]
    );
}

#[test]
fn schemas_that_refer_back_to_themselves_are_not_compared() {
    let schema = |values: Value| {
        let map = json!({"type": "object", "additionalProperties": values});
        let mut root = with_field("AttributeCreate", &map);
        *row(&mut root, "Loop") = json!({"allOf": [{"$ref": "#/components/schemas/Loop"}]});
        root
    };
    let text = schema(json!({"type": "string"}));
    let circular = schema(json!({"$ref": "#/components/schemas/Loop"}));
    let on = SENT.replace(PROBE, "probe.*");
    assert_eq!(
        differences(&text, &circular),
        [format!("breaking: {on}: type is not set, was string")]
    );
    assert_eq!(differences(&circular, &circular), [""; 0]);
}

#[test]
fn a_difference_is_one_line_whatever_a_document_names() {
    let mut changed = vendored();
    let fields = &mut row(&mut changed, "AttributeCreate")["properties"];
    fields["a\nbreaking: b"] = json!({"type": "string"});
    let document = |root: &Value| Document::parse("t", &root.to_string()).expect("is a document");
    let found = document(&vendored()).compare(&document(&changed));
    let line = found.expect("can be compared")[0].to_string();
    let start = "compatible: POST /customers/attributes: request field \"a\\nbreaking: b\": is new";
    assert!(
        line.starts_with(start) && line.lines().count() == 1,
        "{line}"
    );
}

#[test]
fn deprecations() {
    let said = |on: &str| {
        (
            format!("compatible: {on}: is deprecated"),
            format!("compatible: {on}: is no longer deprecated"),
        )
    };
    let (on, off) = said("PUT /customers/attribute-values");
    assert_changes(
        |root| operation(root, VALUES, "put")["deprecated"] = true.into(),
        &[&on],
        &[&off],
    );
    let (on, off) = said("DELETE /customers/attribute-values: query parameter \"id:in\"");
    for part in ["", "schema"] {
        assert_changes(
            |root| {
                let id_in = &mut root["components"]["parameters"]["IdIn"];
                let place = if part.is_empty() {
                    id_in
                } else {
                    &mut id_in[part]
                };
                place["deprecated"] = true.into();
            },
            &[&on],
            &[&off],
        );
    }
    // Once, even if both say it.
    assert_changes(
        |root| {
            let id_in = &mut root["components"]["parameters"]["IdIn"];
            id_in["deprecated"] = true.into();
            id_in["schema"]["deprecated"] = true.into();
        },
        &[&on],
        &[&off],
    );
}

#[test]
fn other_successful_responses() {
    let put = "PUT /customers/attribute-values: response";
    let page = json!({"$ref": "#/components/schemas/AttributeValuePage"});
    let with = |status: &'static str, schema: Value| {
        move |root: &mut Value| {
            let content = json!({"application/json": {"schema": schema}});
            operation(root, VALUES, "put")["responses"][status] =
                json!({"description": "", "content": content});
        }
    };
    assert_changes(
        with("207", page.clone()),
        &[&format!("compatible: {put} 207: is new")],
        &[&format!("breaking: {put} 207: is missing")],
    );
    let other = json!({"type": "array", "items": {"type": "object"}});
    let change = "is new, and its records are not those of the response";
    assert_changes(
        with("207", other.clone()),
        &[&format!("breaking: {put} 207: {change}")],
        &[&format!("breaking: {put} 207: is missing")],
    );
    let [mut one, mut two] = [vendored(), vendored()];
    let mut none = vendored();
    operation(&mut none, VALUES, "put")["responses"]["207"] = json!({"description": ""});
    with("207", page)(&mut one);
    with("207", other)(&mut two);
    assert_eq!(
        differences(&one, &two),
        [format!("breaking: {put} 207: type is array, was object")]
    );
    // The schema of a response that both documents have.
    assert_eq!(
        differences(&none, &one),
        [format!("compatible: {put} 207: now has a JSON schema")]
    );
    let gone = [format!("breaking: {put} 207: no longer has a JSON schema")];
    assert_eq!(differences(&one, &none), gone);
    assert_eq!(differences(&two, &none), gone);
    assert_eq!(
        differences(&none, &two),
        [format!(
            "breaking: {put} 207: now has a JSON schema, and its records are not those of the response"
        )]
    );
    // A status that means the same as another one.
    let mut created = vendored();
    let responses = &mut operation(&mut created, ATTRIBUTES, "post")["responses"];
    responses["201"] = json!({"content": {"application/json": {"schema": {"type": "string"}}}});
    assert_eq!(
        differences(&vendored(), &created),
        [format!(
            "breaking: POST /customers/attributes: response 201: {change}"
        )]
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
    // A status with its schema is one change.
    let delete = "DELETE /customers/attribute-values: response 200:";
    assert_changes(
        |root| {
            let content = json!({"application/json": {"schema": {"type": "object"}}});
            operation(root, VALUES, "delete")["responses"]["200"] = json!({"content": content});
        },
        &[&format!("compatible: {delete} is new")],
        &[&format!("breaking: {delete} is missing")],
    );
    // Beside a status of success, `default` is for errors, even if success has no body.
    let delete = "DELETE /customers/attribute-values: response default:";
    let error = json!({"application/json": {"schema": {"type": "object"}}});
    assert_changes(
        |root| {
            operation(root, VALUES, "delete")["responses"]["default"] = json!({"content": error})
        },
        &[&format!("compatible: {delete} is new")],
        &[&format!("compatible: {delete} is missing")],
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
