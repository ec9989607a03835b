use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess as _, Visitor,
};
use serde_json::{Map, Number, Value};

/// Reads a value in which no object has a key twice with different values: which of them counts depends
/// on the reader.
///
/// Its texts and its number of values add up to `max_size` at most, since aliases in YAML multiply them.
pub(crate) fn read_value<'de, D: Deserializer<'de>>(
    deserializer: D,
    max_size: usize,
) -> Result<Value, D::Error> {
    let size_left = Cell::new(max_size);
    let root = Place {
        size_left: &size_left,
        step: None,
    };
    root.deserialize(deserializer)
}

/// A place in a document, which is read into a value.
#[derive(Clone, Copy)]
struct Place<'p> {
    size_left: &'p Cell<usize>,
    /// The place that holds this one, and the step from there. The root has none.
    step: Option<(&'p Place<'p>, PlaceStep<'p>)>,
}

impl<'p> Place<'p> {
    fn step(&'p self, step: PlaceStep<'p>) -> Self {
        Self {
            size_left: self.size_left,
            step: Some((self, step)),
        }
    }

    /// Counts a value, and the length of its text.
    fn count<E: Error>(&self, len: usize) -> Result<(), E> {
        let left = self.size_left.get().checked_sub(len.saturating_add(1));
        match left {
            Some(left) => {
                self.size_left.set(left);
                Ok(())
            }
            None => Err(E::custom(format!(
                "{self}: the document's aliases make it several times as large as its text; \
                 write it out"
            ))),
        }
    }
}

#[derive(Clone, Copy)]
enum PlaceStep<'p> {
    Key(&'p str),
    Index(usize),
}

/// Writes a JSON pointer.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            None => f.write_str("#"),
            Some((owner, PlaceStep::Index(index))) => write!(f, "{owner}/{index}"),
            Some((owner, PlaceStep::Key(key))) => {
                let key = key.replace('~', "~0").replace('/', "~1");
                write!(f, "{owner}/{key}")
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.count(0)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "JSON has such numbers as floating point, too"
    )]
    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "JSON has such numbers as floating point, too"
    )]
    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // JSON has no infinity.
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.count(value.len())?;
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        self.count(value.len())?;
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let place = self.step(PlaceStep::Index(list.len()));
            match items.next_element_seed(place)? {
                Some(item) => list.push(item),
                None => return Ok(list.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.count(key.len())?;
            let place = self.step(PlaceStep::Key(&key));
            let value = entries.next_value_seed(place)?;
            if map.get(&key).is_some_and(|earlier| *earlier != value) {
                return Err(A::Error::custom(format!(
                    "{place} is there twice, with different values; remove one of them"
                )));
            }
            map.insert(key, value);
        }
        merge(&mut map);
        Ok(map.into())
    }

    /// Reads a value with a tag of its own in YAML, as if it had none.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Value, A::Error> {
        let (_, value) = tagged.variant::<IgnoredAny>()?;
        value.newtype_variant_seed(self)
    }
}

/// The key of the objects in YAML whose keys an object has besides its own.
const MERGE: &str = "<<";

fn merge(map: &mut Map<String, Value>) {
    let merged = match map.remove(MERGE) {
        None => return,
        Some(Value::Object(object)) => vec![Value::Object(object)],
        Some(Value::Array(objects)) if objects.iter().all(Value::is_object) => objects,
        Some(other) => {
            map.insert(MERGE.to_owned(), other);
            return;
        }
    };
    for object in merged {
        let Value::Object(object) = object else {
            continue;
        };
        for (key, value) in object {
            map.entry(key).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        let yaml = serde_norway::Deserializer::from_str(text);
        read_value(yaml, 4 * text.len()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_repeated_key_is_refused_unless_its_value_is_the_same() {
        let same = "a: {x: [1, 2.5, null, true]}\na: {x: [1, 2.5, null, true]}\n200: b\n";
        let value = read(same).expect("is read");
        assert_eq!(value, json!({"a": {"x": [1, 2.5, null, true]}, "200": "b"}));
        let error = read("a/b:\n  - x: 1\n    x: 2\n").expect_err("is refused");
        let place = "#/a~1b/0/x is there twice, with different values; remove one of them";
        assert!(error.contains(place), "{error}");
    }

    #[test]
    fn merged_keys_count_unless_the_object_has_them() {
        let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\n\
                    c: {<<: *a, y: 3}\nd: {<<: [*a, *b]}\ne: {<<: 4}\n";
        let value = read(text).expect("is read");
        assert_eq!(value["c"], json!({"x": 1, "y": 3}));
        assert_eq!(value["d"], json!({"x": 1, "y": 1, "z": 2}));
        assert_eq!(value["e"], json!({"<<": 4}));
    }

    #[test]
    fn tags_and_long_numbers_are_read() {
        let value = read("a: !own [!own x, 123456789012345678901234567890]\n");
        assert_eq!(
            value,
            Ok(json!({"a": ["x", 123_456_789_012_345_678_901_234_567_890.0]}))
        );
    }

    #[test]
    fn aliases_must_not_make_a_document_much_larger() {
        assert!(read("a: &a [long text]\nb: *a\n").is_ok());
        let aliases = "*a, ".repeat(100);
        let text = format!("a: &a {}\nb: [{aliases}]\n", "x".repeat(1000));
        let error = read(&text).expect_err("is refused");
        assert!(error.contains("#/b/4: the document's aliases"), "{error}");
    }
}
