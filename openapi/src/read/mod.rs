//! Reads the contract's operations from a document and resolves their references.
//!
//! Published versions of the provider's document differ in what they reference and what they write
//! inline. In some of them the paths have the prefix that is part of the base URL here.

mod expand;
mod location;
mod merge;
mod node;
mod source;
mod sub_resources;

use serde_json::json;

use crate::contract::Operation;
use crate::error::Problem;
use crate::schema::{Schema, is_set, text};

pub(crate) use expand::{Detail, Expander};
pub(crate) use location::Location;
pub(crate) use merge::{LimitPolicy, merge};
pub(crate) use node::Node;
pub(crate) use source::Source;

/// The result of looking up an operation in a document.
pub(crate) enum Lookup<'a> {
    Operation(Box<Endpoint<'a>>),
    /// The path exists without this operation.
    PathOnly,
    /// The path is missing.
    Missing,
}

/// An operation as a document describes it.
pub(crate) struct Endpoint<'a> {
    pub(crate) operation: Node<'a>,
    /// The operation's parameters and its path's, except for variables of the path.
    pub(crate) parameters: Vec<Parameter<'a>>,
    /// The expanded schema of the request body, if it is JSON.
    pub(crate) request: Option<Schema>,
    /// The expanded schema of the successful response with the most precise status, if it is JSON.
    pub(crate) response: Option<Schema>,
}

/// A parameter, and its expanded schema.
pub(crate) struct Parameter<'a> {
    pub(crate) node: Node<'a>,
    pub(crate) schema: Schema,
}

impl Parameter<'_> {
    pub(crate) fn name(&self) -> &str {
        text(self.node.value, "name")
    }

    /// Returns OpenAPI's `in`: `query`, `header` or `cookie`.
    pub(crate) fn sent_in(&self) -> &str {
        text(self.node.value, "in")
    }

    pub(crate) fn is_required(&self) -> bool {
        is_set(self.node.value, "required")
    }

    /// Returns `true` if both have the same name and place. Names of headers ignore case.
    pub(crate) fn is_same(&self, other: &Parameter) -> bool {
        let name = |parameter: &Parameter| match parameter.sent_in() {
            "header" => parameter.name().to_lowercase(),
            _ => parameter.name().to_owned(),
        };
        self.sent_in() == other.sent_in() && name(self) == name(other)
    }
}

/// Reads one of the contract's operations.
pub(crate) fn endpoint<'a>(
    source: Source<'a>,
    spec: &Operation,
    detail: Detail,
) -> Result<Lookup<'a>, Problem> {
    let Some(path) = find_path(source, spec.path)? else {
        return Ok(Lookup::Missing);
    };
    let (_, path) = path;
    let operation = resolve_field(source, &path, spec.method)?;
    let Some(operation) = operation.filter(|operation| operation.value.is_object()) else {
        return Ok(Lookup::PathOnly);
    };
    let mut reader = Reader {
        source,
        expander: Expander::new(source, spec.returns, detail),
        label: spec.label(),
    };
    let endpoint = reader.endpoint(&path, operation)?;
    Ok(Lookup::Operation(Box::new(endpoint)))
}

/// Returns the object of all paths or, if it is missing, the document's root.
pub(crate) fn paths(source: Source) -> Node {
    let root = Node::root(source.root);
    root.get("paths").unwrap_or(root)
}

/// Returns a path of the contract as the document writes it, and what it holds.
pub(crate) fn find_path<'a>(
    source: Source<'a>,
    ours: &str,
) -> Result<Option<(&'a str, Node<'a>)>, Problem> {
    let paths = paths(source);
    let mut matches = paths.fields().filter(|(path, _)| is_ours(path, ours));
    match (matches.next(), matches.next()) {
        (Some((text, item)), None) => Ok(Some((text, source.follow(item)?))),
        (Some((one, _)), Some((other, _))) => Err(Problem::new(format!(
            "{one} and {other} are the same endpoint; remove one of them"
        ))),
        (None, _) => Ok(None),
    }
}

fn is_ours(path: &str, ours: &str) -> bool {
    split_prefix(path).1 == ours
}

/// Splits a path into the prefix that is part of the base URL, if it has one, and the rest, without a
/// slash at its end.
pub(crate) fn split_prefix(path: &str) -> (&str, &str) {
    let end_of_prefix = || {
        let (store, rest) = path.strip_prefix("/stores/{")?.split_once('}')?;
        let rest = rest.strip_prefix("/v3").filter(|_| !store.contains('/'))?;
        Some(path.len() - rest.len())
    };
    let (prefix, rest) = path.split_at(end_of_prefix().unwrap_or(0));
    (prefix, rest.trim_end_matches('/'))
}

/// Returns an object's field, with its reference followed.
pub(crate) fn resolve_field<'a>(
    source: Source<'a>,
    owner: &Node<'a>,
    key: &str,
) -> Result<Option<Node<'a>>, Problem> {
    owner.get(key).map(|node| source.follow(node)).transpose()
}

/// Returns an operation's responses by status.
pub(crate) fn responses<'a>(
    source: Source<'a>,
    operation: &Node<'a>,
) -> Result<Vec<(&'a str, Node<'a>)>, Problem> {
    let responses = resolve_field(source, operation, "responses")?;
    let responses = responses.iter().flat_map(Node::fields);
    responses
        .filter(|(status, _)| !status.starts_with("x-"))
        .map(|(status, response)| Ok((status, source.follow(response)?)))
        .collect()
}

/// Returns the schema of the request body, if it is JSON.
pub(crate) fn request_schema<'a>(
    source: Source<'a>,
    operation: &Node<'a>,
) -> Result<Option<Node<'a>>, Problem> {
    match resolve_field(source, operation, "requestBody")? {
        Some(body) => json_schema(source, &body),
        None => Ok(None),
    }
}

/// Returns the schema of the successful response with the most precise status, if it is JSON.
pub(crate) fn response_schema<'a>(
    source: Source<'a>,
    operation: &Node<'a>,
) -> Result<Option<Node<'a>>, Problem> {
    let first = success_schemas(source, operation)?.into_iter().next();
    Ok(first.map(|(_, schema)| schema))
}

/// Returns the schemas of the successful responses that are JSON, the most precise status first.
///
/// Beside a status of success, `default` is for errors.
pub(crate) fn success_schemas<'a>(
    source: Source<'a>,
    operation: &Node<'a>,
) -> Result<Vec<(&'a str, Node<'a>)>, Problem> {
    let mut schemas = Vec::new();
    let responses = responses(source, operation)?;
    let is_success = |status: &str| status.starts_with('2');
    let has_success = responses.iter().any(|(status, _)| is_success(status));
    for (status, response) in responses {
        if is_success(status) || (status == "default" && !has_success) {
            schemas.extend(json_schema(source, &response)?.map(|schema| (status, schema)));
        }
    }
    // 200 sorts before 2XX and default.
    schemas.sort_by_key(|(status, _)| *status);
    Ok(schemas)
}

fn json_schema<'a>(source: Source<'a>, holder: &Node<'a>) -> Result<Option<Node<'a>>, Problem> {
    let content = resolve_field(source, holder, "content")?;
    let mut media = content.iter().flat_map(Node::fields);
    match media.find(|(media, _)| is_json(media)) {
        Some((_, media)) => Ok(source.follow(media)?.get("schema")),
        None => Ok(None),
    }
}

fn is_json(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

struct Reader<'a> {
    source: Source<'a>,
    expander: Expander<'a>,
    label: String,
}

impl<'a> Reader<'a> {
    fn endpoint(&mut self, path: &Node<'a>, operation: Node<'a>) -> Result<Endpoint<'a>, Problem> {
        let parameters = self.parameters(path, &operation)?;
        let request = request_schema(self.source, &operation)?;
        let request = self.expand(request, "request")?;
        let response = response_schema(self.source, &operation)?;
        let response = self.expand(response, "response")?;
        Ok(Endpoint {
            operation,
            parameters,
            request,
            response,
        })
    }

    /// Reads the parameters of the path and of the operation. The operation's replace the path's.
    fn parameters(
        &mut self,
        path: &Node<'a>,
        operation: &Node<'a>,
    ) -> Result<Vec<Parameter<'a>>, Problem> {
        let mut parameters: Vec<Parameter> = Vec::new();
        for owner in [path, operation] {
            let list = resolve_field(self.source, owner, "parameters")?;
            for node in list.iter().flat_map(Node::items) {
                let node = self.source.follow(node)?;
                let part = format!("parameter \"{}\"", text(node.value, "name"));
                let location = Location::new(&self.label, &part);
                match text(node.value, "in") {
                    "query" | "header" | "cookie" => {}
                    "path" => continue,
                    other => {
                        return Err(Problem::new(format!(
                            "{location} is in \"{other}\", which is not valid in OpenAPI 3.0"
                        )));
                    }
                }
                let content = node.get("content");
                let media = content.as_ref().and_then(|content| content.fields().next());
                let schema = node.get("schema").or_else(|| media?.1.get("schema"));
                let schema = match schema {
                    Some(schema) => self.expander.expand(schema.value, &location)?,
                    None => Schema::from_iter([("type".to_owned(), json!("string"))]),
                };
                let parameter = Parameter { node, schema };
                parameters.retain(|earlier| !earlier.is_same(&parameter));
                parameters.push(parameter);
            }
        }
        Ok(parameters)
    }

    fn expand(&mut self, schema: Option<Node<'a>>, part: &str) -> Result<Option<Schema>, Problem> {
        let location = Location::new(&self.label, part);
        schema
            .map(|schema| self.expander.expand(schema.value, &location))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::contract::{VALUES, operation};

    fn read<'a>(root: &'a Value, name: &str) -> Endpoint<'a> {
        match endpoint(Source::new(root), operation(name), Detail::Generation) {
            Ok(Lookup::Operation(endpoint)) => *endpoint,
            _ => panic!("the operation exists"),
        }
    }

    #[test]
    fn the_parameters_of_an_operation_replace_those_of_its_path() {
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
        let parameters: Vec<_> = endpoint
            .parameters
            .iter()
            .map(|p| {
                (
                    p.name(),
                    p.is_required(),
                    type_of(&p.schema),
                    p.node.pointer.as_str(),
                )
            })
            .collect();
        assert_eq!(
            parameters,
            [
                ("page", false, "integer", "/components/parameters/Page"),
                ("limit", false, "integer", "/x-item/get/parameters/0"),
                ("x-channel", true, "string", "/x-item/get/parameters/1"),
            ]
        );
    }

    fn type_of(schema: &Schema) -> &str {
        schema["type"].as_str().expect("has a type")
    }

    #[test]
    fn a_body_is_json_and_that_of_the_most_precise_status() {
        let content = |kind: &str| {
            json!({"content": {
                "text/html": {"schema": {}},
                "application/json; charset=utf-8": {"schema": {"type": kind}},
            }})
        };
        let root = json!({"paths": {VALUES: {"put": {
            "requestBody": content("array"),
            "responses": {"default": content("string"), "2XX": content("object"), "429": {}, "207": {}},
        }}}});
        let endpoint = read(&root, "upsert_attribute_values");
        let source = Source::new(&root);
        assert_eq!(type_of(&endpoint.request.expect("has a schema")), "array");
        let schema = request_schema(source, &endpoint.operation).expect("resolves");
        assert_eq!(
            schema.expect("has a schema").pointer,
            "/paths/~1customers~1attribute-values/put/requestBody/content/\
             application~1json; charset=utf-8/schema"
        );
        assert_eq!(type_of(&endpoint.response.expect("has a schema")), "object");
        let found = responses(source, &endpoint.operation);
        assert_eq!(found.expect("all resolve").len(), 4);
    }
}
