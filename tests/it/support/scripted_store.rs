//! A store in memory for scripts, so that a behaviour is a few lines on top of a plain store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::scripted_server::{Request, Response};

pub const VALUES: &str = "/customers/attribute-values";
pub const ATTRIBUTES: &str = "/customers/attributes";

/// The date of all values of a store.
pub const MODIFIED: &str = "2026-06-01T12:00:00Z";

#[derive(Debug, Default)]
struct State {
    /// The ID and the text of each value, by customer and attribute.
    values: BTreeMap<(i64, i64), (i64, String)>,
    values_created: i64,
    /// The names of the attributes, by ID.
    attributes: BTreeMap<i64, String>,
}

/// A store that any number of scripts share.
#[derive(Clone, Debug, Default)]
pub struct ScriptedStore {
    state: Arc<Mutex<State>>,
}

impl ScriptedStore {
    /// Returns a store that defines attribute 1, `Tier`, and holds no values.
    pub fn new() -> Self {
        let store = Self::default();
        store.define("Tier");
        store
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Defines an attribute of the type `string`.
    pub fn define(&self, name: &str) {
        let mut state = self.state();
        let id = state.attributes.keys().max().unwrap_or(&0) + 1;
        state.attributes.insert(id, name.to_owned());
    }

    /// Returns the name of an attribute.
    pub fn attribute_name(&self, id: i64) -> Option<String> {
        self.state().attributes.get(&id).cloned()
    }

    pub fn attribute_names(&self) -> Vec<String> {
        self.state().attributes.values().cloned().collect()
    }

    /// Stores a text for attribute 1 of the customers 1 to `customers`. Their values have the same
    /// IDs as the customers if the store was empty.
    pub fn fill(&self, customers: i64, text: &str) {
        for customer in 1..=customers {
            self.put(customer, 1, text);
        }
    }

    pub fn put(&self, customer: i64, attribute: i64, text: &str) -> i64 {
        let mut state = self.state();
        let next = state.values_created + 1;
        let (id, stored) = state
            .values
            .entry((customer, attribute))
            .or_insert((next, String::new()));
        text.clone_into(stored);
        let id = *id;
        state.values_created = state.values_created.max(id);
        id
    }

    /// Returns the texts of all values, by customer and attribute.
    pub fn texts(&self) -> BTreeMap<(i64, i64), String> {
        let state = self.state();
        let values = state.values.iter();
        values
            .map(|(&key, (_, text))| (key, text.clone()))
            .collect()
    }

    /// Returns the IDs of all values.
    pub fn ids(&self) -> BTreeSet<i64> {
        self.state().values.values().map(|(id, _)| *id).collect()
    }

    /// Executes a request as the reference documents it.
    pub fn respond(&self, request: &Request) -> Response {
        match (request.method.as_str(), request.path.as_str()) {
            ("PUT", VALUES) => Response::json(200, &Page::whole(self.upsert(request)).body()),
            ("GET", VALUES) => self.list(request).response(),
            ("DELETE", VALUES) => {
                self.delete(request);
                Response::empty(204)
            }
            ("GET", ATTRIBUTES) => self.list_attributes(request).response(),
            ("POST", ATTRIBUTES) => Response::json(200, &json!({"data": self.create(request)})),
            ("PUT", ATTRIBUTES) => Response::json(200, &json!({"data": self.rename(request)})),
            ("DELETE", ATTRIBUTES) => {
                self.delete_attributes(&requested_ids(request));
                Response::empty(204)
            }
            _ => Response::error(404),
        }
    }

    /// Executes the request some time later, whatever the response says.
    pub fn execute_later(&self, delay: Duration, request: &Request) {
        let (store, request) = (self.clone(), request.clone());
        tokio::spawn(async move {
            sleep(delay).await;
            store.respond(&request);
        });
    }

    /// Stores the rows of an upsert. Returns the records.
    pub fn upsert(&self, request: &Request) -> Vec<Value> {
        let rows = request.body.as_array().cloned().unwrap_or_default();
        rows.iter()
            .map(|row| {
                let customer = row["customer_id"].as_i64().unwrap_or_default();
                let attribute = row["attribute_id"].as_i64().unwrap_or_default();
                let text = row["value"].as_str().unwrap_or_default();
                record(
                    self.put(customer, attribute, text),
                    customer,
                    attribute,
                    text,
                )
            })
            .collect()
    }

    /// Deletes the values that a request names. Returns how many there were.
    pub fn delete(&self, request: &Request) -> usize {
        let ids = requested_ids(request);
        let mut state = self.state();
        let before = state.values.len();
        state.values.retain(|_, (id, _)| !ids.contains(id));
        before - state.values.len()
    }

    /// Returns the records of all values.
    pub fn records(&self) -> Vec<Value> {
        let state = self.state();
        let values = state.values.iter();
        values
            .map(|(&(customer, attribute), (id, text))| record(*id, customer, attribute, text))
            .collect()
    }

    /// Returns the page that a request asks for, filtered as it asks.
    pub fn list(&self, request: &Request) -> Page {
        let mut records = self.records();
        let names = self.state().attributes.clone();
        records.retain(|record| is_selected(record, request, &names));
        Page::of(records, request)
    }

    /// Returns the page that a request asks for, without its filters.
    pub fn list_everything(&self, request: &Request) -> Page {
        Page::of(self.records(), request)
    }

    pub fn list_attributes(&self, request: &Request) -> Page {
        let state = self.state();
        let attributes = state.attributes.iter();
        let attributes = attributes.map(|(id, name)| attribute(*id, name)).collect();
        Page::of(attributes, request)
    }

    /// Creates the attributes of a request. Returns their definitions.
    pub fn create(&self, request: &Request) -> Vec<Value> {
        let rows = request.body.as_array().cloned().unwrap_or_default();
        for row in &rows {
            self.define(row["name"].as_str().unwrap_or_default());
        }
        let state = self.state();
        let created = state.attributes.iter().rev().take(rows.len()).rev();
        created.map(|(id, name)| attribute(*id, name)).collect()
    }

    /// Renames the attributes of a request. Returns their definitions.
    pub fn rename(&self, request: &Request) -> Vec<Value> {
        let rows = request.body.as_array().cloned().unwrap_or_default();
        let mut state = self.state();
        let mut renamed = Vec::new();
        for row in &rows {
            let id = row["id"].as_i64().unwrap_or_default();
            if let Some(name) = state.attributes.get_mut(&id) {
                row["name"].as_str().unwrap_or_default().clone_into(name);
                renamed.push(attribute(id, name));
            }
        }
        renamed
    }

    /// Renames an attribute for another process.
    pub fn set_attribute_name(&self, id: i64, name: &str) {
        self.state().attributes.insert(id, name.to_owned());
    }

    /// Deletes attributes, and their values.
    pub fn delete_attributes(&self, ids: &BTreeSet<i64>) {
        let mut state = self.state();
        state.attributes.retain(|id, _| !ids.contains(id));
        state
            .values
            .retain(|(_, attribute), _| !ids.contains(attribute));
    }
}

/// Returns the value IDs that a delete request names.
pub fn requested_ids(request: &Request) -> BTreeSet<i64> {
    ids(request.query.get("id:in").map_or("", String::as_str))
}

fn ids(list: &str) -> BTreeSet<i64> {
    list.split(',').filter_map(|id| id.parse().ok()).collect()
}

fn is_selected(record: &Value, request: &Request, names: &BTreeMap<i64, String>) -> bool {
    let number = |field: &str| record[field].as_i64().unwrap_or_default();
    // Texts of dates in UTC are in the order of the dates.
    let date = |field: &str| record[field].as_str().unwrap_or_default()[..19].to_owned();
    request.query.iter().all(|(filter, wanted)| {
        let wanted_date = || wanted.chars().take(19).collect::<String>();
        match filter.as_str() {
            "customer_id:in" => ids(wanted).contains(&number("customer_id")),
            "attribute_id:in" => ids(wanted).contains(&number("attribute_id")),
            "name" => names.get(&number("attribute_id")) == Some(wanted),
            "date_created:min" => date("date_created") >= wanted_date(),
            "date_created:max" => date("date_created") <= wanted_date(),
            "date_modified:min" => date("date_modified") >= wanted_date(),
            "date_modified:max" => date("date_modified") <= wanted_date(),
            _ => true,
        }
    })
}

/// Returns the record of a value, as the reference documents it.
pub fn record(id: i64, customer: i64, attribute: i64, text: &str) -> Value {
    json!({
        "id": id,
        "attribute_id": attribute,
        "attribute_value": text,
        "customer_id": customer,
        "date_created": MODIFIED,
        "date_modified": MODIFIED,
    })
}

fn attribute(id: i64, name: &str) -> Value {
    json!({
        "id": id,
        "name": name,
        "type": "string",
        "date_created": MODIFIED,
        "date_modified": MODIFIED,
    })
}

/// A page of records, for scripts to change before it is sent.
#[derive(Clone, Debug)]
pub struct Page {
    pub number: usize,
    pub size: usize,
    pub total: u64,
    pub records: Vec<Value>,
}

impl Page {
    /// Returns the only page of a result.
    pub fn whole(records: Vec<Value>) -> Self {
        Self {
            number: 1,
            size: records.len().max(1),
            total: records.len() as u64,
            records,
        }
    }

    fn of(records: Vec<Value>, request: &Request) -> Self {
        let parameter = |name: &str| request.query.get(name)?.parse().ok();
        let number: usize = parameter("page").unwrap_or(1).max(1);
        let size: usize = parameter("limit").unwrap_or(50).clamp(1, 250);
        Self {
            number,
            size,
            total: records.len() as u64,
            records: records
                .into_iter()
                .skip((number - 1).saturating_mul(size))
                .take(size)
                .collect(),
        }
    }

    pub fn body(&self) -> Value {
        json!({
            "data": self.records,
            "meta": {"pagination": {
                "total": self.total,
                "count": self.records.len(),
                "per_page": self.size,
                "current_page": self.number,
                "total_pages": self.total.div_ceil(self.size as u64),
                "links": {"previous": "", "current": "", "next": ""},
            }},
        })
    }

    pub fn response(&self) -> Response {
        Response::json(200, &self.body())
    }
}
