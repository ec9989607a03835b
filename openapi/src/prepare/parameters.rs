use serde_json::{Map, Value};

use super::accessors::parameters_mut;
use crate::contract::OPERATIONS;
use crate::error::Problem;
use crate::schema::text;

/// Reduces a parameter's schema to its type.
///
/// A default or a format would change the Rust type, and the server validates them anyway (a date
/// filter takes dates and date-times). So would the enum of a parameter that the vendored document
/// has: user code depends on its type. The enum of any other parameter stays. A schema without a
/// single type becomes a string. Optional objects are dropped, because their serialization is
/// undefined.
pub(super) fn simplify_parameters(root: &mut Value) -> Result<(), Problem> {
    for operation in &OPERATIONS {
        let Some(parameters) = parameters_mut(root, operation) else {
            continue;
        };
        parameters.retain(|parameter| {
            let is_object = text(&parameter["schema"], "type") == "object";
            !is_object || parameter.get("required").is_some()
        });
        for parameter in parameters.iter_mut() {
            let keeps_enum = !operation.has_text_parameter(text(parameter, "name"));
            if let Some(schema) = parameter.get_mut("schema") {
                simplify(schema, keeps_enum);
            }
        }
    }
    Ok(())
}

fn simplify(schema: &mut Value, keeps_enum: bool) {
    if schema.get("$ref").is_some() {
        return;
    }
    let kind = match text(schema, "type") {
        kind @ ("integer" | "number" | "boolean") => kind,
        _ => "string",
    };
    let mut simple = Map::from_iter([("type".to_owned(), kind.into())]);
    if kind == "integer" {
        simple.insert("format".to_owned(), "int64".into());
    }
    if let Some(values) = schema.get("enum")
        && kind == "string"
        && keeps_enum
    {
        simple.insert("enum".to_owned(), values.clone());
    }
    *schema = simple.into();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::contract::VALUES;

    #[test]
    fn only_the_type_and_the_enum_of_an_unbound_parameter_stay() {
        let mut root = json!({"paths": {VALUES: {"get": {"parameters": [
            {"name": "name", "schema": {"type": "string", "maxLength": 50}},
            {"name": "date_created", "schema": {"description": "oneOf two formats"}},
            {"name": "page", "schema": {"type": "integer", "format": "int64", "minimum": 1}},
            {"name": "ids", "schema": {"$ref": "#/components/schemas/IdList"}},
            {"name": "filter", "schema": {"type": "object"}},
            {"name": "date_modified", "schema": {"type": "string", "enum": ["now"]}},
            {"name": "view", "schema": {"type": "string", "enum": ["full"], "default": "full"}},
        ]}}}});
        simplify_parameters(&mut root).expect("never fails");
        assert_eq!(
            root["paths"][VALUES]["get"]["parameters"],
            json!([
                {"name": "name", "schema": {"type": "string"}},
                {"name": "date_created", "schema": {"type": "string"}},
                {"name": "page", "schema": {"type": "integer", "format": "int64"}},
                {"name": "ids", "schema": {"$ref": "#/components/schemas/IdList"}},
                {"name": "date_modified", "schema": {"type": "string"}},
                {"name": "view", "schema": {"type": "string", "enum": ["full"]}},
            ])
        );
    }
}
