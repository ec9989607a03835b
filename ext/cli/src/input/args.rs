//! The options that say what an input file means.

use std::path::PathBuf;
use std::str::FromStr;

use bigcommerce_ext::AttributeKey;
use clap::{Args, ValueEnum};

/// Files of rows, and what they mean.
#[derive(Clone, Debug, Args)]
pub struct InputArgs {
    /// Files to read, plain or compressed by gzip; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub format: FormatArgs,
}

/// What a file of rows means.
#[derive(Clone, Debug, Default, Args)]
pub struct FormatArgs {
    /// The format of the files (default: by the file's extension, or else by its first character)
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// A column per attribute, or a line per value (default: long if the columns are customer,
    /// attribute and value)
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,
    /// What the first column names customers by: id, email, or external=ATTRIBUTE for the IDs that are
    /// the values of this attribute (default: by the column's name, customer_id or email)
    #[arg(long, value_name = "KEY")]
    pub key: Option<KeyKind>,
    /// The attribute of a column that is not called like it, by ID or name; once per column
    #[arg(long = "attribute", value_name = "COLUMN=ATTRIBUTE")]
    pub attributes: Vec<ColumnAttribute>,
    /// The character between cells, or tab (default: the comma)
    #[arg(long, value_name = "CHARACTER", value_parser = parse_delimiter)]
    pub delimiter: Option<u8>,
    /// What an empty cell means: nothing to do, an empty text, or that there is to be no value
    #[arg(long, value_enum)]
    pub empty: Option<Empty>,
    /// Stop at the first wrong row
    #[arg(long)]
    pub strict: bool,
    /// Of several accounts with an e-mail address, take those of this channel
    #[arg(long, value_name = "ID")]
    pub channel: Option<i64>,
    /// Of several accounts with an e-mail address, take the one that was created last
    #[arg(long)]
    pub newest_account: bool,
}

impl FormatArgs {
    /// Returns the attribute whose values are the external IDs of customers.
    pub fn external_id(&self) -> Option<AttributeKey> {
        match &self.key {
            Some(KeyKind::External(Some(attribute))) => Some(attribute_key(attribute)),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Csv,
    /// JSON lines
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// A column per attribute
    Wide,
    /// A line per value
    Long,
}

/// What an empty cell of a CSV file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Empty {
    /// Nothing
    Skip,
    /// An empty text
    Text,
    /// That there is to be no value
    Absent,
}

/// What customers are named by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Id,
    Email,
    /// The values of an attribute, if it is known.
    External(Option<String>),
}

impl FromStr for KeyKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "id" || text == "customer_id" => Ok(Self::Id),
            None if text == "email" => Ok(Self::Email),
            Some(("external", attribute)) if !attribute.is_empty() => {
                Ok(Self::External(Some(attribute.to_owned())))
            }
            _ => {
                Err("give id, email, or external=ATTRIBUTE, such as external=\"ERP number\"".into())
            }
        }
    }
}

/// The attribute of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnAttribute {
    pub column: String,
    /// The attribute's ID or name.
    pub attribute: String,
}

impl FromStr for ColumnAttribute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((column, attribute)) if !column.is_empty() && !attribute.is_empty() => Ok(Self {
                column: column.to_owned(),
                attribute: attribute.to_owned(),
            }),
            _ => Err("give COLUMN=ID or COLUMN=NAME, such as points=103".into()),
        }
    }
}

/// Returns the attribute of a text: an ID if it is a whole number, or else a name.
pub fn attribute_key(text: &str) -> AttributeKey {
    match text.parse::<i64>() {
        Ok(id) => id.into(),
        Err(_) => text.into(),
    }
}

pub fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => Ok(*byte),
            _ => Err("give one ASCII character, such as ';', or tab".into()),
        },
    }
}
