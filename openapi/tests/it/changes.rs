//! A property test: a random change at a random place of a random document is reported with the class
//! that the table says, and nothing else is, however both documents are written.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::compare::{PROBE, SchemaChange, field_changes, impact, schema_changes};
use crate::support::{differences, each_object, file, vendored};

/// The operations that have schemas of their own: path, method, and what holds them.
const BODIES: [(&str, &str, Side); 7] = [
    ("/customers/attribute-values", "get", Side::Received),
    ("/customers/attribute-values", "put", Side::Sent),
    ("/customers/attribute-values", "put", Side::Received),
    ("/customers/attributes", "get", Side::Received),
    ("/customers/attributes", "post", Side::Sent),
    ("/customers/attributes", "put", Side::Received),
    ("/customers", "get", Side::Received),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Sent,
    Received,
}

/// A place for a new field: the pointer to an object's `properties`, and its path in messages.
struct Place {
    properties: String,
    path: String,
}

/// Returns the documents to begin with, without references.
fn documents() -> Vec<Value> {
    let mut documents = vec![vendored()];
    for name in ["provider.yaml", "provider-prefixed.json"] {
        let text = std::fs::read_to_string(file(name)).expect("the file exists");
        documents.push(serde_norway::from_str(&text).expect("is YAML or JSON"));
    }
    for document in &mut documents {
        let mut paths = document["paths"].take();
        inline(&mut paths, document, &mut Vec::new());
        document["paths"] = paths;
        let components = document["components"]
            .as_object_mut()
            .expect("is an object");
        components.retain(|kind, _| kind == "securitySchemes");
        let paths = document["paths"].as_object_mut().expect("is an object");
        paths.retain(|path, _| path.contains("/customers"));
    }
    documents
}

/// Replaces references by their targets. A reference back to itself becomes any object.
fn inline(value: &mut Value, root: &Value, trail: &mut Vec<String>) {
    let reference = value.get("$ref").and_then(Value::as_str).map(str::to_owned);
    if let Some(reference) = reference {
        let target = root
            .pointer(&reference[1..])
            .filter(|_| !trail.contains(&reference));
        *value = target.cloned().unwrap_or_else(|| json!({"type": "object"}));
        trail.push(reference);
        inline(value, root, trail);
        trail.pop();
        return;
    }
    match value {
        Value::Object(map) => map
            .values_mut()
            .for_each(|inner| inline(inner, root, trail)),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|inner| inline(inner, root, trail)),
        _ => (),
    }
}

/// Returns the place of the JSON schema of a request or a response.
fn body(root: &Value, path: &str, method: &str, side: Side) -> Option<String> {
    let paths = root["paths"].as_object()?;
    let (written, _) = paths
        .iter()
        .find(|(written, _)| written.trim_end_matches('/').ends_with(path))?;
    let written = written.replace('/', "~1");
    let holder = match side {
        Side::Sent => "requestBody",
        Side::Received => "responses/200",
    };
    let place = format!("/paths/{written}/{method}/{holder}/content");
    let content = root.pointer(&place)?.as_object()?;
    let media = content
        .keys()
        .find(|media| media.contains("application/json"))?;
    Some(format!("{place}/{}/schema", media.replace('/', "~1")))
}

fn places(schema: &Value, pointer: &str, path: &str, found: &mut Vec<Place>) {
    let Some(map) = schema.as_object() else {
        return;
    };
    if let Some(Value::Object(fields)) = map.get("properties") {
        found.push(Place {
            properties: format!("{pointer}/properties"),
            path: path.to_owned(),
        });
        for (name, field) in fields {
            let pointer = format!(
                "{pointer}/properties/{}",
                name.replace('~', "~0").replace('/', "~1")
            );
            let separator = if path.is_empty() { "" } else { "." };
            places(field, &pointer, &format!("{path}{separator}{name}"), found);
        }
    }
    if let Some(items) = map.get("items") {
        let path = match path {
            "" => String::new(),
            path => format!("{path}[]"),
        };
        places(items, &format!("{pointer}/items"), &path, found);
    }
    for (index, part) in map
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
    {
        places(part, &format!("{pointer}/allOf/{index}"), path, found);
    }
}

/// Writes a document in another way that means the same.
fn disguise(root: &mut Value, rng: &mut Rng) {
    // Lists without an order are shuffled.
    each_object(root, &mut |map| {
        for key in [
            "parameters",
            "required",
            "enum",
            "oneOf",
            "anyOf",
            "allOf",
            "servers",
        ] {
            if let Some(Value::Array(items)) = map.get_mut(key) {
                rng.shuffle(items);
            }
        }
    });
    // Some schemas move to the components, under names of their own.
    let mut moved = Map::new();
    let kind = ["parameters", "schemas"][rng.usize(..2)];
    each_object(root, &mut |map| {
        if kind == "schemas" {
            for key in ["schema", "items", "additionalProperties"] {
                if map
                    .get(key)
                    .is_some_and(|schema| schema.get("type").is_some())
                    && rng.bool()
                {
                    let name = format!("S{}", moved.len());
                    let schema = map[key].take();
                    map.insert(
                        key.to_owned(),
                        json!({"$ref": format!("#/components/schemas/{name}")}),
                    );
                    moved.insert(name, schema);
                }
            }
        } else if let Some(Value::Array(parameters)) = map.get_mut("parameters") {
            for parameter in parameters {
                if rng.bool() && parameter.get("$ref").is_none() {
                    let name = format!("P{}", moved.len());
                    let reference = json!({"$ref": format!("#/components/parameters/{name}")});
                    moved.insert(name, std::mem::replace(parameter, reference));
                }
            }
        }
    });
    root["components"][kind] = moved.into();
    // Some schemas become a part of an allOf.
    let mut properties = Vec::new();
    each_object(root, &mut |map| {
        if let Some(Value::Object(fields)) = map.get_mut("properties")
            && !fields.contains_key("type")
        {
            for (name, field) in fields {
                // What stands for a type of its own in the record of a customer keeps its form.
                if rng.u8(..6) == 0 && field.get("type").is_some() {
                    properties.push(name.clone());
                    *field = json!({"allOf": [field.take()], "description": "Other words."});
                }
            }
        }
    });
}

#[test]
fn a_random_change_is_reported_alone_and_in_its_class() {
    let documents = documents();
    let changes: Vec<(bool, SchemaChange)> = schema_changes()
        .into_iter()
        .map(|change| (false, change))
        .chain(field_changes().into_iter().map(|change| (true, change)))
        .collect();
    let cases = std::env::var("RANDOM_CHANGES").map_or(300, |number| {
        number.parse().expect("RANDOM_CHANGES is a number")
    });
    let (mut in_parameters, mut in_bodies) = (0, 0);
    for seed in 0..cases {
        let mut rng = Rng::with_seed(seed);
        let base = &documents[rng.usize(..documents.len())];
        let (is_field_only, (before, after, change, effect)) = &changes[rng.usize(..changes.len())];
        let (path, method, side) = BODIES[rng.usize(..BODIES.len())];
        let label = format!("{} {path}", method.to_uppercase());
        let mut both = [base.clone(), base.clone()];
        let schemas = [before, after];
        let is_received = side == Side::Received;
        let is_parameter = rng.u8(..4) == 0 && !is_field_only && !change.starts_with("type is not");
        let subject = if is_parameter {
            let paths = base["paths"].as_object().expect("is an object");
            let written = paths
                .keys()
                .find(|p| p.trim_end_matches('/').ends_with(path));
            let written = written.expect("the path exists").clone();
            for (root, schema) in both.iter_mut().zip(schemas) {
                let operation = &mut root["paths"][&written][method];
                let parameter = json!({"name": PROBE, "in": "query", "schema": schema});
                match operation
                    .get_mut("parameters")
                    .and_then(Value::as_array_mut)
                {
                    Some(parameters) => parameters.push(parameter),
                    None => operation["parameters"] = json!([parameter]),
                }
            }
            in_parameters += 1;
            format!("{label}: query parameter \"{PROBE}\"")
        } else {
            let body = body(base, path, method, side).expect("has a JSON schema");
            let mut found = Vec::new();
            places(
                &base.pointer(&body).expect("exists").clone(),
                &body,
                "",
                &mut found,
            );
            // Objects and lists in the record of a customer are left out.
            found.retain(|place| path != "/customers" || !place.path.starts_with("data[]"));
            let place = &found[rng.usize(..found.len())];
            for (root, schema) in both.iter_mut().zip(schemas) {
                let properties = root.pointer_mut(&place.properties).expect("exists");
                properties[PROBE] = schema.clone();
            }
            in_bodies += 1;
            let separator = if place.path.is_empty() { "" } else { "." };
            let part = if is_received { "response" } else { "request" };
            format!("{label}: {part} field \"{}{separator}{PROBE}\"", place.path)
        };
        let class = impact(*effect, is_received && !is_parameter);
        disguise(&mut both[0], &mut rng);
        disguise(&mut both[1], &mut rng);
        let expected = [format!("{class}: {subject}: {change}")];
        assert_eq!(differences(&both[0], &both[1]), expected, "seed {seed}");
    }
    assert!(in_parameters > cases / 10 && in_bodies > cases / 2);
}
