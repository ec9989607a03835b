//! Which addresses are asked for, in which request, and what is known of them. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt, HashSet};
use tokio::time::Instant;

use super::account::{Account, AccountChoice, Resolution};
use super::address::{Address, url_len};
use crate::customer_key::fold_address;
use crate::error::{Error, ErrorKind};

/// The maximum number of addresses whose answers are kept.
const MAX_ANSWERS: usize = 100_000;
/// How long an answer is kept: customers come and go.
const MAX_AGE: Duration = Duration::from_secs(600);

/// The number of failed lookups in a row after which a failed one is not made in parts: with one bad
/// address, every other part succeeds.
const MAX_FAILURES_IN_A_ROW: u32 = 8;

/// The addresses of one request, as they are written.
pub(crate) type Lookup = Vec<Arc<str>>;

/// The accounts that the server has listed for a lookup.
#[derive(Clone, Debug, Default)]
pub(crate) struct FoundAccounts {
    /// The address of each account, and the account.
    pub accounts: Vec<(String, Account)>,
    /// Why other accounts may have the addresses, too. Only an address that exactly one account shows is
    /// then known: the list is complete, but has accounts with other addresses.
    pub doubt: Option<Error>,
}

/// What is known of an address.
#[derive(Clone, Debug)]
pub(crate) enum AddressState {
    /// The address was not asked for, or the answer is not there.
    Pending,
    Known(Resolution),
    /// The lookup has failed after all retries.
    Failed(Error),
}

/// The addresses that are to be looked up, and the answers.
///
/// An address is asked for as it was written first. If no customer has it, it is asked for in lower
/// case: the server may distinguish case. Each spelling has an answer of its own. If a request has
/// several spellings of an address, all accounts that it shows count for each of them.
#[derive(Debug)]
pub(crate) struct AddressBook {
    choice: AccountChoice,
    /// The number of URL bytes that the addresses of a request may take.
    max_len: usize,
    max_wait: Duration,
    entries: HashMap<Arc<str>, Entry>,
    /// The addresses to be asked for, and since when they wait.
    unasked: VecDeque<(Arc<str>, Instant)>,
    unasked_len: usize,
    /// Parts of requests that the server has refused.
    parts: VecDeque<Lookup>,
    failures_in_a_row: u32,
    /// Whether no answer is forgotten.
    keeps_all: bool,
    /// The addresses with an answer, oldest first.
    answered: VecDeque<(Arc<str>, Instant)>,
}

#[derive(Debug)]
enum Entry {
    Unanswered,
    Answered { resolution: Resolution, at: Instant },
    Failed { error: Error, at: Instant },
}

impl AddressBook {
    pub(crate) fn new(choice: AccountChoice, max_len: usize, max_wait: Duration) -> Self {
        Self {
            choice,
            max_len,
            max_wait,
            entries: HashMap::new(),
            unasked: VecDeque::new(),
            unasked_len: 0,
            parts: VecDeque::new(),
            failures_in_a_row: 0,
            keeps_all: false,
            answered: VecDeque::new(),
        }
    }

    /// Keeps all answers, for a list of addresses that ends.
    pub(crate) fn keep_all(mut self) -> Self {
        self.keeps_all = true;
        self
    }

    /// Asks for an address, unless there is an answer that is young enough.
    pub(crate) fn request(&mut self, address: &Address, now: Instant) {
        self.ask(&address.written, now);
        if self.needs_second_look(address) {
            self.ask(&address.folded, now);
        }
    }

    fn ask(&mut self, written: &Arc<str>, now: Instant) {
        match self.entries.get(written) {
            Some(Entry::Unanswered) => return,
            Some(Entry::Answered { at, .. }) if now < *at + MAX_AGE => return,
            _ => {}
        }
        self.entries.insert(Arc::clone(written), Entry::Unanswered);
        self.unasked_len += url_len(written);
        self.unasked.push_back((Arc::clone(written), now));
    }

    /// Returns `true` if no customer has the address as it was written.
    fn needs_second_look(&self, address: &Address) -> bool {
        let entry = self.entries.get(&address.written);
        !address.is_folded()
            && matches!(
                entry,
                Some(Entry::Answered {
                    resolution: Resolution::None(_),
                    ..
                })
            )
    }

    /// Returns what is known of an address. Asks for it if its answer was forgotten.
    pub(crate) fn find(&mut self, address: &Address, now: Instant) -> AddressState {
        let written = match self.needs_second_look(address) {
            true => &address.folded,
            false => &address.written,
        };
        match self.entries.get(written) {
            Some(Entry::Answered { resolution, .. }) => AddressState::Known(resolution.clone()),
            Some(Entry::Failed { error, .. }) => AddressState::Failed(error.clone()),
            Some(Entry::Unanswered) => AddressState::Pending,
            None => {
                let written = Arc::clone(written);
                self.ask(&written, now);
                AddressState::Pending
            }
        }
    }

    /// Returns `true` if an address waits to be asked for.
    pub(crate) fn has_unasked(&self) -> bool {
        !self.unasked.is_empty() || !self.parts.is_empty()
    }

    /// Returns when a lookup is due although its URL is not full.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let (_, since) = self.unasked.front()?;
        since.checked_add(self.max_wait)
    }

    /// Returns the addresses of the next request, if one is due: its URL is full, its oldest address
    /// has waited long enough, or nothing is to be waited for (`is_flushed`).
    pub(crate) fn next_lookup(&mut self, now: Instant, is_flushed: bool) -> Option<Lookup> {
        if let Some(part) = self.parts.pop_front() {
            return Some(part);
        }
        let is_due = self.next_due().is_some_and(|due| due <= now);
        if !is_due && !is_flushed && self.unasked_len <= self.max_len {
            return None;
        }
        let mut len = 0;
        let mut lookup = Vec::new();
        while let Some((written, _)) = self.unasked.front() {
            let address_len = url_len(written);
            if !lookup.is_empty() && len + address_len > self.max_len {
                break;
            }
            len += address_len;
            lookup.extend(self.unasked.pop_front().map(|(written, _)| written));
        }
        self.unasked_len -= len;
        (!lookup.is_empty()).then_some(lookup)
    }

    /// Records the answer to a lookup.
    pub(crate) fn record_answer(&mut self, lookup: Lookup, found: FoundAccounts, now: Instant) {
        self.failures_in_a_row = 0;
        let mut accounts: HashMap<String, Vec<Account>> = HashMap::new();
        for (address, account) in found.accounts {
            accounts
                .entry(fold_address(&address))
                .or_default()
                .push(account);
        }
        for written in lookup {
            let folded = fold_address(&written);
            let accounts = accounts.get(&folded).map_or(&[][..], Vec::as_slice);
            let resolution = self.choice.resolve(accounts);
            let is_nobody = matches!(resolution, Resolution::None(_));
            let entry = match (&found.doubt, &resolution) {
                (None, _) | (Some(_), Resolution::One(_)) => Entry::Answered {
                    resolution,
                    at: now,
                },
                (Some(doubt), _) => Entry::Failed {
                    error: doubt.clone(),
                    at: now,
                },
            };
            self.record(&written, entry, now);
            if is_nobody && folded != *written && found.doubt.is_none() {
                self.ask(&folded.into(), now);
            }
        }
    }

    /// Records that a lookup has failed. If its addresses may be the reason, they are asked for in
    /// two parts.
    pub(crate) fn record_failure(&mut self, mut lookup: Lookup, error: &Error, now: Instant) {
        let is_single = lookup.len() < 2;
        let is_too_large = error.kind() == ErrorKind::TooLarge;
        if is_too_large && !is_single {
            let len: usize = lookup.iter().map(|written| url_len(written)).sum();
            self.max_len = self.max_len.min(len / 2);
        }
        if !is_too_large {
            self.failures_in_a_row += 1;
        }
        let is_worth_a_try = self.failures_in_a_row <= MAX_FAILURES_IN_A_ROW;
        if !is_single && (is_too_large || (is_worth_a_try && may_succeed_in_parts(&lookup, error)))
        {
            let second = lookup.split_off(lookup.len() / 2);
            self.parts.extend([lookup, second]);
            return;
        }
        for written in lookup {
            let error = error.clone();
            self.record(&written, Entry::Failed { error, at: now }, now);
        }
    }

    fn record(&mut self, written: &Arc<str>, entry: Entry, now: Instant) {
        self.entries.insert(Arc::clone(written), entry);
        if self.keeps_all {
            return;
        }
        self.answered.push_back((Arc::clone(written), now));
        while let Some((_, at)) = self.answered.front()
            && (self.answered.len() > MAX_ANSWERS || *at + MAX_AGE <= now)
            && let Some((written, at)) = self.answered.pop_front()
        {
            // An address that was asked for again has a later answer.
            let is_latest = match self.entries.get(&written) {
                Some(Entry::Answered { at: latest, .. } | Entry::Failed { at: latest, .. }) => {
                    *latest == at
                }
                Some(Entry::Unanswered) | None => false,
            };
            if is_latest {
                self.entries.remove(&written);
            }
        }
    }
}

/// Returns `true` if the error of a lookup ends the run. The few attempts of a lookup of several
/// addresses say nothing of a redirect that may be temporary.
pub(crate) fn ends_run(lookup: &Lookup, error: &Error) -> bool {
    error.ends_run() && (lookup.len() < 2 || !error.is_temporary_redirect())
}

/// Returns `true` if fewer addresses, or another try, may succeed.
fn may_succeed_in_parts(lookup: &Lookup, error: &Error) -> bool {
    let may_be_addresses = matches!(
        error.kind(),
        ErrorKind::InvalidRequest | ErrorKind::InvalidResponse | ErrorKind::Redirect
    );
    !ends_run(lookup, error) && (error.is_temporary() || may_be_addresses)
}

/// Returns `true` if the server has listed only accounts with these addresses.
pub(crate) fn lists_only<'a>(
    lookup: &[Arc<str>],
    mut listed: impl Iterator<Item = &'a str>,
) -> bool {
    let asked: HashSet<_> = lookup.iter().map(|written| fold_address(written)).collect();
    listed.all(|address| asked.contains(&fold_address(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_LEN: usize = 100;
    const MAX_WAIT: Duration = Duration::from_millis(500);

    struct TimedBook {
        book: AddressBook,
        now: Instant,
    }

    impl TimedBook {
        fn new() -> Self {
            Self {
                book: AddressBook::new(AccountChoice::default(), MAX_LEN, MAX_WAIT),
                now: Instant::now(),
            }
        }

        fn request(&mut self, address: &str) {
            self.book.request(&parse(address), self.now);
        }

        fn find(&mut self, address: &str) -> Result<Option<Resolution>, Error> {
            match self.book.find(&parse(address), self.now) {
                AddressState::Pending => Ok(None),
                AddressState::Known(resolution) => Ok(Some(resolution)),
                AddressState::Failed(error) => Err(error),
            }
        }

        fn next(&mut self, is_flushed: bool) -> Vec<String> {
            let lookup = self.book.next_lookup(self.now, is_flushed);
            let lookup = lookup.into_iter().flatten();
            lookup.map(|address| address.to_string()).collect()
        }

        /// Answers a lookup with these accounts.
        fn answer(&mut self, lookup: &[String], accounts: &[(&str, i64)]) {
            let found = FoundAccounts {
                accounts: accounts
                    .iter()
                    .map(|&(a, id)| (a.into(), account(id)))
                    .collect(),
                doubt: None,
            };
            let lookup = lookup
                .iter()
                .map(|address| address.as_str().into())
                .collect();
            self.book.record_answer(lookup, found, self.now);
        }

        fn fail(&mut self, lookup: &[String], error: &Error) {
            let lookup = lookup
                .iter()
                .map(|address| address.as_str().into())
                .collect();
            self.book.record_failure(lookup, error, self.now);
        }
    }

    fn parse(address: &str) -> Address {
        Address::parse(&address.into()).expect("a valid address")
    }

    fn account(id: i64) -> Account {
        let customer = bigcommerce_sdk::types::Customer::builder()
            .id(id)
            .email("any");
        let customer: bigcommerce_sdk::types::Customer =
            customer.try_into().expect("a complete customer");
        Account::from(&customer)
    }

    fn failed() -> Error {
        let record = crate::error::CallRecord::default();
        Error::call(ErrorKind::InvalidRequest, "refused", record, None)
    }

    const NOBODY: Resolution = Resolution::None(None);

    #[test]
    fn a_lookup_goes_when_its_url_is_full_or_its_oldest_address_has_waited() {
        let mut timed = TimedBook::new();
        // Each takes 9 bytes and the comma.
        for n in 0..10 {
            timed.request(&format!("{n}{n}@x.de"));
            timed.request(&format!("{n}{n}@x.de"));
        }
        assert!(timed.next(false).is_empty());
        timed.request("xx@x.de");
        assert_eq!(timed.next(false).len(), 10);
        assert!(timed.next(false).is_empty());
        assert_eq!(timed.book.next_due(), Some(timed.now + MAX_WAIT));
        timed.now += MAX_WAIT;
        assert_eq!(timed.next(false), ["xx@x.de"]);
        timed.request("aa@x.de");
        assert_eq!(timed.next(true), ["aa@x.de"]);
        assert!(timed.next(true).is_empty());
    }

    #[test]
    fn an_address_that_is_not_found_as_written_is_asked_for_in_lower_case() {
        let mut timed = TimedBook::new();
        timed.request(" Jane@X.com");
        let lookup = timed.next(true);
        assert_eq!(lookup, ["Jane@X.com"]);
        timed.answer(&lookup, &[]);
        assert!(matches!(timed.find("Jane@X.com"), Ok(None)));
        let lookup = timed.next(true);
        assert_eq!(lookup, ["jane@x.com"]);
        timed.answer(&lookup, &[("JANE@x.com", 7)]);
        assert_eq!(
            timed.find("Jane@X.com").expect("found"),
            Some(Resolution::One(7))
        );
        assert_eq!(
            timed.find("jane@x.com").expect("found"),
            Some(Resolution::One(7))
        );
        // Another spelling may be another account on a server that distinguishes case.
        timed.request("JANE@x.com");
        let lookup = timed.next(true);
        timed.answer(&lookup, &[("JANE@x.com", 8)]);
        assert_eq!(
            timed.find("JANE@x.com").expect("found"),
            Some(Resolution::One(8))
        );
        timed.request("nobody@x.com");
        let lookup = timed.next(true);
        timed.answer(&lookup, &[]);
        assert_eq!(timed.find("nobody@x.com").expect("an answer"), Some(NOBODY));
        assert!(!timed.book.has_unasked());
    }

    #[test]
    fn answers_are_kept_for_ten_minutes_and_for_so_many_addresses() {
        let mut timed = TimedBook::new();
        timed.request("jane@x.com");
        let lookup = timed.next(true);
        timed.answer(&lookup, &[]);
        timed.now += MAX_AGE - Duration::from_secs(1);
        timed.request("jane@x.com");
        assert!(!timed.book.has_unasked());
        timed.now += Duration::from_secs(1);
        // A row that waits is content with the answer, a new one is not.
        assert_eq!(timed.find("jane@x.com").expect("an answer"), Some(NOBODY));
        timed.request("jane@x.com");
        let lookup = timed.next(true);
        timed.answer(&lookup, &[("jane@x.com", 7)]);
        assert_eq!(
            timed.find("jane@x.com").expect("found"),
            Some(Resolution::One(7))
        );
        for n in 0..MAX_ANSWERS {
            let lookup = [format!("{n}@x.com")];
            timed.answer(&lookup, &[]);
        }
        assert_eq!(timed.book.entries.len(), MAX_ANSWERS);
        assert_eq!(timed.book.answered.len(), MAX_ANSWERS);
        assert!(matches!(timed.find("jane@x.com"), Ok(None)));
        assert_eq!(timed.next(true), ["jane@x.com"]);
    }

    #[test]
    fn a_lookup_that_the_server_refuses_is_made_in_parts_down_to_one_address() {
        let mut timed = TimedBook::new();
        let bad = "cc@x.de";
        for address in ["aa@x.de", "bb@x.de", bad, "dd@x.de", "ee@x.de"] {
            timed.request(address);
        }
        let mut lookups = Vec::new();
        loop {
            let lookup = timed.next(true);
            if lookup.is_empty() {
                break;
            }
            lookups.push(lookup.len());
            if lookup.iter().any(|address| address == bad) {
                timed.fail(&lookup, &failed());
            } else {
                timed.answer(&lookup, &[("aa@x.de", 1), ("bb@x.de", 2)]);
            }
        }
        assert_eq!(lookups, [5, 2, 3, 1, 2]);
        assert_eq!(
            timed.find("aa@x.de").expect("found"),
            Some(Resolution::One(1))
        );
        assert_eq!(timed.find("dd@x.de").expect("an answer"), Some(NOBODY));
        assert!(timed.find(bad).is_err());
        // A later row has another try.
        timed.request(bad);
        assert_eq!(timed.next(true), [bad]);
    }

    #[test]
    fn lookups_that_all_fail_are_not_made_in_ever_more_parts() {
        let mut timed = TimedBook::new();
        for n in 100..1000 {
            timed.request(&format!("{n}@x.de"));
        }
        let mut lookups = 0;
        loop {
            let lookup = timed.next(true);
            if lookup.is_empty() {
                break;
            }
            lookups += 1;
            timed.fail(&lookup, &failed());
        }
        // A hundred full URLs, and the parts of the first ones.
        assert!((100..125).contains(&lookups), "{lookups}");
        assert!(timed.find("777@x.de").is_err());
        timed.request("jane@x.de");
        let lookup = timed.next(true);
        timed.answer(&lookup, &[("jane@x.de", 7)]);
        assert_eq!(timed.book.failures_in_a_row, 0);
    }

    #[test]
    fn a_single_address_that_is_too_long_does_not_shorten_the_others_urls() {
        let mut timed = TimedBook::new();
        timed.request(&format!("{}@x.de", "x".repeat(240)));
        let lookup = timed.next(true);
        let record = crate::error::CallRecord::default();
        let too_large = Error::call(ErrorKind::TooLarge, "too large", record, None);
        timed.fail(&lookup, &too_large);
        assert_eq!(timed.book.max_len, MAX_LEN);
    }

    #[test]
    fn a_url_that_is_too_long_is_not_sent_again() {
        let mut timed = TimedBook::new();
        for n in 10..30 {
            timed.request(&format!("{n}@x.de"));
        }
        let lookup = timed.next(false);
        assert_eq!(lookup.len(), 10);
        let record = crate::error::CallRecord::default();
        let too_large = Error::call(ErrorKind::TooLarge, "too large", record, None);
        timed.fail(&lookup, &too_large);
        let sizes: Vec<_> = std::iter::repeat_with(|| timed.next(true).len())
            .take_while(|len| *len > 0)
            .collect();
        assert_eq!(sizes, [5, 5, 5, 5]);
    }

    #[test]
    fn doubt_about_a_response_spares_the_addresses_that_it_shows() {
        let mut timed = TimedBook::new();
        for address in ["jane@x.com", "bob@x.com"] {
            timed.request(address);
        }
        let lookup = timed.book.next_lookup(timed.now, true).expect("a lookup");
        let found = FoundAccounts {
            accounts: vec![
                ("jane@x.com".into(), account(7)),
                ("eve@x.com".into(), account(9)),
            ],
            doubt: Some(Error::filter_ignored("customers")),
        };
        timed.book.record_answer(lookup, found, timed.now);
        assert_eq!(
            timed.find("jane@x.com").expect("found"),
            Some(Resolution::One(7))
        );
        assert!(timed.find("bob@x.com").is_err());
        // In another channel, or one of several: not known either.
        timed.book.choice.channel = Some(2);
        timed.request("eve@x.com");
        let lookup = timed.next(true);
        let mut eve = account(9);
        eve.limit_to_channels(&[1]);
        let found = FoundAccounts {
            accounts: vec![("eve@x.com".into(), eve)],
            doubt: Some(Error::filter_ignored("customers")),
        };
        let lookup = lookup.iter().map(|address| address.as_str().into());
        timed.book.record_answer(lookup.collect(), found, timed.now);
        assert!(timed.find("eve@x.com").is_err());
    }
}
