use std::ops::Bound;

use crate::query::{InvalidParameter, Parameter};
use crate::settings::{Cursors, ListMeta, Settings};
use crate::wire::CursorPagination;

/// Where a page starts or ends, from the parameter `after` or `before`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cursor {
    After(i64),
    Before(i64),
}

impl Cursor {
    /// Takes the cursor out of the parameters, and with it `page`, which it overrides.
    pub(crate) fn take(
        settings: &Settings,
        parameters: &mut Vec<Parameter<'_>>,
    ) -> Result<Option<Self>, InvalidParameter> {
        let mut cursor = None;
        for (name, text) in parameters.iter() {
            let at = match &**name {
                "after" => Self::After,
                "before" => Self::Before,
                _ => continue,
            };
            match settings.cursors {
                Cursors::Supported => {}
                Cursors::Rejected => return Err(InvalidParameter::unknown(name)),
                Cursors::Ignored => continue,
            }
            let id = decode(text).ok_or_else(|| {
                InvalidParameter::new(name, "must be a cursor of an earlier page")
            })?;
            if cursor.replace(at(id)).is_some() {
                let message = "can't be combined with the other cursor";
                return Err(InvalidParameter::new(name, message));
            }
        }
        parameters.retain(|(name, _)| {
            !matches!(&**name, "after" | "before") && (cursor.is_none() || name != "page")
        });
        Ok(cursor)
    }

    /// Returns the IDs that a page may have.
    pub(crate) fn range(cursor: Option<Self>) -> (Bound<i64>, Bound<i64>) {
        match cursor {
            None => (Bound::Unbounded, Bound::Unbounded),
            Some(Self::After(id)) => (Bound::Excluded(id), Bound::Unbounded),
            Some(Self::Before(id)) => (Bound::Unbounded, Bound::Excluded(id)),
        }
    }

    /// Describes a page by the IDs of its first and its last item, which an empty page lacks.
    pub(crate) fn pagination(
        settings: &Settings,
        ends: Option<(i64, i64)>,
    ) -> Option<CursorPagination> {
        if settings.cursors != Cursors::Supported || settings.list_meta == ListMeta::None {
            return None;
        }
        let (start_cursor, end_cursor) = match ends {
            Some((first, last)) => (encode(first), encode(last)),
            None => (String::new(), String::new()),
        };
        Some(CursorPagination {
            start_cursor,
            end_cursor,
        })
    }
}

/// Contains `+` and `=`, as Base64 can: a client that doesn't encode a cursor loses it.
fn encode(id: i64) -> String {
    format!("id+{id:x}=")
}

fn decode(cursor: &str) -> Option<i64> {
    let hex = cursor.strip_prefix("id+")?.strip_suffix('=')?;
    // Reinterprets the bits, as the hexadecimal form of a negative number does.
    u64::from_str_radix(hex, 16).ok().map(|bits| bits as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_any_id() {
        for id in [1, 255, i64::MAX, 0, -1, i64::MIN] {
            assert_eq!(decode(&encode(id)), Some(id));
        }
        for text in [
            "",
            "7",
            "id 7=",
            "id+7",
            "id+=",
            "id+x=",
            "id+10000000000000000=",
        ] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
