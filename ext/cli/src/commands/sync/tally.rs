//! The number of values per outcome, and why values were not deleted or not sent.

use std::collections::BTreeMap;

use bigcommerce_ext::{Error, MirrorOutcome, MirrorSummary, OutcomeKind, UpsertRow};

use crate::input::Place;
use crate::meter::Rows;
use crate::mirror::shown;
use crate::numbers::counted;
use crate::session::Session;

/// The outcomes of a mirror.
#[derive(Debug, Default)]
pub struct Tally {
    rows: Rows,
    /// The number of values that were not sent or not deleted, and the first one, by the reason: most
    /// often all of them have one.
    reasons: BTreeMap<String, (u64, String)>,
    /// The customer and attribute of the value whose outcome came last.
    last_value: Option<(i64, i64)>,
}

impl Tally {
    /// Counts an outcome. Returns its kind, or `None` for the outcome of a row without a value that repeats
    /// that of the value.
    pub fn add<'a>(&mut self, outcome: &'a MirrorOutcome<Place>) -> Option<&'a OutcomeKind> {
        let kind = match outcome {
            MirrorOutcome::Row(outcome) => {
                let row = outcome.row.as_ref();
                let absent = row.filter(|row| row.value().is_none());
                let key = absent.and_then(|row| row.customer_id().zip(row.attribute().id()));
                // Cells without a value are no values: only what becomes of the store's value counts.
                let is_nothing = absent.is_some() && matches!(outcome.kind, OutcomeKind::Unchanged);
                if is_nothing || (key.is_some() && key == self.last_value) {
                    return None;
                }
                if let OutcomeKind::NotSent(error) = &outcome.kind {
                    self.add_reason(error, || place(row));
                }
                &outcome.kind
            }
            MirrorOutcome::Delete(value) => {
                let (customer, attribute) = (value.customer_id, value.attribute_id);
                self.last_value = Some((customer, attribute));
                if let Some(error) = outcome.error() {
                    self.add_reason(error, || {
                        format!("customer {customer}, attribute {attribute}")
                    });
                }
                &value.kind
            }
            _ => return None,
        };
        self.rows.count(kind);
        Some(kind)
    }

    fn add_reason(&mut self, error: &Error, first: impl FnOnce() -> String) {
        let reason = self.reasons.entry(shown(error));
        reason.or_insert_with(|| (0, first())).0 += 1;
    }

    /// Says why values were not sent or not deleted, but for what the end of the run says.
    pub fn report(&self, session: &Session, summary: &MirrorSummary) {
        let said = [summary.held_back(), summary.stopped_by()];
        let said: Vec<_> = said.into_iter().flatten().map(shown).collect();
        for (reason, (number, first)) in &self.reasons {
            if said.contains(reason) {
                continue;
            }
            let values = counted(*number, "value");
            let first = match number {
                1 => first.clone(),
                _ => format!("the first: {first}"),
            };
            session.eprintln(format_args!("{values} not sent ({first}): {reason}"));
        }
    }

    /// Returns the numbers as the last line.
    pub fn describe(&self, summary: &MirrorSummary) -> String {
        let Rows {
            stored,
            unchanged,
            deleted,
            superseded,
            rejected,
            unknown,
            not_sent,
            ..
        } = self.rows;
        let values = stored + unchanged + deleted + superseded + rejected + unknown + not_sent;
        format!(
            "{values} values in {} requests: {stored} stored, {unchanged} unchanged, {deleted} deleted, \
             {superseded} superseded, {rejected} rejected, {unknown} unknown, {not_sent} not sent",
            summary.requests
        )
    }
}

fn place(row: Option<&UpsertRow<Place>>) -> String {
    row.map_or_else(String::new, |row| row.payload().to_string())
}
