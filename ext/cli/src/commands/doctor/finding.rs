//! What a check has found.

use std::fmt;

use bigcommerce_ext::Error;
use serde::Serialize;

/// How much is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    Ok,
    /// Nothing is wrong as far as can be known.
    Unknown,
    Warn,
    Fail,
}

/// A line of the output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    check: &'static str,
    pub grade: Grade,
    text: String,
    /// What to do, if something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

impl Finding {
    pub fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Grade::Ok, text.into(), None)
    }

    pub fn unknown(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Grade::Unknown, text.into(), None)
    }

    pub fn warn(check: &'static str, text: impl Into<String>, advice: &'static str) -> Self {
        Self::new(check, Grade::Warn, text.into(), Some(advice))
    }

    pub fn fail(check: &'static str, text: impl Into<String>, advice: &'static str) -> Self {
        Self::new(check, Grade::Fail, text.into(), Some(advice))
    }

    /// An error whose text says what to do.
    pub fn error(check: &'static str, error: &Error) -> Self {
        Self::new(check, Grade::Fail, error.to_string(), None)
    }

    fn new(check: &'static str, grade: Grade, text: String, advice: Option<&'static str>) -> Self {
        Self {
            check,
            grade,
            text,
            advice,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grade = match self.grade {
            Grade::Ok => "ok",
            Grade::Unknown => "?",
            Grade::Warn => "warn",
            Grade::Fail => "fail",
        };
        let Self { check, text, .. } = self;
        write!(f, "{grade:<4}  {check:<10}  {text}")?;
        match self.advice {
            Some(advice) => write!(f, ": {advice}"),
            None => Ok(()),
        }
    }
}
