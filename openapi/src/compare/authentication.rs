use std::collections::BTreeSet;

use super::difference::Impact;
use super::finding::{Finding, Kind};
use super::{ConventionChange, OperationPair, report_conventions};
use crate::contract::{TOKEN_HEADER, is_authentication_header};
use crate::read::{Endpoint, Node, Source};
use crate::schema::text;

/// What a request needs to be accepted: one of these combinations of credentials, each as it is printed.
#[derive(Clone, Debug, PartialEq)]
enum Needs {
    NotStated,
    OneOf(BTreeSet<BTreeSet<String>>),
}

impl Needs {
    /// Returns `true` if the access token that the SDK sends serves.
    fn are_met(&self) -> bool {
        let token = credential("header", TOKEN_HEADER);
        match self {
            Self::NotStated => true,
            Self::OneOf(combinations) => combinations
                .iter()
                .any(|combination| combination.iter().all(|needed| *needed == token)),
        }
    }
}

impl std::fmt::Display for Needs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::OneOf(combinations) = self else {
            return f.write_str("not stated");
        };
        let describe = |combination: &BTreeSet<String>| match combination.is_empty() {
            true => "nothing".to_owned(),
            false => Vec::from_iter(combination.iter().cloned()).join(" and "),
        };
        let combinations: Vec<_> = combinations.iter().map(describe).collect();
        f.write_str(&combinations.join(" or "))
    }
}

/// Compares how requests authenticate.
pub(super) fn compare(
    ours: Source,
    theirs: Source,
    pairs: &[OperationPair],
    found: &mut Vec<Finding>,
) {
    let changes = pairs.iter().map(|(spec, one, other)| {
        let (was, before) = needs(ours, one);
        let (is, after) = needs(theirs, other);
        let change = (was != is).then(|| {
            let impact = match is.are_met() {
                true => Impact::Compatible,
                false => Impact::Breaking,
            };
            let text = format!("is {is}, was {was}");
            ConventionChange {
                impact,
                text,
                before,
                after,
            }
        });
        (spec.label(), change)
    });
    report_conventions(
        "authentication",
        &Kind::Authentication,
        changes.collect(),
        found,
    );
}

/// Returns what an operation needs, and the place that says so.
fn needs<'a>(source: Source<'a>, endpoint: &Endpoint<'a>) -> (Needs, Node<'a>) {
    let root = Node::root(source.root);
    let stated = |owner: &Node<'a>| owner.get("security").filter(|node| node.value.is_array());
    let security = stated(&endpoint.operation).or_else(|| stated(&root));
    let mut place = security.clone().unwrap_or(root);
    let mut combinations: BTreeSet<BTreeSet<String>> = BTreeSet::new();
    for combination in security.iter().flat_map(Node::items) {
        let schemes = combination.fields().map(|(name, _)| {
            let (scheme, node) = scheme(source, name);
            if let Some(node) = node {
                place = node;
            }
            scheme
        });
        combinations.insert(schemes.collect());
    }
    if security.is_some() && combinations.is_empty() {
        combinations.insert(BTreeSet::new());
    }
    // Documents declare the header as a parameter, too.
    let headers = endpoint.parameters.iter().filter(|parameter| {
        parameter.sent_in() == "header" && is_authentication_header(parameter.name())
    });
    for header in headers {
        let header = credential("header", header.name());
        if combinations.is_empty() {
            combinations.insert(BTreeSet::new());
        }
        let with_header = |mut combination: BTreeSet<String>| {
            combination.insert(header.clone());
            combination
        };
        combinations = combinations.into_iter().map(with_header).collect();
    }
    match combinations.is_empty() {
        true => (Needs::NotStated, place),
        false => (Needs::OneOf(combinations), place),
    }
}

/// Returns a security scheme as it is printed, and its place.
fn scheme<'a>(source: Source<'a>, name: &str) -> (String, Option<Node<'a>>) {
    let components = Node::root(source.root).get("components");
    let scheme = components
        .and_then(|components| components.get("securitySchemes")?.get(name))
        .and_then(|scheme| source.follow(scheme).ok());
    let Some(node) = scheme else {
        return (format!("the scheme {name:?}, which is not defined"), None);
    };
    let value = node.value;
    let described = match text(value, "type") {
        "apiKey" => credential(text(value, "in"), text(value, "name")),
        "http" => format!("HTTP {}", text(value, "scheme").to_lowercase()),
        other => other.to_owned(),
    };
    (described, Some(node))
}

fn credential(place: &str, name: &str) -> String {
    // Names of headers ignore case.
    let name = match place {
        "header" => name.to_lowercase(),
        _ => name.to_owned(),
    };
    format!("{place} {name:?}")
}
