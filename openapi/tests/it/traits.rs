//! Tests with traits of the provider's published documents, each applied to the vendored document.
//!
//! The generated code stays the same. Where a trait doesn't change the API, comparing the documents
//! finds no difference.

use serde_json::{Value, json};

use crate::support::{
    ATTRIBUTES, CUSTOMERS, OPERATIONS, VALUES, assert_has_our_names, assert_same,
    assert_same_types, differences, each_object, each_parameter, inline, operation, remove,
    vendored,
};

#[track_caller]
fn changes_nothing(change: impl Fn(&mut Value)) {
    let changed = assert_same_code(change);
    assert_no_difference(&changed);
}

/// Returns the changed document, whose code is the same.
#[track_caller]
fn assert_same_code(change: impl Fn(&mut Value)) -> Value {
    let mut changed = vendored();
    change(&mut changed);
    assert_ne!(changed, vendored(), "the trait changes nothing");
    assert_same(&changed, &vendored());
    changed
}

/// For traits that change the constraints on values, which the generated types don't enforce.
#[track_caller]
fn changes_no_types(change: impl Fn(&mut Value)) {
    let mut changed = vendored();
    change(&mut changed);
    assert_ne!(changed, vendored(), "the trait changes nothing");
    assert_same_types(&changed, &vendored());
}

#[track_caller]
fn assert_no_difference(other: &Value) {
    assert_eq!(differences(&vendored(), other), [""; 0]);
    assert_eq!(differences(other, &vendored()), [""; 0]);
}

#[test]
fn operation_ids_can_differ() {
    changes_nothing(|root| {
        operation(root, VALUES, "get")["operationId"] = "CustomerAttributeValues.Read".into();
        operation(root, VALUES, "put")["operationId"] = "CustomerAttributeValues.Read".into();
        remove(operation(root, VALUES, "delete"), "operationId");
        operation(root, ATTRIBUTES, "get")["operationId"] = "upsert_attribute_values".into();
        remove(operation(root, ATTRIBUTES, "post"), "operationId");
        operation(root, ATTRIBUTES, "put")["operationId"] = "CustomersAttributesPut".into();
        operation(root, ATTRIBUTES, "delete")["operationId"] = "CustomersAttributesPut".into();
        operation(root, CUSTOMERS, "get")["operationId"] = "CustomersGet".into();
    });
}

#[test]
fn schema_names_can_differ() {
    changes_nothing(|root| {
        for (name, other) in [
            ("AttributeValueUpsert", "customerAttributValue_PUT"),
            ("AttributeValue", "customer.attribute-value"),
            ("AttributeValuePage", "AttributeValue"),
            ("PageMeta", "_metaCollection"),
            ("Pagination", "PageMeta"),
            ("ErrorBody", "error.Full"),
            ("Attribute", "customerAttribut_Full"),
            ("AttributeCreate", "Attribute"),
            ("AttributePage", "AttributeCreate"),
            ("AttributeUpdate", "customerAttribut_PUT"),
            ("AttributeType", "AttributePage"),
            ("Customer", "customer_Full"),
            ("CustomerPage", "Customer"),
            ("CursorPagination", "CustomerPage"),
        ] {
            rename(root, name, &format!("new {other}"));
        }
        for name in [
            "customerAttributValue_PUT",
            "AttributeValue",
            "PageMeta",
            "Attribute",
            "AttributeCreate",
            "AttributePage",
            "customerAttribut_PUT",
            "customer_Full",
            "Customer",
            "CustomerPage",
        ] {
            rename(root, &format!("new {name}"), name);
        }
    });
}

fn rename(root: &mut Value, name: &str, other: &str) {
    let schemas = &mut root["components"]["schemas"];
    schemas[other] = remove(schemas, name);
    let from = format!("#/components/schemas/{name}");
    each_object(root, &mut |map| {
        if map.get("$ref").is_some_and(|reference| *reference == from) {
            map["$ref"] = format!("#/components/schemas/{other}").into();
        }
    });
}

#[test]
fn schemas_can_be_inline() {
    changes_nothing(|root| {
        inline(root, "#/components/schemas/");
        remove(&mut root["components"], "schemas");
    });
}

#[test]
fn everything_can_be_inline() {
    changes_nothing(|root| {
        inline(root, "#/components/");
        // Security schemes have names, not references.
        let components = root["components"].as_object_mut().expect("is an object");
        components.retain(|kind, _| kind == "securitySchemes");
    });
}

#[test]
fn everything_can_be_a_reference() {
    changes_nothing(|root| {
        let components = &mut root["components"];
        components["requestBodies"] = json!({});
        for (path, method, name) in [
            (VALUES, "put", "Rows"),
            (ATTRIBUTES, "post", "New"),
            (ATTRIBUTES, "put", "Names"),
        ] {
            let body = remove(operation(root, path, method), "requestBody");
            root["components"]["requestBodies"][name] = body;
            let reference = format!("#/components/requestBodies/{name}");
            operation(root, path, method)["requestBody"] = json!({"$ref": reference});
        }

        let value =
            &mut root["components"]["schemas"]["AttributeValueUpsert"]["properties"]["value"];
        let text = std::mem::replace(value, json!({"$ref": "#/components/schemas/Text"}));
        root["components"]["schemas"]["Text"] = text;

        for (path, name) in [
            (VALUES, "valuesItem"),
            (ATTRIBUTES, "attributesItem"),
            (CUSTOMERS, "customersItem"),
        ] {
            let item = remove(&mut root["paths"], path);
            root["components"][name] = item;
            root["paths"][path] = json!({"$ref": format!("#/components/{name}")});
        }
    });
}

#[test]
fn schemas_can_be_composed_by_all_of() {
    changes_no_types(|root| {
        let value = &mut root["components"]["schemas"]["AttributeValue"];
        let ids = json!({
            "type": "object",
            "properties": {
                "id": remove(&mut value["properties"], "id"),
                "customer_id": remove(&mut value["properties"], "customer_id"),
            },
        });
        let whole = json!({"allOf": [{"$ref": "#/components/schemas/Ids"}, value.take()]});
        *value = whole;
        root["components"]["schemas"]["Ids"] = ids;

        let schemas = &mut root["components"]["schemas"];
        let mut attribute = schemas["Attribute"].take();
        for name in ["name", "type"] {
            remove(&mut attribute["properties"], name);
        }
        let base = json!({"$ref": "#/components/schemas/AttributeCreate"});
        schemas["Attribute"] = json!({"allOf": [base, attribute]});
    });
}

#[test]
fn headers_can_be_declared_as_parameters() {
    changes_nothing(|root| {
        let header = |name: &str| {
            let schema = json!({"type": "string", "default": "application/json"});
            json!({"name": name, "in": "header", "required": true, "schema": schema})
        };
        root["components"]["parameters"]["Accept"] = header("Accept");
        for path in [VALUES, ATTRIBUTES, CUSTOMERS] {
            root["paths"][path]["parameters"] = json!([{"$ref": "#/components/parameters/Accept"}]);
        }
        operation(root, VALUES, "put")["parameters"] = json!([header("Content-Type")]);
        operation(root, ATTRIBUTES, "post")["parameters"] = json!([header("Content-Type")]);
        operation_list(operation(root, CUSTOMERS, "get")).push(header("Content-Type"));
        for (path, method) in [(VALUES, "delete"), (ATTRIBUTES, "get")] {
            let parameters = operation_list(operation(root, path, method));
            parameters.extend([header("accept"), header("X-Auth-Token")]);
        }
    });
}

#[test]
fn parameters_can_be_numbers_and_have_constraints() {
    changes_no_types(|root| {
        let parameters = &mut root["components"]["parameters"];
        parameters["Limit"]["schema"] = json!({"type": "number", "default": 50, "maximum": 250});
        parameters["Page"]["schema"] = json!({"type": "integer", "minimum": 1});
        parameters["Name"]["schema"] = json!({"type": "string", "maxLength": 50, "pattern": "^a"});
        parameters["DateCreated"]["schema"] = json!({"type": "string", "format": "date"});
        parameters["DateModifiedMin"]["schema"] =
            json!({"oneOf": [{"type": "string", "format": "date"}, {"type": "string"}]});
        parameters["AttributeType"]["schema"] = json!({"type": "string", "enum": ["string"]});
        parameters["AttributeNameLike"]["schema"] =
            json!({"type": "array", "items": {"type": "string"}});
    });
}

#[test]
fn lists_can_be_declared_as_exploded_or_not() {
    for explode in [Some(true), Some(false), None] {
        let list = move |root: &mut Value| {
            root["x-explode"] = explode.into();
            each_parameter(root, &mut |parameter| {
                parameter.remove("explode");
                parameter.remove("style");
                if let Some(explode) = explode {
                    parameter.insert("explode".to_owned(), explode.into());
                }
            });
        };
        changes_no_types(list);
    }
}

#[test]
fn paths_can_have_the_prefix() {
    changes_nothing(|root| {
        root["servers"] = json!([{"url": "https://api.bigcommerce.com"}]);
        for path in [VALUES, ATTRIBUTES, CUSTOMERS] {
            prefix(root, path);
        }
    });
    // For one path alone, too.
    for path in [VALUES, ATTRIBUTES, CUSTOMERS] {
        changes_nothing(|root| {
            prefix(root, path);
            for (_, item) in root["paths"].as_object_mut().expect("is an object") {
                if item.get("parameters").is_some() {
                    item["servers"] = json!([{"url": "https://api.bigcommerce.com/"}]);
                }
            }
        });
    }
}

fn prefix(root: &mut Value, path: &str) {
    let mut item = remove(&mut root["paths"], path);
    let store = json!({"name": "store", "in": "path", "required": true, "schema": {}});
    item["parameters"] = json!([store]);
    operation_list(&mut item["get"]).push(store);
    root["paths"][format!("/stores/{{store}}/v3{path}/")] = item;
}

fn operation_list(operation: &mut Value) -> &mut Vec<Value> {
    operation["parameters"].as_array_mut().expect("is a list")
}

#[test]
fn unrelated_paths_are_ignored() {
    let changed = assert_same_code(|root| {
        // 3 MB in total.
        let long = "Not ours. ".repeat(750);
        for index in 0..400 {
            let path = format!("/customers/other-{index}");
            let schema = format!("Other{index}");
            let content = json!({"application/json": {"schema": {
                "$ref": format!("#/components/schemas/{schema}"),
            }}});
            root["paths"][path] = json!({
                "get": {
                    "operationId": "list_attribute_values",
                    "description": long,
                    "parameters": [{"name": "page", "in": "query", "required": true}],
                    "responses": {"200": {"content": content}, "404": {"$ref": "#/dangling"}},
                },
            });
            root["components"]["schemas"][schema] = json!({
                "type": "object",
                "properties": {"self": {"$ref": "#/components/schemas/Other0"}},
            });
        }
    });
    let found = differences(&vendored(), &changed);
    assert_eq!(found.len(), 400);
    for line in found {
        let is_ignored = line.starts_with("ignored: /customers/other-");
        assert!(
            is_ignored && line.ends_with(": is new, and the SDK doesn't bind it"),
            "{line}"
        );
    }
}

#[test]
fn other_methods_on_our_paths_are_ignored() {
    let changed = assert_same_code(|root| {
        let responses = json!({"200": {"$ref": "#/components/responses/AttributePage"}});
        let body = json!({"$ref": "#/dangling"});
        root["paths"][ATTRIBUTES]["patch"] = json!({
            "operationId": "create_attributes",
            "requestBody": body,
            "responses": responses,
        });
        root["paths"][VALUES]["post"] = json!({"requestBody": body, "responses": responses});
        root["paths"][CUSTOMERS]["put"] = json!({"requestBody": body, "responses": responses});
    });
    let expected = [
        "ignored: PUT /customers: is new, and the SDK doesn't bind it",
        "ignored: POST /customers/attribute-values: is new, and the SDK doesn't bind it",
        "ignored: PATCH /customers/attributes: is new, and the SDK doesn't bind it",
    ];
    assert_eq!(differences(&vendored(), &changed), expected);
    let gone = expected.map(|line| line.replace("is new", "is missing"));
    assert_eq!(differences(&changed, &vendored()), gone);
}

#[test]
fn an_empty_version_and_extensions_are_ignored() {
    changes_nothing(|root| {
        root["info"]["version"] = "".into();
        root["info"]["description"] = "Another.".into();
        each_object(root, &mut |map| {
            // In a map whose keys are names, an extension would be a name.
            if ["type", "in", "$ref", "responses", "content", "paths"]
                .iter()
                .any(|key| {
                    map.get(*key)
                        .is_some_and(|v| !v.is_object() || *key == "paths")
                })
            {
                map.insert("x-internal".to_owned(), true.into());
                map.insert("x-examples".to_owned(), json!({"one": {"value": []}}));
            }
        });
        for (path, method) in OPERATIONS {
            operation(root, path, method)["x-rate"] = 3.into();
        }
    });
}

#[test]
fn integers_can_have_any_format_and_strings_a_minimum_length_of_0() {
    for format in [Some("int32"), None] {
        changes_no_types(|root| {
            each_object(root, &mut |map| {
                if map.get("type").is_some_and(|kind| kind == "integer") {
                    map.remove("format");
                    map.extend(format.map(|format| ("format".to_owned(), format.into())));
                    map.insert("minimum".to_owned(), 1.into());
                }
                if map.get("type").is_some_and(|kind| kind == "string") {
                    map.insert("minLength".to_owned(), 0.into());
                    map.remove("title");
                }
            });
        });
    }
}

#[test]
fn constraints_on_responses_do_not_change_their_types() {
    changes_no_types(|root| {
        let schemas = &mut root["components"]["schemas"];
        let value = &mut schemas["AttributeValue"];
        value["required"] = json!(["id", "date_created"]);
        value["additionalProperties"] = false.into();
        value["properties"]["attribute_value"]["maxLength"] = 100.into();
        value["properties"]["attribute_value"]["pattern"] = "^[a-z]+$".into();
        value["properties"]["customer_id"]["nullable"] = true.into();
        value["properties"]["date_created"]["format"] = "date".into();
        schemas["AttributeValuePage"]["required"] = json!(["data", "meta"]);
        let attribute = &mut schemas["Attribute"];
        attribute["required"] = json!(["id", "name", "type", "date_modified"]);
        attribute["additionalProperties"] = false.into();
        attribute["properties"]["name"]["maxLength"] = 50.into();
        attribute["properties"]["name"]["nullable"] = true.into();
        attribute["properties"]["type"] = json!({"$ref": "#/components/schemas/AttributeType"});
        schemas["AttributePage"]["required"] = json!(["meta"]);
        let customer = &mut schemas["Customer"];
        customer["required"] = json!(["email", "first_name", "last_name"]);
        customer["properties"]["email"]["maxLength"] = 255.into();
        customer["properties"]["email"]["format"] = "email".into();
        customer["properties"]["id"]["readOnly"] = true.into();
        customer["properties"]["company"]["nullable"] = true.into();
        customer["properties"]["registration_ip_address"]["anyOf"] =
            json!([{"format": "ipv4"}, {"format": "ipv6"}]);
        let links = &mut schemas["PageLinks"]["properties"];
        links["next"]["format"] = "uri".into();
        links["current"]["enum"] = json!(["a", "A"]);
        links["previous"]["default"] = "".into();
    });
}

#[test]
fn optional_response_fields_can_be_undeclared() {
    changes_no_types(|root| {
        let schemas = &mut root["components"]["schemas"];
        for name in ["id", "date_modified"] {
            remove(&mut schemas["AttributeValue"]["properties"], name);
        }
        for name in ["date_created", "date_modified"] {
            remove(&mut schemas["Attribute"]["properties"], name);
        }
        for page in ["AttributeValuePage", "AttributePage", "CustomerPage"] {
            remove(&mut schemas[page]["properties"], "meta");
        }
        let customer = schemas["Customer"]["properties"].as_object_mut();
        customer
            .expect("is an object")
            .retain(|name, _| name == "id" || name == "email");
    });
    // Only one path's pages declare `meta`.
    changes_no_types(|root| {
        let schemas = &mut root["components"]["schemas"];
        remove(&mut schemas["AttributeValuePage"]["properties"], "meta");
    });
}

#[test]
fn sub_resources_of_customers_are_left_out() {
    changes_no_types(|root| {
        let schemas = &mut root["components"]["schemas"];
        schemas["Address"] = json!({"type": "object", "properties": {
            "city": {"type": "string"},
            "customer": {"$ref": "#/components/schemas/Customer"},
        }});
        let address = json!({"$ref": "#/components/schemas/Address"});
        let field = json!({"type": "object", "properties": {"name": {"type": "string"}}});
        let new = json!({
            "addresses": {"type": "array", "items": address},
            "default_address": address,
            "attributes": {"type": "array", "items": {"properties": {"id": {}}}},
            "form_fields": {"oneOf": [{"type": "array", "items": field}, field]},
            "store_credit_amounts": {"items": {"type": "number"}},
            "authentication": {"allOf": [field, {"description": "Never sent."}]},
            "segment_ids": {"type": "array", "items": {"type": "string", "format": "uuid"}},
        });
        let fields = schemas["Customer"]["properties"].as_object_mut();
        let new = new.as_object().cloned().expect("is an object");
        fields.expect("is an object").extend(new);
    });
}

#[test]
fn channels_can_have_any_type() {
    let list = |items: Value| json!({"type": "array", "items": items});
    for channels in [
        list(json!({"type": "number"})),
        list(json!({"type": "integer", "format": "int32", "minimum": 1})),
        list(json!({"type": "string"})),
        list(json!({"type": "object", "properties": {"id": {"type": "integer"}}})),
        json!({"type": "array"}),
        json!({"type": "array", "nullable": true, "maxItems": 9, "uniqueItems": true}),
        json!({"type": "object", "properties": {"ids": list(json!({}))}}),
        json!({"oneOf": [list(json!({"type": "integer"})), {"type": "string"}]}),
        json!({"type": "string"}),
        json!({"$ref": "#/components/schemas/Channels"}),
        json!({}),
    ] {
        changes_no_types(|root| {
            let schemas = &mut root["components"]["schemas"];
            schemas["Channels"] = list(json!({"type": "number"}));
            schemas["Customer"]["properties"]["channel_ids"] = channels.clone();
        });
    }
}

#[test]
fn cursors_can_be_undeclared_or_have_another_type() {
    let without_parameters = |root: &mut Value| {
        operation_list(operation(root, CUSTOMERS, "get")).retain(|parameter| {
            let reference = parameter["$ref"].as_str().unwrap_or_default();
            !reference.ends_with("/After") && !reference.ends_with("/Before")
        });
    };
    changes_no_types(|root| {
        without_parameters(root);
        let meta = &mut root["components"]["schemas"]["PageMeta"]["properties"];
        remove(meta, "cursor_pagination");
    });
    changes_no_types(|root| operation(root, CUSTOMERS, "get")["parameters"] = json!([]));
    changes_no_types(|root| remove_parameters(operation(root, CUSTOMERS, "get")));
    for cursors in [
        json!({"type": "string"}),
        json!({"type": "array", "items": {"type": "string"}}),
        json!({"type": "object"}),
        json!({"type": "object", "properties": {"end_cursor": {"type": "integer"}}}),
        json!({"properties": {"start_cursor": {"oneOf": [{"type": "string"}, {}]}}}),
    ] {
        changes_no_types(|root| {
            let meta = &mut root["components"]["schemas"]["PageMeta"]["properties"];
            meta["cursor_pagination"] = cursors.clone();
        });
    }
}

fn remove_parameters(operation: &mut Value) {
    remove(operation, "parameters");
}

#[test]
fn text_lists_can_be_declared_as_text() {
    changes_no_types(|root| {
        let parameters = &mut root["components"]["parameters"];
        parameters["EmailIn"]["schema"] = json!({"type": "string"});
        parameters["CustomerGroupIdIn"]["schema"] = json!({"type": "string"});
    });
}

#[test]
fn additions_to_customers_leave_our_names_as_they_are() {
    let mut root = vendored();
    operation_list(operation(&mut root, CUSTOMERS, "get")).extend([
        json!({"name": "include", "in": "query", "schema": {"type": "array", "items": {
            "type": "string", "enum": ["addresses", "attributes"],
        }}}),
        json!({"name": "name:in", "in": "query", "schema": {"type": "array"}}),
    ]);
    let schemas = &mut root["components"]["schemas"];
    schemas["Customer"]["properties"]["shopper_profile_id"] =
        json!({"type": "string", "format": "uuid", "nullable": true});
    schemas["CursorPagination"]["properties"]["links"] =
        json!({"type": "object", "properties": {"next": {"type": "string"}}});
    assert_has_our_names(&root);
}

#[test]
fn attribute_types_can_be_in_any_order_or_undeclared() {
    for schema in [
        json!({"type": "string", "enum": ["date", "string", "number"]}),
        json!({"type": "string", "enum": ["date", "string", "number", null], "nullable": true}),
        json!({"type": "string", "minLength": 4, "maxLength": 6, "pattern": "^[a-z]+$"}),
        json!({"type": "string", "format": "uuid", "default": "string"}),
        json!({"oneOf": [{"type": "string", "enum": ["string", "number", "date"]}]}),
    ] {
        changes_no_types(|root| {
            root["components"]["schemas"]["AttributeType"] = schema.clone();
        });
    }
}

#[test]
fn success_can_have_another_status() {
    changes_no_types(|root| {
        let responses = &mut operation(root, VALUES, "get")["responses"];
        responses["2XX"] = remove(responses, "200");
        let responses = &mut operation(root, ATTRIBUTES, "post")["responses"];
        responses["201"] = remove(responses, "200");
        let responses = &mut operation(root, VALUES, "put")["responses"];
        responses["201"] = remove(responses, "200");
        responses["404"] = json!({"description": "", "content": {"text/html": {}}});
        let text = json!({"application/json": {"schema": {"type": "string"}}});
        responses["default"] = json!({"description": "", "content": text});
        operation(root, VALUES, "delete")["responses"] = json!({"200": {"description": ""}});
        let responses = &mut operation(root, CUSTOMERS, "get")["responses"];
        responses["default"] = remove(responses, "200");
    });
}

#[test]
fn order_does_not_matter() {
    let mut root = vendored();
    for (path, method) in [
        (VALUES, "get"),
        (VALUES, "delete"),
        (ATTRIBUTES, "get"),
        (CUSTOMERS, "get"),
    ] {
        operation_list(operation(&mut root, path, method)).reverse();
    }
    each_object(&mut root, &mut |map| {
        for key in ["required", "enum"] {
            if let Some(Value::Array(names)) = map.get_mut(key) {
                names.reverse();
            }
        }
    });
    let reversed = backwards(&root);
    let root: Value = serde_json::from_str(&reversed).expect("is JSON");
    assert_same(&root, &vendored());
    assert_no_difference(&root);

    let prepare = |text: &str| {
        let document = bigcommerce_openapi::Document::parse("backwards.json", text);
        let prepared = document.and_then(bigcommerce_openapi::Document::prepare);
        prepared.expect("can be prepared").document().to_string()
    };
    assert_eq!(prepare(&reversed), prepare(&vendored().to_string()));
}

/// Writes the JSON with the keys of each object in reverse order.
fn backwards(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entries: Vec<_> = map
                .iter()
                .rev()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), backwards(value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(backwards).collect();
            format!("[{}]", items.join(","))
        }
        other => other.to_string(),
    }
}
