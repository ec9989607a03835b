//! How much a call may hold, as far as the server has shown.

/// Customers and rows of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub customers: usize,
    pub rows: usize,
}

impl Size {
    const ONE: Self = Self {
        customers: 1,
        rows: 1,
    };
    const ANY: Self = Self {
        customers: usize::MAX,
        rows: usize::MAX,
    };

    fn fits(self, most: Self) -> bool {
        self.customers <= most.customers && self.rows <= most.rows
    }

    fn max(self, other: Self) -> Self {
        Self {
            customers: self.customers.max(other.customers),
            rows: self.rows.max(other.rows),
        }
    }
}

/// What was learned of sizes during a run.
///
/// A server may limit customers or rows, apart from each other. Of what some call was accepted
/// with, there are not too many; so a refusal can be due to customers, to rows, or, as long as
/// nothing tells them apart, to either.
#[derive(Clone, Debug)]
pub(crate) struct SizeLearner {
    /// The most customers and the most rows that calls were accepted with.
    seen: Size,
    /// What was refused as too large.
    refused: Vec<Size>,
    /// Whether a part of the last refused call was accepted.
    has_part: bool,
}

impl Default for SizeLearner {
    fn default() -> Self {
        Self {
            seen: Size::ONE,
            refused: Vec::new(),
            has_part: false,
        }
    }
}

impl SizeLearner {
    /// Hears that a call was accepted; `is_part` if a larger one was refused before it.
    pub(crate) fn accepted(&mut self, size: Size, is_part: bool) {
        self.has_part |= is_part;
        self.seen = self.seen.max(size);
        let seen = self.seen;
        // The server takes more than it did when it refused these.
        self.refused.retain(|refused| !refused.fits(seen));
    }

    /// Hears that a call was refused as too large.
    pub(crate) fn refused(&mut self, size: Size) {
        if size.fits(self.seen) {
            // The server takes less than it did.
            self.seen = Size {
                customers: self.seen.customers.min(size.customers - 1),
                rows: self.seen.rows.min(size.rows - 1),
            }
            .max(Size::ONE);
        }
        self.refused.retain(|refused| !size.fits(*refused));
        self.refused.push(size);
        self.has_part = false;
    }

    /// Says whether a call of this size was accepted before.
    pub(crate) fn has_seen(&self, size: Size) -> bool {
        size.fits(self.seen)
    }

    /// The most that a new call should hold.
    pub(crate) fn limit(&self) -> Size {
        let box_ = match self.has_part {
            true => self.seen,
            false => self.half().max(self.seen),
        };
        let suspects = self.suspects();
        Size {
            customers: if suspects.customers {
                box_.customers
            } else {
                usize::MAX
            },
            rows: if suspects.rows { box_.rows } else { usize::MAX },
        }
    }

    /// Says whether it is not known yet if customers or rows are limited, so that a call that has
    /// more of only one of them would tell.
    pub(crate) fn is_open(&self) -> bool {
        self.suspects().is_open
    }

    /// Says whether a part of a refused call is worth sending as it is.
    pub(crate) fn allow(&self, size: Size) -> bool {
        let suspects = self.suspects();
        // More of only one of them tells which is limited.
        let is_one = size.customers <= self.seen.customers || size.rows <= self.seen.rows;
        if self.has_part && !(suspects.is_open && is_one) {
            return size.fits(self.limit());
        }
        let is_refused = |refused: &Size| {
            let customers = suspects.customers && size.customers >= refused.customers;
            let rows = suspects.rows && size.rows >= refused.rows;
            match suspects.is_open {
                true => customers && rows,
                false => customers || rows,
            }
        };
        !self.refused.iter().any(is_refused)
    }

    /// Says what is known from a refusal and an acceptance after it.
    pub(crate) fn learned(&self) -> Option<Size> {
        Some(self.limit()).filter(|limit| self.has_part && *limit != Size::ANY)
    }

    fn half(&self) -> Size {
        let least = |part: fn(&Size) -> usize| self.refused.iter().map(part).min();
        Size {
            customers: least(|refused| refused.customers).unwrap_or(1).div_ceil(2),
            rows: least(|refused| refused.rows).unwrap_or(1).div_ceil(2),
        }
    }

    fn suspects(&self) -> Suspects {
        let beyond = |refused: &Size| Suspects {
            customers: refused.customers > self.seen.customers,
            rows: refused.rows > self.seen.rows,
            is_open: false,
        };
        let sure = |of: fn(&Suspects) -> bool, part: fn(&Size) -> usize| {
            let due_to = self.refused.iter().filter(|refused| of(&beyond(refused)));
            due_to.map(part).min()
        };
        let customers = sure(|s| s.customers && !s.rows, |refused| refused.customers);
        let rows = sure(|s| s.rows && !s.customers, |refused| refused.rows);
        // What a limit that is sure explains says nothing about the other one.
        let is_open = self.refused.iter().any(|refused| {
            let both = beyond(refused);
            both.customers
                && both.rows
                && customers.is_none_or(|limit| refused.customers < limit)
                && rows.is_none_or(|limit| refused.rows < limit)
        });
        Suspects {
            customers: customers.is_some() || is_open,
            rows: rows.is_some() || is_open,
            is_open,
        }
    }
}

/// What refusals can be due to.
struct Suspects {
    customers: bool,
    rows: bool,
    /// Whether one of them is due to either.
    is_open: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(customers: usize, rows: usize) -> Size {
        Size { customers, rows }
    }

    #[test]
    fn nothing_is_limited_before_a_refusal() {
        let mut sizes = SizeLearner::default();
        sizes.accepted(size(1, 1), false);
        assert_eq!(sizes.limit(), Size::ANY);
        assert!(sizes.allow(size(10, 300)));
        assert_eq!(sizes.learned(), None);
    }

    #[test]
    fn the_largest_part_that_was_accepted_is_the_limit() {
        let mut sizes = SizeLearner::default();
        sizes.accepted(size(1, 1), false);
        sizes.refused(size(10, 30));
        assert_eq!(sizes.limit(), size(5, 15));
        assert!(sizes.allow(size(5, 15)) && !sizes.allow(size(10, 30)));
        sizes.refused(size(5, 15));
        assert!(sizes.allow(size(3, 9)) && !sizes.allow(size(5, 15)));
        sizes.accepted(size(3, 9), true);
        sizes.accepted(size(2, 6), true);
        assert_eq!(sizes.learned(), Some(size(3, 9)));
        assert!(sizes.allow(size(3, 9)) && !sizes.allow(size(4, 10)));
        // More customers with as many rows would tell which of them is limited.
        assert!(sizes.allow(size(4, 9)));
    }

    #[test]
    fn what_was_accepted_before_is_not_the_reason() {
        let mut sizes = SizeLearner::default();
        sizes.accepted(size(10, 10), false);
        sizes.refused(size(10, 30));
        sizes.accepted(size(5, 15), true);
        assert_eq!(sizes.limit(), size(usize::MAX, 15));

        let mut sizes = SizeLearner::default();
        sizes.accepted(size(2, 60), false);
        sizes.refused(size(10, 30));
        sizes.accepted(size(5, 15), true);
        assert_eq!(sizes.limit(), size(5, usize::MAX));
    }

    #[test]
    fn one_customer_is_never_too_many() {
        let mut sizes = SizeLearner::default();
        sizes.refused(size(10, 120));
        assert!(sizes.is_open());
        sizes.refused(size(1, 12));
        // Rows are limited for sure, which explains the first refusal too.
        assert!(!sizes.is_open());
        assert!(sizes.allow(size(1, 6)));
        sizes.accepted(size(1, 6), true);
        assert_eq!(sizes.limit(), size(usize::MAX, 6));
    }

    #[test]
    fn a_call_with_more_of_only_one_tells_them_apart() {
        let mut sizes = SizeLearner::default();
        sizes.refused(size(10, 10));
        sizes.accepted(size(5, 5), true);
        assert_eq!((sizes.limit(), sizes.is_open()), (size(5, 5), true));
        // More rows than were refused, with customers that are fine: customers it was.
        sizes.accepted(size(3, 12), false);
        assert_eq!(
            (sizes.limit(), sizes.is_open()),
            (size(5, usize::MAX), false)
        );
    }

    #[test]
    fn a_server_that_takes_less_or_more_is_believed() {
        let mut sizes = SizeLearner::default();
        sizes.accepted(size(10, 30), false);
        sizes.refused(size(10, 30));
        assert!(sizes.limit().fits(size(9, 29)));
        sizes.accepted(size(5, 15), true);
        assert!(sizes.limit().fits(size(9, 29)));
        sizes.accepted(size(10, 30), false);
        assert_eq!(sizes.limit(), Size::ANY);
    }
}
