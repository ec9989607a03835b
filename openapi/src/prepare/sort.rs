use serde_json::{Map, Value};

use super::accessors::parameters_mut;
use crate::contract::OPERATIONS;
use crate::error::Problem;
use crate::schema::text;

/// Sorts keys, parameters and required fields, so that a document's order doesn't affect the
/// generated code.
pub(super) fn sort(root: &mut Value) -> Result<(), Problem> {
    for operation in &OPERATIONS {
        if let Some(parameters) = parameters_mut(root, operation) {
            parameters.sort_by_cached_key(|parameter| text(parameter, "name").to_owned());
        }
    }
    sort_keys(root);
    Ok(())
}

fn sort_keys(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = std::mem::take(map).into_iter().collect();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            for (key, value) in &mut entries {
                sort_keys(value);
                if let ("required", Value::Array(names)) = (key.as_str(), value) {
                    names.sort_by_key(ToString::to_string);
                }
            }
            *map = Map::from_iter(entries);
        }
        Value::Array(items) => items.iter_mut().for_each(sort_keys),
        _ => (),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::VALUES;

    #[test]
    fn order_does_not_matter() {
        let document = |names: [&str; 2], required: [&str; 2]| {
            let parameters = names.map(|name| json!({"name": name}));
            json!({
                "paths": {VALUES: {"get": {"parameters": parameters}}},
                "components": {"schemas": {"A": {"required": required, "enum": ["z", "a"]}}},
            })
        };
        let mut one = document(["page", "limit"], ["b", "a"]);
        let mut other = document(["limit", "page"], ["a", "b"]);
        sort(&mut one).expect("never fails");
        sort(&mut other).expect("never fails");
        assert_eq!(one.to_string(), other.to_string());
        assert_eq!(one["components"]["schemas"]["A"]["enum"], json!(["z", "a"]));
    }
}
