use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::attributes::AttributeType;
use crate::cdnow;
use crate::fault_plan::FaultPlan;
use crate::sandbox::Sandbox;
use crate::settings::{
    BatchRejection, Cursors, Duplicates, EmailListSplit, ErrorKeys, LimitTooLarge, ListMeta,
    ListOrder, ResponseOrder, Settings, TooLarge, UnknownId,
};
use crate::store::SandboxCustomer;

impl Sandbox {
    /// Returns a builder with the provider's documented limits, but without a quota.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder::default()
    }
}

/// Settings of a [`Sandbox`]. The defaults are the provider's documented limits, without a
/// quota.
#[must_use = "the sandbox does not run until `start` is called"]
#[derive(Clone, Default)]
pub struct SandboxBuilder {
    settings: Settings,
}

impl SandboxBuilder {
    /// Sets the port on 127.0.0.1 (default 0, which picks a free port).
    pub fn port(mut self, port: u16) -> Self {
        self.settings.port = port;
        self
    }

    /// Sets the store hash, which is a part of every path (default `sandbox`).
    pub fn store_hash(mut self, hash: impl Into<String>) -> Self {
        self.settings.store_hash = hash.into();
        self
    }

    /// Sets the only accepted token (default: any non-empty `X-Auth-Token`).
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = Some(token.into());
        self
    }

    /// Gives the token the read-only OAuth scope: PUT, POST and DELETE are rejected with 403. By
    /// default the token may also modify.
    pub fn read_only(mut self) -> Self {
        self.settings.read_only = true;
        self
    }

    /// Sets the store's calendar time at the start (default: the system's time).
    ///
    /// From then on, the dates of values follow tokio's clock; see also
    /// [`Sandbox::advance`](crate::Sandbox::advance).
    pub fn starts_at(mut self, time: DateTime<Utc>) -> Self {
        self.settings.starts_at = Some(time);
        self
    }

    /// Sets whether responses have the header `Date`, in the calendar of the store (default: yes).
    pub fn date_header(mut self, sent: bool) -> Self {
        self.settings.date_header = sent;
        self
    }

    /// Sets how long each admitted request waits before it is executed (default zero).
    ///
    /// A waiting request counts as in flight. Tokio rounds up to whole milliseconds.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.settings.latency = latency;
        self
    }

    /// Sets the number of requests allowed per window (default: no quota and no rate-limit
    /// headers).
    ///
    /// A window starts with the first request that counts and lasts for `window`. The next window
    /// starts with the first request after its end. `Requests-Left` is the value at the time of
    /// admission. `Time-Reset-Ms` is the time from the response to the window's end in
    /// milliseconds, rounded up, or 0 if the window has ended.
    pub fn quota(mut self, requests: u64, window: Duration) -> Self {
        self.settings.quota = Some((requests, window));
        self
    }

    /// Adds another app that uses the same quota (default none). Has no effect without a
    /// [quota](Self::quota).
    ///
    /// The app uses `share` (0 to 1) of the quota of each window, at random times that depend on
    /// `seed` and the window's number. With a quota of more than a few hundred requests, it makes
    /// several requests at a time. It never exceeds the quota and never starts a window. Its
    /// requests show in the rate-limit headers only, not in [`Counts`](crate::Counts).
    pub fn other_app(mut self, seed: u64, share: f64) -> Self {
        self.settings.other_app = Some((seed, share));
        self
    }

    /// Sets whether the 429 of a spent quota has an `X-Retry-After` header, in seconds, rounded up
    /// (default `true`).
    pub fn retry_after(mut self, sent: bool) -> Self {
        self.settings.retry_after = sent;
        self
    }

    /// Sets how many requests may be in flight at once, over all operations (default 3).
    pub fn in_flight(mut self, requests: usize) -> Self {
        self.settings.in_flight = requests;
        self
    }

    /// Sets the maximum number of distinct customers per PUT (default 10).
    pub fn customers_per_call(mut self, customers: usize) -> Self {
        self.settings.customers_per_call = customers;
        self
    }

    /// Sets the maximum number of rows per PUT (default `None`, no maximum).
    pub fn rows_per_call(mut self, rows: impl Into<Option<usize>>) -> Self {
        self.settings.rows_per_call = rows.into();
        self
    }

    /// Sets the largest `limit` of a GET (default 250). See also
    /// [`limit_too_large`](Self::limit_too_large).
    pub fn page_limit(mut self, values: usize) -> Self {
        self.settings.page_limit = values;
        self
    }

    /// Sets the maximum number of IDs per DELETE, of values or attributes (default `None`, no maximum).
    pub fn delete_limit(mut self, ids: impl Into<Option<usize>>) -> Self {
        self.settings.delete_limit = ids.into();
        self
    }

    /// Sets whether a PUT or POST with invalid rows still stores its valid rows (default
    /// [`BatchRejection::Atomic`]).
    pub fn batch_rejection(mut self, rejection: BatchRejection) -> Self {
        self.settings.batch_rejection = rejection;
        self
    }

    /// Sets how the errors of a 422 name an invalid row (default [`ErrorKeys::Indexed`]).
    pub fn error_keys(mut self, keys: ErrorKeys) -> Self {
        self.settings.error_keys = keys;
        self
    }

    /// Sets the status that rejects a PUT or DELETE, or a POST of customers, that is too large (default
    /// [`TooLarge::Status422`]).
    pub fn too_large(mut self, status: TooLarge) -> Self {
        self.settings.too_large = status;
        self
    }

    /// Sets what happens to a PUT that names the same customer and attribute more than once
    /// (default [`Duplicates::LastWins`]).
    pub fn duplicates(mut self, duplicates: Duplicates) -> Self {
        self.settings.duplicates = duplicates;
        self
    }

    /// Sets the order of `data` in the response to a PUT (default [`ResponseOrder::AsSent`]).
    pub fn response_order(mut self, order: ResponseOrder) -> Self {
        self.settings.response_order = order;
        self
    }

    /// Sets what happens to a DELETE that names an unknown ID (default [`UnknownId::Ignored`]).
    pub fn unknown_id(mut self, unknown: UnknownId) -> Self {
        self.settings.unknown_id = unknown;
        self
    }

    /// Sets the order in which a GET lists values (default [`ListOrder::ById`]). Attributes and
    /// customers are always listed by ID.
    pub fn list_order(mut self, order: ListOrder) -> Self {
        self.settings.list_order = order;
        self
    }

    /// Sets what the response to a GET contains in `meta` (default
    /// [`ListMeta::Full`]).
    pub fn list_meta(mut self, meta: ListMeta) -> Self {
        self.settings.list_meta = meta;
        self
    }

    /// Sets what happens to a GET whose `limit` is too large (default
    /// [`LimitTooLarge::Status422`]).
    pub fn limit_too_large(mut self, too_large: LimitTooLarge) -> Self {
        self.settings.limit_too_large = too_large;
        self
    }

    /// Sets whether a GET ignores all filters, valid or not (default `false`). Only `page`, `limit`
    /// and, for customers, the cursors take effect. See also [`ignore_filter`](Self::ignore_filter).
    pub fn ignore_filters(mut self, ignored: bool) -> Self {
        self.settings.ignore_filters = ignored;
        self
    }

    /// Adds a filter that a GET ignores, valid or not, such as `email:in` (default none). If it is
    /// the only filter of a request, everything is listed. The provider doesn't document what
    /// happens to a filter that a store doesn't know.
    pub fn ignore_filter(mut self, name: impl Into<String>) -> Self {
        self.settings.ignored_filters.insert(name.into());
        self
    }

    /// Adds a field of values that the provider doesn't document (default none: such fields are
    /// ignored). What rows of a PUT have in it is kept with the value, as any JSON, and shown in the
    /// records of a PUT and a GET. A later row without the field leaves it as it is. See also
    /// [`StoredValue::extra_field`](crate::StoredValue::extra_field).
    pub fn extra_field(mut self, name: impl Into<String>) -> Self {
        self.settings.extra_fields.insert(name.into());
        self
    }

    /// Adds a filter of a GET of values by an [extra field](Self::extra_field) (default none: such
    /// filters are rejected). A filter has the name of its field, and selects the values whose field is
    /// this text or, as JSON, reads like it. With the suffix `:in`, several texts are separated by
    /// commas.
    pub fn extra_filter(mut self, name: impl Into<String>) -> Self {
        self.settings.extra_filters.insert(name.into());
        self
    }

    /// Sets when a GET of customers splits the list in `email:in` (default
    /// [`EmailListSplit::AfterDecoding`]). The provider doesn't document it.
    pub fn email_list_split(mut self, split: EmailListSplit) -> Self {
        self.settings.email_list_split = split;
        self
    }

    /// Sets whether `email:in` distinguishes case (default `false`). The provider doesn't document
    /// it. Spaces around an address never count.
    pub fn distinguish_email_case(mut self, distinguished: bool) -> Self {
        self.settings.distinguish_email_case = distinguished;
        self
    }

    /// Sets whether lists of customers have cursors (default [`Cursors::Supported`]). The provider
    /// documents cursors, but not that every store has them.
    pub fn cursors(mut self, cursors: Cursors) -> Self {
        self.settings.cursors = cursors;
        self
    }

    /// Sets the maximum length in bytes of a request's path and query, as sent (default 8,192). A
    /// longer URL is rejected at once with 414 and an HTML body, as by a gateway.
    ///
    /// The underlying HTTP library accepts at most 65,534 bytes. Whatever the setting, it rejects a
    /// longer URL with a 414 without a body, and the request is not counted.
    pub fn url_limit(mut self, bytes: usize) -> Self {
        self.settings.url_limit = bytes;
        self
    }

    /// Defines an attribute that accepts any text (default: none is defined).
    ///
    /// Rows may also name undefined attributes unless
    /// [`reject_undefined_attributes`](Self::reject_undefined_attributes) or
    /// [`known_attributes`](Self::known_attributes) restricts them. No limits or checks apply to
    /// the definition. A second definition with the same ID replaces the first.
    pub fn attribute(self, id: i64, name: impl Into<String>) -> Self {
        self.typed_attribute(id, name, AttributeType::Text)
    }

    /// Defines an attribute like [`attribute`](Self::attribute), with a type. A row whose value
    /// doesn't have this type is invalid.
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

    /// Puts a customer into the store (default: there is none). See also
    /// [`customers`](Self::customers).
    ///
    /// A GET of customers lists them. Rows of a PUT may also name other customers. No limits or
    /// checks apply to the address, and several customers may have one. A second customer with the
    /// same ID replaces the first.
    pub fn customer(self, id: i64, email: impl Into<String>) -> Self {
        self.customers([(id, email)])
    }

    /// Puts customers into the store like [`customer`](Self::customer): pairs of ID and address, or
    /// [`SandboxCustomer`]s with more details.
    pub fn customers<C: Into<SandboxCustomer>>(
        mut self,
        customers: impl IntoIterator<Item = C>,
    ) -> Self {
        let customers = customers.into_iter().map(Into::into);
        self.settings.customers.extend(customers);
        self
    }

    /// Puts 2,360 customers with 7,059 values into the store: real customers of the music shop CDNOW,
    /// by the data set that Peter Fader and Bruce Hardie published, as they were before the latest
    /// change of its file (default: there are none).
    ///
    /// The attributes `frequency` (ID 101), `recency_weeks` (102) and `tenure_weeks` (103) are numbers.
    /// Customer 1 has the address `customer1@example.com`, and so on. The values are a day older than the
    /// store. The file `cdnow_customers.csv`
    /// has 7,071 values of the customers 1 to 2357. These differences are there for a sync to find:
    ///
    /// - The customers 2351 to 2357 have no values yet: 21 are to be created.
    /// - The customers 500, 1000, 1500 and 2000 have the `frequency` 99: 4 are to be changed.
    /// - The customers 2358 to 2360 are not in the file: their 9 values are to be deleted.
    pub fn cdnow(mut self) -> Self {
        cdnow::fill(&mut self.settings);
        self
    }

    /// Sets the only attribute IDs that rows may name (default: every ID from 1).
    ///
    /// The list is independent of the definitions: an attribute that is defined, by the builder or
    /// by a POST, is unknown unless it is listed.
    pub fn known_attributes(mut self, ids: impl IntoIterator<Item = i64>) -> Self {
        self.settings.known_attributes = Some(ids.into_iter().collect());
        self
    }

    /// Sets whether rows may name only attributes that are defined at the time, by the builder or by
    /// a POST (default `false`: every ID from 1, except for those of deleted attributes).
    pub fn reject_undefined_attributes(mut self, rejected: bool) -> Self {
        self.settings.reject_undefined_attributes = rejected;
        self
    }

    /// Sets a rule that makes rows invalid (default none). It receives customer ID, attribute ID
    /// and value, and returns an error message for an invalid row. A second rule replaces the
    /// first.
    ///
    /// If the rule panics, the client's connection closes.
    pub fn reject<F>(mut self, rule: F) -> Self
    where
        F: Fn(i64, i64, &str) -> Option<String> + Send + Sync + 'static,
    {
        self.settings.reject = Some(Arc::new(rule));
        self
    }

    /// Sets the fault plan (default [`FaultPlan::none`]). See also [`Sandbox::set_faults`].
    pub fn faults(mut self, plan: FaultPlan) -> Self {
        self.settings.faults = plan;
        self
    }

    /// Starts the sandbox on the current tokio runtime.
    ///
    /// The runtime needs its I/O and time drivers. A current-thread runtime with a paused clock
    /// works too.
    ///
    /// # Errors
    ///
    /// Returns an error if the port can't be bound, or (`InvalidInput`) if the store hash is empty
    /// or contains anything but ASCII letters and digits, or if an extra field or filter has the name of
    /// another one, or a filter has no field.
    pub async fn start(self) -> io::Result<Sandbox> {
        Sandbox::start(self.settings).await
    }
}

/// Omits the token.
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
