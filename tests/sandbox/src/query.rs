use std::borrow::Cow;
use std::collections::HashSet;

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

/// Splits the last value of a parameter at its literal commas, then decodes each part.
pub(crate) fn split_then_decode(query: Option<&str>, name: &str) -> Vec<String> {
    let mut pairs = query.unwrap_or_default().rsplit('&');
    let value = pairs.find_map(|pair| {
        let (raw_name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(raw_name) == name).then_some(value)
    });
    let parts = value.unwrap_or_default().split(',');
    parts.map(decode).collect()
}

/// Decodes a name or a value: `+` is a space, as in forms.
fn decode(text: &str) -> String {
    // Without the equals sign, a text that contains one would be split there.
    let pair = format!("={text}");
    let decoded = form_urlencoded::parse(pair.as_bytes());
    decoded.map(|(_, value)| value.into_owned()).collect()
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
    fn an_encoded_comma_does_not_split_before_decoding() {
        let query = "email:in=x&page=1&email%3Ain=a%2Cb%40c,d+e%2Bf=g,&limit=5";
        let expected = ["a,b@c", "d e+f=g", ""];
        assert_eq!(split_then_decode(Some(query), "email:in"), expected);
        assert_eq!(split_then_decode(Some("email:in"), "email:in"), [""]);
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
