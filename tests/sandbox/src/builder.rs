use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::attributes::AttributeType;
use crate::plan::FaultPlan;
use crate::sandbox::Sandbox;
use crate::settings::{
    AnswerOrder, BatchRejection, Duplicates, ErrorKeys, LimitTooLarge, ListMeta, ListOrder,
    Settings, TooLarge, UnknownId,
};

/// Settings of a [`Sandbox`] to be started; the defaults are the provider's documented limits.
#[must_use = "a sandbox runs from `start` on"]
#[derive(Clone, Default)]
pub struct SandboxBuilder {
    settings: Settings,
}

impl SandboxBuilder {
    /// The port to listen on at 127.0.0.1; default 0, which takes a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.settings.port = port;
        self
    }

    /// The store's hash, part of every path; default `sandbox`.
    pub fn store_hash(mut self, hash: impl Into<String>) -> Self {
        self.settings.store_hash = hash.into();
        self
    }

    /// The only token that is accepted; by default any `X-Auth-Token` that is not empty is.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = Some(token.into());
        self
    }

    /// Gives the token the OAuth scope to read only: PUT, POST and DELETE are refused with 403;
    /// default is to modify too.
    pub fn read_only(mut self) -> Self {
        self.settings.read_only = true;
        self
    }

    /// The store's calendar time when it starts; default the system's.
    ///
    /// From then on the dates of values follow tokio's clock.
    pub fn starts_at(mut self, time: DateTime<Utc>) -> Self {
        self.settings.starts_at = Some(time);
        self
    }

    /// How long every admitted request waits before its work is done; default zero.
    ///
    /// The request counts as in flight while it waits. Tokio rounds up to whole milliseconds.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.settings.latency = latency;
        self
    }

    /// How many requests are answered per window; default no quota, and then no rate-limit headers.
    ///
    /// A window opens with the first request that counts and lasts for `window`; the next one
    /// opens with the first request after its end. `Left` is what was left when the request was
    /// admitted; `Reset` is the time to its window's end when it is answered, in milliseconds,
    /// rounded up, 0 if the window has ended meanwhile.
    pub fn quota(mut self, requests: u64, window: Duration) -> Self {
        self.settings.quota = Some((requests, window));
        self
    }

    /// Another app that takes requests out of the same quota, so that less is left than this
    /// sandbox's client has left; default none. Without a [quota](Self::quota) it changes nothing.
    ///
    /// It takes `share` (0 to 1) of the quota of each window, at random moments of the window that
    /// depend only on `seed` and on which window it is; of a quota of more than a few hundred it
    /// takes several requests at some of them. Where nothing is left it gets nothing, and it opens
    /// no window. It counts nowhere but in the rate-limit headers.
    pub fn other_app(mut self, seed: u64, share: f64) -> Self {
        self.settings.other_app = Some((seed, share));
        self
    }

    /// Whether the 429 of a spent quota carries `X-Retry-After` (seconds, rounded up); default yes.
    pub fn retry_after(mut self, sent: bool) -> Self {
        self.settings.retry_after = sent;
        self
    }

    /// How many requests may be in flight at once, over all operations; default 3.
    pub fn in_flight(mut self, requests: usize) -> Self {
        self.settings.in_flight = requests;
        self
    }

    /// How many distinct customers one PUT may carry; default 10.
    pub fn customers_per_call(mut self, customers: usize) -> Self {
        self.settings.customers_per_call = customers;
        self
    }

    /// How many rows one PUT may carry; default `None`, any number.
    pub fn rows_per_call(mut self, rows: impl Into<Option<usize>>) -> Self {
        self.settings.rows_per_call = rows.into();
        self
    }

    /// How many characters (not bytes) a value may have; default 255.
    pub fn value_length(mut self, characters: usize) -> Self {
        self.settings.value_length = characters;
        self
    }

    /// The largest `limit` of a GET; default 250. What more does is
    /// [another setting](Self::limit_too_large).
    pub fn page_limit(mut self, values: usize) -> Self {
        self.settings.page_limit = values;
        self
    }

    /// How many IDs one DELETE may name; default `None`, any number.
    pub fn delete_limit(mut self, ids: impl Into<Option<usize>>) -> Self {
        self.settings.delete_limit = ids.into();
        self
    }

    /// Whether a PUT with bad rows stores its good ones, and a POST creates its good attributes;
    /// default [`BatchRejection::Atomic`].
    pub fn batch_rejection(mut self, rejection: BatchRejection) -> Self {
        self.settings.batch_rejection = rejection;
        self
    }

    /// How the errors of a 422 name a bad row; default [`ErrorKeys::Indexed`].
    pub fn error_keys(mut self, keys: ErrorKeys) -> Self {
        self.settings.error_keys = keys;
        self
    }

    /// The status that refuses too large a batch; default [`TooLarge::Status422`].
    pub fn too_large(mut self, status: TooLarge) -> Self {
        self.settings.too_large = status;
        self
    }

    /// What the same customer and attribute twice in one PUT do; default
    /// [`Duplicates::LastWins`].
    pub fn duplicates(mut self, duplicates: Duplicates) -> Self {
        self.settings.duplicates = duplicates;
        self
    }

    /// The order of `data` in the answer to a PUT; default [`AnswerOrder::AsSent`].
    pub fn answer_order(mut self, order: AnswerOrder) -> Self {
        self.settings.answer_order = order;
        self
    }

    /// What an unknown ID in a DELETE does; default [`UnknownId::Ignored`].
    pub fn unknown_id(mut self, unknown: UnknownId) -> Self {
        self.settings.unknown_id = unknown;
        self
    }

    /// The order in which a GET lists values; default [`ListOrder::ById`]. Attributes are always
    /// listed by their IDs.
    pub fn list_order(mut self, order: ListOrder) -> Self {
        self.settings.list_order = order;
        self
    }

    /// What the `meta` of the answer to a GET says, of values and of attributes; default
    /// [`ListMeta::Full`].
    pub fn list_meta(mut self, meta: ListMeta) -> Self {
        self.settings.list_meta = meta;
        self
    }

    /// What too large a `limit` of a GET does; default [`LimitTooLarge::Status422`].
    pub fn limit_too_large(mut self, too_large: LimitTooLarge) -> Self {
        self.settings.limit_too_large = too_large;
        self
    }

    /// Whether a GET takes no notice of its parameters but `page` and `limit`, as of a filter that
    /// a server does not know and does not refuse; default no.
    pub fn ignore_filters(mut self, ignored: bool) -> Self {
        self.settings.ignore_filters = ignored;
        self
    }

    /// How many bytes the path and query of a request may have together, as they are sent; default
    /// 8,192. More is refused at once with 414 and an HTML body, as by a gateway.
    ///
    /// The HTTP library that this stands on takes 65,534 at most: more is answered 414 without a
    /// body, whatever this says, and not counted.
    pub fn url_limit(mut self, bytes: usize) -> Self {
        self.settings.url_limit = bytes;
        self
    }

    /// Defines an attribute whose values are any text; default none is defined.
    ///
    /// A definition neither makes an attribute known nor limits which ones are: see
    /// [`known_attributes`](Self::known_attributes). It is past all limits and checks; of two with
    /// the same ID the last one counts.
    pub fn attribute(self, id: i64, name: impl Into<String>) -> Self {
        self.typed_attribute(id, name, AttributeType::Text)
    }

    /// Defines an attribute as [`attribute`](Self::attribute) does, with a type: a row with a value
    /// that is not of this type is a bad row.
    pub fn typed_attribute(
        mut self,
        id: i64,
        name: impl Into<String>,
        attribute_type: AttributeType,
    ) -> Self {
        let definition = (name.into(), attribute_type);
        self.settings.attributes.insert(id, definition);
        self
    }

    /// The only attribute IDs that rows may name; by default every ID from 1 up is known.
    ///
    /// Whether they are defined is no matter, and a POST that defines one does not make it known.
    pub fn known_attributes(mut self, ids: impl IntoIterator<Item = i64>) -> Self {
        self.settings.known_attributes = Some(ids.into_iter().collect());
        self
    }

    /// The only customer IDs that rows may name; by default every ID from 1 up is known.
    pub fn known_customers(mut self, ids: impl IntoIterator<Item = i64>) -> Self {
        self.settings.known_customers = Some(ids.into_iter().collect());
        self
    }

    /// A rule that makes rows bad: given customer ID, attribute ID and value, it returns the
    /// message for a bad row, `None` for a good one. Default no rule; the last one set counts.
    ///
    /// A rule that panics costs its client the connection.
    pub fn reject<F>(mut self, rule: F) -> Self
    where
        F: Fn(i64, i64, &str) -> Option<String> + Send + Sync + 'static,
    {
        self.settings.reject = Some(std::sync::Arc::new(rule));
        self
    }

    /// What goes wrong; default nothing. See also [`Sandbox::set_faults`].
    pub fn faults(mut self, plan: FaultPlan) -> Self {
        self.settings.faults = plan;
        self
    }

    /// Starts the sandbox on the tokio runtime that this is called on.
    ///
    /// The runtime needs its I/O and time drivers. Any kind will do, a current-thread one with a
    /// paused clock included.
    ///
    /// # Errors
    ///
    /// When the port can't be bound, or the store hash is empty or holds anything but ASCII
    /// letters and digits (`InvalidInput`).
    pub async fn start(self) -> std::io::Result<Sandbox> {
        Sandbox::start(self.settings).await
    }
}

/// Leaves the token out.
impl fmt::Debug for SandboxBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxBuilder")
            .field("port", &self.settings.port)
            .field("store_hash", &self.settings.store_hash)
            .field("latency", &self.settings.latency)
            .field("quota", &self.settings.quota)
            .finish_non_exhaustive()
    }
}
