//! OpenAPI's schemas as JSON: their keywords, and access to them.

use serde_json::{Map, Value};

pub(crate) type Schema = Map<String, Value>;

/// The key under which a schema that is expanded for a comparison notes the keywords whose values make
/// no sense, each with its value.
pub(crate) const ODD_KEYWORDS: &str = "x-odd-keywords";

/// A keyword that limits a value's size or length.
pub(crate) struct LimitKeyword {
    pub(crate) name: &'static str,
    /// The flag that excludes the limit itself, or an empty string.
    pub(crate) exclusive: &'static str,
    pub(crate) larger_is_tighter: bool,
}

const fn minimum(name: &'static str, exclusive: &'static str) -> LimitKeyword {
    LimitKeyword {
        name,
        exclusive,
        larger_is_tighter: true,
    }
}

const fn maximum(name: &'static str, exclusive: &'static str) -> LimitKeyword {
    LimitKeyword {
        name,
        exclusive,
        larger_is_tighter: false,
    }
}

pub(crate) const LIMIT_KEYWORDS: [LimitKeyword; 8] = [
    minimum("minLength", ""),
    maximum("maxLength", ""),
    minimum("minItems", ""),
    maximum("maxItems", ""),
    minimum("minProperties", ""),
    maximum("maxProperties", ""),
    minimum("minimum", "exclusiveMinimum"),
    maximum("maximum", "exclusiveMaximum"),
];

/// Returns the string at `key`, or an empty one.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Returns `true` if the flag at `key` is set.
pub(crate) fn is_set(value: &Value, key: &str) -> bool {
    value.get(key) == Some(&Value::Bool(true))
}

/// Returns the schemas that apply in addition to this one, each with its keyword and its index
/// there. A `oneOf` or `anyOf` of a single schema always applies.
pub(crate) fn conjuncts(schema: &Schema) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    let list = |key| {
        let list = schema.get(key).and_then(Value::as_array)?;
        (key == "allOf" || list.len() == 1).then_some((key, list))
    };
    let lists = ["allOf", "oneOf", "anyOf"].into_iter().filter_map(list);
    lists.flat_map(|(key, list)| list.iter().enumerate().map(move |(i, part)| (key, i, part)))
}
