use std::borrow::Cow;

use hyper::StatusCode;

use crate::query::{self, BadParameter};
use crate::settings::{LimitTooLarge, ListMeta, Settings};
use crate::wire::{Links, Pagination};

pub(crate) const VALUES: &str = "/customers/attribute-values";
pub(crate) const ATTRIBUTES: &str = "/customers/attributes";

const DEFAULT_LIMIT: usize = 50;

pub(crate) type Parameters<'a> = [(Cow<'a, str>, Cow<'a, str>)];

/// Which page of a list a GET asks for.
pub(crate) struct Paging {
    page: usize,
    pub limit: usize,
}

impl Paging {
    /// Reads the parameters, those that have nothing to do with pages by `filter`.
    pub(crate) fn parse(
        settings: &Settings,
        parameters: &Parameters<'_>,
        mut filter: impl FnMut(&str, &str) -> Result<(), BadParameter>,
    ) -> Result<Self, BadParameter> {
        let most = settings.page_limit.max(1);
        let mut paging = Self {
            page: 1,
            limit: DEFAULT_LIMIT.min(most),
        };
        for (name, text) in parameters {
            match &**name {
                "page" => paging.page = query::positive(name, text)?,
                "limit" => {
                    let limit = query::positive(name, text)?;
                    paging.limit = limit.min(most);
                    let refusal = match settings.limit_too_large {
                        LimitTooLarge::Status422 => StatusCode::UNPROCESSABLE_ENTITY,
                        LimitTooLarge::Status413 => StatusCode::PAYLOAD_TOO_LARGE,
                        LimitTooLarge::Clamped => continue,
                    };
                    if limit > settings.page_limit {
                        let message = format!("must be {} at most", settings.page_limit);
                        return Err(BadParameter::new(name, message).with_status(refusal));
                    }
                }
                _ if settings.ignore_filters => {}
                _ => filter(name, text)?,
            }
        }
        Ok(paging)
    }

    /// How many items come before the page.
    pub(crate) fn offset(&self) -> usize {
        (self.page - 1).saturating_mul(self.limit)
    }

    /// What the page says about itself, with `count` of `total` items on it.
    pub(crate) fn describe(
        &self,
        meta: ListMeta,
        list: &List<'_>,
        total: usize,
        count: usize,
    ) -> Option<Pagination> {
        let page = self.page;
        let total_pages = total.div_ceil(self.limit);
        let links = Links {
            previous: if page > 1 {
                list.link(page - 1)
            } else {
                String::new()
            },
            current: list.link(page),
            next: if page < total_pages {
                list.link(page + 1)
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

/// The first of the pages that `total` written items are shown on; nearly always it shows all, like
/// the reference's example: `per_page` is 10 there, for 3 values.
pub(crate) fn describe_written(list: &List<'_>, total: usize, count: usize) -> Pagination {
    let shows_all = count >= total;
    let per_page = count.max(if shows_all { 10 } else { 1 });
    Pagination {
        total: Some(total),
        count,
        per_page,
        current_page: 1,
        total_pages: Some(total.div_ceil(per_page).max(1)),
        links: Links {
            previous: String::new(),
            current: list.link(1),
            next: if shows_all {
                String::new()
            } else {
                list.link(2)
            },
        },
    }
}

/// A list that has pages.
pub(crate) struct List<'a> {
    pub base_url: &'a str,
    pub path: &'static str,
    pub parameters: &'a Parameters<'a>,
}

impl List<'_> {
    /// The URL of a page.
    fn link(&self, page: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("page", &page.to_string());
        let others = self.parameters.iter().filter(|(name, _)| name != "page");
        for (name, value) in others {
            query.append_pair(name, value);
        }
        format!("{}{}?{}", self.base_url, self.path, query.finish())
    }
}
