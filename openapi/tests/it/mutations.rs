//! Documents that went wrong at random: each becomes code or one message that names the place, and
//! none a panic.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::catch_unwind;

use bigcommerce_openapi::{Document, VENDORED};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::support::{each_object, file};

const DOCUMENTS: u64 = 10_000;

/// Tests run side by side, so each takes its share.
const SHARES: u64 = 4;

#[test]
fn mutated_documents_1() {
    mutated_documents(0);
}

#[test]
fn mutated_documents_2() {
    mutated_documents(1);
}

#[test]
fn mutated_documents_3() {
    mutated_documents(2);
}

#[test]
fn mutated_documents_4() {
    mutated_documents(3);
}

fn mutated_documents(share: u64) {
    let text = |name: &str| std::fs::read_to_string(file(name)).expect("is there");
    let texts = [
        VENDORED.to_owned(),
        text("provider.yaml"),
        text("provider-prefixed.json"),
        text("provider-whole.yaml"),
    ];
    let roots = texts.each_ref().map(|text| {
        let mut root: Value = serde_norway::from_str(text).expect("is YAML or JSON");
        each_object(&mut root, &mut |map| {
            map.retain(|key, _| !key.starts_with("x-") && !key.starts_with("example"));
        });
        root
    });
    let vendored = Document::vendored().expect("is a document");
    let mut generated = HashSet::new();
    let mut ends = [0; 3];
    for seed in (share..DOCUMENTS).step_by(usize::try_from(SHARES).expect("is small")) {
        let mut rng = Rng::with_seed(seed);
        // The whole document takes long to read, and most of it is not ours.
        let base = if rng.u8(..50) == 0 { 3 } else { rng.usize(..3) };
        let text = if rng.u8(..12) == 0 {
            torn(&texts[base], &mut rng)
        } else {
            let mut root = roots[base].clone();
            for _ in 0..rng.usize(1..=3) {
                mutate(&mut root, &mut rng);
            }
            root.to_string()
        };
        let outcome = catch_unwind(|| {
            let document = Document::parse("d", &text)?;
            let compared = vendored.compare(&document);
            let prepared = document.prepare();
            if let Err(error) = &compared {
                // What can't be read can't be prepared either.
                assert!(prepared.is_err(), "{error}");
            }
            prepared
        });
        let end = match outcome {
            Err(_) => panic!("seed {seed}: panicked"),
            Ok(Err(error)) => {
                let message = error.to_string();
                assert!(names_a_place(&message), "seed {seed}: {message}");
                0
            }
            Ok(Ok(prepared)) => {
                let mut hasher = DefaultHasher::new();
                shape(prepared.document()).to_string().hash(&mut hasher);
                if generated.insert(hasher.finish()) {
                    let code = catch_unwind(|| prepared.generate());
                    let code = code.unwrap_or_else(|_| panic!("seed {seed}: panicked"));
                    if let Err(error) = code {
                        panic!("seed {seed}: {error}");
                    }
                    1
                } else {
                    2
                }
            }
        };
        ends[end] += 1;
    }
    let [refused, made, known] = ends;
    assert!(refused > 500 && made > 50 && known > 500, "{ends:?}");
}

/// A place in the document or, where it can't be read at all, in its text.
fn names_a_place(message: &str) -> bool {
    let message = message.strip_prefix("d: ").expect("names the document");
    let is_about_all = [
        "is empty",
        "is Swagger",
        "is OpenAPI",
        "is not an OpenAPI document: it has no field \"openapi\" at its top",
    ];
    !message.contains('\n')
        && (message.contains("/customers/attribute")
            || message.contains("#/")
            || message.contains(": refers ")
            || message.contains(": points outside")
            || message.contains(" line ")
            || is_about_all.iter().any(|start| message.starts_with(start)))
}

/// The document without what only tells.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, value)| {
                !(value.is_string() && matches!(key.as_str(), "description" | "summary"))
            })
            .map(|(key, value)| (key.clone(), shape(value)))
            .collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        value => value.clone(),
    }
}

/// A text that lost a part, or got one twice.
fn torn(text: &str, rng: &mut Rng) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let at = rng.usize(..lines.len());
    match rng.u8(..5) {
        0 => lines.truncate(at),
        1 => drop(lines.remove(at)),
        2 => lines.insert(at, lines[rng.usize(..lines.len())]),
        3 => lines[at] = lines[at].trim_start(),
        _ => {
            let line = lines[at];
            lines[at] = line.get(..rng.usize(..=line.len())).unwrap_or_default();
        }
    }
    lines.join("\n")
}

fn mutate(root: &mut Value, rng: &mut Rng) {
    let place = place(root, rng);
    let other = self::place(root, rng);
    let reference = match rng.u8(..6) {
        0 => "#/nowhere".to_owned(),
        1 => "other.yaml#/x".to_owned(),
        2 => "#".to_owned(),
        3 => format!("#{place}"),
        _ => format!("#{other}"),
    };
    let graft = root.pointer(&other).cloned().unwrap_or_default();
    let Some(target) = root.pointer_mut(&place) else {
        return;
    };
    match rng.u8(..18) {
        0 => *target = odd(rng),
        1 => *target = json!({"$ref": reference}),
        2 => *target = graft,
        3 => drop(target.take()),
        4 | 5 => {
            let key = ["oneOf", "anyOf", "allOf"][rng.usize(..3)];
            let mut parts = vec![target.take()];
            if rng.bool() {
                parts.push(graft);
            }
            *target = json!({key: parts});
        }
        6 | 7 => match target {
            Value::Object(map) if !map.is_empty() => {
                let key = map.keys().nth(rng.usize(..map.len())).cloned();
                let value = key.and_then(|key| map.remove(&key));
                if rng.bool() {
                    map.insert(word(rng), value.unwrap_or_default());
                }
            }
            Value::Array(items) if !items.is_empty() => {
                let item = items.remove(rng.usize(..items.len()));
                if rng.bool() {
                    items.extend([item.clone(), item]);
                }
            }
            target => *target = odd(rng),
        },
        8..=10 => match target {
            Value::Object(map) => {
                map.insert(word(rng), if rng.bool() { graft } else { odd(rng) });
            }
            Value::Array(items) => items.push(graft),
            target => *target = odd(rng),
        },
        11 => {
            let kinds = [
                "string", "integer", "number", "boolean", "array", "object", "null", "file",
            ];
            let kind = kinds[rng.usize(..kinds.len())];
            match target {
                Value::Object(map) => drop(map.insert("type".to_owned(), kind.into())),
                target => *target = kind.into(),
            }
        }
        12..=15 => {
            let mut places = Vec::new();
            objects(root, String::new(), &mut places);
            let fields = rng
                .choice(places)
                .and_then(|place| root.pointer_mut(&place));
            if let Some(Value::Object(fields)) = fields {
                fields.insert(word(rng), if rng.bool() { graft } else { odd(rng) });
            }
        }
        _ => {
            let answers = json!({
                "200": {"content": {
                    "application/json": {"schema": graft},
                    "text/html": {"schema": {"type": "string"}},
                }},
                "207": {"content": {"application/json": {"schema": {"type": "object"}}}},
                "default": {"content": {"application/json": {"schema": {"type": "array"}}}},
            });
            match target {
                Value::Object(map) => drop(map.insert("responses".to_owned(), answers)),
                target => *target = answers,
            }
        }
    }
}

/// What is seldom worth changing: it is long, and nothing becomes of it.
const TELLS_LITTLE: [&str; 13] = [
    "description",
    "headers",
    "operationId",
    "summary",
    "tags",
    "401",
    "403",
    "413",
    "422",
    "429",
    "500",
    "info",
    "externalDocs",
];

/// A place in the document, most often one that is reached from what is ours.
fn place(root: &Value, rng: &mut Rng) -> String {
    let mut place = String::new();
    let mut value = root;
    if rng.u8(..4) > 0 {
        let paths = root.get("paths").and_then(Value::as_object);
        let ours = paths.into_iter().flatten().map(|(path, _)| path);
        let ours: Vec<_> = ours
            .filter(|path| path.contains("/customers/attribute"))
            .collect();
        if let Some(path) = rng.choice(ours) {
            place = format!("/paths/{}", path.replace('~', "~0").replace('/', "~1"));
            value = &root["paths"][path];
        }
    }
    // Deep places are many, so the way down ends seldom.
    while rng.u8(..12) > 0 {
        if let Some(Value::String(reference)) = value.get("$ref")
            && rng.u8(..4) > 0
            && let Some(pointer) = reference.strip_prefix('#')
            && let Some(target) = root.pointer(pointer)
        {
            place = pointer.to_owned();
            value = target;
            continue;
        }
        match value {
            Value::Object(map) if !map.is_empty() => {
                let mut keys: Vec<_> = map.iter().collect();
                if rng.u8(..8) > 0 {
                    keys.retain(|(key, _)| !TELLS_LITTLE.contains(&key.as_str()));
                }
                let Some((key, inner)) = rng.choice(keys) else {
                    break;
                };
                place = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
                value = inner;
            }
            Value::Array(items) if !items.is_empty() => {
                let index = rng.usize(..items.len());
                place = format!("{place}/{index}");
                value = &items[index];
            }
            _ => break,
        }
    }
    place
}

/// The places of all lists of fields.
fn objects(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let below = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
                if key == "properties" {
                    places.push(below.clone());
                }
                objects(value, below, places);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                objects(item, format!("{place}/{index}"), places);
            }
        }
        _ => (),
    }
}

fn odd(rng: &mut Rng) -> Value {
    match rng.u8(..14) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(1e300),
        4 => json!(u64::MAX),
        5 => json!(""),
        6 => json!([]),
        7 => json!({}),
        8 => json!([{}]),
        9 => json!(["", "a", "A", "a b"]),
        10 => json!("line\nbreak \" \\ }} {{ \u{e9}\u{1f600}"),
        11 => json!({"type": ["string", "null"]}),
        12 => json!({"type": "array", "items": {"type": "object", "additionalProperties": true}}),
        _ => json!({"type": "string", "format": "date-time", "enum": ["a"], "nullable": true}),
    }
}

fn word(rng: &mut Rng) -> String {
    let words = [
        "",
        "$ref",
        "a b",
        "additionalProperties",
        "allOf",
        "anyOf",
        "async",
        "body",
        "content",
        "customer_id",
        "default",
        "discriminator",
        "enum",
        "exclusiveMinimum",
        "format",
        "id",
        "in",
        "items",
        "maxLength",
        "maximum",
        "minLength",
        "multipleOf",
        "name",
        "not",
        "nullable",
        "oneOf",
        "parameters",
        "pattern",
        "properties",
        "readOnly",
        "required",
        "schema",
        "self",
        "send",
        "style",
        "type",
        "uniqueItems",
        "x-y",
        "\u{e9}",
        "3",
        "Self",
        "r#type",
    ];
    words[rng.usize(..words.len())].to_owned()
}
