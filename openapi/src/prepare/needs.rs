use serde_json::Value;

use super::endpoint::{OPERATIONS, answer, label, parameters, request, text};
use super::names::ID_LIST;
use super::spot::Spot;
use crate::error::Problem;

/// The fields of a row that is sent: name and type.
const REQUEST: [(&str, &str); 3] = [
    ("attribute_id", "integer"),
    ("value", "string"),
    ("customer_id", "integer"),
];

/// The fields of a value that comes back: name and type.
const ANSWER: [(&str, &str); 3] = [
    ("attribute_id", "integer"),
    ("attribute_value", "string"),
    ("customer_id", "integer"),
];

/// The query parameters: method, name and type.
const QUERY: [(&str, &str, &str); 12] = [
    ("get", "page", "integer"),
    ("get", "limit", "integer"),
    ("get", "customer_id:in", ID_LIST),
    ("get", "attribute_id:in", ID_LIST),
    ("get", "name", "string"),
    ("get", "date_created", "string"),
    ("get", "date_created:min", "string"),
    ("get", "date_created:max", "string"),
    ("get", "date_modified", "string"),
    ("get", "date_modified:min", "string"),
    ("get", "date_modified:max", "string"),
    ("delete", "id:in", ID_LIST),
];

/// Refuses a document that lacks what `bigcommerce-ext` is written against, or that requires what
/// it does not send: the message names the place, where the compiler's would name our code.
pub(super) fn check_needs(root: &mut Value) -> Result<(), Problem> {
    check_request(root)?;
    check_answer(root)?;
    check_query(root)?;
    check_nothing_else_required(root)
}

fn check_request(root: &Value) -> Result<(), Problem> {
    let spot = Spot::new(&label("put"), "request");
    let item = request(root).and_then(|request| request.get("items"));
    let Some(item) = item.filter(|item| text(item, "type") == "object") else {
        return Err(Problem::new(format!(
            "{spot} is not an array of objects (oneOf and anyOf are not supported there)"
        )));
    };
    check_fields(item, &REQUEST, &spot)?;
    let required = item.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !REQUEST.iter().any(|(ours, _)| *ours == name) {
            return Err(Problem::new(format!(
                "{} is required there, but bigcommerce-ext does not send it: \
                 this SDK is older than the document",
                spot.field(name)
            )));
        }
    }
    Ok(())
}

fn check_answer(root: &Value) -> Result<(), Problem> {
    let spot = Spot::new(&label("get"), "answer");
    let item = answer(root, "get", "200").and_then(|page| page.pointer("/properties/data/items"));
    let spot = spot.field("data").item();
    check_fields(item.unwrap_or(&Value::Null), &ANSWER, &spot)
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

fn check_query(root: &Value) -> Result<(), Problem> {
    for (method, name, kind) in QUERY {
        let spot = Spot::new(&label(method), &format!("query parameter \"{name}\""));
        let schema = parameters(root, method)
            .iter()
            .find(|parameter| text(parameter, "in") == "query" && text(parameter, "name") == name)
            .map(|parameter| &parameter["schema"]);
        match schema {
            Some(schema) if schema.get("$ref").is_some() => check_type(ID_LIST, kind, &spot)?,
            Some(schema) => check_type(text(schema, "type"), kind, &spot)?,
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

fn check_nothing_else_required(root: &Value) -> Result<(), Problem> {
    for (method, _) in OPERATIONS {
        for parameter in parameters(root, method) {
            let name = text(parameter, "name");
            let sent = method == "delete" && name == "id:in";
            if parameter.get("required").is_some() && !sent {
                return Err(Problem::new(format!(
                    "{}: {} parameter \"{name}\" is required there, but bigcommerce-ext does not \
                     always send it: this SDK is older than the document",
                    label(method),
                    text(parameter, "in"),
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::prepare::endpoint::PATH;

    fn document() -> Value {
        let object = |fields: &[(&str, &str)]| {
            let properties: Map<_, _> = fields
                .iter()
                .map(|(name, kind)| (name.to_string(), json!({"type": kind})))
                .collect();
            json!({"type": "object", "properties": properties})
        };
        let parameters = |method: &str| -> Vec<Value> {
            let ours = QUERY.iter().filter(|(of, _, _)| *of == method);
            ours.map(|(_, name, kind)| match *kind {
                ID_LIST => json!({"in": "query", "name": name, "schema": {"$ref": ""}}),
                kind => json!({"in": "query", "name": name, "schema": {"type": kind}}),
            })
            .collect()
        };
        let content = |schema: Value| json!({"content": {"application/json": {"schema": schema}}});
        let request = json!({"type": "array", "items": object(&REQUEST)});
        let page = json!({"properties": {"data": {"items": object(&ANSWER)}}});
        json!({"paths": {PATH: {
            "get": {"parameters": parameters("get"), "responses": {"200": content(page)}},
            "put": {"parameters": [], "requestBody": content(request)},
            "delete": {"parameters": parameters("delete")},
        }}})
    }

    fn refused(change: impl Fn(&mut Value)) -> String {
        let mut root = document();
        change(&mut root["paths"][PATH]);
        check_needs(&mut root).expect_err("is refused").to_string()
    }

    const ITEM: &str = "/put/requestBody/content/application~1json/schema/items";
    const DATA: &str = "/get/responses/200/content/application~1json/schema/properties/data/items";

    fn at<'a>(item: &'a mut Value, place: &str) -> &'a mut Value {
        item.pointer_mut(place).expect("is there")
    }

    #[test]
    fn a_document_with_all_that_is_needed_passes() {
        check_needs(&mut document()).expect("has all");
    }

    #[test]
    fn each_need_is_checked_by_name() {
        for (name, _) in REQUEST {
            let lacks = refused(|item| {
                at(item, ITEM)["properties"]
                    .as_object_mut()
                    .map(|p| p.remove(name));
            });
            assert_eq!(
                lacks,
                format!("PUT {PATH}: request field \"{name}\" is missing, which the SDK needs")
            );
        }
        for (name, _) in ANSWER {
            let lacks = refused(|item| {
                at(item, DATA)["properties"]
                    .as_object_mut()
                    .map(|p| p.remove(name));
            });
            assert!(lacks.contains(&format!("answer field \"data[].{name}\" is missing")));
        }
        for (method, name, _) in QUERY {
            let lacks = refused(|item| {
                let list = item[method]["parameters"]
                    .as_array_mut()
                    .expect("is a list");
                list.retain(|parameter| parameter["name"] != name);
            });
            assert!(lacks.contains(&format!("query parameter \"{name}\" is missing")));
        }
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
                "PUT {PATH}: request field \"group_id\" is required there, but bigcommerce-ext \
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
}
