use std::collections::HashSet;

use hyper::header::HeaderMap;
use serde_json::Value;

use crate::attributes::{AttributeType, Attributes, StoredAttribute};
use crate::filter::Times;
use crate::json::{self, BadBody, BadRow};
use crate::paging::{self, List, Paging};
use crate::query::{self, BadParameter};
use crate::settings::BatchRejection;
use crate::state::Shared;
use crate::wire::{Answer, Definitions};

/// One attribute of a POST.
pub(crate) struct Definition {
    name: String,
    attribute_type: AttributeType,
}

/// Reads the body of a POST.
pub(crate) fn read(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<Result<Definition, BadRow>>, BadBody> {
    json::check_type(headers)?;
    let rows = json::array(body)?;
    Ok(rows.iter().map(definition).collect())
}

fn definition(row: &Value) -> Result<Definition, BadRow> {
    let text = |field| match row.get(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(BadRow::new(field, "must be a string")),
        None => Err(BadRow::new(field, "is required")),
    };
    let name = text("name")?;
    if name.trim().is_empty() {
        return Err(BadRow::new("name", "must not be empty"));
    }
    let attribute_type = AttributeType::from_name(text("type")?)
        .ok_or_else(|| BadRow::new("type", "must be string, number or date"))?;
    Ok(Definition {
        name: name.clone(),
        attribute_type,
    })
}

/// Creates all or nothing, or those that it can, by the same setting as for values.
pub(crate) fn post(shared: &Shared, rows: Vec<Result<Definition, BadRow>>) -> Answer {
    if rows.is_empty() {
        return BadBody::Empty.into_answer();
    }
    let now = shared.clock.now();
    let created: Vec<StoredAttribute> = {
        let attributes = &mut shared.lock().attributes;
        let (good, bad) = sort_out(attributes, rows);
        let is_atomic = shared.settings.batch_rejection == BatchRejection::Atomic;
        if !bad.is_empty() && is_atomic {
            return json::refuse(shared.settings.error_keys, bad);
        }
        let created = good
            .into_iter()
            .map(|new| attributes.create(new.name, new.attribute_type, now));
        let created = created.collect();
        if !bad.is_empty() {
            return json::refuse(shared.settings.error_keys, bad);
        }
        created
    };
    let list = List {
        base_url: &shared.base_url,
        path: paging::ATTRIBUTES,
        parameters: &[],
    };
    let count = created.len();
    let pagination = paging::describe_written(&list, count, count);
    Answer::page(Definitions(created.iter()), pagination)
}

/// Parts what can be created from the bad rows, which go with their index.
fn sort_out(
    attributes: &Attributes,
    rows: Vec<Result<Definition, BadRow>>,
) -> (Vec<Definition>, Vec<(usize, BadRow)>) {
    let known = attributes.iter().map(|known| known.name.clone());
    let mut names: HashSet<String> = known.collect();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (index, row) in rows.into_iter().enumerate() {
        match row {
            Err(fault) => bad.push((index, fault)),
            Ok(new) if names.contains(&new.name) => {
                bad.push((index, BadRow::new("name", "is there already")));
            }
            Ok(_) if attributes.len() + good.len() >= Attributes::LIMIT => {
                let message = format!("is one too many, {} at most", Attributes::LIMIT);
                bad.push((index, BadRow::new("name", message)));
            }
            Ok(new) => {
                names.insert(new.name.clone());
                good.push(new);
            }
        }
    }
    (good, bad)
}

pub(crate) fn get(shared: &Shared, query: Option<&str>) -> Answer {
    let parameters = query::parameters(query);
    let settings = &shared.settings;
    let mut filter = Filter::default();
    let paging = Paging::parse(settings, &parameters, |name, text| filter.set(name, text));
    let paging = match paging {
        Ok(paging) => paging,
        Err(bad) => return bad.into_answer(),
    };
    let state = shared.lock();
    let found = state.attributes.iter().filter(|it| filter.matches(it));
    let found: Vec<&StoredAttribute> = found.collect();
    let list = List {
        base_url: &shared.base_url,
        path: paging::ATTRIBUTES,
        parameters: &parameters,
    };
    let page = found.iter().skip(paging.offset()).take(paging.limit);
    let pagination = paging.describe(settings.list_meta, &list, found.len(), page.len());
    Answer::page(Definitions(page.copied()), pagination)
}

/// Which attributes a GET asks for; all conditions must hold.
#[derive(Default)]
struct Filter {
    name: Option<String>,
    /// In lower case.
    part_of_name: Option<String>,
    attribute_type: Option<AttributeType>,
    times: Times,
}

impl Filter {
    fn set(&mut self, name: &str, text: &str) -> Result<(), BadParameter> {
        match name {
            "name" => self.name = Some(text.to_owned()),
            "name:like" => self.part_of_name = Some(text.to_lowercase()),
            "type" => {
                let known = AttributeType::from_name(text)
                    .ok_or_else(|| BadParameter::new(name, "must be string, number or date"))?;
                self.attribute_type = Some(known);
            }
            _ => self.times.set(name, text)?,
        }
        Ok(())
    }

    fn matches(&self, attribute: &StoredAttribute) -> bool {
        let name = &attribute.name;
        self.name.as_ref().is_none_or(|asked| asked == name)
            && self
                .part_of_name
                .as_ref()
                .is_none_or(|part| name.to_lowercase().contains(part))
            && self
                .attribute_type
                .is_none_or(|asked| asked == attribute.attribute_type)
            && self
                .times
                .matches(attribute.date_created, attribute.date_modified)
    }
}
