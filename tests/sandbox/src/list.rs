use std::borrow::Cow;

use crate::filter::Filter;
use crate::query::{self, BadParameter};
use crate::state::Shared;
use crate::wire::{Answer, Links, Pagination};

const DEFAULT_LIMIT: usize = 50;

pub(crate) fn get(shared: &Shared, query: Option<&str>) -> Answer {
    let parameters = query::parameters(query);
    let asked = match Asked::parse(shared, &parameters) {
        Ok(asked) => asked,
        Err(bad) => return bad.into_answer(),
    };
    let (page, limit) = (asked.page, asked.limit);
    let offset = (page - 1).saturating_mul(limit);
    let (total, values) = asked.filter.select(&shared.lock().store, offset, limit);

    let total_pages = total.div_ceil(limit);
    let link = |page| link(&shared.base_url, page, &parameters);
    let links = Links {
        previous: if page > 1 {
            link(page - 1)
        } else {
            String::new()
        },
        current: link(page),
        next: if page < total_pages {
            link(page + 1)
        } else {
            String::new()
        },
    };
    let pagination = Pagination {
        total,
        count: values.len(),
        per_page: limit,
        current_page: page,
        total_pages,
        links,
    };
    Answer::page(&values, pagination)
}

struct Asked {
    page: usize,
    limit: usize,
    filter: Filter,
}

impl Asked {
    fn parse(
        shared: &Shared,
        parameters: &[(Cow<'_, str>, Cow<'_, str>)],
    ) -> Result<Self, BadParameter> {
        let settings = &shared.settings;
        let mut asked = Self {
            page: 1,
            limit: DEFAULT_LIMIT.clamp(1, settings.page_limit.max(1)),
            filter: Filter::default(),
        };
        for (name, text) in parameters {
            match &**name {
                "page" => asked.page = query::positive(name, text)?,
                "limit" => {
                    asked.limit = query::positive(name, text)?;
                    if asked.limit > settings.page_limit {
                        let message = format!("must be {} at most", settings.page_limit);
                        return Err(BadParameter::new(name, message));
                    }
                }
                _ => asked.filter.set(name, text, &settings.attribute_names)?,
            }
        }
        Ok(asked)
    }
}

/// The URL of a page of the same list.
pub(crate) fn link(
    base_url: &str,
    page: usize,
    parameters: &[(Cow<'_, str>, Cow<'_, str>)],
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("page", &page.to_string());
    for (name, value) in parameters.iter().filter(|(name, _)| name != "page") {
        query.append_pair(name, value);
    }
    format!("{base_url}/customers/attribute-values?{}", query.finish())
}
