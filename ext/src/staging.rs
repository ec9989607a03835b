//! The rows in front of the window: they wait, in the order of the input, until their customers and
//! attributes are known. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashSet;
use tokio::time::Instant;

use crate::attributes::Definitions;
use crate::customer_key::CustomerKey;
use crate::customers::{
    AccountChoice, Address, AddressBook, AddressState, Listing, ListingScope, Lookup, url_len,
};
use crate::error::{Error, Violation};
use crate::list::ExternalIds;
use crate::row::Row;
use crate::value::AttributeKey;

/// How long a listing is believed: customers come and go.
const MAX_LISTING_AGE: Duration = Duration::from_secs(600);
/// The number of lookups from which on a listing is worth a try.
pub(crate) const MIN_LOOKUPS_FOR_LISTING: u64 = 4;

/// How the keys of rows are resolved.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResolveOptions {
    /// The attribute whose values are the external IDs.
    pub external_id: Option<AttributeKey>,
    pub choice: AccountChoice,
    /// The listing of all customers to begin with, if it is worthwhile.
    pub listing: Option<ListingScope>,
    /// The attributes of the store, if they are known.
    pub definitions: Option<Definitions>,
}

/// A request that rows wait for.
#[derive(Debug)]
pub(crate) enum StagingCall {
    Attributes,
    /// Lists all customers.
    Listing(ListingScope),
    /// Lists the values of the attribute with this ID.
    ExternalIds(i64),
    Addresses(Lookup),
}

/// A row that leaves the room.
pub(crate) enum StagedOutcome<R> {
    /// The row's keys are known.
    Ready(R),
    /// The input yielded an error instead of a row.
    InputError(Error),
    /// The row is invalid. `accounts` are the customers that it may mean, if there are several.
    Invalid {
        row: R,
        violation: Violation,
        accounts: Box<[i64]>,
    },
    /// The row's customer could not be looked up.
    Failed(R, Error),
}

/// The result of a request that is made once.
#[derive(Debug)]
enum Once<T> {
    NotRequested,
    Requested,
    Known(T),
}

impl<T> Once<T> {
    fn is_pending(&self) -> bool {
        matches!(self, Self::NotRequested | Self::Requested)
    }
}

/// The rows that wait for lookups, and what was looked up.
pub(crate) struct Staging<R> {
    rows: VecDeque<StagedItem<R>>,
    /// The number of rows that need attributes, and of those that need external IDs.
    needing_attributes: usize,
    needing_external_ids: usize,
    /// Whether values are validated against their attributes' types; `None` to validate only values
    /// of attributes given by name.
    checks_types: Option<bool>,
    external_id: Option<AttributeKey>,
    /// The ID of the attribute that has the external IDs, once it is known.
    external_attribute: Option<i64>,
    definitions: Once<Definitions>,
    external_ids: Once<Result<ExternalIds, Error>>,
    /// `None` without a listing, and after one that was not worthwhile.
    listing: Option<Once<Listing>>,
    listing_scope: ListingScope,
    /// Whether a row has named its customer by address.
    has_addresses: bool,
    addresses: AddressBook,
    is_idle: bool,
    input_ended: bool,
}

enum StagedItem<R> {
    Error(Error),
    Row {
        row: R,
        customer: StagedCustomer,
        checks_type: bool,
        needs_attributes: bool,
    },
}

enum StagedCustomer {
    Known,
    Invalid(Violation),
    Address(Address),
    External(Arc<str>),
}

impl<R: Row> Staging<R> {
    pub(crate) fn new(
        options: ResolveOptions,
        checks_types: Option<bool>,
        max_url_len: usize,
        max_wait: Duration,
    ) -> Self {
        let ResolveOptions {
            external_id,
            choice,
            listing,
            definitions,
        } = options;
        let mut staging = Self {
            rows: VecDeque::new(),
            needing_attributes: 0,
            needing_external_ids: 0,
            checks_types,
            external_attribute: external_id.as_ref().and_then(AttributeKey::id),
            external_id,
            definitions: Once::NotRequested,
            external_ids: Once::NotRequested,
            listing: listing.as_ref().map(|_| Once::NotRequested),
            listing_scope: listing.unwrap_or_default(),
            has_addresses: false,
            addresses: AddressBook::new(choice, max_url_len, max_wait),
            is_idle: false,
            input_ended: false,
        };
        if let Some(definitions) = definitions {
            staging.record_attributes(definitions);
        }
        staging
    }

    /// Returns the number of rows that wait.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Accepts the next item of the input.
    pub(crate) fn push(&mut self, item: Result<R, Error>, now: Instant) {
        self.is_idle = false;
        let row = match item {
            Ok(row) => row,
            Err(error) => return self.rows.push_back(StagedItem::Error(error)),
        };
        let is_named = row.is_named();
        let checks_type = self.checks_types.unwrap_or(is_named);
        let customer = match row.customer() {
            None | Some(CustomerKey::Id(_)) => StagedCustomer::Known,
            Some(CustomerKey::Email(address)) => match Address::parse(address) {
                Ok(address) => StagedCustomer::Address(address),
                Err(violation) => StagedCustomer::Invalid(violation),
            },
            Some(CustomerKey::External(_)) if self.external_id.is_none() => {
                let text = "is an external ID: name its attribute with external_id()".to_owned();
                StagedCustomer::Invalid(Violation::new("customer", text))
            }
            Some(CustomerKey::External(external)) => StagedCustomer::External(Arc::clone(external)),
        };
        match &customer {
            StagedCustomer::Address(address) => {
                self.has_addresses = true;
                self.request(address, now);
            }
            StagedCustomer::External(_) => {
                self.needing_external_ids += 1;
                if let Once::Known(Err(error)) = &self.external_ids
                    && error.is_temporary()
                {
                    // The list may succeed for the rows from here on.
                    self.external_ids = Once::NotRequested;
                }
            }
            StagedCustomer::Known | StagedCustomer::Invalid(_) => {}
        }
        let needs_attributes = is_named || checks_type;
        self.needing_attributes += usize::from(needs_attributes);
        self.rows.push_back(StagedItem::Row {
            row,
            customer,
            checks_type,
            needs_attributes,
        });
    }

    /// Asks for an address, unless the listing has it or may have it.
    fn request(&mut self, address: &Address, now: Instant) {
        let is_listed = match &self.listing {
            None => false,
            Some(Once::NotRequested | Once::Requested) => true,
            Some(Once::Known(listing)) => is_young(listing, now),
        };
        if !is_listed {
            self.addresses.request(address, now);
        }
    }

    /// Records the end of the input. Lookups don't wait for more rows.
    pub(crate) fn end_input(&mut self) {
        self.input_ended = true;
    }

    /// Returns `true` if the input has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.input_ended
    }

    /// Records that the input is idle. Lookups don't wait for more rows.
    pub(crate) fn mark_idle(&mut self) {
        self.is_idle = true;
    }

    /// Returns `true` if the input has been idle since the last row.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_idle
    }

    /// Returns `true` if an address waits for more of them.
    pub(crate) fn has_unflushed_rows(&self) -> bool {
        !self.is_idle && self.addresses.has_unasked()
    }

    /// Returns when a lookup is due although its URL is not full.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.addresses.next_due()
    }

    /// Returns the next request to make. `is_stuck` tells that no more rows can be read before one of
    /// the lookups.
    pub(crate) fn next_call(&mut self, now: Instant, is_stuck: bool) -> Option<StagingCall> {
        let names_external_id = self.needing_external_ids > 0
            && self.external_ids.is_pending()
            && self
                .external_id
                .as_ref()
                .is_some_and(|key| key.id().is_none());
        let needs_attributes = self.needing_attributes > 0 || names_external_id;
        if needs_attributes && matches!(self.definitions, Once::NotRequested) {
            self.definitions = Once::Requested;
            return Some(StagingCall::Attributes);
        }
        if self.needing_external_ids > 0
            && matches!(self.external_ids, Once::NotRequested)
            && let Some(id) = self.external_attribute
        {
            self.external_ids = Once::Requested;
            return Some(StagingCall::ExternalIds(id));
        }
        if let Some(Once::NotRequested) = &self.listing
            && self.has_addresses
        {
            self.listing = Some(Once::Requested);
            return Some(StagingCall::Listing(std::mem::take(
                &mut self.listing_scope,
            )));
        }
        let is_flushed = self.input_ended || self.is_idle || is_stuck;
        let lookup = self.addresses.next_lookup(now, is_flushed)?;
        Some(StagingCall::Addresses(lookup))
    }

    pub(crate) fn record_attributes(&mut self, definitions: Definitions) {
        if let Some(key) = &self.external_id
            && key.id().is_none()
        {
            match definitions.get(key) {
                Ok(definition) => self.external_attribute = definition.map(|found| found.id),
                Err(violation) => {
                    let error = Error::invalid_input(violation.to_string());
                    self.external_ids = Once::Known(Err(error));
                }
            }
        }
        self.definitions = Once::Known(definitions);
    }

    pub(crate) fn record_external_ids(&mut self, result: Result<ExternalIds, Error>) {
        self.external_ids = Once::Known(result);
    }

    /// Records the listing. Without one, the addresses are looked up.
    pub(crate) fn record_listing(&mut self, listing: Option<Listing>, now: Instant) {
        self.listing = listing.map(Once::Known);
        let mut addresses = Vec::new();
        for item in &self.rows {
            if let StagedItem::Row {
                customer: StagedCustomer::Address(address),
                ..
            } = item
            {
                addresses.push(address.clone());
            }
        }
        for address in addresses {
            self.request(&address, now);
        }
    }

    pub(crate) fn address_book(&mut self) -> &mut AddressBook {
        &mut self.addresses
    }

    /// Returns the next row, once everything that it needs is known.
    pub(crate) fn next_row(&mut self, now: Instant) -> Option<StagedOutcome<R>> {
        let resolved = self.resolve_first(now)?;
        let item = self.rows.pop_front()?;
        let StagedItem::Row {
            mut row,
            customer,
            checks_type,
            needs_attributes,
        } = item
        else {
            return match item {
                StagedItem::Error(error) => Some(StagedOutcome::InputError(error)),
                StagedItem::Row { .. } => None,
            };
        };
        self.needing_attributes -= usize::from(needs_attributes);
        if let StagedCustomer::External(_) = customer {
            self.needing_external_ids -= 1;
        }
        let attribute = match &self.definitions {
            Once::Known(definitions) if needs_attributes => row.resolve(definitions, checks_type),
            _ => Ok(()),
        };
        if let Resolved::Found(id) = resolved {
            row.set_customer_id(id);
        }
        let (violation, accounts) = match (customer, attribute, resolved) {
            (StagedCustomer::Invalid(violation), ..) => (violation, Box::default()),
            (_, Err(violation), Resolved::Invalid(_, accounts))
            | (_, Ok(()), Resolved::Invalid(violation, accounts)) => (violation, accounts),
            (_, Err(violation), _) => (violation, Box::default()),
            (_, Ok(()), Resolved::Failed(error)) => {
                return Some(StagedOutcome::Failed(row, error));
            }
            (_, Ok(()), Resolved::Given | Resolved::Found(_)) => {
                return Some(StagedOutcome::Ready(row));
            }
        };
        Some(StagedOutcome::Invalid {
            row,
            violation,
            accounts,
        })
    }

    /// Returns what is found for the first row, `None` while it waits.
    fn resolve_first(&mut self, now: Instant) -> Option<Resolved> {
        let StagedItem::Row {
            customer,
            needs_attributes,
            row,
            ..
        } = self.rows.front()?
        else {
            return Some(Resolved::Given);
        };
        if *needs_attributes && self.definitions.is_pending() {
            return None;
        }
        let key = row.customer();
        let resolution = match customer {
            StagedCustomer::Known | StagedCustomer::Invalid(_) => return Some(Resolved::Given),
            StagedCustomer::External(external) => match &self.external_ids {
                Once::NotRequested | Once::Requested => return None,
                Once::Known(Err(error)) => Err(error.clone()),
                Once::Known(Ok(ids)) => Ok(ids.get(external)),
            },
            StagedCustomer::Address(address) => {
                let listed = match &self.listing {
                    Some(Once::NotRequested | Once::Requested) => return None,
                    Some(Once::Known(listing)) if is_young(listing, now) => {
                        Some(listing.resolve(&address.folded))
                    }
                    Some(Once::Known(_)) | None => None,
                };
                match listed {
                    Some(listed) => Ok(listed),
                    None => match self.addresses.find(address, now) {
                        AddressState::Pending => return None,
                        AddressState::Known(resolution) => Ok(resolution),
                        AddressState::Failed(error) => Err(error),
                    },
                }
            }
        };
        Some(match (resolution, key) {
            (Err(error), _) => Resolved::Failed(error),
            (Ok(resolution), Some(key)) => match resolution.id(key) {
                Ok(id) => Resolved::Found(id),
                Err(violation) => Resolved::Invalid(violation, resolution.into_accounts()),
            },
            (Ok(_), None) => Resolved::Given,
        })
    }

    /// Takes the rows that wait, because the run was stopped. The input's errors among them keep their
    /// places.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Result<R, Error>> + use<R> {
        self.needing_attributes = 0;
        self.needing_external_ids = 0;
        let rows = std::mem::take(&mut self.rows).into_iter();
        rows.map(|item| match item {
            StagedItem::Error(error) => Err(error),
            StagedItem::Row { row, .. } => Ok(row),
        })
    }
}

/// Whether the customer of the first row is known.
enum Resolved {
    /// The row was given with all that it needs.
    Given,
    Found(i64),
    /// With the customers that have the key.
    Invalid(Violation, Box<[i64]>),
    Failed(Error),
}

/// Returns the number of requests that look these addresses up, if a URL has room for `max_len` bytes
/// of them.
pub(crate) fn lookups_for(addresses: &HashSet<Arc<str>>, max_len: usize) -> u64 {
    let len: usize = addresses.iter().map(|address| url_len(address)).sum();
    len.div_ceil(max_len.max(1)) as u64
}

fn is_young(listing: &Listing, now: Instant) -> bool {
    now.saturating_duration_since(listing.since) < MAX_LISTING_AGE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customers::FoundAccounts;
    use crate::value::UpsertRow;

    const MAX_WAIT: Duration = Duration::from_millis(500);
    const MAX_URL_LEN: usize = 100;

    fn staging(options: ResolveOptions) -> Staging<UpsertRow> {
        Staging::new(options, None, MAX_URL_LEN, MAX_WAIT)
    }

    /// Returns the customers of the rows that leave the room, 0 for one that is not found or invalid.
    fn leave(staging: &mut Staging<UpsertRow>, now: Instant) -> Vec<i64> {
        let rows = std::iter::from_fn(|| staging.next_row(now));
        rows.map(|outcome| match outcome {
            StagedOutcome::Ready(row) => row.customer_id().expect("a known customer"),
            StagedOutcome::Invalid { .. } => 0,
            StagedOutcome::InputError(_) => -1,
            StagedOutcome::Failed(..) => -2,
        })
        .collect()
    }

    fn addresses(call: Option<StagingCall>) -> Lookup {
        match call {
            Some(StagingCall::Addresses(lookup)) => lookup,
            None => Lookup::new(),
            Some(other) => panic!("{other:?}"),
        }
    }

    /// Answers that nobody has the addresses.
    fn answer_nobody(staging: &mut Staging<UpsertRow>, lookup: Lookup, now: Instant) {
        let book = staging.address_book();
        book.record_answer(lookup, FoundAccounts::default(), now);
    }

    #[test]
    fn rows_leave_in_the_order_of_the_input_once_all_before_them_are_known() {
        let now = Instant::now();
        let mut staging = staging(ResolveOptions::default());
        staging.push(Ok(UpsertRow::new(1, 1, "x")), now);
        staging.push(Ok(UpsertRow::new("jane@x.de", 1, "x")), now);
        staging.push(Err(Error::stopped()), now);
        staging.push(Ok(UpsertRow::new("no address", 1, "x")), now);
        staging.push(Ok(UpsertRow::new(CustomerKey::external("D"), 1, "x")), now);
        staging.push(Ok(UpsertRow::new(2, 1, "x")), now);
        assert_eq!(leave(&mut staging, now), [1]);
        assert_eq!((staging.len(), staging.has_unflushed_rows()), (5, true));
        // One address fills no URL: it waits for company, at most for as long as a row may.
        assert!(staging.next_call(now, false).is_none());
        assert_eq!(staging.next_due(), Some(now + MAX_WAIT));
        staging.mark_idle();
        let lookup = addresses(staging.next_call(now, false));
        assert_eq!(lookup, ["jane@x.de".into()]);
        assert!(leave(&mut staging, now).is_empty());
        answer_nobody(&mut staging, lookup, now);
        assert_eq!(leave(&mut staging, now), [0, -1, 0, 0, 2]);
        assert!(staging.is_empty() && staging.is_idle() && !staging.has_unflushed_rows());
        staging.push(Ok(UpsertRow::new(3, 1, "x")), now);
        assert!(!staging.is_idle());
    }

    #[test]
    fn lookups_go_without_company_when_nothing_more_can_be_read() {
        let now = Instant::now();
        let jane = || Ok(UpsertRow::new("jane@x.de", 1, "x"));
        for reason in ["stuck", "ended", "waited"] {
            let mut staging = staging(ResolveOptions::default());
            staging.push(jane(), now);
            if reason == "ended" {
                staging.end_input();
            }
            let later = if reason == "waited" {
                now + MAX_WAIT
            } else {
                now
            };
            let lookup = addresses(staging.next_call(later, reason == "stuck"));
            assert_eq!(lookup.len(), 1, "{reason}");
        }
    }

    #[test]
    fn a_listing_is_asked_for_first_and_believed_while_it_is_young() {
        let now = Instant::now();
        let options = || ResolveOptions {
            listing: Some(ListingScope::default()),
            ..ResolveOptions::default()
        };
        let mut listed = staging(options());
        listed.push(Ok(UpsertRow::new(1, 1, "x")), now);
        assert!(listed.next_call(now, true).is_none(), "no address needs it");
        listed.push(Ok(UpsertRow::new("jane@x.de", 1, "x")), now);
        assert!(matches!(
            listed.next_call(now, false),
            Some(StagingCall::Listing(_))
        ));
        assert!(listed.next_call(now, true).is_none());
        listed.record_listing(Some(Listing::empty(now)), now);
        assert_eq!(leave(&mut listed, now), [1, 0]);
        let later = now + MAX_LISTING_AGE;
        listed.push(Ok(UpsertRow::new("jane@x.de", 1, "x")), later);
        assert_eq!(addresses(listed.next_call(later, true)).len(), 1);

        // Without the listing, the rows that wait are looked up.
        let mut refused = staging(options());
        refused.push(Ok(UpsertRow::new("jane@x.de", 1, "x")), now);
        assert!(refused.next_call(now, false).is_some());
        refused.record_listing(None, now);
        let lookup = addresses(refused.next_call(now, true));
        answer_nobody(&mut refused, lookup, now);
        assert_eq!(leave(&mut refused, now), [0]);
    }

    #[test]
    fn external_ids_wait_for_their_attribute_and_its_values() {
        let now = Instant::now();
        let row = || Ok(UpsertRow::new(CustomerKey::external("D-7"), 1, "x"));
        let mut staging = staging(ResolveOptions {
            external_id: Some("ERP".into()),
            ..ResolveOptions::default()
        });
        staging.push(row(), now);
        assert!(matches!(
            staging.next_call(now, false),
            Some(StagingCall::Attributes)
        ));
        assert!(staging.next_call(now, false).is_none());
        staging.record_attributes(Definitions::default());
        assert_eq!(
            leave(&mut staging, now),
            [-2],
            "the store lacks the attribute"
        );

        let mut staging = self::staging(ResolveOptions {
            external_id: Some(9.into()),
            ..ResolveOptions::default()
        });
        staging.push(row(), now);
        assert!(matches!(
            staging.next_call(now, false),
            Some(StagingCall::ExternalIds(9))
        ));
        staging.record_external_ids(Err(Error::lost_task()));
        assert_eq!(leave(&mut staging, now), [-2]);
    }

    #[test]
    fn a_stopped_run_takes_what_waits() {
        let now = Instant::now();
        let mut staging = staging(ResolveOptions::default());
        staging.push(Ok(UpsertRow::new("jane@x.de", "Tier", "x")), now);
        staging.push(Err(Error::stopped()), now);
        let drained: Vec<_> = staging.drain().map(|item| item.is_ok()).collect();
        assert_eq!(drained, [true, false]);
        assert!(staging.is_empty() && leave(&mut staging, now).is_empty());
    }
}
