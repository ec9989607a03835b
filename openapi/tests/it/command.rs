//! The program: what it prints and the status that it ends with.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{file, vendored};

fn run(args: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_bigcommerce-openapi"));
    program.args(args).output().expect("runs")
}

/// Its status, and what it printed.
fn ends(args: &[&str]) -> (Option<i32>, String, String) {
    let output = run(args);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("is UTF-8");
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn path(name: &str) -> String {
    file(name).display().to_string()
}

/// A file that holds the vendored document with a change, and is gone with the value.
struct Changed(std::path::PathBuf);

impl Changed {
    fn new(name: &str, change: impl FnOnce(&mut Value)) -> Self {
        let mut root = vendored();
        change(&mut root);
        let path = std::env::temp_dir().join(format!("{}-{name}.json", std::process::id()));
        std::fs::write(&path, root.to_string()).expect("can be written");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("is UTF-8")
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("is there");
    }
}

#[test]
fn nothing_to_tell() {
    let whole = path("provider-whole.yaml");
    assert_eq!(
        ends(&["check", &whole]),
        (Some(0), String::new(), String::new())
    );
    let (status, printed, _) = ends(&["check", "--format", "json", &whole]);
    let report: Value = serde_json::from_str(&printed).expect("is JSON");
    assert_eq!(status, Some(0));
    assert_eq!(report, json!({"differences": [], "refused": null}));
}

#[test]
fn compatible_and_breaking_changes() {
    let value = "PUT /customers/attribute-values: request field";
    let place = "/components/schemas/AttributeValueUpsert";
    let compatible = Changed::new("compatible", |root| {
        let row = &mut root["components"]["schemas"]["AttributeValueUpsert"];
        row["properties"]["note"] = json!({"type": "string"});
    });
    let line =
        format!("compatible: {value} \"note\": is new (#{place} -> #{place}/properties/note)\n");
    let (status, printed, _) = ends(&["check", compatible.path()]);
    assert_eq!((status, printed), (Some(0), line));

    let breaking = Changed::new("breaking", |root| {
        let row = &mut root["components"]["schemas"]["AttributeValueUpsert"];
        row["properties"]["value"]["maxLength"] = json!(100);
    });
    let limit = format!("{place}/properties/value/maxLength");
    let (status, printed, _) = ends(&["check", breaking.path(), "--format=json"]);
    let report: Value = serde_json::from_str(&printed).expect("is JSON");
    assert_eq!(status, Some(1));
    assert_eq!(
        report,
        json!({
            "differences": [{
                "impact": "breaking",
                "subject": format!("{value} \"value\""),
                "change": "maxLength is 100, was 255",
                "before": limit,
                "after": limit,
            }],
            "refused": null,
        })
    );
}

#[test]
fn a_document_that_the_sdk_can_not_be_built_with() {
    let lacks = path("lacks-delete.yaml");
    let (status, printed, _) = ends(&["check", &lacks]);
    assert_eq!(status, Some(1));
    assert!(printed.contains("breaking: DELETE /customers/attribute-values: is missing"));
    let last = printed.lines().last().expect("has lines");
    assert!(
        last.starts_with("refused: ") && last.contains("DELETE is missing"),
        "{last}"
    );
    // Not of another type, and yet nothing that Rust could name.
    let clash = Changed::new("clash", |root| {
        let row = &mut root["components"]["schemas"]["AttributeValueUpsert"];
        row["properties"]["Value"] = json!({"type": "string"});
    });
    let (status, printed, _) = ends(&["check", clash.path()]);
    assert_eq!(status, Some(1));
    assert!(printed.starts_with("compatible: "), "{printed}");
    assert!(printed.contains("refused: "), "{printed}");
    let (status, printed, error) = ends(&["prepare", &lacks]);
    assert_eq!((status, printed.as_str()), (Some(2), ""));
    assert!(error.contains("DELETE is missing"), "{error}");
}

#[test]
fn what_can_not_be_read() {
    for (name, text, message) in [
        ("empty", "", "is empty"),
        ("swagger", "swagger: '2.0'", "is Swagger 2.0"),
        ("newer", "openapi: 3.1.0", "is OpenAPI 3.1.0"),
        ("other", "{\"a\": 1}", "is not an OpenAPI document"),
        ("no-yaml", "a: [", "is neither YAML nor JSON"),
    ] {
        let unreadable = Changed::new(name, |_| ());
        std::fs::write(&unreadable.0, text).expect("can be written");
        let (status, printed, error) = ends(&["check", unreadable.path()]);
        assert_eq!((status, printed.as_str()), (Some(2), ""), "{name}");
        assert!(error.contains(message), "{name}: {error}");
        assert_eq!(error.lines().count(), 1, "{name}: {error}");
    }
    let circular = Changed::new("circular", |root| {
        let links = &mut root["components"]["schemas"]["PageLinks"];
        *links = json!({"$ref": "#/components/schemas/PageLinks"});
    });
    let (status, _, error) = ends(&["check", circular.path()]);
    assert_eq!(status, Some(2));
    assert!(error.contains("#/components/schemas/PageLinks: refers back to itself"));
    for args in [
        &["check"][..],
        &["check", "/nowhere.yaml"],
        &["check", "a", "b"],
        &["look", "a"],
        &["check", "--format", "yaml", "a"],
        &["prepare", "--format", "json", "a"],
    ] {
        assert_eq!(ends(args).0, Some(2), "{args:?}");
    }
}

#[test]
fn the_prepared_document_is_printed() {
    let (status, printed, _) = ends(&["prepare", &path("provider-prefixed.json")]);
    assert_eq!(status, Some(0));
    let prepared: Value = serde_json::from_str(&printed).expect("is JSON");
    let put = &prepared["paths"]["/customers/attribute-values"]["put"];
    assert_eq!(put["operationId"], "upsert_attribute_values");
    let (status, printed, _) = ends(&["--help"]);
    assert_eq!(status, Some(0));
    assert!(printed.contains("check") && printed.contains("prepare"));
}
