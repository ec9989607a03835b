use crate::read::{Node, Source, parts};

/// A step from a schema to one within it, or to what it says.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Field(String),
    Item,
    Keyword(&'static str),
}

/// Where a schema, or what it says, stands in a document: the nearest place that there is, since
/// one of two documents may not have it.
pub(super) fn find(source: Source, start: &Node, steps: &[Step]) -> String {
    let start = settled(source, start.clone());
    let lengths = (0..=steps.len()).rev();
    let mut found = lengths.filter_map(|length| whole(source, &start, steps.get(..length)?));
    // No step at all leads to the start.
    found.next().map_or_else(String::new, |node| node.at)
}

/// What stands at the end of all the steps.
fn whole<'a>(source: Source<'a>, schema: &Node<'a>, steps: &[Step]) -> Option<Node<'a>> {
    let Some((step, others)) = steps.split_first() else {
        return Some(schema.clone());
    };
    let own = match step {
        Step::Field(name) => schema.get("properties").and_then(|fields| fields.get(name)),
        Step::Item => schema.get("items"),
        Step::Keyword(keyword) => schema.get(keyword),
    };
    let own = own.and_then(|own| whole(source, &settled(source, own), others));
    own.or_else(|| {
        let mut parts = parts(schema).map(|part| settled(source, part));
        parts.find_map(|part| whole(source, &part, steps))
    })
}

/// References were followed before, when the schema was written out, so none leads nowhere.
fn settled<'a>(source: Source<'a>, node: Node<'a>) -> Node<'a> {
    source.follow(node.clone()).unwrap_or(node)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_is_found_through_references_and_parts() {
        let root = json!({
            "schema": {"type": "array", "items": {"allOf": [{"$ref": "#/a"}, {"properties": {
                "own": {"anyOf": [{"maxLength": 9}]},
            }}]}},
            "a": {"properties": {"x": {"$ref": "#/text"}}},
            "text": {"type": "string"},
        });
        let source = Source::new(&root);
        let start = Node::root(&root).get("schema").expect("is there");
        let find = |steps: &[Step]| find(source, &start, steps);
        let field = |name: &str| Step::Field(name.to_owned());
        assert_eq!(find(&[]), "/schema");
        assert_eq!(find(&[Step::Item, field("x")]), "/text");
        assert_eq!(
            find(&[Step::Item, field("own"), Step::Keyword("maxLength")]),
            "/schema/items/allOf/1/properties/own/anyOf/0/maxLength"
        );
        let missing = [Step::Item, field("x"), Step::Keyword("maxLength")];
        assert_eq!(find(&missing), "/text");
        assert_eq!(find(&[Step::Item, field("y"), field("x")]), "/schema/items");
    }
}
