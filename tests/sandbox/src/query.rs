use std::borrow::Cow;
use std::collections::HashSet;

use hyper::StatusCode;

use crate::wire::Answer;

/// A parameter that can't be accepted.
#[derive(Debug)]
pub(crate) struct BadParameter {
    name: String,
    message: String,
    status: StatusCode,
}

impl BadParameter {
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
        Self::new(name, "is not a parameter of this call")
    }

    pub(crate) fn into_answer(self) -> Answer {
        let errors = [(self.name, self.message.into())];
        Answer::problem_with(
            self.status,
            "A query parameter is not valid",
            errors.into_iter().collect(),
        )
    }
}

/// The parameters, decoded, in the order of the query; of a repeated one only the last, as real
/// servers have it.
pub(crate) fn parameters(query: Option<&str>) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut parameters: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match parameters.iter_mut().find(|(known, _)| *known == name) {
            Some((_, last)) => *last = value,
            None => parameters.push((name, value)),
        }
    }
    parameters
}

/// IDs joined by commas, at least one; the same one twice is one.
pub(crate) fn ids(name: &str, text: &str) -> Result<HashSet<i64>, BadParameter> {
    text.split(',')
        .map(|id| id.parse().ok())
        .collect::<Option<_>>()
        .ok_or_else(|| BadParameter::new(name, "must be integers joined by commas"))
}

/// An integer from 1 up.
pub(crate) fn positive(name: &str, text: &str) -> Result<usize, BadParameter> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| BadParameter::new(name, "must be an integer from 1 up"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_repeated_parameter_counts() {
        let parameters = parameters(Some("id%3Ain=4%2C5&page=1&id:in=6"));
        let expected = [("id:in", "6"), ("page", "1")];
        assert_eq!(parameters, expected.map(|(n, v)| (n.into(), v.into())));
    }

    #[test]
    fn ids_are_integers_and_at_least_one() {
        assert_eq!(
            ids("id:in", "4,5,4").expect("two IDs"),
            HashSet::from([4, 5])
        );
        for text in ["", ",", "4,", "4;5", "4, 5", "4.0", "x"] {
            assert!(ids("id:in", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn numbers_are_integers_from_one_up() {
        assert_eq!(positive("limit", "250").expect("a number"), 250);
        for text in ["", "0", "-1", "50.0", "x"] {
            assert!(positive("limit", text).is_err(), "{text:?}");
        }
    }
}
