//! The measured work: an upsert by this crate, and the same upsert by a hand-written loop.

use std::time::{Duration, Instant};

use bigcommerce_ext::sdk::types;
use bigcommerce_ext::{Event, Store, Summary, UpsertRow};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::{Result, usage};

pub const VALUES_PER_CUSTOMER: u32 = 5;
pub const CUSTOMERS_PER_REQUEST: u32 = 10;
pub const VALUES_PER_REQUEST: u32 = VALUES_PER_CUSTOMER * CUSTOMERS_PER_REQUEST;
pub const MAX_IN_FLIGHT: u32 = 3;

/// Returns a value's customer, attribute and text.
fn value(number: u32) -> (i64, i64, String) {
    let customer = i64::from(number / VALUES_PER_CUSTOMER) + 1;
    let attribute = i64::from(number % VALUES_PER_CUSTOMER) + 101;
    (customer, attribute, format!("Premium Member {number}"))
}

pub fn row(number: u32) -> UpsertRow {
    let (customer, attribute, text) = value(number);
    UpsertRow::new(customer, attribute, text)
}

/// Returns the e-mail address of a customer.
pub fn address(customer: i64) -> String {
    format!("customer{customer}@example.com")
}

/// Returns a row that names its customer by the e-mail address.
pub fn row_by_email(number: u32) -> UpsertRow {
    let (customer, attribute, text) = value(number);
    UpsertRow::new(address(customer), attribute, text)
}

/// The time of a run.
#[derive(Clone, Copy)]
pub struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
}

fn measure(run: impl FnOnce() -> Result<()>) -> Result<Cost> {
    let (began, before) = (Instant::now(), usage::cpu()?);
    run()?;
    Ok(Cost {
        wall: began.elapsed(),
        cpu: usage::cpu()? - before,
    })
}

/// Measures an upsert by this crate.
pub fn ours(runtime: &Runtime, store: &Store, values: u32) -> Result<Cost> {
    measure(|| {
        let summary = upsert(runtime, store, 10_000, (0..values).map(row), |_| ())?;
        all_stored(&summary, values)
    })
}

pub fn upsert(
    runtime: &Runtime,
    store: &Store,
    window: usize,
    rows: impl Iterator<Item = UpsertRow>,
    observe: impl Fn(&Event) + Send + Sync + 'static,
) -> Result<Summary> {
    runtime.block_on(async {
        let run = store.upsert().window(window).observe(observe);
        let mut outcomes = run.stream(stream::iter(rows));
        while outcomes.next().await.is_some() {}
        match outcomes.stopped_by() {
            Some(error) => Err(error.clone().into()),
            None => Ok(outcomes.summary()),
        }
    })
}

pub fn all_stored(summary: &Summary, values: u32) -> Result<()> {
    if summary.stored == u64::from(values) {
        Ok(())
    } else {
        Err(format!("not all {values} values were stored: {summary}").into())
    }
}

#[derive(Serialize)]
struct Record {
    attribute_id: i64,
    value: String,
    customer_id: i64,
}

fn body(request: u32) -> Vec<Record> {
    let numbers = request * VALUES_PER_REQUEST..(request + 1) * VALUES_PER_REQUEST;
    let record = |number| {
        let (customer_id, attribute_id, value) = value(number);
        Record {
            attribute_id,
            value,
            customer_id,
        }
    };
    numbers.map(record).collect()
}

/// A hand-written loop, for this one case only.
pub struct Loop {
    client: reqwest::Client,
    url: String,
}

impl Loop {
    pub fn new(base_url: &str) -> Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder().no_proxy().build()?,
            url: format!("{base_url}/customers/attribute-values"),
        })
    }

    fn put(&self) -> reqwest::RequestBuilder {
        let put = self.client.put(&self.url);
        put.header("X-Auth-Token", "any token")
    }

    /// Measures requests with values that are already grouped by customer. Parses the responses.
    pub fn run(&self, runtime: &Runtime, values: u32) -> Result<Cost> {
        let requests = stream::iter(0..values / VALUES_PER_REQUEST).map(|number| async move {
            let response = self.put().json(&body(number)).send().await?;
            let page: types::AttributeValuePage = response.error_for_status()?.json().await?;
            Ok::<_, reqwest::Error>(page.data.len())
        });
        let stored = requests.buffer_unordered(MAX_IN_FLIGHT as usize);
        let stored = stored.try_fold(0, async |sum, new| Ok(sum + new));
        measure(|| match runtime.block_on(stored)? {
            stored if stored == values as usize => Ok(()),
            stored => Err(format!("{stored} of {values} values were stored").into()),
        })
    }

    /// Measures requests with bodies that are already serialized. Parses no response.
    pub fn run_http_only(&self, runtime: &Runtime, values: u32) -> Result<Cost> {
        let bodies: Vec<Vec<u8>> = (0..values / VALUES_PER_REQUEST)
            .map(|number| serde_json::to_vec(&body(number)))
            .collect::<std::result::Result<_, _>>()?;
        let requests = stream::iter(bodies).map(|body| async move {
            let put = self.put().header("Content-Type", "application/json");
            let response = put.body(body).send().await?.error_for_status()?;
            response.bytes().await
        });
        let done = requests.buffer_unordered(MAX_IN_FLIGHT as usize);
        measure(|| Ok(runtime.block_on(done.try_for_each(async |_| Ok(())))?))
    }
}
