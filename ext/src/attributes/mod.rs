//! The attributes that a store defines.

mod definitions;

use std::fmt;

use bigcommerce_sdk::types::{Attribute, AttributeCreate, AttributeType};
use tokio::time::{Instant, sleep, sleep_until};

use crate::call::{Ended, Failed, Operation, Run, call, in_task};
use crate::error::{Error, ErrorKind};
use crate::store::Store;

pub use definitions::Definitions;
pub(crate) use definitions::check;

/// The most attributes that a store defines, which is what a page holds by default too.
const PAGE: i64 = 50;

/// The attributes that a store defines, at most 50; see [`Store::attributes`].
///
/// ```
/// use bigcommerce_ext::Store;
/// use bigcommerce_ext::sdk::types::AttributeType;
/// # use bigcommerce_sandbox::Sandbox;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sandbox = Sandbox::builder().start().await?;
/// # let store = Store::builder_at(sandbox.base_url(), "any token").build()?;
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
    store: Store,
}

impl Attributes {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Lists the attributes that the store defines.
    ///
    /// Cancel safety: dropping the future cancels the request.
    ///
    /// # Errors
    ///
    /// When they could not be read after all retries.
    pub async fn list(self) -> Result<Vec<Attribute>, Error> {
        in_task(async move { list(&self.store, &Run::default()).await.result })
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
    pub async fn named(
        self,
        names: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Vec<Attribute>, Error> {
        let definitions = Definitions::from(self.list().await?);
        let by_name = |name: &str| match definitions.by_name(name) {
            Ok(known) => Ok(known.clone()),
            Err(rule) => Err(Error::config(rule.to_string())),
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
        in_task(async move { ensure(&self.store, &wanted).await }).await?
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attributes")
            .field("store", &self.store)
            .finish()
    }
}

/// Reads the definitions, with all retries.
pub(crate) async fn fetch(store: &Store, run: &Run, number: u64) -> Ended<Definitions> {
    let listed = list_as(store, run, number).await;
    Ended::of(listed.result.map(Definitions::from), listed.attempts)
}

async fn list(store: &Store, run: &Run) -> Ended<Vec<Attribute>> {
    list_as(store, run, 0).await
}

async fn list_as(store: &Store, run: &Run, number: u64) -> Ended<Vec<Attribute>> {
    let mut attributes = Vec::new();
    let mut attempts = 0;
    for page in 1.. {
        let operation = Operation::list_attributes();
        let ended = call(store, run, &operation, number, |client| async move {
            let request = client.list_attributes().page(page).limit(PAGE);
            request.send().await
        })
        .await;
        attempts += ended.attempts;
        match ended.result {
            Err(failed) => return Ended::of(Err(failed), attempts),
            Ok(answer) => {
                let pages = answer.meta.and_then(|meta| meta.pagination?.total_pages);
                attributes.extend(answer.data);
                if page >= pages.unwrap_or(1) {
                    break;
                }
            }
        }
    }
    Ended::of(Ok(attributes), attempts)
}

/// Says what went wrong, if something did, and until when a request may be running unanswered.
async fn create(
    store: &Store,
    run: &Run,
    new: &[&(String, AttributeType)],
) -> (Option<Failed>, Option<Instant>) {
    let build = |(name, kind): &&(String, AttributeType)| {
        AttributeCreate::builder()
            .name(name.as_str())
            .type_(*kind)
            .try_into()
            .map_err(|error: bigcommerce_sdk::types::error::ConversionError| {
                Failed::from(Error::config(format!("attribute {name:?}: {error}")))
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
    let ended = call(store, run, &operation, 0, |client| {
        let body = body.clone();
        async move { client.create_attributes().body(body).send().await }
    })
    .await;
    (ended.result.err(), ended.hold)
}

async fn ensure(
    store: &Store,
    wanted: &[(String, AttributeType)],
) -> Result<Vec<Attribute>, Error> {
    let run = Run::default();
    let policy = &store.shared().retry;
    let mut tried = 0;
    let mut is_created = false;
    let mut one_by_one = false;
    loop {
        let known = list(store, &run).await.result;
        let known = known.map_err(|failed| failed.error)?;
        let missing = missing(&known, wanted)?;
        if missing.is_empty() {
            let find = |(name, _): &(String, AttributeType)| {
                known.iter().find(|known| known.name == *name).cloned()
            };
            return Ok(wanted.iter().filter_map(find).collect());
        }
        if is_created {
            return Err(Error::not_created());
        }
        tried += 1;
        let is_last = tried >= policy.most_attempts();
        let at_once = if one_by_one { 1 } else { missing.len() };
        let (mut failed, mut hold) = (None, None);
        for new in missing.chunks(at_once) {
            let (refused, held) = create(store, &run, new).await;
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

fn is_refused(failed: &Failed) -> bool {
    matches!(
        failed.error.kind(),
        ErrorKind::Refused | ErrorKind::TooLarge
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
                return Err(Error::config(format!(
                    "attribute {name:?} is of type {other}, which can't be changed to {kind}"
                )));
            }
            Some(_) => {}
            None => missing.push(new),
        }
    }
    Ok(missing)
}
