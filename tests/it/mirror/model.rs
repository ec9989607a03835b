//! Mirrors of random inputs against a model, with faults and another writer.
//!
//! Each run is reproduced by its seed. `MIRROR_SEEDS=2000 cargo test --test it mirror::model` runs more of
//! them, and `MIRROR_SEED=17` a single one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bigcommerce_ext::{CustomerKey, Mirror};
use bigcommerce_sandbox::{
    FaultPlan, LimitTooLarge, ListMeta, ListOrder, SandboxCustomer, StoredValue, UnknownId,
};
use fastrand::Rng;
use futures::stream;
use tokio::time::sleep;

use super::*;

const SEEDS: u64 = 40;
/// The attribute with the external IDs, which is not mirrored.
const ERP: i64 = 104;
const MIRRORED: [i64; 3] = [TIER, POINTS, SINCE];

type Key = (i64, i64);

/// An item of the input, and what the model makes of it.
#[derive(Clone, Debug)]
enum Entry {
    /// A row that can be stored, or has no value.
    Good {
        key: Key,
        value: Option<String>,
        row: UpsertRow,
    },
    /// A row that is rejected, and keeps the values of these customers.
    Rejected {
        customers: Vec<i64>,
        attribute: i64,
        row: UpsertRow,
    },
    /// A row of another attribute.
    NotMirrored {
        customer: i64,
        row: UpsertRow,
    },
    /// A row that does not tell which value it means.
    Unresolved(UpsertRow),
    Error,
}

impl Entry {
    fn item(&self) -> Item {
        match self {
            Self::Good { row, .. }
            | Self::Rejected { row, .. }
            | Self::NotMirrored { row, .. }
            | Self::Unresolved(row) => Ok(row.clone()),
            Self::Error => Err("a line is odd"),
        }
    }
}

/// What the input says, as far as it was read.
#[derive(Debug, Default)]
struct Expected {
    /// The value of each key; `None` if its value is to be deleted.
    values: BTreeMap<Key, Option<String>>,
    /// The keys whose values are kept whatever they are.
    kept: BTreeSet<Key>,
    customers: BTreeSet<i64>,
    /// Why nothing may be deleted.
    holds_back: bool,
    rows: usize,
}

impl Expected {
    fn of(entries: &[Entry]) -> Self {
        let mut expected = Self::default();
        for entry in entries {
            expected.rows += 1;
            match entry {
                Entry::Good { key, value, .. } => {
                    expected.customers.insert(key.0);
                    expected.kept.remove(key);
                    expected.values.insert(*key, value.clone());
                }
                Entry::Rejected {
                    customers,
                    attribute,
                    ..
                } => {
                    for &customer in customers {
                        expected.customers.insert(customer);
                        expected.kept.insert((customer, *attribute));
                    }
                }
                Entry::NotMirrored { customer, .. } => {
                    expected.customers.insert(*customer);
                }
                Entry::Unresolved(_) | Entry::Error => expected.holds_back = true,
            }
        }
        expected.holds_back |= expected.rows == 0;
        expected
    }

    fn may_delete(&self, key: Key, in_input: bool) -> bool {
        let is_absent = self.values.get(&key).is_none_or(Option::is_none);
        is_absent
            && !self.kept.contains(&key)
            && MIRRORED.contains(&key.1)
            && (!in_input || self.customers.contains(&key.0))
            && !self.holds_back
    }
}

/// What another writer has done.
#[derive(Debug, Default)]
struct Written {
    keys: BTreeSet<Key>,
    /// The keys of the values that were created or changed, by ID.
    ids: BTreeMap<i64, Key>,
    removed: BTreeSet<i64>,
}

#[derive(Debug, Default)]
struct Shared {
    written: Mutex<Written>,
    /// The number of items that were read, and whether the input has ended.
    read: Mutex<(usize, bool)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a store and its mirror are set up.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// For messages.
    #[expect(dead_code, reason = "read by Debug only")]
    seed: u64,
    customers: i64,
    /// How often requests fail.
    fault_rate: f64,
    has_writer: bool,
    is_old: bool,
    has_date: bool,
    has_filters: bool,
    ignores_all_filters: bool,
    has_totals: bool,
    bad_rows: f64,
    in_input: bool,
    max_deletes: Option<u64>,
    requires_complete: bool,
    stops_on_input_error: bool,
    deadline: Option<Duration>,
}

impl Plan {
    fn new(seed: u64, rng: &mut Rng) -> Self {
        let mut chance = |share: f64| rng.f64() < share;
        Self {
            seed,
            fault_rate: if chance(0.5) { 0.15 } else { 0.0 },
            has_writer: chance(0.5),
            is_old: chance(0.85),
            has_date: chance(0.85),
            has_filters: chance(0.85),
            ignores_all_filters: chance(0.05),
            has_totals: chance(0.9),
            bad_rows: if chance(0.3) { 0.03 } else { 0.0 },
            in_input: chance(0.3),
            max_deletes: chance(0.8).then_some(1_000),
            requires_complete: chance(0.15),
            stops_on_input_error: chance(0.5),
            deadline: chance(0.1).then(|| Duration::from_millis(600)),
            customers: rng.i64(1..60),
        }
    }

    async fn store(&self, rng: &mut Rng) -> Sandbox {
        let shared = |id: i64| id % 7 < 2 && id > 40;
        let accounts = (1..=self.customers).map(|id| {
            let address = match shared(id) {
                true => format!("shared{}@example.com", id / 7),
                false => format!("customer{id}@example.com"),
            };
            SandboxCustomer::from((id, address))
        });
        let mut builder = builder()
            .attribute(ERP, "ERP")
            .customers(accounts)
            .page_limit(rng.usize(5..250))
            .limit_too_large(LimitTooLarge::Clamped)
            .list_order(
                [
                    ListOrder::ById,
                    ListOrder::ByCustomer,
                    ListOrder::NewestFirst,
                    ListOrder::ByModified,
                ][rng.usize(0..4)],
            )
            .unknown_id(
                [
                    UnknownId::Ignored,
                    UnknownId::NotFound,
                    UnknownId::Unprocessable,
                ][rng.usize(0..3)],
            )
            .delete_limit((rng.u8(0..3) == 0).then_some(3))
            .ignore_filters(self.ignores_all_filters)
            .date_header(self.has_date)
            .latency(Duration::from_millis(rng.u64(1..40)));
        if !self.has_filters {
            builder = builder.ignore_filter("date_modified:min");
        }
        if !self.has_totals {
            builder = builder.list_meta(ListMeta::NoTotals);
        }
        let sandbox = builder.start().await.expect("a sandbox");
        for customer in 1..=self.customers {
            sandbox.insert(customer, ERP, format!("E{customer}"));
            for attribute in MIRRORED {
                if rng.f64() < 0.7 {
                    sandbox.insert(customer, attribute, text(rng, attribute));
                }
            }
        }
        if self.is_old {
            sandbox.advance(HOUR);
        }
        for _ in 0..rng.u8(0..3) {
            let customer = rng.i64(1..=self.customers);
            sandbox.insert(customer, TIER, text(rng, TIER));
        }
        sandbox
    }

    fn mirror(&self, store: &Store) -> Mirror {
        let mut mirror = store.mirror(MIRRORED).external_id("ERP");
        if self.in_input {
            mirror = mirror.customers_in_input();
        }
        if let Some(max) = self.max_deletes {
            mirror = mirror.max_deletes(max);
        }
        if self.requires_complete {
            mirror = mirror.require_complete_list();
        }
        mirror
    }

    fn entries(&self, sandbox: &Sandbox, rng: &mut Rng) -> Vec<Entry> {
        let mut entries = Vec::new();
        let lacking = [0.02, 0.2, 0.7][rng.usize(0..3)];
        for customer in 1..=self.customers + 3 {
            for attribute in MIRRORED {
                let stored = sandbox.value(customer, attribute).map(|value| value.value);
                let times = if rng.f64() < 0.1 { 3 } else { 1 };
                for _ in 0..times {
                    if rng.f64() < lacking {
                        continue;
                    }
                    let value = match rng.u8(0..10) {
                        0 => None,
                        1..=3 => Some(text(rng, attribute)),
                        _ => stored.clone().or_else(|| Some(text(rng, attribute))),
                    };
                    entries.push(self.good((customer, attribute), value, rng));
                }
            }
        }
        rng.shuffle(&mut entries);
        let mut position = 0;
        while position < entries.len() {
            if rng.f64() < self.bad_rows {
                let bad = self.bad(rng);
                entries.insert(position, bad);
            }
            position += 1;
        }
        entries
    }

    fn is_shared(&self, customer: i64) -> bool {
        customer % 7 < 2 && customer > 40 && customer <= self.customers
    }

    fn good(&self, key: Key, value: Option<String>, rng: &mut Rng) -> Entry {
        let (customer, attribute) = key;
        let is_known = customer <= self.customers;
        let customer = match rng.u8(0..4) {
            0 if is_known && !self.is_shared(customer) => {
                CustomerKey::from(format!("customer{customer}@example.com"))
            }
            1 if is_known => CustomerKey::external(format!("E{customer}")),
            _ => CustomerKey::from(customer),
        };
        let name = ["Tier", "Points", "Since"][usize::try_from(attribute - TIER).unwrap_or(0)];
        let row = match rng.bool() {
            true => UpsertRow::new(customer, attribute, value.clone()),
            false => UpsertRow::new(customer, name, value.clone()),
        };
        Entry::Good { key, value, row }
    }

    fn bad(&self, rng: &mut Rng) -> Entry {
        let customer = rng.i64(1..=self.customers);
        let rejected = |customers: Vec<i64>, attribute, row| Entry::Rejected {
            customers,
            attribute,
            row,
        };
        match rng.u8(0..10) {
            0 => Entry::Error,
            1 => Entry::Unresolved(UpsertRow::new("nobody@example.com", TIER, "Gold")),
            2 => Entry::Unresolved(UpsertRow::new(customer, "Teir", "Gold")),
            3 => Entry::Unresolved(UpsertRow::new(0, TIER, "Gold")),
            4 => Entry::NotMirrored {
                customer,
                row: UpsertRow::new(customer, 999, "Gold"),
            },
            5 | 6 => rejected(
                vec![customer],
                POINTS,
                UpsertRow::new(customer, POINTS, "many"),
            ),
            7 => {
                let long = "x".repeat(256);
                rejected(vec![customer], TIER, UpsertRow::new(customer, TIER, long))
            }
            _ => {
                let accounts: Vec<_> = (1..=self.customers)
                    .filter(|&id| self.is_shared(id) && id / 7 == 7)
                    .collect();
                let row = UpsertRow::new("shared7@example.com", TIER, "Gold");
                match accounts.len() {
                    0 => Entry::Unresolved(row),
                    1 => Entry::Good {
                        key: (accounts[0], TIER),
                        value: Some("Gold".to_owned()),
                        row,
                    },
                    _ => rejected(accounts, TIER, row),
                }
            }
        }
    }
}

fn text(rng: &mut Rng, attribute: i64) -> String {
    match attribute {
        TIER => ["Gold", "Silver", "Bronze", ""][rng.usize(0..4)].to_owned(),
        POINTS => ["1", "1.0", "2", "2.50", "1e3"][rng.usize(0..5)].to_owned(),
        _ => {
            let day = rng.u8(1..4);
            let time = if rng.bool() { "T00:00:00Z" } else { "" };
            format!("2024-06-0{day}{time}")
        }
    }
}

/// Returns the text in which equal values are the same.
fn meaning(attribute: i64, text: &str) -> String {
    match attribute {
        POINTS => text
            .parse::<f64>()
            .map_or(text.to_owned(), |number| number.to_string()),
        SINCE => text.trim_end_matches("T00:00:00Z").to_owned(),
        _ => text.to_owned(),
    }
}

fn by_key(sandbox: &Sandbox) -> BTreeMap<Key, StoredValue> {
    let values = sandbox.values().into_iter();
    let keyed = values.map(|value| ((value.customer_id, value.attribute_id), value));
    keyed.filter(|(key, _)| key.1 != ERP).collect()
}

/// Changes values from the first page of the list until the input has ended, at random times.
async fn write(sandbox: Arc<Sandbox>, shared: Arc<Shared>, customers: i64, mut rng: Rng) {
    loop {
        sleep(Duration::from_millis(rng.u64(0..300))).await;
        if lock(&shared.read).1 {
            return;
        }
        if sandbox.counts().gets == 0 {
            continue;
        }
        if rng.u8(0..8) == 0 {
            sandbox.advance(Duration::from_secs(rng.u64(0..40)));
        }
        let key = (rng.i64(1..=customers), MIRRORED[rng.usize(0..3)]);
        let mut written = lock(&shared.written);
        written.keys.insert(key);
        match sandbox.value(key.0, key.1) {
            Some(value) if rng.u8(0..4) == 0 => {
                sandbox.remove(value.id);
                written.removed.insert(value.id);
            }
            _ => {
                let id = sandbox.insert(key.0, key.1, text(&mut rng, key.1));
                written.ids.insert(id, key);
            }
        }
    }
}

/// Returns the items of an input that pauses at times, and counts what was read.
fn input(
    entries: &[Entry],
    shared: Arc<Shared>,
    mut rng: Rng,
) -> impl Stream<Item = Item> + Send + use<> {
    let items: Vec<_> = entries.iter().map(Entry::item).collect();
    stream::unfold(items.into_iter(), move |mut items| {
        let shared = Arc::clone(&shared);
        let pause = match rng.u8(0..20) {
            0 => rng.u64(1..200),
            _ => 0,
        };
        async move {
            if pause > 0 {
                sleep(Duration::from_millis(pause)).await;
            }
            let item = items.next();
            let mut read = lock(&shared.read);
            match item {
                Some(item) => {
                    read.0 += 1;
                    Some((item, items))
                }
                None => {
                    read.1 = true;
                    None
                }
            }
        }
    })
}

/// Checks that each row has one outcome, and that the summary counts them.
fn check_outcomes(plan: &Plan, outcomes: &[MirrorOutcome], summary: &MirrorSummary, rows: usize) {
    let kinds = row_kinds(outcomes);
    assert_eq!(kinds.len(), rows, "{plan:?}");
    let value_kinds: Vec<_> = deletes(outcomes)
        .into_iter()
        .map(|(_, kind)| kind)
        .collect();
    for (kinds, counts) in [(kinds, summary.rows), (value_kinds, summary.deletes)] {
        let count = |kind: &str| kinds.iter().filter(|is| **is == kind).count() as u64;
        for (kind, counted) in [
            ("stored", counts.stored),
            ("unchanged", counts.unchanged),
            ("deleted", counts.deleted),
            ("superseded", counts.superseded),
            ("rejected", counts.rejected),
            ("unknown", counts.unknown),
            ("not_sent", counts.not_sent),
            ("planned", 0),
        ] {
            assert_eq!(count(kind), counted, "{kind} {plan:?} {summary:?}");
        }
    }
    if summary.held_back().is_some() {
        assert_eq!(summary.deletes.rows(), 0, "{plan:?}");
    } else {
        assert_eq!(
            summary.deletes.rows(),
            summary.not_in_input,
            "{plan:?} {summary:?}"
        );
    }
}

/// Checks what each outcome says against the store.
fn check_evidence(
    plan: &Plan,
    outcomes: &[MirrorOutcome],
    entries: &[Entry],
    after: &BTreeMap<Key, StoredValue>,
    written: &Written,
) {
    let mut last: BTreeMap<Key, usize> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Entry::Good { key, .. } = entry {
            last.insert(*key, index);
        }
    }
    for outcome in outcomes {
        match outcome {
            MirrorOutcome::Delete(value) => {
                let key = (value.customer_id, value.attribute_id);
                let is_there = after
                    .get(&key)
                    .is_some_and(|stored| stored.id == value.value_id);
                let is_gone = matches!(value.kind, OutcomeKind::Deleted | OutcomeKind::Unchanged);
                assert!(!(is_gone && is_there), "{plan:?} {value:?}");
            }
            MirrorOutcome::Row(outcome) => {
                let index = usize::try_from(outcome.index).expect("an index");
                let Entry::Good { key, value, .. } = &entries[index] else {
                    continue;
                };
                if last.get(key) != Some(&index) || written.keys.contains(key) {
                    continue;
                }
                let is_confirmed = matches!(
                    outcome.kind,
                    OutcomeKind::Stored(_) | OutcomeKind::Unchanged | OutcomeKind::Deleted
                );
                if !is_confirmed {
                    continue;
                }
                let stored = after.get(key).map(|stored| meaning(key.1, &stored.value));
                let wanted = value.as_ref().map(|value| meaning(key.1, value));
                assert_eq!(stored, wanted, "{plan:?} {key:?} {:?}", outcome.kind);
            }
            _ => {}
        }
    }
}

fn is_equal(
    plan: &Plan,
    expected: &Expected,
    after: &BTreeMap<Key, StoredValue>,
) -> Result<(), String> {
    let in_scope = |key: &Key| !plan.in_input || expected.customers.contains(&key.0);
    let stored: BTreeMap<_, _> = after
        .iter()
        .filter(|(key, _)| in_scope(key))
        .map(|(key, value)| (*key, meaning(key.1, &value.value)))
        .collect();
    let wanted: BTreeMap<_, _> = expected
        .values
        .iter()
        .filter_map(|(key, value)| Some((*key, meaning(key.1, value.as_ref()?))))
        .collect();
    let lacking: Vec<_> = wanted
        .iter()
        .filter(|(key, value)| stored.get(key) != Some(value))
        .collect();
    let surplus: Vec<_> = stored
        .iter()
        .filter(|(key, _)| !wanted.contains_key(key))
        .collect();
    match lacking.is_empty() && surplus.is_empty() {
        true => Ok(()),
        false => Err(format!("lacking {lacking:?}, surplus {surplus:?}")),
    }
}

/// What happened in all runs together.
#[derive(Debug, Default)]
struct Totals {
    deleted: u64,
    kept: u64,
    held_back: u64,
    exact: u64,
    faults: u64,
    stopped: u64,
}

async fn check_seed(seed: u64, totals: &mut Totals) {
    let rng = &mut Rng::with_seed(seed);
    let plan = Plan::new(seed, rng);
    let sandbox = Arc::new(plan.store(rng).await);
    let entries = plan.entries(&sandbox, rng);
    let store = store(sandbox.base_url());
    sandbox.set_faults(FaultPlan::seeded(seed).rate(plan.fault_rate));
    let before = by_key(&sandbox);
    let shared = Arc::new(Shared::default());
    let writer = plan.has_writer.then(|| {
        let (sandbox, shared) = (Arc::clone(&sandbox), Arc::clone(&shared));
        tokio::spawn(write(sandbox, shared, plan.customers, rng.fork()))
    });
    let mut mirror = plan.mirror(&store);
    if plan.stops_on_input_error {
        mirror = mirror.stop_on_input_error();
    }
    if let Some(deadline) = plan.deadline {
        mirror = mirror.deadline(deadline);
    }
    let started = sandbox.counts().requests;
    let (outcomes, summary) =
        run(mirror.stream(input(&entries, Arc::clone(&shared), rng.fork()))).await;
    let requests = sandbox.counts().requests - started;
    let has_ended = std::mem::replace(&mut lock(&shared.read).1, true);
    if let Some(writer) = writer {
        writer.await.expect("a writer");
    }
    sandbox.set_faults(FaultPlan::none());
    // What a gateway gave up on is executed by then.
    sleep(Duration::from_secs(30)).await;

    let rows = lock(&shared.read).0;
    check_outcomes(&plan, &outcomes, &summary, rows);
    let mut expected = Expected::of(&entries[..rows]);
    // A stop while values are deleted is too late for those in flight.
    let was_stopped = summary.stopped_by().is_some() && summary.deletes.rows() == 0;
    expected.holds_back |= !has_ended || was_stopped;
    let after = by_key(&sandbox);
    let ids: BTreeSet<_> = after.values().map(|value| value.id).collect();
    let written = std::mem::take(&mut *lock(&shared.written));
    let given: BTreeSet<_> = entries[..rows]
        .iter()
        .filter_map(|entry| match entry {
            Entry::Good {
                key,
                value: Some(_),
                ..
            } => Some(*key),
            _ => None,
        })
        .collect();
    for (key, value) in &before {
        if ids.contains(&value.id) || written.removed.contains(&value.id) {
            continue;
        }
        assert!(
            expected.may_delete(*key, plan.in_input),
            "{plan:?} {key:?} {summary:?}"
        );
        // A value that the mirror itself wrote last can be deleted, whenever others did.
        let is_own = given.contains(key);
        let is_touched = written.ids.contains_key(&value.id);
        // Without `Date` it isn't known whether a listed value is younger than the run.
        assert!(
            !is_touched || is_own || !plan.has_date,
            "{plan:?} {key:?} {summary:?}"
        );
        assert!(
            plan.is_old || is_own || !plan.has_date,
            "a young value, {plan:?} {key:?}"
        );
    }
    for (id, key) in &written.ids {
        let is_there = ids.contains(id) || written.removed.contains(id);
        assert!(
            is_there || given.contains(key) || !plan.has_date,
            "{plan:?} {id} {summary:?}"
        );
    }
    check_evidence(&plan, &outcomes, &entries[..rows], &after, &written);
    if plan.max_deletes.is_none() {
        assert!(
            summary.deletes.deleted <= summary.listed.div_ceil(10),
            "{plan:?}"
        );
    }
    if plan.requires_complete && !plan.has_totals {
        assert_eq!(summary.deletes.rows(), 0, "{plan:?}");
    }
    if summary.is_exact() && written.keys.is_empty() {
        assert!(has_ended && rows == entries.len(), "{plan:?}");
        is_equal(&plan, &expected, &after)
            .unwrap_or_else(|error| panic!("{plan:?} {error} {summary:?}"));
    }
    if plan.deadline.is_none() && summary.stopped_by().is_none() {
        // A list that ends with an error cancels the requests for its other pages, and doesn't count them.
        let uncounted = requests - summary.requests;
        let most = if plan.fault_rate > 0.0 { 6 } else { 0 };
        assert!(uncounted <= most, "{uncounted} {plan:?} {summary:?}");
    }
    totals.deleted += summary.deletes.deleted;
    totals.kept += summary.kept;
    totals.held_back += u64::from(summary.held_back().is_some());
    totals.exact += u64::from(summary.is_exact());
    totals.stopped += u64::from(summary.stopped_by().is_some());
    totals.faults += sandbox.counts().faults;
    mirror_again(&plan, &sandbox, &store, entries).await;
}

/// Mirrors the last row of each value in an hour in which nothing else happens.
async fn mirror_again(plan: &Plan, sandbox: &Sandbox, store: &Store, mut entries: Vec<Entry>) {
    // A value that the input gives and takes away again is created by one run and deleted by the next.
    let mut seen = BTreeSet::new();
    entries.reverse();
    entries.retain(|entry| match entry {
        Entry::Good { key, .. } => seen.insert(*key),
        _ => false,
    });
    let expected = Expected::of(&entries);
    if entries.is_empty() || plan.ignores_all_filters {
        return;
    }
    sandbox.advance(HOUR);
    let mirror = plan.mirror(store).max_deletes(1_000);
    let rows = stream::iter(entries.iter().map(Entry::item).collect::<Vec<_>>());
    let (_, summary) = run(mirror.stream(rows)).await;
    assert!(
        summary.is_exact() || !plan.has_totals,
        "{plan:?} {summary:?}"
    );
    if summary.is_exact() {
        let equal = is_equal(plan, &expected, &by_key(sandbox));
        equal.unwrap_or_else(|error| panic!("{plan:?} {error}"));
    }
}

#[tokio::test(start_paused = true)]
async fn no_value_is_deleted_that_the_model_does_not_allow() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|number| number.parse().ok())
    };
    let seeds: u64 = number("MIRROR_SEEDS").unwrap_or(SEEDS);
    let range = match number("MIRROR_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..seeds,
    };
    let is_whole = range.clone().count() as u64 >= SEEDS;
    let mut totals = Totals::default();
    for seed in range {
        check_seed(seed, &mut totals).await;
    }
    let Totals {
        deleted,
        kept,
        held_back,
        exact,
        faults,
        stopped,
    } = totals;
    // The runs are of all kinds.
    assert!(
        !is_whole
            || [deleted, kept, held_back, exact, faults, stopped]
                .into_iter()
                .min()
                > Some(0),
        "{totals:?}"
    );
}
