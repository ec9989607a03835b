use serde_json::Value;

use super::node::Node;
use crate::error::Problem;

/// A document as written, with its `$ref`s.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) root: &'a Value,
}

/// Bounds the number of references in a row. A document made to exhaust the time is rejected.
const MAX_REFERENCES: usize = 60;

impl<'a> Source<'a> {
    pub(crate) fn new(root: &'a Value) -> Self {
        Self { root }
    }

    /// Follows references until `node` is none.
    pub(crate) fn follow(self, node: Node<'a>) -> Result<Node<'a>, Problem> {
        let mut trail = Vec::new();
        let mut node = node;
        while let Some(reference) = reference(node.value) {
            if trail.contains(&reference) {
                return Err(circular(reference));
            }
            if trail.len() == MAX_REFERENCES {
                return Err(Problem::new(format!(
                    "{reference}: is the end of more than {MAX_REFERENCES} references in a row"
                )));
            }
            trail.push(reference);
            node = self.resolve(reference)?;
        }
        Ok(node)
    }

    pub(crate) fn resolve(self, reference: &str) -> Result<Node<'a>, Problem> {
        let Some(pointer) = reference.strip_prefix('#') else {
            return Err(Problem::new(format!(
                "{reference}: points outside the document, which is not supported; copy its target into \
                 the document"
            )));
        };
        let pointer = percent_decode(pointer);
        match self.root.pointer(&pointer) {
            Some(value) => Ok(Node { value, pointer }),
            None => Err(Problem::new(format!(
                "{reference}: is referenced, but does not exist in the document"
            ))),
        }
    }
}

pub(crate) fn reference(value: &Value) -> Option<&str> {
    value.get("$ref")?.as_str()
}

pub(crate) fn circular(reference: &str) -> Problem {
    Problem::new(format!(
        "{reference}: refers back to itself; circular references are not supported"
    ))
}

/// Decodes a `$ref`'s URI fragment, in which braces and other characters can be escaped.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let escaped = (byte == b'%')
            .then(|| Some(hex(ahead.next()?)? << 4 | hex(ahead.next()?)?))
            .flatten();
        match escaped {
            Some(escaped) => {
                bytes.push(escaped);
                rest = ahead;
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_is_followed_through_escapes_and_further_references() {
        let root = json!({"a": {"$ref": "#/b~1c/%7Bd%7D"}, "b/c": {"{d}": {"here": true}}});
        let start = Node::root(&root).get("a").expect("the field exists");
        let found = Source::new(&root)
            .follow(start)
            .expect("both references resolve");
        assert_eq!(found.value, &json!({"here": true}));
        assert_eq!(found.pointer, "/b~1c/{d}");
    }

    #[test]
    fn an_error_names_the_reference_that_does_not_resolve() {
        let mut root = json!({
            "circular": {"$ref": "#/circular"},
            "dangling": {"$ref": "#/nowhere"},
            "outside": {"$ref": "other.yaml#/x"},
        });
        for link in 0..=MAX_REFERENCES {
            root[format!("chain-{link}")] = json!({"$ref": format!("#/chain-{}", link + 1)});
        }
        let message = |key: &str| {
            let start = Node::root(&root).get(key).expect("the field exists");
            let result = Source::new(&root).follow(start);
            result.expect_err("does not resolve").to_string()
        };
        assert!(message("circular").starts_with("#/circular: refers back to itself"));
        assert!(message("dangling").starts_with("#/nowhere: is referenced, but does not exist"));
        assert!(message("chain-0").contains("more than 60 references in a row"));
        assert!(message("outside").starts_with("other.yaml#/x: points outside"));
    }
}
