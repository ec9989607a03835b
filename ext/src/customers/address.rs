//! E-mail addresses as they are looked up and compared.

use std::fmt;
use std::sync::Arc;

use crate::customer_key::fold_address;
use crate::error::Violation;

/// The provider's maximum.
const MAX_CHARACTERS: usize = 255;
const PERCENT_ENCODED_BYTE_LEN: usize = 3;
const COMMA_LEN: usize = 1;

/// A valid e-mail address.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The address as it was written, without the spaces around it.
    pub written: Arc<str>,
    /// The address in lower case, by which addresses are compared.
    pub folded: Arc<str>,
}

impl Address {
    /// Validates an address as far as looking it up needs it.
    pub(crate) fn parse(text: &Arc<str>) -> Result<Self, Violation> {
        let trimmed = text.trim();
        let problem = if trimmed.is_empty() {
            "is empty"
        } else if !trimmed.contains('@') {
            "is not an e-mail address, because it has no @: give a customer's ID as a number, and an \
             ID of another system as CustomerKey::external"
        } else if trimmed.contains(',') {
            "contains a comma, which separates the addresses of a lookup: give the customer's ID instead"
        } else if trimmed.contains(|c: char| c.is_whitespace() || c.is_control()) {
            "contains a space or a control character"
        } else if trimmed.chars().count() > MAX_CHARACTERS {
            "has more than 255 characters"
        } else {
            let written = match trimmed.len() == text.len() {
                true => Arc::clone(text),
                false => Arc::from(trimmed),
            };
            let folded = fold_address(&written);
            let folded = match *folded == *written {
                true => Arc::clone(&written),
                false => folded.into(),
            };
            return Ok(Self { written, folded });
        };
        Err(Violation::new("customer", problem.to_owned()))
    }

    /// Returns `true` if the address was written in lower case.
    pub(crate) fn is_folded(&self) -> bool {
        self.written == self.folded
    }
}

/// Personal data: it must not get into a log.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(REDACTED)")
    }
}

/// Returns the number of URL bytes that an address and the comma after it take.
pub(crate) fn url_len(address: &str) -> usize {
    let byte_len = |byte: u8| match byte {
        b'*' | b'-' | b'.' | b'_' => 1,
        _ if byte.is_ascii_alphanumeric() => 1,
        _ => PERCENT_ENCODED_BYTE_LEN,
    };
    address.bytes().map(byte_len).sum::<usize>() + COMMA_LEN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, Violation> {
        Address::parse(&text.into())
    }

    #[test]
    fn spaces_around_an_address_and_its_case_make_no_difference() {
        let address = parse(" Jörg.O'Hara+news@Example.COM\t").expect("a valid address");
        assert_eq!(&*address.written, "Jörg.O'Hara+news@Example.COM");
        assert_eq!(&*address.folded, "jörg.o'hara+news@example.com");
        assert!(!address.is_folded());
        let folded = parse(&address.folded).expect("a valid address");
        assert!(folded.is_folded() && Arc::ptr_eq(&folded.written, &folded.folded));
        assert_eq!(format!("{address:?}"), "Address(REDACTED)");
    }

    #[test]
    fn an_invalid_address_is_rejected_without_being_repeated() {
        let long = format!("{}@example.com", "x".repeat(244));
        for (text, expected) in [
            ("  ", "customer is empty"),
            (
                "4711",
                "customer is not an e-mail address, because it has no @",
            ),
            ("jane,doe@example.com", "customer contains a comma"),
            ("jane doe@example.com", "customer contains a space"),
            (
                "jane@exam\u{0}ple.com",
                "customer contains a space or a control character",
            ),
            (&*long, "customer has more than 255 characters"),
        ] {
            let violation = parse(text).expect_err(text).to_string();
            assert!(violation.starts_with(expected), "{violation}");
            assert!(
                text.trim().is_empty() || !violation.contains(text),
                "{violation}"
            );
        }
        assert!(parse(&long[1..]).is_ok());
    }

    #[test]
    fn the_length_in_a_url_counts_percent_encoded_bytes_and_the_comma() {
        for (address, expected) in [
            ("jane@example.com", 16 + 2 + 1),
            ("a+b&c%@x.de", 11 + 4 * 2 + 1),
            ("jörg@x.de", 8 + 6 + 2 + 1),
        ] {
            assert_eq!(url_len(address), expected, "{address}");
        }
    }
}
