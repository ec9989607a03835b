//! Tables of text, for people. Programs read JSON lines.

/// Returns the lines of a table: columns side by side, the header first. The columns at these places
/// are numbers, and so at the right.
pub fn lines(header: &[&str], rows: &[Vec<String>], numbers: &[usize]) -> Vec<String> {
    let length = |text: &str| text.chars().count();
    let widths: Vec<_> = (0..header.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let longest = cells.map(|cell| length(cell)).max().unwrap_or(0);
            longest.max(header.get(column).map_or(0, |name| length(name)))
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (column, (cell, width)) in cells.zip(&widths).enumerate() {
            if column > 0 {
                line.push_str("  ");
            }
            let padding = " ".repeat(width.saturating_sub(length(cell)));
            match numbers.contains(&column) {
                true => line.extend([padding.as_str(), cell]),
                false => line.extend([cell, padding.as_str()]),
            }
        }
        line.truncate(line.trim_end().len());
        line
    };
    let mut lines = vec![line(&mut header.iter().copied())];
    for row in rows {
        lines.push(line(&mut row.iter().map(String::as_str)));
    }
    lines.into_iter().map(without_controls).collect()
}

/// Replaces control characters: what a store contains must not steer the terminal.
fn without_controls(line: String) -> String {
    match line.contains(char::is_control) {
        true => line.replace(char::is_control, "\u{fffd}"),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = [["7", "Größe", "x"], ["1204", "\x1b", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            lines(&["ID", "name", "type"], &rows, &[0]),
            ["  ID  name   type", "   7  Größe  x", "1204  \u{fffd}"]
        );
    }
}
