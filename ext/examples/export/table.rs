//! Groups values into a row per customer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io::Write;

use bigcommerce_ext::sdk::types::{Attribute, AttributeValue};
use csv::Writer;

/// Writes a customer once all values are there. Keeps the other customers until the end.
pub struct Table<W: Write> {
    attributes: Vec<Attribute>,
    /// The column of each attribute, by ID.
    columns: HashMap<i64, usize>,
    customers: BTreeMap<i64, Vec<Option<String>>>,
    /// Customers already written. A second row would replace the first when the file is imported.
    written: HashSet<i64>,
    writer: Writer<W>,
}

/// Why a value or a row can't be written.
#[derive(Debug)]
pub enum TableError {
    UndefinedAttribute(i64),
    AlreadyWritten { customer: i64 },
    Csv(csv::Error),
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UndefinedAttribute(attribute) => write!(
                f,
                "a value has attribute {attribute}, which was not defined at the start: run the \
                 export again"
            ),
            Self::AlreadyWritten { customer } => write!(
                f,
                "customer {customer} was written, and then another value was listed, so the store \
                 changed: run the export again"
            ),
            Self::Csv(error) => error.fmt(f),
        }
    }
}

impl<W: Write> Table<W> {
    pub fn new(mut attributes: Vec<Attribute>, writer: W) -> Self {
        attributes.sort_by_key(|attribute| attribute.id);
        Self {
            columns: attributes
                .iter()
                .map(|attribute| attribute.id)
                .zip(0..)
                .collect(),
            attributes,
            customers: BTreeMap::new(),
            written: HashSet::new(),
            writer: Writer::from_writer(writer),
        }
    }

    pub fn write_header(&mut self) -> Result<(), TableError> {
        let names = self
            .attributes
            .iter()
            .map(|attribute| attribute.name.as_str());
        let header = std::iter::once("customer_id").chain(names);
        self.writer.write_record(header).map_err(TableError::Csv)
    }

    pub fn add(&mut self, value: AttributeValue) -> Result<(), TableError> {
        let attribute = value.attribute_id;
        let customer = value.customer_id;
        if self.written.contains(&customer) {
            return Err(TableError::AlreadyWritten { customer });
        }
        let width = self.attributes.len();
        let row = self.customers.entry(value.customer_id);
        let row = row.or_insert_with(|| vec![None; width]);
        let column = self.columns.get(&attribute);
        let cell = column.and_then(|&column| row.get_mut(column));
        *cell.ok_or(TableError::UndefinedAttribute(attribute))? = Some(value.attribute_value);
        if row.iter().all(Option::is_some)
            && let Some(row) = self.customers.remove(&value.customer_id)
        {
            self.written.insert(customer);
            self.write(customer, row)?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<(), TableError> {
        for (customer, row) in std::mem::take(&mut self.customers) {
            self.write(customer, row)?;
        }
        let flushed = self.writer.flush();
        flushed.map_err(|error| TableError::Csv(error.into()))
    }

    fn write(&mut self, customer: i64, row: Vec<Option<String>>) -> Result<(), TableError> {
        let cells = row.into_iter().map(Option::unwrap_or_default);
        let record = std::iter::once(customer.to_string()).chain(cells);
        self.writer.write_record(record).map_err(TableError::Csv)
    }
}
