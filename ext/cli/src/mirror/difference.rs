//! Differences as lines, and their number.

use std::fmt;

use bigcommerce_ext::Difference;

use crate::input::Place;
use crate::numbers::grouped;
use crate::status::Status;

/// Returns the line of a difference, `None` if the row makes none: `+` for a value that the store lacks,
/// `~` for one that changes, `-` for one that the files don't have.
///
/// Texts are quoted, so that a value with a line break takes one line, too.
pub fn line(difference: &Difference<Place>) -> Option<String> {
    match difference {
        Difference::Create { row, .. } => {
            let (customer, attribute) = (row.customer(), &row.payload().attribute);
            let value = row.value().unwrap_or_default();
            Some(format!("+ {customer} {attribute:?} {value:?}"))
        }
        Difference::Change { row, old, .. } => {
            let (customer, attribute) = (row.customer(), &row.payload().attribute);
            let value = row.value().unwrap_or_default();
            let old = Old(old.as_deref());
            Some(format!("~ {customer} {attribute:?} {old} → {value:?}"))
        }
        Difference::Delete {
            customer_id,
            attribute,
            old,
            ..
        } => {
            let old = Old(old.as_deref());
            Some(format!("- {customer_id} {attribute:?} {old}"))
        }
        _ => None,
    }
}

/// A value of the store, which may have gone before it was read.
struct Old<'a>(Option<&'a str>);

impl fmt::Display for Old<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) => write!(f, "{text:?}"),
            None => f.write_str("(no longer there)"),
        }
    }
}

/// The number of differences.
#[derive(Clone, Copy, Debug, Default)]
pub struct DifferenceCounts {
    pub created: u64,
    pub changed: u64,
    pub deleted: u64,
    unchanged: u64,
    /// Rows that can't be compared.
    failed: u64,
}

impl DifferenceCounts {
    pub fn add<T>(&mut self, difference: &Difference<T>) {
        match difference {
            Difference::Create { .. } => self.created += 1,
            Difference::Change { .. } => self.changed += 1,
            Difference::Delete { .. } => self.deleted += 1,
            // A row without a value, and the store has none: nothing to count.
            Difference::Unchanged { row, .. } if row.value().is_none() => {}
            Difference::Unchanged { .. } => self.unchanged += 1,
            Difference::Other(outcome) if outcome.error().is_some() => self.failed += 1,
            _ => {}
        }
    }

    /// Returns the exit status of a comparison that has come to its end.
    pub fn status(&self) -> Status {
        match self {
            _ if self.created + self.changed + self.deleted > 0 => Status::Differs,
            _ if self.failed > 0 => Status::Incomplete,
            _ => Status::Done,
        }
    }
}

impl fmt::Display for DifferenceCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} to create, {} to change, {} to delete, {} unchanged",
            grouped(self.created),
            grouped(self.changed),
            grouped(self.deleted),
            grouped(self.unchanged)
        )?;
        match self.failed {
            0 => Ok(()),
            failed => write!(f, ", {} not comparable", grouped(failed)),
        }
    }
}
