//! The work that is measured: by this crate, and by a loop that is written for the one case.

use std::time::{Duration, Instant};

use bigcommerce_ext::sdk::types;
use bigcommerce_ext::{Event, Store, Summary, UpsertRow};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::{Result, usage};

pub const PER_CUSTOMER: u32 = 5;
pub const CUSTOMERS_PER_CALL: u32 = 10;
pub const PER_CALL: u32 = PER_CUSTOMER * CUSTOMERS_PER_CALL;
pub const IN_FLIGHT: u32 = 3;

/// A value: its customer, its attribute and its text.
fn value(number: u32) -> (i64, i64, String) {
    let customer = i64::from(number / PER_CUSTOMER) + 1;
    let attribute = i64::from(number % PER_CUSTOMER) + 101;
    (customer, attribute, format!("Premium Member {number}"))
}

pub fn row(number: u32) -> UpsertRow {
    let (customer, attribute, text) = value(number);
    UpsertRow::new(customer, attribute, text)
}

/// What a run took.
#[derive(Clone, Copy)]
pub struct Cost {
    pub wall: Duration,
    pub cpu: Duration,
}

fn cost(run: impl FnOnce() -> Result<()>) -> Result<Cost> {
    let (began, before) = (Instant::now(), usage::cpu()?);
    run()?;
    Ok(Cost {
        wall: began.elapsed(),
        cpu: usage::cpu()? - before,
    })
}

/// Has a store upsert some values.
pub fn ours(runtime: &Runtime, store: &Store, values: u32) -> Result<Cost> {
    cost(|| {
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
        Err(format!("not all of {values} values: {summary}").into())
    }
}

#[derive(Serialize)]
struct Row {
    attribute_id: i64,
    value: String,
    customer_id: i64,
}

fn chunk(call: u32) -> Vec<Row> {
    let numbers = call * PER_CALL..(call + 1) * PER_CALL;
    let row = |number| {
        let (customer_id, attribute_id, value) = value(number);
        Row {
            attribute_id,
            value,
            customer_id,
        }
    };
    numbers.map(row).collect()
}

/// A loop by hand.
pub struct ByHand {
    client: reqwest::Client,
    url: String,
}

impl ByHand {
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

    /// Sends values in chunks that are grouped already, and reads the answers.
    pub fn run(&self, runtime: &Runtime, values: u32) -> Result<Cost> {
        let calls = stream::iter(0..values / PER_CALL).map(|call| async move {
            let answer = self.put().json(&chunk(call)).send().await?;
            let page: types::AttributeValuePage = answer.error_for_status()?.json().await?;
            Ok::<_, reqwest::Error>(page.data.len())
        });
        let stored = calls.buffer_unordered(IN_FLIGHT as usize);
        let stored = stored.try_fold(0, async |sum, new| Ok(sum + new));
        cost(|| match runtime.block_on(stored)? {
            stored if stored == values as usize => Ok(()),
            stored => Err(format!("{stored} of {values} values").into()),
        })
    }

    /// Sends bodies that are written already, and reads no answer.
    pub fn run_bare(&self, runtime: &Runtime, values: u32) -> Result<Cost> {
        let bodies: Vec<Vec<u8>> = (0..values / PER_CALL)
            .map(|call| serde_json::to_vec(&chunk(call)))
            .collect::<std::result::Result<_, _>>()?;
        let calls = stream::iter(bodies).map(|body| async move {
            let put = self.put().header("Content-Type", "application/json");
            let answer = put.body(body).send().await?.error_for_status()?;
            answer.bytes().await
        });
        let done = calls.buffer_unordered(IN_FLIGHT as usize);
        cost(|| Ok(runtime.block_on(done.try_for_each(async |_| Ok(())))?))
    }
}
