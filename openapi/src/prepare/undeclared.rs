use serde_json::{Value, json};

use super::accessors::parameters_mut;
use crate::contract::OPERATIONS;
use crate::error::Problem;
use crate::schema::text;

/// Adds the known parameters of an operation that a document may lack.
///
/// The endpoint takes them whether or not a document declares them: older documents of the provider
/// don't declare the cursors of customers.
pub(super) fn add_undeclared_parameters(root: &mut Value) -> Result<(), Problem> {
    for operation in OPERATIONS.iter().filter(|o| o.may_lack_parameters) {
        let Some(parameters) = parameters_mut(root, operation) else {
            continue;
        };
        for query in operation.query {
            let is_declared = parameters
                .iter()
                .any(|p| text(p, "in") == "query" && text(p, "name") == query.name);
            if !is_declared {
                let schema = json!({"type": query.kind});
                parameters.push(json!({"name": query.name, "in": "query", "schema": schema}));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{CUSTOMERS, VALUES, operation};
    use crate::prepare::accessors::parameters;

    #[test]
    fn only_lists_of_customers_gain_parameters() {
        let declared = json!([
            {"name": "limit", "in": "query", "schema": {"type": "number"}},
            {"name": "after", "in": "header", "schema": {"type": "integer"}},
        ]);
        let get = json!({"get": {"parameters": declared}});
        let mut root = json!({"paths": {CUSTOMERS: get, VALUES: get}});
        add_undeclared_parameters(&mut root).expect("never fails");
        let customers = operation("list_customers");
        let all = parameters(&root, customers);
        assert_eq!(all.len(), customers.query.len() + 1);
        assert_eq!(all[..2], *declared.as_array().expect("is a list"));
        let after = json!({"name": "after", "in": "query", "schema": {"type": "string"}});
        assert!(all.contains(&after));
        let values = parameters(&root, operation("list_attribute_values"));
        assert_eq!(values.len(), 2);
    }
}
