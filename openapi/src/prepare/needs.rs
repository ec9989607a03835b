use serde_json::Value;

use super::endpoint::{answer, parameters, request};
use super::names::ID_LIST;
use crate::bound::{Choice, OPERATIONS, Operation, RECORDS, Record, Row};
use crate::error::Problem;
use crate::read::Spot;
use crate::read::text;

/// Refuses a document that lacks what `bigcommerce-ext` is written against, or that requires what
/// it does not send: the message names the place, where the compiler's would name our code.
pub(super) fn check_needs(root: &mut Value) -> Result<(), Problem> {
    for operation in &OPERATIONS {
        if let Some(row) = operation.sends {
            check_request(root, operation, row)?;
        }
    }
    for record in RECORDS {
        check_answers(root, record)?;
    }
    for operation in &OPERATIONS {
        check_query(root, operation)?;
        check_nothing_else_required(root, operation)?;
    }
    Ok(())
}

fn check_request(root: &Value, operation: &Operation, row: &Row) -> Result<(), Problem> {
    let spot = Spot::new(&operation.label(), "request");
    let item = request(root, operation).and_then(|request| request.get("items"));
    let Some(item) = item.filter(|item| text(item, "type") == "object") else {
        return Err(Problem::new(format!(
            "{spot} is not an array of objects (oneOf and anyOf are not supported there)"
        )));
    };
    check_fields(item, row.fields, &spot)?;
    for choice in row.choices {
        check_choice(item, choice, &spot)?;
    }
    let required = item.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !row.fields.iter().any(|(ours, _)| *ours == name) {
            return Err(Problem::new(format!(
                "{} is required there, but bigcommerce-ext does not send it: \
                 this SDK is older than the document",
                spot.field(name)
            )));
        }
    }
    Ok(())
}

/// A document need not list the values; where it does, ours have to be among them.
fn check_choice(item: &Value, choice: &Choice, spot: &Spot) -> Result<(), Problem> {
    let field = item.get("properties").and_then(|p| p.get(choice.field));
    let Some(Value::Array(theirs)) = field.and_then(|field| field.get("enum")) else {
        return Ok(());
    };
    match choice
        .values
        .iter()
        .find(|ours| !theirs.iter().any(|value| value == *ours))
    {
        Some(missing) => Err(Problem::new(format!(
            "{} does not take \"{missing}\", which the SDK needs",
            spot.field(choice.field)
        ))),
        None => Ok(()),
    }
}

/// All answers with the same records are one by now.
fn check_answers(root: &Value, record: &Record) -> Result<(), Problem> {
    let Some(operation) = record.operations().next() else {
        return Ok(());
    };
    let spot = Spot::new(&operation.label(), "answer");
    let page = answer(root, operation, "200");
    let item = page.and_then(|page| page.pointer("/properties/data/items"));
    let spot = spot.field("data").item();
    check_fields(item.unwrap_or(&Value::Null), record.fields, &spot)
}

fn check_fields(owner: &Value, fields: &[(&str, &str)], spot: &Spot) -> Result<(), Problem> {
    for (name, kind) in fields {
        let spot = spot.field(name);
        match owner.get("properties").and_then(|p| p.get(name)) {
            Some(field) => check_type(text(field, "type"), kind, &spot)?,
            None => {
                return Err(Problem::new(format!(
                    "{spot} is missing, which the SDK needs"
                )));
            }
        }
    }
    Ok(())
}

fn check_query(root: &Value, operation: &Operation) -> Result<(), Problem> {
    for query in operation.query {
        let part = format!("query parameter \"{}\"", query.name);
        let spot = Spot::new(&operation.label(), &part);
        let schema = parameters(root, operation)
            .iter()
            .find(|p| text(p, "in") == "query" && text(p, "name") == query.name)
            .map(|parameter| &parameter["schema"]);
        match schema {
            Some(schema) if schema.get("$ref").is_some() => check_type(ID_LIST, query.kind, &spot)?,
            Some(schema) => check_type(text(schema, "type"), query.kind, &spot)?,
            None => {
                return Err(Problem::new(format!(
                    "{spot} is missing, which the SDK needs"
                )));
            }
        }
    }
    Ok(())
}

fn check_type(actual: &str, expected: &str, spot: &Spot) -> Result<(), Problem> {
    match actual {
        _ if actual == expected => Ok(()),
        "" => Err(Problem::new(format!(
            "{spot} has no single type, but the SDK needs {expected}"
        ))),
        actual => Err(Problem::new(format!(
            "{spot} is {actual}, but the SDK needs {expected}"
        ))),
    }
}

fn check_nothing_else_required(root: &Value, operation: &Operation) -> Result<(), Problem> {
    for parameter in parameters(root, operation) {
        let name = text(parameter, "name");
        let sent = operation.query.iter().any(|q| q.always && q.name == name);
        if parameter.get("required").is_some() && !sent {
            return Err(Problem::new(format!(
                "{}: {} parameter \"{name}\" is required there, but bigcommerce-ext does not \
                 always send it: this SDK is older than the document",
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
    use crate::bound::{ATTRIBUTES, VALUES};

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
                ID_LIST => json!({"in": "query", "name": query.name, "schema": {"$ref": ""}}),
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

    fn refused_at(path: &str, change: impl Fn(&mut Value)) -> String {
        let mut root = document();
        change(&mut root["paths"][path]);
        check_needs(&mut root).expect_err("is refused").to_string()
    }

    fn refused(change: impl Fn(&mut Value)) -> String {
        refused_at(VALUES, change)
    }

    const ITEM: &str = "/put/requestBody/content/application~1json/schema/items";
    const DATA: &str = "/get/responses/200/content/application~1json/schema/properties/data/items";

    fn at<'a>(item: &'a mut Value, place: &str) -> &'a mut Value {
        item.pointer_mut(place).expect("is there")
    }

    fn remove_field(owner: &mut Value, name: &str) {
        let properties = owner["properties"].as_object_mut();
        properties.and_then(|p| p.remove(name)).expect("was there");
    }

    #[test]
    fn a_document_with_all_that_is_needed_passes() {
        check_needs(&mut document()).expect("has all");
    }

    #[test]
    fn each_need_is_checked_by_name() {
        let mut checked = 0;
        for operation in &OPERATIONS {
            let Operation { path, method, .. } = operation;
            let label = operation.label();
            for (name, _) in operation.sends.map_or(&[][..], |row| row.fields) {
                let place = ITEM.replacen("put", method, 1);
                let lacks = refused_at(path, |item| remove_field(at(item, &place), name));
                assert_eq!(
                    lacks,
                    format!("{label}: request field \"{name}\" is missing, which the SDK needs")
                );
                checked += 1;
            }
            for query in operation.query {
                let lacks = refused_at(path, |item| {
                    let list = item[method]["parameters"].as_array_mut();
                    let list = list.expect("is a list");
                    list.retain(|parameter| parameter["name"] != query.name);
                });
                let name = query.name;
                assert_eq!(
                    lacks,
                    format!("{label}: query parameter \"{name}\" is missing, which the SDK needs")
                );
                checked += 1;
            }
        }
        for (record, path) in RECORDS.into_iter().zip([VALUES, ATTRIBUTES]) {
            for (name, _) in record.fields {
                let lacks = refused_at(path, |item| remove_field(at(item, DATA), name));
                let label = format!("GET {path}");
                assert_eq!(
                    lacks,
                    format!(
                        "{label}: answer field \"data[].{name}\" is missing, which the SDK needs"
                    )
                );
                checked += 1;
            }
        }
        assert_eq!(checked, 3 + 2 + 12 + 2 + 3 + 3);
    }

    #[test]
    fn a_field_of_another_type_is_refused() {
        let message = refused(|item| at(item, ITEM)["properties"]["value"] = json!({}));
        assert!(message.ends_with("has no single type, but the SDK needs string"));
        let message = refused(|item| {
            at(item, DATA)["properties"]["customer_id"] = json!({"type": "string"});
        });
        assert!(message.ends_with("is string, but the SDK needs integer"));
        let message = refused(|item| *at(item, ITEM) = json!({}));
        assert!(message.contains("is not an array of objects"));
    }

    #[test]
    fn what_we_do_not_send_must_not_be_required() {
        let message = refused(|item| at(item, ITEM)["required"] = json!(["value", "group_id"]));
        assert_eq!(
            message,
            format!(
                "PUT {VALUES}: request field \"group_id\" is required there, but bigcommerce-ext \
                 does not send it: this SDK is older than the document"
            )
        );
        let message = refused(|item| item["get"]["parameters"][0]["required"] = true.into());
        assert!(message.contains("query parameter \"page\" is required there"));
        let message = refused(|item| {
            let header = json!({"in": "header", "name": "X-Channel", "required": true});
            item["put"]["parameters"] = json!([header]);
        });
        assert!(message.contains("header parameter \"X-Channel\" is required there"));
    }

    #[test]
    fn a_choice_has_to_hold_what_we_send() {
        let place = ITEM.replacen("put", "post", 1);
        let with = |values: Value| {
            let mut root = document();
            let kind = json!({"type": "string", "enum": values});
            at(&mut root["paths"][ATTRIBUTES], &place)["properties"]["type"] = kind;
            check_needs(&mut root).map_err(|problem| problem.to_string())
        };
        assert_eq!(with(json!(["date", "flag", "number", "string"])), Ok(()));
        let message = "POST /customers/attributes: request field \"type\" does not take \"date\", \
                       which the SDK needs";
        assert_eq!(with(json!(["string", "number"])), Err(message.to_owned()));
    }
}
