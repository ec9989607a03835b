//! Values, put together to a row per customer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io::Write;

use bigcommerce_ext::sdk::types::{Attribute, AttributeValue};
use csv::Writer;

/// Writes a customer as soon as all values are there; keeps the others until the end.
pub struct Table<W: Write> {
    attributes: Vec<Attribute>,
    /// The columns of attributes, by their IDs.
    columns: HashMap<i64, usize>,
    customers: BTreeMap<i64, Vec<Option<String>>>,
    /// Customers that are written: a second row would overwrite the first when it is read back.
    written: HashSet<i64>,
    writer: Writer<W>,
}

/// Why a value or a row can't be written.
#[derive(Debug)]
pub enum Problem {
    Undefined { attribute: i64 },
    Again { customer: i64 },
    Csv(csv::Error),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undefined { attribute } => write!(
                f,
                "there is a value of attribute {attribute}, which was not defined at the start"
            ),
            Self::Again { customer } => write!(
                f,
                "a value of customer {customer} came after all of them, so one was made anew meanwhile"
            ),
            Self::Csv(error) => error.fmt(f),
        }
    }
}

impl<W: Write> Table<W> {
    pub fn new(mut attributes: Vec<Attribute>, writer: W) -> Self {
        attributes.sort_by_key(|attribute| attribute.id);
        Self {
            columns: attributes.iter().map(|known| known.id).zip(0..).collect(),
            attributes,
            customers: BTreeMap::new(),
            written: HashSet::new(),
            writer: Writer::from_writer(writer),
        }
    }

    pub fn header(&mut self) -> Result<(), Problem> {
        let names = self.attributes.iter().map(|known| known.name.as_str());
        let header = std::iter::once("customer_id").chain(names);
        self.writer.write_record(header).map_err(Problem::Csv)
    }

    pub fn take(&mut self, value: AttributeValue) -> Result<(), Problem> {
        let attribute = value.attribute_id;
        let customer = value.customer_id;
        if self.written.contains(&customer) {
            return Err(Problem::Again { customer });
        }
        let width = self.attributes.len();
        let row = self.customers.entry(value.customer_id);
        let row = row.or_insert_with(|| vec![None; width]);
        let column = self.columns.get(&attribute);
        let cell = column.and_then(|&column| row.get_mut(column));
        *cell.ok_or(Problem::Undefined { attribute })? = Some(value.attribute_value);
        if row.iter().all(Option::is_some)
            && let Some(row) = self.customers.remove(&value.customer_id)
        {
            self.written.insert(customer);
            self.write(customer, row)?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<(), Problem> {
        for (customer, row) in std::mem::take(&mut self.customers) {
            self.write(customer, row)?;
        }
        let flushed = self.writer.flush();
        flushed.map_err(|error| Problem::Csv(error.into()))
    }

    fn write(&mut self, customer: i64, row: Vec<Option<String>>) -> Result<(), Problem> {
        let cells = row.into_iter().map(Option::unwrap_or_default);
        let record = std::iter::once(customer.to_string()).chain(cells);
        self.writer.write_record(record).map_err(Problem::Csv)
    }
}
