//! The attributes that a store defines.

mod definitions;

use std::fmt;

use bigcommerce_sdk::types::{Attribute, AttributeCreate, AttributePage, AttributeType};
use tokio::time::{Instant, sleep, sleep_until};

use crate::client::{
    CallFailure, CallOutcome, Client, Operation, PageHead, PageId, PageSize, RunContext, call,
    in_task, read_pages,
};
use crate::error::{Error, ErrorKind};

pub use definitions::Definitions;
pub(crate) use definitions::check;

/// The most attributes that a store defines, which is what a page holds by default too.
const PAGE_SIZE: u64 = 50;

/// The attributes that a store defines, at most 50; see [`Store::attributes`](crate::Store::attributes).
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
/// Maps to the endpoints [Get all customer attributes and Create customer attributes][1].
///
/// [1]: https://developer.bigcommerce.com/docs/rest-management/customers/customer-attributes
#[must_use = "nothing is sent before one of its methods is awaited"]
pub struct Attributes {
    client: Client,
}

impl Attributes {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Lists the attributes that the store defines.
    ///
    /// Cancel safety: dropping the future cancels the request.
    ///
    /// # Errors
    ///
    /// When they could not be read after all retries.
    pub async fn list(self) -> Result<Vec<Attribute>, Error> {
        in_task(async move { list(&self.client, &RunContext::default(), 0).await.result })
            .await?
            .map_err(|failed| failed.error)
    }

    /// Finds an attribute by its name, as it is written.
    ///
    /// Cancel safety: dropping the future cancels the request.
    ///
    /// # Errors
    ///
    /// When the attributes could not be read after all retries.
    pub async fn find(self, name: &str) -> Result<Option<Attribute>, Error> {
        let attributes = self.list().await?;
        Ok(attributes.into_iter().find(|known| known.name == name))
    }

    /// Finds attributes by their names, as they are written, and returns them in that order.
    ///
    /// Cancel safety: dropping the future cancels the request.
    ///
    /// # Errors
    ///
    /// When the attributes could not be read after all retries, or when a name is not defined: the
    /// error lists the names that are, and the nearest one.
    pub async fn find_all(
        self,
        names: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Vec<Attribute>, Error> {
        let definitions = Definitions::from(self.list().await?);
        let by_name = |name: &str| match definitions.by_name(name) {
            Ok(known) => Ok(known.clone()),
            Err(rule) => Err(Error::invalid_input(rule.to_string())),
        };
        names
            .into_iter()
            .map(|name| by_name(name.as_ref()))
            .collect()
    }

    /// Creates those attributes that the store does not define yet, and returns all that were
    /// named, in their order.
    ///
    /// An attribute is never created twice: after a request whose answer was lost, the attributes
    /// are listed again before another one is made, and only when the
    /// [`grace`](crate::Limits::grace) is over in which the store may still be at it. Where the
    /// store refuses to create them together, each is created alone, so that one that it refuses
    /// keeps none of the others away.
    ///
    /// Cancel safety: dropping the future cancels the request, which may have been done.
    ///
    /// # Errors
    ///
    /// When the attributes could not be read, when one could not be created, or when one is there
    /// with another type, which can't be changed.
    pub async fn ensure<N: Into<String>>(
        self,
        wanted: impl IntoIterator<Item = (N, AttributeType)>,
    ) -> Result<Vec<Attribute>, Error> {
        let wanted = wanted.into_iter().map(|(name, kind)| (name.into(), kind));
        let wanted: Vec<_> = wanted.collect();
        in_task(async move { ensure(&self.client, &wanted).await }).await?
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attributes")
            .field("client", &self.client)
            .finish()
    }
}

/// Reads the definitions, with all retries.
pub(crate) async fn fetch(
    client: &Client,
    run: &RunContext,
    number: u64,
) -> CallOutcome<Definitions> {
    let outcome = list(client, run, number).await;
    CallOutcome::new(outcome.result.map(Definitions::from), outcome.requests)
}

async fn list(client: &Client, run: &RunContext, number: u64) -> CallOutcome<Vec<Attribute>> {
    let operation = Operation::list_attributes();
    let fetch_page = |page: PageId, size| {
        let operation = &operation;
        async move {
            call(client, run, operation, number, |sdk| async move {
                let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
                let request = sdk.list_attributes().page(number(page.number));
                request.limit(number(size)).send().await
            })
            .await
        }
    };
    let mut attributes = Vec::new();
    let accept = |page: AttributePage| {
        let first = page.data.first().map(|first| (first.id, 0));
        attributes.extend(page.data);
        Ok(PageHead {
            pagination: page.meta.and_then(|meta| meta.pagination),
            first,
        })
    };
    let page_size = PageSize::new(client, Some(PAGE_SIZE));
    let outcome = read_pages(1, page_size, fetch_page, accept).await;
    CallOutcome::new(outcome.result.map(|()| attributes), outcome.requests)
}

/// Says what went wrong, if something did, and until when a request may be running unanswered.
async fn create(
    client: &Client,
    run: &RunContext,
    new: &[&(String, AttributeType)],
) -> (Option<CallFailure>, Option<Instant>) {
    let build = |(name, kind): &&(String, AttributeType)| {
        AttributeCreate::builder()
            .name(name.as_str())
            .type_(*kind)
            .try_into()
            .map_err(|error: bigcommerce_sdk::types::error::ConversionError| {
                CallFailure::from(Error::invalid_input(format!("attribute {name:?}: {error}")))
            })
    };
    let body: Vec<AttributeCreate> = match new.iter().map(build).collect() {
        Ok(body) => body,
        Err(failed) => return (Some(failed), None),
    };
    let operation = match new {
        [(name, _)] => Operation::create_attribute(name),
        _ => Operation::create_attributes(),
    };
    let outcome = call(client, run, &operation, 0, |sdk| {
        let body = body.clone();
        async move { sdk.create_attributes().body(body).send().await }
    })
    .await;
    (outcome.result.err(), outcome.hold)
}

async fn ensure(
    client: &Client,
    wanted: &[(String, AttributeType)],
) -> Result<Vec<Attribute>, Error> {
    let run = RunContext::default();
    let policy = client.retry();
    let mut tried = 0;
    let mut is_created = false;
    let mut one_by_one = false;
    loop {
        let known = list(client, &run, 0).await.result;
        let known = known.map_err(|failed| failed.error)?;
        let missing = missing(&known, wanted)?;
        if missing.is_empty() {
            let find = |(name, _): &(String, AttributeType)| {
                known.iter().find(|known| known.name == *name).cloned()
            };
            return Ok(wanted.iter().filter_map(find).collect());
        }
        if is_created {
            return Err(Error::attributes_not_created());
        }
        tried += 1;
        let is_last = tried >= policy.max_attempts;
        let at_once = if one_by_one { 1 } else { missing.len() };
        let (mut failed, mut hold) = (None, None);
        for new in missing.chunks(at_once) {
            let (refused, held) = create(client, &run, new).await;
            failed = failed.or(refused);
            hold = hold.max(held);
        }
        match failed {
            None => is_created = true,
            // Some of them may have been created: the next look tells.
            Some(failed) if at_once > 1 && is_refused(&failed) => one_by_one = true,
            Some(failed) if failed.is_ambiguous && !is_last => {
                sleep(policy.backoff(tried, fastrand::f64())).await;
                // What the next look does not find must not come to be after it.
                if let Some(until) = hold {
                    sleep_until(until).await;
                }
            }
            Some(failed) => return Err(failed.error),
        }
    }
}

fn is_refused(failed: &CallFailure) -> bool {
    matches!(
        failed.error.kind(),
        ErrorKind::InvalidRequest | ErrorKind::TooLarge
    )
}

/// Tells which attributes are not there, each once.
fn missing<'a>(
    known: &[Attribute],
    wanted: &'a [(String, AttributeType)],
) -> Result<Vec<&'a (String, AttributeType)>, Error> {
    let mut missing: Vec<&(String, AttributeType)> = Vec::new();
    for new in wanted {
        let (name, kind) = new;
        let there = known.iter().find(|known| known.name == *name);
        let twice = missing.iter().find(|(other, _)| other == name);
        let other = match (there, twice) {
            (Some(known), _) => Some(known.type_.clone()),
            (None, Some((_, kind))) => Some(kind.to_string()),
            (None, None) => None,
        };
        match other {
            Some(other) if other != kind.to_string() => {
                return Err(Error::invalid_input(format!(
                    "attribute {name:?} is of type {other}, which can't be changed to {kind}"
                )));
            }
            Some(_) => {}
            None => missing.push(new),
        }
    }
    Ok(missing)
}
