use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use serde_json::{Value, json};

use crate::constraints;
use crate::contract::LISTS;
use crate::schema::Schema;

/// Implements `JsonSchema` for every generated type from the document's schema.
///
/// A derived implementation would lose constraints such as `maxLength`, and make optional fields
/// nullable.
pub(super) fn impls(document: &Value) -> TokenStream {
    let components = document
        .pointer("/components/schemas")
        .and_then(Value::as_object);
    components
        .into_iter()
        .flatten()
        .filter(|(name, _)| !LISTS.contains(&name.as_str()))
        .map(|(name, schema)| implementation(name, schema))
        .collect()
}

fn implementation(name: &str, schema: &Value) -> TokenStream {
    // Preparing the document has made the components' names Rust identifiers.
    let ident = format_ident!("{name}");
    let mut refers = false;
    let entries = schema_entries(&translate(schema), &mut refers);
    let generator = if refers { quote!(generator) } else { quote!(_) };
    quote! {
        impl ::schemars::JsonSchema for types::#ident {
            fn schema_name() -> ::std::borrow::Cow<'static, str> {
                #name.into()
            }

            fn schema_id() -> ::std::borrow::Cow<'static, str> {
                concat!(module_path!(), "::types::", #name).into()
            }

            fn json_schema(
                #generator: &mut ::schemars::SchemaGenerator,
            ) -> ::schemars::Schema {
                ::serde_json::Map::from_iter([#(#entries),*]).into()
            }
        }
    }
}

/// Translates OpenAPI 3.0's dialect into JSON Schema 2020-12.
fn translate(schema: &Value) -> Schema {
    let mut out = schema.as_object().cloned().unwrap_or_default();
    constraints::restore(&mut out);
    for key in ["items", "properties"] {
        match (key, out.get_mut(key)) {
            ("items", Some(items)) => *items = translate(items).into(),
            (_, Some(Value::Object(properties))) => {
                for (_, property) in properties {
                    *property = translate(property).into();
                }
            }
            _ => (),
        }
    }
    for (flag, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        if out.remove(flag).is_some()
            && let Some(limit) = out.remove(bound)
        {
            out.insert(flag.to_owned(), limit);
        }
    }
    if let Some(example) = out.remove("example") {
        out.insert("examples".to_owned(), json!([example]));
    }
    if out.remove("nullable").is_some() {
        add_null_type(&mut out);
    }
    out
}

fn add_null_type(schema: &mut Schema) {
    if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind, "null"]);
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
    if let Some(Value::Array(mut parts)) = schema.remove("allOf") {
        parts.push(json!({"type": "null"}));
        schema.insert("anyOf".to_owned(), parts.into());
    }
}

/// Returns a schema's keywords as Rust expressions, in which a `$ref` asks the schema generator.
///
/// They don't use `json!`, because a wide object exceeds the compiler's recursion limit.
fn schema_entries(schema: &Schema, refers: &mut bool) -> Vec<TokenStream> {
    let entries = schema.iter().map(|(key, value)| {
        let value = match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                let properties = properties.iter().map(|(name, property)| {
                    let property = schema_expression(property, refers);
                    entry(name, property)
                });
                object(properties.collect())
            }
            ("allOf" | "anyOf", Value::Array(parts)) => {
                let parts = parts.iter().map(|part| schema_expression(part, refers));
                array(parts.collect())
            }
            ("items", items) => schema_expression(items, refers),
            (_, value) => literal(value),
        };
        entry(key, value)
    });
    entries.collect()
}

fn schema_expression(schema: &Value, refers: &mut bool) -> TokenStream {
    match (schema.get("$ref").and_then(Value::as_str), schema) {
        (Some(reference), _) => {
            *refers = true;
            let name = reference.rsplit('/').next().unwrap_or_default();
            let ident = format_ident!("{name}");
            quote!(generator.subschema_for::<types::#ident>().to_value())
        }
        (None, Value::Object(schema)) => object(schema_entries(schema, refers)),
        (None, other) => literal(other),
    }
}

fn literal(value: &Value) -> TokenStream {
    match value {
        Value::Null => quote!(::serde_json::Value::Null),
        Value::Bool(value) => quote!(::serde_json::Value::from(#value)),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), ..) => quote!(::serde_json::Value::from(#integer)),
            (_, Some(integer), _) => quote!(::serde_json::Value::from(#integer)),
            (.., float) => {
                let float = float.unwrap_or_default();
                quote!(::serde_json::Value::from(#float))
            }
        },
        Value::String(text) => quote!(::serde_json::Value::from(#text)),
        Value::Array(items) => array(items.iter().map(literal).collect()),
        Value::Object(map) => object(map.iter().map(|(k, v)| entry(k, literal(v))).collect()),
    }
}

fn entry(key: &str, value: TokenStream) -> TokenStream {
    quote!((::std::string::String::from(#key), #value))
}

fn object(entries: Vec<TokenStream>) -> TokenStream {
    quote!(::serde_json::Value::Object(::serde_json::Map::from_iter([#(#entries),*])))
}

fn array(items: Vec<TokenStream>) -> TokenStream {
    quote!(::serde_json::Value::Array(::std::vec::Vec::from([#(#items),*])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openapis_dialect_becomes_json_schema() {
        let schema = json!({
            "type": "object",
            "nullable": true,
            "properties": {
                "a": {"type": "string", "enum": ["x"], "nullable": true, "example": "x"},
                "b": {"type": "number", "minimum": 1, "exclusiveMinimum": true},
                "c": {"nullable": true, "allOf": [{"$ref": "#/components/schemas/C"}]},
                "nullable": {"type": "array", "items": {"type": "string", "nullable": true}},
            },
        });
        assert_eq!(
            Value::Object(translate(&schema)),
            json!({
                "type": ["object", "null"],
                "properties": {
                    "a": {"type": ["string", "null"], "enum": ["x", null], "examples": ["x"]},
                    "b": {"type": "number", "exclusiveMinimum": 1},
                    "c": {"anyOf": [{"$ref": "#/components/schemas/C"}, {"type": "null"}]},
                    "nullable": {"type": "array", "items": {"type": ["string", "null"]}},
                },
            })
        );
    }

    #[test]
    fn only_schemas_refer_to_types() {
        let document = json!({"components": {"schemas": {
            "IdList": {"type": "string"},
            "TextList": {"type": "string"},
            "A": {"properties": {"b": {"$ref": "#/components/schemas/B"}}},
            "B": {"example": {"$ref": "#/not a name"}},
        }}});
        let code = impls(&document).to_string();
        assert!(code.contains("subschema_for :: < types :: B >"));
        assert_eq!(code.matches("subschema_for").count(), 1);
        assert_eq!(code.matches("JsonSchema for").count(), 2);
    }
}
