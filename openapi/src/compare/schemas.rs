use std::collections::BTreeSet;

use serde_json::Value;

use super::difference::{Difference, Impact, addition};
use super::finding::{Finding, Kind, Side};
use super::pointer::{Step, locate};
use crate::contract::is_id_or_count;
use crate::read::{Location, Node, Source};
use crate::schema::{LIMIT_KEYWORDS, LimitKeyword, ODD_KEYWORDS, Schema, text};

/// The part of an operation that a schema describes.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    /// A parameter of this name.
    Parameter(&'a str),
    Request,
    Response,
}

/// How a change affects the set of values that a schema accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Fewer,
    More,
    Same,
    Unknown,
}

/// The same schema in two documents.
pub(super) struct SchemaPair<'a> {
    part: Part<'a>,
    ours: (Source<'a>, Node<'a>),
    theirs: (Source<'a>, Node<'a>),
    /// The schema of a field that is required but not declared.
    undeclared: Schema,
}

/// The current position of a walk through a schema.
#[derive(Clone)]
pub(super) struct Position {
    pub(super) location: Location,
    pub(super) steps: Vec<Step>,
    /// The name of the field or parameter that holds the schema.
    pub(super) name: String,
}

impl Position {
    pub(super) fn start(location: Location, name: &str) -> Self {
        Self {
            location,
            steps: Vec::new(),
            name: name.to_owned(),
        }
    }

    pub(super) fn field(&self, name: &str) -> Self {
        let step = Step::Field(name.to_owned());
        self.child(self.location.field(name), step, name)
    }

    /// Returns the position of a list's items. They keep the name of the list.
    pub(super) fn item(&self) -> Self {
        self.child(self.location.item(), Step::Item, &self.name)
    }

    fn map_value(&self) -> Self {
        self.child(self.location.map_value(), Step::MapValue, "")
    }

    /// Returns the position of a member of `oneOf` or `anyOf`. It keeps the name of the whole.
    fn member(&self, keyword: &'static str) -> Self {
        let step = Step::Keyword(keyword);
        self.child(self.location.member(keyword), step, &self.name)
    }

    fn child(&self, location: Location, step: Step, name: &str) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step);
        let name = name.to_owned();
        Self {
            location,
            steps,
            name,
        }
    }
}

impl<'a> SchemaPair<'a> {
    pub(super) fn new(
        part: Part<'a>,
        ours: (Source<'a>, Node<'a>),
        theirs: (Source<'a>, Node<'a>),
    ) -> Self {
        Self {
            part,
            ours,
            theirs,
            undeclared: Schema::new(),
        }
    }

    pub(super) fn compare(
        &self,
        location: Location,
        ours: &Schema,
        theirs: &Schema,
        found: &mut Vec<Finding>,
    ) {
        let name = match self.part {
            Part::Parameter(name) => name,
            Part::Request | Part::Response => "",
        };
        let at = Position::start(location, name);
        let mut walk = SchemaWalk { pair: self, found };
        walk.schema(&at, ours, theirs);
    }

    fn is_received(&self) -> bool {
        matches!(self.part, Part::Response)
    }

    /// A request may become less restricted, and a response more restricted.
    fn impact(&self, effect: Effect) -> Impact {
        match (effect, self.is_received()) {
            (Effect::Same, _) | (Effect::More, false) | (Effect::Fewer, true) => Impact::Compatible,
            _ => Impact::Breaking,
        }
    }

    /// Returns the type of the values in requests and responses.
    fn wire_type(&self, at: &Position, schema: &Schema) -> String {
        let kind = text_in(schema, "type");
        if let Part::Parameter(name) = self.part
            && at.steps.is_empty()
        {
            let items = schema.get("items").map(|items| text(items, "type"));
            match (kind, items) {
                // A document can declare a list as an array or as comma-joined text.
                ("array", Some("integer" | "number")) => return "a list of IDs".to_owned(),
                ("string", _) if is_list_of_ids(name) => return "a list of IDs".to_owned(),
                ("array" | "string", _) if name.ends_with(":in") && !name.ends_with("id:in") => {
                    return "a list of texts".to_owned();
                }
                // A value without a single type is sent as text.
                ("", _) => return "string".to_owned(),
                _ => {}
            }
        }
        match kind {
            "" => "not set".to_owned(),
            // Documents declare IDs and counts as `number`, too.
            "number" if is_id_or_count(&at.name) || is_list_of_ids(&at.name) => {
                "integer".to_owned()
            }
            "string" if self.is_date(schema) => text_in(schema, "format").to_owned(),
            kind => kind.to_owned(),
        }
    }

    /// Dates have their own Rust types, except in filters, which take a date in any format.
    fn is_date(&self, schema: &Schema) -> bool {
        !matches!(self.part, Part::Parameter(_))
            && ["date", "date-time"].contains(&text_in(schema, "format"))
    }

    /// Returns the fields that are sent in this direction.
    fn fields<'s>(&'s self, schema: &'s Schema) -> Vec<(&'s str, &'s Schema)> {
        let other_direction = if self.is_received() {
            "writeOnly"
        } else {
            "readOnly"
        };
        let properties = schema.get("properties").and_then(Value::as_object);
        let is_sent = |property: &Value| property.get(other_direction).is_none();
        let declared = properties.into_iter().flatten();
        let mut fields: Vec<_> = declared
            .clone()
            .filter(|(_, property)| is_sent(property))
            .map(|(name, property)| (name.as_str(), property.as_object()))
            .map(|(name, property)| (name, property.unwrap_or(&self.undeclared)))
            .collect();
        let undeclared =
            required(schema).filter(|name| declared.clone().all(|(known, _)| known != name));
        fields.extend(undeclared.map(|name| (name, &self.undeclared)));
        fields
    }
}

struct SchemaWalk<'p, 'a> {
    pair: &'p SchemaPair<'a>,
    found: &'p mut Vec<Finding>,
}

impl SchemaWalk<'_, '_> {
    fn schema(&mut self, at: &Position, ours: &Schema, theirs: &Schema) {
        self.deprecation(at, ours, theirs);
        let [one, other] = [ours, theirs].map(|schema| self.pair.wire_type(at, schema));
        if one != other {
            let change = format!("type is {other}, was {one}");
            let is_format = text_in(ours, "type") == text_in(theirs, "type");
            let keyword = if is_format { "format" } else { "type" };
            return self.add(Impact::Breaking, at, Some(keyword), change, Kind::Type);
        }
        let odd = self.odd_keywords(at, ours, theirs);
        if odd.is_empty() {
            return self.keywords(at, ours, theirs);
        }
        // What the other document says by the keyword is no second change.
        let [ours, theirs] = [ours, theirs].map(|schema| {
            let mut schema = schema.clone();
            schema.retain(|key, _| !odd.contains(key));
            schema
        });
        self.keywords(at, &ours, &theirs);
    }

    fn keywords(&mut self, at: &Position, ours: &Schema, theirs: &Schema) {
        let is_parameter = matches!(self.pair.part, Part::Parameter(_));
        // A query parameter can't be null.
        if !is_parameter {
            self.flag(at, "nullable", Effect::More, ours, theirs, Kind::Nullable);
        }
        self.number_type(at, ours, theirs);
        self.format(at, ours, theirs);
        self.flag(at, "uniqueItems", Effect::Fewer, ours, theirs, Kind::Rule);
        self.enum_values(at, ours, theirs);
        for keyword in &LIMIT_KEYWORDS {
            let [one, other] = [ours, theirs].map(|schema| Limit::get(schema, keyword));
            if let Some(effect) = Limit::effect(&one, &other, keyword.larger_is_tighter) {
                let name = keyword.name;
                let change = format!("{name} is {other}, was {one}");
                let limit = other.admitted(keyword.larger_is_tighter);
                let kind = Kind::Limit(name, limit);
                self.add_effect(effect, at, Some(name), change, kind);
            }
        }
        self.multiple_of(at, ours, theirs);
        self.composition(at, ours, theirs);
        self.rule(at, "pattern", ours, theirs, Kind::Rule);
        self.fields(at, ours, theirs);
        self.additional_fields(at, ours, theirs);
        if text_in(ours, "type") == "array" && text_in(theirs, "type") == "array" {
            let items = [ours, theirs].map(|schema| schema.get("items").and_then(Value::as_object));
            if let [Some(ours), Some(theirs)] = items {
                self.schema(&at.item(), ours, theirs);
            }
        }
    }

    fn deprecation(&mut self, at: &Position, ours: &Schema, theirs: &Schema) {
        let [was, is] = [ours, theirs].map(|schema| schema.contains_key("deprecated"));
        if let Some(change) = deprecation(was, is) {
            let keyword = Some("deprecated");
            self.add(
                Impact::Compatible,
                at,
                keyword,
                change.to_owned(),
                Kind::Deprecation,
            );
        }
    }

    /// Compares the types of an ID or a count, which documents declare as `number`, too.
    fn number_type(&mut self, at: &Position, ours: &Schema, theirs: &Schema) {
        let [was, is] = [ours, theirs].map(|schema| text_in(schema, "type"));
        if [was, is]
            .iter()
            .all(|kind| ["integer", "number"].contains(kind))
            && was != is
        {
            let change = format!("type is {is}, was {was}");
            self.add_effect(Effect::Same, at, Some("type"), change, Kind::NumberType);
        }
    }

    fn format(&mut self, at: &Position, ours: &Schema, theirs: &Schema) {
        let [one, other] = [ours, theirs].map(|schema| schema.get("format"));
        if one == other || text_in(ours, "type") != text_in(theirs, "type") {
            return;
        }
        let kind = Kind::Format(other.and_then(Value::as_str).map(str::to_owned));
        match text_in(ours, "type") {
            "integer" | "number" => {
                let is_short = |format: Option<&Value>| {
                    format.is_some_and(|format| format == "int32" || format == "float")
                };
                let effect = match (is_short(one), is_short(other)) {
                    (false, true) => Effect::Fewer,
                    (true, false) => Effect::More,
                    _ => Effect::Same,
                };
                let change = format!("format is {}, was {}", display(other), display(one));
                self.add_effect(effect, at, Some("format"), change, kind);
            }
            "string" => self.rule(at, "format", ours, theirs, kind),
            _ => {}
        }
    }

    fn fields(&mut self, at: &Position, ours: &Schema, theirs: &Schema) {
        let pair = self.pair;
        let [one, other] = [ours, theirs].map(|schema| pair.fields(schema));
        let requires = |schema: &Schema, name: &str| required(schema).any(|there| there == name);
        for (name, own) in &one {
            let at = at.field(name);
            let Some((_, new)) = other.iter().find(|(other, _)| other == name) else {
                self.add(
                    Impact::Breaking,
                    &at,
                    None,
                    "is missing".to_owned(),
                    Kind::Presence,
                );
                continue;
            };
            match (requires(ours, name), requires(theirs, name)) {
                (false, true) => {
                    let change = "is required, was optional".to_owned();
                    self.add_effect(Effect::Fewer, &at, None, change, Kind::Required);
                }
                (true, false) => {
                    let change = "is optional, was required".to_owned();
                    self.add_effect(Effect::More, &at, None, change, Kind::Required);
                }
                _ => (),
            }
            self.schema(&at, own, new);
        }
        for (name, _) in &other {
            if one.iter().all(|(own, _)| own != name) {
                // New response fields are compatible, required or not.
                let must_be_sent = requires(theirs, name) && !self.pair.is_received();
                let (impact, change) = addition(must_be_sent);
                let kind = match must_be_sent {
                    true => Kind::Required,
                    false => Kind::Presence,
                };
                self.add(impact, &at.field(name), None, change.to_owned(), kind);
            }
        }
    }

    /// Compares the fields that an object can have besides those that are declared.
    fn additional_fields(&mut self, at: &Position, ours: &Schema, theirs: &Schema) {
        const KEYWORD: &str = "additionalProperties";
        match [ours, theirs].map(|schema| schema.get(KEYWORD)) {
            [Some(Value::Object(ours)), Some(Value::Object(theirs))] => {
                self.schema(&at.map_value(), ours, theirs);
            }
            [one, other] if one == other => {}
            [one, other] => {
                let is_closed = |value: Option<&Value>| value == Some(&Value::Bool(false));
                let effect = match (one, other) {
                    (None, _) => Effect::Fewer,
                    (_, None) => Effect::More,
                    _ if is_closed(other) => Effect::Fewer,
                    _ => Effect::More,
                };
                let describe = |value| match value {
                    None => "not set",
                    Some(_) if is_closed(value) => "false",
                    Some(_) => "a schema",
                };
                let (is, was) = (describe(other), describe(one));
                let change = format!("{KEYWORD} is {is}, was {was}");
                self.add_effect(effect, at, Some(KEYWORD), change, Kind::Closed);
            }
        }
    }

    /// Compares the keywords whose values make no sense, and returns their names. What they are meant to
    /// say is unknown.
    fn odd_keywords(&mut self, at: &Position, ours: &Schema, theirs: &Schema) -> BTreeSet<String> {
        let odd = |schema: &Schema| match schema.get(ODD_KEYWORDS) {
            Some(Value::Object(odd)) => odd.clone(),
            _ => Schema::new(),
        };
        let [one, other] = [ours, theirs].map(odd);
        let keywords: BTreeSet<_> = one.keys().chain(other.keys()).cloned().collect();
        for keyword in &keywords {
            let (was, is) = (one.get(keyword), other.get(keyword));
            let change = match is {
                _ if is == was => continue,
                Some(value) => format!("{keyword} is {}, which makes no sense", shorten(value)),
                None => format!("{keyword} makes sense, was {}", display(was)),
            };
            self.add_effect(Effect::Unknown, at, None, change, Kind::Odd);
        }
        keywords
    }

    fn flag(
        &mut self,
        at: &Position,
        keyword: &'static str,
        set: Effect,
        ours: &Schema,
        theirs: &Schema,
        kind: Kind,
    ) {
        let effect = match (ours.contains_key(keyword), theirs.contains_key(keyword)) {
            (false, true) => set,
            (true, false) if set == Effect::More => Effect::Fewer,
            (true, false) => Effect::More,
            _ => return,
        };
        let [one, other] = [ours, theirs].map(|schema| schema.contains_key(keyword));
        let change = format!("{keyword} is {other}, was {one}");
        self.add_effect(effect, at, Some(keyword), change, kind);
    }

    /// Compares a keyword whose values can't be ordered: setting it accepts fewer values.
    fn rule(
        &mut self,
        at: &Position,
        keyword: &'static str,
        ours: &Schema,
        theirs: &Schema,
        kind: Kind,
    ) {
        let [one, other] = [ours, theirs].map(|schema| schema.get(keyword));
        let effect = match (one, other) {
            (one, other) if one == other => return,
            (None, Some(_)) => Effect::Fewer,
            (Some(_), None) => Effect::More,
            _ => Effect::Unknown,
        };
        let change = format!("{keyword} is {}, was {}", display(other), display(one));
        self.add_effect(effect, at, Some(keyword), change, kind);
    }

    /// Compares `oneOf`, `anyOf` and `not`. If one of them comes or goes, or a `not` changes, the
    /// effect is unknown.
    fn composition(&mut self, at: &Position, ours: &Schema, theirs: &Schema) {
        for keyword in ["oneOf", "anyOf", "not"] {
            let [one, other] = [ours, theirs].map(|schema| schema.get(keyword).map(canonical));
            let change = match (&one, &other) {
                _ if one == other => continue,
                (Some(Value::Array(one)), Some(Value::Array(other))) => {
                    self.members(at, keyword, one, other);
                    continue;
                }
                (Some(_), Some(_)) => format!("{keyword} is another schema"),
                (None, _) => format!("{keyword} is set, was not set"),
                (Some(_), None) => format!("{keyword} is not set, was set"),
            };
            self.add_effect(
                Effect::Unknown,
                at,
                Some(keyword),
                change,
                Kind::Composition,
            );
        }
    }

    /// Compares the members of `oneOf` or `anyOf`. Members of one type are taken for the same one.
    fn members(&mut self, at: &Position, keyword: &'static str, ours: &[Value], theirs: &[Value]) {
        let mut gone: Vec<_> = ours.iter().filter(|own| !theirs.contains(own)).collect();
        let at_member = at.member(keyword);
        for new in theirs.iter().filter(|new| !ours.contains(new)) {
            let type_of = |member: &Value| {
                let schema = member.as_object();
                schema.map(|schema| self.pair.wire_type(&at_member, schema))
            };
            let own = gone.iter().position(|own| type_of(own) == type_of(new));
            if let (Some(Value::Object(own)), Value::Object(new)) =
                (own.map(|index| gone.remove(index)), new)
            {
                self.schema(&at_member, own, new);
            } else {
                let change = format!("{keyword} now has {}", shorten(new));
                self.add_effect(Effect::More, at, Some(keyword), change, Kind::Composition);
            }
        }
        for gone in gone {
            let change = format!("{keyword} no longer has {}", shorten(gone));
            self.add_effect(Effect::Fewer, at, Some(keyword), change, Kind::Composition);
        }
    }

    fn multiple_of(&mut self, at: &Position, ours: &Schema, theirs: &Schema) {
        let get = |schema: &Schema| schema.get("multipleOf").and_then(Value::as_f64);
        let is_multiple = |one: f64, other: f64| (one / other).fract() == 0.0;
        match (get(ours), get(theirs)) {
            (Some(one), Some(other)) if one != other => {
                let effect = if is_multiple(other, one) {
                    Effect::Fewer
                } else if is_multiple(one, other) {
                    Effect::More
                } else {
                    Effect::Unknown
                };
                let change = format!("multipleOf is {other}, was {one}");
                self.add_effect(effect, at, Some("multipleOf"), change, Kind::Rule);
            }
            (Some(_), Some(_)) => (),
            _ => self.rule(at, "multipleOf", ours, theirs, Kind::Rule),
        }
    }

    fn enum_values(&mut self, at: &Position, ours: &Schema, theirs: &Schema) {
        let get = |schema: &Schema| -> Option<BTreeSet<String>> {
            let values = schema.get("enum")?.as_array()?;
            Some(values.iter().map(Value::to_string).collect())
        };
        let list = |values: &BTreeSet<String>| {
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            values.join(", ")
        };
        match (get(ours), get(theirs)) {
            (None, Some(other)) => {
                let change = format!("enum is {}, was not set", list(&other));
                self.add_effect(Effect::Fewer, at, Some("enum"), change, Kind::Rule);
            }
            (Some(one), None) => {
                let change = format!("enum is not set, was {}", list(&one));
                self.add_effect(Effect::More, at, Some("enum"), change, Kind::Rule);
            }
            (Some(one), Some(other)) => {
                for gone in one.difference(&other) {
                    let change = format!("enum no longer has {gone}");
                    self.add_effect(Effect::Fewer, at, Some("enum"), change, Kind::Rule);
                }
                for new in other.difference(&one) {
                    let change = format!("enum now has {new}");
                    self.add_effect(Effect::More, at, Some("enum"), change, Kind::Rule);
                }
            }
            (None, None) => (),
        }
    }

    fn add_effect(
        &mut self,
        effect: Effect,
        at: &Position,
        keyword: Option<&'static str>,
        change: String,
        kind: Kind,
    ) {
        self.add(self.pair.impact(effect), at, keyword, change, kind);
    }

    fn add(
        &mut self,
        impact: Impact,
        at: &Position,
        keyword: Option<&'static str>,
        change: String,
        kind: Kind,
    ) {
        let mut steps = at.steps.clone();
        steps.extend(keyword.map(Step::Keyword));
        let SchemaPair { ours, theirs, .. } = self.pair;
        let [before, after] = [ours, theirs].map(|(source, node)| locate(*source, node, &steps));
        let side = match self.pair.part {
            Part::Parameter(_) => Side::Parameter,
            Part::Request => Side::Request,
            Part::Response => Side::Response,
        };
        self.found.push(Finding {
            difference: Difference {
                impact,
                subject: at.location.to_string(),
                change,
                before,
                after,
            },
            side,
            name: at.name.clone(),
            kind,
        });
    }
}

/// Returns the change between being deprecated or not, if there is one.
pub(super) fn deprecation(was: bool, is: bool) -> Option<&'static str> {
    match (was, is) {
        (false, true) => Some("is deprecated"),
        (true, false) => Some("is no longer deprecated"),
        _ => None,
    }
}

/// Returns a schema without its prose, whose lists have one order.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(schema) => schema
            .iter()
            .filter(|(key, _)| !["description", "example"].contains(&key.as_str()))
            .map(|(key, value)| {
                let value = match (key.as_str(), value) {
                    // A field can have any name.
                    ("properties", Value::Object(fields)) => fields
                        .iter()
                        .map(|(name, field)| (name.clone(), canonical(field)))
                        .collect(),
                    _ => canonical(value),
                };
                (key.clone(), value)
            })
            .collect(),
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(canonical).collect();
            items.sort_by_key(Value::to_string);
            items.into()
        }
        other => other.clone(),
    }
}

/// Returns a value as it is printed: cut if it is long.
fn shorten(value: &Value) -> String {
    const MAX_CHARS: usize = 100;
    let text = value.to_string();
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]),
        None => text,
    }
}

/// An optional limit, and whether it is exclusive.
struct Limit(Option<(f64, bool)>);

impl Limit {
    fn get(schema: &Schema, keyword: &LimitKeyword) -> Self {
        let limit = schema.get(keyword.name).and_then(Value::as_f64);
        Self(limit.map(|limit| (limit, schema.contains_key(keyword.exclusive))))
    }

    /// Returns the first integer that the limit admits, or the limit itself if it isn't exclusive.
    fn admitted(&self, larger_is_tighter: bool) -> Option<f64> {
        let step = if larger_is_tighter { 1.0 } else { -1.0 };
        let admitted = |(limit, is_exclusive)| match is_exclusive {
            true => limit + step,
            false => limit,
        };
        self.0.map(admitted)
    }

    fn effect(one: &Self, other: &Self, larger_is_tighter: bool) -> Option<Effect> {
        let is_more = match (one.0, other.0) {
            (None, None) => return None,
            (None, Some(_)) => false,
            (Some(_), None) => true,
            (Some(one), Some(other)) if one == other => return None,
            (Some((one, was)), Some((other, is))) if one == other => was && !is,
            (Some((one, _)), Some((other, _))) => (other > one) != larger_is_tighter,
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

/// Returns `true` if the items of a list of this name are IDs.
fn is_list_of_ids(name: &str) -> bool {
    name.ends_with("_ids") || name.ends_with("id:in")
}

fn required(schema: &Schema) -> impl Iterator<Item = &str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

fn text_in<'s>(schema: &'s Schema, key: &str) -> &'s str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn display(value: Option<&Value>) -> String {
    value.map_or_else(|| "not set".to_owned(), shorten)
}
