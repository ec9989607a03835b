//! Reading lists page by page: which page next, and how large.

mod page_size;
mod scheduler;
mod sequential;

pub(super) use page_size::PageLimit;
pub(crate) use page_size::PageSize;
pub(crate) use scheduler::{PageHead, PageId, PageScheduler, Shortfall, TotalChange};
pub(crate) use sequential::{PageReader, read_pages};
