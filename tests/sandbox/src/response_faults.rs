//! Faults that leave the response of a PUT or a list well-formed, but wrong or incomplete.

use crate::active_fault::ActiveFault;
use crate::fault::Fault;
use crate::rows::Row;
use crate::store::StoredValue;

/// A row to store.
pub(crate) struct RowWrite {
    pub row: Row,
    /// No earlier row of the body names the same customer and attribute.
    pub is_first: bool,
}

/// Applies the fault to the rows that a PUT is about to store. Returns `true` if any row changes.
pub(crate) fn apply_to_writes(fault: &mut ActiveFault, writes: &mut Vec<RowWrite>) -> bool {
    match fault.fault {
        Fault::DroppedRows | Fault::TotalTooLarge => {
            // By customer and attribute: of duplicate rows, all are dropped or none.
            let firsts = writes.iter().filter(|write| write.is_first);
            let mut dropped: Vec<(i64, i64)> = firsts.map(|write| key(&write.row)).collect();
            fault.retain_some(&mut dropped);
            writes.retain(|write| !dropped.contains(&key(&write.row)));
            !dropped.is_empty()
        }
        Fault::Normalized => {
            let mut changed = false;
            for write in writes {
                if let Some(normalized) = normalize(&write.row.value) {
                    write.row.value = normalized;
                    changed = true;
                }
            }
            changed
        }
        _ => false,
    }
}

/// Applies the fault to the values that the response to a PUT is about to show. Returns `true` if
/// any value is removed.
pub(crate) fn apply_to_response(fault: &mut ActiveFault, values: &mut Vec<StoredValue>) -> bool {
    match fault.fault {
        Fault::HiddenRows => {
            let mut hidden: Vec<i64> = values.iter().map(|value| value.id).collect();
            fault.retain_some(&mut hidden);
            values.retain(|value| !hidden.contains(&value.id));
            !hidden.is_empty()
        }
        Fault::PartialPage if values.len() > 1 => {
            let count = fault.pick(1..values.len());
            values.truncate(count);
            true
        }
        _ => false,
    }
}

/// Applies the fault to a page of a list and to the total that its pagination shows, if it shows
/// totals. The page begins after `offset` items. Returns `true` if either changes.
pub(crate) fn apply_to_list<T>(
    fault: &mut ActiveFault,
    offset: usize,
    items: &mut Vec<T>,
    total: &mut usize,
    has_totals: bool,
) -> bool {
    match fault.fault {
        Fault::ShortPage => fault.remove_some(items),
        Fault::EmptyPage => {
            let had_items = !items.is_empty();
            items.clear();
            had_items
        }
        Fault::TotalTooLarge if has_totals => {
            *total = exaggerate(fault, *total);
            true
        }
        Fault::TotalTooSmall if has_totals && *total > 0 => {
            let picked = fault.pick(0..*total);
            // With this total, the list would end with the page, and nobody could tell.
            let plausible = offset + items.len();
            *total = if picked == plausible {
                picked.saturating_sub(1)
            } else {
                picked
            };
            true
        }
        _ => false,
    }
}

/// Returns a number that is larger than the count, up to twice as large.
pub(crate) fn exaggerate(fault: &mut ActiveFault, count: usize) -> usize {
    count + 1 + fault.pick(0..count.max(1))
}

fn key(row: &Row) -> (i64, i64) {
    (row.customer_id, row.attribute_id)
}

/// Returns `None` if the value is already normalized.
fn normalize(value: &str) -> Option<String> {
    let trimmed = value.trim();
    let normalized = without_trailing_zeros(trimmed).unwrap_or(trimmed);
    (normalized != value).then(|| normalized.to_owned())
}

/// Returns `None` if the text is not a decimal number with a fraction.
fn without_trailing_zeros(text: &str) -> Option<&str> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.')?;
    let is_number = is_digits(whole.strip_prefix('-').unwrap_or(whole)) && is_digits(fraction);
    is_number.then(|| text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_trimmed_and_lose_trailing_zeros() {
        for (value, normalized) in [
            ("1.0", "1"),
            ("2.50", "2.5"),
            ("-10.00", "-10"),
            (" Blue\t", "Blue"),
            (" 1.0 ", "1"),
            ("  ", ""),
        ] {
            assert_eq!(normalize(value).as_deref(), Some(normalized), "{value:?}");
        }
        for value in [
            "", "1", "10", "1.5", "1.", ".0", "1.0.0", "v1.0", "1.0e0", "a b",
        ] {
            assert_eq!(normalize(value), None, "{value:?}");
        }
    }
}
