use serde_json::Value;

use super::node::Node;
use crate::error::Problem;

/// A document as it came, in which `$ref`s are followed.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) root: &'a Value,
}

impl<'a> Source<'a> {
    pub(crate) fn new(root: &'a Value) -> Self {
        Self { root }
    }

    /// The thing itself, where `node` may be a reference to it, or to a reference to it.
    pub(crate) fn follow(self, node: Node<'a>) -> Result<Node<'a>, Problem> {
        let mut trail = Vec::new();
        let mut node = node;
        while let Some(reference) = reference(node.value) {
            if trail.contains(&reference) {
                return Err(circular(reference));
            }
            trail.push(reference);
            node = self.at(reference)?;
        }
        Ok(node)
    }

    pub(crate) fn at(self, reference: &str) -> Result<Node<'a>, Problem> {
        let Some(pointer) = reference.strip_prefix('#') else {
            return Err(Problem::new(format!(
                "{reference}: points outside the document; put what it points at into the document"
            )));
        };
        let at = percent_decode(pointer);
        match self.root.pointer(&at) {
            Some(value) => Ok(Node { value, at }),
            None => Err(Problem::new(format!(
                "{reference}: is referred to, but the document has no such place"
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

/// `$ref`s are URI fragments, in which braces and the like may be escaped.
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
        let start = Node::root(&root).get("a").expect("is there");
        let found = Source::new(&root).follow(start).expect("both are there");
        assert_eq!(found.value, &json!({"here": true}));
        assert_eq!(found.at, "/b~1c/{d}");
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_named() {
        let root = json!({
            "circular": {"$ref": "#/circular"},
            "dangling": {"$ref": "#/nowhere"},
            "outside": {"$ref": "other.yaml#/x"},
        });
        let message = |key: &str| {
            let start = Node::root(&root).get(key).expect("is there");
            let result = Source::new(&root).follow(start);
            result.expect_err("leads nowhere").to_string()
        };
        assert!(message("circular").starts_with("#/circular: refers back to itself"));
        assert!(message("dangling").starts_with("#/nowhere: is referred to"));
        assert!(message("outside").starts_with("other.yaml#/x: points outside"));
    }
}
