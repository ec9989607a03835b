//! Consumes a queue of values for several stores, for as long as the program runs.
//!
//! ```sql
//! CREATE TABLE queue (id bigserial PRIMARY KEY, store text NOT NULL, customer bigint NOT NULL,
//!     attribute text NOT NULL, value text);
//! CREATE TABLE dead_letters (LIKE queue, reason text);
//! ```
//!
//! A message is acknowledged by deleting it, once its store has its value or it has no effect any more.
//! A message that its store rejects becomes a dead letter. All others are delivered again, in order.
//!
//! Each store has a run of its own, so that a store that is down holds up no other one. `DATABASE_URL`
//! names the database, `STORES` the stores (`name=base URL`, separated by spaces), and `STORE_TOKENS` has
//! a token for each. SIGTERM ends the program (exit code 0), and a refused token in the end, too (3).

use std::env;
use std::error::Error as StdError;
use std::process::ExitCode;
use std::time::Duration;

use bigcommerce_ext::{OnOutage, Outcome, Outcomes, Store, UpsertRow};
use futures::future::{self, BoxFuture, FutureExt, Shared};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tokio_postgres::{Client, NoTls, Row};

type Stop = Shared<BoxFuture<'static, ()>>;
type BoxError = Box<dyn StdError + Send + Sync>;

const READ: &str = "SELECT id, customer, attribute, value FROM queue \
     WHERE store = $1 AND id > $2 ORDER BY id LIMIT 1000";
const BURY: &str = "INSERT INTO dead_letters SELECT queue.*, dead.reason \
     FROM unnest($1::bigint[], $2::text[]) AS dead (id, reason) JOIN queue USING (id)";
const ACKNOWLEDGE: &str = "DELETE FROM queue WHERE id = ANY ($1)";
const IDLE: Duration = Duration::from_millis(200);
const MAX_OUTAGE: Duration = Duration::from_secs(8 * 3600);
const CHUNK: usize = 500;
/// A message, which is acknowledged once: it can't be cloned.
struct Message(i64);

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let mut terminated = signal(SignalKind::terminate())?;
    let stop: Stop = (async move { terminated.recv().map(drop).await }.boxed()).shared();
    let (stores, tokens) = (env::var("STORES")?, env::var("STORE_TOKENS")?);
    let mut consumers = Vec::new();
    for (store, token) in stores.split_whitespace().zip(tokens.split_whitespace()) {
        let (name, url) = store.split_once('=').ok_or("STORES: name=URL")?;
        let store = Store::builder_with_base_url(url, token).build()?;
        consumers.push(tokio::spawn(consume(name.to_owned(), store, stop.clone())));
    }
    // An error of the database ends the program, for its supervisor to start it again.
    let consumers = consumers.into_iter().map(|task| async { task.await? });
    let codes = future::try_join_all(consumers).await?;
    Ok(ExitCode::from(codes.into_iter().max().unwrap_or(3)))
}

/// Consumes the messages of a store until the program is stopped, or the store refuses its token.
async fn consume(name: String, store: Store, stop: Stop) -> Result<u8, BoxError> {
    let mut database = connect().await?;
    loop {
        let messages = messages(connect().await?, name.clone());
        let upsert = store.upsert().on_outage(OnOutage::WaitUpTo(MAX_OUTAGE));
        let upsert = upsert.stop_on_input_error().stop_when(stop.clone());
        let mut outcomes = upsert.stream(messages);
        let mut waiting = Vec::new();
        while let Some(outcome) = outcomes.next().await {
            let mut chunk = vec![outcome];
            while chunk.len() < CHUNK
                && let Some(Some(outcome)) = outcomes.next().now_or_never()
            {
                chunk.push(outcome);
            }
            acknowledge(&mut database, &mut outcomes, chunk, &mut waiting).await?;
        }
        println!("{name}: {}", outcomes.summary());
        let Some(error) = outcomes.stopped_by().filter(|_| stop.peek().is_none()) else {
            return Ok(0);
        };
        eprintln!("{name}: {error}");
        if error.is_auth() {
            return Ok(3);
        }
        sleep(10 * IDLE).await;
    }
}

/// Yields the messages of a store in their order, those that are there and those that come.
fn messages(
    database: Client,
    store: String,
) -> impl Stream<Item = Result<UpsertRow<Message>, tokio_postgres::Error>> {
    let start = (database, store, 0_i64);
    let pages = stream::try_unfold(start, |(database, store, mut last)| async move {
        let page = database.query(READ, &[&store, &last]).await?;
        match page.last() {
            Some(newest) => last = newest.try_get("id")?,
            None => sleep(IDLE).await,
        }
        Ok(Some((page, (database, store, last))))
    });
    pages
        .map_ok(|page| stream::iter(page).map(|row| to_upsert(&row)))
        .try_flatten()
}

fn to_upsert(row: &Row) -> Result<UpsertRow<Message>, tokio_postgres::Error> {
    let value: Option<String> = row.try_get("value")?;
    let attribute: String = row.try_get("attribute")?;
    let message = Message(row.try_get("id")?);
    Ok(UpsertRow::new(row.try_get::<_, i64>("customer")?, attribute, value).with_payload(message))
}

/// Acknowledges messages. One that was not stored is left in the queue, unless a later one took its
/// place: delivered again, it would undo the later one.
async fn acknowledge<S>(
    database: &mut Client,
    outcomes: &mut Outcomes<S, UpsertRow<Message>>,
    chunk: Vec<Outcome<UpsertRow<Message>>>,
    waiting: &mut Vec<(u64, Message)>,
) -> Result<(), tokio_postgres::Error> {
    let (mut done, mut dead, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    for outcome in chunk {
        let (index, is_retryable) = (outcome.index, outcome.is_retryable());
        let reason = outcome.error().map(|error| error.reason());
        match (outcome.into_payload(), reason) {
            (None, _) => {} // The input's error, which ends the run.
            (Some(message), _) if is_retryable => waiting.push((index, message)),
            (Some(Message(id)), reason) => {
                dead.extend(reason.as_ref().map(|_| id));
                reasons.extend(reason);
                done.push(id);
            }
        }
    }
    let replaced = waiting.extract_if(.., |(index, _)| !outcomes.may_resend(*index));
    done.extend(replaced.map(|(_, Message(id))| id));
    let transaction = database.transaction().await?;
    transaction.execute(BURY, &[&dead, &reasons]).await?;
    transaction.execute(ACKNOWLEDGE, &[&done]).await?;
    transaction.commit().await
}

async fn connect() -> Result<Client, BoxError> {
    let (client, connection) = tokio_postgres::connect(&env::var("DATABASE_URL")?, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
