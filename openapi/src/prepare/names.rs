use heck::{ToPascalCase, ToSnakeCase};
use serde_json::{Map, Value, json};

use super::endpoint::{answer_mut, operation_mut, parameters, request_mut};
use crate::bound::{OPERATIONS, Operation, RECORDS, Row};
use crate::error::Problem;
use crate::read::{Spot, text};

/// The component for lists in the query, which the SDK has a type of its own for.
pub(crate) const ID_LIST: &str = "IdList";

const ERROR_BODY: &str = "ErrorBody";
const PAGE_META: &str = "PageMeta";

/// What a role is called that all pages share: the schema that a property of another one holds.
const ROLES: [(&str, &str, &str); 2] = [
    (PAGE_META, "pagination", "Pagination"),
    ("Pagination", "links", "PageLinks"),
];

/// What the schema that a property holds is called, or a list of which, if it has a role.
fn role(owner: &str, property: &str) -> Option<&'static str> {
    let of_pages = || {
        let record = RECORDS.into_iter().find(|record| record.page == owner)?;
        match property {
            "data" => Some(record.name),
            "meta" => Some(PAGE_META),
            _ => None,
        }
    };
    let of_rows = || {
        let row = rows().find(|row| row.name == owner)?;
        let choice = row.choices.iter().find(|choice| choice.field == property)?;
        Some(choice.name)
    };
    let shared = ROLES
        .iter()
        .find(|(of, field, _)| *of == owner && *field == property)
        .map(|(.., role)| *role);
    shared.or_else(of_pages).or_else(of_rows)
}

fn rows() -> impl Iterator<Item = &'static Row> {
    OPERATIONS.iter().filter_map(|operation| operation.sends)
}

/// Whether a name belongs to a schema that has a role.
fn is_role(name: &str) -> bool {
    [ID_LIST, ERROR_BODY, PAGE_META].contains(&name)
        || ROLES.iter().any(|(.., role)| *role == name)
        || RECORDS.iter().any(|r| r.name == name || r.page == name)
        || rows().any(|row| row.name == name || row.choices.iter().any(|c| c.name == name))
}

/// What the generated code calls things in an operation's builder, where parameters are called
/// something too.
const RESERVED: [&str; 7] = [
    "body",
    "client",
    "header_map",
    "info",
    "into_inner",
    "new",
    "send",
];

/// Names operations by their path and method and schemas by their role or place, and moves each
/// schema that becomes a Rust type to the components: the provider renames both, and a user's code
/// names them.
pub(super) fn name_canonically(root: &mut Value) -> Result<(), Problem> {
    let mut components = Components(Map::new());
    for operation in &OPERATIONS {
        let page = operation.returns.map(|record| record.page);
        let pages = operation
            .success
            .iter()
            .copied()
            .zip(page.into_iter().cycle());
        for (status, role) in pages.chain([("4XX", ERROR_BODY), ("5XX", ERROR_BODY)]) {
            if let Some(schema) = answer_mut(root, operation, status) {
                let spot = Spot::new(&operation.label(), "answer");
                components.add_role(schema, role, &spot)?;
            }
        }
        if let (Some(row), Some(request)) = (operation.sends, request_mut(root, operation))
            && let Some(items) = request.get_mut("items")
        {
            let spot = Spot::new(&operation.label(), "request");
            components.add_role(items, row.name, &spot)?;
        }
        if let Some(bound) = operation_mut(root, operation) {
            bound["operationId"] = operation.name.into();
        }
        check_parameter_names(root, operation)?;
    }
    if let Some(schemas) = root["components"]["schemas"].as_object_mut() {
        schemas.extend(components.0);
    }
    Ok(())
}

struct Components(Map<String, Value>);

impl Components {
    /// Moves a schema to the components and leaves a reference to it. Schemas of the same role are
    /// the same by now.
    fn add_role(&mut self, schema: &mut Value, role: &str, spot: &Spot) -> Result<(), Problem> {
        if !self.0.contains_key(role) {
            self.add(schema.take(), role, spot)?;
        }
        *schema = refer(role);
        Ok(())
    }

    /// Moves a schema to the components, and those of its properties that need it.
    fn add(&mut self, mut schema: Value, name: &str, spot: &Spot) -> Result<(), Problem> {
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            check_field_names(properties, spot)?;
            for (property, schema) in properties.iter_mut() {
                let nested = match role(name, property) {
                    Some(role) => Name::Role(role),
                    None => Name::Place(format!("{name}_{property}")),
                };
                self.nest(schema, nested, &spot.field(property))?;
            }
        }
        self.0.insert(name.to_owned(), schema);
        Ok(())
    }

    fn nest(&mut self, schema: &mut Value, name: Name, spot: &Spot) -> Result<(), Problem> {
        if text(schema, "type") == "array" {
            let items = &mut schema["items"];
            self.nest(items, name.item(), &spot.item())?;
            // A list item has no description apart from its type's.
            if let Some(reference) = items.pointer_mut("/allOf/0") {
                *items = reference.take();
            }
            return Ok(());
        }
        let is_type = ["properties", "enum", "minLength", "maxLength"]
            .into_iter()
            .any(|key| schema.get(key).is_some());
        if !is_type {
            return Ok(());
        }
        let name = match name {
            Name::Role(role) => role.to_owned(),
            Name::Place(place) => self.free_name(&place),
        };
        let mut component = schema.take();
        *schema = refer_from(&mut component, &name);
        // Of a role's schemas the first is as good as any; places have names that are free.
        if self.0.contains_key(&name) {
            return Ok(());
        }
        self.add(component, &name, spot)
    }

    /// A name that is still free, and that the generator takes as it is.
    fn free_name(&self, wanted: &str) -> String {
        let ascii = wanted.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        // The first turn can bring capitals together, of which the second makes a word.
        let mut name = ascii.to_pascal_case().to_pascal_case();
        while is_role(&name) || self.0.contains_key(&name) {
            name.push_str("Field");
        }
        name
    }
}

enum Name {
    Role(&'static str),
    Place(String),
}

impl Name {
    fn item(self) -> Self {
        match self {
            Self::Place(place) => Self::Place(place + "_item"),
            role => role,
        }
    }
}

fn refer(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A reference, with what is said of the place and not of the type: a `$ref` has no neighbours.
fn refer_from(component: &mut Value, name: &str) -> Value {
    let description = component.get("description").cloned();
    let nullable = component.as_object_mut().and_then(|c| c.remove("nullable"));
    let beside = [("description", description), ("nullable", nullable)];
    let mut place: Map<_, _> = beside
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect();
    if place.is_empty() {
        return refer(name);
    }
    place.insert("allOf".to_owned(), json!([refer(name)]));
    place.into()
}

fn check_field_names(properties: &Map<String, Value>, owner: &Spot) -> Result<(), Problem> {
    match clash(properties.keys().map(String::as_str), &[]) {
        Some(name) => Err(Problem::new(format!(
            "{} can't have a name of its own in Rust",
            owner.field(name)
        ))),
        None => Ok(()),
    }
}

fn check_parameter_names(root: &Value, operation: &Operation) -> Result<(), Problem> {
    let names = parameters(root, operation).iter().map(|p| text(p, "name"));
    match clash(names, &RESERVED) {
        Some(name) => Err(Problem::new(format!(
            "{}: parameter \"{name}\" can't have a name of its own in Rust",
            operation.label()
        ))),
        None => Ok(()),
    }
}

/// The first name that in Rust is the same as one before it, or as a reserved one.
fn clash<'a>(names: impl Iterator<Item = &'a str>, reserved: &[&str]) -> Option<&'a str> {
    let mut seen: Vec<String> = reserved.iter().map(ToString::to_string).collect();
    for name in names {
        let rust = name
            .replace(|c: char| !c.is_alphanumeric(), "-")
            .to_snake_case();
        if rust.is_empty() || seen.contains(&rust) {
            return Some(name);
        }
        seen.push(rust);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot() -> Spot {
        Spot::new("PUT /x", "request")
    }

    fn components(upsert: Value) -> Result<Map<String, Value>, String> {
        let mut components = Components(Map::new());
        let mut schema = upsert;
        components
            .add_role(&mut schema, "AttributeValueUpsert", &spot())
            .map_err(|problem| problem.to_string())?;
        assert_eq!(schema, refer("AttributeValueUpsert"));
        Ok(components.0)
    }

    #[test]
    fn nested_schemas_are_named_by_their_place() {
        let text = json!({"type": "string", "maxLength": 255, "description": "Text."});
        let components = components(json!({"type": "object", "properties": {
            "value": text,
            "note": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string", "enum": ["a"]}},
            "owner": {"nullable": true, "properties": {"kind": {"type": "string", "enum": ["b"]}}},
        }}))
        .expect("all can be named");
        assert_eq!(
            components["AttributeValueUpsert"]["properties"],
            json!({
                "value": {
                    "description": "Text.",
                    "allOf": [refer("AttributeValueUpsertValue")],
                },
                "note": {"type": "string"},
                "tags": {"type": "array", "items": refer("AttributeValueUpsertTagsItem")},
                "owner": {"nullable": true, "allOf": [refer("AttributeValueUpsertOwner")]},
            })
        );
        assert_eq!(components["AttributeValueUpsertValue"], text);
        assert_eq!(
            components["AttributeValueUpsertOwner"],
            json!({"properties": {"kind": refer("AttributeValueUpsertOwnerKind")}})
        );
        assert_eq!(components.len(), 5);
    }

    #[test]
    fn roles_are_named_wherever_they_are() {
        let links = json!({"properties": {"next": {}}});
        let pagination = json!({"properties": {"links": links}});
        let meta = json!({"properties": {"pagination": pagination}});
        let data = json!({"items": {"properties": {"id": {}}}, "type": "array"});
        let mut page = json!({"properties": {"data": data, "meta": meta}});
        let mut components = Components(Map::new());
        components
            .add_role(&mut page, "AttributeValuePage", &spot())
            .expect("all have names");
        let names: Vec<_> = components.0.keys().map(String::as_str).collect();
        for role in [
            "AttributeValue",
            "AttributeValuePage",
            "PageLinks",
            "PageMeta",
            "Pagination",
        ] {
            assert!(names.contains(&role), "{role}");
        }
    }

    #[test]
    fn what_all_pages_share_is_named_once() {
        let cursor = json!({"properties": {"after": {}}});
        let meta = json!({"properties": {"cursor": cursor}});
        let data = json!({"items": {"properties": {"id": {}}}, "type": "array"});
        let page = json!({"properties": {"data": data, "meta": meta}});
        let mut components = Components(Map::new());
        for role in ["AttributeValuePage", "AttributePage"] {
            components
                .add_role(&mut page.clone(), role, &spot())
                .expect("all have names");
        }
        let names: Vec<_> = components.0.keys().map(String::as_str).collect();
        for name in ["AttributeValue", "Attribute", "PageMeta", "PageMetaCursor"] {
            assert!(names.contains(&name), "{name}");
        }
        assert_eq!(names.len(), 6);
        for page in ["AttributeValuePage", "AttributePage"] {
            let meta = &components.0[page]["properties"]["meta"];
            assert_eq!(meta, &refer("PageMeta"));
        }
    }

    #[test]
    fn a_choice_has_a_name_of_its_own_that_nothing_else_takes() {
        let choice = json!({"type": "string", "enum": ["string"]});
        let mut create = json!({"properties": {"type": choice, "name": {"type": "string"}}});
        let mut components = Components(Map::new());
        components
            .add_role(&mut create, "AttributeCreate", &spot())
            .expect("all have names");
        assert_eq!(components.0["AttributeType"], choice);
        let kind = &components.0["AttributeCreate"]["properties"]["type"];
        assert_eq!(kind, &refer("AttributeType"));
        for name in ["Attribute_type", "Attribute_value", "Attribute_create"] {
            assert!(components.free_name(name).ends_with("Field"), "{name}");
        }
    }

    #[test]
    fn a_name_is_used_once_and_is_one_for_the_generator_too() {
        let object = json!({"properties": {"x": {}}});
        let mut components = Components(Map::from_iter([("AttributeValue".to_owned(), object)]));
        assert_eq!(
            components.free_name("AttributeValue_page"),
            "AttributeValuePageField"
        );
        assert_eq!(components.free_name("A_b_cD\u{e9}"), "Abcd");
        components
            .0
            .insert("AttributeValueA".to_owned(), Value::Null);
        assert_eq!(
            components.free_name("AttributeValue_a"),
            "AttributeValueAField"
        );
    }

    #[test]
    fn names_that_are_one_in_rust_are_refused() {
        let fields = json!({"properties": {"a_b": {}, "aB": {}}});
        let problem = components(fields).expect_err("is refused");
        assert!(
            problem.starts_with("PUT /x: request field \"a"),
            "{problem}"
        );
        assert_eq!(clash(["id:in", "id-in"].into_iter(), &[]), Some("id-in"));
        assert_eq!(clash(["page", "send"].into_iter(), &RESERVED), Some("send"));
    }
}
