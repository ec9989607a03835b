//! Compares the types that are generated from two prepared documents.

use std::collections::BTreeSet;

use serde_json::Value;

use super::difference::{Difference, Impact, addition};
use super::finding::{Finding, Kind, Side};
use super::pointer::locate;
use super::schemas::Position;
use super::{SchemaNode, user_parameters};
use crate::contract::{LISTS, OPERATIONS, Operation};
use crate::document::Document;
use crate::error::{Error, Problem};
use crate::prepare::Prepared;
use crate::read::{Detail, Endpoint, Location, Lookup, Node, Parameter, Source, endpoint};
use crate::schema::{Schema, text};

/// An operation as a document writes it, and as code is generated from it.
struct GeneratedOperation<'a> {
    source: Source<'a>,
    written: Box<Endpoint<'a>>,
    prepared: Box<Endpoint<'a>>,
}

impl<'a> GeneratedOperation<'a> {
    fn read(
        (document, prepared): (&'a Document, &'a Prepared),
        spec: &Operation,
    ) -> Result<Option<Self>, Error> {
        let read = |source, detail| {
            let lookup = endpoint(source, spec, detail);
            lookup.map_err(|problem: Problem| problem.in_document(&document.name))
        };
        let source = Source::new(&document.root);
        let written = read(source, Detail::Comparison)?;
        let prepared = read(Source::new(prepared.document()), Detail::Generation)?;
        Ok(match (written, prepared) {
            (Lookup::Operation(written), Lookup::Operation(prepared)) => Some(Self {
                source,
                written,
                prepared,
            }),
            _ => None,
        })
    }

    /// Returns the place of a parameter or, if the document doesn't declare it, of the operation.
    fn parameter(&self, name: &str) -> Node<'a> {
        let mut parameters = user_parameters(&self.written);
        let found = parameters.find(|parameter| parameter.name() == name);
        found.map_or_else(
            || self.written.operation.clone(),
            |found| found.node.clone(),
        )
    }

    /// Returns the place of the schema of the request or response.
    fn body(&self, side: Side) -> Node<'a> {
        let written = (self.source, &*self.written);
        let schema = match side {
            Side::Request => SchemaNode::request(written),
            _ => SchemaNode::response(written),
        };
        schema.map_or_else(|| self.written.operation.clone(), |schema| schema.node)
    }
}

/// Returns the differences of the types, with their places in the documents as they are written.
pub(super) fn compare(
    ours: (&Document, &Prepared),
    theirs: (&Document, &Prepared),
) -> Result<Vec<Finding>, Error> {
    let mut found = Vec::new();
    for spec in &OPERATIONS {
        let (one, other) = (
            GeneratedOperation::read(ours, spec)?,
            GeneratedOperation::read(theirs, spec)?,
        );
        if let (Some(ours), Some(theirs)) = (one, other) {
            let mut pair = TypePair {
                label: spec.label(),
                ours,
                theirs,
                found: &mut found,
            };
            pair.parameters();
            pair.body(Side::Request, "request", |endpoint| {
                endpoint.request.as_ref()
            });
            pair.body(Side::Response, "response", |endpoint| {
                endpoint.response.as_ref()
            });
        }
    }
    Ok(found)
}

struct TypePair<'a, 'f> {
    label: String,
    ours: GeneratedOperation<'a>,
    theirs: GeneratedOperation<'a>,
    found: &'f mut Vec<Finding>,
}

impl<'a> TypePair<'a, '_> {
    fn parameters(&mut self) {
        let read =
            |generated: &GeneratedOperation<'a>| -> Vec<(String, String, Option<&'static str>)> {
                let parameters = user_parameters(&generated.prepared);
                let describe = |parameter: &Parameter| {
                    let (name, sent_in) = (parameter.name(), parameter.sent_in());
                    (
                        name.to_owned(),
                        sent_in.to_owned(),
                        parameter_type(parameter),
                    )
                };
                parameters.map(describe).collect()
            };
        let (one, other) = (read(&self.ours), read(&self.theirs));
        for (name, sent_in, was) in &one {
            let same = other
                .iter()
                .find(|(new, place, _)| (new, place) == (name, sent_in));
            let change = match same {
                None => "is missing".to_owned(),
                Some((.., is)) if is == was => continue,
                Some((.., is)) => type_change(*is, *was),
            };
            self.add_parameter(name, sent_in, Impact::Breaking, change);
        }
        for (name, sent_in, _) in &other {
            if !one
                .iter()
                .any(|(own, place, _)| (own, place) == (name, sent_in))
            {
                let change = "is new".to_owned();
                self.add_parameter(name, sent_in, Impact::Compatible, change);
            }
        }
    }

    fn add_parameter(&mut self, name: &str, sent_in: &str, impact: Impact, change: String) {
        let part = format!("{sent_in} parameter \"{name}\"");
        let location = Location::new(&self.label, &part);
        let (before, after) = (self.ours.parameter(name), self.theirs.parameter(name));
        let at = (&location, Side::Parameter);
        let finding = Finding::new(impact, at, change, (&before, &after), Kind::Type);
        self.found.push(finding.named(name));
    }

    fn body(
        &mut self,
        side: Side,
        part: &str,
        schema: impl for<'e> Fn(&'e Endpoint<'a>) -> Option<&'e Schema>,
    ) {
        let schemas = [&self.ours, &self.theirs].map(|generated| schema(&generated.prepared));
        if let [Some(ours), Some(theirs)] = schemas {
            let mut walk = TypeWalk {
                side,
                before: (self.ours.source, self.ours.body(side)),
                after: (self.theirs.source, self.theirs.body(side)),
                found: self.found,
            };
            let start = Position::start(Location::new(&self.label, part), "");
            walk.compare(&start, ours, theirs);
        }
    }
}

struct TypeWalk<'a, 'f> {
    side: Side,
    before: (Source<'a>, Node<'a>),
    after: (Source<'a>, Node<'a>),
    found: &'f mut Vec<Finding>,
}

impl TypeWalk<'_, '_> {
    fn compare(&mut self, at: &Position, ours: &Schema, theirs: &Schema) {
        let [was, is] = [ours, theirs].map(type_of);
        if was != is {
            return self.add(at, Impact::Breaking, type_change(is, was));
        }
        let [one, other] = [ours, theirs].map(variants);
        for gone in one.difference(&other) {
            self.add(at, Impact::Breaking, format!("enum no longer has {gone}"));
        }
        for new in other.difference(&one) {
            self.add(at, Impact::Compatible, format!("enum now has {new}"));
        }
        let items = [ours, theirs].map(|schema| schema.get("items").and_then(Value::as_object));
        if let [Some(ours), Some(theirs)] = items {
            self.compare(&at.item(), ours, theirs);
        }
        let [one, other] = [ours, theirs].map(|schema| fields(schema));
        for (name, own) in &one {
            let at = at.field(name);
            let Some((_, new)) = other.iter().find(|(new, _)| new == name) else {
                self.add(&at, Impact::Breaking, "is missing".to_owned());
                continue;
            };
            let change = match (own.is_optional, new.is_optional) {
                (true, false) => Some("is required, was optional"),
                (false, true) => Some("is optional, was required"),
                _ => None,
            };
            if let Some(change) = change {
                self.add(&at, Impact::Breaking, change.to_owned());
            }
            self.compare(&at, own.schema, new.schema);
        }
        for (name, new) in &other {
            if one.iter().all(|(own, _)| own != name) {
                let must_be_sent = self.side == Side::Request && !new.is_optional;
                let (impact, change) = addition(must_be_sent);
                self.add(&at.field(name), impact, change.to_owned());
            }
        }
    }

    fn add(&mut self, at: &Position, impact: Impact, change: String) {
        let [before, after] =
            [&self.before, &self.after].map(|(source, start)| locate(*source, start, &at.steps));
        self.found.push(Finding {
            difference: Difference {
                impact,
                subject: at.location.to_string(),
                change,
                before,
                after,
            },
            side: self.side,
            name: at.name.clone(),
            kind: Kind::Type,
        });
    }
}

struct Field<'s> {
    schema: &'s Schema,
    is_optional: bool,
}

fn fields(schema: &Schema) -> Vec<(&str, Field<'_>)> {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &String| {
        let mut names = required.into_iter().flatten();
        names.any(|other| other == name)
    };
    let mut fields = Vec::new();
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, value) in properties.into_iter().flatten() {
        if let Some(schema) = value.as_object() {
            let is_optional = !is_required(name) || schema.contains_key("nullable");
            fields.push((
                name.as_str(),
                Field {
                    schema,
                    is_optional,
                },
            ));
        }
    }
    fields
}

/// Returns the type of a parameter; `None` for a type of its own.
fn parameter_type(parameter: &Parameter) -> Option<&'static str> {
    let schema = parameter.node.get("schema");
    let reference = schema.as_ref().map(|schema| text(schema.value, "$ref"));
    let name = reference.and_then(|reference| reference.rsplit('/').next());
    match name {
        Some(name) if LISTS.contains(&name) => LISTS.into_iter().find(|list| *list == name),
        _ => type_of(&parameter.schema),
    }
}

/// Returns the type that is generated from a prepared schema, apart from those of its fields and items.
fn type_of(schema: &Schema) -> Option<&'static str> {
    let text_of = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
    let has_limits = ["minLength", "maxLength", "pattern"]
        .into_iter()
        .any(|key| schema.contains_key(key));
    Some(match (text_of("type"), text_of("format")) {
        ("string", _) if schema.contains_key("enum") => "an enum",
        ("string", "date-time") => "a time",
        ("string", "date") => "a date",
        ("string", "uuid") => "a UUID",
        ("string", "ip" | "ipv4" | "ipv6") => "an IP address",
        ("string", _) if has_limits => "a text with limits",
        ("string", _) => "a text",
        ("integer", _) => "an integer",
        ("number", _) => "a number",
        ("boolean", _) => "a boolean",
        ("array", _) => "a list",
        ("object", _) if schema.contains_key("properties") => "an object",
        ("object", _) => "a map",
        _ => return None,
    })
}

fn variants(schema: &Schema) -> BTreeSet<String> {
    let values = schema.get("enum").and_then(Value::as_array);
    values.into_iter().flatten().map(Value::to_string).collect()
}

fn type_change(is: Option<&str>, was: Option<&str>) -> String {
    let any = "any value";
    format!(
        "the generated type is {}, was {}",
        is.unwrap_or(any),
        was.unwrap_or(any)
    )
}
