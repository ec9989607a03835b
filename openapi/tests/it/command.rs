//! Tests of the program's output and exit status.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{file, vendored};

#[derive(Debug, PartialEq)]
struct Output {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(args: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_bigcommerce-openapi"));
    let output = program.args(args).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("is UTF-8");
    Output {
        status: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn path(name: &str) -> String {
    file(name).display().to_string()
}

/// A temporary file with a changed copy of the vendored document, deleted on drop.
struct TempDocument(std::path::PathBuf);

impl TempDocument {
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

impl Drop for TempDocument {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("the file exists");
    }
}

#[test]
fn equal_documents_print_nothing() {
    let equal = TempDocument::new("equal", |root| root["x-note"] = true.into());
    let silent = Output {
        status: Some(0),
        stdout: String::new(),
        stderr: String::new(),
    };
    assert_eq!(run(&["check", equal.path()]), silent);
    let output = run(&["check", "--format", "json", equal.path()]);
    let report: Value = serde_json::from_str(&output.stdout).expect("is JSON");
    assert_eq!(output.status, Some(0));
    assert_eq!(
        report,
        json!({"differences": [], "rejected": null, "error": null})
    );
}

#[test]
fn breaking_changes_exit_with_1_and_compatible_ones_with_0() {
    let value = "PUT /customers/attribute-values: request field";
    let place = "/components/schemas/AttributeValueUpsert";
    let compatible = TempDocument::new("compatible", |root| {
        let row = &mut root["components"]["schemas"]["AttributeValueUpsert"];
        row["properties"]["note"] = json!({"type": "string"});
    });
    let line =
        format!("compatible: {value} \"note\": is new (#{place} -> #{place}/properties/note)\n");
    let output = run(&["check", compatible.path()]);
    assert_eq!((output.status, output.stdout), (Some(0), line));

    let breaking = TempDocument::new("breaking", |root| {
        let row = &mut root["components"]["schemas"]["AttributeValueUpsert"];
        row["properties"]["value"]["maxLength"] = json!(100);
    });
    let limit = format!("{place}/properties/value/maxLength");
    let output = run(&["check", breaking.path(), "--format=json"]);
    let report: Value = serde_json::from_str(&output.stdout).expect("is JSON");
    assert_eq!(output.status, Some(1));
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
            "rejected": null,
            "error": null,
        })
    );
}

#[test]
fn a_document_that_the_sdk_cannot_be_built_with_is_rejected_in_the_last_line() {
    let lacks_delete = path("lacks-delete.yaml");
    let Output { status, stdout, .. } = run(&["check", &lacks_delete]);
    assert_eq!(status, Some(1));
    assert!(stdout.contains("breaking: DELETE /customers/attribute-values: is missing"));
    let last = stdout.lines().last().expect("has lines");
    assert!(
        last.starts_with("rejected: ") && last.contains("DELETE is missing"),
        "{last}"
    );
    // A compatible difference whose field has no unique name in Rust.
    let clash = TempDocument::new("clash", |root| {
        let row = &mut root["components"]["schemas"]["AttributeValueUpsert"];
        row["properties"]["Value"] = json!({"type": "string"});
    });
    let Output { status, stdout, .. } = run(&["check", clash.path()]);
    assert_eq!(status, Some(1));
    assert!(stdout.starts_with("compatible: "), "{stdout}");
    assert!(stdout.contains("rejected: "), "{stdout}");
    let output = run(&["prepare", &lacks_delete]);
    assert_eq!((output.status, output.stdout.as_str()), (Some(2), ""));
    assert!(output.stderr.contains("DELETE is missing"), "{output:?}");
}

#[test]
fn an_unreadable_document_exits_with_2_and_one_line() {
    let unreadable = TempDocument::new("unreadable", |_| ());
    std::fs::write(&unreadable.0, "a: [").expect("can be written");
    let output = run(&["check", unreadable.path()]);
    assert_eq!((output.status, output.stdout.as_str()), (Some(2), ""));
    assert!(output.stderr.contains("is neither YAML nor JSON"));
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    let circular = TempDocument::new("circular", |root| {
        let links = &mut root["components"]["schemas"]["PageLinks"];
        *links = json!({"$ref": "#/components/schemas/PageLinks"});
    });
    let Output { status, stderr, .. } = run(&["check", circular.path()]);
    assert_eq!(status, Some(2));
    assert!(stderr.contains("#/components/schemas/PageLinks: refers back to itself"));
}

#[test]
fn invalid_arguments_exit_with_2() {
    for args in [
        &["check"][..],
        &["check", "/nowhere.yaml"],
        &["check", "a", "b"],
        &["look", "a"],
        &["check", "--format", "yaml", "a"],
        &["prepare", "--format", "json", "a"],
    ] {
        assert_eq!(run(args).status, Some(2), "{args:?}");
    }
}

#[test]
fn prepare_prints_the_prepared_document() {
    let output = run(&["prepare", &path("provider-prefixed.json")]);
    assert_eq!(output.status, Some(0));
    let prepared: Value = serde_json::from_str(&output.stdout).expect("is JSON");
    let put = &prepared["paths"]["/customers/attribute-values"]["put"];
    assert_eq!(put["operationId"], "upsert_attribute_values");
}

#[test]
fn help_names_both_commands() {
    let Output { status, stdout, .. } = run(&["--help"]);
    assert_eq!(status, Some(0));
    assert!(stdout.contains("check") && stdout.contains("prepare"));
}
