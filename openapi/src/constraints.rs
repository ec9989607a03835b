//! Constraints that the generated types don't enforce, kept beside a schema for its JSON Schema.

use serde_json::{Value, json};

use crate::schema::Schema;

const STASH: &str = "x-constraints";

/// Hides from the code generator the keywords that `keep` returns `false` for.
pub(crate) fn stash(schema: &mut Schema, keep: impl Fn(&str, &Value) -> bool) {
    let mut hidden = Schema::new();
    schema.retain(|key, value| {
        let stays = key == STASH || keep(key, value);
        if !stays {
            hidden.insert(key.clone(), value.take());
        }
        stays
    });
    add(schema, hidden);
}

/// Makes the generated type nullable. The JSON Schema stays as the document has it.
pub(crate) fn allow_null(schema: &mut Schema) {
    if schema.insert("nullable".to_owned(), true.into()).is_none() {
        add(
            schema,
            Schema::from_iter([("nullable".to_owned(), false.into())]),
        );
    }
}

fn add(schema: &mut Schema, hidden: Schema) {
    if hidden.is_empty() {
        return;
    }
    let stash = schema.entry(STASH).or_insert_with(|| json!({}));
    if let Some(stash) = stash.as_object_mut() {
        stash.extend(hidden);
    }
}

/// Deletes the stashed keywords.
pub(crate) fn discard(schema: &mut Schema) {
    schema.remove(STASH);
}

/// Puts the stashed keywords back into the schema.
pub(crate) fn restore(schema: &mut Schema) {
    let Some(Value::Object(hidden)) = schema.remove(STASH) else {
        return;
    };
    for (key, value) in hidden {
        match (key.as_str(), schema.get_mut(&key), value) {
            ("nullable", ..) => drop(schema.remove("nullable")),
            // The fields that the SDK relies on are required as well.
            ("required", Some(Value::Array(ours)), Value::Array(theirs)) => {
                let new: Vec<_> = theirs.into_iter().filter(|n| !ours.contains(n)).collect();
                ours.extend(new);
            }
            (_, _, value) => drop(schema.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stashed_keywords_are_restored() {
        let schema = json!({"type": "array", "maxItems": 2, "required": ["a"], "format": "x"});
        let Value::Object(original) = schema else {
            panic!("is an object");
        };
        let mut schema = original.clone();
        stash(&mut schema, |key, _| key == "type" || key == "format");
        stash(&mut schema, |key, _| key == "type");
        allow_null(&mut schema);
        let mut visible = schema.clone();
        discard(&mut visible);
        assert_eq!(
            Value::Object(visible),
            json!({"type": "array", "nullable": true})
        );
        let mut restored = schema.clone();
        restore(&mut restored);
        assert_eq!(restored, original);

        schema.insert("required".to_owned(), json!(["b", "a"]));
        restore(&mut schema);
        assert_eq!(schema["required"], json!(["b", "a"]));
    }

    #[test]
    fn a_schema_that_is_nullable_itself_stays_so() {
        let schema = json!({"type": "array", "nullable": true});
        let Value::Object(original) = schema else {
            panic!("is an object");
        };
        let mut schema = original.clone();
        allow_null(&mut schema);
        restore(&mut schema);
        assert_eq!(schema, original);
    }
}
