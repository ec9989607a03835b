use crate::read::{Node, Source};
use crate::schema::conjuncts;

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
    let mut places = lengths.filter_map(|length| walk(source, &start, steps.get(..length)?));
    // Without any step, the walk ends at the start.
    places.next().map_or_else(String::new, |node| node.pointer)
}

fn walk<'a>(source: Source<'a>, schema: &Node<'a>, steps: &[Step]) -> Option<Node<'a>> {
    let Some((step, others)) = steps.split_first() else {
        return Some(schema.clone());
    };
    let own = match step {
        Step::Field(name) => schema.get("properties").and_then(|fields| fields.get(name)),
        Step::Item => schema.get("items"),
        Step::MapValue => schema.get("additionalProperties"),
        Step::Keyword(keyword) => schema.get(keyword),
    };
    let own = own.and_then(|own| walk(source, &follow(source, own), others));
    own.or_else(|| {
        let mut parts = parts(schema).map(|part| follow(source, part));
        parts.find_map(|part| walk(source, &part, steps))
    })
}

/// Follows a reference. Expanding the schema has shown that all references resolve.
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
}
