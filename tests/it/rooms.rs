//! Modules import from the rooms below them only: CONTRIBUTING.md shows the order.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

const CONTRIBUTING: &str = include_str!("../../CONTRIBUTING.md");

/// The source folder of a crate, and the rank of each of its rooms, lowest first.
#[derive(Debug)]
struct House {
    source: PathBuf,
    ranks: BTreeMap<String, usize>,
}

/// Reads the blocks marked `rooms`: a crate's source folder, then its rooms, lowest first. Rooms on
/// one line don't import each other.
fn houses(text: &str) -> Vec<House> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let blocks = text.split("```rooms\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap_or_default());
    let house = |block: &str| {
        let mut lines = block.lines();
        let source = root.join(lines.next().expect("a source folder").trim());
        let mut ranks = BTreeMap::new();
        for (rank, line) in lines.enumerate() {
            // What a room is for stands behind two spaces.
            let rooms = line.trim().split("  ").next().unwrap_or_default();
            for room in rooms.split(", ") {
                let earlier = ranks.insert(room.to_owned(), rank);
                assert_eq!(earlier, None, "{room} is listed twice");
            }
        }
        House { source, ranks }
    };
    blocks.map(house).collect()
}

impl House {
    /// Returns what is wrong with a source file.
    fn violations(&self, file: &Path, source: &str) -> Vec<String> {
        let module = module_path(file);
        let Some(room) = module.first().cloned() else {
            // The root re-exports from every room.
            return Vec::new();
        };
        let Some(rank) = self.ranks.get(&room) else {
            return vec![format!("{}: room {room} is not listed", file.display())];
        };
        let tokens: TokenStream = source.parse().expect("valid Rust");
        let mut imports = Vec::new();
        collect_imports(tokens, &module, &mut imports);
        let is_violation = |import: &&Import| {
            let target = import.path.first();
            target != Some(&room)
                && target
                    .and_then(|target| self.ranks.get(target))
                    .is_none_or(|target| target >= rank)
        };
        imports
            .iter()
            .filter(is_violation)
            .map(|import| {
                let path = import.path.join("::");
                format!("{}:{}: imports {path}", file.display(), import.line)
            })
            .collect()
    }
}

/// Returns the path of the module that a file holds, relative to the crate's source folder.
fn module_path(file: &Path) -> Vec<String> {
    let mut path: Vec<_> = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if path
        .last()
        .is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str()))
    {
        path.pop();
    }
    path
}

/// A path to an item of the same crate, from the crate's root.
#[derive(Debug, PartialEq)]
struct Import {
    path: Vec<String>,
    line: usize,
}

/// Collects every path that begins with `crate` or `super`, in macros and in nested modules too.
fn collect_imports(tokens: TokenStream, module: &[String], imports: &mut Vec<Import>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Ident(ident) if ident == "mod" => {
                if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                    (tokens.get(at), tokens.get(at + 1))
                {
                    let nested = [module, &[name.to_string()]].concat();
                    collect_imports(body.stream(), &nested, imports);
                    at += 2;
                }
            }
            TokenTree::Ident(ident) if ident == "crate" && is_path_separator(&tokens, at) => {
                collect_tree(&tokens, at + 2, &[], imports);
            }
            // An alias of the root, or `extern crate self`, would hide what is imported.
            TokenTree::Ident(ident)
                if (ident == "crate" && is_ident(&tokens, at, "as"))
                    || (ident == "extern" && is_ident(&tokens, at, "crate")) =>
            {
                imports.push(Import {
                    path: vec!["an alias of the crate".to_owned()],
                    line: ident.span().start().line,
                });
            }
            TokenTree::Ident(ident) if ident == "super" && is_path_separator(&tokens, at) => {
                let parent = module.split_last().map_or(&[][..], |(_, parent)| parent);
                let mut base = parent.to_vec();
                let mut next = at + 2;
                while is_ident(&tokens, next, "super") && is_path_separator(&tokens, next + 1) {
                    base.pop();
                    next += 3;
                }
                collect_tree(&tokens, next, &base, imports);
                at = next;
            }
            TokenTree::Group(group) => collect_imports(group.stream(), module, imports),
            _ => {}
        }
    }
}

/// Collects the paths of a `use` tree, or the one path, that begins at a token.
fn collect_tree(tokens: &[TokenTree], at: usize, base: &[String], imports: &mut Vec<Import>) {
    match tokens.get(at) {
        // A further `super` leads out of the module that the path names.
        Some(TokenTree::Ident(ident)) if ident == "super" => {
            let base = base.split_last().map_or(&[][..], |(_, parent)| parent);
            collect_tree(tokens, at + 3, base, imports);
        }
        Some(TokenTree::Ident(ident)) => {
            let path = [base, &[ident.to_string()]].concat();
            if is_path_separator(tokens, at + 1) {
                collect_tree(tokens, at + 3, &path, imports);
            } else {
                let line = ident.span().start().line;
                imports.push(Import { path, line });
            }
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<_> = group.stream().into_iter().collect();
            for item in inner.split(is_comma) {
                collect_tree(item, 0, base, imports);
            }
        }
        // A glob import, or a turbofish.
        Some(other) => {
            let line = other.span().start().line;
            imports.push(Import {
                path: base.to_vec(),
                line,
            });
        }
        None => {}
    }
}

fn is_comma(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',')
}

fn is_ident(tokens: &[TokenTree], at: usize, name: &str) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Ident(ident)) if ident == name)
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ':');
    tokens
        .get(at..at + 2)
        .is_some_and(|two| two.iter().all(is_colon))
}

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a source folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn modules_import_from_lower_rooms_only() {
    let houses = houses(CONTRIBUTING);
    assert!(houses.len() == 6, "CONTRIBUTING.md shows the rooms");
    let mut violations = Vec::new();
    for house in &houses {
        let files = source_files(&house.source);
        let relative = |file: &PathBuf| {
            let relative = file.strip_prefix(&house.source).expect("a file below it");
            relative.to_owned()
        };
        for file in &files {
            let source = fs::read_to_string(file).expect("a source file");
            violations.extend(house.violations(&relative(file), &source));
        }
        for room in house.ranks.keys() {
            let exists = files
                .iter()
                .any(|file| module_path(&relative(file)).first() == Some(room));
            assert!(exists, "{}: no room {room}", house.source.display());
        }
    }
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn types_of_a_crate_have_distinct_names() {
    for house in houses(CONTRIBUTING) {
        let mut names = BTreeMap::new();
        for file in source_files(&house.source) {
            let source = fs::read_to_string(&file).expect("a source file");
            let mut types = Vec::new();
            collect_types(source.parse().expect("valid Rust"), &mut types);
            for name in types {
                if let Some(other) = names.insert(name.clone(), file.clone()) {
                    panic!("{name} is in {} and {}", other.display(), file.display());
                }
            }
        }
    }
}

/// Collects the names of the types and traits that are declared, in nested modules too.
fn collect_types(tokens: TokenStream, types: &mut Vec<String>) {
    let mut is_declaration = false;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                let ident = ident.to_string();
                if is_declaration {
                    types.push(ident.clone());
                }
                is_declaration = ["struct", "enum", "union", "trait"].contains(&ident.as_str());
            }
            TokenTree::Group(group) => {
                is_declaration = false;
                collect_types(group.stream(), types);
            }
            _ => is_declaration = false,
        }
    }
}

#[test]
fn imports_that_run_back_up_are_found_in_every_form() {
    let ranks = ["error", "client", "store"].into_iter().enumerate();
    let house = House {
        source: PathBuf::new(),
        ranks: ranks.map(|(rank, room)| (room.to_owned(), rank)).collect(),
    };
    let check = |source: &str| house.violations(Path::new("client/call.rs"), source);
    for allowed in [
        "use crate::error::Error;",
        "use super::Client; use super::retry::decide;",
        "mod tests { use super::*; use super::super::retry; }",
        "pub(crate) fn f() -> crate::client::Client { todo!() }",
        "/// See [`Store`](crate::store::Store).\nfn f() {}",
        "pub(in crate::client) struct S;",
    ] {
        assert!(check(allowed).is_empty(), "{allowed}");
    }
    for forbidden in [
        "use crate::store::Store;",
        "use crate::{error::Error, store::{Store, builder::StoreBuilder}};",
        "use super::super::store::Store;",
        "fn f() { let _ = crate::store::build(); }",
        "macro_rules! m { () => { $crate::store::Store }; }",
        "mod tests { use crate::store::Store; }",
        // By way of the root.
        "use crate::Store;",
        "use crate::*;",
        "mod tests { use super::super::super::Store; }",
        "use super::{super::store::Store};",
        "use super::super as root;",
        "use crate as root;",
        "extern crate self as this;",
    ] {
        assert!(!check(forbidden).is_empty(), "{forbidden}");
    }
    assert_eq!(
        check("use crate::store::Store;\n"),
        ["client/call.rs:1: imports store::Store"]
    );
}
