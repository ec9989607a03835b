//! Texts of files and servers, as a terminal may show them.

use std::borrow::Cow;

/// Returns a text whose control characters are escaped, all but line breaks and tabs: a terminal would obey
/// them.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_control = |char: char| char.is_control() && !matches!(char, '\n' | '\t');
    if !text.contains(is_control) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match is_control(char) {
            true => shown.extend(char.escape_default()),
            false => shown.push(char),
        }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(printable("a\tb\nÄ"), "a\tb\nÄ");
        assert_eq!(
            printable("\u{1b}[31mred\u{9b}\r"),
            "\\u{1b}[31mred\\u{9b}\\r"
        );
    }
}
