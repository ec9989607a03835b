//! The command `attributes`.

use anyhow::anyhow;
use bigcommerce_ext::sdk::types::{Attribute, AttributeType};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::args::Global;
use crate::question::{Answer, confirm};
use crate::session::Session;
use crate::status::{Failure, Status};
use crate::table;

/// List, create, rename and delete attributes
#[derive(Debug, Args)]
pub struct Attributes {
    #[command(subcommand)]
    action: AttributesAction,
}

#[derive(Debug, Subcommand)]
enum AttributesAction {
    /// List the attributes of the store
    List {
        /// Count the values of each attribute, with up to 4 requests each
        #[arg(long)]
        count: bool,
    },
    /// Create an attribute; one that exists with this type is left as it is
    Create {
        name: String,
        /// What its values are; the type can't be changed later
        #[arg(long = "type", value_enum, default_value_t = TypeName::String, value_name = "TYPE")]
        type_name: TypeName,
    },
    /// Rename an attribute; it keeps its ID and its values
    Rename {
        /// The name or the ID
        attribute: String,
        new_name: String,
    },
    /// Delete an attribute, with the values that all customers have for it
    Delete {
        /// The name or the ID
        attribute: String,
        /// Delete it if it has exactly this number of values, without a question
        #[arg(long, value_name = "NUMBER", conflicts_with = "yes")]
        values: Option<u64>,
        /// Delete it without a question, whatever its number of values
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TypeName {
    String,
    Number,
    Date,
}

impl From<TypeName> for AttributeType {
    fn from(name: TypeName) -> Self {
        match name {
            TypeName::String => Self::String,
            TypeName::Number => Self::Number,
            TypeName::Date => Self::Date,
        }
    }
}

/// An attribute as data.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    attribute: &'a Attribute,
    /// The number of values, if they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<u64>,
}

impl Attributes {
    pub async fn run(self, global: &Global) -> Result<Status, Failure> {
        let session = Session::start(global).await?;
        let status = match self.action {
            AttributesAction::List { count } => list(&session, global.json, count).await?,
            AttributesAction::Create { name, type_name } => {
                let wanted = [(name, type_name.into())];
                let created = session.attributes().ensure(wanted).await?;
                show(&session, global.json, &created, None);
                Status::Done
            }
            AttributesAction::Rename {
                attribute,
                new_name,
            } => {
                let attribute = find(&session, &attribute).await?;
                let renamed = session.attributes().rename(attribute.id, new_name).await?;
                show(&session, global.json, &[renamed], None);
                Status::Done
            }
            AttributesAction::Delete {
                attribute,
                values,
                yes,
            } => {
                let attribute = find(&session, &attribute).await?;
                delete(&session, global.json, &attribute, values, yes).await?
            }
        };
        Ok(session.end(status))
    }
}

async fn list(session: &Session, json: bool, count: bool) -> Result<Status, Failure> {
    let attributes = session.attributes().list().await?;
    let mut counts = Vec::new();
    if count {
        for attribute in &attributes {
            counts.push(session.attributes().count_values(attribute.id).await?);
        }
    }
    show(session, json, &attributes, count.then_some(&counts));
    Ok(Status::Done)
}

async fn delete(
    session: &Session,
    json: bool,
    attribute: &Attribute,
    values: Option<u64>,
    yes: bool,
) -> Result<Status, Failure> {
    let expected = match values {
        Some(values) => values,
        None => {
            let counted = session.attributes().count_values(attribute.id).await?;
            let Attribute { id, name, .. } = attribute;
            let with_values = match counted {
                0 => "without values".to_owned(),
                1 => "with its value".to_owned(),
                _ => format!("with its {counted} values"),
            };
            let question = format!("Delete attribute {name:?} (ID {id}) {with_values}?");
            if confirm(session, &question, yes).await? == Answer::No {
                session.eprintln("Nothing was deleted.");
                return Ok(Status::Incomplete);
            }
            counted
        }
    };
    let deleted = session.attributes().delete(attribute.id, expected).await?;
    show(session, json, &[deleted], Some(&vec![expected]));
    Ok(Status::Done)
}

/// Finds an attribute by its name or its ID.
async fn find(session: &Session, text: &str) -> Result<Attribute, Failure> {
    let mut attributes = session.attributes().list().await?;
    let id = text.parse::<i64>().ok();
    let by_name = attributes.iter().position(|it| it.name == text);
    let by_id = attributes.iter().position(|it| Some(it.id) == id);
    match (by_name, by_id) {
        (Some(name), Some(id)) if name != id => Err(Failure::usage(anyhow!(
            "{text} is the ID of attribute {:?} and the name of the attribute with the ID {}: rename \
             one of them in the control panel first",
            attributes[id].name,
            attributes[name].id
        ))),
        (Some(found), _) | (None, Some(found)) => Ok(attributes.swap_remove(found)),
        (None, None) => {
            let names = attributes
                .iter()
                .map(|it| format!("{:?} (ID {})", it.name, it.id));
            let defined = match names.collect::<Vec<_>>() {
                names if names.is_empty() => "it defines none".to_owned(),
                names => format!("it defines {}", names.join(", ")),
            };
            Err(Failure::usage(anyhow!(
                "the store has no attribute {text:?}: give the name or the ID of one that it \
                 defines; {defined}"
            )))
        }
    }
}

/// Writes attributes as a table, or as lines of JSON.
fn show(session: &Session, json: bool, attributes: &[Attribute], values: Option<&Vec<u64>>) {
    let count_of = |index: usize| values.and_then(|values| values.get(index).copied());
    if json {
        for (index, attribute) in attributes.iter().enumerate() {
            let values = count_of(index);
            session.json(&Shown { attribute, values });
        }
        return;
    }
    let mut header = vec!["ID", "name", "type"];
    if values.is_some() {
        header.push("values");
    }
    let rows = attributes.iter().enumerate().map(|(index, attribute)| {
        let Attribute {
            id, name, type_, ..
        } = attribute;
        let mut row = vec![id.to_string(), name.clone(), type_.clone()];
        row.extend(count_of(index).map(|count| count.to_string()));
        row
    });
    for line in table::lines(&header, &rows.collect::<Vec<_>>(), &[0, 3]) {
        session.println(line);
    }
}
