//! An example of an integration: it stores its customers' tiers, and the source of a tier in a field
//! that only its own document has.

use bigcommerce_ext::sdk::{Client, types};
use bigcommerce_ext::{Error, Store, Summary, UpsertRow};
use futures::{StreamExt, stream};

/// The attribute that holds the tier.
pub const TIER: i64 = 101;

/// Stores the tiers of any number of customers.
///
/// # Errors
///
/// Returns the first error of a row.
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
