//! Reads the operations that we bind out of a document, each written out in place: the provider
//! says the same thing by reference in one year and inline in the next. For a year its paths
//! carried the prefix that is in the base URL here.

mod expand;
mod merge;
mod node;
mod source;
mod spot;

use serde_json::{Map, Value, json};

use crate::bound::Operation;
use crate::error::Problem;
use expand::Expander;

pub(crate) use expand::{CHOICE, parts};
pub(crate) use merge::{LIMITS, Limits, merge};
pub(crate) use node::Node;
pub(crate) use source::Source;
pub(crate) use spot::Spot;

/// An operation as a document has it.
pub(crate) struct Endpoint<'a> {
    pub(crate) operation: Node<'a>,
    /// Those of the path, too. Paths that we bind hold no variable, so none is for the path.
    pub(crate) parameters: Vec<Parameter<'a>>,
    /// What is said of a request's body.
    pub(crate) body: Option<Node<'a>>,
    /// What a request's body is, if it is JSON.
    pub(crate) request: Option<Body<'a>>,
    /// The statuses that answers are described for.
    pub(crate) answers: Vec<(String, Node<'a>)>,
    /// What the answer to a request that went well is, if it is JSON.
    pub(crate) answer: Option<Body<'a>>,
}

/// A parameter, and its schema written out.
pub(crate) struct Parameter<'a> {
    pub(crate) node: Node<'a>,
    pub(crate) schema: Map<String, Value>,
}

impl Parameter<'_> {
    pub(crate) fn name(&self) -> &str {
        text(self.node.value, "name")
    }

    /// Where it goes: `query`, `header` or `cookie`.
    pub(crate) fn place(&self) -> &str {
        text(self.node.value, "in")
    }

    pub(crate) fn is_required(&self) -> bool {
        is_set(self.node.value, "required")
    }

    /// Whether it is a list that goes over the wire as a parameter per item.
    pub(crate) fn is_exploded(&self) -> bool {
        let is_form = ["", "form"].contains(&text(self.node.value, "style"));
        let explode = self.node.value.get("explode").and_then(Value::as_bool);
        let is_list = self.schema.get("type").is_some_and(|kind| kind == "array");
        is_list && self.place() == "query" && explode.unwrap_or(is_form)
    }

    /// Whether both are the same parameter, whatever they say of it.
    pub(crate) fn is_same(&self, other: &Parameter) -> bool {
        let name = |parameter: &Parameter| match parameter.place() {
            "header" => parameter.name().to_lowercase(),
            _ => parameter.name().to_owned(),
        };
        self.place() == other.place() && name(self) == name(other)
    }
}

/// A JSON body: its schema as it stands in the document, and written out.
pub(crate) struct Body<'a> {
    pub(crate) node: Node<'a>,
    pub(crate) schema: Map<String, Value>,
}

/// What a document has of an operation that we bind.
pub(crate) enum Found<'a> {
    Whole(Box<Endpoint<'a>>),
    /// Its path, without it.
    Path(Node<'a>),
    /// Not even its path; this is where it would be.
    Nothing(Node<'a>),
}

impl Endpoint<'_> {
    /// Whether a request has to have a body.
    pub(crate) fn needs_body(&self) -> bool {
        self.body
            .as_ref()
            .is_some_and(|body| is_set(body.value, "required"))
    }
}

/// Reads an operation that we bind.
pub(crate) fn endpoint<'a>(source: Source<'a>, bound: &Operation) -> Result<Found<'a>, Problem> {
    let root = Node::root(source.root);
    let paths = root.get("paths").unwrap_or(root);
    let Some(path) = path(source, &paths, bound.path)? else {
        return Ok(Found::Nothing(paths));
    };
    let operation = below(source, &path, bound.method)?;
    let Some(operation) = operation.filter(|operation| operation.value.is_object()) else {
        return Ok(Found::Path(path));
    };
    let mut reader = Reader {
        source,
        expander: Expander::new(source),
        label: bound.label(),
    };
    let endpoint = reader.endpoint(&path, operation)?;
    Ok(Found::Whole(Box::new(endpoint)))
}

fn path<'a>(source: Source<'a>, paths: &Node<'a>, ours: &str) -> Result<Option<Node<'a>>, Problem> {
    let mut found = paths.fields().filter(|(path, _)| is_ours(path, ours));
    match (found.next(), found.next()) {
        (Some((_, item)), None) => source.follow(item).map(Some),
        (Some((one, _)), Some((other, _))) => Err(Problem::new(format!(
            "{one} and {other} are the same endpoint; remove one of them"
        ))),
        (None, _) => Ok(None),
    }
}

fn is_ours(path: &str, ours: &str) -> bool {
    let unprefixed = || {
        let (store, rest) = path.strip_prefix("/stores/{")?.split_once('}')?;
        rest.strip_prefix("/v3").filter(|_| !store.contains('/'))
    };
    unprefixed().unwrap_or(path).trim_end_matches('/') == ours
}

/// What an object holds, by reference or not.
fn below<'a>(source: Source<'a>, owner: &Node<'a>, key: &str) -> Result<Option<Node<'a>>, Problem> {
    owner.get(key).map(|node| source.follow(node)).transpose()
}

struct Reader<'a> {
    source: Source<'a>,
    expander: Expander<'a>,
    label: String,
}

impl<'a> Reader<'a> {
    fn endpoint(&mut self, path: &Node<'a>, operation: Node<'a>) -> Result<Endpoint<'a>, Problem> {
        let parameters = self.parameters(path, &operation)?;
        let body = below(self.source, &operation, "requestBody")?;
        let request = match &body {
            Some(body) => self.json_schema(body)?,
            None => None,
        };
        let request = self.body(request, "request")?;
        let mut answers = Vec::new();
        let mut schemas = Vec::new();
        let responses = below(self.source, &operation, "responses")?;
        for (status, answer) in responses.iter().flat_map(Node::fields) {
            if status.starts_with("x-") {
                continue;
            }
            let answer = self.source.follow(answer)?;
            if status.starts_with('2') || status == "default" {
                schemas.extend(self.json_schema(&answer)?.map(|schema| (status, schema)));
            }
            answers.push((status.to_owned(), answer));
        }
        // 200 comes before 2XX and default: the most precise counts.
        let success = schemas.into_iter().min_by_key(|(status, _)| *status);
        let answer = self.body(success.map(|(_, schema)| schema), "answer")?;
        Ok(Endpoint {
            parameters,
            body,
            request,
            answers,
            answer,
            operation,
        })
    }

    /// The path's parameters and the operation's own, of which the latter win.
    fn parameters(
        &mut self,
        path: &Node<'a>,
        operation: &Node<'a>,
    ) -> Result<Vec<Parameter<'a>>, Problem> {
        let mut parameters: Vec<Parameter> = Vec::new();
        for owner in [path, operation] {
            let list = below(self.source, owner, "parameters")?;
            for node in list.iter().flat_map(Node::items) {
                let node = self.source.follow(node)?;
                let part = format!("parameter \"{}\"", text(node.value, "name"));
                let spot = Spot::new(&self.label, &part);
                match text(node.value, "in") {
                    "query" | "header" | "cookie" => {}
                    "path" => continue,
                    other => {
                        return Err(Problem::new(format!(
                            "{spot} is in \"{other}\", which OpenAPI 3.0 does not know"
                        )));
                    }
                }
                let content = node.get("content");
                let media = content.as_ref().and_then(|content| content.fields().next());
                let schema = node.get("schema").or_else(|| media?.1.get("schema"));
                let schema = match schema {
                    Some(schema) => self.expander.expand(schema.value, &spot)?,
                    None => Map::from_iter([("type".to_owned(), json!("string"))]),
                };
                let parameter = Parameter { node, schema };
                parameters.retain(|earlier| !earlier.is_same(&parameter));
                parameters.push(parameter);
            }
        }
        Ok(parameters)
    }

    fn json_schema(&self, holder: &Node<'a>) -> Result<Option<Node<'a>>, Problem> {
        let content = below(self.source, holder, "content")?;
        let mut media = content.iter().flat_map(Node::fields);
        match media.find(|(media, _)| is_json(media)) {
            Some((_, media)) => Ok(self.source.follow(media)?.get("schema")),
            None => Ok(None),
        }
    }

    fn body(&mut self, node: Option<Node<'a>>, part: &str) -> Result<Option<Body<'a>>, Problem> {
        let Some(node) = node else {
            return Ok(None);
        };
        let spot = Spot::new(&self.label, part);
        let schema = self.expander.expand(node.value, &spot)?;
        Ok(Some(Body { node, schema }))
    }
}

fn is_json(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is_set(value: &Value, key: &str) -> bool {
    value.get(key) == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::{VALUES, named};

    fn read<'a>(root: &'a Value, name: &str) -> Endpoint<'a> {
        match endpoint(Source::new(root), named(name)) {
            Ok(Found::Whole(endpoint)) => *endpoint,
            _ => panic!("can be read"),
        }
    }

    #[test]
    fn parameters_are_those_of_the_path_and_of_the_operation() {
        let root = json!({
            "paths": {
                "/stores/{hash}/v3/customers/attribute-values/": {"$ref": "#/x-item"},
            },
            "x-item": {
                "parameters": [
                    {"name": "hash", "in": "path", "required": true, "schema": {}},
                    {"$ref": "#/components/parameters/Page"},
                    {"name": "limit", "in": "query", "schema": {"type": "number"}},
                    {"name": "X-Channel", "in": "header"},
                ],
                "get": {"parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer"}},
                    {"name": "x-channel", "in": "header", "required": true},
                ]},
            },
            "components": {
                "parameters": {
                    "Page": {"name": "page", "in": "query", "schema": {"$ref": "#/n"}},
                },
            },
            "n": {"type": "integer"},
        });
        let endpoint = read(&root, "list_attribute_values");
        let seen: Vec<_> = endpoint
            .parameters
            .iter()
            .map(|p| {
                (
                    p.name(),
                    p.is_required(),
                    text_of(&p.schema),
                    p.node.at.as_str(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("page", false, "integer", "/components/parameters/Page"),
                ("limit", false, "integer", "/x-item/get/parameters/0"),
                ("x-channel", true, "string", "/x-item/get/parameters/1"),
            ]
        );
    }

    fn text_of(schema: &Map<String, Value>) -> &str {
        schema["type"].as_str().expect("is a text")
    }

    #[test]
    fn bodies_are_json_and_of_the_most_precise_status() {
        let of = |kind: &str| {
            json!({"content": {
                "text/html": {"schema": {}},
                "application/json; charset=utf-8": {"schema": {"type": kind}},
            }})
        };
        let root = json!({"paths": {VALUES: {"put": {
            "requestBody": of("array"),
            "responses": {"default": of("string"), "2XX": of("object"), "429": {}, "207": {}},
        }}}});
        let endpoint = read(&root, "upsert_attribute_values");
        assert!(!endpoint.needs_body());
        let request = endpoint.request.expect("has a schema");
        assert_eq!(text_of(&request.schema), "array");
        assert_eq!(
            request.node.at,
            "/paths/~1customers~1attribute-values/put/requestBody/content/\
             application~1json; charset=utf-8/schema"
        );
        assert_eq!(
            text_of(&endpoint.answer.expect("has a schema").schema),
            "object"
        );
        assert_eq!(endpoint.answers.len(), 4);
    }
}
