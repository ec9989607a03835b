use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bigcommerce_openapi::{Document, Generated, Prepared, VENDORED};
use serde_json::{Map, Value};

pub const VALUES: &str = "/customers/attribute-values";
pub const ATTRIBUTES: &str = "/customers/attributes";
pub const CUSTOMERS: &str = "/customers";

/// The operations that the SDK binds: path and method.
pub const OPERATIONS: [(&str, &str); 6] = [
    (VALUES, "get"),
    (VALUES, "put"),
    (VALUES, "delete"),
    (ATTRIBUTES, "get"),
    (ATTRIBUTES, "post"),
    (CUSTOMERS, "get"),
];

pub fn vendored() -> Value {
    serde_norway::from_str(VENDORED).expect("the vendored document is YAML")
}

/// Returns the path of a test document.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/documents")
        .join(name)
}

pub fn prepare(root: &Value) -> Result<Prepared, String> {
    Document::parse("test.json", &root.to_string())
        .and_then(Document::prepare)
        .map_err(|error| error.to_string())
}

fn parse(root: &Value) -> Document {
    Document::parse("test.json", &root.to_string()).expect("is a document")
}

/// Compares two documents and returns the printed differences, without places.
pub fn differences(one: &Value, other: &Value) -> Vec<String> {
    let found = parse(one).compare(&parse(other));
    let found = found.expect("can be compared").into_iter();
    found
        .map(|d| format!("{}: {}: {}", d.impact, d.subject, d.change))
        .collect()
}

/// Asserts that both documents generate the same Rust, apart from descriptions.
#[track_caller]
pub fn assert_same(one: &Value, other: &Value) {
    let [one, other] = [one, other].map(prepare_without_prose);
    assert_same_lines(&pretty(one.document()), &pretty(other.document()));
    assert_same_lines(&code(&one).0, &code(&other).0);
    assert_same_lines(&code(&one).1, &code(&other).1);
}

/// Asserts that both documents generate the same types and methods. Their JSON Schemas can differ.
#[track_caller]
pub fn assert_same_types(one: &Value, other: &Value) {
    let [one, other] = [one, other].map(|root| code(&prepare_without_prose(root)));
    let types = |code: &str| -> String {
        let end = code
            .find("impl ::schemars::JsonSchema")
            .expect("has JSON Schemas");
        code[..end].to_owned()
    };
    assert_same_lines(&types(&one.0), &types(&other.0));
    assert_same_lines(&one.1, &other.1);
}

/// Asserts that every public item of the code from `ours` is in the code from `other`, with the same
/// type. There may be more.
#[track_caller]
pub fn assert_covers(other: &Value, ours: &Value) {
    let [other, ours] = [other, ours].map(|root| code(&prepare_without_prose(root)));
    for (other, ours) in [(&other.0, &ours.0), (&other.1, &ours.1)] {
        let other: BTreeSet<_> = public_items(other).into_iter().collect();
        let ours = public_items(ours);
        assert!(ours.len() > 50, "{ours:?}");
        let missing: Vec<_> = ours.iter().filter(|item| !other.contains(*item)).collect();
        assert!(missing.is_empty(), "{missing:#?}");
    }
}

/// Returns the public items of formatted code, each with the items around it.
fn public_items(code: &str) -> Vec<String> {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let mut items = Vec::new();
    let mut around: Vec<(usize, &str)> = Vec::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let level = indentation(line);
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        around.retain(|(outer, _)| *outer < level);
        if text.starts_with("pub ") {
            let mut item = text.to_owned();
            let ends = |line: &str| line.ends_with(['{', ',', ';']) && indentation(line) == level;
            if !ends(line) {
                for line in lines.by_ref() {
                    item.push_str(line.trim());
                    if ends(line) {
                        break;
                    }
                }
            }
            let outer: Vec<_> = around.iter().map(|(_, text)| *text).collect();
            items.push(format!("{} / {item}", outer.join(" / ")));
        }
        let opens = [
            "pub mod",
            "pub struct",
            "pub enum",
            "impl",
            "pub trait",
            "mod",
        ];
        if opens.iter().any(|start| text.starts_with(start)) {
            around.push((level, text));
        }
    }
    items
}

fn prepare_without_prose(root: &Value) -> Prepared {
    let mut root = root.clone();
    strip_prose(&mut root, false);
    prepare(&root).expect("can be prepared")
}

#[track_caller]
fn assert_same_lines(one: &str, other: &str) {
    for (number, (one, other)) in one.lines().zip(other.lines()).enumerate() {
        assert_eq!(one, other, "line {number}");
    }
    assert_eq!(one.len(), other.len());
}

pub fn code(prepared: &Prepared) -> (String, String) {
    let Generated {
        client, httpmock, ..
    } = prepared
        .generate()
        .expect("a prepared document generates code");
    (client, httpmock)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// Removes titles, descriptions and examples, but not properties of these names.
fn strip_prose(value: &mut Value, is_properties: bool) {
    match value {
        Value::Object(map) => {
            for key in ["title", "summary", "description", "example"] {
                if !is_properties {
                    map.remove(key);
                }
            }
            for (key, value) in map {
                strip_prose(value, key == "properties" && !is_properties);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| strip_prose(v, false)),
        _ => (),
    }
}

/// Calls `change` for every object in the document, parents first.
pub fn each_object(value: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            change(map);
            map.values_mut().for_each(|v| each_object(v, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|v| each_object(v, change)),
        _ => (),
    }
}

/// Calls `change` for every parameter, in components or in operations.
pub fn each_parameter(root: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    each_object(root, &mut |map| {
        if map.contains_key("in") && map.contains_key("schema") {
            change(map);
        }
    });
}

pub fn operation<'a>(root: &'a mut Value, path: &str, method: &str) -> &'a mut Value {
    &mut root["paths"][path][method]
}

pub fn remove(value: &mut Value, key: &str) -> Value {
    let removed = value.as_object_mut().and_then(|map| map.remove(key));
    removed.expect("the key existed")
}
