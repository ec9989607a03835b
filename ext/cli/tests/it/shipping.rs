//! Completions, manual pages, and the packages that contain them.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::run;

const COMMANDS: [&str; 10] = [
    "import",
    "export",
    "diff",
    "sync",
    "delete",
    "attributes",
    "customers",
    "doctor",
    "completions",
    "man",
];

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = run(["completions", shell]);
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{shell}");
        for word in COMMANDS.into_iter().chain(["sandbox", "token-stdin"]) {
            assert!(ended.stdout.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(["completions", "tcsh"]).status, 2);
    assert_eq!(run(["completions"]).status, 2);
}

#[test]
fn a_manual_page_is_printed_or_written_for_each_command() {
    let ended = run(["man"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    assert!(
        ended.stdout.contains(".TH bigcommerce-attributes 1"),
        "{}",
        ended.stdout
    );
    // The exit statuses are a part of the page.
    assert!(
        ended.stdout.contains("130  interrupted by Ctrl"),
        "{}",
        ended.stdout
    );

    let folder = TempDir::new().expect("a folder");
    let pages = folder.path().join("new/man");
    let ended = run(["man", "--output", pages.to_str().expect("UTF-8")]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    let names = files(&pages);
    for command in COMMANDS
        .into_iter()
        .chain(["attributes-delete", "customers-find"])
    {
        let name = format!("bigcommerce-attributes-{command}.1");
        assert!(names.contains(&name), "{names:?} lack {name}");
        let page = fs::read_to_string(pages.join(&name)).expect("a page");
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
}

#[test]
fn a_folder_that_can_not_be_written_to_is_named() {
    for command in ["man", "completions"] {
        let ended = run([command, "--output", "/dev/null/pages"]);
        assert_eq!((ended.status, ended.stdout.as_str()), (2, ""));
        assert!(
            ended
                .stderr
                .starts_with("error: the folder /dev/null/pages can't be created: "),
            "{ended:?}"
        );
    }
}

#[test]
fn the_debian_package_contains_what_the_program_makes() {
    let folder = TempDir::new().expect("a folder");
    let dist = |name: &str| folder.path().join(name);
    for (command, name) in [("man", "man"), ("completions", "completions")] {
        let path = dist(name);
        let ended = run([command, "--output", path.to_str().expect("UTF-8")]);
        assert_eq!(ended.status, 0);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("a manifest");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let assets = &manifest["package"]["metadata"]["deb"]["assets"];
    let assets = assets.as_array().expect("a list").iter();
    let sources: Vec<_> = assets
        .map(|asset| asset[0].as_str().expect("a path"))
        .collect();
    assert_eq!(sources.len(), 6);
    for source in sources {
        let exists = match source.strip_prefix("../../target/dist/") {
            Some("man/*.1") => files(&dist("man")).iter().all(|name| name.ends_with(".1")),
            Some(path) => folder.path().join(path).exists(),
            None if source == "target/release/bigcommerce-attributes" => true,
            None => root.join(source).exists(),
        };
        assert!(exists, "{source}");
    }
}
