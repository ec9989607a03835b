//! Parameters that the SDK doesn't bind: those with an enum get a type of their own.

use serde_json::{Value, json};

use crate::support::{
    CUSTOMERS, VALUES, assert_has_our_names, assert_same, code, operation, prepare, public_names,
    vendored,
};

fn view(values: &[&str]) -> Value {
    json!({"name": "view", "in": "query", "schema": {"type": "string", "enum": values}})
}

fn with_parameter(path: &str, parameter: Value) -> Value {
    let mut root = vendored();
    add(&mut root, path, parameter);
    root
}

fn add(root: &mut Value, path: &str, parameter: Value) {
    let parameters = operation(root, path, "get")["parameters"].as_array_mut();
    parameters.expect("the operation has some").push(parameter);
}

/// Asserts that the code has a public name that contains this text, spaces aside.
#[track_caller]
fn assert_has(code: &str, wanted: &str) {
    let names = public_names(code);
    let has = |name: &&String| name.replace(' ', "").contains(&wanted.replace(' ', ""));
    assert!(names.iter().any(|name| has(&name)), "{wanted}: {names:#?}");
}

#[test]
fn an_enum_is_named_by_its_operation_and_parameter() {
    let mut root = with_parameter(VALUES, view(&["full", "brief-1"]));
    add(&mut root, CUSTOMERS, view(&["full"]));
    assert_has_our_names(&root);
    let (client, httpmock) = code(&prepare(&root).expect("can be prepared"));
    for wanted in [
        "ListAttributeValuesView::Full",
        "ListAttributeValuesView::Brief1",
        "ListCustomersView::Full",
    ] {
        assert_has(&client, wanted);
    }
    let value = "(mut self, value: V) -> Self where V: std::convert::TryInto<types::";
    assert_has(
        &client,
        &format!("fn view<V>{value}ListAttributeValuesView>"),
    );
    assert_has(&client, &format!("fn view<V>{value}ListCustomersView>"));
    assert!(
        httpmock.contains("types::ListAttributeValuesView"),
        "the mocks have the parameter"
    );
}

#[test]
fn its_name_does_not_depend_on_the_layout() {
    let values = ["full", "brief"];
    let inline = with_parameter(VALUES, view(&values));

    let reference = json!({"$ref": "#/components/schemas/some view"});
    let mut of_schema = with_parameter(
        VALUES,
        json!({"name": "view", "in": "query", "schema": reference}),
    );
    of_schema["components"]["schemas"]["some view"] = view(&values)["schema"].clone();
    assert_same(&of_schema, &inline);

    let mut of_parameter =
        with_parameter(VALUES, json!({"$ref": "#/components/parameters/theirs"}));
    of_parameter["components"]["parameters"]["theirs"] = view(&values);
    assert_same(&of_parameter, &inline);

    let mut composed = view(&values);
    composed["schema"] = json!({"allOf": [composed["schema"]], "default": "full"});
    assert_same(&with_parameter(VALUES, composed), &inline);

    // An operation that has the name of another one, and a schema that has that of the type.
    let mut renamed = inline.clone();
    operation(&mut renamed, VALUES, "get")["operationId"] = "ListCustomers".into();
    renamed["components"]["schemas"]["ListAttributeValuesView"] = json!({"type": "integer"});
    assert_same(&renamed, &inline);
}

#[test]
fn a_bound_parameter_and_an_enum_that_rust_can_not_name_stay_text() {
    for name in ["name", "date_created"] {
        let mut root = vendored();
        let mut found = 0;
        crate::support::each_parameter(&mut root, &mut |parameter| {
            if parameter["name"] == name {
                parameter.insert("schema".to_owned(), view(&["x"])["schema"].clone());
                found += 1;
            }
        });
        assert!(found > 0, "{name}");
        assert_same(&root, &vendored());
    }
    let signs = with_parameter(VALUES, view(&["+", "-"]));
    let mut text = view(&[]);
    text["schema"] = json!({"type": "string"});
    assert_same(&signs, &with_parameter(VALUES, text));
}
