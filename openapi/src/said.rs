//! What a document says of values, where the generated types do not hold it against them: it stays
//! beside a schema, for the JSON Schema.

use serde_json::{Map, Value, json};

const SAID: &str = "x-said";

type Schema = Map<String, Value>;

/// Moves what is not accepted out of the generator's sight.
pub(crate) fn keep_back(schema: &mut Schema, accept: impl Fn(&str, &Value) -> bool) {
    let mut said = Schema::new();
    schema.retain(|key, value| {
        let stays = key == SAID || accept(key, value);
        if !stays {
            said.insert(key.clone(), value.take());
        }
        stays
    });
    add(schema, said);
}

/// Lets a value be null, which the document does not say.
pub(crate) fn admit_null(schema: &mut Schema) {
    if schema.insert("nullable".to_owned(), true.into()).is_none() {
        add(
            schema,
            Schema::from_iter([("nullable".to_owned(), false.into())]),
        );
    }
}

fn add(schema: &mut Schema, said: Schema) {
    if said.is_empty() {
        return;
    }
    let kept = schema.entry(SAID).or_insert_with(|| json!({}));
    if let Some(kept) = kept.as_object_mut() {
        kept.extend(said);
    }
}

/// Forgets what was kept back.
pub(crate) fn forget(schema: &mut Schema) {
    schema.remove(SAID);
}

/// Puts what was kept back in its place again.
pub(crate) fn restore(schema: &mut Schema) {
    let Some(Value::Object(said)) = schema.remove(SAID) else {
        return;
    };
    for (key, value) in said {
        match (key.as_str(), schema.get_mut(&key), value) {
            ("nullable", ..) => drop(schema.remove("nullable")),
            // What the SDK relies on is required, too.
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
    fn what_is_kept_back_comes_back() {
        let schema = json!({"type": "array", "maxItems": 2, "required": ["a"], "format": "x"});
        let Value::Object(original) = schema else {
            panic!("is an object");
        };
        let mut schema = original.clone();
        keep_back(&mut schema, |key, _| key == "type" || key == "format");
        keep_back(&mut schema, |key, _| key == "type");
        admit_null(&mut schema);
        let mut seen = schema.clone();
        forget(&mut seen);
        assert_eq!(
            Value::Object(seen),
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
    fn what_the_document_says_of_null_is_not_lost() {
        let schema = json!({"type": "array", "nullable": true});
        let Value::Object(original) = schema else {
            panic!("is an object");
        };
        let mut schema = original.clone();
        admit_null(&mut schema);
        restore(&mut schema);
        assert_eq!(schema, original);
    }
}
