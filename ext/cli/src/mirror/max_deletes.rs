//! The option `--max-deletes`.

use std::str::FromStr;

/// How many values may be deleted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaxDeletes {
    Values(u64),
    /// From 0 to 1.
    Share(f64),
}

impl FromStr for MaxDeletes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = "give a number of values (500), or a share from 0% to 100% (10%)";
        let Some(percent) = text.strip_suffix('%') else {
            return text.parse().map(Self::Values).map_err(|_| error);
        };
        match percent.trim_end().parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Self::Share(percent / 100.0)),
            _ => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_shares_are_read() {
        for (text, expected) in [
            ("500", MaxDeletes::Values(500)),
            ("0", MaxDeletes::Values(0)),
            ("10%", MaxDeletes::Share(0.1)),
            ("0%", MaxDeletes::Share(0.0)),
            ("100%", MaxDeletes::Share(1.0)),
            ("2.5 %", MaxDeletes::Share(0.025)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in [
            "", "%", "-1", "-1%", "101%", "0.1", "many", "NaN%", "inf%", "1,000",
        ] {
            text.parse::<MaxDeletes>().expect_err(text);
        }
    }
}
