//! The number of bytes that a URL has for lists of IDs or addresses.

/// A URL length that every proxy and server accepts.
pub(crate) const MAX_URL_LEN: usize = 2_000;
/// The length of the endpoint's path and of all parameters but the IDs.
pub(crate) const FIXED_LEN: usize = 100;
/// The length of a percent-encoded comma.
const COMMA_LEN: usize = 3;

/// Returns the number of bytes that are left for lists of IDs.
pub(crate) fn room_for_ids(base_url: &str) -> usize {
    MAX_URL_LEN.saturating_sub(base_url.len() + FIXED_LEN)
}

/// Returns the number of bytes of an ID and the comma after it.
pub(crate) fn id_len(id: i64) -> usize {
    let digits = id.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
    usize::try_from(digits).unwrap_or(0) + COMMA_LEN
}

/// Splits a list into parts of at most `max_len` bytes, but at least one item each. Without a list there
/// is one part, `None`.
pub(crate) fn split_list<T>(
    items: Option<&[T]>,
    max_len: usize,
    item_len: impl Fn(&T) -> usize,
) -> Vec<Option<&[T]>> {
    let Some(mut items) = items else {
        return vec![None];
    };
    let mut parts = Vec::new();
    while !items.is_empty() {
        let mut len = 0;
        let fitting = items.iter().take_while(|item| {
            len += item_len(item);
            len <= max_len
        });
        let (part, rest) = items.split_at(fitting.count().max(1));
        parts.push(Some(part));
        items = rest;
    }
    parts
}
