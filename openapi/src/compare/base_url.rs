use std::collections::{BTreeMap, BTreeSet};

use super::difference::Impact;
use super::finding::{Finding, Kind};
use super::{ConventionChange, OperationPair, report_conventions};
use crate::contract::Operation;
use crate::read::{Endpoint, Node, Source, find_path, split_prefix};
use crate::schema::text;

/// Base URLs as they are printed, by their form without the names of variables.
type BaseUrls = BTreeMap<String, String>;

/// Compares the URLs that paths are relative to. What some documents have in every path, others have in
/// the URLs of their servers.
pub(super) fn compare(
    ours: Source,
    theirs: Source,
    pairs: &[OperationPair],
    found: &mut Vec<Finding>,
) {
    let changes = pairs.iter().map(|(spec, one, other)| {
        let (was, before) = base_urls(ours, spec, one);
        let (is, after) = base_urls(theirs, spec, other);
        let impact = impact(&was, &is);
        let change = impact.map(|impact| {
            let text = format!("is {}, was {}", display(&is), display(&was));
            ConventionChange {
                impact,
                text,
                before,
                after,
            }
        });
        (spec.label(), change)
    });
    report_conventions("base URL", &Kind::BaseUrl, changes.collect(), found);
}

fn impact(was: &BaseUrls, is: &BaseUrls) -> Option<Impact> {
    let is_relative = |url: &&String| !url.contains("://");
    let any_is_relative = was.keys().chain(is.keys()).any(|url| is_relative(&url));
    let forms = |urls: &BaseUrls| -> BTreeSet<String> {
        let form = |url: &String| match any_is_relative {
            true => path_of(url).to_owned(),
            false => url.clone(),
        };
        urls.keys().map(form).collect()
    };
    let (one, other) = (forms(was), forms(is));
    if one == other {
        None
    } else if one.is_empty() || other.is_empty() || one.iter().all(|url| other.contains(url)) {
        Some(Impact::Compatible)
    } else {
        Some(Impact::Breaking)
    }
}

/// Returns the base URLs of an operation, and the place that states them.
fn base_urls<'a>(
    source: Source<'a>,
    spec: &Operation,
    endpoint: &Endpoint<'a>,
) -> (BaseUrls, Node<'a>) {
    let root = Node::root(source.root);
    // Reading the endpoint has shown that its path exists.
    let path = find_path(source, spec.path).unwrap_or_default();
    let (written, path) = path.unwrap_or_else(|| (spec.path, root.clone()));
    let owners = [&endpoint.operation, &path, &root];
    let servers = owners.into_iter().find_map(|owner| owner.get("servers"));
    let (prefix, _) = split_prefix(written);
    let mut urls = BaseUrls::new();
    for server in servers.iter().flat_map(Node::items) {
        let server = text(server.value, "url").trim_end_matches('/');
        let url = format!("{server}{prefix}");
        urls.insert(without_names(&url), url);
    }
    if urls.is_empty() && !prefix.is_empty() {
        urls.insert(without_names(prefix), prefix.to_owned());
    }
    // Without any host or path, nothing is stated.
    urls.remove("");
    (urls, servers.unwrap_or(path))
}

/// Returns a URL whose variables have no names: documents rename them.
pub(super) fn without_names(url: &str) -> String {
    let mut parts = url.split('{');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.split_once('}').map_or(part, |(_, rest)| rest);
        out.push_str("{}");
        out.push_str(rest);
    }
    out
}

fn path_of(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else {
        return url;
    };
    rest.find('/').map_or("", |start| &rest[start..])
}

fn display(urls: &BaseUrls) -> String {
    match urls.is_empty() {
        true => "not stated".to_owned(),
        false => Vec::from_iter(urls.values().cloned()).join(" or "),
    }
}
