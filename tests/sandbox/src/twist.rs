use crate::fault::Fault;
use crate::play::Play;
use crate::rows::Row;
use crate::store::StoredValue;

/// A row to write; `is_first` of its customer and attribute in this body.
pub(crate) struct Write {
    pub row: Row,
    pub is_first: bool,
}

/// What a fault makes of the rows that a PUT is about to store, and whether it makes any
/// difference.
pub(crate) fn rows(play: &mut Play, writes: &mut Vec<Write>) -> bool {
    match play.fault {
        Fault::LeavesOut => {
            // By value, not by row: the same one twice in a body must not be half left out.
            let firsts = writes.iter().filter(|write| write.is_first);
            let mut out: Vec<(i64, i64)> = firsts.map(|write| pair(&write.row)).collect();
            play.keep_some(&mut out);
            writes.retain(|write| !out.contains(&pair(&write.row)));
            !out.is_empty()
        }
        Fault::Normalised => {
            let mut changed = false;
            for write in writes {
                if let Some(normal) = normal_form(&write.row.value) {
                    write.row.value = normal;
                    changed = true;
                }
            }
            changed
        }
        _ => false,
    }
}

/// What a fault makes of the values that a PUT is about to answer with, and whether it makes any
/// difference.
pub(crate) fn shown(play: &mut Play, values: &mut Vec<StoredValue>) -> bool {
    match play.fault {
        Fault::HidesRows => {
            let mut hidden: Vec<i64> = values.iter().map(|value| value.id).collect();
            play.keep_some(&mut hidden);
            values.retain(|value| !hidden.contains(&value.id));
            !hidden.is_empty()
        }
        Fault::PartialPage if values.len() > 1 => {
            let shown = play.one_of(1..values.len());
            values.truncate(shown);
            true
        }
        _ => false,
    }
}

fn pair(row: &Row) -> (i64, i64) {
    (row.customer_id, row.attribute_id)
}

/// `None` where the value has it already.
fn normal_form(value: &str) -> Option<String> {
    let trimmed = value.trim();
    let normal = without_needless_zeros(trimmed).unwrap_or(trimmed);
    (normal != value).then(|| normal.to_owned())
}

fn without_needless_zeros(text: &str) -> Option<&str> {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.')?;
    let is_number = is_digits(whole.strip_prefix('-').unwrap_or(whole)) && is_digits(fraction);
    is_number.then(|| text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_a_normal_form() {
        for (value, normal) in [
            ("1.0", "1"),
            ("2.50", "2.5"),
            ("-10.00", "-10"),
            (" Blue\t", "Blue"),
            (" 1.0 ", "1"),
            ("  ", ""),
        ] {
            assert_eq!(normal_form(value).as_deref(), Some(normal), "{value:?}");
        }
        for value in [
            "", "1", "10", "1.5", "1.", ".0", "1.0.0", "v1.0", "1.0e0", "a b",
        ] {
            assert_eq!(normal_form(value), None, "{value:?}");
        }
    }
}
