//! Syncs a table of PostgreSQL with a store, once: a program that runs every night.
//!
//! ```sql
//! CREATE TABLE loyalty (id bigserial PRIMARY KEY, customer bigint NOT NULL, attribute text NOT NULL, value text,
//!     outcome text); -- NULL: to be synced. Whatever changes the value sets it to NULL again.
//! CREATE TABLE rejects (id bigint PRIMARY KEY, reason text);
//! CREATE TABLE sync_runs (started timestamptz, ended timestamptz DEFAULT now(), summary text,
//!     stopped_by text);
//! ```
//!
//! A value that is NULL is deleted in the store. To resume after a crash or a stop, run the program
//! again: it reads the rows without an outcome. `DATABASE_URL` names the database, and
//! `BIGCOMMERCE_STORE_HASH` (or `BIGCOMMERCE_BASE_URL`) and `BIGCOMMERCE_ACCESS_TOKEN` the store.
//!
//! Exit codes: 0 all rows are synced; 1 some were rejected; 2 not all are synced, run it again; 3 the
//! settings or the token are wrong.

use std::env;
use std::error::Error as StdError;
use std::process::ExitCode;
use std::time::SystemTime;

use bigcommerce_ext::{ErrorKind, Outcome, Outcomes, StoreBuilder, UpsertRow};
use futures::{FutureExt, StreamExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio_postgres::{Client, NoTls, Row};

/// A change gives a row another version, so that a value which changes during the run stays to be synced.
const READ: &str = "SELECT id, xmin::text AS version, customer, attribute, value FROM loyalty \
     WHERE outcome IS NULL ORDER BY id";
const MARK: &str = "UPDATE loyalty SET outcome = done.outcome \
     FROM unnest($1::bigint[], $2::text[], $3::text[]) AS done (id, version, outcome) \
     WHERE loyalty.id = done.id AND loyalty.xmin::text = done.version";
const REJECT: &str = "INSERT INTO rejects SELECT * FROM unnest($1::bigint[], $2::text[]) \
     ON CONFLICT (id) DO UPDATE SET reason = EXCLUDED.reason";
const REPORT: &str = "INSERT INTO sync_runs (started, summary, stopped_by) VALUES ($1, $2, $3)";
/// The number of outcomes that are written at a time.
const CHUNK: usize = 500;

/// The ID and the version of a row, which come back with its outcome.
type Key = (i64, String);

#[tokio::main]
async fn main() -> ExitCode {
    ExitCode::from(sync().await.unwrap_or_else(|error| {
        eprintln!("nightly_sync: {error}");
        2 + u8::from(error.is::<bigcommerce_ext::Error>())
    }))
}

async fn sync() -> Result<u8, Box<dyn StdError>> {
    let started = SystemTime::now();
    let store = StoreBuilder::from_env()?
        .user_agent("nightly-sync/1.0")
        .build()?;
    // A connection executes one statement at a time, and the reader's lasts as long as the run.
    let (reader, mut writer) = (connect().await?, connect().await?);
    let rows = reader.query_raw(READ, Vec::<i64>::new()).await?;
    let rows = rows.map(|row| row.and_then(|row| to_upsert(&row)));
    let mut terminated = signal(SignalKind::terminate())?;
    let upsert = store.upsert().stop_on_input_error();
    let upsert = upsert.stop_when(async move { terminated.recv().map(drop).await });
    let mut outcomes = upsert.stream(rows);
    let mut unsynced = Vec::new();
    while let Some(outcome) = outcomes.next().await {
        let mut chunk = vec![outcome];
        while chunk.len() < CHUNK
            && let Some(Some(outcome)) = outcomes.next().now_or_never()
        {
            chunk.push(outcome);
        }
        write(&mut writer, &mut outcomes, chunk, &mut unsynced).await?;
    }
    let (summary, error) = (outcomes.summary(), outcomes.stopped_by());
    let stopped_by = error.map(ToString::to_string);
    let text = summary.to_string();
    writer
        .execute(REPORT, &[&started, &text, &stopped_by])
        .await?;
    println!("{summary}");
    if let Some(error) = error {
        eprintln!("nightly_sync: {error}");
        return Ok(match error.kind() {
            ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::NotFound => 3,
            _ => 2,
        });
    }
    Ok(
        match (summary.unknown + summary.not_sent, summary.rejected) {
            (0, 0) => 0,
            (0, _) => 1,
            _ => 2,
        },
    )
}

fn to_upsert(row: &Row) -> Result<UpsertRow<Key>, tokio_postgres::Error> {
    let value: Option<String> = row.try_get("value")?;
    let attribute: String = row.try_get("attribute")?;
    let key = (row.try_get("id")?, row.try_get("version")?);
    Ok(UpsertRow::new(row.try_get::<_, i64>("customer")?, attribute, value).with_payload(key))
}

/// Writes what became of some rows. A row that was not synced stays as it is, unless a later one took
/// its place: sent alone by the next run, it would undo the later one.
async fn write<S>(
    database: &mut Client,
    outcomes: &mut Outcomes<S, UpsertRow<Key>>,
    chunk: Vec<Outcome<UpsertRow<Key>>>,
    unsynced: &mut Vec<(u64, Key)>,
) -> Result<(), tokio_postgres::Error> {
    let (mut keys, mut kinds, mut rejected, mut reasons) = (vec![], vec![], vec![], vec![]);
    for outcome in chunk {
        let (index, kind, is_retryable) =
            (outcome.index, outcome.kind.as_str(), outcome.is_retryable());
        let reason = outcome.error().map(|error| error.reason());
        let Some(key) = outcome.into_payload() else {
            continue; // The input's error, which ends the run.
        };
        if is_retryable {
            unsynced.push((index, key));
            continue;
        }
        if let Some(reason) = reason {
            rejected.push(key.0);
            reasons.push(reason);
        }
        keys.push(key);
        kinds.push(kind);
    }
    let replaced = unsynced.extract_if(.., |(index, _)| !outcomes.may_resend(*index));
    keys.extend(replaced.map(|(_, key)| key));
    kinds.resize(keys.len(), "superseded");
    let (ids, versions): (Vec<_>, Vec<_>) = keys.into_iter().unzip();
    let transaction = database.transaction().await?;
    transaction
        .execute(MARK, &[&ids, &versions, &kinds])
        .await?;
    transaction.execute(REJECT, &[&rejected, &reasons]).await?;
    transaction.commit().await
}

async fn connect() -> Result<Client, Box<dyn StdError>> {
    let url = env::var("DATABASE_URL").map_err(|error| format!("DATABASE_URL: {error}"))?;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    // If the connection breaks, each of its statements has the error.
    tokio::spawn(connection);
    Ok(client)
}
