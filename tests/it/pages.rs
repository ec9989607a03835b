//! The Markdown pages: relative links lead to files and headings that exist.

use std::fs;
use std::path::{Path, PathBuf};

const PAGES: [&str; 15] = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/answers.md",
    "docs/documents.md",
    "docs/json.md",
    "docs/logs.md",
    "docs/program.md",
    "docs/promises.md",
    "docs/versions.md",
    "ext/benches/README.md",
    "ext/cli/README.md",
    "ext/examples/README.md",
    "openapi/README.md",
    "sdk/README.md",
    "tests/sandbox/README.md",
];

/// Returns the targets of the relative links on a page.
fn relative_links(text: &str) -> Vec<&str> {
    let ends = text.split("](").skip(1);
    let links = ends.filter_map(|rest| rest.split(')').next());
    links.filter(|link| !link.contains("://")).collect()
}

/// Returns the lines that are not in a code block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Returns the anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = |c: char| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        _ if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    heading.chars().filter_map(kept).collect()
}

fn has_heading(page: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(page).expect("a page");
    prose(&text)
        .filter_map(|line| line.strip_prefix('#'))
        .any(|heading| anchor(heading.trim_start_matches('#').trim()) == wanted)
}

/// Returns the relative links of a page that lead nowhere.
fn broken_links<'a>(page: &Path, text: &'a str) -> Vec<&'a str> {
    let is_broken = |link: &&str| {
        let (file, heading) = link.split_once('#').unwrap_or((link, ""));
        let target = match file {
            "" => page.to_owned(),
            file => page.with_file_name("").join(file),
        };
        !target.exists() || !(heading.is_empty() || has_heading(&target, heading))
    };
    let mut links = relative_links(text);
    links.retain(is_broken);
    links
}

#[test]
fn relative_links_lead_to_files_and_headings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut links = 0;
    for page in PAGES {
        let page: PathBuf = root.join(page);
        let text = fs::read_to_string(&page).expect("a page");
        links += relative_links(&text).len();
        let broken = broken_links(&page, &text);
        assert!(broken.is_empty(), "{}: {broken:?}", page.display());
    }
    assert!(links > 40, "{links} links were found");
    let readme = root.join("README.md");
    let text = "[a](LICENSE-MIT) [b](docs/promises.md#limits-hold) [c](#try-it) [d](none.md) \
                [e](docs/promises.md#none) [f](#none)";
    assert_eq!(
        broken_links(&readme, text),
        ["none.md", "docs/promises.md#none", "#none"]
    );
}

#[test]
fn the_script_on_the_page_of_documents_is_the_one_that_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).expect("a text");
    let script = read("tests/downstream/update-document");
    let page = read("docs/documents.md");
    assert!(page.contains(&format!("\n```sh\n{script}```\n")));
}
