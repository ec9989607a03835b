//! Whether a mirror may delete. Pure.

use crate::error::Error;

/// How many values a mirror may delete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum MaxDeletes {
    Values(u64),
    /// A share of the values that are there, from 0 to 1.
    Share(f64),
}

impl MaxDeletes {
    pub(super) fn validate(self) -> Result<(), Error> {
        match self {
            Self::Share(share) if !(0.0..=1.0).contains(&share) => Err(Error::invalid_input(
                format!("max_delete_share is {share}: a share is from 0 to 1"),
            )),
            Self::Values(_) | Self::Share(_) => Ok(()),
        }
    }

    /// Returns how many of these values may be deleted: a share is rounded up.
    pub(super) fn of(self, values: usize) -> u64 {
        match self {
            Self::Values(max) => max,
            // Far fewer values than a float has whole numbers.
            Self::Share(share) => round_up(share * values as f64),
        }
    }
}

/// Rounds up, except for what is a whole number but for the inexactness of a product: a tenth of 70 is
/// 7.000000000000001.
fn round_up(product: f64) -> u64 {
    let whole = product.round();
    let is_whole = (product - whole).abs() <= whole * 1e-12;
    let rounded = if is_whole { whole } else { product.ceil() };
    rounded as u64
}

/// The guards of a mirror, all of which must let the deletes pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guards {
    pub max_deletes: MaxDeletes,
    pub requires_complete_list: bool,
}

/// What the guards judge by, once the input has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeleteEvidence<'a> {
    /// The values that the mirror is about.
    pub values: usize,
    /// Those that the input doesn't have.
    pub candidates: usize,
    /// The number of rows of the input.
    pub rows: u64,
    /// Why the run ended before its input did.
    pub stopped_by: Option<&'a Error>,
    /// The first row that does not tell which value it means.
    pub unresolved: Option<&'a Error>,
    /// Why the list may lack values.
    pub doubt: Option<&'a Error>,
}

impl Guards {
    /// Returns why nothing may be deleted.
    pub(super) fn check(&self, evidence: DeleteEvidence<'_>) -> Result<(), Error> {
        let DeleteEvidence {
            values,
            candidates,
            rows,
            stopped_by,
            unresolved,
            doubt,
        } = evidence;
        if let Some(cause) = stopped_by {
            return Err(Error::mirror_stopped(cause));
        }
        if rows == 0 {
            return Err(Error::mirror_input_empty(values));
        }
        if let Some(row) = unresolved {
            return Err(Error::mirror_row_unresolved(row));
        }
        if let Some(doubt) = doubt.filter(|_| self.requires_complete_list) {
            return Err(Error::mirror_list_doubtful(doubt));
        }
        let max = self.max_deletes.of(values);
        if candidates as u64 > max {
            return Err(Error::mirror_too_many_deletes(candidates, values, max));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up() {
        for (share, values, max) in [
            (0.1, 0, 0),
            (0.1, 1, 1),
            (0.1, 10, 1),
            (0.1, 11, 2),
            (0.0, 11, 0),
            (1.0, 11, 11),
        ] {
            assert_eq!(MaxDeletes::Share(share).of(values), max, "{share} {values}");
        }
        for values in 0..100_000_usize {
            let tenth = values.div_ceil(10) as u64;
            assert_eq!(MaxDeletes::Share(0.1).of(values), tenth, "{values}");
        }
        assert_eq!(MaxDeletes::Share(1e-9).of(1), 1);
        assert_eq!(MaxDeletes::Values(500).of(7), 500);
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(MaxDeletes::Share(share).validate().is_err(), "{share}");
        }
        assert!(MaxDeletes::Share(0.1).validate().is_ok());
    }

    #[test]
    fn each_guard_holds_the_deletes_back() {
        let guards = Guards {
            max_deletes: MaxDeletes::Values(2),
            requires_complete_list: true,
        };
        let passes = DeleteEvidence {
            values: 10,
            candidates: 2,
            rows: 8,
            stopped_by: None,
            unresolved: None,
            doubt: None,
        };
        assert!(guards.check(passes).is_ok());
        let cause = &Error::stopped();
        for (evidence, expected) in [
            (
                DeleteEvidence {
                    stopped_by: Some(cause),
                    ..passes
                },
                "the run ended early",
            ),
            (DeleteEvidence { rows: 0, ..passes }, "the input is empty"),
            (
                DeleteEvidence {
                    unresolved: Some(cause),
                    ..passes
                },
                "which value a row means",
            ),
            (
                DeleteEvidence {
                    doubt: Some(cause),
                    ..passes
                },
                "a complete list is required",
            ),
            (
                DeleteEvidence {
                    candidates: 3,
                    ..passes
                },
                "3 of the 10 values would be, and at most 2 may be",
            ),
        ] {
            let error = guards.check(evidence).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.starts_with("no value was deleted"), "{error}");
        }
        let lenient = Guards {
            requires_complete_list: false,
            ..guards
        };
        let doubtful = DeleteEvidence {
            doubt: Some(cause),
            ..passes
        };
        assert!(lenient.check(doubtful).is_ok());
    }
}
