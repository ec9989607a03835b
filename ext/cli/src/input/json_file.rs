//! The objects of a file of JSON lines.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io::{BufRead as _, Read as _};
use std::sync::Arc;

use anyhow::anyhow;
use bigcommerce_ext::{AttributeKey, CustomerKey, UpsertRow, Value as RowValue};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::args::{FormatArgs, KeyKind, Layout};
use super::attribute_map::AttributeMap;
use super::customer::parse_customer;
use super::header::REJECT_COLUMNS;
use super::place::{InputError, Place, RawLine};
use super::source::{Bytes, MAX_LINE_BYTES};
use super::{Item, Lines};
use crate::status::Failure;

/// The fields that name a customer.
const KEY_FIELDS: [&str; 4] = ["customer", "customer_id", "email", "external_id"];
/// The lines that may be read to tell the layout.
const MAX_LINES_AHEAD: usize = 100;
const MAX_CACHED_ATTRIBUTES: usize = 1_000;
/// From here on, not every whole number is an `f64`.
const FIRST_INEXACT: f64 = 9_007_199_254_740_992.0;

pub struct JsonFile {
    label: Arc<str>,
    bytes: Bytes,
    line: u64,
    layout: Layout,
    key: Option<KeyKind>,
    map: AttributeMap,
    text: Vec<u8>,
    /// The lines that were read to tell the layout, and their numbers.
    ahead: VecDeque<(u64, Vec<u8>)>,
    /// Fields and attributes by their text.
    cached: HashMap<String, (Arc<str>, Result<AttributeKey, String>)>,
}

/// An object with its fields in their order.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry::<String, Value>()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

impl Object {
    fn get(&self, field: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(name, _)| name == field);
        found.map(|(_, value)| value)
    }

    /// Returns the layout that the fields tell, `None` if they only name a customer.
    fn layout(&self) -> Option<Layout> {
        let is_there = |field| self.get(field).is_some();
        if is_there("attribute") && is_there("value") {
            return Some(Layout::Long);
        }
        let is_other = |name: &str| !KEY_FIELDS.contains(&name) && !REJECT_COLUMNS.contains(&name);
        let mut fields = self.0.iter();
        let has_other = fields.any(|(name, _)| is_other(name));
        has_other.then_some(Layout::Wide)
    }
}

/// What is wrong with an object: the field and the rule.
type Wrong = (Option<String>, String);

impl JsonFile {
    pub fn open(
        label: &Arc<str>,
        bytes: Bytes,
        args: &FormatArgs,
        map: &AttributeMap,
    ) -> Result<Self, Failure> {
        let mut file = Self {
            label: Arc::clone(label),
            bytes,
            line: 0,
            layout: Layout::Long,
            key: args.key.clone(),
            map: map.clone(),
            text: Vec::new(),
            ahead: VecDeque::new(),
            cached: HashMap::new(),
        };
        file.layout = match args.layout {
            Some(layout) => layout,
            None => file.find_layout()?,
        };
        Ok(file)
    }

    /// Reads lines until one tells the layout.
    fn find_layout(&mut self) -> Result<Layout, Failure> {
        let (mut ahead, mut layout, mut first_wrong) = (VecDeque::new(), None, None);
        while layout.is_none() && ahead.len() < MAX_LINES_AHEAD {
            match self.read_line() {
                None => break,
                Some(Err(error)) => return Err(Failure::usage(anyhow!(error))),
                Some(Ok(())) => match self.parse() {
                    Ok(object) => layout = object.layout(),
                    Err(wrong) => {
                        first_wrong.get_or_insert((self.line, wrong));
                    }
                },
            }
            ahead.push_back((self.line, std::mem::take(&mut self.text)));
        }
        self.ahead = ahead;
        match (layout, first_wrong) {
            // What has no object at all is another format.
            (None, Some((line, (_, rule)))) => Err(Failure::usage(anyhow!(
                "{label}:{line}: {rule}; JSON lines have an object in each line",
                label = self.label
            ))),
            (layout, _) => Ok(layout.unwrap_or(Layout::Wide)),
        }
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    pub fn resolve(&mut self, map: &AttributeMap) {
        self.map = map.clone();
        self.cached.clear();
    }

    fn place(&self, column: Option<Arc<str>>) -> Place {
        Place {
            file: Arc::clone(&self.label),
            line: self.line,
            attribute: column.clone().unwrap_or_else(|| "".into()),
            column,
            cells: None,
        }
    }

    /// Reads the next line that is not blank into `text`. Returns `None` at the end.
    fn read_line(&mut self) -> Option<Result<(), InputError>> {
        if let Some((line, text)) = self.ahead.pop_front() {
            (self.line, self.text) = (line, text);
            return Some(Ok(()));
        }
        loop {
            self.text.clear();
            self.line += 1;
            let mut bytes = (&mut self.bytes).take(MAX_LINE_BYTES);
            let rule = match bytes.read_until(b'\n', &mut self.text) {
                Ok(0) => return None,
                Ok(_) if self.text.len() as u64 == MAX_LINE_BYTES => {
                    "the line is longer than 16 MiB".to_owned()
                }
                Ok(_) if self.text.trim_ascii().is_empty() => continue,
                Ok(_) => return Some(Ok(())),
                Err(error) => format!("the file can't be read on: {error}"),
            };
            return Some(Err(InputError::fatal(self.place(None), rule)));
        }
    }

    fn parse(&self) -> Result<Object, Wrong> {
        let text = match std::str::from_utf8(&self.text) {
            Ok(text) => text.trim(),
            Err(_) => {
                let rule = "the text is not UTF-8; if the file is in another encoding, convert it, such \
                            as by iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW_FILE";
                return Err((None, rule.to_owned()));
            }
        };
        let mut object: Object = serde_json::from_str(text).map_err(|error| {
            // The line within the text is no news: it is the only one.
            let rule = error.to_string();
            let rule = rule.split(" at line ").next().unwrap_or_default();
            let column = match error.column() {
                0 => None,
                column => Some(column.to_string()),
            };
            (column, format!("it is no JSON object: {rule}"))
        })?;
        let is_reject = REJECT_COLUMNS
            .iter()
            .all(|name| object.get(name).is_some() && !self.map.is_mapped(name));
        if is_reject {
            let is_field = |name: &String| !REJECT_COLUMNS.contains(&name.as_str());
            object.0.retain(|(name, _)| is_field(name));
        }
        for (number, (name, _)) in object.0.iter().enumerate() {
            if object.0.iter().take(number).any(|(other, _)| other == name) {
                return Err((Some(name.clone()), "the field is there twice".to_owned()));
            }
        }
        Ok(object)
    }

    /// Returns `true` for a field that names a customer.
    fn is_key(&self, field: &str) -> bool {
        KEY_FIELDS.contains(&field) && !self.map.is_mapped(field)
    }

    /// Returns the customer of an object: by the field that `--key` says, or by the only one that names it.
    fn customer(&self, object: &Object) -> Result<CustomerKey, Wrong> {
        let preferred = self.key.as_ref().map(|key| match key {
            KeyKind::Id => "customer_id",
            KeyKind::Email => "email",
            KeyKind::External(_) => "external_id",
        });
        let fields = preferred.into_iter().chain(KEY_FIELDS);
        let mut given = fields
            .filter(|field| self.is_key(field))
            .filter_map(|field| {
                let value = object.get(field)?;
                (!value.is_null()).then_some((field, value))
            });
        let Some((field, value)) = given.next() else {
            let rule = format!(
                "no field names the customer: give one of {}",
                KEY_FIELDS.join(", ")
            );
            return Err((None, rule));
        };
        // The library writes the ID that it found beside the customer that was given.
        let is_found_id = |other: &str| field == "customer" && other == "customer_id";
        if Some(field) != preferred
            && let Some((other, _)) = given.find(|(other, _)| !is_found_id(other))
        {
            let rule = format!("{field} names the customer, too: say by --key which one is meant");
            return Err((Some(other.to_owned()), rule));
        }
        let kind = match (field, value) {
            ("customer_id", _) => KeyKind::Id,
            ("email", _) => KeyKind::Email,
            ("external_id", _) => KeyKind::External(None),
            (_, Value::Number(_)) => KeyKind::Id,
            _ => self.key.clone().unwrap_or(KeyKind::Email),
        };
        let customer = match value {
            Value::String(text) => parse_customer(text, &kind),
            Value::Number(number) => parse_customer(&number.to_string(), &kind),
            Value::Object(_) => {
                serde_json::from_value(value.clone()).map_err(|error| error.to_string())
            }
            _ => Err("the customer is neither a number nor a text".to_owned()),
        };
        customer.map_err(|rule| (Some(field.to_owned()), rule))
    }

    /// Returns a text and its attribute.
    fn attribute(&mut self, text: &str) -> (Arc<str>, Result<AttributeKey, String>) {
        if let Some(known) = self.cached.get(text) {
            return known.clone();
        }
        let found = match text {
            "" => Err("the field names no attribute".to_owned()),
            text => self.map.find(text),
        };
        let known = (Arc::from(text), found);
        if self.cached.len() < MAX_CACHED_ATTRIBUTES {
            self.cached.insert(text.to_owned(), known.clone());
        }
        known
    }

    fn long_row(&mut self, object: &Object) -> Result<UpsertRow<Place>, Wrong> {
        let is_known = |name: &str| {
            KEY_FIELDS.contains(&name) || ["attribute", "value", "tag"].contains(&name)
        };
        if let Some((name, _)) = object.0.iter().find(|(name, _)| !is_known(name)) {
            let rule = "the field is unknown: a row has a customer, attribute, value and tag";
            return Err((Some(name.clone()), rule.to_owned()));
        }
        let customer = self.customer(object)?;
        let text = match object.get("attribute") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => {
                let rule = "the attribute is neither a number nor a text".to_owned();
                return Err((Some("attribute".to_owned()), rule));
            }
            None => return Err((None, "the field attribute is missing".to_owned())),
        };
        let (text, attribute) = self.attribute(&text);
        let attribute = attribute.map_err(|rule| (Some("attribute".to_owned()), rule))?;
        let value = object
            .get("value")
            .ok_or_else(|| (None, "the field value is missing".to_owned()))?;
        let value = parse_value(value).map_err(|rule| (Some("value".to_owned()), rule))?;
        let mut place = self.place(Some("value".into()));
        place.attribute = text;
        Ok(UpsertRow::new(customer, attribute, value).with_payload(place))
    }

    fn wide_rows(&mut self, object: &Object, push: &mut dyn FnMut(Item)) -> Result<(), Wrong> {
        let customer = self.customer(object)?;
        // Nothing is pushed of an object that is wrong.
        let mut rows = Vec::new();
        for (name, value) in &object.0 {
            if self.is_key(name) {
                continue;
            }
            let (name, attribute) = self.attribute(name);
            let attribute = attribute.map_err(|rule| (Some(name.to_string()), rule))?;
            let value = parse_value(value).map_err(|rule| (Some(name.to_string()), rule))?;
            let row = UpsertRow::new(customer.clone(), attribute, value);
            rows.push(row.with_payload(self.place(Some(name))));
        }
        rows.into_iter().for_each(|row| push(Ok(row)));
        Ok(())
    }

    fn wrong(&self, (field, rule): Wrong) -> InputError {
        let place = self.place(field.map(Arc::from));
        let line = RawLine::Json(self.text.trim_ascii().to_vec());
        InputError::new(place, rule).with_line(line)
    }
}

impl Lines for JsonFile {
    fn next_line(&mut self, push: &mut dyn FnMut(Item)) -> bool {
        match self.read_line() {
            None => return false,
            Some(Err(error)) => {
                push(Err(error));
                return false;
            }
            Some(Ok(())) => {}
        }
        let result = self.parse().and_then(|object| match self.layout {
            Layout::Long => self.long_row(&object).map(|row| push(Ok(row))),
            Layout::Wide => self.wide_rows(&object, push),
        });
        if let Err(wrong) = result {
            push(Err(self.wrong(wrong)));
        }
        true
    }

    fn next_customer(&mut self) -> Option<Result<CustomerKey, InputError>> {
        if let Err(error) = self.read_line()? {
            return Some(Err(error));
        }
        let customer = self.parse().and_then(|object| self.customer(&object));
        Some(customer.map_err(|wrong| self.wrong(wrong)))
    }

    fn next_attributes(&mut self, name: &mut dyn FnMut(&str)) -> Option<Result<(), InputError>> {
        if let Err(error) = self.read_line()? {
            return Some(Err(error));
        }
        // A wrong line is told when the rows are read.
        if let Ok(object) = self.parse() {
            match self.layout {
                Layout::Long => match object.get("attribute") {
                    Some(Value::String(text)) => name(text),
                    Some(Value::Number(number)) => name(&number.to_string()),
                    _ => {}
                },
                Layout::Wide => {
                    let fields = object.0.iter().map(|(field, _)| field.as_str());
                    fields.filter(|field| !self.is_key(field)).for_each(name);
                }
            }
        }
        Some(Ok(()))
    }
}

fn parse_value(value: &Value) -> Result<RowValue, String> {
    Ok(match value {
        Value::Null => None::<&str>.into(),
        Value::String(text) => text.as_str().into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => number.into(),
            (None, Some(number), _) => number.into(),
            (None, None, Some(number)) if number.abs() < FIRST_INEXACT || number.fract() != 0.0 => {
                number.into()
            }
            _ => {
                return Err(
                    "the number has too many digits to be read exactly: write it as a text"
                        .to_owned(),
                );
            }
        },
        _ => return Err("the value is neither a text, a number nor null".to_owned()),
    })
}
