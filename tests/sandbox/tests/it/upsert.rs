//! The PUT: bad rows, and what its settings leave open.

use std::time::Duration;

use bigcommerce_sandbox::{
    AnswerOrder, BatchRejection, Duplicates, ErrorKeys, Sandbox, SandboxBuilder, TooLarge,
};
use serde_json::{Value, json};

use crate::client::{Answer, put, row};

async fn put_to(builder: SandboxBuilder, rows: Value) -> (Answer, Sandbox) {
    let sandbox = builder.start().await.unwrap();
    let answer = put(sandbox.base_url(), rows).await;
    (answer, sandbox)
}

fn keys(answer: &Answer) -> Vec<String> {
    let errors = answer.errors();
    errors.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn the_second_write_updates() {
    let sandbox = Sandbox::builder().start().await.unwrap();
    let first = put(sandbox.base_url(), json!([row(1, 1, "a")])).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    let mut again = row(1, 1, "");
    again["id"] = first.json()["data"][0]["id"].clone();
    let second = put(sandbox.base_url(), json!([again])).await;
    assert_eq!(second.status, 200);
    assert_eq!(second.column("id"), first.column("id"));
    let stored = sandbox.value(1, 1).unwrap();
    assert_eq!(stored.value, "");
    assert_eq!(
        (stored.date_modified - stored.date_created).num_seconds(),
        60
    );
    assert_eq!(
        (sandbox.counts().rows_stored, sandbox.counts().values),
        (2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn each_bad_row_is_named() {
    let long = "x".repeat(256);
    let wide = "ü".repeat(255);
    let rows = json!([
        row(1, 1, &wide),
        row(1, 2, &long),
        {"attribute_id": 3, "value": 7, "customer_id": 1},
        {"attribute_id": 4, "attribute_value": "v", "customer_id": 1},
        row(0, 5, "v"),
        row(1, -6, "v"),
        {"attribute_id": 7, "value": "v", "customer_id": 1, "id": 5001},
        row(1, 8, &(wide.clone() + "ü")),
    ]);
    let (answer, sandbox) = put_to(Sandbox::builder(), rows).await;
    assert_eq!(answer.status, 422);
    let expected = [
        "1.value",
        "2.value",
        "3.value",
        "4.customer_id",
        "5.attribute_id",
        "6.id",
        "7.value",
    ];
    assert_eq!(keys(&answer), expected);
    assert_eq!(sandbox.counts().values, 0);
    assert_eq!(sandbox.counts().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn the_longest_value_is_stored() {
    for value in [
        "x".repeat(255),
        "ü".repeat(255),
        "😀".repeat(255),
        String::new(),
    ] {
        let rows = json!([row(1, 1, &value)]);
        let (answer, sandbox) = put_to(Sandbox::builder(), rows).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["data"][0]["attribute_value"], value);
        assert_eq!(sandbox.value(1, 1).unwrap().value, value);
    }
}

fn picky() -> SandboxBuilder {
    Sandbox::builder().reject(|customer_id, _, value| {
        (value == "bad").then(|| format!("customer {customer_id} must not be bad"))
    })
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_refused_whole_or_in_part() {
    let rows = json!([row(1, 1, "good"), row(2, 1, "bad"), row(3, 1, "good")]);
    let errors = json!({"1.value": "customer 2 must not be bad"});

    let (answer, sandbox) = put_to(picky(), rows.clone()).await;
    assert_eq!((answer.status, answer.errors()), (422, errors.clone()));
    assert_eq!(sandbox.values(), []);

    let partial = picky().batch_rejection(BatchRejection::Partial);
    let (answer, sandbox) = put_to(partial, rows).await;
    assert_eq!((answer.status, answer.errors()), (422, errors));
    assert!(sandbox.value(1, 1).is_some() && sandbox.value(3, 1).is_some());
    assert_eq!(sandbox.counts().rows_stored, 2);
}

#[tokio::test(start_paused = true)]
async fn errors_name_index_field_or_nothing() {
    let rows = json!([row(1, 1, "good"), row(2, 1, "bad"), row(3, 1, "bad")]);
    for (named, expected) in [
        (ErrorKeys::Indexed, &["1.value", "2.value"][..]),
        (ErrorKeys::Field, &["value"]),
        (ErrorKeys::Empty, &[]),
    ] {
        let (answer, _) = put_to(picky().error_keys(named), rows.clone()).await;
        assert_eq!(answer.status, 422);
        assert_eq!(keys(&answer), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn only_known_attributes_and_customers() {
    let builder = Sandbox::builder()
        .known_attributes([101, 102])
        .known_customers(1..=2)
        .batch_rejection(BatchRejection::Partial);
    let rows = json!([row(1, 101, "v"), row(3, 101, "v"), row(2, 103, "v")]);
    let (answer, sandbox) = put_to(builder, rows).await;
    assert_eq!(keys(&answer), ["1.customer_id", "2.attribute_id"]);
    assert_eq!(sandbox.counts().values, 1);
}

#[tokio::test(start_paused = true)]
async fn the_same_value_twice_in_one_body() {
    let rows = json!([row(1, 1, "first"), row(1, 2, "v"), row(1, 1, "last")]);
    for (duplicates, kept) in [
        (Duplicates::LastWins, "last"),
        (Duplicates::FirstWins, "first"),
    ] {
        let (answer, sandbox) =
            put_to(Sandbox::builder().duplicates(duplicates), rows.clone()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.column("attribute_id"), [1, 2]);
        assert_eq!(answer.json()["data"][0]["attribute_value"], kept);
        assert_eq!(sandbox.value(1, 1).unwrap().value, kept);
    }
    let (answer, sandbox) = put_to(Sandbox::builder().duplicates(Duplicates::Refused), rows).await;
    assert_eq!(
        (answer.status, keys(&answer)),
        (422, vec!["2.attribute_id".to_owned()])
    );
    assert_eq!(sandbox.counts().values, 0);
}

#[tokio::test(start_paused = true)]
async fn the_order_of_the_answer() {
    for (order, expected) in [
        (AnswerOrder::AsSent, [9, 3, 7]),
        (AnswerOrder::ById, [7, 9, 3]),
        (AnswerOrder::Reversed, [7, 3, 9]),
    ] {
        let sandbox = Sandbox::builder()
            .answer_order(order)
            .start()
            .await
            .unwrap();
        sandbox.insert(1, 7, "v");
        let rows = json!([row(1, 9, "v"), row(1, 3, "v"), row(1, 7, "v")]);
        let answer = put(sandbox.base_url(), rows).await;
        assert_eq!(answer.column("attribute_id"), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn eleven_customers_are_too_many() {
    let rows = |customers| -> Value {
        (1..=customers)
            .flat_map(|customer| [row(customer, 1, "v"), row(customer, 2, "v")])
            .collect()
    };
    let (answer, _) = put_to(Sandbox::builder(), rows(10)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        (answer.pagination("count"), answer.pagination("total_pages")),
        (20.into(), 1.into())
    );

    for (too_large, status) in [(TooLarge::Status422, 422), (TooLarge::Status413, 413)] {
        let (answer, sandbox) = put_to(Sandbox::builder().too_large(too_large), rows(11)).await;
        assert_eq!((answer.status, answer.errors()), (status, json!({})));
        let counts = sandbox.counts();
        assert_eq!(
            (counts.largest_batch_customers, counts.largest_batch_rows),
            (11, 22)
        );
        assert_eq!((counts.refused, counts.values), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn rows_can_be_limited_too() {
    let rows = json!([row(1, 1, "v"), row(1, 2, "v"), row(1, 3, "v")]);
    let (answer, _) = put_to(Sandbox::builder().rows_per_call(3), rows.clone()).await;
    assert_eq!(answer.status, 200);
    let (answer, _) = put_to(Sandbox::builder().rows_per_call(2), rows).await;
    assert_eq!(answer.status, 422);
}
