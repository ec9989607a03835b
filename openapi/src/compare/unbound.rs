use std::collections::BTreeMap;

use super::base_url::without_names;
use super::difference::Impact;
use super::finding::{Finding, Kind, Side};
use crate::contract::OPERATIONS;
use crate::read::{Location, Node, Source, paths, split_prefix};

/// The methods that a path can have.
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "patch", "head", "options", "trace",
];

/// A path, its text in the document, and its operations that the SDK doesn't bind, by method.
struct UnboundPath<'a> {
    text: &'a str,
    node: Node<'a>,
    operations: BTreeMap<&'static str, Node<'a>>,
}

/// Names the operations and paths that come and go, and that the SDK doesn't bind.
pub(super) fn compare(ours: Source, theirs: Source, found: &mut Vec<Finding>) {
    let [one, other] = [ours, theirs].map(unbound);
    let [our_paths, their_paths] = [ours, theirs].map(paths);
    let mut add = |name: &str, change: &str, nodes: (&Node, &Node)| {
        let location = Location::operation(name);
        let change = format!("{change}, and the SDK doesn't bind it");
        let at = (&location, Side::Operation);
        found.push(Finding::new(
            Impact::Ignored,
            at,
            change,
            nodes,
            Kind::NotBound,
        ));
    };
    for (path, new) in &other {
        let own = one.get(path);
        if own.is_none() && !is_bound(path) {
            add(new.text, "is new", (&our_paths, &new.node));
            continue;
        }
        let before = own.map_or(&our_paths, |own| &own.node);
        for (method, node) in &new.operations {
            if own.is_none_or(|own| !own.operations.contains_key(method)) {
                let name = format!("{} {}", method.to_uppercase(), new.text);
                add(&name, "is new", (before, node));
            }
        }
    }
    for (path, own) in &one {
        let Some(new) = other.get(path) else {
            // The operations that the SDK binds are reported one by one.
            if !is_bound(path) {
                add(own.text, "is missing", (&own.node, &their_paths));
            }
            continue;
        };
        for (method, node) in &own.operations {
            if !new.operations.contains_key(method) {
                let name = format!("{} {}", method.to_uppercase(), own.text);
                add(&name, "is missing", (node, &new.node));
            }
        }
    }
}

fn unbound(source: Source<'_>) -> BTreeMap<String, UnboundPath<'_>> {
    let mut found = BTreeMap::new();
    // Extensions (`x-…`) are no paths.
    for (text, node) in paths(source)
        .fields()
        .filter(|(text, _)| text.starts_with('/'))
    {
        let (_, text) = split_prefix(text);
        let node = source.follow(node.clone()).unwrap_or(node);
        let operation = |method: &'static str| {
            let bound = OPERATIONS
                .iter()
                .any(|ours| ours.path == text && ours.method == method);
            let operation = node.get(method).filter(|node| node.value.is_object());
            Some((method, operation.filter(|_| !bound)?))
        };
        let operations: BTreeMap<_, _> = METHODS.into_iter().filter_map(operation).collect();
        let path = without_names(text);
        if is_bound(&path) || !operations.is_empty() {
            let item = UnboundPath {
                text,
                node: node.clone(),
                operations,
            };
            found.insert(path, item);
        }
    }
    found
}

fn is_bound(path: &str) -> bool {
    OPERATIONS.iter().any(|operation| operation.path == path)
}
