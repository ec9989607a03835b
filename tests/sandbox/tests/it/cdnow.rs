//! The bundled data set.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bigcommerce_sandbox::Sandbox;
use serde_json::json;

use crate::client::{get_attributes, get_customers, put, row};

/// Returns the values of a file by customer and attribute.
fn values_of(file: &str) -> BTreeMap<(i64, i64), String> {
    let lines = file.lines().skip(1);
    let cells = lines.flat_map(|line| {
        let mut cells = line.split(',');
        let customer = cells.next().unwrap().parse().unwrap();
        let cells = (101..).zip(cells);
        cells.map(move |(attribute, cell)| ((customer, attribute), cell.to_owned()))
    });
    cells.collect()
}

#[tokio::test]
async fn the_store_differs_from_the_file_as_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bundled = fs::read_to_string(root.join("src/cdnow_customers.csv")).unwrap();
    let example = root.join("../../ext/examples/cdnow_customers.csv");
    assert_eq!(fs::read_to_string(example).unwrap(), bundled);

    let file = values_of(&bundled);
    assert_eq!(file.len(), 7071);
    let sandbox = Sandbox::builder().cdnow().start().await.unwrap();
    let values = sandbox.values();
    let inserted = sandbox.insert(2360, 101, "0");
    let now = sandbox.value(2360, 101).unwrap().date_modified;
    let age = now - values[0].date_created;
    assert!((86_400..86_460).contains(&age.num_seconds()), "{age}");
    assert_eq!(
        inserted,
        values.iter().find(|it| it.customer_id == 2360).unwrap().id
    );
    let values = values.into_iter();
    let stored: BTreeMap<_, _> = values
        .map(|value| ((value.customer_id, value.attribute_id), value.value))
        .collect();
    assert_eq!(stored.len(), 7059);
    let missing = file.keys().filter(|key| !stored.contains_key(key));
    let missing: Vec<_> = missing.map(|(customer, _)| *customer).collect();
    let each_thrice = |ids: [i64; 7]| ids.into_iter().flat_map(|id| [id; 3]).collect::<Vec<_>>();
    assert_eq!(
        missing,
        each_thrice([2351, 2352, 2353, 2354, 2355, 2356, 2357])
    );
    let changed = file
        .iter()
        .filter(|(key, value)| stored.get(key).is_some_and(|stored| stored != *value));
    let changed: Vec<_> = changed.map(|(key, _)| *key).collect();
    assert_eq!(changed, [(500, 101), (1000, 101), (1500, 101), (2000, 101)]);
    let extra = stored.keys().filter(|key| !file.contains_key(key));
    let extra: Vec<_> = extra.map(|(customer, _)| *customer).collect();
    assert_eq!(
        extra,
        [2358, 2358, 2358, 2359, 2359, 2359, 2360, 2360, 2360]
    );
}

#[tokio::test]
async fn attributes_and_customers_are_listed() {
    let sandbox = Sandbox::builder().cdnow().start().await.unwrap();
    let attributes = get_attributes(sandbox.base_url(), "").await.json()["data"].clone();
    let shown = attributes.as_array().unwrap().iter();
    let shown: Vec<_> = shown
        .map(|it| (&it["id"], &it["name"], &it["type"]))
        .collect();
    let number = &json!("number");
    assert_eq!(
        shown,
        [
            (&json!(101), &json!("frequency"), number),
            (&json!(102), &json!("recency_weeks"), number),
            (&json!(103), &json!("tenure_weeks"), number),
        ]
    );
    let customer = get_customers(sandbox.base_url(), "id:in=2360").await;
    assert_eq!(
        customer.json()["data"][0]["email"],
        "customer2360@example.com"
    );
    let stored = put(sandbox.base_url(), json!([row(1, 101, "3")])).await;
    assert_eq!(stored.status, 200);
    assert_eq!(sandbox.counts().values, 7059);
}
