use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bigcommerce_openapi::{Document, Generated, Prepared, VENDORED};
use quote::ToTokens;
use serde_json::{Map, Value};
use syn::{Fields, ImplItem, Item, TraitItem, Visibility};

pub const VALUES: &str = "/customers/attribute-values";
pub const ATTRIBUTES: &str = "/customers/attributes";
pub const CUSTOMERS: &str = "/customers";

/// The operations that the SDK binds: path and method.
pub const OPERATIONS: [(&str, &str); 8] = [
    (VALUES, "get"),
    (VALUES, "put"),
    (VALUES, "delete"),
    (ATTRIBUTES, "get"),
    (ATTRIBUTES, "post"),
    (ATTRIBUTES, "put"),
    (ATTRIBUTES, "delete"),
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

/// Asserts that everything public in the code of the vendored document is in the code of this one,
/// with the same type. There can be more.
#[track_caller]
pub fn assert_has_our_names(root: &Value) {
    let [ours, theirs] = [&vendored(), root].map(|root| code(&prepare_without_prose(root)));
    for (ours, theirs) in [(ours.0, theirs.0), (ours.1, theirs.1)] {
        let (ours, theirs) = (public_names(&ours), public_names(&theirs));
        let missing: Vec<_> = ours.difference(&theirs).collect();
        assert!(missing.is_empty(), "{missing:#?}");
    }
}

/// Returns the public types, fields, variants, functions and implementations of generated code, each
/// with its type.
pub fn public_names(code: &str) -> BTreeSet<String> {
    let file = syn::parse_file(code).expect("is Rust");
    let mut names = BTreeSet::new();
    add_names(&file.items, "", &mut names);
    names
}

fn add_names(items: &[Item], path: &str, names: &mut BTreeSet<String>) {
    let is_public = |visibility: &Visibility| matches!(visibility, Visibility::Public(_));
    for item in items {
        match item {
            Item::Mod(module) => {
                let items = module.content.iter().flat_map(|(_, items)| items);
                let items: Vec<_> = items.cloned().collect();
                add_names(&items, &format!("{path}{}::", module.ident), names);
            }
            Item::Struct(item) if is_public(&item.vis) => {
                names.insert(format!("struct {path}{}", item.ident));
                let Fields::Named(fields) = &item.fields else {
                    continue;
                };
                for field in fields.named.iter().filter(|field| is_public(&field.vis)) {
                    let [name, kind] = [field.ident.to_token_stream(), field.ty.to_token_stream()];
                    names.insert(format!("{path}{}.{name}: {kind}", item.ident));
                }
            }
            Item::Enum(item) if is_public(&item.vis) => {
                for variant in &item.variants {
                    names.insert(format!("{path}{}::{}", item.ident, variant.ident));
                }
            }
            Item::Impl(item) => {
                let owner = format!("{path}impl {}", item.self_ty.to_token_stream());
                if let Some((of, _)) = &item.trait_ {
                    names.insert(format!("{owner}: {}", of.to_token_stream()));
                    continue;
                }
                for inner in &item.items {
                    if let ImplItem::Fn(function) = inner
                        && is_public(&function.vis)
                    {
                        let signature = function.sig.to_token_stream();
                        names.insert(format!("{owner}: {signature}"));
                    }
                }
            }
            Item::Trait(item) => {
                for inner in &item.items {
                    if let TraitItem::Fn(function) = inner {
                        let signature = function.sig.to_token_stream();
                        names.insert(format!("{path}{}: {signature}", item.ident));
                    }
                }
            }
            _ => (),
        }
    }
}

/// Replaces references by their targets.
pub fn inline(root: &mut Value, prefix: &str) {
    // References are nested: a response refers to a page, which refers to a value.
    for _ in 0..8 {
        let document = root.clone();
        each_object(root, &mut |map| {
            let target = map.get("$ref").and_then(Value::as_str);
            let target = target.filter(|target| target.starts_with(prefix));
            let target = target.and_then(|target| document.pointer(&target[1..]));
            if let Some(Value::Object(target)) = target {
                *map = target.clone();
            }
        });
    }
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
