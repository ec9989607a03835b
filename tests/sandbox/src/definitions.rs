use std::collections::HashSet;

use hyper::header::HeaderMap;
use serde_json::Value;

use crate::attributes::{AttributeType, Attributes, StoredAttribute};
use crate::filter::DateFilters;
use crate::json::{self, InvalidBody, InvalidRow};
use crate::paging::{self, ListUrl, PageRequest};
use crate::query::{self, InvalidParameter};
use crate::settings::BatchRejection;
use crate::state::Shared;
use crate::wire::{ApiResponse, AttributeRecords};

/// An attribute to define, from the body of a POST.
pub(crate) struct NewAttribute {
    name: String,
    attribute_type: AttributeType,
}

/// A new name for an attribute, from the body of a PUT.
pub(crate) struct NewName {
    id: i64,
    name: String,
    /// The type, if the row has one. It can't change.
    attribute_type: Option<String>,
}

pub(crate) fn parse_new_attributes(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<Result<NewAttribute, InvalidRow>>, InvalidBody> {
    json::check_content_type(headers)?;
    let rows = json::parse_array(body)?;
    Ok(rows.iter().map(parse_new_attribute).collect())
}

pub(crate) fn parse_new_names(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<Result<NewName, InvalidRow>>, InvalidBody> {
    json::check_content_type(headers)?;
    let rows = json::parse_array(body)?;
    Ok(rows.iter().map(parse_new_name).collect())
}

fn parse_new_attribute(row: &Value) -> Result<NewAttribute, InvalidRow> {
    let name = name(row)?;
    let attribute_type = text(row, "type")?;
    let attribute_type = AttributeType::from_name(attribute_type)
        .ok_or_else(|| InvalidRow::new("type", "must be string, number or date"))?;
    Ok(NewAttribute {
        name,
        attribute_type,
    })
}

fn parse_new_name(row: &Value) -> Result<NewName, InvalidRow> {
    let id = match row.get("id").map(Value::as_i64) {
        Some(Some(id)) => id,
        Some(None) => return Err(InvalidRow::new("id", "must be an integer")),
        None => return Err(InvalidRow::new("id", "is required")),
    };
    let attribute_type = match row.get("type") {
        Some(_) => Some(text(row, "type")?.to_owned()),
        None => None,
    };
    Ok(NewName {
        id,
        name: name(row)?,
        attribute_type,
    })
}

fn text<'a>(row: &'a Value, field: &'static str) -> Result<&'a str, InvalidRow> {
    match row.get(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(InvalidRow::new(field, "must be a string")),
        None => Err(InvalidRow::new(field, "is required")),
    }
}

fn name(row: &Value) -> Result<String, InvalidRow> {
    let name = text(row, "name")?;
    if name.trim().is_empty() {
        return Err(InvalidRow::new("name", "must not be empty"));
    }
    let limit = Attributes::MAX_NAME_LENGTH;
    if name.chars().count() > limit {
        let message = format!("must have at most {limit} characters");
        return Err(InvalidRow::new("name", message));
    }
    Ok(name.to_owned())
}

/// Defines all attributes or, depending on [`BatchRejection`], the valid ones.
pub(crate) fn post(shared: &Shared, rows: Vec<Result<NewAttribute, InvalidRow>>) -> ApiResponse {
    if rows.is_empty() {
        return InvalidBody::Empty.into_response();
    }
    let now = shared.clock.now();
    let settings = &shared.settings;
    let created: Vec<StoredAttribute> = {
        let attributes = &mut shared.lock().attributes;
        let (valid, invalid) = partition(attributes, rows);
        if !invalid.is_empty() && settings.batch_rejection == BatchRejection::Atomic {
            return json::reject_rows(settings.error_keys, invalid);
        }
        let created = valid
            .into_iter()
            .map(|new| attributes.create(new.name, new.attribute_type, now));
        let created = created.collect();
        if !invalid.is_empty() {
            return json::reject_rows(settings.error_keys, invalid);
        }
        created
    };
    written(shared, &created)
}

/// Renames all attributes or, depending on [`BatchRejection`], those of the valid rows.
pub(crate) fn put(shared: &Shared, rows: Vec<Result<NewName, InvalidRow>>) -> ApiResponse {
    if rows.is_empty() {
        return InvalidBody::Empty.into_response();
    }
    let now = shared.clock.now();
    let settings = &shared.settings;
    let renamed: Vec<StoredAttribute> = {
        let attributes = &mut shared.lock().attributes;
        let (valid, invalid) = partition_names(attributes, rows);
        if !invalid.is_empty() && settings.batch_rejection == BatchRejection::Atomic {
            return json::reject_rows(settings.error_keys, invalid);
        }
        let renamed = valid
            .into_iter()
            .filter_map(|new| attributes.rename(new.id, new.name, now));
        let renamed = renamed.collect();
        if !invalid.is_empty() {
            return json::reject_rows(settings.error_keys, invalid);
        }
        renamed
    };
    written(shared, &renamed)
}

/// Returns the response to a POST or PUT.
fn written(shared: &Shared, attributes: &[StoredAttribute]) -> ApiResponse {
    let list = ListUrl {
        base_url: &shared.base_url,
        path: paging::ATTRIBUTES,
        parameters: &[],
    };
    let count = attributes.len();
    let pagination = paging::written_pagination(&list, count, count);
    ApiResponse::page(AttributeRecords(attributes.iter()), pagination)
}

/// Separates the valid names from the invalid rows, which keep their index.
fn partition_names(
    attributes: &Attributes,
    rows: Vec<Result<NewName, InvalidRow>>,
) -> (Vec<NewName>, Vec<(usize, InvalidRow)>) {
    let (mut valid, mut invalid) = (Vec::<NewName>::new(), Vec::new());
    for (index, row) in rows.into_iter().enumerate() {
        let checked = row.and_then(|new| {
            let attribute = attributes
                .get(new.id)
                .ok_or_else(|| InvalidRow::new("id", "is not an attribute"))?;
            let kind = attribute.attribute_type.to_string();
            if new.attribute_type.as_ref().is_some_and(|new| *new != kind) {
                return Err(InvalidRow::new("type", "can't be changed"));
            }
            if valid.iter().any(|row| row.id == new.id) {
                return Err(InvalidRow::new("id", "must not be repeated"));
            }
            let mut others = attributes.iter().filter(|other| other.id != new.id);
            if others.any(|other| other.name == new.name)
                || valid.iter().any(|row| row.name == new.name)
            {
                return Err(InvalidRow::new("name", "is already taken"));
            }
            Ok(new)
        });
        match checked {
            Ok(new) => valid.push(new),
            Err(reason) => invalid.push((index, reason)),
        }
    }
    (valid, invalid)
}

/// Separates the valid attributes from the invalid rows, which keep their index.
fn partition(
    attributes: &Attributes,
    rows: Vec<Result<NewAttribute, InvalidRow>>,
) -> (Vec<NewAttribute>, Vec<(usize, InvalidRow)>) {
    let known = attributes.iter().map(|known| known.name.clone());
    let mut names: HashSet<String> = known.collect();
    let (mut valid, mut invalid) = (Vec::new(), Vec::new());
    for (index, row) in rows.into_iter().enumerate() {
        match row {
            Err(reason) => invalid.push((index, reason)),
            Ok(new) if names.contains(&new.name) => {
                invalid.push((index, InvalidRow::new("name", "is already taken")));
            }
            Ok(_) if attributes.len() + valid.len() >= Attributes::LIMIT => {
                let limit = Attributes::LIMIT;
                let message = format!("exceeds the limit of {limit} attributes per store");
                invalid.push((index, InvalidRow::new("name", message)));
            }
            Ok(new) => {
                names.insert(new.name.clone());
                valid.push(new);
            }
        }
    }
    (valid, invalid)
}

pub(crate) fn get(shared: &Shared, query: Option<&str>) -> ApiResponse {
    let parameters = query::parameters(query);
    let settings = &shared.settings;
    let mut filter = AttributeFilter::default();
    let request = PageRequest::parse(settings, &parameters, |name, text| filter.set(name, text));
    let request = match request {
        Ok(request) => request,
        Err(invalid) => return invalid.into_response(),
    };
    let state = shared.lock();
    let matching = state.attributes.iter().filter(|it| filter.matches(it));
    let matching: Vec<&StoredAttribute> = matching.collect();
    let list = ListUrl {
        base_url: &shared.base_url,
        path: paging::ATTRIBUTES,
        parameters: &parameters,
    };
    let page = matching.iter().skip(request.offset()).take(request.limit);
    let pagination = request.pagination(settings.list_meta, &list, matching.len(), page.len());
    ApiResponse::page(AttributeRecords(page.copied()), pagination)
}

/// The filter of a GET of attributes. All conditions must hold.
#[derive(Default)]
struct AttributeFilter {
    name: Option<String>,
    /// In lower case.
    name_like: Option<String>,
    attribute_type: Option<AttributeType>,
    dates: DateFilters,
}

impl AttributeFilter {
    fn set(&mut self, name: &str, text: &str) -> Result<(), InvalidParameter> {
        match name {
            "name" => self.name = Some(text.to_owned()),
            "name:like" => self.name_like = Some(text.to_lowercase()),
            "type" => {
                let known = AttributeType::from_name(text)
                    .ok_or_else(|| InvalidParameter::new(name, "must be string, number or date"))?;
                self.attribute_type = Some(known);
            }
            _ => self.dates.set(name, text)?,
        }
        Ok(())
    }

    fn matches(&self, attribute: &StoredAttribute) -> bool {
        let name = &attribute.name;
        self.name.as_ref().is_none_or(|wanted| wanted == name)
            && self
                .name_like
                .as_ref()
                .is_none_or(|part| name.to_lowercase().contains(part))
            && self
                .attribute_type
                .is_none_or(|wanted| wanted == attribute.attribute_type)
            && self
                .dates
                .matches(attribute.date_created, attribute.date_modified)
    }
}
