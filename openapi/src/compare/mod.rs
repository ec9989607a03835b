//! Compares two documents in the contract's operations.
//!
//! No published crate does this: the best-kept one doesn't classify changed limits and required
//! fields.

mod authentication;
mod base_url;
mod difference;
mod finding;
mod news;
mod pointer;
mod schemas;
mod types;
mod unbound;

use serde_json::Value;

use crate::contract::{OPERATIONS, Operation, is_sent_by_client};
use crate::document::Document;
use crate::error::{Error, Problem};
use crate::read::{
    Detail, Endpoint, Expander, Location, Lookup, Node, Parameter, Source, endpoint, find_path,
    paths, request_schema, resolve_field, response_schema, responses, success_schemas,
};
use crate::schema::{Schema, is_set, text};
use difference::addition;
use finding::{Finding, Kind, Side};
use schemas::{Part, SchemaPair, deprecation};

pub use difference::{Difference, Impact};

impl Document {
    /// Returns the differences between this document and `newer` in the operations that the SDK
    /// binds: breaking ones first, then in the order of the operations.
    ///
    /// Only the content of requests and responses counts, not names, layout, order, descriptions,
    /// examples or defaults:
    ///
    /// - A request that is less restricted than before is compatible; a more restricted one breaks.
    /// - A response that is more restricted than before is compatible; a less restricted one breaks.
    /// - Anything that is removed or changes its type breaks. So does a change whose effect is
    ///   unknown: of a pattern, or of a keyword whose value makes no sense.
    /// - New response fields, new response statuses and deprecations are compatible.
    /// - The base URL breaks if it is another one, and the authentication if the access token in
    ///   `X-Auth-Token` no longer serves.
    /// - Operations and paths that the SDK doesn't bind are ignored: only their coming and going is
    ///   said.
    /// - The sub-resources of a customer don't count, because the SDK leaves them out.
    ///
    /// These changes are not detected: in the order of `oneOf` members and in their discriminators; in
    /// the bodies and headers of error responses, in headers of any response; in media types other than
    /// JSON; in patterns that mean the same; in keywords that don't fit a schema's type; in patterns,
    /// formats, compositions and the like that two parts of an `allOf` have; in values of variables in
    /// base URLs; in styles of parameters that are not lists; in scopes of authentication; in schemas that
    /// refer back to themselves; in behaviour that only prose describes.
    ///
    /// # Errors
    ///
    /// Returns an error if a document has none of the SDK's paths, contradicts itself, or has a
    /// reference that doesn't resolve.
    pub fn compare(&self, newer: &Self) -> Result<Vec<Difference>, Error> {
        Ok(sorted(findings(self, newer)?))
    }

    /// Returns the differences between the vendored document and this one that are news to a program
    /// that was written against the SDK as it is generated from the vendored document:
    ///
    /// - what changes a generated public name, its type, or whether it is optional,
    /// - what the SDK sends and this document no longer admits,
    /// - responses that the generated types can't read,
    /// - deprecations, and operations and paths that the SDK doesn't bind.
    ///
    /// What preparing a document adds or loosens is no news, and neither are statuses and bodies of
    /// errors. If [`prepare`](Self::prepare) rejects the document, its types are unknown: the result
    /// then has the other differences.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`compare`](Self::compare).
    pub fn news(&self) -> Result<Vec<Difference>, Error> {
        Ok(sorted(news::news(&Self::vendored()?, self)?))
    }
}

/// Returns the differences by impact, and within it in the order of the operations.
fn sorted(found: Vec<Finding>) -> Vec<Difference> {
    let labels = OPERATIONS.each_ref().map(Operation::label);
    let mut differences: Vec<_> = found.into_iter().map(|found| found.difference).collect();
    differences.sort_by_cached_key(|difference| {
        let (operation, _) = difference.subject.split_once(": ").unwrap_or_default();
        let order = labels.iter().position(|label| label == operation);
        (difference.impact, order.unwrap_or(OPERATIONS.len()))
    });
    differences
}

fn findings(older: &Document, newer: &Document) -> Result<Vec<Finding>, Error> {
    let [ours, theirs] = [older, newer].map(|document| Source::new(&document.root));
    for (source, document) in [(ours, older), (theirs, newer)] {
        require_our_paths(source).map_err(|problem| problem.in_document(&document.name))?;
    }
    let mut found = Vec::new();
    let mut pairs = Vec::new();
    for spec in &OPERATIONS {
        let read = |source, document: &Document| {
            endpoint(source, spec, Detail::Comparison)
                .map_err(|problem: Problem| problem.in_document(&document.name))
        };
        let (one, other) = (read(ours, older)?, read(theirs, newer)?);
        compare_operation(spec, (ours, &one), (theirs, &other), &mut found);
        if let (Lookup::Operation(one), Lookup::Operation(other)) = (one, other) {
            pairs.push((spec, one, other));
        }
    }
    authentication::compare(ours, theirs, &pairs, &mut found);
    base_url::compare(ours, theirs, &pairs, &mut found);
    unbound::compare(ours, theirs, &mut found);
    Ok(found)
}

/// A change of what applies to an operation, and its places in both documents.
struct ConventionChange<'a> {
    impact: Impact,
    text: String,
    before: Node<'a>,
    after: Node<'a>,
}

/// Reports the change of each operation, by its label: once for all operations, if it is the same.
fn report_conventions(
    part: &str,
    kind: &Kind,
    changes: Vec<(String, Option<ConventionChange>)>,
    found: &mut Vec<Finding>,
) {
    let text = |change: &Option<ConventionChange>| {
        let change = change.as_ref();
        change.map(|change| change.text.clone())
    };
    let first = changes.first().map(|(_, change)| text(change));
    let is_common = changes
        .iter()
        .all(|(_, change)| Some(text(change)) == first);
    let count = if is_common { 1 } else { changes.len() };
    for (label, change) in changes.into_iter().take(count) {
        let Some(change) = change else { continue };
        let label = if is_common { "all operations" } else { &label };
        let location = Location::new(label, part);
        let at = (&location, Side::Operation);
        let nodes = (&change.before, &change.after);
        found.push(Finding::new(
            change.impact,
            at,
            change.text,
            nodes,
            kind.clone(),
        ));
    }
}

/// An operation that both documents have.
type OperationPair<'a> = (&'static Operation, Box<Endpoint<'a>>, Box<Endpoint<'a>>);

/// Rejects a document of something else.
fn require_our_paths(source: Source) -> Result<(), Problem> {
    let mut ours: Vec<_> = OPERATIONS.iter().map(|operation| operation.path).collect();
    ours.dedup();
    for path in &ours {
        if find_path(source, path)?.is_some() {
            return Ok(());
        }
    }
    Err(Problem::new(format!(
        "has none of the SDK's paths ({}): give a document of BigCommerce's Customers V3 endpoints",
        ours.join(", ")
    )))
}

fn compare_operation<'a>(
    spec: &'static Operation,
    ours: (Source<'a>, &Lookup<'a>),
    theirs: (Source<'a>, &Lookup<'a>),
    found: &mut Vec<Finding>,
) {
    let mut add = |impact, change, before: &Node, after: &Node| {
        let location = Location::operation(&spec.label());
        let at = (&location, Side::Operation);
        found.push(Finding::new(
            impact,
            at,
            change,
            (before, after),
            Kind::Presence,
        ));
    };
    match (ours.1, theirs.1) {
        (Lookup::Operation(one), Lookup::Operation(other)) => {
            let mut endpoints = EndpointPair {
                spec,
                label: spec.label(),
                ours: (ours.0, one),
                theirs: (theirs.0, other),
                found,
            };
            endpoints.deprecation();
            endpoints.parameters();
            endpoints.request();
            endpoints.responses();
        }
        (Lookup::Operation(one), Lookup::PathOnly | Lookup::Missing) => {
            let after = parent(theirs.0, spec);
            add(Impact::Breaking, "is missing", &one.operation, &after);
        }
        (Lookup::PathOnly | Lookup::Missing, Lookup::Operation(other)) => {
            let before = parent(ours.0, spec);
            add(Impact::Compatible, "is new", &before, &other.operation);
        }
        _ => (),
    }
}

/// Returns the node that holds an operation, or would hold its path.
fn parent<'a>(source: Source<'a>, spec: &Operation) -> Node<'a> {
    let path = find_path(source, spec.path).unwrap_or_default();
    path.map_or_else(|| paths(source), |(_, node)| node)
}

/// An operation in both documents.
struct EndpointPair<'a, 'f> {
    spec: &'static Operation,
    label: String,
    ours: (Source<'a>, &'f Endpoint<'a>),
    theirs: (Source<'a>, &'f Endpoint<'a>),
    found: &'f mut Vec<Finding>,
}

impl<'a> EndpointPair<'a, '_> {
    fn add(
        &mut self,
        impact: Impact,
        at: (&Location, Side),
        change: &str,
        nodes: (&Node, &Node),
        kind: Kind,
    ) {
        self.found
            .push(Finding::new(impact, at, change, nodes, kind));
    }

    fn add_parameter(
        &mut self,
        impact: Impact,
        parameter: &Parameter,
        change: &str,
        nodes: (&Node, &Node),
        kind: Kind,
    ) {
        let location = self.parameter_location(parameter);
        let finding = Finding::new(impact, (&location, Side::Parameter), change, nodes, kind);
        self.found.push(finding.named(parameter.name()));
    }

    fn location(&self, part: &str) -> Location {
        Location::new(&self.label, part)
    }

    fn schemas(
        &mut self,
        part: Part,
        location: Location,
        ours: SchemaNode<'a, '_>,
        theirs: SchemaNode<'a, '_>,
    ) {
        let pair = SchemaPair::new(part, (self.ours.0, ours.node), (self.theirs.0, theirs.node));
        pair.compare(location, ours.schema, theirs.schema, self.found);
    }

    fn deprecation(&mut self) {
        let [before, after] = [self.ours, self.theirs].map(|(_, endpoint)| &endpoint.operation);
        let is_deprecated = |node: &Node| is_set(node.value, "deprecated");
        if let Some(change) = deprecation(is_deprecated(before), is_deprecated(after)) {
            let location = Location::operation(&self.label);
            let at = (&location, Side::Operation);
            self.add(
                Impact::Compatible,
                at,
                change,
                (before, after),
                Kind::Deprecation,
            );
        }
    }

    fn parameters(&mut self) {
        let theirs = self.theirs.1;
        for ours in user_parameters(self.ours.1) {
            let breaking = Impact::Breaking;
            match user_parameters(theirs).find(|theirs| theirs.is_same(ours)) {
                Some(theirs) => self.parameter(ours, theirs),
                None => {
                    let nodes = (&ours.node, &theirs.operation);
                    self.add_parameter(breaking, ours, "is missing", nodes, Kind::Presence);
                }
            }
        }
        for new in user_parameters(theirs) {
            if user_parameters(self.ours.1).any(|ours| ours.is_same(new)) {
                continue;
            }
            let (impact, change) = addition(new.is_required());
            let kind = match new.is_required() {
                true => Kind::Required,
                false => Kind::Presence,
            };
            let nodes = (&self.ours.1.operation, &new.node);
            self.add_parameter(impact, new, change, nodes, kind);
        }
    }

    fn parameter(&mut self, ours: &Parameter<'a>, theirs: &Parameter<'a>) {
        let nodes = (&ours.node, &theirs.node);
        if let Some((impact, change)) = requirement(ours.is_required(), theirs.is_required()) {
            self.add_parameter(impact, ours, change, nodes, Kind::Required);
        }
        let [was, is] = [ours, theirs].map(|parameter| is_set(parameter.node.value, "deprecated"));
        let is_said = deprecation(was, is);
        if let Some(change) = is_said {
            let kind = Kind::Deprecation;
            self.add_parameter(Impact::Compatible, ours, change, nodes, kind);
        }
        let [was, is] = [ours, theirs].map(list_style);
        let is_list = [ours, theirs]
            .iter()
            .all(|parameter| has_list_style(parameter));
        let [content_was, content_is] = [ours, theirs].map(content);
        if content_was != content_is {
            let describe = |media: Option<&str>| {
                media.map_or_else(|| "not set".to_owned(), |media| format!("{media:?}"))
            };
            let (is, was) = (describe(content_is), describe(content_was));
            let change = format!("content is {is}, was {was}");
            let kind = Kind::Serialization;
            self.add_parameter(Impact::Breaking, ours, &change, nodes, kind);
        } else if was != is && is_list {
            let (keyword, was, is) = match was.style == is.style {
                true => ("explode", was.explode.to_string(), is.explode.to_string()),
                false => ("style", was.style.to_owned(), is.style.to_owned()),
            };
            let change = format!("{keyword} is {is}, was {was}");
            let kind = Kind::Serialization;
            self.add_parameter(Impact::Breaking, ours, &change, nodes, kind);
        }
        self.odd_keywords(ours, theirs);
        let part = Part::Parameter(ours.name());
        let location = self.parameter_location(ours);
        let [ours, theirs] = [ours, theirs].map(SchemaNode::parameter);
        let found_before = self.found.len();
        self.schemas(part, location, ours, theirs);
        if is_said.is_some() {
            // The schema may say it once more.
            let mut index = 0;
            self.found.retain(|found| {
                index += 1;
                index <= found_before || found.kind != Kind::Deprecation
            });
        }
    }

    /// Reports the keywords of a parameter, beside its schema, whose values make no sense.
    fn odd_keywords(&mut self, ours: &Parameter<'a>, theirs: &Parameter<'a>) {
        for keyword in ["required", "deprecated", "explode", "style"] {
            let odd = |parameter: &Parameter<'a>| {
                let node = parameter.node.get(keyword);
                node.filter(|node| match keyword {
                    "style" => !node.value.is_string(),
                    _ => !node.value.is_boolean(),
                })
            };
            let change = match (odd(ours), odd(theirs)) {
                (was, Some(is)) if was.as_ref().is_none_or(|was| was.value != is.value) => {
                    format!("{keyword} is {}, which makes no sense", is.value)
                }
                (Some(was), None) => format!("{keyword} makes sense, was {}", was.value),
                _ => continue,
            };
            let nodes = (&ours.node, &theirs.node);
            self.add_parameter(Impact::Breaking, ours, &change, nodes, Kind::Odd);
        }
    }

    fn parameter_location(&self, parameter: &Parameter) -> Location {
        let (sent_in, name) = (parameter.sent_in(), parameter.name());
        self.location(&format!("{sent_in} parameter \"{name}\""))
    }

    fn request(&mut self) {
        let location = self.location("request");
        let at = (&location, Side::Request);
        let (one, other) = (self.ours.1, self.theirs.1);
        let [our_body, their_body] =
            [self.ours, self.theirs].map(|(source, endpoint)| request_body(source, endpoint));
        let is_required =
            |body: &Option<Node>| body.as_ref().is_some_and(|b| is_set(b.value, "required"));
        let [ours, theirs] = [self.ours, self.theirs].map(SchemaNode::request);
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => {
                if let (Some(before), Some(after)) = (&our_body, &their_body)
                    && let Some((impact, change)) =
                        requirement(is_required(&our_body), is_required(&their_body))
                {
                    self.add(impact, at, change, (before, after), Kind::Required);
                }
                self.schemas(Part::Request, location, ours, theirs);
            }
            (Some(ours), None) => {
                let nodes = (&ours.node, &other.operation);
                self.add(Impact::Breaking, at, "is missing", nodes, Kind::Presence);
            }
            (None, Some(theirs)) => {
                let (impact, change) = addition(is_required(&their_body));
                let nodes = (&one.operation, &theirs.node);
                let kind = match is_required(&their_body) {
                    true => Kind::Required,
                    false => Kind::Presence,
                };
                self.add(impact, at, change, nodes, kind);
            }
            (None, None) => (),
        }
    }

    fn responses(&mut self) {
        self.statuses();
        let location = self.location("response");
        let at = (&location, Side::Response);
        let (one, other) = (self.ours.1, self.theirs.1);
        let [ours, theirs] = [self.ours, self.theirs].map(SchemaNode::response);
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => {
                self.schemas(Part::Response, location, ours, theirs);
            }
            // A status that comes or goes with its schema is one change.
            (Some(_), None) if !has_first_status(self.spec, self.ours, self.theirs) => (),
            (None, Some(_)) if !has_first_status(self.spec, self.theirs, self.ours) => (),
            (Some(ours), None) => {
                let change = "no longer has a JSON schema";
                let nodes = (&ours.node, &other.operation);
                self.add(Impact::Breaking, at, change, nodes, Kind::Presence);
            }
            (None, Some(theirs)) => {
                let change = "now has a JSON schema";
                let nodes = (&one.operation, &theirs.node);
                self.add(Impact::Compatible, at, change, nodes, Kind::Presence);
            }
            (None, None) => (),
        }
        self.other_responses();
    }

    /// Compares the schemas of the other successful responses that both documents have.
    fn other_responses(&mut self) {
        let [one, other] = [self.ours, self.theirs]
            .map(|(source, endpoint)| other_responses(source, self.spec, endpoint));
        for theirs in &other {
            let location = self.location(&format!("response {}", theirs.status));
            let mut ours = one.iter();
            if let Some(ours) = ours.find(|ours| ours.status == theirs.status) {
                let [ours, theirs] = [ours, theirs].map(SchemaNode::success);
                self.schemas(Part::Response, location, ours, theirs);
            } else if let Some(before) = without_schema(self.ours, theirs.status) {
                let (impact, change, kind) = match self.is_another(theirs.status) {
                    true => (
                        Impact::Breaking,
                        "now has a JSON schema, and its records are not those of the response",
                        Kind::OtherResponse,
                    ),
                    false => (Impact::Compatible, "now has a JSON schema", Kind::Presence),
                };
                let at = (&location, Side::Response);
                self.add(impact, at, change, (&before, &theirs.node), kind);
            }
        }
        for ours in &one {
            if let Some(after) = without_schema(self.theirs, ours.status) {
                let location = self.location(&format!("response {}", ours.status));
                let at = (&location, Side::Response);
                let change = "no longer has a JSON schema";
                let nodes = (&ours.node, &after);
                self.add(Impact::Breaking, at, change, nodes, Kind::Presence);
            }
        }
    }

    fn statuses(&mut self) {
        let (one, other) = (self.ours.1, self.theirs.1);
        // Reading the endpoints has shown that these references resolve.
        let [ours, theirs] = [self.ours, self.theirs]
            .map(|(source, endpoint)| responses(source, &endpoint.operation).unwrap_or_default());
        let success = self.spec.success;
        let has = |responses: &[(&str, Node)], status: &str| {
            let mut responses = responses.iter();
            responses.any(|(other, _)| covers(other, status, success))
        };
        for (status, node) in ours.iter().filter(|(status, _)| !has(&theirs, status)) {
            let impact = if status.starts_with('2') {
                Impact::Breaking
            } else {
                Impact::Compatible
            };
            let location = self.location(&format!("response {status}"));
            let at = (&location, Side::Response);
            self.add(
                impact,
                at,
                "is missing",
                (node, &other.operation),
                Kind::Status,
            );
        }
        for (status, node) in &theirs {
            let location = self.location(&format!("response {status}"));
            let at = (&location, Side::Response);
            let nodes = (&one.operation, node);
            let is_another = ours.iter().all(|(own, _)| own != status) && self.is_another(status);
            if is_another {
                let change = "is new, and its records are not those of the response";
                self.add(Impact::Breaking, at, change, nodes, Kind::OtherResponse);
            } else if !has(&ours, status) {
                self.add(Impact::Compatible, at, "is new", nodes, Kind::Status);
            }
        }
    }

    /// Returns `true` if the newer document has a successful response with this status beside the one
    /// that counts, and a program that knows the older response can't read it.
    fn is_another(&self, status: &str) -> bool {
        let (source, endpoint) = self.theirs;
        let others = other_responses(source, self.spec, endpoint);
        let (Some(ours), Some(theirs)) = (
            SchemaNode::response(self.ours),
            others.iter().find(|other| other.status == status),
        ) else {
            return false;
        };
        let theirs = SchemaNode::success(theirs);
        let pair = SchemaPair::new(
            Part::Response,
            (self.ours.0, ours.node),
            (self.theirs.0, theirs.node),
        );
        let mut found = Vec::new();
        pair.compare(
            self.location("response"),
            ours.schema,
            theirs.schema,
            &mut found,
        );
        found.iter().any(Finding::is_breaking)
    }
}

/// Compares whether a parameter or request body is required.
fn requirement(was_required: bool, is_required: bool) -> Option<(Impact, &'static str)> {
    match (was_required, is_required) {
        (false, true) => Some((Impact::Breaking, "is required, was optional")),
        (true, false) => Some((Impact::Compatible, "is optional, was required")),
        _ => None,
    }
}

/// A successful response beside the one with the most precise status.
struct Success<'a> {
    status: &'a str,
    /// The place of its schema.
    node: Node<'a>,
    schema: Schema,
}

fn other_responses<'a>(
    source: Source<'a>,
    spec: &Operation,
    endpoint: &Endpoint<'a>,
) -> Vec<Success<'a>> {
    // Reading the endpoint has shown that the references resolve.
    let schemas = success_schemas(source, &endpoint.operation).unwrap_or_default();
    let location = Location::new(&spec.label(), "response");
    let others = schemas.into_iter().skip(1);
    let mut expander = Expander::new(source, spec.returns, Detail::Comparison);
    others
        .map(|(status, node)| Success {
            status,
            schema: expander.expand_aside(node.value, &location),
            node,
        })
        .collect()
}

/// Returns `true` if the second document has the status of the response that counts in the first one.
fn has_first_status<'a>(
    spec: &Operation,
    (source, endpoint): (Source<'a>, &Endpoint<'a>),
    (other_source, other): (Source<'a>, &Endpoint<'a>),
) -> bool {
    let schemas = success_schemas(source, &endpoint.operation).unwrap_or_default();
    let others = responses(other_source, &other.operation).unwrap_or_default();
    let mut first = schemas.iter().take(1);
    first.any(|(status, _)| {
        let mut others = others.iter();
        others.any(|(other, _)| covers(other, status, spec.success))
    })
}

/// Returns the response with this status, if the document has it without a JSON schema.
fn without_schema<'a>(
    (source, endpoint): (Source<'a>, &Endpoint<'a>),
    status: &str,
) -> Option<Node<'a>> {
    let schemas = success_schemas(source, &endpoint.operation).unwrap_or_default();
    if schemas.iter().any(|(other, _)| *other == status) {
        return None;
    }
    let responses = responses(source, &endpoint.operation).unwrap_or_default();
    let mut responses = responses.into_iter();
    let found = responses.find(|(other, _)| *other == status);
    found.map(|(_, node)| node)
}

fn request_body<'a>(source: Source<'a>, endpoint: &Endpoint<'a>) -> Option<Node<'a>> {
    // Reading the endpoint has shown that the reference resolves.
    resolve_field(source, &endpoint.operation, "requestBody").unwrap_or_default()
}

/// Returns the media type in which a parameter is written, if it has one.
fn content<'a>(parameter: &Parameter<'a>) -> Option<&'a str> {
    let content = parameter.node.get("content")?;
    let first = content.fields().next();
    first
        .map(|(media, _)| media)
        .filter(|_| parameter.node.get("schema").is_none())
}

/// How a list is written in a URL.
#[derive(PartialEq)]
struct ListStyle<'a> {
    style: &'a str,
    explode: bool,
}

fn list_style<'a>(parameter: &Parameter<'a>) -> ListStyle<'a> {
    let value = parameter.node.value;
    let style = match (text(value, "style"), parameter.sent_in()) {
        ("", "query" | "cookie") => "form",
        ("", _) => "simple",
        (style, _) => style,
    };
    let explode = value.get("explode").and_then(Value::as_bool);
    ListStyle {
        style,
        explode: has_list(parameter) && explode.unwrap_or(style == "form"),
    }
}

/// Returns `true` if a parameter's style says how its values are written.
fn has_list_style(parameter: &Parameter) -> bool {
    let is_joined_text = parameter.name().ends_with(":in");
    has_list(parameter) || is_joined_text
}

fn has_list(parameter: &Parameter) -> bool {
    let kind = parameter.schema.get("type");
    kind.is_some_and(|kind| kind == "array")
}

/// Returns `true` if a response of status `one` includes one of status `other`: as a class of
/// statuses, as `default`, or because both mean success.
fn covers(one: &str, other: &str, success: &[&str]) -> bool {
    let is_class = |status: &str| {
        let class = status.get(1..);
        class.is_some_and(|class| class.eq_ignore_ascii_case("XX"))
    };
    one == other
        || one == "default"
        || (one.get(..1) == other.get(..1) && (is_class(one) || is_class(other)))
        || (success.contains(&one) && success.contains(&other))
}

/// Returns the parameters that the client doesn't set itself.
fn user_parameters<'e, 'a>(endpoint: &'e Endpoint<'a>) -> impl Iterator<Item = &'e Parameter<'a>> {
    let is_user_parameter = |p: &&Parameter| !is_sent_by_client(p.sent_in(), p.name());
    endpoint.parameters.iter().filter(is_user_parameter)
}

/// A schema's place in its document, and its expanded form.
struct SchemaNode<'a, 'e> {
    node: Node<'a>,
    schema: &'e Schema,
}

impl<'a, 'e> SchemaNode<'a, 'e> {
    fn parameter(parameter: &'e Parameter<'a>) -> Self {
        let node = &parameter.node;
        Self {
            node: node.get("schema").unwrap_or_else(|| node.clone()),
            schema: &parameter.schema,
        }
    }

    // Reading the endpoint has shown that its references resolve.
    fn request((source, endpoint): (Source<'a>, &'e Endpoint<'a>)) -> Option<Self> {
        let node = request_schema(source, &endpoint.operation).unwrap_or_default()?;
        let schema = endpoint.request.as_ref()?;
        Some(Self { node, schema })
    }

    fn response((source, endpoint): (Source<'a>, &'e Endpoint<'a>)) -> Option<Self> {
        let node = response_schema(source, &endpoint.operation).unwrap_or_default()?;
        let schema = endpoint.response.as_ref()?;
        Some(Self { node, schema })
    }

    fn success(success: &'e Success<'a>) -> Self {
        Self {
            node: success.node.clone(),
            schema: &success.schema,
        }
    }
}
