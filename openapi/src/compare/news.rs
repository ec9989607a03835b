//! What a document changes for a program that was written against the SDK.

use std::collections::HashSet;

use super::difference::Impact;
use super::finding::{Finding, Kind, Side};
use super::{findings, types};
use crate::contract::{admits_what_is_sent, is_sent_in_format};
use crate::document::Document;
use crate::error::Error;

pub(super) fn news(ours: &Document, theirs: &Document) -> Result<Vec<Finding>, Error> {
    let found = findings(ours, theirs)?;
    let types = match (ours.clone().prepare(), theirs.clone().prepare()) {
        (Ok(one), Ok(other)) => Some(types::compare((ours, &one), (theirs, &other))?),
        _ => None,
    };
    let knows_types = types.is_some();
    let of_types = types.unwrap_or_default();
    let subjects: HashSet<_> = of_types
        .iter()
        .map(|finding| finding.difference.subject.clone())
        .collect();
    let others = found.into_iter().filter(|finding| {
        let is_said = is_of_type(&finding.kind) && subjects.contains(&finding.difference.subject);
        is_news(finding, knows_types) && !is_said
    });
    let others = others.map(|mut finding| {
        if finding.kind == Kind::Odd {
            // The SDK takes the keyword for absent, as it does in its own document.
            finding.difference.impact = Impact::Compatible;
        }
        finding
    });
    Ok(of_types.iter().cloned().chain(others).collect())
}

/// Returns `true` if a change of the generated type says a difference of this kind, too.
fn is_of_type(kind: &Kind) -> bool {
    !matches!(kind, Kind::Deprecation | Kind::Serialization)
}

/// Returns `true` if a difference of the documents is news beside those of the generated types, if they
/// are known.
fn is_news(finding: &Finding, knows_types: bool) -> bool {
    let is_sent = matches!(finding.side, Side::Parameter | Side::Request);
    let breaks_request = is_sent && finding.is_breaking();
    match &finding.kind {
        Kind::Deprecation => finding.side != Side::Response,
        Kind::NotBound => true,
        Kind::Presence if finding.side == Side::Operation => finding.is_breaking(),
        Kind::OtherResponse | Kind::Authentication | Kind::BaseUrl => finding.is_breaking(),
        Kind::Required | Kind::Rule | Kind::Composition | Kind::Serialization => breaks_request,
        Kind::Odd => is_sent,
        Kind::Limit(keyword, limit) => {
            let is_admitted =
                limit.is_none_or(|limit| admits_what_is_sent(&finding.name, keyword, limit));
            breaks_request && !is_admitted
        }
        Kind::Format(format) => {
            let format = format.as_deref();
            let is_sent = format.is_none_or(|format| is_sent_in_format(&finding.name, format));
            breaks_request && !is_sent
        }
        // A request must not have it, though the generated types do.
        Kind::Presence if finding.side == Side::Request && finding.is_breaking() => true,
        // The generated types tell. Without them, most of what is missing may be what preparation adds.
        Kind::Presence | Kind::Type => !knows_types && finding.side == Side::Request,
        // Preparing the document makes no difference of it.
        Kind::NumberType | Kind::Nullable | Kind::Closed | Kind::Status => false,
    }
}
