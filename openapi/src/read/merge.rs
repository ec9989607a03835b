use serde_json::{Map, Value, map::Entry};

use super::spot::Spot;
use crate::error::Problem;

/// Says that a field is of two types, of which the first is `merge`'s `into`.
pub(crate) type Conflict<'a> = &'a dyn Fn(&Spot, &str, &str) -> Problem;

/// What becomes of limits that two schemas set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limits {
    /// Both hold.
    Both,
    /// The first one's stay.
    First,
}

/// Adds to an expanded schema what another one says of the same thing: properties and required
/// fields are united, of two other values the first stays.
pub(crate) fn merge(
    into: &mut Map<String, Value>,
    mut from: Map<String, Value>,
    limits: Limits,
    spot: &Spot,
    conflict: Conflict,
) -> Result<(), Problem> {
    if limits == Limits::Both {
        tighten(into, &mut from);
    }
    // Ours are checked first: properties of an object make no sense in a string.
    merge_type(into, from.get("type"), spot, conflict)?;
    for (key, value) in from {
        match (into.entry(key), value) {
            (Entry::Vacant(entry), value) => {
                entry.insert(value);
            }
            (Entry::Occupied(mut entry), value) => match (entry.key().as_str(), value) {
                ("properties", Value::Object(properties)) => {
                    if let Some(own) = entry.get_mut().as_object_mut() {
                        merge_properties(own, properties, limits, spot, conflict)?;
                    }
                }
                ("items", Value::Object(items)) => {
                    if let Some(own) = entry.get_mut().as_object_mut() {
                        merge(own, items, limits, &spot.item(), conflict)?;
                    }
                }
                ("required", Value::Array(names)) => {
                    if let Some(own) = entry.get_mut().as_array_mut() {
                        let new: Vec<_> = names.into_iter().filter(|n| !own.contains(n)).collect();
                        own.extend(new);
                    }
                }
                _ => (),
            },
        }
    }
    Ok(())
}

fn merge_properties(
    own: &mut Map<String, Value>,
    properties: Map<String, Value>,
    limits: Limits,
    spot: &Spot,
    conflict: Conflict,
) -> Result<(), Problem> {
    for (name, property) in properties {
        let field = spot.field(&name);
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

/// The limits: each with the flag that makes it exclusive, and whether a larger one is tighter.
pub(crate) const LIMITS: [(&str, &str, bool); 6] = [
    ("minLength", "", true),
    ("maxLength", "", false),
    ("minItems", "", true),
    ("maxItems", "", false),
    ("minimum", "exclusiveMinimum", true),
    ("maximum", "exclusiveMaximum", false),
];

/// Leaves the tighter of two limits in the first schema, and none in the other.
fn tighten(into: &mut Map<String, Value>, from: &mut Map<String, Value>) {
    for (limit, exclusive, larger) in LIMITS {
        let take = |schema: &mut Map<String, Value>| {
            let is_exclusive = schema.remove(exclusive).is_some();
            let value = schema.remove(limit)?;
            Some((value.as_f64()?, is_exclusive, value))
        };
        let tighter = match (take(into), take(from)) {
            (Some(one), Some(other)) => {
                let is_other = if one.0 == other.0 {
                    other.1
                } else {
                    (other.0 > one.0) == larger
                };
                Some(if is_other { other } else { one })
            }
            (one, other) => one.or(other),
        };
        if let Some((_, is_exclusive, value)) = tighter {
            into.insert(limit.to_owned(), value);
            if is_exclusive {
                into.insert(exclusive.to_owned(), true.into());
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
    into: &mut Map<String, Value>,
    other: Option<&Value>,
    spot: &Spot,
    conflict: Conflict,
) -> Result<(), Problem> {
    let (Some(Value::String(own)), Some(Value::String(other))) = (into.get("type"), other) else {
        return Ok(());
    };
    match (own.as_str(), other.as_str()) {
        (own, other) if own == other => Ok(()),
        // Documents write `number` where they mean an integer.
        ("integer", "number") => Ok(()),
        ("number", "integer") => {
            into.insert("type".to_owned(), "integer".into());
            Ok(())
        }
        (own, other) => Err(conflict(spot, own, other)),
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
        let spot = Spot::new("GET /x", "answer");
        merge(&mut a, b, Limits::Both, &spot, &|spot, a, b| {
            Problem::new(format!("{spot} is {a} and {b}"))
        })
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
    fn of_limits_that_both_hold_the_tighter_one_stays() {
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
    fn two_types_are_a_conflict_that_names_the_field() {
        let of = |kind: &str| json!({"properties": {"l": {"items": {"properties": {"x": {"type": kind}}}}}});
        let conflict = merged(of("string"), of("integer"));
        assert_eq!(
            conflict,
            Err("GET /x: answer field \"l[].x\" is string and integer".to_owned())
        );
    }
}
