use std::fmt;

/// The reason why a document was rejected.
///
/// Its `Display` is one line: the document's name, the place in it, what is wrong there and, where
/// known, what to do.
#[derive(Clone)]
pub struct Error {
    document: String,
    problem: Problem,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.document, self.problem.0)
    }
}

/// Writes the same line as `Display`, because a build script that returns the error prints this.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// An error message without the document's name, for code that doesn't know the name.
#[derive(Debug, Clone)]
pub(crate) struct Problem(String);

impl Problem {
    /// Creates a problem whose message is one line. Parsers' messages can have several.
    pub(crate) fn new(text: impl fmt::Display) -> Self {
        let text = text.to_string();
        Self(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub(crate) fn in_document(self, document: &str) -> Error {
        Error {
            document: document.to_owned(),
            problem: self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
