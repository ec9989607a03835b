//! Stores the values of the bundled CDNOW customers in a sandbox in this process: three attributes of
//! 2,357 customers, ten customers per request.
//!
//! `cargo run -p bigcommerce-ext --example bulk_upsert`

use std::collections::HashSet;
use std::time::Duration;

use bigcommerce_ext::sdk::types::AttributeType;
use bigcommerce_ext::{Store, UpsertRow};
use bigcommerce_sandbox::Sandbox;
use csv::{Reader, StringRecord};
use futures::{StreamExt, stream};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CUSTOMERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cdnow_customers.csv");

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let sandbox = Sandbox::builder().latency(Duration::from_millis(5));
    let sandbox = sandbox.start().await?;
    let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;

    let mut reader = Reader::from_path(CUSTOMERS)?;
    let columns: Vec<_> = reader
        .headers()?
        .iter()
        .skip(1)
        .map(str::to_owned)
        .collect();
    let columns = columns
        .into_iter()
        .map(|name| (name, AttributeType::Number));
    let attributes = store.attributes().ensure(columns).await?;
    let ids: Vec<i64> = attributes.iter().map(|attribute| attribute.id).collect();

    // Read as the run asks for it. A line that can't be read is the outcome of one row.
    let rows = reader.into_records().flat_map(move |line| {
        let rows = line
            .map_err(Failure::from)
            .and_then(|line| rows(&line, &ids));
        match rows {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        }
    });
    let mut customers = HashSet::new();
    let mut outcomes = store.upsert().stream(stream::iter(rows));
    while let Some(outcome) = outcomes.next().await {
        if let Some(error) = outcome.error() {
            eprintln!("{}: {error}", outcome.kind.as_str());
        }
        customers.extend(outcome.row.and_then(|row| row.customer_id()));
    }
    let summary = outcomes.summary();
    println!(
        "{} values of {} customers in {summary}",
        summary.rows(),
        customers.len()
    );
    Ok(())
}

/// Returns a row for each value of a line.
fn rows(line: &StringRecord, attributes: &[i64]) -> Result<Vec<UpsertRow>, Failure> {
    let customer: i64 = line.get(0).unwrap_or_default().parse()?;
    let values = line.iter().skip(1).zip(attributes);
    let rows = values.map(|(value, attribute)| UpsertRow::new(customer, *attribute, value));
    Ok(rows.collect())
}
