use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::place::{Step, find};
use super::{Difference, Impact, addition};
use crate::prepare::counts;
use crate::read::{CHOICE, LIMITS, Node, Source, Spot, text};

type Schema = Map<String, Value>;

/// What a schema describes.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    /// A parameter of this name.
    Parameter(&'a str),
    Request,
    Answer,
}

/// What a change does to the values that a schema admits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Fewer,
    More,
    Others,
}

/// The same schema in two documents.
pub(super) struct Pair<'a> {
    part: Part<'a>,
    ours: (Source<'a>, Node<'a>),
    theirs: (Source<'a>, Node<'a>),
    /// What a document says of a field that it requires and does not describe.
    nothing: Schema,
}

/// Where in the schema we are.
#[derive(Clone)]
struct At {
    spot: Spot,
    steps: Vec<Step>,
    name: String,
}

impl At {
    fn field(&self, name: &str) -> Self {
        self.below(self.spot.field(name), Step::Field(name.to_owned()), name)
    }

    fn item(&self) -> Self {
        self.below(self.spot.item(), Step::Item, "")
    }

    fn below(&self, spot: Spot, step: Step, name: &str) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step);
        let name = name.to_owned();
        Self { spot, steps, name }
    }
}

impl<'a> Pair<'a> {
    pub(super) fn new(
        part: Part<'a>,
        ours: (Source<'a>, Node<'a>),
        theirs: (Source<'a>, Node<'a>),
    ) -> Self {
        Self {
            part,
            ours,
            theirs,
            nothing: Schema::new(),
        }
    }

    pub(super) fn compare(
        &self,
        spot: Spot,
        ours: &Schema,
        theirs: &Schema,
        found: &mut Vec<Difference>,
    ) {
        let name = match self.part {
            Part::Parameter(name) => name,
            Part::Request | Part::Answer => "",
        };
        let at = At {
            spot,
            steps: Vec::new(),
            name: name.to_owned(),
        };
        let mut walk = Walk { pair: self, found };
        walk.schema(&at, ours, theirs);
    }

    fn is_received(&self) -> bool {
        matches!(self.part, Part::Answer)
    }

    /// More of what we send is welcome, and less of what we receive.
    fn impact(&self, effect: Effect) -> Impact {
        match (effect, self.is_received()) {
            (Effect::More, false) | (Effect::Fewer, true) => Impact::Compatible,
            _ => Impact::Breaking,
        }
    }

    /// The type as it goes over the wire.
    fn kind(&self, at: &At, schema: &Schema) -> String {
        let kind = text_in(schema, "type");
        if let Part::Parameter(name) = self.part
            && at.steps.is_empty()
        {
            let items = schema.get("items").map(|items| text(items, "type"));
            match (kind, items) {
                // A list can be declared as the text that it is written as.
                ("array", Some("integer" | "number")) => return "a list of IDs".to_owned(),
                ("string", _) if name.ends_with("id:in") => return "a list of IDs".to_owned(),
                // What is no single type is sent as text.
                ("", _) => return "string".to_owned(),
                _ => {}
            }
        }
        match kind {
            "" => "of no single type".to_owned(),
            // Documents write `number` where they mean an integer.
            "number" if counts(&at.name) => "integer".to_owned(),
            "string" if self.is_date(schema) => text_in(schema, "format").to_owned(),
            kind => kind.to_owned(),
        }
    }

    /// Dates have Rust types of their own; a filter takes any of them, whatever its format.
    fn is_date(&self, schema: &Schema) -> bool {
        !matches!(self.part, Part::Parameter(_))
            && ["date", "date-time"].contains(&text_in(schema, "format"))
    }

    /// The fields that go this way.
    fn fields<'s>(&'s self, schema: &'s Schema) -> Vec<(&'s str, &'s Schema)> {
        let other_way = if self.is_received() {
            "writeOnly"
        } else {
            "readOnly"
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        let goes = |property: &Value| property.get(other_way).is_none();
        let declared = properties.into_iter().flatten();
        let mut fields: Vec<_> = declared
            .clone()
            .filter(|(_, property)| goes(property))
            .map(|(name, property)| (name.as_str(), property.as_object()))
            .map(|(name, property)| (name, property.unwrap_or(&self.nothing)))
            .collect();
        let bare = required(schema).filter(|name| declared.clone().all(|(known, _)| known != name));
        fields.extend(bare.map(|name| (name, &self.nothing)));
        fields
    }
}

struct Walk<'p, 'a> {
    pair: &'p Pair<'a>,
    found: &'p mut Vec<Difference>,
}

impl Walk<'_, '_> {
    fn schema(&mut self, at: &At, ours: &Schema, theirs: &Schema) {
        let [one, other] = [ours, theirs].map(|schema| self.pair.kind(at, schema));
        if one != other {
            let change = format!("is {other}, was {one}");
            let is_format = text_in(ours, "type") == text_in(theirs, "type");
            let keyword = if is_format { "format" } else { "type" };
            return self.add(Impact::Breaking, at, Some(keyword), change);
        }
        // A query has no null, and its formats are for the server to check.
        if !matches!(self.pair.part, Part::Parameter(_)) {
            self.flag(at, "nullable", Effect::More, ours, theirs);
            if text_in(ours, "type") == "string" {
                self.rule(at, "format", ours, theirs);
            }
        }
        self.flag(at, "uniqueItems", Effect::Fewer, ours, theirs);
        self.values(at, ours, theirs);
        for (keyword, exclusive, larger) in LIMITS {
            let [one, other] = [ours, theirs].map(|schema| Limit::of(schema, keyword, exclusive));
            if let Some(effect) = Limit::effect(&one, &other, larger) {
                let change = format!("{keyword} is {other}, was {one}");
                self.add_effect(effect, at, Some(keyword), change);
            }
        }
        self.multiples(at, ours, theirs);
        self.choice(at, ours, theirs);
        self.rule(at, "pattern", ours, theirs);
        self.fields(at, ours, theirs);
        if text_in(ours, "type") == "array" && text_in(theirs, "type") == "array" {
            let items = [ours, theirs].map(|schema| schema.get("items").and_then(Value::as_object));
            if let [Some(ours), Some(theirs)] = items {
                self.schema(&at.item(), ours, theirs);
            }
        }
    }

    fn fields(&mut self, at: &At, ours: &Schema, theirs: &Schema) {
        let pair = self.pair;
        let [one, other] = [ours, theirs].map(|schema| pair.fields(schema));
        let requires = |schema: &Schema, name: &str| required(schema).any(|there| there == name);
        for (name, own) in &one {
            let at = at.field(name);
            let Some((_, new)) = other.iter().find(|(other, _)| other == name) else {
                self.add(Impact::Breaking, &at, None, "is missing".to_owned());
                continue;
            };
            match (requires(ours, name), requires(theirs, name)) {
                (false, true) => {
                    let change = "is required, was optional".to_owned();
                    self.add_effect(Effect::Fewer, &at, None, change);
                }
                (true, false) => {
                    let change = "is optional, was required".to_owned();
                    self.add_effect(Effect::More, &at, None, change);
                }
                _ => (),
            }
            self.schema(&at, own, new);
        }
        for (name, _) in &other {
            if one.iter().all(|(own, _)| own != name) {
                // Answers can have new fields at any time.
                let is_asked = requires(theirs, name) && !self.pair.is_received();
                let (impact, change) = addition(is_asked);
                self.add(impact, &at.field(name), None, change.to_owned());
            }
        }
    }

    fn flag(
        &mut self,
        at: &At,
        keyword: &'static str,
        set: Effect,
        ours: &Schema,
        theirs: &Schema,
    ) {
        let effect = match (ours.contains_key(keyword), theirs.contains_key(keyword)) {
            (false, true) => set,
            (true, false) if set == Effect::More => Effect::Fewer,
            (true, false) => Effect::More,
            _ => return,
        };
        let [one, other] = [ours, theirs].map(|schema| schema.contains_key(keyword));
        let change = format!("{keyword} is {other}, was {one}");
        self.add_effect(effect, at, Some(keyword), change);
    }

    /// A rule that is there or not; of two of them nobody knows which one admits more.
    fn rule(&mut self, at: &At, keyword: &'static str, ours: &Schema, theirs: &Schema) {
        let [one, other] = [ours, theirs].map(|schema| schema.get(keyword));
        let effect = match (one, other) {
            (one, other) if one == other => return,
            (None, Some(_)) => Effect::Fewer,
            (Some(_), None) => Effect::More,
            _ => Effect::Others,
        };
        let change = format!("{keyword} is {}, was {}", shown(other), shown(one));
        self.add_effect(effect, at, Some(keyword), change);
    }

    /// Nobody knows what a choice admits.
    fn choice(&mut self, at: &At, ours: &Schema, theirs: &Schema) {
        let shown = |schema| match text_in(schema, CHOICE) {
            "" => "no choice".to_owned(),
            choice => choice.to_owned(),
        };
        let [one, other] = [ours, theirs].map(shown);
        // Of what a query holds, a choice is text as well.
        if one != other && !matches!(self.pair.part, Part::Parameter(_)) {
            let change = format!("is {other}, was {one}");
            self.add(Impact::Breaking, at, None, change);
        }
    }

    fn multiples(&mut self, at: &At, ours: &Schema, theirs: &Schema) {
        let of = |schema: &Schema| schema.get("multipleOf").and_then(Value::as_f64);
        let is_multiple = |one: f64, other: f64| (one / other).fract() == 0.0;
        match (of(ours), of(theirs)) {
            (Some(one), Some(other)) if one != other => {
                let effect = if is_multiple(other, one) {
                    Effect::Fewer
                } else if is_multiple(one, other) {
                    Effect::More
                } else {
                    Effect::Others
                };
                let change = format!("multipleOf is {other}, was {one}");
                self.add_effect(effect, at, Some("multipleOf"), change);
            }
            (Some(_), Some(_)) => (),
            _ => self.rule(at, "multipleOf", ours, theirs),
        }
    }

    fn values(&mut self, at: &At, ours: &Schema, theirs: &Schema) {
        let of = |schema: &Schema| -> Option<BTreeSet<String>> {
            let values = schema.get("enum")?.as_array()?;
            Some(values.iter().map(Value::to_string).collect())
        };
        let list = |values: &BTreeSet<String>| {
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            values.join(", ")
        };
        match (of(ours), of(theirs)) {
            (None, Some(other)) => {
                let change = format!("enum is {}, was not set", list(&other));
                self.add_effect(Effect::Fewer, at, Some("enum"), change);
            }
            (Some(one), None) => {
                let change = format!("enum is not set, was {}", list(&one));
                self.add_effect(Effect::More, at, Some("enum"), change);
            }
            (Some(one), Some(other)) => {
                for gone in one.difference(&other) {
                    let change = format!("enum has {gone} no more");
                    self.add_effect(Effect::Fewer, at, Some("enum"), change);
                }
                for new in other.difference(&one) {
                    let change = format!("enum has {new} now");
                    self.add_effect(Effect::More, at, Some("enum"), change);
                }
            }
            (None, None) => (),
        }
    }

    fn add_effect(
        &mut self,
        effect: Effect,
        at: &At,
        keyword: Option<&'static str>,
        change: String,
    ) {
        self.add(self.pair.impact(effect), at, keyword, change);
    }

    fn add(&mut self, impact: Impact, at: &At, keyword: Option<&'static str>, change: String) {
        let mut steps = at.steps.clone();
        steps.extend(keyword.map(Step::Keyword));
        let Pair { ours, theirs, .. } = self.pair;
        let [before, after] = [ours, theirs].map(|(source, node)| find(*source, node, &steps));
        self.found.push(Difference {
            impact,
            subject: at.spot.to_string(),
            change,
            before,
            after,
        });
    }
}

/// A limit, if there is one, and whether the limit itself is beyond it.
struct Limit(Option<(f64, bool)>);

impl Limit {
    fn of(schema: &Schema, keyword: &str, exclusive: &str) -> Self {
        let limit = schema.get(keyword).and_then(Value::as_f64);
        Self(limit.map(|limit| (limit, schema.contains_key(exclusive))))
    }

    /// What a change does, where a larger limit is the tighter one or is not.
    fn effect(one: &Self, other: &Self, larger: bool) -> Option<Effect> {
        let is_more = match (one.0, other.0) {
            (None, None) => return None,
            (None, Some(_)) => false,
            (Some(_), None) => true,
            (Some(one), Some(other)) if one == other => return None,
            (Some((one, was)), Some((other, is))) if one == other => was && !is,
            (Some((one, _)), Some((other, _))) => (other > one) != larger,
        };
        Some(if is_more { Effect::More } else { Effect::Fewer })
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("not set"),
            Some((limit, false)) => write!(f, "{limit}"),
            Some((limit, true)) => write!(f, "{limit} (exclusive)"),
        }
    }
}

fn required(schema: &Schema) -> impl Iterator<Item = &str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

fn text_in<'s>(schema: &'s Schema, key: &str) -> &'s str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "not set".to_owned(), Value::to_string)
}
