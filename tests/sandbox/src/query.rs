use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

use hyper::StatusCode;

use crate::wire::ApiResponse;

/// A decoded name and value.
pub(crate) type Parameter<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The reason why a parameter is rejected.
#[derive(Debug)]
pub(crate) struct InvalidParameter {
    name: String,
    message: String,
    status: StatusCode,
}

impl InvalidParameter {
    pub(crate) fn new(name: &str, message: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            message: message.into(),
            status: StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn unknown(name: &str) -> Self {
        Self::new(name, "is not a parameter of this endpoint")
    }

    pub(crate) fn into_response(self) -> ApiResponse {
        let errors = [(self.name, self.message.into())];
        ApiResponse::problem_with_errors(
            self.status,
            "A query parameter is invalid",
            errors.into_iter().collect(),
        )
    }
}

/// Decodes the parameters in the order of the query. The last of a repeated parameter wins, as on
/// many real servers.
pub(crate) fn parameters(query: Option<&str>) -> Vec<Parameter<'_>> {
    let mut parameters: Vec<Parameter<'_>> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match parameters.iter_mut().find(|(known, _)| *known == name) {
            Some((_, last)) => *last = value,
            None => parameters.push((name, value)),
        }
    }
    parameters
}

/// The maximum number of queries that are kept for tests.
const MAX_QUERIES: usize = 100_000;

/// The raw queries of the latest requests.
#[derive(Default)]
pub(crate) struct RecentQueries(VecDeque<String>);

impl RecentQueries {
    pub(crate) fn push(&mut self, query: &str) {
        if self.0.len() >= MAX_QUERIES {
            self.0.pop_front();
        }
        self.0.push_back(query.to_owned());
    }

    /// Iterates over the queries, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Splits the raw value of a parameter at its commas and then decodes the items.
pub(crate) fn raw_items(query: Option<&str>, wanted: &str) -> Vec<String> {
    let is_wanted = |pair: &&str| {
        let parameter = form_urlencoded::parse(pair.as_bytes()).next();
        parameter.is_some_and(|(name, _)| name == wanted)
    };
    let mut pairs = query.unwrap_or_default().split('&');
    let raw = pairs.rfind(is_wanted);
    let value = raw.and_then(|pair| pair.split_once('='));
    let items = value.map_or("", |(_, value)| value).split(',');
    let decode = |item: &str| {
        let pair = format!("item={item}");
        let mut decoded = form_urlencoded::parse(pair.as_bytes());
        decoded
            .next()
            .map_or(String::new(), |(_, item)| item.into_owned())
    };
    items.map(decode).collect()
}

/// Parses at least one ID; several are separated by commas.
pub(crate) fn ids(name: &str, text: &str) -> Result<HashSet<i64>, InvalidParameter> {
    text.split(',')
        .map(|id| id.parse().ok())
        .collect::<Option<_>>()
        .ok_or_else(|| InvalidParameter::new(name, "must be integers separated by commas"))
}

/// Parses an integer of at least 1.
pub(crate) fn positive(name: &str, text: &str) -> Result<usize, InvalidParameter> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| InvalidParameter::new(name, "must be an integer of at least 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_repeated_parameter_wins() {
        let parameters = parameters(Some("id%3Ain=4%2C5&page=1&id:in=6"));
        let expected = [("id:in", "6"), ("page", "1")];
        assert_eq!(parameters, expected.map(|(n, v)| (n.into(), v.into())));
    }

    #[test]
    fn raw_items_are_decoded_after_they_are_split() {
        let query = Some("page=1&email%3Ain=a%2Bb%40x.de,c%2Cd+%C3%BC&limit=2");
        assert_eq!(raw_items(query, "email:in"), ["a+b@x.de", "c,d ü"]);
        assert_eq!(raw_items(None, "email:in"), [""]);
    }

    #[test]
    fn ids_are_one_or_more_integers() {
        assert_eq!(
            ids("id:in", "4,5,4").expect("two IDs"),
            HashSet::from([4, 5])
        );
        for text in ["", ",", "4,", "4;5", "4, 5", "4.0", "x"] {
            assert!(ids("id:in", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn positive_numbers_are_integers_of_at_least_one() {
        assert_eq!(positive("limit", "250").expect("a number"), 250);
        for text in ["", "0", "-1", "50.0", "x"] {
            assert!(positive("limit", text).is_err(), "{text:?}");
        }
    }
}
