//! The attributes that a store defines.

mod change;
mod count;
mod definitions;

use std::collections::HashSet;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bigcommerce_sdk::types::error::ConversionError;
use bigcommerce_sdk::types::{Attribute, AttributeCreate, AttributePage, AttributeType};
use tokio::time::Instant;

use crate::client::{
    CallFailure, CallOutcome, Client, OnOutage, Operation, PageHead, PageId, PageSize, RunContext,
    RunSettings, Shortfall, call, in_task, read_pages, run_methods,
};
use crate::error::{Error, ErrorKind};
use crate::value::AttributeKey;

pub use definitions::Definitions;
pub(crate) use definitions::check;

/// The maximum number of attributes of a store, which is also the endpoint's default page size.
const PAGE_SIZE: u64 = 50;

/// Lists, creates, renames and deletes the attributes of a store; see
/// [`Store::attributes`](crate::Store::attributes).
///
/// A store defines at most 50 attributes. A name has 1 to 255 characters.
///
/// ```
/// use bigcommerce_ext::Store;
/// use bigcommerce_ext::sdk::types::AttributeType;
/// # use bigcommerce_sandbox::Sandbox;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = Sandbox::builder().start().await?;
/// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
/// let wanted = [("Loyalty tier", AttributeType::String), ("Points", AttributeType::Number)];
/// let attributes = store.attributes().ensure(wanted).await?;
/// assert_eq!(attributes[1].name, "Points");
/// assert!(store.attributes().find("Loyalty tier").await?.is_some());
/// # Ok(())
/// # }
/// ```
///
/// Maps to the endpoints [Get all, Create, Update and Delete customer attributes][1].
///
/// [1]: https://developer.bigcommerce.com/docs/rest-management/customers/customer-attributes
#[must_use = "nothing is sent before one of its methods is awaited"]
pub struct Attributes {
    client: Client,
    settings: RunSettings,
}

impl Attributes {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            settings: RunSettings::default(),
        }
    }

    /// Sets what the calls do while the store is down (default: they wait for up to
    /// [`RetryPolicy::retry_timeout`](crate::RetryPolicy::retry_timeout)).
    pub fn on_outage(mut self, on_outage: OnOutage) -> Self {
        self.settings.on_outage = Some(on_outage);
        self
    }

    /// Stops the operation when the future completes: a request in flight finishes, and waits end. The
    /// error has the kind [`Stopped`](crate::ErrorKind::Stopped), unless the operation was complete by
    /// then.
    pub fn stop_when(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.settings.stop = Some(Box::pin(stop));
        self
    }

    run_methods!("operation");

    /// Runs an operation with these settings.
    async fn run<T, F, Fut>(mut self, operation: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(Client, Arc<RunContext>) -> Fut,
        Fut: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let client = self.settings.apply(&self.client)?;
        let stop = self.settings.take_stop();
        let retry_timeout = client.retry().retry_timeout;
        let on_outage = self.settings.on_outage;
        let on_outage = on_outage.unwrap_or(OnOutage::WaitUpTo(retry_timeout));
        let run = RunContext::new(&client, self.settings.observer).with_on_outage(on_outage);
        let run = Arc::new(run);
        let operation = operation(client, Arc::clone(&run));
        let operation = async move {
            let mut operation = pin!(operation);
            let Some(stop) = stop else {
                return operation.await;
            };
            tokio::select! {
                biased;
                result = &mut operation => result,
                error = stop => {
                    run.stopping.send_replace(true);
                    match operation.await {
                        // The reason says more than that a call was stopped.
                        Err(stopped) if stopped.kind() == ErrorKind::Stopped => Err(error),
                        result => result,
                    }
                }
            }
        };
        in_task(operation).await?
    }

    /// Returns all attributes of the store.
    ///
    /// Cancel safety: dropping the future cancels the request.
    ///
    /// # Errors
    ///
    /// Returns an error if the attributes could not be read after all retries.
    pub async fn list(self) -> Result<Vec<Attribute>, Error> {
        self.run(|client, run| async move {
            let outcome = list(&client, &run, 0).await;
            outcome.result.map_err(|failure| failure.error)
        })
        .await
    }

    /// Returns the attribute with exactly this name, if there is one.
    ///
    /// Cancel safety: dropping the future cancels the request.
    ///
    /// # Errors
    ///
    /// Returns an error if the attributes could not be read after all retries.
    pub async fn find(self, name: &str) -> Result<Option<Attribute>, Error> {
        let attributes = self.list().await?;
        Ok(attributes
            .into_iter()
            .find(|attribute| attribute.name == name))
    }

    /// Returns the attributes with exactly these names, in the order of the names.
    ///
    /// Cancel safety: dropping the future cancels the request.
    ///
    /// # Errors
    ///
    /// Returns an error if the attributes could not be read after all retries, or if a name is not
    /// defined. The error lists the defined names.
    pub async fn find_all(
        self,
        names: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Vec<Attribute>, Error> {
        let definitions = Definitions::from(self.list().await?);
        let by_name = |name: &str| match definitions.by_name(name) {
            Ok(attribute) => Ok(attribute.clone()),
            Err(violation) => Err(Error::invalid_input(violation.to_string())),
        };
        names
            .into_iter()
            .map(|name| by_name(name.as_ref()))
            .collect()
    }

    /// Creates the attributes that the store does not define yet, and returns all of the wanted
    /// attributes, in the order given.
    ///
    /// An attribute is never created twice. If a response is lost, the attributes are listed again
    /// before the next create request. That happens after the
    /// [grace period](crate::Limits::grace_period), when the server is assumed to have
    /// finished the lost request.
    ///
    /// If the server rejects the attributes together, each one is created alone, so that a rejected
    /// attribute does not prevent the others from being created. An attribute that another process
    /// creates in the meantime counts as created.
    ///
    /// Cancel safety: dropping the future cancels the request, but the server may still execute it.
    ///
    /// # Errors
    ///
    /// Returns an error if the attributes could not be read, if an attribute could not be created,
    /// or if an attribute exists with another type. The type of an attribute can't be changed. If a
    /// name does not have 1 to 255 characters, nothing is sent.
    pub async fn ensure<N: Into<String>>(
        self,
        wanted: impl IntoIterator<Item = (N, AttributeType)>,
    ) -> Result<Vec<Attribute>, Error> {
        let wanted = wanted.into_iter().map(|(name, kind)| (name.into(), kind));
        let wanted: Vec<_> = wanted.collect();
        for (name, _) in &wanted {
            definitions::check_name(name)
                .map_err(|violation| Error::invalid_input(violation.to_string()))?;
        }
        self.run(|client, run| async move { ensure(&client, &run, &wanted).await })
            .await
    }

    /// Renames an attribute, given by its ID or its current name, and returns it. It keeps its ID, its
    /// type and its values.
    ///
    /// An attribute that has the name already is not renamed. It counts as renamed if the response
    /// shows its new name, unless its status is 202 or 207. A request whose response is lost is
    /// repeated, which can undo a rename that another process makes in between. If no response shows the
    /// name after all retries, or one is incomplete or odd, the attributes are listed again: after the
    /// [grace period](crate::Limits::grace_period), if the server may still be executing a request.
    ///
    /// Rows, lists and deletes that name the attribute need the new name from then on. A run that has
    /// read the attributes before goes on with the old name.
    ///
    /// ```
    /// # use bigcommerce_ext::Store;
    /// # use bigcommerce_sandbox::Sandbox;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = Sandbox::builder().attribute(101, "Loyalty tier").start().await?;
    /// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
    /// let attribute = store.attributes().rename("Loyalty tier", "Tier").await?;
    /// assert_eq!((attribute.id, attribute.name.as_str()), (101, "Tier"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Cancel safety: dropping the future cancels the request, but the server may still execute it.
    ///
    /// # Errors
    ///
    /// Returns an error, and sends nothing but the list of the attributes, if the attribute is not
    /// defined (the error lists the defined names), if another attribute has the new name, or if the
    /// name does not have 1 to 255 characters. Returns an error if the attributes could not be read,
    /// or if the server rejected the new name or did not confirm it after all retries. After such an
    /// error the attribute may have been renamed, unless the server rejected the request.
    pub async fn rename(
        self,
        attribute: impl Into<AttributeKey>,
        new_name: impl Into<String>,
    ) -> Result<Attribute, Error> {
        let (key, name) = (attribute.into(), new_name.into());
        self.run(|client, run| async move { change::rename(&client, &run, &key, &name).await })
            .await
    }

    /// Returns the number of values that all customers have for an attribute, given by its ID or name:
    /// the number for [`delete`](Self::delete).
    ///
    /// Takes the server's total if its pages confirm it (at most 4 requests). A total that is missing,
    /// or that counts the values of other attributes too, is not taken. Then the values of the
    /// attribute are listed and counted, 250 per request; or, if that list is incomplete or shows other
    /// values, all values of the store.
    ///
    /// Cancel safety: dropping the future cancels the request.
    ///
    /// # Errors
    ///
    /// Returns an error if the attribute is not defined (the error lists the defined names), or if the
    /// attributes or the values could not be read in full after all retries.
    pub async fn count_values(self, attribute: impl Into<AttributeKey>) -> Result<u64, Error> {
        let key = attribute.into();
        self.run(|client, run| async move { change::count_values(&client, &run, &key).await })
            .await
    }

    /// Deletes an attribute, given by its ID or name, **with the values that all customers have for
    /// it**, and returns what it was.
    ///
    /// Nothing is deleted unless the attribute has exactly `expected_values` values.
    /// [`count_values`](Self::count_values) returns that number, and so does the error. Values that are
    /// stored between the last count and the delete are deleted too.
    ///
    /// The attribute counts as deleted once the server does not list it any more. A request that may
    /// have been executed is not repeated before the attributes are listed again: after the
    /// [grace period](crate::Limits::grace_period), if the server may still be executing it. It is
    /// repeated only if the attribute has no more values than expected. IDs are not assigned twice, so
    /// no request deletes another attribute. An attribute that another process deletes in the meantime
    /// counts as deleted.
    ///
    /// ```
    /// # use bigcommerce_ext::Store;
    /// # use bigcommerce_sandbox::Sandbox;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = Sandbox::builder().attribute(101, "Loyalty tier").start().await?;
    /// # sandbox.insert(2048, 101, "Gold");
    /// # let store = Store::builder_with_base_url(sandbox.base_url(), "any token").build()?;
    /// let refused = store.attributes().delete("Loyalty tier", 0).await.unwrap_err();
    /// assert_eq!(
    ///     refused.to_string(),
    ///     "attribute \"Loyalty tier\" (ID 101) has 1 value, not 0: pass 1 to delete it with its value"
    /// );
    /// let values = store.attributes().count_values("Loyalty tier").await?;
    /// let deleted = store.attributes().delete("Loyalty tier", values).await?;
    /// assert_eq!(deleted.id, 101);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Cancel safety: dropping the future cancels the request, but the server may still execute it.
    ///
    /// # Errors
    ///
    /// Returns an error, and deletes nothing, if the attribute is not defined (the error lists the
    /// defined names), if it has another number of values, or if the attributes or the values could
    /// not be read. Returns an error if the server rejected the delete or still lists the attribute
    /// after all retries. After such an error the attribute or some of its values may have been
    /// deleted, unless the server rejected the request.
    pub async fn delete(
        self,
        attribute: impl Into<AttributeKey>,
        expected_values: u64,
    ) -> Result<Attribute, Error> {
        let key = attribute.into();
        self.run(
            |client, run| async move { change::delete(&client, &run, &key, expected_values).await },
        )
        .await
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attributes")
            .field("client", &self.client)
            .field("settings", &self.settings)
            .finish()
    }
}

/// Reads the definitions, with all retries.
pub(crate) async fn fetch(
    client: &Client,
    run: &RunContext,
    call_number: u64,
) -> CallOutcome<Definitions> {
    let outcome = list(client, run, call_number).await;
    CallOutcome::new(outcome.result.map(Definitions::from), outcome.requests)
}

async fn list(client: &Client, run: &RunContext, call_number: u64) -> CallOutcome<Vec<Attribute>> {
    let operation = Operation::list_attributes();
    let fetch_page = |(), page: PageId, size| {
        let operation = &operation;
        async move {
            call(client, run, operation, call_number, |sdk| async move {
                let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
                let request = sdk.list_attributes().page(number(page.number));
                request.limit(number(size)).send().await
            })
            .await
        }
    };
    let mut attributes = Vec::new();
    let mut ids = HashSet::new();
    let accept = |page: AttributePage| {
        let before = attributes.len();
        // A server that ignores the page number repeats them.
        let new = page.data.into_iter();
        attributes.extend(new.filter(|attribute: &Attribute| ids.insert(attribute.id)));
        Ok((attributes.len() - before) as u64)
    };
    let page_size = PageSize::new(client, Some(PAGE_SIZE));
    let outcome = read_pages(&[()], page_size, fetch_page, page_head, accept).await;
    let result = outcome.result.and_then(|shortfall| match shortfall {
        None => Ok(attributes),
        Some(Shortfall {
            received,
            total,
            unreadable,
        }) => {
            let error = Error::incomplete_list("attributes", received, total, unreadable, "");
            Err(CallFailure::from(error))
        }
    });
    CallOutcome::new(result, outcome.requests)
}

fn page_head(page: &AttributePage) -> PageHead {
    let meta = page.meta.as_ref();
    PageHead {
        pagination: meta.and_then(|meta| meta.pagination.clone()),
        first: page.data.first().map(|first| (first.id, 0)),
        values: page.data.len() as u64,
        unreadable: page.unreadable,
    }
}

/// Creates attributes by one call.
async fn create(
    client: &Client,
    run: &RunContext,
    attributes: &[&(String, AttributeType)],
) -> CallOutcome<()> {
    let build = |(name, kind): &&(String, AttributeType)| {
        AttributeCreate::builder()
            .name(name.as_str())
            .type_(*kind)
            .try_into()
            .map_err(|error: ConversionError| {
                CallFailure::from(Error::invalid_input(format!("attribute {name:?}: {error}")))
            })
    };
    let body: Vec<AttributeCreate> = match attributes.iter().map(build).collect() {
        Ok(body) => body,
        Err(failure) => return CallOutcome::new(Err(failure), 0),
    };
    let operation = match attributes {
        [(name, _)] => Operation::create_attribute(name),
        _ => Operation::create_attributes(),
    };
    let outcome = call(client, run, &operation, 0, |sdk| {
        let body = body.clone();
        async move { sdk.create_attributes().body(body).send().await }
    })
    .await;
    CallOutcome {
        result: outcome.result.map(drop),
        requests: outcome.requests,
        hold: outcome.hold,
    }
}

async fn ensure(
    client: &Client,
    run: &RunContext,
    wanted: &[(String, AttributeType)],
) -> Result<Vec<Attribute>, Error> {
    let policy = client.retry();
    let mut attempts = 0;
    let mut is_created = false;
    let mut one_by_one = false;
    let mut rejected: Vec<(&str, CallFailure)> = Vec::new();
    loop {
        let defined = list(client, run, 0).await.result;
        let defined = defined.map_err(|failure| failure.error)?;
        let missing = missing(&defined, wanted)?;
        if missing.is_empty() {
            let find = |(name, _): &(String, AttributeType)| {
                defined
                    .iter()
                    .find(|defined| defined.name == *name)
                    .cloned()
            };
            return Ok(wanted.iter().filter_map(find).collect());
        }
        let is_missing = |name: &str| missing.iter().any(|(missing, _)| missing == name);
        if let Some((_, failure)) = rejected.iter().find(|(name, _)| is_missing(name)) {
            return Err(failure.error.clone());
        }
        if is_created {
            return Err(Error::attributes_not_created());
        }
        attempts += 1;
        let is_last = attempts >= policy.max_attempts;
        let per_call = if one_by_one { 1 } else { missing.len() };
        let (mut failure, mut hold) = (None, None);
        rejected.clear();
        for attributes in missing.chunks(per_call) {
            let outcome = create(client, run, attributes).await;
            hold = hold.max(outcome.hold);
            match (outcome.result, attributes) {
                // Another process may have created it: list the attributes again.
                (Err(error), [(name, _)]) if is_rejection(&error) => rejected.push((name, error)),
                (result, _) => failure = failure.or(result.err()),
            }
        }
        match failure {
            None => is_created = rejected.is_empty(),
            // A rejected call may have created some of its attributes: list them again.
            Some(failure) if per_call > 1 && is_rejection(&failure) => one_by_one = true,
            Some(failure) if failure.is_ambiguous && !is_last => {
                let wait = policy.wait(attempts, None, fastrand::f64());
                // The server must not execute the lost request after the attributes are listed.
                let hold = hold.map_or(Duration::ZERO, |until| {
                    until.saturating_duration_since(Instant::now())
                });
                if !run.wait(wait.max(hold)).await {
                    return Err(Error::stopped());
                }
            }
            Some(failure) => return Err(failure.error),
        }
    }
}

fn is_rejection(failure: &CallFailure) -> bool {
    let kind = failure.error.kind();
    matches!(kind, ErrorKind::InvalidRequest | ErrorKind::TooLarge)
        || failure.error.status() == Some(409)
}

/// Returns the wanted attributes that are not defined, each once.
fn missing<'a>(
    defined: &[Attribute],
    wanted: &'a [(String, AttributeType)],
) -> Result<Vec<&'a (String, AttributeType)>, Error> {
    let mut missing: Vec<&(String, AttributeType)> = Vec::new();
    for attribute in wanted {
        let (name, kind) = attribute;
        let defined = defined.iter().find(|defined| defined.name == *name);
        let duplicate = missing.iter().find(|(other, _)| other == name);
        let other_kind = match (defined, duplicate) {
            (Some(defined), _) => Some(defined.type_.clone()),
            (None, Some((_, kind))) => Some(kind.to_string()),
            (None, None) => None,
        };
        match other_kind {
            Some(other) if other != kind.to_string() => {
                return Err(Error::invalid_input(format!(
                    "attribute {name:?} is of type {other}, which can't be changed to {kind}"
                )));
            }
            Some(_) => {}
            None => missing.push(attribute),
        }
    }
    Ok(missing)
}
