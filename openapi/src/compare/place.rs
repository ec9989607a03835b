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
    let mut node = settled(source, start.clone());
    for step in steps {
        match below(source, &node, step) {
            Some(next) => node = settled(source, next),
            None => break,
        }
    }
    node.at
}

/// References were followed before, when the schema was written out, so none leads nowhere.
fn settled<'a>(source: Source<'a>, node: Node<'a>) -> Node<'a> {
    source.follow(node.clone()).unwrap_or(node)
}

fn below<'a>(source: Source<'a>, schema: &Node<'a>, step: &Step) -> Option<Node<'a>> {
    let own = match step {
        Step::Field(name) => schema.get("properties").and_then(|fields| fields.get(name)),
        Step::Item => schema.get("items"),
        Step::Keyword(keyword) => schema.get(keyword),
    };
    own.or_else(|| {
        let mut parts = parts(schema).map(|part| settled(source, part));
        parts.find_map(|part| below(source, &part, step))
    })
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
