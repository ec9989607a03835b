//! How many bytes of a URL lists of IDs can take.

/// The length of a URL that every proxy and server lets pass.
pub(crate) const MAX_URL: usize = 2_000;
/// The length of the path, the page, the limit, and the names of the lists.
pub(crate) const FIXED: usize = 100;
/// The length of a comma, percent-encoded.
const COMMA: usize = 3;

/// Returns how many bytes of a URL are left for lists of IDs.
pub(crate) fn room_for_ids(base_url: &str) -> usize {
    MAX_URL.saturating_sub(base_url.len() + FIXED)
}

/// Returns how many bytes of a URL an ID takes, including the comma after it.
pub(crate) fn id_len(id: i64) -> usize {
    let digits = id.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
    usize::try_from(digits).unwrap_or(0) + COMMA
}
