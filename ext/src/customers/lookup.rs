//! Looking up customers for runs: by address, and by listing all of them.

use std::sync::Arc;
use std::time::Duration;

use bigcommerce_sdk::types::CustomerPage;
use foldhash::{HashMap, HashMapExt, HashSet};
use tokio::time::Instant;

use super::account::{Account, AccountChoice, Resolution};
use super::address::Address;
use super::address_book::{AddressBook, AddressState, FoundAccounts, Lookup, ends_run, lists_only};
use super::filter::{CustomerQuery, PageStart};
use super::read::{CustomerReader, fetch, head, incomplete};
use crate::client::url_budget::room_for_ids;
use crate::client::{CallFailure, CallOutcome, Client, PageId, PageSize, RunContext, read_pages};
use crate::customer_key::fold_address;
use crate::error::Error;

/// The page size of the provider when none is requested, which no page size falls below.
const SMALLEST_PAGE: usize = 50;
/// How often a lookup of several addresses is tried before it is made in parts.
const MAX_ATTEMPTS_TOGETHER: u32 = 3;

/// Asks for the customers with these addresses.
pub(crate) async fn look_up(
    client: &Client,
    run: &RunContext,
    number: u64,
    lookup: &Lookup,
) -> CallOutcome<FoundAccounts> {
    let client = match lookup.len() {
        0 | 1 => client.clone(),
        _ => client.with_max_attempts(MAX_ATTEMPTS_TOGETHER),
    };
    let client = &client;
    let query = Arc::new(CustomerQuery::for_addresses(lookup.clone()));
    let fetch_page = |query: Arc<CustomerQuery>, page: PageId, size| async move {
        let start = PageStart::Number(page.number);
        fetch(client, run, number, &query, page.number, start, size).await
    };
    let mut accounts: HashMap<i64, (String, Account)> = HashMap::new();
    let mut total = None;
    let mut total_changed = false;
    let mut is_ignored = false;
    let accept = |page: CustomerPage| {
        let before_page = total;
        total = head(&page)
            .pagination
            .and_then(|pagination| pagination.total)
            .or(total);
        total_changed |= before_page.is_some() && before_page != total;
        let listed = page.data.iter().map(|customer| customer.email.as_str());
        is_ignored |= !lists_only(lookup, listed);
        let shown = page.data.len();
        let shows_all = shown < SMALLEST_PAGE && total == i64::try_from(shown).ok();
        // All customers of a store are not worth reading, and a full page may lack some.
        if is_ignored && !shows_all {
            return Err(CallFailure::from(Error::filter_ignored("customers")));
        }
        let before = accounts.len();
        for customer in page.data {
            let account = Account::from(&customer);
            accounts.insert(account.id, (customer.email, account));
        }
        Ok((accounts.len() - before) as u64)
    };
    let page_size = PageSize::new(client, None);
    let outcome = read_pages(&[query], page_size, fetch_page, head, accept).await;
    let result = match outcome.result {
        Ok(None) => {
            // Only as many records as the total says show that no other account has an address.
            let is_exact = total == i64::try_from(accounts.len()).ok();
            let doubt = match total {
                None => Some(Error::no_total("customers")),
                Some(_) if total_changed || !is_exact => {
                    Some(Error::changed_during_read("customers"))
                }
                // Alone, the address may still be one of those that the server shows.
                Some(_) if is_ignored && lookup.len() > 1 => {
                    Some(Error::filter_ignored("customers"))
                }
                Some(_) => None,
            };
            match doubt {
                Some(doubt) => Err(doubt.into()),
                None => Ok(FoundAccounts {
                    doubt: is_ignored.then(|| Error::filter_ignored("customers")),
                    accounts: accounts.into_values().collect(),
                }),
            }
        }
        Ok(Some(shortfall)) => Err(incomplete(shortfall).into()),
        Err(failure) => Err(failure),
    };
    CallOutcome::new(result, outcome.requests)
}

/// The customers of the store by their addresses, in lower case.
#[derive(Debug)]
pub(crate) struct Listing {
    customers: HashMap<Box<str>, Resolution>,
    /// When the list began: a customer who came later may be missing.
    pub since: Instant,
}

impl Listing {
    /// Returns the customer with this address, or none.
    pub(crate) fn resolve(&self, folded: &str) -> Resolution {
        let listed = self.customers.get(folded).cloned();
        listed.unwrap_or(Resolution::None(None))
    }
}

#[cfg(test)]
impl Listing {
    /// Creates the listing of a store without customers.
    pub(crate) fn empty(since: Instant) -> Self {
        Self {
            customers: HashMap::new(),
            since,
        }
    }
}

/// Which customers a listing keeps, and when it is not worthwhile.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListingScope {
    /// The addresses that are needed, in lower case; `None` for all.
    pub wanted: Option<HashSet<Arc<str>>>,
    /// The number of requests that the listing may take.
    pub max_requests: Option<u64>,
}

/// Lists all customers of the store. Returns `None` if that would take too many requests.
pub(crate) async fn list_all(
    client: &Client,
    run: &Arc<RunContext>,
    number: u64,
    choice: AccountChoice,
    scope: ListingScope,
) -> CallOutcome<Option<Listing>> {
    let since = Instant::now();
    let queries = vec![CustomerQuery::default()];
    let mut reader = CustomerReader::new(client.clone(), Arc::clone(run), number, queries);
    let mut accounts: HashMap<Box<str>, Vec<Account>> = HashMap::new();
    let mut is_first = true;
    while let Some(page) = reader.next_page().await {
        let page = match page {
            Ok(page) => page,
            Err(failure) => return CallOutcome::new(Err(failure), reader.requests()),
        };
        let page_size = page.len().max(1) as u64;
        if let Some(max_requests) = scope.max_requests
            && std::mem::take(&mut is_first)
            && reader
                .total()
                .is_none_or(|total| total.div_ceil(page_size) > max_requests)
        {
            return CallOutcome::new(Ok(None), reader.requests());
        }
        for customer in page {
            let folded = fold_address(&customer.email);
            let wanted = scope.wanted.as_ref();
            if wanted.is_none_or(|wanted| wanted.contains(folded.as_str())) {
                let account = Account::from(&customer);
                // Most addresses have one account.
                let accounts = accounts.entry(folded.into());
                accounts
                    .or_insert_with(|| Vec::with_capacity(1))
                    .push(account);
            }
        }
    }
    let requests = reader.requests();
    if let Some(error) = reader.incomplete().or_else(|| reader.doubt()) {
        return CallOutcome::new(Err(error.into()), requests);
    }
    let resolve = |(address, accounts): (_, Vec<_>)| (address, choice.resolve(&accounts));
    let listing = Listing {
        customers: accounts.into_iter().map(resolve).collect(),
        since,
    };
    CallOutcome::new(Ok(Some(listing)), requests)
}

/// The answers to the lookup of a list of addresses.
pub(crate) struct FoundAddresses(AddressBook);

impl FoundAddresses {
    /// Returns what is known of an address.
    pub(crate) fn find(&mut self, address: &Address) -> AddressState {
        self.0.find(address, Instant::now())
    }
}

/// Looks up a list of addresses, one request after the other.
pub(crate) async fn look_up_all(
    client: &Client,
    run: &RunContext,
    number: u64,
    addresses: impl Iterator<Item = &Address>,
    choice: AccountChoice,
) -> CallOutcome<FoundAddresses> {
    let room = room_for_ids(client.base_url());
    let mut book = AddressBook::new(choice, room, Duration::ZERO).keep_all();
    for address in addresses {
        book.request(address, Instant::now());
    }
    let mut requests = 0;
    while let Some(lookup) = book.next_lookup(Instant::now(), true) {
        let outcome = look_up(client, run, number, &lookup).await;
        requests += outcome.requests;
        match outcome.result {
            Ok(found) => book.record_answer(lookup, found, Instant::now()),
            Err(failure) if ends_run(&lookup, &failure.error) || *run.stopping.borrow() => {
                return CallOutcome::new(Err(failure), requests);
            }
            Err(failure) => book.record_failure(lookup, &failure.error, Instant::now()),
        }
    }
    CallOutcome::new(Ok(FoundAddresses(book)), requests)
}
