//! The library's errors, with the options of this program in place of the library's methods.

use bigcommerce_ext::Error;

/// What the advice of an error names, and what it is called here.
const NAMES: [(&str, &str); 5] = [
    (
        "set max_deletes() or max_delete_share()",
        "give --max-deletes",
    ),
    ("require_complete_list()", "--require-complete-list"),
    ("run the mirror again", "run it again"),
    (
        "to delete all values, use a delete",
        "to delete all values, use the command delete",
    ),
    (" (on_outage)", ""),
];

/// Returns the error as text.
pub fn shown(error: &Error) -> String {
    let mut text = error.to_string();
    for (name, here) in NAMES {
        text = text.replace(name, here);
    }
    without_index(text)
}

/// Leaves out the index of a row: the line of the row has its place.
fn without_index(text: String) -> String {
    let Some((before, after)) = text.split_once("(row ") else {
        return text;
    };
    let rest = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
    match rest.strip_prefix(": ") {
        Some(rest) => format!("{before}({rest}"),
        None => text,
    }
}
