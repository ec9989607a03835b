//! Compares two documents in the contract's operations.
//!
//! No published crate does this: the best-kept one doesn't classify changed limits and required
//! fields.

mod difference;
mod pointer;
mod schemas;

use serde_json::Value;

use crate::contract::{OPERATIONS, Operation, is_sent_by_client};
use crate::document::Document;
use crate::error::{Error, Problem};
use crate::read::{
    Endpoint, Location, Lookup, Node, Parameter, Source, endpoint, find_path, paths,
    request_schema, resolve_field, response_schema, responses,
};
use crate::schema::{Schema, is_set, text};
use difference::addition;
use schemas::{Part, SchemaPair};

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
    /// - Anything that is removed or changes its type breaks.
    /// - New response fields and new response statuses are compatible.
    /// - The sub-resources of a customer don't count, because the SDK leaves them out.
    ///
    /// Some changes are not detected: within `oneOf`, `anyOf` and `not` (only their presence and
    /// number of schemas count), in `additionalProperties`, in the number of an object's fields, in
    /// the formats of parameters and numbers, in a second successful response, and in the bodies of
    /// error responses. A keyword with a value of the wrong type counts as not set.
    ///
    /// # Errors
    ///
    /// Returns an error if a document contradicts itself, or has a reference that doesn't resolve.
    pub fn compare(&self, newer: &Self) -> Result<Vec<Difference>, Error> {
        let [ours, theirs] = [self, newer].map(|document| Source::new(&document.root));
        let mut found = Vec::new();
        for spec in &OPERATIONS {
            let read = |source, document: &Self| {
                endpoint(source, spec)
                    .map_err(|problem: Problem| problem.in_document(&document.name))
            };
            let (one, other) = (read(ours, self)?, read(theirs, newer)?);
            compare_operation(spec, (ours, &one), (theirs, &other), &mut found);
        }
        found.sort_by_key(|difference| difference.impact);
        Ok(found)
    }
}

fn compare_operation(
    spec: &Operation,
    ours: (Source, &Lookup),
    theirs: (Source, &Lookup),
    found: &mut Vec<Difference>,
) {
    let mut add = |impact, change, before, after| {
        let difference = Difference::new(impact, spec.label(), change, before, after);
        found.push(difference);
    };
    match (ours.1, theirs.1) {
        (Lookup::Operation(one), Lookup::Operation(other)) => {
            let mut endpoints = EndpointPair {
                label: spec.label(),
                success: spec.success,
                ours: (ours.0, one),
                theirs: (theirs.0, other),
                found,
            };
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
    path.unwrap_or_else(|| paths(source))
}

/// An operation in both documents.
struct EndpointPair<'a, 'f> {
    label: String,
    /// The statuses that the SDK accepts as success.
    success: &'static [&'static str],
    ours: (Source<'a>, &'f Endpoint<'a>),
    theirs: (Source<'a>, &'f Endpoint<'a>),
    found: &'f mut Vec<Difference>,
}

impl<'a> EndpointPair<'a, '_> {
    fn add(
        &mut self,
        impact: Impact,
        location: &Location,
        change: &str,
        before: &Node,
        after: &Node,
    ) {
        let subject = location.to_string();
        self.found
            .push(Difference::new(impact, subject, change, before, after));
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

    fn parameters(&mut self) {
        let theirs = self.theirs.1;
        for ours in user_parameters(self.ours.1) {
            let location = self.parameter_location(ours);
            match user_parameters(theirs).find(|theirs| theirs.is_same(ours)) {
                Some(theirs) => {
                    self.requirement(
                        &location,
                        (ours.is_required(), &ours.node),
                        (theirs.is_required(), &theirs.node),
                    );
                    self.explode(&location, ours, theirs);
                    let part = Part::Parameter(ours.name());
                    let [ours, theirs] = [ours, theirs].map(SchemaNode::parameter);
                    self.schemas(part, location, ours, theirs);
                }
                None => {
                    let after = &theirs.operation;
                    self.add(Impact::Breaking, &location, "is missing", &ours.node, after);
                }
            }
        }
        for new in user_parameters(theirs) {
            if user_parameters(self.ours.1).any(|ours| ours.is_same(new)) {
                continue;
            }
            let (impact, change) = addition(new.is_required());
            let location = self.parameter_location(new);
            let before = &self.ours.1.operation;
            self.add(impact, &location, change, before, &new.node);
        }
    }

    /// Compares whether a list is sent as one parameter per item or joined by commas.
    fn explode(&mut self, location: &Location, ours: &Parameter, theirs: &Parameter) {
        let (was, is) = (is_exploded(ours), is_exploded(theirs));
        if was != is {
            let change = format!("explode is {is}, was {was}");
            self.add(
                Impact::Breaking,
                location,
                &change,
                &ours.node,
                &theirs.node,
            );
        }
    }

    fn parameter_location(&self, parameter: &Parameter) -> Location {
        let (sent_in, name) = (parameter.sent_in(), parameter.name());
        self.location(&format!("{sent_in} parameter \"{name}\""))
    }

    /// Compares whether a parameter or request body is required.
    fn requirement(&mut self, location: &Location, ours: (bool, &Node), theirs: (bool, &Node)) {
        let (impact, change) = match (ours.0, theirs.0) {
            (false, true) => (Impact::Breaking, "is required, was optional"),
            (true, false) => (Impact::Compatible, "is optional, was required"),
            _ => return,
        };
        self.add(impact, location, change, ours.1, theirs.1);
    }

    fn request(&mut self) {
        let location = self.location("request");
        let (one, other) = (self.ours.1, self.theirs.1);
        let [our_body, their_body] =
            [self.ours, self.theirs].map(|(source, endpoint)| request_body(source, endpoint));
        let is_required =
            |body: &Option<Node>| body.as_ref().is_some_and(|b| is_set(b.value, "required"));
        let [ours, theirs] = [self.ours, self.theirs].map(SchemaNode::request);
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => {
                if let (Some(before), Some(after)) = (&our_body, &their_body) {
                    let (was, is) = (is_required(&our_body), is_required(&their_body));
                    self.requirement(&location, (was, before), (is, after));
                }
                self.schemas(Part::Request, location, ours, theirs);
            }
            (Some(ours), None) => {
                let after = &other.operation;
                self.add(Impact::Breaking, &location, "is missing", &ours.node, after);
            }
            (None, Some(theirs)) => {
                let (impact, change) = addition(is_required(&their_body));
                self.add(impact, &location, change, &one.operation, &theirs.node);
            }
            (None, None) => (),
        }
    }

    fn responses(&mut self) {
        self.statuses();
        let location = self.location("response");
        let (one, other) = (self.ours.1, self.theirs.1);
        let [ours, theirs] = [self.ours, self.theirs].map(SchemaNode::response);
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => {
                self.schemas(Part::Response, location, ours, theirs);
            }
            (Some(ours), None) => {
                let change = "no longer has a JSON schema";
                let after = &other.operation;
                self.add(Impact::Breaking, &location, change, &ours.node, after);
            }
            (None, Some(theirs)) => {
                let change = "now has a JSON schema";
                let before = &one.operation;
                self.add(Impact::Compatible, &location, change, before, &theirs.node);
            }
            (None, None) => (),
        }
    }

    fn statuses(&mut self) {
        let (one, other) = (self.ours.1, self.theirs.1);
        // Reading the endpoints has shown that these references resolve.
        let [ours, theirs] = [self.ours, self.theirs]
            .map(|(source, endpoint)| responses(source, &endpoint.operation).unwrap_or_default());
        let success = self.success;
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
            self.add(impact, &location, "is missing", node, &other.operation);
        }
        for (status, node) in theirs.iter().filter(|(status, _)| !has(&ours, status)) {
            let location = self.location(&format!("response {status}"));
            self.add(
                Impact::Compatible,
                &location,
                "is new",
                &one.operation,
                node,
            );
        }
    }
}

fn request_body<'a>(source: Source<'a>, endpoint: &Endpoint<'a>) -> Option<Node<'a>> {
    // Reading the endpoint has shown that the reference resolves.
    resolve_field(source, &endpoint.operation, "requestBody").unwrap_or_default()
}

/// Returns `true` if a list in the query is sent as one parameter per item.
fn is_exploded(parameter: &Parameter) -> bool {
    let value = parameter.node.value;
    let is_form = ["", "form"].contains(&text(value, "style"));
    let explode = value.get("explode").and_then(Value::as_bool);
    let kind = parameter.schema.get("type");
    let is_list = kind.is_some_and(|kind| kind == "array");
    is_list && parameter.sent_in() == "query" && explode.unwrap_or(is_form)
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
}
