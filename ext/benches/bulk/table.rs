//! What is measured, against its bound.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Result;

/// A line of the table.
pub struct Row {
    pub name: String,
    pub unit: &'static str,
    pub measured: f64,
    pub bound: f64,
    /// What the ratio is to be at most; at least, where more is better.
    pub goal: Option<f64>,
    pub more_is_better: bool,
    /// The least and the largest ratio.
    pub spread: (f64, f64),
    pub note: String,
}

impl Row {
    /// Takes the median ratio of pairs of a measurement and its bound.
    pub fn median(
        name: impl Into<String>,
        unit: &'static str,
        goal: impl Into<Option<f64>>,
        mut pairs: Vec<(f64, f64)>,
    ) -> Self {
        let ratio = |(measured, bound): &(f64, f64)| measured / bound;
        pairs.sort_by(|one, other| ratio(one).total_cmp(&ratio(other)));
        let middle = pairs[pairs.len() / 2];
        Self {
            name: name.into(),
            unit,
            measured: middle.0,
            bound: middle.1,
            goal: goal.into(),
            more_is_better: false,
            spread: (ratio(&pairs[0]), ratio(&pairs[pairs.len() - 1])),
            note: String::new(),
        }
    }

    pub fn at_least(mut self) -> Self {
        self.more_is_better = true;
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    fn ratio(&self) -> f64 {
        self.measured / self.bound
    }

    /// The goal, and whether it is missed.
    fn verdict(&self) -> String {
        let Some(goal) = self.goal else {
            return String::new();
        };
        let (sign, is_met) = match self.more_is_better {
            true => ("≥", self.ratio() >= goal),
            false => ("≤", self.ratio() <= goal),
        };
        format!("{sign} {goal:.2}{}", if is_met { "" } else { " (missed)" })
    }
}

pub fn print_head() {
    println!(
        "{:<28} {:>9} {:>9} {:<8} {:>6} {:>15}  goal",
        "name", "measured", "bound", "unit", "ratio", "spread"
    );
}

pub fn print(row: &Row) {
    println!(
        "{:<28} {:>9} {:>9} {:<8} {:>6.3} {:>7.3}–{:<7.3}  {:<15} {}",
        row.name,
        figure(row.measured),
        figure(row.bound),
        row.unit,
        row.ratio(),
        row.spread.0,
        row.spread.1,
        row.verdict(),
        row.note,
    );
}

fn figure(number: f64) -> String {
    if number >= 1000.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.3}")
    }
}

/// Where the figures are.
pub fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench/bulk.json")
}

pub fn write(rows: &[Row]) -> Result<()> {
    let json = rows.iter().map(|row| {
        json!({
            "name": row.name,
            "unit": row.unit,
            "measured": row.measured,
            "bound": row.bound,
            "ratio": row.ratio(),
            "goal": row.goal,
        })
    });
    let file = file();
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let json: Value = json.collect();
    fs::write(file, serde_json::to_string_pretty(&json)?)?;
    Ok(())
}
