use heck::{ToPascalCase, ToSnakeCase};
use serde_json::{Value, json};

use super::accessors::{operation_mut, parameters, parameters_mut, request_mut, response_mut};
use crate::contract::{LISTS, OPERATIONS, Operation, RECORDS, Row};
use crate::error::Problem;
use crate::read::Location;
use crate::schema::{Schema, text};

const ERROR_BODY: &str = "ErrorBody";
const PAGE_META: &str = "PageMeta";

/// Roles that all pages share: the owner's name, its property, and the name of the property's type.
const ROLES: [(&str, &str, &str); 3] = [
    (PAGE_META, "pagination", "Pagination"),
    (PAGE_META, "cursor_pagination", "CursorPagination"),
    ("Pagination", "links", "PageLinks"),
];

/// Returns the fixed name for a property's type or, in a list, for its items' type.
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
        let known = row.enums.iter().find(|known| known.field == property)?;
        Some(known.name)
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

/// Returns `true` if a role has this name.
fn is_role(name: &str) -> bool {
    LISTS.contains(&name)
        || [ERROR_BODY, PAGE_META].contains(&name)
        || ROLES.iter().any(|(.., role)| *role == name)
        || RECORDS.iter().any(|r| r.name == name || r.page == name)
        || rows().any(|row| row.name == name || row.enums.iter().any(|e| e.name == name))
}

/// Names that the generated builders use themselves, so that no parameter can have them.
const RESERVED: [&str; 7] = [
    "body",
    "client",
    "header_map",
    "info",
    "into_inner",
    "new",
    "send",
];

/// Names operations by path and method, and schemas by role or place. The place of a parameter's enum
/// is its operation and its name.
///
/// The provider renames both, while user code depends on the names. Each schema that becomes a Rust
/// type moves to the components.
pub(super) fn name_canonically(root: &mut Value) -> Result<(), Problem> {
    let mut components = Components(Schema::new());
    for operation in &OPERATIONS {
        let page = operation.returns.map(|record| record.page);
        let pages = operation
            .success
            .iter()
            .copied()
            .zip(page.into_iter().cycle());
        for (status, role) in pages.chain([("4XX", ERROR_BODY), ("5XX", ERROR_BODY)]) {
            if let Some(schema) = response_mut(root, operation, status) {
                let location = Location::new(&operation.label(), "response");
                components.add_role(schema, role, &location)?;
            }
        }
        if let (Some(row), Some(request)) = (operation.sends, request_mut(root, operation))
            && let Some(items) = request.get_mut("items")
        {
            let location = Location::new(&operation.label(), "request");
            components.add_role(items, row.name, &location)?;
        }
        if let Some(own) = operation_mut(root, operation) {
            own["operationId"] = operation.name.into();
        }
        check_parameter_names(root, operation)?;
    }
    // After all others: a parameter's enum must not take the name that a schema has without it.
    for operation in &OPERATIONS {
        for parameter in parameters_mut(root, operation).into_iter().flatten() {
            let name = text(parameter, "name").to_owned();
            let location = Location::new(&operation.label(), &name);
            if let Some(schema) = parameter.get_mut("schema") {
                let place = Name::Place(format!("{}_{name}", operation.name));
                components.nest(schema, place, &location)?;
            }
        }
    }
    if let Some(schemas) = root["components"]["schemas"].as_object_mut() {
        schemas.extend(components.0);
    }
    Ok(())
}

struct Components(Schema);

impl Components {
    /// Moves a schema to the components and leaves a reference to it. By now, all schemas of a role
    /// are equal.
    fn add_role(
        &mut self,
        schema: &mut Value,
        role: &str,
        location: &Location,
    ) -> Result<(), Problem> {
        if !self.0.contains_key(role) {
            self.add(schema.take(), role, location)?;
        }
        *schema = refer(role);
        Ok(())
    }

    /// Moves a schema to the components, and the schemas of its properties that become types.
    fn add(&mut self, mut schema: Value, name: &str, location: &Location) -> Result<(), Problem> {
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            check_field_names(properties, location)?;
            for (property, schema) in properties.iter_mut() {
                let nested = match role(name, property) {
                    Some(role) => Name::Role(role),
                    None => Name::Place(format!("{name}_{property}")),
                };
                self.nest(schema, nested, &location.field(property))?;
            }
        }
        self.0.insert(name.to_owned(), schema);
        Ok(())
    }

    fn nest(&mut self, schema: &mut Value, name: Name, location: &Location) -> Result<(), Problem> {
        if text(schema, "type") == "array" {
            let items = &mut schema["items"];
            self.nest(items, name.item(), &location.item())?;
            // A list's items have no description besides that of their type.
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
        // All schemas of a role are equal, and names of places are unique.
        if self.0.contains_key(&name) {
            return Ok(());
        }
        self.add(component, &name, location)
    }

    /// Returns a name that is unused and that the generator doesn't change.
    fn free_name(&self, wanted: &str) -> String {
        let ascii = wanted.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        // The first conversion can leave adjacent capitals, which the second makes one word.
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

/// Returns a reference, with the property's own description and `nullable` in an `allOf`, because
/// keywords beside a `$ref` are ignored.
fn refer_from(component: &mut Value, name: &str) -> Value {
    let description = component.get("description").cloned();
    let nullable = component.as_object_mut().and_then(|c| c.remove("nullable"));
    let beside = [("description", description), ("nullable", nullable)];
    let mut place: Schema = beside
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect();
    if place.is_empty() {
        return refer(name);
    }
    place.insert("allOf".to_owned(), json!([refer(name)]));
    place.into()
}

fn check_field_names(properties: &Schema, owner: &Location) -> Result<(), Problem> {
    match clash(properties.keys().map(String::as_str), &[]) {
        Some(name) => Err(Problem::new(format!(
            "{} can't have a unique name in Rust",
            owner.field(name)
        ))),
        None => Ok(()),
    }
}

fn check_parameter_names(root: &Value, operation: &Operation) -> Result<(), Problem> {
    let names = parameters(root, operation).iter().map(|p| text(p, "name"));
    match clash(names, &RESERVED) {
        Some(name) => Err(Problem::new(format!(
            "{}: parameter \"{name}\" can't have a unique name in Rust",
            operation.label()
        ))),
        None => Ok(()),
    }
}

/// Returns the first name that is empty, repeated or reserved in Rust.
fn clash<'a>(names: impl Iterator<Item = &'a str>, reserved: &[&str]) -> Option<&'a str> {
    let mut used: Vec<String> = reserved.iter().map(ToString::to_string).collect();
    for name in names {
        let rust = name
            .replace(|c: char| !c.is_alphanumeric(), "-")
            .to_snake_case();
        if rust.is_empty() || used.contains(&rust) {
            return Some(name);
        }
        used.push(rust);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location() -> Location {
        Location::new("PUT /x", "request")
    }

    fn components(upsert: Value) -> Result<Schema, String> {
        let mut components = Components(Schema::new());
        let mut schema = upsert;
        components
            .add_role(&mut schema, "AttributeValueUpsert", &location())
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
        let mut components = Components(Schema::new());
        components
            .add_role(&mut page, "AttributeValuePage", &location())
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
    fn a_schema_that_all_pages_share_is_named_once() {
        let cursor = json!({"properties": {"after": {}}});
        let meta = json!({"properties": {"cursor": cursor}});
        let data = json!({"items": {"properties": {"id": {}}}, "type": "array"});
        let page = json!({"properties": {"data": data, "meta": meta}});
        let mut components = Components(Schema::new());
        for role in ["AttributeValuePage", "AttributePage"] {
            components
                .add_role(&mut page.clone(), role, &location())
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
    fn an_enum_has_a_reserved_name() {
        let values = json!({"type": "string", "enum": ["string"]});
        let mut create = json!({"properties": {"type": values, "name": {"type": "string"}}});
        let mut components = Components(Schema::new());
        components
            .add_role(&mut create, "AttributeCreate", &location())
            .expect("all have names");
        assert_eq!(components.0["AttributeType"], values);
        let kind = &components.0["AttributeCreate"]["properties"]["type"];
        assert_eq!(kind, &refer("AttributeType"));
        for name in ["Attribute_type", "Attribute_value", "Attribute_create"] {
            assert!(components.free_name(name).ends_with("Field"), "{name}");
        }
    }

    #[test]
    fn a_free_name_is_unique_and_stays_the_same_in_the_generator() {
        let object = json!({"properties": {"x": {}}});
        let mut components = Components(Schema::from_iter([("AttributeValue".to_owned(), object)]));
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
    fn names_that_are_the_same_in_rust_are_rejected() {
        let fields = json!({"properties": {"a_b": {}, "aB": {}}});
        let problem = components(fields).expect_err("is rejected");
        assert!(
            problem.starts_with("PUT /x: request field \"a"),
            "{problem}"
        );
        assert_eq!(clash(["id:in", "id-in"].into_iter(), &[]), Some("id-in"));
        assert_eq!(clash(["page", "send"].into_iter(), &RESERVED), Some("send"));
    }
}
