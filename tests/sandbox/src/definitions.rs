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

pub(crate) fn parse_body(
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<Result<NewAttribute, InvalidRow>>, InvalidBody> {
    json::check_content_type(headers)?;
    let rows = json::parse_array(body)?;
    Ok(rows.iter().map(parse_row).collect())
}

fn parse_row(row: &Value) -> Result<NewAttribute, InvalidRow> {
    let text = |field| match row.get(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(InvalidRow::new(field, "must be a string")),
        None => Err(InvalidRow::new(field, "is required")),
    };
    let name = text("name")?;
    if name.trim().is_empty() {
        return Err(InvalidRow::new("name", "must not be empty"));
    }
    let attribute_type = AttributeType::from_name(text("type")?)
        .ok_or_else(|| InvalidRow::new("type", "must be string, number or date"))?;
    Ok(NewAttribute {
        name: name.clone(),
        attribute_type,
    })
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
    let list = ListUrl {
        base_url: &shared.base_url,
        path: paging::ATTRIBUTES,
        parameters: &[],
    };
    let count = created.len();
    let pagination = paging::written_pagination(&list, count, count);
    ApiResponse::page(AttributeRecords(created.iter()), pagination)
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
