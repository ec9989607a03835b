//! What an integration may look like: its customers' tiers go to a store, and what it says by the
//! way goes with the field that only its own document has.

use bigcommerce_ext::sdk::types::AttributeValueUpsert as Record;
use bigcommerce_ext::sdk::{Client, types};
use bigcommerce_ext::{UpsertRow, Error, Store, Summary};
use futures::{StreamExt, stream};

/// The attribute that the tiers are values of.
pub const TIER: i64 = 101;

/// Brings customers' tiers to a store, any number of them.
///
/// # Errors
///
/// The first thing that went wrong with any of them.
pub async fn sync(
    store: &Store,
    tiers: impl IntoIterator<Item = (i64, String)>,
) -> Result<Summary, Error> {
    let rows = tiers.into_iter();
    let rows = rows.map(|(customer, tier)| UpsertRow::new(customer, TIER, tier));
    let mut outcomes = store.upsert().stream(stream::iter(rows));
    while let Some(outcome) = outcomes.next().await {
        if let Some(error) = outcome.error() {
            return Err(error.clone());
        }
    }
    Ok(outcomes.summary())
}

/// Stores one tier, with where it came from.
///
/// # Errors
///
/// When it can't be sent, or was refused.
pub async fn note(
    client: &Client,
    customer: i64,
    tier: &str,
    source: &str,
) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let record: Record = Record::builder()
        .customer_id(customer)
        .attribute_id(TIER)
        .value(tier)
        .source(types::AttributeValueUpsertSource::try_from(source)?)
        .try_into()?;
    let stored = client
        .upsert_attribute_values()
        .body(vec![record])
        .send()
        .await?
        .into_inner();
    Ok(stored.data.into_iter().next().and_then(|value| value.source))
}

#[cfg(test)]
mod tests {
    use bigcommerce_sdk::Credentials;
    use bigcommerce_sdk::httpmock::MockServerExt;
    use httpmock::MockServer;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_source_goes_along_and_comes_back() {
        let server = MockServer::start_async().await;
        let page: types::AttributeValuePage = serde_json::from_value(json!({"data": [{
            "attribute_id": TIER,
            "attribute_value": "Gold",
            "customer_id": 2048,
            "source": "crm",
        }]}))
        .expect("is a page");
        let mock = server.upsert_attribute_values(|when, then| {
            when.into_inner().json_body(json!([{
                "attribute_id": TIER,
                "customer_id": 2048,
                "source": "crm",
                "value": "Gold",
            }]));
            then.ok(&page);
        });
        let credentials = Credentials::new("any token").expect("is a token");
        let client = Client::new(&server.base_url(), credentials).expect("a client");
        let source = note(&client, 2048, "Gold", "crm").await.expect("is stored");
        assert_eq!(source.as_deref(), Some("crm"));
        mock.assert();
        let error = note(&client, 2048, "Gold", "longer than sixteen").await;
        assert!(error.is_err(), "the document allows 16 characters");
    }
}
