//! Helpers for several tests.

pub mod scripted_server;
pub mod scripted_store;
pub mod tls;

use bigcommerce_ext::{Store, UpsertRow};
use bigcommerce_sandbox::Sandbox;

pub const TOKEN: &str = "s3cr3t-t0ken";

pub fn store(base_url: &str) -> Store {
    Store::builder_with_base_url(base_url, TOKEN)
        .build()
        .expect("a store")
}

pub async fn sandbox() -> (Sandbox, Store) {
    let sandbox = Sandbox::builder().start().await.expect("a sandbox");
    let store = store(sandbox.base_url());
    (sandbox, store)
}

/// Returns the rows of the bundled customers, three per customer.
pub fn cdnow() -> Vec<UpsertRow> {
    let text = include_str!("../../../ext/examples/cdnow_customers.csv");
    let rows = text.lines().skip(1).flat_map(|line| {
        let mut fields = line.split(',');
        let customer = fields.next().and_then(|id| id.parse().ok());
        let customer: i64 = customer.expect("a customer ID");
        (1..)
            .zip(fields)
            .map(move |(attribute, value)| UpsertRow::new(customer, attribute, value))
    });
    rows.collect()
}
