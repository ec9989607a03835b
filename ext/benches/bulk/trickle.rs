//! Rows that come one at a time.

use std::time::Duration;

use bigcommerce_ext::{Store, UpsertRow};
use futures::{Stream, StreamExt, stream};

use crate::Result;
use crate::rows::{Bench, LATENCY};
use crate::server::{Server, Setup};
use crate::table::Row;
use crate::usage;
use crate::work::{CUSTOMERS_PER_REQUEST, VALUES_PER_CUSTOMER};

/// The windows whose processor time per row is compared. The first one sets the bound.
const WINDOWS: [usize; 4] = [2_500, 5_000, 10_000, 20_000];
/// The time between the rows of a trickle.
const ROW_INTERVAL: Duration = Duration::from_millis(15);

/// Returns rows that the sandbox holds from the start.
fn unchanged_rows(values: u32) -> impl Iterator<Item = UpsertRow> {
    (0..values).map(|number| {
        let customer = i64::from(number / VALUES_PER_CUSTOMER) + 1;
        let attribute = i64::from(number % VALUES_PER_CUSTOMER) + 101;
        UpsertRow::new(customer, attribute, "Premium Member")
    })
}

/// Returns the rows of an input that wakes its reader for each of them.
fn one_per_wake_up(rows: impl Iterator<Item = UpsertRow>) -> impl Stream<Item = UpsertRow> {
    stream::iter(rows).then(async |row| {
        tokio::task::yield_now().await;
        row
    })
}

impl Bench {
    /// Compares the processor time per row that comes alone, with unchanged rows skipped, for large
    /// windows and for a small one, and with a run that sends every row.
    pub fn one_row_per_wake_up(&self) -> Result<Vec<Row>> {
        let values = self.size(400_000, 100_000);
        let server = Server::start(Setup {
            values,
            ..Setup::default()
        })?;
        let store = server.store()?;
        let mut by_window = WINDOWS.map(|_| Vec::new());
        let mut with_plain = Vec::new();
        for _ in 0..self.rounds(5) {
            let costs = WINDOWS.map(|window| self.trickle_cpu(&store, values, window, true));
            let mut measured = Vec::new();
            for cost in costs {
                measured.push(cost?);
            }
            for (pairs, cost) in by_window.iter_mut().zip(&measured) {
                pairs.push((*cost, measured[0]));
            }
            let plain = self.trickle_cpu(&store, values, WINDOWS[3], false)?;
            with_plain.push((measured[3], plain));
        }
        let mut rows = Vec::new();
        for (window, pairs) in WINDOWS.into_iter().zip(by_window).skip(1) {
            let name = format!("skip unchanged, {window}");
            rows.push(Row::median(name, "µs", 1.20, pairs).with_note("one row per wake-up"));
        }
        let note = "bound: the same rows without skip_unchanged";
        rows.push(Row::median("skip unchanged, plain", "µs", 2.0, with_plain).with_note(note));
        Ok(rows)
    }

    /// Returns the microseconds of processor time per row.
    fn trickle_cpu(&self, store: &Store, values: u32, window: usize, skips: bool) -> Result<f64> {
        // The window is full when something is sent.
        let upsert = store
            .upsert()
            .window(window)
            .max_wait(Duration::from_secs(60));
        let upsert = if skips {
            upsert.skip_unchanged()
        } else {
            upsert
        };
        let before = usage::cpu()?;
        let summary = self.runtime.block_on(async {
            let rows = std::pin::pin!(one_per_wake_up(unchanged_rows(values)));
            let mut outcomes = upsert.stream(rows);
            while outcomes.next().await.is_some() {}
            outcomes.summary()
        });
        let cpu = usage::cpu()? - before;
        let done = if skips {
            summary.unchanged
        } else {
            summary.stored
        };
        if done != u64::from(values) {
            return Err(format!("not all {values} rows were done: {summary}").into());
        }
        Ok(cpu.as_secs_f64() * 1e6 / f64::from(values))
    }

    /// Measures how long the rows of a trickle wait for their outcomes, and counts the requests.
    pub fn acknowledgement(&self) -> Result<Vec<Row>> {
        let customers = self.size(3_000, 1_000);
        let mut rows = Vec::new();
        for (name, quota) in [("no quota", 0), ("450 per 30 s", 450)] {
            let server = Server::start(Setup {
                latency: LATENCY,
                quota,
                quota_window: Duration::from_secs(30),
                ..Setup::default()
            })?;
            let Acknowledged {
                mut waits,
                requests,
            } = self.trickle(&server.store()?, customers)?;
            waits.sort_unstable();
            let median = waits[waits.len() / 2].as_secs_f64();
            let longest = waits[waits.len() - 1].as_secs_f64();
            let needed = f64::from(customers.div_ceil(CUSTOMERS_PER_REQUEST));
            let name = |what| format!("{what}, {name}");
            rows.extend([
                Row::median(name("median wait"), "s", 1.0, vec![(median, 0.6)]),
                Row::median(name("longest wait"), "s", 1.0, vec![(longest, 0.9)]),
                Row::median(name("requests"), "requests", 1.05, vec![(requests, needed)]),
            ]);
        }
        Ok(rows)
    }

    fn trickle(&self, store: &Store, customers: u32) -> Result<Acknowledged> {
        self.runtime.block_on(async {
            let start = tokio::time::Instant::now();
            let time_of = |number: u32| start + ROW_INTERVAL * number;
            let rows = stream::iter(0..customers).then(|number| async move {
                tokio::time::sleep_until(time_of(number)).await;
                UpsertRow::new(i64::from(number) + 1, 101, u64::from(number))
            });
            let rows = std::pin::pin!(rows);
            let mut outcomes = store.upsert().stream(rows);
            let mut waits = Vec::new();
            while let Some(outcome) = outcomes.next().await {
                let came = time_of(u32::try_from(outcome.index)?);
                waits.push(came.elapsed());
            }
            let summary = outcomes.summary();
            if summary.stored != u64::from(customers) {
                return Err(format!("not all {customers} values were stored: {summary}").into());
            }
            let requests = summary.requests as f64;
            Ok(Acknowledged { waits, requests })
        })
    }
}

/// How long the rows of a trickle waited for their outcomes.
struct Acknowledged {
    waits: Vec<Duration>,
    requests: f64,
}
