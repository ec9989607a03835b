use std::collections::HashSet;

use serde_json::Value;

use crate::read::{Node, Source};
use crate::schema::conjuncts;

/// Bounds the nesting of parts, whose references can be circular where the comparison gives up on a
/// schema.
const MAX_DEPTH: usize = 100;

/// A step from a schema to a schema within it, or to one of its keywords.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Field(String),
    Item,
    /// The schema of the values of a map.
    MapValue,
    Keyword(&'static str),
}

/// Returns the JSON pointer to the end of the steps or, if it doesn't exist, to the last place on
/// the way that does.
pub(super) fn locate(source: Source, start: &Node, steps: &[Step]) -> String {
    let start = follow(source, start.clone());
    let lengths = (0..=steps.len()).rev();
    let mut places = lengths.filter_map(|length| {
        let mut walk = Walk {
            source,
            seen: HashSet::new(),
        };
        walk.find(&start, steps.get(..length)?, MAX_DEPTH)
    });
    // Without any step, the walk ends at the start.
    places.next().map_or_else(String::new, |node| node.pointer)
}

struct Walk<'a> {
    source: Source<'a>,
    /// The schemas that don't lead to the end, each with the number of steps that were left. Without
    /// them, parts that double with each reference would take forever.
    seen: HashSet<(*const Value, usize)>,
}

impl<'a> Walk<'a> {
    fn find(&mut self, schema: &Node<'a>, steps: &[Step], depth: usize) -> Option<Node<'a>> {
        let Some((step, others)) = steps.split_first() else {
            return Some(schema.clone());
        };
        let depth = depth.checked_sub(1)?;
        if !self.seen.insert((schema.value, steps.len())) {
            return None;
        }
        let own = match step {
            Step::Field(name) => schema.get("properties").and_then(|fields| fields.get(name)),
            Step::Item => schema.get("items"),
            Step::MapValue => schema.get("additionalProperties"),
            Step::Keyword(keyword) => schema.get(keyword),
        };
        let own = own.and_then(|own| self.find(&follow(self.source, own), others, depth));
        own.or_else(|| {
            let mut parts = parts(schema);
            parts.find_map(|part| self.find(&follow(self.source, part), steps, depth))
        })
    }
}

/// Follows a reference. Expanding the schema has shown that the references resolve, except for those of
/// schemas that refer back to themselves.
fn follow<'a>(source: Source<'a>, node: Node<'a>) -> Node<'a> {
    source.follow(node.clone()).unwrap_or(node)
}

/// Returns the schemas that apply in addition to this one.
fn parts<'a>(schema: &Node<'a>) -> impl Iterator<Item = Node<'a>> {
    let conjuncts = schema.value.as_object().map(conjuncts);
    let node = |(key, index, _)| schema.get(key)?.items().nth(index);
    conjuncts.into_iter().flatten().filter_map(node)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_is_located_through_references_and_parts() {
        let root = json!({
            "schema": {"type": "array", "items": {"allOf": [{"$ref": "#/a"}, {"properties": {
                "own": {"anyOf": [{"maxLength": 9}]},
            }}]}},
            "a": {"properties": {"x": {"$ref": "#/text"}}},
            "text": {"type": "string"},
        });
        let source = Source::new(&root);
        let start = Node::root(&root).get("schema").expect("the schema exists");
        let locate = |steps: &[Step]| locate(source, &start, steps);
        let field = |name: &str| Step::Field(name.to_owned());
        assert_eq!(locate(&[]), "/schema");
        assert_eq!(locate(&[Step::Item, field("x")]), "/text");
        assert_eq!(
            locate(&[Step::Item, field("own"), Step::Keyword("maxLength")]),
            "/schema/items/allOf/1/properties/own/anyOf/0/maxLength"
        );
        let missing = [Step::Item, field("x"), Step::Keyword("maxLength")];
        assert_eq!(locate(&missing), "/text");
        assert_eq!(
            locate(&[Step::Item, field("y"), field("x")]),
            "/schema/items"
        );
    }

    #[test]
    fn parts_without_end_have_no_places() {
        let mut root = json!({
            "loop": {"allOf": [{"$ref": "#/loop"}]},
            "40": {"type": "string"},
            "chain-9999": {"type": "string"},
        });
        for level in 0..40 {
            let next = json!({"$ref": format!("#/{}", level + 1)});
            root[level.to_string()] = json!({"allOf": [next, next]});
        }
        for link in 0..9_999 {
            let next = json!({"$ref": format!("#/chain-{}", link + 1)});
            root[format!("chain-{link}")] = json!({"allOf": [next]});
        }
        let source = Source::new(&root);
        for start in ["loop", "0", "chain-0"] {
            let node = Node::root(&root).get(start).expect("the schema exists");
            let place = locate(source, &node, &[Step::Keyword("maxLength")]);
            assert_eq!(place, format!("/{start}"));
        }
    }
}
