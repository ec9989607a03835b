use serde_json::{Value, map::Entry};

use super::location::Location;
use crate::error::Problem;
use crate::schema::{LIMIT_KEYWORDS, ODD_KEYWORDS, Schema};

/// Returns the error for a field with two types: that of `into`, then that of `from`.
pub(crate) type Conflict<'a> = &'a dyn Fn(&Location, &str, &str) -> Problem;

/// How to merge limits that both schemas set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitPolicy {
    /// The tighter limit applies.
    Tighter,
    /// The limit of `into` applies.
    KeepFirst,
}

/// Merges an expanded schema into another one. Properties and required fields are united. Of any
/// other keyword the value in `into` wins.
pub(crate) fn merge(
    into: &mut Schema,
    mut from: Schema,
    limits: LimitPolicy,
    location: &Location,
    conflict: Conflict,
) -> Result<(), Problem> {
    if limits == LimitPolicy::Tighter {
        tighten(into, &mut from);
    }
    // Types come first, because an object's properties don't fit a string.
    merge_type(into, from.get("type"), location, conflict)?;
    for (key, value) in from {
        match (into.entry(key), value) {
            (Entry::Vacant(entry), value) => {
                entry.insert(value);
            }
            (Entry::Occupied(mut entry), value) => match (entry.key().as_str(), value) {
                ("properties", Value::Object(properties)) => {
                    if let Some(own) = entry.get_mut().as_object_mut() {
                        merge_properties(own, properties, limits, location, conflict)?;
                    }
                }
                ("items", Value::Object(items)) => {
                    if let Some(own) = entry.get_mut().as_object_mut() {
                        merge(own, items, limits, &location.item(), conflict)?;
                    }
                }
                (ODD_KEYWORDS, Value::Object(odd)) => {
                    if let Some(own) = entry.get_mut().as_object_mut() {
                        own.extend(odd);
                    }
                }
                ("required", Value::Array(names)) => {
                    if let Some(own) = entry.get_mut().as_array_mut() {
                        let new: Vec<_> = names.into_iter().filter(|n| !own.contains(n)).collect();
                        own.extend(new);
                    }
                }
                // Whichever part comes first, the same one counts.
                (key, value) if limits == LimitPolicy::Tighter && UNORDERED.contains(&key) => {
                    let own = entry.get_mut();
                    let [new, old] = [&value, &*own].map(Value::to_string);
                    if new < old {
                        *own = value;
                    }
                }
                _ => (),
            },
        }
    }
    Ok(())
}

/// Keywords of two parts that can't be merged.
const UNORDERED: [&str; 7] = [
    "additionalProperties",
    "anyOf",
    "format",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
];

fn merge_properties(
    own: &mut Schema,
    properties: Schema,
    limits: LimitPolicy,
    location: &Location,
    conflict: Conflict,
) -> Result<(), Problem> {
    for (name, property) in properties {
        let field = location.field(&name);
        match (own.entry(name), property) {
            (Entry::Occupied(mut entry), Value::Object(property)) => {
                if let Some(own) = entry.get_mut().as_object_mut() {
                    merge(own, property, limits, &field, conflict)?;
                }
            }
            (entry, property) => {
                entry.or_insert(property);
            }
        }
    }
    Ok(())
}

/// Moves the tighter of two limits into the first schema and removes both from the second.
fn tighten(into: &mut Schema, from: &mut Schema) {
    for limit in &LIMIT_KEYWORDS {
        let take = |schema: &mut Schema| {
            let is_exclusive = schema.remove(limit.exclusive).is_some();
            let value = schema.remove(limit.name)?;
            Some((value.as_f64()?, is_exclusive, value))
        };
        let tighter = match (take(into), take(from)) {
            (Some(one), Some(other)) => {
                let is_other = if one.0 == other.0 {
                    other.1
                } else {
                    (other.0 > one.0) == limit.larger_is_tighter
                };
                Some(if is_other { other } else { one })
            }
            (one, other) => one.or(other),
        };
        if let Some((_, is_exclusive, value)) = tighter {
            into.insert(limit.name.to_owned(), value);
            if is_exclusive {
                into.insert(limit.exclusive.to_owned(), true.into());
            }
        }
    }
    if let (Some(Value::Array(own)), Some(Value::Array(others))) =
        (into.get_mut("enum"), from.get("enum"))
    {
        own.retain(|value| others.contains(value));
    }
}

fn merge_type(
    into: &mut Schema,
    other: Option<&Value>,
    location: &Location,
    conflict: Conflict,
) -> Result<(), Problem> {
    let (Some(Value::String(own)), Some(Value::String(other))) = (into.get("type"), other) else {
        return Ok(());
    };
    match (own.as_str(), other.as_str()) {
        (own, other) if own == other => Ok(()),
        // Documents declare integers as `number`, too.
        ("integer", "number") => Ok(()),
        ("number", "integer") => {
            into.insert("type".to_owned(), "integer".into());
            Ok(())
        }
        (own, other) => Err(conflict(location, own, other)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(a: Value, b: Value) -> Result<Value, String> {
        let (Value::Object(mut a), Value::Object(b)) = (a, b) else {
            panic!("both are objects");
        };
        let location = Location::new("GET /x", "response");
        merge(
            &mut a,
            b,
            LimitPolicy::Tighter,
            &location,
            &|location, a, b| Problem::new(format!("{location} is {a} and {b}")),
        )
        .map(|()| Value::Object(a))
        .map_err(|problem| problem.to_string())
    }

    #[test]
    fn properties_and_required_fields_are_united() {
        let a = json!({"properties": {"x": {"type": "number"}}, "required": ["x"]});
        let b = json!({
            "type": "object",
            "properties": {"x": {"type": "integer", "description": "X."}, "y": {}},
            "required": ["y", "x"],
        });
        let both = json!({
            "type": "object",
            "properties": {"x": {"type": "integer", "description": "X."}, "y": {}},
            "required": ["x", "y"],
        });
        assert_eq!(merged(a, b), Ok(both));
    }

    #[test]
    fn the_tighter_of_two_limits_applies() {
        let one = json!({"maxLength": 9, "minimum": 1, "maximum": 5, "enum": ["a", "b"]});
        let other = json!({
            "maxLength": 8, "minLength": 1, "minimum": 0, "exclusiveMinimum": true,
            "maximum": 5, "exclusiveMaximum": true, "enum": ["b", "c"],
        });
        let both = json!({
            "maxLength": 8, "minLength": 1, "minimum": 1, "maximum": 5, "exclusiveMaximum": true,
            "enum": ["b"],
        });
        assert_eq!(merged(one.clone(), other.clone()), Ok(both.clone()));
        assert_eq!(merged(other, one), Ok(both));
    }

    #[test]
    fn an_error_names_the_field_with_two_types() {
        let of = |kind: &str| json!({"properties": {"l": {"items": {"properties": {"x": {"type": kind}}}}}});
        let conflict = merged(of("string"), of("integer"));
        assert_eq!(
            conflict,
            Err("GET /x: response field \"l[].x\" is string and integer".to_owned())
        );
    }
}
