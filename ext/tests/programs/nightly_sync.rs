//! The nightly sync.

use std::time::Duration;

use bigcommerce_sandbox::{FaultPlan, Sandbox};
use tokio_postgres::Client;

use super::postgres::PostgresServer;
use super::{Program, TOKEN, Values, example, sandbox, until, values};

const TABLES: &str = "
    CREATE TABLE loyalty (id bigserial PRIMARY KEY, customer bigint, attribute text, value text,
        outcome text);
    CREATE TABLE rejects (id bigint PRIMARY KEY, reason text);
    CREATE TABLE sync_runs (started timestamptz, ended timestamptz DEFAULT now(), summary text,
        stopped_by text);
    -- Two values for each customer, one of them twice, a tenth of them NULL, and three bad ones.
    INSERT INTO loyalty (customer, attribute, value)
        SELECT customer, attribute, CASE
            WHEN customer IN (100, 400, 700) AND attribute = 'Points' THEN 'bad'
            WHEN customer % 10 = 0 THEN NULL
            ELSE attribute || ' ' || round || ' of ' || customer END
        FROM generate_series(1, 900) AS customer,
            (VALUES ('Loyalty tier', 1), ('Points', 1), ('Loyalty tier', 2)) AS rows (attribute, round)
        ORDER BY round, customer";
const BAD: [i64; 3] = [100, 400, 700];

struct Night {
    postgres: PostgresServer,
    database: Client,
    sandbox: Sandbox,
}

impl Night {
    async fn begin(latency: Duration) -> Option<Self> {
        let postgres = PostgresServer::start()?;
        let database = postgres.connect().await;
        database.batch_execute(TABLES).await.expect("the tables");
        let sandbox = sandbox(latency).await;
        // Values that are to go, and one that stays.
        for customer in (10..=900).step_by(10) {
            sandbox.insert(customer, 101, "old");
        }
        sandbox.insert(5_000, 101, "of another");
        Some(Self {
            postgres,
            database,
            sandbox,
        })
    }

    fn program(&self) -> Program {
        let mut command = example("nightly_sync");
        command
            .env("DATABASE_URL", self.postgres.url())
            .env("BIGCOMMERCE_BASE_URL", self.sandbox.base_url())
            .env("BIGCOMMERCE_ACCESS_TOKEN", TOKEN);
        Program::start(command)
    }

    async fn count(&self, condition: &str) -> i64 {
        let query = format!("SELECT count(*) FROM {condition}");
        let row = self.database.query_one(&query, &[]).await;
        row.expect("a row").get(0)
    }

    /// Waits until so many upserts have arrived.
    async fn until_puts(&self, puts: u64) {
        let before = self.sandbox.counts().puts;
        until("upserts arrive", || {
            self.sandbox.counts().puts >= before + puts
        })
        .await;
    }

    /// Checks that no row is marked as stored whose value is not in the store.
    async fn check_marks(&self) {
        let stored = values(&self.sandbox);
        let rows = self
            .database
            .query(
                "SELECT customer, attribute, value FROM loyalty WHERE outcome = 'stored'",
                &[],
            )
            .await
            .expect("rows");
        for row in rows {
            let (customer, attribute, value): (i64, String, String) =
                (row.get(0), row.get(1), row.get(2));
            let attribute = if attribute == "Points" { 102 } else { 101 };
            assert_eq!(stored.get(&(customer, attribute)), Some(&value));
        }
    }

    /// Checks the store and the tables after a run to the end.
    async fn check_end(&self) {
        let mut expected = Values::from([((5_000, 101), "of another".to_owned())]);
        for customer in (1..=900).filter(|customer| customer % 10 > 0) {
            expected.insert((customer, 101), format!("Loyalty tier 2 of {customer}"));
            expected.insert((customer, 102), format!("Points 1 of {customer}"));
        }
        assert_eq!(values(&self.sandbox), expected);
        assert_eq!(self.count("loyalty WHERE outcome IS NULL").await, 0);
        assert_eq!(self.count("loyalty WHERE outcome = 'rejected'").await, 3);
        let rejects = self
            .database
            .query(
                "SELECT customer, reason FROM rejects JOIN loyalty USING (id) ORDER BY 1",
                &[],
            )
            .await
            .expect("the rejects");
        let customers: Vec<i64> = rejects.iter().map(|row| row.get(0)).collect();
        assert_eq!(customers, BAD);
        for reject in rejects {
            assert!(reject.get::<_, &str>(1).contains("the value is bad"));
        }
        self.check_marks().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_without_trouble() {
    let Some(night) = Night::begin(Duration::from_millis(2)).await else {
        return;
    };
    let (code, text) = night.program().end().await;
    assert_eq!(code, Some(1), "{text}");
    night.check_end().await;
    assert_eq!(night.count("sync_runs WHERE stopped_by IS NULL").await, 1);
    // The second run has nothing to do. A value that is changed is synced.
    let requests = night.sandbox.counts().requests;
    let (code, text) = night.program().end().await;
    assert_eq!(
        (code, night.sandbox.counts().requests),
        (Some(0), requests),
        "{text}"
    );
    let change = "UPDATE loyalty SET value = 'new', outcome = NULL \
                  WHERE customer = 1 AND attribute = 'Points'";
    night.database.execute(change, &[]).await.expect("a change");
    let (code, text) = night.program().end().await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(values(&night.sandbox)[&(1, 102)], "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_is_resumed() {
    let Some(night) = Night::begin(Duration::from_millis(60)).await else {
        return;
    };
    for puts in [5, 30] {
        let program = night.program();
        night.until_puts(puts).await;
        program.kill();
        night.check_marks().await;
        assert!(night.count("loyalty WHERE outcome IS NULL").await > 0);
    }
    night.sandbox.set_latency(Duration::from_millis(2));
    let (code, text) = night.program().end().await;
    assert_eq!(code, Some(1), "{text}");
    night.check_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_says_so_and_is_resumed() {
    let Some(night) = Night::begin(Duration::from_millis(60)).await else {
        return;
    };
    let program = night.program();
    night.until_puts(10).await;
    program.terminate();
    let (code, text) = program.end().await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("the run was stopped"), "{text}");
    assert_eq!(
        night
            .count("sync_runs WHERE stopped_by = 'the run was stopped'")
            .await,
        1
    );
    night.check_marks().await;
    let left = night.count("loyalty WHERE outcome IS NULL").await;
    assert!((1..2_700).contains(&left), "{left}");
    night.sandbox.set_latency(Duration::from_millis(2));
    let (code, text) = night.program().end().await;
    assert_eq!(code, Some(1), "{text}");
    night.check_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_for_a_while_is_waited_for() {
    let Some(night) = Night::begin(Duration::from_millis(10)).await else {
        return;
    };
    let outage = FaultPlan::none()
        .outage_after(Duration::from_millis(200))
        .outage(Duration::from_secs(4));
    night.sandbox.set_faults(outage);
    let (code, text) = night.program().end().await;
    assert_eq!(code, Some(1), "{text}");
    night.check_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_wrong_have_an_exit_code_of_their_own() {
    let Some(night) = Night::begin(Duration::from_millis(2)).await else {
        return;
    };
    let mut command = example("nightly_sync");
    command
        .env("DATABASE_URL", night.postgres.url())
        .env("BIGCOMMERCE_BASE_URL", night.sandbox.base_url())
        .env("BIGCOMMERCE_ACCESS_TOKEN", "another");
    let (code, text) = Program::start(command).end().await;
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("the access token was not accepted"), "{text}");
    assert_eq!(night.count("loyalty WHERE outcome IS NULL").await, 2_700);
    let mut command = example("nightly_sync");
    command.env("BIGCOMMERCE_BASE_URL", "ftp://store.example");
    command.env("BIGCOMMERCE_ACCESS_TOKEN", TOKEN);
    let (code, text) = Program::start(command).end().await;
    assert_eq!(code, Some(3), "{text}");
}
