use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A value in which no object has a key twice with different values: which of them counts depends on the
/// reader.
pub(crate) struct UniqueKeys(pub(crate) Value);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Place(None).deserialize(deserializer).map(Self)
    }
}

/// A place in a document, read into a value: a key or an index, and the place that holds it.
#[derive(Clone, Copy)]
struct Place<'p>(Option<(&'p Place<'p>, Step<'p>)>);

#[derive(Clone, Copy)]
enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

/// Writes a JSON pointer.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("#"),
            Some((owner, Step::Index(index))) => write!(f, "{owner}/{index}"),
            Some((owner, Step::Key(key))) => {
                let key = key.replace('~', "~0").replace('/', "~1");
                write!(f, "{owner}/{key}")
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
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

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // JSON has no infinity.
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
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
            let place = Place(Some((&self, Step::Index(list.len()))));
            match items.next_element_seed(place)? {
                Some(item) => list.push(item),
                None => return Ok(list.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let place = Place(Some((&self, Step::Key(&key))));
            let value = entries.next_value_seed(place)?;
            if map.get(&key).is_some_and(|earlier| *earlier != value) {
                return Err(A::Error::custom(format!(
                    "{place} is there twice, with different values; remove one of them"
                )));
            }
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_repeated_key_is_refused_unless_its_value_is_the_same() {
        let yaml = |text: &str| serde_norway::from_str(text).map(|UniqueKeys(value)| value);
        let same = "a: {x: [1, 2.5, null, true]}\na: {x: [1, 2.5, null, true]}\n200: b\n";
        let value = yaml(same).expect("is read");
        assert_eq!(value, json!({"a": {"x": [1, 2.5, null, true]}, "200": "b"}));
        let error = yaml("a/b:\n  - x: 1\n    x: 2\n").expect_err("is refused");
        let place = "#/a~1b/0/x is there twice, with different values; remove one of them";
        assert!(error.to_string().contains(place), "{error}");
        let json: Result<UniqueKeys, _> = serde_json::from_str("{\"x\": 1, \"x\": \"1\"}");
        let error = json.map(|_| ()).expect_err("is refused").to_string();
        assert!(error.starts_with("#/x is there twice"), "{error}");
    }
}
