//! An example of an integration: it stores its customers' tiers, with their channels and sources in
//! fields that only its own document has.

use std::collections::BTreeMap;

use bigcommerce_ext::sdk::Client;
use bigcommerce_ext::sdk::types::{self, AttributeValueUpsertSource};
use bigcommerce_ext::{Error, OutcomeKind, Store, Summary, UpsertRow};
use futures::{StreamExt, TryStreamExt, stream};

/// The attribute that holds the tier.
pub const TIER: i64 = 101;

/// A customer's tier in a channel.
pub struct Tier {
    pub customer: i64,
    pub name: String,
    pub channel: i64,
    /// Where the tier comes from. The document allows 16 characters.
    pub source: String,
}

impl From<Tier> for UpsertRow {
    fn from(tier: Tier) -> Self {
        let row = Self::new(tier.customer, TIER, tier.name);
        let row = row.customize(|record| record.channel_id(tier.channel));
        // The row is rejected if the source is too long.
        row.customize(|record| {
            let source = AttributeValueUpsertSource::try_from(tier.source);
            source.map(|source| record.source(source))
        })
    }
}

/// What became of the tiers.
pub struct Synced {
    pub summary: Summary,
    /// The number of stored records by their channels, as the server's responses show them.
    pub channels: BTreeMap<Option<i64>, u64>,
    pub rejected: Vec<Error>,
}

/// Stores the tiers of any number of customers.
///
/// # Errors
///
/// Returns the first error of a row that was not rejected.
pub async fn sync(store: &Store, tiers: impl IntoIterator<Item = Tier>) -> Result<Synced, Error> {
    let rows = tiers.into_iter().map(UpsertRow::from);
    let mut outcomes = store.upsert().stream(stream::iter(rows));
    let (mut channels, mut rejected) = (BTreeMap::new(), Vec::new());
    while let Some(outcome) = outcomes.next().await {
        match (&outcome.kind, outcome.error()) {
            (OutcomeKind::Stored(Some(record)), _) => {
                *channels.entry(record.channel_id).or_default() += 1;
            }
            (OutcomeKind::Rejected(error), _) => rejected.push(error.clone()),
            (_, Some(error)) => return Err(error.clone()),
            (_, None) => {}
        }
    }
    Ok(Synced {
        summary: outcomes.summary(),
        channels,
        rejected,
    })
}

/// Lists the tiers of a channel by customer.
///
/// # Errors
///
/// Returns an error if the list can't be read, or is incomplete.
pub async fn tiers_of_channel(store: &Store, channel: i64) -> Result<BTreeMap<i64, String>, Error> {
    let list = store.list().attributes([TIER]).query("channel_id", channel);
    let values = list.stream();
    let tiers = values.map_ok(|value| (value.customer_id, value.attribute_value));
    tiers.try_collect().await
}

/// Returns the number of values of a channel, by the filters that only this crate's document has.
///
/// # Errors
///
/// Returns an error if the request fails.
pub async fn count_in_channel(
    client: &Client,
    channel: i64,
) -> Result<usize, Box<dyn std::error::Error>> {
    let values = client.list_attribute_values().channel_id(channel);
    let values = values.view(types::ListAttributeValuesView::Brief);
    Ok(values.send().await?.data.len())
}

/// Stores one tier and its source. Returns the source in the server's response.
///
/// # Errors
///
/// Returns an error if a field is invalid or the request fails.
pub async fn store_with_source(
    client: &Client,
    customer: i64,
    tier: &str,
    source: &str,
) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let value: types::AttributeValueUpsert = types::AttributeValueUpsert::builder()
        .customer_id(customer)
        .attribute_id(TIER)
        .value(tier)
        .source(types::AttributeValueUpsertSource::try_from(source)?)
        .try_into()?;
    let stored = client
        .upsert_attribute_values()
        .body(vec![value])
        .send()
        .await?
        .into_inner();
    Ok(stored
        .data
        .into_iter()
        .next()
        .and_then(|value| value.source))
}

/// Returns the loyalty ID of the customer with this email address, a field that only this crate's
/// document has.
///
/// # Errors
///
/// Returns an error if the request fails.
pub async fn loyalty_id(
    client: &Client,
    email: &str,
) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let customers = client.list_customers().email_in([email]).limit(1);
    let page = customers.send().await?.into_inner();
    let customer = page.data.into_iter().next();
    Ok(customer.and_then(|customer| customer.loyalty_id))
}

#[cfg(test)]
mod tests {
    use bigcommerce_ext::sdk::TextList;
    use bigcommerce_sdk::Credentials;
    use bigcommerce_sdk::httpmock::MockServerExt;
    use httpmock::MockServer;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_source_is_sent_and_returned() {
        let server = MockServer::start_async().await;
        let page: types::AttributeValuePage = serde_json::from_value(json!({"data": [{
            "attribute_id": TIER,
            "attribute_value": "Gold",
            "customer_id": 2048,
            "source": "crm",
        }]}))
        .expect("a page");
        let mock = server.upsert_attribute_values(|when, then| {
            when.into_inner().json_body(json!([{
                "attribute_id": TIER,
                "customer_id": 2048,
                "source": "crm",
                "value": "Gold",
            }]));
            then.ok(&page);
        });
        let credentials = Credentials::new("any token").expect("a token");
        let client = Client::new(&server.base_url(), credentials).expect("a client");
        let source = store_with_source(&client, 2048, "Gold", "crm")
            .await
            .expect("a response");
        assert_eq!(source.as_deref(), Some("crm"));
        mock.assert();
        let error = store_with_source(&client, 2048, "Gold", "longer than sixteen").await;
        assert!(error.is_err(), "the document allows 16 characters");
    }

    #[tokio::test]
    async fn filters_of_the_document_are_mocked() {
        let server = MockServer::start_async().await;
        let page: types::AttributeValuePage = serde_json::from_value(json!({"data": [{
            "attribute_id": TIER,
            "attribute_value": "Gold",
            "customer_id": 2048,
            "channel_id": 7,
        }]}))
        .expect("a page");
        assert_eq!(page.data[0].channel_id, Some(7));
        let mock = server.list_attribute_values(|when, then| {
            when.channel_id(7)
                .view(types::ListAttributeValuesView::Brief);
            then.ok(&page);
        });
        let credentials = Credentials::new("any token").expect("a token");
        let client = Client::new(&server.base_url(), credentials).expect("a client");
        let count = count_in_channel(&client, 7).await;
        assert_eq!(count.expect("a response"), 1);
        mock.assert();
        let others = count_in_channel(&client, 8).await;
        assert!(others.is_err(), "no other channel is mocked");
    }

    #[tokio::test]
    async fn a_customer_is_found_by_email() {
        let server = MockServer::start_async().await;
        let page: types::CustomerPage = serde_json::from_value(json!({"data": [
            {"id": 2048, "email": "jane+1@example.com", "loyalty_id": "L7", "channel_ids": [1]},
        ]}))
        .expect("a page");
        assert_eq!(page.data[0].channel_ids, Some(vec![1]));
        let mock = server.list_customers(|when, then| {
            when.email_in(&TextList::from(["jane+1@example.com"]));
            then.ok(&page);
        });
        let credentials = Credentials::new("any token").expect("a token");
        let client = Client::new(&server.base_url(), credentials).expect("a client");
        let found = loyalty_id(&client, "jane+1@example.com").await;
        assert_eq!(found.expect("a response").as_deref(), Some("L7"));
        mock.assert();
    }
}
