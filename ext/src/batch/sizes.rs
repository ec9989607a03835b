//! How much a call may hold, as far as the server has shown.

/// Customers and rows of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub customers: usize,
    pub rows: usize,
}

/// What was learned of sizes during a run, customers and rows apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    customers: Bound,
    rows: Bound,
}

/// What was learned of one of them.
#[derive(Clone, Copy, Debug, Default)]
struct Bound {
    /// The largest that any call was accepted with.
    seen: usize,
    /// The smallest that was refused as too large.
    refused: Option<usize>,
    /// The largest part of a refused call that was accepted.
    part: Option<usize>,
}

impl Sizes {
    /// Hears that a call was accepted; `is_part` if a larger one was refused before it.
    pub(crate) fn accepted(&mut self, size: Size, is_part: bool) {
        self.customers.accepted(size.customers, is_part);
        self.rows.accepted(size.rows, is_part);
    }

    /// Hears that a call was refused as too large.
    ///
    /// Of what some call was accepted with, there were not too many; where that clears both, both
    /// are suspected again.
    pub(crate) fn refused(&mut self, size: Size) {
        let by_customers = size.customers > self.customers.seen;
        let by_rows = size.rows > self.rows.seen;
        if by_customers || !by_rows {
            self.customers.refused(size.customers);
        }
        if by_rows || !by_customers {
            self.rows.refused(size.rows);
        }
    }

    /// The most that a new call should hold.
    pub(crate) fn limit(&self) -> Size {
        Size {
            customers: self.customers.limit(),
            rows: self.rows.limit(),
        }
    }

    /// Says whether a part of a refused call is worth sending as it is.
    pub(crate) fn allow(&self, size: Size) -> bool {
        self.customers.allows(size.customers) && self.rows.allows(size.rows)
    }

    /// Says whether a limit is known from a refusal and an acceptance.
    pub(crate) fn learned(&self) -> Option<Size> {
        let is_known = self.customers.part.is_some() || self.rows.part.is_some();
        is_known.then(|| self.limit())
    }
}

impl Bound {
    fn accepted(&mut self, number: usize, is_part: bool) {
        self.seen = self.seen.max(number);
        if is_part && self.refused.is_some_and(|refused| number < refused) {
            self.part = self.part.max(Some(number));
        }
    }

    fn refused(&mut self, number: usize) {
        let refused = self.refused.map_or(number, |before| before.min(number));
        self.refused = Some(refused);
        self.part = self.part.filter(|&part| part < refused);
    }

    fn limit(&self) -> usize {
        match (self.refused, self.part) {
            (None, _) => usize::MAX,
            (Some(_), Some(part)) => part,
            (Some(refused), None) => refused.div_ceil(2),
        }
    }

    fn allows(&self, number: usize) -> bool {
        match (self.refused, self.part) {
            (None, _) => true,
            (Some(_), Some(part)) => number <= part,
            (Some(refused), None) => number < refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(customers: usize, rows: usize) -> Size {
        Size { customers, rows }
    }

    #[test]
    fn nothing_is_limited_before_a_refusal() {
        let mut sizes = Sizes::default();
        sizes.accepted(size(1, 1), false);
        assert_eq!(sizes.limit(), size(usize::MAX, usize::MAX));
        assert!(sizes.allow(size(10, 300)));
        assert_eq!(sizes.learned(), None);
    }

    #[test]
    fn the_largest_part_that_was_accepted_is_the_limit() {
        let mut sizes = Sizes::default();
        sizes.accepted(size(1, 1), false);
        sizes.refused(size(10, 30));
        assert_eq!(sizes.limit(), size(5, 15));
        assert!(sizes.allow(size(9, 29)) && !sizes.allow(size(10, 29)));
        sizes.refused(size(5, 15));
        sizes.accepted(size(3, 9), true);
        sizes.accepted(size(2, 6), true);
        assert_eq!(sizes.learned(), Some(size(3, 9)));
        assert!(sizes.allow(size(3, 9)) && !sizes.allow(size(4, 9)) && !sizes.allow(size(3, 10)));
    }

    #[test]
    fn what_was_accepted_before_is_not_the_reason() {
        let mut sizes = Sizes::default();
        sizes.accepted(size(10, 10), false);
        sizes.refused(size(10, 30));
        sizes.accepted(size(5, 15), true);
        assert_eq!(sizes.limit(), size(usize::MAX, 15));

        let mut sizes = Sizes::default();
        sizes.accepted(size(2, 60), false);
        sizes.refused(size(10, 30));
        sizes.accepted(size(5, 15), true);
        assert_eq!(sizes.limit(), size(5, usize::MAX));
    }

    #[test]
    fn a_limit_that_shrinks_is_learned_again() {
        let mut sizes = Sizes::default();
        sizes.accepted(size(10, 30), false);
        sizes.refused(size(10, 30));
        sizes.accepted(size(5, 15), true);
        sizes.refused(size(5, 15));
        assert_eq!(sizes.limit(), size(3, 8));
    }
}
