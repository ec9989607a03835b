//! The consumer of a queue.

use std::time::Duration;

use bigcommerce_sandbox::{FaultPlan, Sandbox};
use tokio_postgres::Client;

use super::postgres::PostgresServer;
use super::{Program, TOKEN, Values, example, sandbox, until, values};

const TABLES: &str = "
    CREATE TABLE queue (id bigserial PRIMARY KEY, store text, customer bigint, attribute text,
        value text);
    CREATE TABLE dead_letters (LIKE queue, reason text)";
/// Three rounds of values, the last of which deletes a tenth of them. A few are bad.
const MESSAGES: &str = "
    INSERT INTO queue (store, customer, attribute, value)
        SELECT store, customer, 'Loyalty tier', CASE
            WHEN round = 3 AND customer % 10 = 0 THEN NULL
            WHEN round = 2 AND customer IN (7, 77) THEN 'bad'
            ELSE round || ' of ' || customer END
        FROM generate_series(1, 3) AS round, generate_series(1, 400) AS customer,
            unnest(ARRAY['one', 'two', 'three']) AS store
        ORDER BY round, customer, store";
const NAMES: [&str; 3] = ["one", "two", "three"];

struct Shop {
    postgres: PostgresServer,
    database: Client,
    sandboxes: Vec<Sandbox>,
}

impl Shop {
    async fn open(latency: Duration) -> Option<Self> {
        let postgres = PostgresServer::start()?;
        let database = postgres.connect().await;
        database.batch_execute(TABLES).await.expect("the tables");
        database.batch_execute(MESSAGES).await.expect("messages");
        let mut sandboxes = Vec::new();
        for _ in NAMES {
            sandboxes.push(sandbox(latency).await);
        }
        Some(Self {
            postgres,
            database,
            sandboxes,
        })
    }

    fn program(&self) -> Program {
        let stores = NAMES.iter().zip(&self.sandboxes);
        let stores: Vec<_> = stores
            .map(|(name, sandbox)| format!("{name}={}", sandbox.base_url()))
            .collect();
        let mut command = example("queue_consumer");
        command
            .env("DATABASE_URL", self.postgres.url())
            .env("STORES", stores.join(" "))
            .env("STORE_TOKENS", [TOKEN; 3].join(" "));
        Program::start(command)
    }

    async fn left(&self, store: &str) -> i64 {
        let query = "SELECT count(*) FROM queue WHERE store = $1";
        let row = self.database.query_one(query, &[&store]).await;
        row.expect("a row").get(0)
    }

    async fn until_empty(&self, stores: &[&str]) {
        for store in stores {
            for _ in 0..6_000 {
                if self.left(store).await == 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(self.left(store).await, 0, "{store}");
        }
    }

    /// Checks that each value whose last message was acknowledged is in its store.
    async fn check_acknowledged(&self) {
        for (name, sandbox) in NAMES.iter().zip(&self.sandboxes) {
            let query = "SELECT DISTINCT customer FROM queue WHERE store = $1";
            let rows = self.database.query(query, &[name]).await.expect("rows");
            let stored = values(sandbox);
            let waiting: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
            for customer in (1..=400).filter(|customer| !waiting.contains(customer)) {
                assert_eq!(
                    stored.get(&(customer, 101)),
                    last(customer).as_ref(),
                    "{name}"
                );
            }
        }
    }

    async fn check_end(&self, stores: &[&str]) {
        let expected: Values = (1..=400)
            .filter_map(|customer| Some(((customer, 101), last(customer)?)))
            .collect();
        for (name, sandbox) in NAMES.iter().zip(&self.sandboxes) {
            if stores.contains(name) {
                assert_eq!(values(sandbox), expected, "{name}");
            }
        }
    }
}

/// The value of a customer after all messages.
fn last(customer: i64) -> Option<String> {
    (customer % 10 > 0).then(|| format!("3 of {customer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_holds_up_no_other_one() {
    let Some(shop) = Shop::open(Duration::from_millis(5)).await else {
        return;
    };
    let down = FaultPlan::none().outage(Duration::from_secs(3_600));
    shop.sandboxes[1].set_faults(down);
    let mut program = shop.program();
    shop.until_empty(&["one", "three"]).await;
    shop.check_end(&["one", "three"]).await;
    assert_eq!(shop.left("two").await, 1_200);
    assert!(values(&shop.sandboxes[1]).is_empty());
    // Messages that come later are consumed, too.
    let message = "INSERT INTO queue (store, customer, attribute, value) \
                   VALUES ('one', 1000, 'Points', '7')";
    shop.database
        .execute(message, &[])
        .await
        .expect("a message");
    shop.until_empty(&["one"]).await;
    assert_eq!(values(&shop.sandboxes[0])[&(1000, 102)], "7");
    // The store comes back, and its messages were kept.
    assert!(program.is_running());
    shop.sandboxes[1].set_faults(FaultPlan::none());
    shop.until_empty(&NAMES).await;
    shop.check_end(&["two", "three"]).await;
    program.terminate();
    let (code, text) = program.end().await;
    assert_eq!(code, Some(0), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_by_kills_and_stops() {
    let Some(shop) = Shop::open(Duration::from_millis(40)).await else {
        return;
    };
    for is_killed in [true, false, true] {
        let program = shop.program();
        let puts = || {
            shop.sandboxes
                .iter()
                .map(|sandbox| sandbox.counts().puts)
                .sum::<u64>()
        };
        let before = puts();
        until("upserts arrive", || puts() >= before + 12).await;
        if is_killed {
            program.kill();
        } else {
            program.terminate();
            let (code, text) = program.end().await;
            assert_eq!(code, Some(0), "{text}");
        }
        // A killed program's requests may still be running.
        tokio::time::sleep(Duration::from_millis(200)).await;
        shop.check_acknowledged().await;
    }
    for sandbox in &shop.sandboxes {
        sandbox.set_latency(Duration::from_millis(2));
    }
    let program = shop.program();
    shop.until_empty(&NAMES).await;
    shop.check_end(&NAMES).await;
    program.terminate();
    let (code, text) = program.end().await;
    assert_eq!(code, Some(0), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_messages_become_dead_letters_and_a_refused_token_ends_its_store() {
    let Some(shop) = Shop::open(Duration::from_millis(2)).await else {
        return;
    };
    // Alone: no later message takes their place.
    let only = "DELETE FROM queue WHERE value IS DISTINCT FROM 'bad' OR store <> 'one'";
    shop.database
        .execute(only, &[])
        .await
        .expect("fewer messages");
    let program = shop.program();
    shop.until_empty(&["one"]).await;
    let dead = shop
        .database
        .query("SELECT customer, reason FROM dead_letters ORDER BY 1", &[]);
    let dead = dead.await.expect("dead letters");
    let customers: Vec<i64> = dead.iter().map(|row| row.get(0)).collect();
    assert_eq!(customers, [7, 77]);
    assert!(
        dead.iter()
            .all(|row| row.get::<_, &str>(1).contains("the value is bad"))
    );
    program.terminate();
    assert_eq!(program.end().await.0, Some(0));

    shop.database
        .batch_execute(MESSAGES)
        .await
        .expect("messages");
    let mut command = example("queue_consumer");
    command
        .env("DATABASE_URL", shop.postgres.url())
        .env("STORES", format!("one={}", shop.sandboxes[0].base_url()))
        .env("STORE_TOKENS", "another");
    let (code, text) = Program::start(command).end().await;
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("the access token was not accepted"), "{text}");
    assert_eq!(shop.left("one").await, 1_200);
}
