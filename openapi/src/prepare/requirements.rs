use serde_json::Value;

use super::accessors::{parameters, request, response};
use crate::contract::{EnumField, OPERATIONS, Operation, RECORDS, Record, Row};
use crate::error::Problem;
use crate::read::Location;
use crate::schema::text;

/// Rejects a document that lacks what `bigcommerce-ext` uses, or that requires what it doesn't send.
///
/// The message names the place in the document. The compiler's would name a place in our code.
pub(super) fn check_requirements(root: &mut Value) -> Result<(), Problem> {
    for operation in &OPERATIONS {
        if let Some(row) = operation.sends {
            check_request(root, operation, row)?;
        }
    }
    for record in RECORDS {
        check_response(root, record)?;
    }
    for operation in &OPERATIONS {
        check_query(root, operation)?;
        check_required_parameters(root, operation)?;
    }
    Ok(())
}

fn check_request(root: &Value, operation: &Operation, row: &Row) -> Result<(), Problem> {
    let location = Location::new(&operation.label(), "request");
    let item = request(root, operation).and_then(|request| request.get("items"));
    let Some(item) = item.filter(|item| text(item, "type") == "object") else {
        return Err(Problem::new(format!(
            "{location} is not an array of objects (oneOf and anyOf are not supported here)"
        )));
    };
    check_fields(item, row.fields, &location)?;
    for known in row.enums {
        check_enum(item, known, &location)?;
    }
    let required = item.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !row.fields.iter().any(|(ours, _)| *ours == name) {
            return Err(Problem::new(format!(
                "{} is required, but bigcommerce-ext does not send it; \
                 update the SDK, which is older than this document",
                location.field(name)
            )));
        }
    }
    Ok(())
}

/// Checks that the document's values, if it lists any, include the contract's.
fn check_enum(item: &Value, known: &EnumField, location: &Location) -> Result<(), Problem> {
    let field = item.get("properties").and_then(|p| p.get(known.field));
    let Some(Value::Array(theirs)) = field.and_then(|field| field.get("enum")) else {
        return Ok(());
    };
    match known
        .values
        .iter()
        .find(|ours| !theirs.iter().any(|value| value == *ours))
    {
        Some(missing) => Err(Problem::new(format!(
            "{} does not allow \"{missing}\", but the SDK needs it",
            location.field(known.field)
        ))),
        None => Ok(()),
    }
}

/// Checks the record's first operation: by now, all its operations have the same response.
fn check_response(root: &Value, record: &Record) -> Result<(), Problem> {
    let Some(operation) = record.operations().next() else {
        return Ok(());
    };
    let location = Location::new(&operation.label(), "response");
    let page = response(root, operation, "200");
    let item = page.and_then(|page| page.pointer("/properties/data/items"));
    let location = location.field("data").item();
    check_fields(item.unwrap_or(&Value::Null), record.fields, &location)
}

fn check_fields(
    owner: &Value,
    fields: &[(&str, &str)],
    location: &Location,
) -> Result<(), Problem> {
    for (name, kind) in fields {
        let location = location.field(name);
        match owner.get("properties").and_then(|p| p.get(name)) {
            Some(field) => check_type(text(field, "type"), kind, &location)?,
            None => {
                return Err(Problem::new(format!(
                    "{location} is missing, but the SDK needs it"
                )));
            }
        }
    }
    Ok(())
}

fn check_query(root: &Value, operation: &Operation) -> Result<(), Problem> {
    for query in operation.query {
        let part = format!("query parameter \"{}\"", query.name);
        let location = Location::new(&operation.label(), &part);
        let schema = parameters(root, operation)
            .iter()
            .find(|p| text(p, "in") == "query" && text(p, "name") == query.name)
            .map(|parameter| &parameter["schema"]);
        match schema {
            Some(schema) => {
                let list = text(schema, "$ref").rsplit('/').next();
                let kind = list.filter(|list| !list.is_empty());
                check_type(kind.unwrap_or(text(schema, "type")), query.kind, &location)?;
            }
            None => {
                return Err(Problem::new(format!(
                    "{location} is missing, but the SDK needs it"
                )));
            }
        }
    }
    Ok(())
}

fn check_type(actual: &str, expected: &str, location: &Location) -> Result<(), Problem> {
    match actual {
        _ if actual == expected => Ok(()),
        "" => Err(Problem::new(format!(
            "{location} has no single type, but the SDK needs {expected}"
        ))),
        actual => Err(Problem::new(format!(
            "{location} is {actual}, but the SDK needs {expected}"
        ))),
    }
}

fn check_required_parameters(root: &Value, operation: &Operation) -> Result<(), Problem> {
    for parameter in parameters(root, operation) {
        let name = text(parameter, "name");
        let sent = operation
            .query
            .iter()
            .any(|q| q.is_always_sent && q.name == name);
        if parameter.get("required").is_some() && !sent {
            return Err(Problem::new(format!(
                "{}: {} parameter \"{name}\" is required, but bigcommerce-ext does not always \
                 send it; update the SDK, which is older than this document",
                operation.label(),
                text(parameter, "in"),
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::contract::{ATTRIBUTES, CUSTOMERS, LISTS, VALUES};

    fn document() -> Value {
        let object = |fields: &[(&str, &str)]| {
            let properties: Map<_, _> = fields
                .iter()
                .map(|(name, kind)| (name.to_string(), json!({"type": kind})))
                .collect();
            json!({"type": "object", "properties": properties})
        };
        let content = |schema: Value| json!({"content": {"application/json": {"schema": schema}}});
        let mut root = json!({"paths": {}});
        for operation in &OPERATIONS {
            let query = operation.query.iter().map(|query| match query.kind {
                list if LISTS.contains(&list) => {
                    let list = format!("#/components/schemas/{list}");
                    json!({"in": "query", "name": query.name, "schema": {"$ref": list}})
                }
                kind => json!({"in": "query", "name": query.name, "schema": {"type": kind}}),
            });
            let mut bound = json!({"parameters": query.collect::<Vec<_>>()});
            if let Some(row) = operation.sends {
                let rows = json!({"type": "array", "items": object(row.fields)});
                bound["requestBody"] = content(rows);
            }
            if let Some(record) = operation.returns {
                let page = json!({"properties": {"data": {"items": object(record.fields)}}});
                bound["responses"] = json!({"200": content(page)});
            }
            root["paths"][operation.path][operation.method] = bound;
        }
        root
    }

    fn rejected_at(path: &str, change: impl Fn(&mut Value)) -> String {
        let mut root = document();
        change(&mut root["paths"][path]);
        check_requirements(&mut root)
            .expect_err("is rejected")
            .to_string()
    }

    fn rejected(change: impl Fn(&mut Value)) -> String {
        rejected_at(VALUES, change)
    }

    const ITEM: &str = "/put/requestBody/content/application~1json/schema/items";
    const DATA: &str = "/get/responses/200/content/application~1json/schema/properties/data/items";

    fn pointer<'a>(item: &'a mut Value, place: &str) -> &'a mut Value {
        item.pointer_mut(place).expect("the place exists")
    }

    fn remove_field(owner: &mut Value, name: &str) {
        let properties = owner["properties"].as_object_mut();
        properties
            .and_then(|p| p.remove(name))
            .expect("the field existed");
    }

    #[test]
    fn a_document_that_meets_every_requirement_passes() {
        check_requirements(&mut document()).expect("meets every requirement");
    }

    #[test]
    fn each_missing_field_and_parameter_is_named() {
        let mut checked = 0;
        for operation in &OPERATIONS {
            let Operation { path, method, .. } = operation;
            let label = operation.label();
            for (name, _) in operation.sends.map_or(&[][..], |row| row.fields) {
                let place = ITEM.replacen("put", method, 1);
                let message = rejected_at(path, |item| remove_field(pointer(item, &place), name));
                assert_eq!(
                    message,
                    format!("{label}: request field \"{name}\" is missing, but the SDK needs it")
                );
                checked += 1;
            }
            for query in operation.query {
                let message = rejected_at(path, |item| {
                    let list = item[method]["parameters"].as_array_mut();
                    let list = list.expect("is a list");
                    list.retain(|parameter| parameter["name"] != query.name);
                });
                let name = query.name;
                assert_eq!(
                    message,
                    format!("{label}: query parameter \"{name}\" is missing, but the SDK needs it")
                );
                checked += 1;
            }
        }
        for (record, path) in RECORDS.into_iter().zip([VALUES, ATTRIBUTES, CUSTOMERS]) {
            for (name, _) in record.fields {
                let message = rejected_at(path, |item| remove_field(pointer(item, DATA), name));
                let label = format!("GET {path}");
                assert_eq!(
                    message,
                    format!(
                        "{label}: response field \"data[].{name}\" is missing, but the SDK needs it"
                    )
                );
                checked += 1;
            }
        }
        assert_eq!(checked, 3 + 2 + 2 + 12 + 2 + 1 + 14 + 3 + 3 + 2);
    }

    #[test]
    fn a_field_of_another_type_is_rejected() {
        let message = rejected(|item| pointer(item, ITEM)["properties"]["value"] = json!({}));
        assert!(message.ends_with("has no single type, but the SDK needs string"));
        let message = rejected(|item| {
            pointer(item, DATA)["properties"]["customer_id"] = json!({"type": "string"});
        });
        assert!(message.ends_with("is string, but the SDK needs integer"));
        let message = rejected(|item| *pointer(item, ITEM) = json!({}));
        assert!(message.contains("is not an array of objects"));
    }

    #[test]
    fn a_required_field_or_parameter_that_ext_does_not_send_is_rejected() {
        let message =
            rejected(|item| pointer(item, ITEM)["required"] = json!(["value", "group_id"]));
        assert_eq!(
            message,
            format!(
                "PUT {VALUES}: request field \"group_id\" is required, but bigcommerce-ext does \
                 not send it; update the SDK, which is older than this document"
            )
        );
        let message = rejected(|item| item["get"]["parameters"][0]["required"] = true.into());
        assert!(message.contains("query parameter \"page\" is required"));
        let message = rejected(|item| {
            let header = json!({"in": "header", "name": "X-Channel", "required": true});
            item["put"]["parameters"] = json!([header]);
        });
        assert!(message.contains("header parameter \"X-Channel\" is required"));
    }
}
