use super::difference::{Difference, Impact};
use crate::read::{Location, Node};

/// A difference, and what it is about.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) difference: Difference,
    pub(super) side: Side,
    /// The name of the parameter or field, or an empty string.
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// The part of an operation that a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The operation, or all of them.
    Operation,
    Parameter,
    Request,
    Response,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// Something comes or goes, except for what must be sent.
    Presence,
    /// Something must be sent, or is always received, or no longer.
    Required,
    Type,
    /// An ID or a count is an integer in one document and a number in the other.
    NumberType,
    Nullable,
    /// A limit keyword, and the first integer that its new value admits.
    Limit(&'static str, Option<f64>),
    /// The new format.
    Format(Option<String>),
    /// A pattern, an enum or the like.
    Rule,
    Composition,
    /// Fields that aren't declared.
    Closed,
    /// How a list is written in a URL.
    Serialization,
    Deprecation,
    Odd,
    /// A status of a response.
    Status,
    /// A successful response with another schema.
    OtherResponse,
    Authentication,
    BaseUrl,
    /// An operation or a path that the SDK doesn't bind.
    NotBound,
}

impl Finding {
    /// Creates a finding on an operation, or on a part of it that has no schema.
    pub(super) fn new(
        impact: Impact,
        (location, side): (&Location, Side),
        change: impl Into<String>,
        (before, after): (&Node, &Node),
        kind: Kind,
    ) -> Self {
        Self {
            difference: Difference {
                impact,
                subject: location.to_string(),
                change: change.into(),
                before: before.pointer.clone(),
                after: after.pointer.clone(),
            },
            side,
            name: String::new(),
            kind,
        }
    }

    pub(super) fn named(self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self
        }
    }

    pub(super) fn is_breaking(&self) -> bool {
        self.difference.impact == Impact::Breaking
    }
}
