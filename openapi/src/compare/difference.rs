use std::fmt::{self, Write as _};

/// The effect of a difference on a program that was written for the first document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Impact {
    /// The server can reject the program's requests, or send responses that the program doesn't
    /// expect.
    Breaking,
    /// The program works without changes.
    Compatible,
    /// The SDK doesn't bind the operation or path, so that a program can't use it.
    Ignored,
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Breaking => "breaking",
            Self::Compatible => "compatible",
            Self::Ignored => "ignored",
        })
    }
}

/// A difference between two documents.
///
/// Its `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The effect on a program.
    pub impact: Impact,
    /// The operation and its part: `PUT /customers/attribute-values: request field "value"`.
    pub subject: String,
    /// The new and the old state: `maxLength is 100, was 255`.
    pub change: String,
    /// The JSON pointer to the subject in the first document or, if it is missing there, to its
    /// nearest parent.
    pub before: String,
    /// The JSON pointer to the subject in the second document or, if it is missing there, to its
    /// nearest parent.
    pub after: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            impact,
            subject,
            change,
            before,
            after,
        } = self;
        let line = format!("{impact}: {subject}: {change} (#{before} -> #{after})");
        // Names in a document can have line breaks.
        for c in line.chars() {
            match c.is_control() {
                true => write!(f, "{}", c.escape_default())?,
                false => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Returns the impact and the description of a new parameter, request body or request field.
pub(super) fn addition(is_required: bool) -> (Impact, &'static str) {
    if is_required {
        (Impact::Breaking, "is new and required")
    } else {
        (Impact::Compatible, "is new")
    }
}
