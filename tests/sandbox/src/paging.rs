use std::borrow::Cow;

use crate::query::{self, BadParameter};
use crate::settings::Settings;
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
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            page: 1,
            limit: DEFAULT_LIMIT.clamp(1, settings.page_limit.max(1)),
        }
    }

    /// Takes one parameter in; `false` where it has nothing to do with pages.
    pub(crate) fn set(
        &mut self,
        name: &str,
        text: &str,
        settings: &Settings,
    ) -> Result<bool, BadParameter> {
        match name {
            "page" => self.page = query::positive(name, text)?,
            "limit" => {
                self.limit = query::positive(name, text)?;
                if self.limit > settings.page_limit {
                    let message = format!("must be {} at most", settings.page_limit);
                    return Err(BadParameter::new(name, message));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// How many items come before the page.
    pub(crate) fn offset(&self) -> usize {
        (self.page - 1).saturating_mul(self.limit)
    }

    /// What the page says about itself, with `count` of `total` items on it.
    pub(crate) fn describe(&self, list: &List<'_>, total: usize, count: usize) -> Pagination {
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
        Pagination {
            total,
            count,
            per_page: self.limit,
            current_page: page,
            total_pages,
            links,
        }
    }
}

/// The first of the pages that `total` written items are shown on; nearly always it shows all, like
/// the reference's example: `per_page` is 10 there, for 3 values.
pub(crate) fn describe_written(list: &List<'_>, total: usize, count: usize) -> Pagination {
    let shows_all = count >= total;
    let per_page = count.max(if shows_all { 10 } else { 1 });
    Pagination {
        total,
        count,
        per_page,
        current_page: 1,
        total_pages: total.div_ceil(per_page).max(1),
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
