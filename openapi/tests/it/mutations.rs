//! Tests with random mutations: every document generates code or is rejected with one message that
//! names the place, any two of them can be compared or not with one such message, and none causes a
//! panic.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::catch_unwind;

use bigcommerce_openapi::{Document, Error, VENDORED};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::support::{each_object, file};

/// The number of documents, unless the environment variable `MUTATED_DOCUMENTS` sets another one.
const DOCUMENTS: u64 = 10_000;

/// The number of documents from which each test generates code, unless `MUTATED_DOCUMENTS` is set: that
/// takes twenty times as long as everything else.
const GENERATED: u64 = 20;

/// The number of tests, which run in parallel and divide the documents among them.
const SHARES: u64 = 4;

#[derive(Debug, Default)]
struct Counts {
    rejected: u64,
    generated: u64,
    /// Documents that were compared with the one before them.
    compared: u64,
    /// Documents whose shape was generated before.
    repeated: u64,
}

#[test]
fn mutated_documents_never_panic_1() {
    mutated_documents(0);
}

#[test]
fn mutated_documents_never_panic_2() {
    mutated_documents(1);
}

#[test]
fn mutated_documents_never_panic_3() {
    mutated_documents(2);
}

#[test]
fn mutated_documents_never_panic_4() {
    mutated_documents(3);
}

fn mutated_documents(share: u64) {
    let text = |name: &str| std::fs::read_to_string(file(name)).expect("the file exists");
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
    let wanted = std::env::var("MUTATED_DOCUMENTS").ok();
    let documents = wanted.as_ref().map_or(DOCUMENTS, |number| {
        number.parse().expect("MUTATED_DOCUMENTS is a number")
    });
    let max_generated = wanted.map_or(GENERATED, |_| u64::MAX);
    let mut previous = Document::vendored().expect("is a document");
    let mut generated = HashSet::new();
    let mut counts = Counts::default();
    for seed in (share..documents).step_by(usize::try_from(SHARES).expect("is small")) {
        let mut rng = Rng::with_seed(seed);
        // The provider's whole document is slow to read, and most of it is irrelevant.
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
            let compared = previous.compare(&document);
            let prepared = document.clone().prepare();
            // News are a comparison, too, and of more.
            let compared = match seed % 16 {
                0 => compared.and(document.news()),
                _ => compared,
            };
            Ok::<_, Error>((document, compared, prepared))
        });
        match outcome {
            Err(_) => panic!("seed {seed}: panicked"),
            Ok(Err(error)) => {
                let message = error.to_string();
                assert!(names_a_place(&message), "seed {seed}: {message}");
                counts.rejected += 1;
            }
            Ok(Ok((document, compared, prepared))) => {
                if let Err(error) = compared {
                    // A document that can't be compared can't be prepared either.
                    let message = error.to_string();
                    assert!(prepared.is_err(), "seed {seed}: {message}");
                    assert!(names_a_place(&message), "seed {seed}: {message}");
                } else {
                    counts.compared += 1;
                    previous = document;
                }
                let prepared = match prepared {
                    Ok(prepared) => prepared,
                    Err(error) => {
                        let message = error.to_string();
                        assert!(names_a_place(&message), "seed {seed}: {message}");
                        counts.rejected += 1;
                        continue;
                    }
                };
                let mut hasher = DefaultHasher::new();
                shape(prepared.document()).to_string().hash(&mut hasher);
                if counts.generated < max_generated && generated.insert(hasher.finish()) {
                    let code = catch_unwind(|| prepared.generate());
                    let code = code.unwrap_or_else(|_| panic!("seed {seed}: panicked"));
                    if let Err(error) = code {
                        panic!("seed {seed}: {error}");
                    }
                    counts.generated += 1;
                } else {
                    counts.repeated += 1;
                }
            }
        }
    }
    assert!(
        counts.rejected > documents / 20
            && counts.compared > documents / 20
            && counts.generated >= GENERATED.min(documents / 200)
            && counts.repeated > documents / 20,
        "{counts:?}"
    );
}

/// Returns `true` if the message names a place in the document or a line of unparsable text.
fn names_a_place(message: &str) -> bool {
    let message = message.strip_prefix("d: ").expect("names the document");
    let concerns_everything = [
        "is empty",
        "is Swagger",
        "is OpenAPI",
        "is not an OpenAPI document: it has no top-level field \"openapi\"",
    ];
    !message.contains('\n')
        && (message.contains("/customers")
            || message.contains("#/")
            || message.contains(": refers ")
            || message.contains(": points outside")
            || message.contains(" line ")
            || concerns_everything
                .iter()
                .any(|start| message.starts_with(start)))
}

/// Returns the document without summaries and descriptions.
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

/// Removes, repeats or truncates a line of the text.
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
        0 => *target = odd_value(rng),
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
            target => *target = odd_value(rng),
        },
        8..=10 => match target {
            Value::Object(map) => {
                map.insert(word(rng), if rng.bool() { graft } else { odd_value(rng) });
            }
            Value::Array(items) => items.push(graft),
            target => *target = odd_value(rng),
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
            collect_properties(root, String::new(), &mut places);
            let fields = rng
                .choice(places)
                .and_then(|place| root.pointer_mut(&place));
            if let Some(Value::Object(fields)) = fields {
                fields.insert(word(rng), if rng.bool() { graft } else { odd_value(rng) });
            }
        }
        _ => {
            let responses = json!({
                "200": {"content": {
                    "application/json": {"schema": graft},
                    "text/html": {"schema": {"type": "string"}},
                }},
                "207": {"content": {"application/json": {"schema": {"type": "object"}}}},
                "default": {"content": {"application/json": {"schema": {"type": "array"}}}},
            });
            match target {
                Value::Object(map) => drop(map.insert("responses".to_owned(), responses)),
                target => *target = responses,
            }
        }
    }
}

/// Keys that are seldom mutated, because they rarely affect the generated code.
const LOW_VALUE_KEYS: [&str; 13] = [
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

/// Returns the pointer to a random place, usually within our operations.
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
    // Most places are deep, so the descent rarely ends early.
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
                    keys.retain(|(key, _)| !LOW_VALUE_KEYS.contains(&key.as_str()));
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

/// Collects the pointers to all `properties`.
fn collect_properties(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let below = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
                if key == "properties" {
                    places.push(below.clone());
                }
                collect_properties(value, below, places);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_properties(item, format!("{place}/{index}"), places);
            }
        }
        _ => (),
    }
}

fn odd_value(rng: &mut Rng) -> Value {
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
