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
fn two_documents_are_compared_with_each_other() {
    let place = "#/components/schemas/AttributeValueUpsert";
    let older = TempDocument::new("older", |root| {
        let row = &mut root["components"]["schemas"]["AttributeValueUpsert"];
        row["properties"]["channel_id"] = json!({"type": "integer"});
    });
    let newer = TempDocument::new("newer", |root| {
        let row = &mut root["components"]["schemas"]["AttributeValueUpsert"];
        row["properties"]["channel_id"] = json!({"type": "integer", "minimum": 1});
        row["properties"]["source"] = json!({"type": "string"});
        root["paths"]["/customers/addresses"] = json!({"get": {}});
    });
    let put = "PUT /customers/attribute-values: request field";
    let channel = format!("{place}/properties/channel_id");
    let lines = format!(
        "breaking: {put} \"channel_id\": minimum is 1, was not set ({channel} -> {channel}/minimum)\n\
         compatible: {put} \"source\": is new ({place} -> {place}/properties/source)\n\
         ignored: /customers/addresses: is new, and the SDK doesn't bind it \
         (#/paths -> #/paths/~1customers~1addresses)\n"
    );
    let output = run(&["check", older.path(), newer.path()]);
    assert_eq!((output.status, output.stdout), (Some(1), lines));
    let output = run(&["check", newer.path(), newer.path()]);
    assert_eq!((output.status, output.stdout.as_str()), (Some(0), ""));
    // For the SDK's own document, the minimum is none: no ID is below 1.
    let output = run(&["check", newer.path()]);
    assert_eq!(output.status, Some(0));
    assert_eq!(output.stdout.lines().count(), 3, "{output:?}");
}

#[test]
fn every_ending_can_be_json() {
    let clash = path("lacks-delete.yaml");
    for (args, status, key) in [
        (&["check", "--format", "json", &clash][..], 1, "rejected"),
        (&["check", "--format=json", "/nowhere.yaml"], 2, "error"),
        (&["check", "--format", "json", "--unknown", "a"], 2, "error"),
        (&["check", "--format", "json"], 2, "error"),
        (
            &["check", "--format", "json", "Cargo.toml", &clash],
            2,
            "error",
        ),
    ] {
        let output = run(args);
        assert_eq!(
            (output.status, output.stderr.as_str()),
            (Some(status), ""),
            "{args:?}"
        );
        let report: Value = serde_json::from_str(&output.stdout).expect("is JSON");
        assert!(report[key].is_string(), "{report}");
        let keys: Vec<_> = report.as_object().expect("is an object").keys().collect();
        assert_eq!(keys, ["differences", "error", "rejected"]);
    }
}

#[test]
fn a_document_of_something_else_is_one_line() {
    let pets = TempDocument::new("pets", |root| {
        *root = json!({"openapi": "3.0.3", "paths": {"/pets": {"get": {}}}});
    });
    let ours = path("provider.yaml");
    for args in [&["check", pets.path()][..], &["check", &ours, pets.path()]] {
        let output = run(args);
        assert_eq!((output.status, output.stdout.as_str()), (Some(2), ""));
        assert!(
            output.stderr.contains("has none of the SDK's paths"),
            "{output:?}"
        );
        assert_eq!(output.stderr.lines().count(), 1);
    }
}

#[test]
fn a_large_document_is_refused_unless_told_otherwise() {
    let large = TempDocument::new("large", |root| {
        root["info"]["description"] = "x".repeat(4 * 1024 * 1024).into();
    });
    let output = run(&["check", large.path()]);
    assert_eq!(output.status, Some(2));
    assert!(
        output.stderr.contains("is larger than 4194304 bytes"),
        "{output:?}"
    );
    assert!(output.stderr.contains("--max-size"), "{output:?}");
    let output = run(&["check", "--max-size", "5000000", large.path()]);
    assert_eq!((output.status, output.stderr.as_str()), (Some(0), ""));
}

/// Reading a document of the largest size takes the memory that is stated.
#[test]
#[cfg(target_os = "linux")]
fn memory_stays_within_the_stated_bound() {
    const MAX_LEN: usize = 4 * 1024 * 1024;
    /// What the program takes without a document, with room to spare.
    const BASE_KIB: usize = 32 * 1024;
    // Small objects take the most memory for their text.
    let yaml = {
        let mut text = String::from("openapi: 3.0.3\npaths: {}\nx-list: [");
        while text.len() + 6 < MAX_LEN {
            text.push_str("{a},");
        }
        text.push_str("]\n");
        text
    };
    let large = TempDocument::new("memory", |_| ());
    std::fs::write(&large.0, yaml).expect("can be written");
    let mut program = Command::new(env!("CARGO_BIN_EXE_bigcommerce-openapi"));
    let program = program
        .args(["check", large.path()])
        .stderr(std::process::Stdio::null());
    let mut child = program.spawn().expect("the program starts");
    let mut peak = 0;
    let status = loop {
        let text = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let text = text.unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        if let Some(status) = child.try_wait().expect("the program runs") {
            break status;
        }
        std::thread::yield_now();
    };
    // It is a document of something else.
    assert_eq!(status.code(), Some(2));
    assert!(
        peak > 0 && peak < 300 * MAX_LEN / 1024 + BASE_KIB,
        "{peak} KiB"
    );
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
        &["check", "a", "b", "c"],
        &["check", "--max-size", "many", "a"],
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
fn help_names_both_commands_and_what_check_does_not_see() {
    let Output { status, stdout, .. } = run(&["--help"]);
    assert_eq!(status, Some(0));
    for text in [
        "check [OPTIONS] OLD NEW",
        "prepare",
        "Changes that check doesn't see:",
    ] {
        assert!(stdout.contains(text), "{text}");
    }
    assert!(stdout.lines().all(|line| line.len() <= 105), "{stdout}");
}
