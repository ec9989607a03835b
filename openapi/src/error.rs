use std::fmt;

/// Why a document can't become code.
///
/// Its `Display` is one line: the document's name, the place, what is wrong there and, where that
/// is known, what to do.
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

/// The same line as `Display`: it is what a build script that returns the error prints.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// What is wrong and where, told by code that does not know the document's name.
#[derive(Debug, Clone)]
pub(crate) struct Problem(String);

impl Problem {
    /// Parsers' messages can span lines; ours are one.
    pub(crate) fn new(text: impl fmt::Display) -> Self {
        let text = text.to_string();
        Self(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub(crate) fn of(self, document: &str) -> Error {
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
