use serde_json::{Value, json};

use super::accessors::{operation_mut, parameters};
use crate::contract::{OPERATIONS, OWN_TYPES};
use crate::error::Problem;
use crate::schema::text;

/// Adds the query parameters that the endpoint of customers is known to have, where a document lacks
/// them.
///
/// Most of the provider's documents lack the cursors (`after` and `before`), which the endpoint has had
/// for longer.
pub(super) fn add_known_parameters(root: &mut Value) -> Result<(), Problem> {
    for operation in &OPERATIONS {
        let is_declared = |name: &str| {
            let mut declared = parameters(root, operation).iter();
            declared.any(|p| text(p, "in") == "query" && text(p, "name") == name)
        };
        let known = operation.query.iter().filter(|query| query.is_known);
        let missing = known.filter(|query| !is_declared(query.name));
        let missing: Vec<_> = missing
            .map(|query| {
                // Lists get their types from their names.
                let kind = match OWN_TYPES.contains(&query.kind) {
                    true => "array",
                    false => query.kind,
                };
                json!({"name": query.name, "in": "query", "schema": {"type": kind}})
            })
            .collect();
        if missing.is_empty() {
            continue;
        }
        if let Some(operation) = operation_mut(root, operation) {
            match operation
                .get_mut("parameters")
                .and_then(Value::as_array_mut)
            {
                Some(parameters) => parameters.extend(missing),
                None => operation["parameters"] = missing.into(),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{ATTRIBUTES, CUSTOMERS, operation};

    #[test]
    fn known_parameters_are_added_once() {
        let mut root = json!({"paths": {
            CUSTOMERS: {"get": {"parameters": [
                {"name": "page", "in": "query", "schema": {"type": "number"}},
                {"name": "after", "in": "header", "schema": {"type": "string"}},
            ]}},
            ATTRIBUTES: {"get": {"parameters": []}},
        }});
        for _ in 0..2 {
            add_known_parameters(&mut root).expect("never fails");
            let parameters = root["paths"][CUSTOMERS]["get"]["parameters"].as_array();
            let parameters = parameters.expect("a list");
            let spec = operation("list_customers");
            assert_eq!(parameters.len(), spec.query.len() + 1);
            assert_eq!(parameters[0]["schema"]["type"], "number");
            for query in spec.query {
                let of_name =
                    |p: &&Value| text(p, "in") == "query" && text(p, "name") == query.name;
                assert_eq!(
                    parameters.iter().filter(of_name).count(),
                    1,
                    "{}",
                    query.name
                );
            }
            assert_eq!(root["paths"][ATTRIBUTES]["get"]["parameters"], json!([]));
        }
        let mut root = json!({"paths": {CUSTOMERS: {"get": {}}}});
        add_known_parameters(&mut root).expect("never fails");
        assert!(root["paths"][CUSTOMERS]["get"]["parameters"].is_array());
    }
}
