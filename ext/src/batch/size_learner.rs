//! How large a batch may be, learned from the server's responses.

/// The size of a batch: its customers and its rows.
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
    const UNLIMITED: Self = Self {
        customers: usize::MAX,
        rows: usize::MAX,
    };

    fn fits(self, limit: Self) -> bool {
        self.customers <= limit.customers && self.rows <= limit.rows
    }

    fn max(self, other: Self) -> Self {
        Self {
            customers: self.customers.max(other.customers),
            rows: self.rows.max(other.rows),
        }
    }
}

/// The number of accepted batches after which a larger one is tried again, at first and at most.
const MIN_TRIAL_INTERVAL: u32 = 50;
const MAX_TRIAL_INTERVAL: u32 = 6_400;

/// Learns the server's limits on the size of a batch during a run.
///
/// A server may limit customers, rows, or both. A number of customers or rows that was accepted
/// once is not too large. If a rejected batch exceeds the accepted numbers in both dimensions,
/// either may be limited, until another response decides.
///
/// A limit may pass. After some accepted batches the rejections are set aside until a larger batch
/// is accepted or rejected. If it is rejected, the limit stays for twice as long.
#[derive(Clone, Debug)]
pub(crate) struct SizeLearner {
    /// The largest numbers of customers and of rows that were accepted, not necessarily together.
    accepted_max: Size,
    /// Sizes that were rejected as too large.
    rejected: Vec<Size>,
    /// Whether a part of the last rejected batch was accepted.
    has_accepted_part: bool,
    /// Batches that were accepted since the latest rejection or trial.
    accepted_count: u32,
    /// The number of accepted batches after which a larger one is tried.
    trial_interval: u32,
    /// The rejections that are set aside while a larger batch is tried.
    trial: Option<Trial>,
}

#[derive(Clone, Debug)]
struct Trial {
    rejected: Vec<Size>,
    has_accepted_part: bool,
}

impl Default for SizeLearner {
    fn default() -> Self {
        Self {
            accepted_max: Size::ONE,
            rejected: Vec::new(),
            has_accepted_part: false,
            accepted_count: 0,
            trial_interval: MIN_TRIAL_INTERVAL,
            trial: None,
        }
    }
}

impl SizeLearner {
    /// Records that a batch was accepted. `is_part` is set for a part of a rejected batch.
    pub(crate) fn record_accepted(&mut self, size: Size, is_part: bool) {
        self.has_accepted_part |= is_part;
        self.accepted_max = self.accepted_max.max(size);
        let accepted_max = self.accepted_max;
        let was_limited = !self.rejected.is_empty();
        // The server accepts more now than when it rejected these.
        self.rejected
            .retain(|rejected| !rejected.fits(accepted_max));
        if let Some(trial) = &mut self.trial {
            trial
                .rejected
                .retain(|rejected| !rejected.fits(accepted_max));
            if trial.rejected.is_empty() {
                self.trial = None;
                self.trial_interval = MIN_TRIAL_INTERVAL;
            }
        } else if self.rejected.is_empty() {
            if was_limited {
                self.trial_interval = MIN_TRIAL_INTERVAL;
            }
        } else {
            self.accepted_count += 1;
            if self.accepted_count >= self.trial_interval {
                self.start_trial();
            }
        }
    }

    /// Sets the rejections aside, so that the next batch is as large as possible.
    fn start_trial(&mut self) {
        self.trial = Some(Trial {
            rejected: std::mem::take(&mut self.rejected),
            has_accepted_part: std::mem::take(&mut self.has_accepted_part),
        });
        self.accepted_count = 0;
        self.trial_interval = (2 * self.trial_interval).min(MAX_TRIAL_INTERVAL);
    }

    /// Records that a new batch is sent. One batch larger than the limit is enough for a trial.
    pub(crate) fn record_sent(&mut self, size: Size) {
        let exceeds_limit = |trial: &mut Trial| trial.rejected.iter().any(|known| known.fits(size));
        if let Some(trial) = self.trial.take_if(exceeds_limit) {
            self.rejected = trial.rejected;
            self.has_accepted_part = trial.has_accepted_part;
        }
    }

    /// Records that a batch was rejected as too large.
    pub(crate) fn record_rejected(&mut self, size: Size) {
        self.accepted_count = 0;
        let accepts_less = size.fits(self.accepted_max);
        // A rejection of the same size or a larger one adds nothing to what is known.
        let is_known = self.rejected.iter().any(|known| known.fits(size));
        if is_known && !accepts_less && self.has_accepted_part {
            return;
        }
        if accepts_less {
            // The server accepts less now than before.
            self.accepted_max = Size {
                customers: self.accepted_max.customers.min(size.customers - 1),
                rows: self.accepted_max.rows.min(size.rows - 1),
            }
            .max(Size::ONE);
        }
        self.rejected.retain(|rejected| !size.fits(*rejected));
        self.rejected.push(size);
        self.has_accepted_part = false;
        if let Some(trial) = self.trial.take() {
            // A rejection of the same size or a larger one adds nothing to what is known.
            let is_known = trial.rejected.iter().any(|known| known.fits(size));
            if is_known && !accepts_less {
                self.rejected = trial.rejected;
                self.has_accepted_part = trial.has_accepted_part;
            } else {
                self.rejected.extend(trial.rejected);
            }
        }
    }

    /// Returns `true` if at least as many customers, and at least as many rows, were accepted
    /// before.
    pub(crate) fn was_accepted(&self, size: Size) -> bool {
        size.fits(self.accepted_max)
    }

    /// Returns the maximum size of a new batch.
    pub(crate) fn limit(&self) -> Size {
        let bounds = match self.has_accepted_part {
            true => self.accepted_max,
            false => self.half_of_rejected().max(self.accepted_max),
        };
        let limited = self.limited_dimensions();
        Size {
            customers: if limited.customers {
                bounds.customers
            } else {
                usize::MAX
            },
            rows: if limited.rows {
                bounds.rows
            } else {
                usize::MAX
            },
        }
    }

    /// Returns `true` if either customers or rows may be limited. A batch that is larger in only
    /// one of them would decide.
    pub(crate) fn is_undecided(&self) -> bool {
        self.limited_dimensions().is_undecided
    }

    /// Returns `true` if a part of a rejected batch is worth sending without splitting it further.
    pub(crate) fn allows(&self, size: Size) -> bool {
        let limited = self.limited_dimensions();
        // Such a batch decides which dimension is limited.
        let exceeds_at_most_one =
            size.customers <= self.accepted_max.customers || size.rows <= self.accepted_max.rows;
        if self.has_accepted_part && !(limited.is_undecided && exceeds_at_most_one) {
            return size.fits(self.limit());
        }
        let would_be_rejected = |rejected: &Size| {
            let customers = limited.customers && size.customers >= rejected.customers;
            let rows = limited.rows && size.rows >= rejected.rows;
            match limited.is_undecided {
                true => customers && rows,
                false => customers || rows,
            }
        };
        !self.rejected.iter().any(would_be_rejected)
    }

    /// Returns the limit, if a batch was rejected as too large and a part of it accepted.
    pub(crate) fn learned_limit(&self) -> Option<Size> {
        Some(self.limit()).filter(|limit| self.has_accepted_part && *limit != Size::UNLIMITED)
    }

    /// Returns half of the smallest number of customers and of rows that was rejected.
    fn half_of_rejected(&self) -> Size {
        let min = |dimension: fn(&Size) -> usize| self.rejected.iter().map(dimension).min();
        Size {
            customers: min(|rejected| rejected.customers).unwrap_or(1).div_ceil(2),
            rows: min(|rejected| rejected.rows).unwrap_or(1).div_ceil(2),
        }
    }

    fn limited_dimensions(&self) -> LimitedDimensions {
        let more_customers = |size: &Size| size.customers > self.accepted_max.customers;
        let more_rows = |size: &Size| size.rows > self.accepted_max.rows;
        let rejected = || self.rejected.iter();
        // A batch that exceeds the accepted numbers in one dimension was rejected because of it.
        let customers = rejected()
            .filter(|size| more_customers(size) && !more_rows(size))
            .map(|size| size.customers)
            .min();
        let rows = rejected()
            .filter(|size| more_rows(size) && !more_customers(size))
            .map(|size| size.rows)
            .min();
        // A rejection that a known limit explains says nothing about the other dimension.
        let is_undecided = rejected().any(|size| {
            more_customers(size)
                && more_rows(size)
                && customers.is_none_or(|limit| size.customers < limit)
                && rows.is_none_or(|limit| size.rows < limit)
        });
        LimitedDimensions {
            customers: customers.is_some() || is_undecided,
            rows: rows.is_some() || is_undecided,
            is_undecided,
        }
    }
}

/// Which dimensions of a batch are limited, or may be.
struct LimitedDimensions {
    customers: bool,
    rows: bool,
    /// Whether some rejection may be due to either dimension.
    is_undecided: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(customers: usize, rows: usize) -> Size {
        Size { customers, rows }
    }

    #[test]
    fn without_a_rejection_nothing_is_limited() {
        let mut sizes = SizeLearner::default();
        sizes.record_accepted(size(1, 1), false);
        assert_eq!(sizes.limit(), Size::UNLIMITED);
        assert!(sizes.allows(size(10, 300)));
        assert_eq!(sizes.learned_limit(), None);
    }

    #[test]
    fn the_largest_accepted_part_is_the_limit() {
        let mut sizes = SizeLearner::default();
        sizes.record_accepted(size(1, 1), false);
        sizes.record_rejected(size(10, 30));
        assert_eq!(sizes.limit(), size(5, 15));
        assert!(sizes.allows(size(5, 15)) && !sizes.allows(size(10, 30)));
        sizes.record_rejected(size(5, 15));
        assert!(sizes.allows(size(3, 9)) && !sizes.allows(size(5, 15)));
        sizes.record_accepted(size(3, 9), true);
        sizes.record_accepted(size(2, 6), true);
        assert_eq!(sizes.learned_limit(), Some(size(3, 9)));
        assert!(sizes.allows(size(3, 9)) && !sizes.allows(size(4, 10)));
        // More customers with as many rows decide which of them is limited.
        assert!(sizes.allows(size(4, 9)));
    }

    #[test]
    fn an_accepted_number_of_customers_or_rows_is_not_the_limit() {
        let mut sizes = SizeLearner::default();
        sizes.record_accepted(size(10, 10), false);
        sizes.record_rejected(size(10, 30));
        sizes.record_accepted(size(5, 15), true);
        assert_eq!(sizes.limit(), size(usize::MAX, 15));

        let mut sizes = SizeLearner::default();
        sizes.record_accepted(size(2, 60), false);
        sizes.record_rejected(size(10, 30));
        sizes.record_accepted(size(5, 15), true);
        assert_eq!(sizes.limit(), size(5, usize::MAX));
    }

    #[test]
    fn a_rejected_batch_of_one_customer_shows_that_rows_are_limited() {
        let mut sizes = SizeLearner::default();
        sizes.record_rejected(size(10, 120));
        assert!(sizes.is_undecided());
        sizes.record_rejected(size(1, 12));
        // The limit of rows explains the first rejection, too.
        assert!(!sizes.is_undecided());
        assert!(sizes.allows(size(1, 6)));
        sizes.record_accepted(size(1, 6), true);
        assert_eq!(sizes.limit(), size(usize::MAX, 6));
    }

    #[test]
    fn a_batch_that_is_larger_in_one_dimension_decides_which_is_limited() {
        let mut sizes = SizeLearner::default();
        sizes.record_rejected(size(10, 10));
        sizes.record_accepted(size(5, 5), true);
        assert_eq!(sizes.limit(), size(5, 5));
        assert!(sizes.is_undecided());
        // More rows than were rejected are accepted, so customers are limited.
        sizes.record_accepted(size(3, 12), false);
        assert_eq!(sizes.limit(), size(5, usize::MAX));
        assert!(!sizes.is_undecided());
    }

    #[test]
    fn the_limit_adapts_when_the_server_accepts_less_or_more() {
        let mut sizes = SizeLearner::default();
        sizes.record_accepted(size(10, 30), false);
        sizes.record_rejected(size(10, 30));
        assert!(sizes.limit().fits(size(9, 29)));
        sizes.record_accepted(size(5, 15), true);
        assert!(sizes.limit().fits(size(9, 29)));
        sizes.record_accepted(size(10, 30), false);
        assert_eq!(sizes.limit(), Size::UNLIMITED);
    }
    /// Learns that two customers with two rows are the most that the server accepts.
    fn limited() -> SizeLearner {
        let mut sizes = SizeLearner::default();
        sizes.record_rejected(size(10, 10));
        sizes.record_rejected(size(5, 5));
        sizes.record_rejected(size(3, 3));
        sizes.record_accepted(size(2, 2), true);
        sizes
    }

    /// Records accepted batches until a larger one is tried, and returns their number.
    fn accept_until_trial(sizes: &mut SizeLearner) -> usize {
        (0..)
            .take_while(|_| {
                let is_limited = sizes.limit() != Size::UNLIMITED;
                sizes.record_accepted(size(2, 2), false);
                is_limited
            })
            .count()
    }

    #[test]
    fn a_larger_batch_is_tried_after_some_accepted_ones_and_less_often_if_it_is_rejected() {
        let mut sizes = limited();
        let first = 1 + accept_until_trial(&mut sizes);
        assert_eq!(first, 50);
        for interval in [100, 200, 400, 800, 1_600, 3_200, 6_400, 6_400] {
            // Two batches in flight that are both too large end one trial.
            sizes.record_rejected(size(10, 10));
            assert_eq!(sizes.limit(), size(2, 2));
            sizes.record_rejected(size(10, 12));
            sizes.record_accepted(size(2, 2), true);
            assert_eq!(sizes.limit(), size(2, 2), "the limit is known from before");
            assert_eq!(1 + accept_until_trial(&mut sizes), interval);
        }
    }

    #[test]
    fn a_limit_that_has_passed_is_forgotten() {
        let mut sizes = limited();
        accept_until_trial(&mut sizes);
        // A small batch decides nothing.
        sizes.record_accepted(size(1, 1), false);
        sizes.record_accepted(size(10, 10), false);
        assert_eq!(sizes.limit(), Size::UNLIMITED);
        sizes.record_rejected(size(10, 10));
        sizes.record_accepted(size(2, 2), true);
        assert_eq!(1 + accept_until_trial(&mut sizes), 50);
    }

    #[test]
    fn a_trial_learns_a_smaller_limit() {
        let mut sizes = limited();
        accept_until_trial(&mut sizes);
        sizes.record_rejected(size(2, 2));
        sizes.record_accepted(size(1, 1), true);
        assert_eq!(sizes.limit(), size(1, 1));
    }
}
