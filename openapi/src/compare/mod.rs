//! Tells what differs between two documents, in the operations that we bind.
//!
//! None of the published crates does: the one that is well kept leaves changed limits and lists of
//! required fields unclassified.

mod place;
mod schema;

use std::fmt;

use crate::bound::{OPERATIONS, Operation};
use crate::error::Problem;
use crate::prepare::is_sent_by_client;
use crate::read::{Body, Endpoint, Found, Node, Parameter, Source, Spot, endpoint};
use crate::{Document, Error};
use schema::{Pair, Part};

/// What a difference between two documents means for a program that was written for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Impact {
    /// What the program sends can be refused, or what it receives can be something else than it
    /// was written for.
    Breaking,
    /// The program goes on working as it is.
    Compatible,
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Breaking => "breaking",
            Self::Compatible => "compatible",
        })
    }
}

/// Something that a document says otherwise than another one.
///
/// Its `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// What it means.
    pub impact: Impact,
    /// The operation and, within it, what has changed:
    /// `PUT /customers/attribute-values: request field "value"`.
    pub subject: String,
    /// What is said of it now, and what was: `maxLength is 100, was 255`.
    pub change: String,
    /// Where the first document says it, as a JSON pointer; what stands around it, if it does not.
    pub before: String,
    /// Where the second document says it.
    pub after: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            impact,
            subject,
            change,
            before,
            after,
        } = self;
        write!(f, "{impact}: {subject}: {change} (#{before} -> #{after})")
    }
}

impl Difference {
    fn new(impact: Impact, subject: String, change: &str, before: &Node, after: &Node) -> Self {
        Self {
            impact,
            subject,
            change: change.to_owned(),
            before: before.at.clone(),
            after: after.at.clone(),
        }
    }
}

impl Document {
    /// Tells how `newer` differs from this document in the operations that the SDK binds: what
    /// breaks first, then in the order of the operations.
    ///
    /// What counts is what goes over the wire: not names, layout, order, descriptions, examples and
    /// defaults. What is sent may be restricted less than before, and what is received more; the
    /// opposite breaks. So does what was there and is gone, and what is of another type. New fields
    /// of answers and new answers are compatible.
    ///
    /// Not seen is what `oneOf`, `anyOf` and `not` hold (only that they are there), what the fields
    /// of a map are that has no names for them, how many fields an object has, the formats of
    /// parameters and numbers, a second answer for success, and of an answer that is no success all
    /// but its status. A keyword with a value of the wrong kind counts as not set.
    ///
    /// # Errors
    ///
    /// When a document contradicts itself, or refers to what it does not have.
    pub fn compare(&self, newer: &Self) -> Result<Vec<Difference>, Error> {
        let [ours, theirs] = [self, newer].map(|document| Source::new(&document.root));
        let mut found = Vec::new();
        for bound in &OPERATIONS {
            let read = |source, document: &Self| {
                endpoint(source, bound).map_err(|problem: Problem| problem.of(&document.name))
            };
            let (ours, theirs) = ((ours, read(ours, self)?), (theirs, read(theirs, newer)?));
            operation(bound, ours, theirs, &mut found);
        }
        found.sort_by_key(|difference| difference.impact);
        Ok(found)
    }
}

type Side<'a> = (Source<'a>, Found<'a>);

fn operation(bound: &Operation, ours: Side, theirs: Side, found: &mut Vec<Difference>) {
    let mut add = |impact, change, before, after| {
        found.push(Difference::new(
            impact,
            bound.label(),
            change,
            before,
            after,
        ));
    };
    match (&ours.1, &theirs.1) {
        (Found::Whole(one), Found::Whole(other)) => {
            let mut endpoints = Endpoints {
                label: bound.label(),
                success: bound.success,
                ours: (ours.0, one),
                theirs: (theirs.0, other),
                found,
            };
            endpoints.parameters();
            endpoints.requests();
            endpoints.answers();
        }
        (Found::Whole(one), Found::Path(path) | Found::Nothing(path)) => {
            add(Impact::Breaking, "is missing", &one.operation, path);
        }
        (Found::Path(path) | Found::Nothing(path), Found::Whole(other)) => {
            add(Impact::Compatible, "is new", path, &other.operation);
        }
        _ => (),
    }
}

/// An operation, as both documents have it.
struct Endpoints<'a, 'f> {
    label: String,
    /// The statuses that the SDK takes for success.
    success: &'static [&'static str],
    ours: (Source<'a>, &'f Endpoint<'a>),
    theirs: (Source<'a>, &'f Endpoint<'a>),
    found: &'f mut Vec<Difference>,
}

impl<'a> Endpoints<'a, '_> {
    fn add(&mut self, impact: Impact, spot: &Spot, change: &str, before: &Node, after: &Node) {
        let subject = spot.to_string();
        self.found
            .push(Difference::new(impact, subject, change, before, after));
    }

    fn spot(&self, part: &str) -> Spot {
        Spot::new(&self.label, part)
    }

    fn schemas(&mut self, part: Part, spot: Spot, ours: Half<'a, '_>, theirs: Half<'a, '_>) {
        let pair = Pair::new(part, (self.ours.0, ours.node), (self.theirs.0, theirs.node));
        pair.compare(spot, ours.schema, theirs.schema, self.found);
    }

    fn parameters(&mut self) {
        let theirs = self.theirs.1;
        for ours in counted(self.ours.1) {
            let spot = self.parameter_spot(ours);
            match counted(theirs).find(|theirs| theirs.is_same(ours)) {
                Some(theirs) => {
                    self.requirement(
                        &spot,
                        (ours.is_required(), &ours.node),
                        (theirs.is_required(), &theirs.node),
                    );
                    self.exploded(&spot, ours, theirs);
                    let part = Part::Parameter(ours.name());
                    let theirs_half = Half::parameter(theirs);
                    self.schemas(part, spot, Half::parameter(ours), theirs_half);
                }
                None => {
                    let after = &theirs.operation;
                    self.add(Impact::Breaking, &spot, "is missing", &ours.node, after);
                }
            }
        }
        for new in counted(theirs) {
            if counted(self.ours.1).any(|ours| ours.is_same(new)) {
                continue;
            }
            let (impact, change) = addition(new.is_required());
            let spot = self.parameter_spot(new);
            let before = &self.ours.1.operation;
            self.add(impact, &spot, change, before, &new.node);
        }
    }

    /// A list by commas and a list by repetition are different things on the wire.
    fn exploded(&mut self, spot: &Spot, ours: &Parameter, theirs: &Parameter) {
        let (was, is) = (ours.is_exploded(), theirs.is_exploded());
        if was != is {
            let change = format!("explode is {is}, was {was}");
            self.add(Impact::Breaking, spot, &change, &ours.node, &theirs.node);
        }
    }

    fn parameter_spot(&self, parameter: &Parameter) -> Spot {
        let (place, name) = (parameter.place(), parameter.name());
        self.spot(&format!("{place} parameter \"{name}\""))
    }

    /// Whether something that is sent has to be.
    fn requirement(&mut self, spot: &Spot, ours: (bool, &Node), theirs: (bool, &Node)) {
        let (impact, change) = match (ours.0, theirs.0) {
            (false, true) => (Impact::Breaking, "is required, was optional"),
            (true, false) => (Impact::Compatible, "is optional, was required"),
            _ => return,
        };
        self.add(impact, spot, change, ours.1, theirs.1);
    }

    fn requests(&mut self) {
        let spot = self.spot("request");
        let (one, other) = (self.ours.1, self.theirs.1);
        match (&one.request, &other.request) {
            (Some(ours), Some(theirs)) => {
                if let (Some(ours), Some(theirs)) = (&one.body, &other.body) {
                    let (one, other) = (one.needs_body(), other.needs_body());
                    self.requirement(&spot, (one, ours), (other, theirs));
                }
                self.schemas(Part::Request, spot, Half::body(ours), Half::body(theirs));
            }
            (Some(ours), None) => {
                let after = &other.operation;
                self.add(Impact::Breaking, &spot, "is missing", &ours.node, after);
            }
            (None, Some(theirs)) => {
                let (impact, change) = addition(other.needs_body());
                self.add(impact, &spot, change, &one.operation, &theirs.node);
            }
            (None, None) => (),
        }
    }

    fn answers(&mut self) {
        let (one, other) = (self.ours.1, self.theirs.1);
        let success = self.success;
        let has = |endpoint: &Endpoint, status: &str| {
            let mut others = endpoint.answers.iter();
            others.any(|(other, _)| covers(other, status, success))
        };
        for (status, node) in one.answers.iter().filter(|(s, _)| !has(other, s)) {
            let is_success = status.starts_with('2');
            let impact = if is_success {
                Impact::Breaking
            } else {
                Impact::Compatible
            };
            let spot = self.spot(&format!("answer {status}"));
            self.add(impact, &spot, "is missing", node, &other.operation);
        }
        for (status, node) in other.answers.iter().filter(|(s, _)| !has(one, s)) {
            let spot = self.spot(&format!("answer {status}"));
            self.add(Impact::Compatible, &spot, "is new", &one.operation, node);
        }
        let spot = self.spot("answer");
        match (&one.answer, &other.answer) {
            (Some(ours), Some(theirs)) => {
                self.schemas(Part::Answer, spot, Half::body(ours), Half::body(theirs));
            }
            (Some(ours), None) => {
                let after = &other.operation;
                self.add(
                    Impact::Breaking,
                    &spot,
                    "has no JSON schema",
                    &ours.node,
                    after,
                );
            }
            (None, Some(theirs)) => {
                let change = "has a JSON schema now";
                self.add(
                    Impact::Compatible,
                    &spot,
                    change,
                    &one.operation,
                    &theirs.node,
                );
            }
            (None, None) => (),
        }
    }
}

/// Whether an answer of one status stands for one of another: as a class of statuses, as any other
/// answer, or because either is success.
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

/// What is sent, if it was not before.
fn addition(is_required: bool) -> (Impact, &'static str) {
    if is_required {
        (Impact::Breaking, "is new and required")
    } else {
        (Impact::Compatible, "is new")
    }
}

/// The parameters that users see.
fn counted<'e, 'a>(endpoint: &'e Endpoint<'a>) -> impl Iterator<Item = &'e Parameter<'a>> {
    let is_counted = |p: &&Parameter| !is_sent_by_client(p.place(), p.name());
    endpoint.parameters.iter().filter(is_counted)
}

/// A schema of one of the documents: where it stands, and written out.
struct Half<'a, 'e> {
    node: Node<'a>,
    schema: &'e serde_json::Map<String, serde_json::Value>,
}

impl<'a, 'e> Half<'a, 'e> {
    fn parameter(parameter: &'e Parameter<'a>) -> Self {
        let node = &parameter.node;
        Self {
            node: node.get("schema").unwrap_or_else(|| node.clone()),
            schema: &parameter.schema,
        }
    }

    fn body(body: &'e Body<'a>) -> Self {
        Self {
            node: body.node.clone(),
            schema: &body.schema,
        }
    }
}
