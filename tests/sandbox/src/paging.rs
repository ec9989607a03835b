mod cursor;

use hyper::StatusCode;

pub(crate) use cursor::Cursor;

use crate::query::{self, InvalidParameter, Parameter};
use crate::settings::{LimitTooLarge, ListMeta, Settings};
use crate::wire::{Links, Pagination};

pub(crate) const VALUES: &str = "/customers/attribute-values";
pub(crate) const ATTRIBUTES: &str = "/customers/attributes";
pub(crate) const CUSTOMERS: &str = "/customers";

const DEFAULT_LIMIT: usize = 50;

/// The number of items per page in the response to a PUT or POST, as in the reference's example,
/// which shows 3 values.
const WRITTEN_PER_PAGE: usize = 10;

/// The page that a GET requests.
pub(crate) struct PageRequest {
    page: usize,
    pub limit: usize,
}

impl PageRequest {
    /// Parses `page` and `limit`, and passes the other parameters to `set_filter`.
    pub(crate) fn parse(
        settings: &Settings,
        parameters: &[Parameter<'_>],
        mut set_filter: impl FnMut(&str, &str) -> Result<(), InvalidParameter>,
    ) -> Result<Self, InvalidParameter> {
        let max_limit = settings.page_limit.max(1);
        let mut request = Self {
            page: 1,
            limit: DEFAULT_LIMIT.min(max_limit),
        };
        for (name, text) in parameters {
            match &**name {
                "page" => request.page = query::positive(name, text)?,
                "limit" => {
                    let limit = query::positive(name, text)?;
                    request.limit = limit.min(max_limit);
                    let status = match settings.limit_too_large {
                        LimitTooLarge::Status422 => StatusCode::UNPROCESSABLE_ENTITY,
                        LimitTooLarge::Status413 => StatusCode::PAYLOAD_TOO_LARGE,
                        LimitTooLarge::Clamped => continue,
                    };
                    if limit > settings.page_limit {
                        let message = format!("must be at most {}", settings.page_limit);
                        return Err(InvalidParameter::new(name, message).with_status(status));
                    }
                }
                name if settings.ignores_filter(name) => {}
                _ => set_filter(name, text)?,
            }
        }
        Ok(request)
    }

    /// Returns the number of items before the page.
    pub(crate) fn offset(&self) -> usize {
        (self.page - 1).saturating_mul(self.limit)
    }

    /// Describes the page, which shows `count` of `total` items.
    pub(crate) fn pagination(
        &self,
        meta: ListMeta,
        list: &ListUrl<'_>,
        total: usize,
        count: usize,
    ) -> Option<Pagination> {
        let page = self.page;
        let total_pages = total.div_ceil(self.limit);
        let links = Links {
            previous: if page > 1 {
                list.page(page - 1)
            } else {
                String::new()
            },
            current: list.page(page),
            next: if page < total_pages {
                list.page(page + 1)
            } else {
                String::new()
            },
        };
        let (total, total_pages) = match meta {
            ListMeta::Full => (Some(total), Some(total_pages)),
            ListMeta::NoTotals => (None, None),
            ListMeta::None => return None,
        };
        Some(Pagination {
            total,
            count,
            per_page: self.limit,
            current_page: page,
            total_pages,
            links,
        })
    }
}

/// Describes the response to a PUT or POST, which shows the first `count` of `total` written items.
/// Only a fault makes it show fewer than all.
pub(crate) fn written_pagination(list: &ListUrl<'_>, total: usize, count: usize) -> Pagination {
    let shows_all = count >= total;
    let per_page = count.max(if shows_all { WRITTEN_PER_PAGE } else { 1 });
    Pagination {
        total: Some(total),
        count,
        per_page,
        current_page: 1,
        total_pages: Some(total.div_ceil(per_page).max(1)),
        links: Links {
            previous: String::new(),
            current: list.page(1),
            next: if shows_all {
                String::new()
            } else {
                list.page(2)
            },
        },
    }
}

/// The URL of a list, without the page.
pub(crate) struct ListUrl<'a> {
    pub base_url: &'a str,
    pub path: &'static str,
    pub parameters: &'a [Parameter<'a>],
}

impl ListUrl<'_> {
    fn page(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("page", &page.to_string());
        let others = self.parameters.iter().filter(|(name, _)| name != "page");
        for (name, value) in others {
            query.append_pair(name, value);
        }
        format!("{}{}?{}", self.base_url, self.path, query.finish())
    }
}
