//! Renaming and deleting an attribute, with evidence.

use std::time::Duration;

use bigcommerce_sdk::IdList;
use bigcommerce_sdk::types::error::ConversionError;
use bigcommerce_sdk::types::{Attribute, AttributeUpdate};
use tokio::time::Instant;

use super::count::count;
use super::definitions::{Definitions, check_name};
use super::fetch;
use crate::client::{CallFailure, CallOutcome, Client, Operation, RunContext, call, shows_result};
use crate::error::{Error, ErrorKind, Violation};
use crate::value::AttributeKey;

/// The number of times that a change is requested which the server confirms and does not show.
const MAX_ROUNDS: u32 = 3;

/// Renames an attribute, and returns it with its new name.
pub(super) async fn rename(
    client: &Client,
    run: &RunContext,
    key: &AttributeKey,
    name: &str,
) -> Result<Attribute, Error> {
    check_name(name).map_err(invalid)?;
    let definitions = read(client, run).await?;
    let attribute = definitions.require(key).map_err(invalid)?;
    if attribute.name == name {
        return Ok(attribute.clone());
    }
    if let Some(other) = definitions.other_with_name(attribute.id, name) {
        let attribute = describe(attribute);
        let id = other.id;
        return Err(Error::invalid_input(format!(
            "attribute {attribute} can't be renamed to {name:?}: the attribute with the ID {id} has \
             this name"
        )));
    }
    let body = AttributeUpdate::builder().id(attribute.id).name(name);
    let body: AttributeUpdate = body.try_into().map_err(|error: ConversionError| {
        Error::invalid_input(format!("attribute {name:?}: {error}"))
    })?;
    let is_renamed = |it: &&Attribute| it.id == attribute.id && it.name == name;
    let mut rounds = 0;
    loop {
        rounds += 1;
        let outcome = send_name(client, run, attribute, &body).await;
        let hold = outcome.hold;
        let failure = match outcome.result {
            Ok(shown) => match shown.iter().find(is_renamed) {
                Some(renamed) => return Ok(renamed.clone()),
                None => None,
            },
            Err(failure) if needs_check(&failure) => Some(failure),
            Err(failure) => return Err(failure.error),
        };
        let is_confirmed = failure.is_none();
        let is_done = |definitions: &Definitions| {
            let current = definitions.by_id(attribute.id);
            current.is_none_or(|current| current.name == name)
        };
        let check = ChangeCheck {
            change: "renamed",
            attribute,
            hold,
            is_confirmed,
        };
        let current = match check.definitions(client, run, is_done).await {
            Ok(definitions) => definitions.by_id(attribute.id).cloned(),
            Err(error) => return Err(failure.map_or(error, |failure| failure.error)),
        };
        match (current, failure) {
            (Some(current), _) if current.name == name => return Ok(current),
            (None, _) => {
                let attribute = describe(attribute);
                return Err(Error::invalid_input(format!(
                    "attribute {attribute} can't be renamed: it does not exist any more"
                )));
            }
            // All retries are spent.
            (Some(_), Some(failure)) => return Err(failure.error),
            // Another name is that of another process, or the server's form of the new one.
            (Some(current), None) if rounds < MAX_ROUNDS && current.name == attribute.name => {}
            (Some(current), None) => {
                return Err(Error::attribute_not_changed("renamed", &describe(&current)));
            }
        }
    }
}

/// Deletes an attribute that has this number of values, and returns it.
pub(super) async fn delete(
    client: &Client,
    run: &RunContext,
    key: &AttributeKey,
    expected_values: u64,
) -> Result<Attribute, Error> {
    let definitions = read(client, run).await?;
    let attribute = definitions.require(key).map_err(invalid)?;
    let values = count(client, run, attribute.id, &definitions).await?;
    if values != expected_values {
        return Err(Error::invalid_input(unexpected_count(
            attribute,
            values,
            expected_values,
        )));
    }
    let policy = client.retry();
    let started = Instant::now();
    let mut attempts = 0;
    let mut rounds = 0;
    loop {
        let outcome = send_delete(client, run, attribute).await;
        let failure = match outcome.result {
            Ok(()) => None,
            Err(failure) if needs_check(&failure) => Some(failure),
            Err(failure) => return Err(failure.error),
        };
        let mut check = ChangeCheck {
            change: "deleted",
            attribute,
            hold: outcome.hold,
            is_confirmed: failure.is_none(),
        };
        match &failure {
            None => rounds += 1,
            Some(_) => {
                attempts += 1;
                let retry_at = Instant::now() + policy.wait(attempts, None, fastrand::f64());
                check.hold = check.hold.max(Some(retry_at));
            }
        }
        let is_spent =
            || attempts >= policy.max_attempts || started.elapsed() >= policy.retry_timeout;
        let is_done = |definitions: &Definitions| definitions.by_id(attribute.id).is_none();
        let current = match check.definitions(client, run, is_done).await {
            Ok(definitions) => definitions.by_id(attribute.id).cloned(),
            Err(error) => return Err(failure.map_or(error, |failure| failure.error)),
        };
        match (current, failure) {
            (None, _) => return Ok(attribute.clone()),
            (Some(_), Some(failure)) if !failure.is_ambiguous => return Err(failure.error),
            (Some(current), failure) => {
                let is_last = match failure {
                    Some(_) => is_spent(),
                    None => rounds >= MAX_ROUNDS,
                };
                let error = match failure {
                    Some(failure) => {
                        let error = failure.error.with_attempts(attempts, started.elapsed());
                        error
                            .with_note(&format!("attribute {} is still listed", describe(&current)))
                    }
                    None => Error::attribute_not_changed("deleted", &describe(&current)),
                };
                if is_last {
                    return Err(error);
                }
                // Others may have stored values since.
                let Ok(values) = count(client, run, attribute.id, &definitions).await else {
                    return Err(error);
                };
                if values > expected_values {
                    let note = unexpected_count(attribute, values, expected_values);
                    return Err(error.with_note(&note));
                }
            }
        }
    }
}

/// Returns the attributes that the response shows with their new names.
async fn send_name(
    client: &Client,
    run: &RunContext,
    attribute: &Attribute,
    body: &AttributeUpdate,
) -> CallOutcome<Vec<Attribute>> {
    let operation = Operation::rename_attribute(&attribute.name);
    call(client, run, &operation, 0, |sdk| {
        let body = vec![body.clone()];
        async move {
            let response = sdk.update_attributes().body(body).send().await?;
            let shows_names = shows_result(response.status().as_u16());
            response.map(|page| match shows_names {
                true => page.data,
                false => Vec::new(),
            })
        }
    })
    .await
}

async fn send_delete(client: &Client, run: &RunContext, attribute: &Attribute) -> CallOutcome<()> {
    let operation = Operation::delete_attribute(&attribute.name);
    let id = attribute.id;
    let outcome = call(client, run, &operation, 0, |sdk| async move {
        let request = sdk.delete_attributes();
        request.id_in(IdList::from([id])).send().await
    })
    .await;
    outcome.map(drop)
}

/// Returns `true` if only the list of attributes shows what became of the request: it may have been
/// executed, or another process may have changed the attribute meanwhile.
fn needs_check(failure: &CallFailure) -> bool {
    let is_of_attribute = matches!(failure.error.status(), Some(404 | 409 | 410 | 422));
    let is_stopped = failure.error.kind() == ErrorKind::Stopped;
    (failure.is_ambiguous || is_of_attribute) && !is_stopped
}

/// A list of the attributes after a change was requested.
struct ChangeCheck<'a> {
    change: &'static str,
    attribute: &'a Attribute,
    /// Until when the server may be executing the request, and the next one must wait.
    hold: Option<Instant>,
    /// Whether the server reported success.
    is_confirmed: bool,
}

impl ChangeCheck<'_> {
    /// Lists the attributes, and if the change was confirmed and is not there, again after the grace
    /// period: the server may execute it later.
    async fn definitions(
        &self,
        client: &Client,
        run: &RunContext,
        is_done: impl Fn(&Definitions) -> bool,
    ) -> Result<Definitions, Error> {
        let hold = self.hold.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        });
        let stopped = || self.may_be_done(&Error::stopped());
        if !run.wait(hold).await {
            return Err(stopped());
        }
        let list = || async {
            let definitions = read(client, run).await;
            definitions.map_err(|error| self.may_be_done(&error))
        };
        let definitions = list().await?;
        if !self.is_confirmed || is_done(&definitions) {
            return Ok(definitions);
        }
        if !run.wait(client.limits().grace_period).await {
            return Err(stopped());
        }
        list().await
    }

    fn may_be_done(&self, error: &Error) -> Error {
        let (attribute, change) = (describe(self.attribute), self.change);
        error.with_note(&format!("attribute {attribute} may have been {change}"))
    }
}

async fn read(client: &Client, run: &RunContext) -> Result<Definitions, Error> {
    let outcome = fetch(client, run, 0).await;
    outcome.result.map_err(|failure| failure.error)
}

/// Counts the values of an attribute that is given by its ID or name.
pub(super) async fn count_values(
    client: &Client,
    run: &RunContext,
    key: &AttributeKey,
) -> Result<u64, Error> {
    let definitions = read(client, run).await?;
    let attribute = definitions.require(key).map_err(invalid)?;
    count(client, run, attribute.id, &definitions).await
}

fn unexpected_count(attribute: &Attribute, values: u64, expected: u64) -> String {
    let attribute = describe(attribute);
    let (noun, with_them) = match values {
        0 => ("values", ""),
        1 => ("value", " with its value"),
        _ => ("values", " with them"),
    };
    format!(
        "attribute {attribute} has {values} {noun}, not {expected}: pass {values} to delete it\
         {with_them}"
    )
}

fn describe(attribute: &Attribute) -> String {
    format!("{:?} (ID {})", attribute.name, attribute.id)
}

fn invalid(violation: Violation) -> Error {
    Error::invalid_input(violation.to_string())
}
