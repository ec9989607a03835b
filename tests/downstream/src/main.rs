//! A bulk run against the sandbox, by the packaged crates.

use bigcommerce_ext::{AttributeValueUpsert, Store};
use bigcommerce_sandbox::Sandbox;
use futures::{StreamExt, stream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sandbox = Sandbox::builder().start().await?;
    let store = Store::builder_at(sandbox.base_url(), "any token").build()?;
    let rows = stream::iter((1..=1000).map(|id| AttributeValueUpsert::new(id, 1, id)));
    let mut outcomes = store.upsert().stream(rows);
    while let Some(outcome) = outcomes.next().await {
        if let Some(error) = outcome.error() {
            return Err(error.clone().into());
        }
    }
    assert_eq!(sandbox.values().len(), 1000);
    println!("{}", outcomes.summary());
    Ok(())
}
