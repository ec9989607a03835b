//! Values as CSV or JSON lines.

use std::io::{self, Write};

use bigcommerce_ext::sdk::types::AttributeValue;
use bigcommerce_ext::{CustomerKey, UpsertRow};
use csv::{ByteRecord, Writer, WriterBuilder};
use serde_json::{Map, Value, json};

use super::destination::Destination;
use super::names::AttributeNames;
use crate::input::{Format, Layout};

/// What customers are named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Id,
    Email,
}

impl Key {
    /// Returns the name of the column.
    pub fn column(self) -> &'static str {
        match self {
            Self::Id => "customer_id",
            Self::Email => "email",
        }
    }
}

/// Writes values.
pub struct Table {
    names: AttributeNames,
    layout: Layout,
    writer: Form,
    values: u64,
    empty_texts: u64,
    undefined: Option<i64>,
}

enum Form {
    Csv(Box<Writer<Destination>>),
    Json(Destination),
}

impl Table {
    /// Writes the header.
    pub fn new(
        destination: Destination,
        format: Format,
        layout: Layout,
        delimiter: u8,
        key: Key,
        names: AttributeNames,
    ) -> io::Result<Self> {
        let writer = match format {
            Format::Json => Form::Json(destination),
            Format::Csv => {
                let mut writer = WriterBuilder::new()
                    .delimiter(delimiter)
                    .from_writer(destination);
                let mut header = vec![key.column()];
                match layout {
                    Layout::Wide => header.extend(names.columns()),
                    Layout::Long => header.extend(["attribute", "value"]),
                }
                writer.write_record(header)?;
                Form::Csv(Box::new(writer))
            }
        };
        Ok(Self {
            names,
            layout,
            writer,
            values: 0,
            empty_texts: 0,
            undefined: None,
        })
    }

    /// Writes values of one customer: all of them, in the wide layout.
    pub fn write(&mut self, customer: &CustomerKey, values: &[AttributeValue]) -> io::Result<()> {
        self.values += values.len() as u64;
        if let Form::Csv(_) = self.writer {
            let texts = values.iter().map(|value| &value.attribute_value);
            self.empty_texts += texts.filter(|text| text.is_empty()).count() as u64;
        }
        match self.layout {
            Layout::Long => values
                .iter()
                .try_for_each(|value| self.write_value(customer, value)),
            Layout::Wide if values.is_empty() => Ok(()),
            Layout::Wide => self.write_line(customer, values),
        }
    }

    fn write_value(&mut self, customer: &CustomerKey, value: &AttributeValue) -> io::Result<()> {
        let name = self.names.name(value.attribute_id);
        let text = value.attribute_value.as_str();
        match &mut self.writer {
            Form::Csv(writer) => Ok(writer.write_record([&*customer.to_string(), &*name, text])?),
            Form::Json(writer) => {
                let row = UpsertRow::new(customer.clone(), name, text);
                write_json(writer, &row)
            }
        }
    }

    fn write_line(&mut self, customer: &CustomerKey, values: &[AttributeValue]) -> io::Result<()> {
        let mut cells = vec![None; self.names.len()];
        for value in values {
            let column = self.names.column(value.attribute_id);
            match column.and_then(|column| cells.get_mut(column)) {
                Some(cell) => *cell = Some(value.attribute_value.as_str()),
                None => {
                    self.undefined.get_or_insert(value.attribute_id);
                }
            }
        }
        match &mut self.writer {
            Form::Csv(writer) => {
                let mut record = ByteRecord::new();
                record.push_field(customer.to_string().as_bytes());
                for cell in cells {
                    record.push_field(cell.unwrap_or_default().as_bytes());
                }
                Ok(writer.write_byte_record(&record)?)
            }
            Form::Json(writer) => {
                let key = match customer {
                    CustomerKey::Id(_) => Key::Id,
                    _ => Key::Email,
                };
                let mut object = Map::new();
                object.insert(key.column().to_owned(), json!(customer));
                for (name, cell) in self.names.columns().zip(cells) {
                    if let Some(text) = cell {
                        object.insert(name.to_owned(), text.into());
                    }
                }
                write_json(writer, &Value::Object(object))
            }
        }
    }

    /// Returns the number of values that were written.
    pub fn values(&self) -> u64 {
        self.values
    }

    /// Returns the number of empty texts among them that CSV shows as empty cells.
    pub fn empty_texts(&self) -> u64 {
        self.empty_texts
    }

    /// Returns the attribute of a value that has no column, if there was one.
    pub fn undefined(&self) -> Option<i64> {
        self.undefined
    }

    /// Ends the writing.
    pub fn into_destination(self) -> io::Result<Destination> {
        match self.writer {
            Form::Csv(writer) => writer.into_inner().map_err(csv::IntoInnerError::into_error),
            Form::Json(destination) => Ok(destination),
        }
    }
}

fn write_json(writer: &mut Destination, data: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, data)?;
    writer.write_all(b"\n")
}
