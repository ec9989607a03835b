//! A quote that is not closed at the end of a CSV file.

use std::io::{self, Read};

/// Fails at the end of the bytes if a cell's quote is open: csv takes the rest of the file as the cell's text.
pub struct ClosedQuotes<R> {
    bytes: R,
    delimiter: u8,
    state: QuoteState,
}

/// Where in a line the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QuoteState {
    CellStart,
    Plain,
    Quoted,
    /// After a quote in a quoted cell: the cell's end, or the first of two quotes that mean one.
    AfterQuote,
}

impl<R> ClosedQuotes<R> {
    pub fn new(bytes: R, delimiter: u8) -> Self {
        Self {
            bytes,
            delimiter,
            state: QuoteState::CellStart,
        }
    }

    fn next(&self, byte: u8) -> QuoteState {
        match (self.state, byte) {
            (QuoteState::Quoted, b'"') => QuoteState::AfterQuote,
            (QuoteState::Quoted, _) | (QuoteState::CellStart | QuoteState::AfterQuote, b'"') => {
                QuoteState::Quoted
            }
            (_, b'\n' | b'\r') => QuoteState::CellStart,
            (_, byte) if byte == self.delimiter => QuoteState::CellStart,
            _ => QuoteState::Plain,
        }
    }
}

impl<R: Read> Read for ClosedQuotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        if read == 0 && !buffer.is_empty() && self.state == QuoteState::Quoted {
            return Err(io::Error::other(
                "it ends within a quoted cell: a quote is not closed, or the file is cut off",
            ));
        }
        for byte in buffer.iter().take(read) {
            self.state = self.next(*byte);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_open_quote_is_an_error() {
        for (text, is_closed) in [
            ("a,b\n", true),
            ("\"a\",\"b\"", true),
            ("a,5\" pipe\n", true),
            ("a,\"b \"\"c\"\"\"\r\n", true),
            ("\"a\nb\"\n", true),
            ("a,\"b", false),
            ("a,\"b\n1,2\n", false),
            ("a,\"b\"\"", false),
        ] {
            let mut read = Vec::new();
            let result = ClosedQuotes::new(text.as_bytes(), b',').read_to_end(&mut read);
            assert_eq!(result.is_ok(), is_closed, "{text:?}");
        }
    }
}
