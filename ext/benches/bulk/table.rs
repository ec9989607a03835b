//! The table of measurements and their bounds.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Result;

/// A row of the table.
pub struct Row {
    pub name: String,
    pub unit: &'static str,
    pub measured: f64,
    pub bound: f64,
    /// The maximum of the ratio, or its minimum if more is better.
    pub goal: Option<f64>,
    pub more_is_better: bool,
    pub min_ratio: f64,
    pub max_ratio: f64,
    pub note: String,
}

impl Row {
    /// Creates a row with the median ratio of pairs of a measurement and its bound.
    pub fn median(
        name: impl Into<String>,
        unit: &'static str,
        goal: impl Into<Option<f64>>,
        mut pairs: Vec<(f64, f64)>,
    ) -> Self {
        let ratio = |(measured, bound): &(f64, f64)| measured / bound;
        pairs.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let (measured, bound) = pairs[pairs.len() / 2];
        Self {
            name: name.into(),
            unit,
            measured,
            bound,
            goal: goal.into(),
            more_is_better: false,
            min_ratio: ratio(&pairs[0]),
            max_ratio: ratio(&pairs[pairs.len() - 1]),
            note: String::new(),
        }
    }

    pub fn more_is_better(mut self) -> Self {
        self.more_is_better = true;
        self
    }

    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    fn ratio(&self) -> f64 {
        self.measured / self.bound
    }

    /// Returns the goal, and whether it is missed.
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

pub fn print_header() {
    println!(
        "{:<28} {:>9} {:>9} {:<8} {:>6} {:>15}  goal",
        "name", "measured", "bound", "unit", "ratio", "spread"
    );
}

pub fn print(row: &Row) {
    println!(
        "{:<28} {:>9} {:>9} {:<8} {:>6.3} {:>7.3}–{:<7.3}  {:<15} {}",
        row.name,
        format_number(row.measured),
        format_number(row.bound),
        row.unit,
        row.ratio(),
        row.min_ratio,
        row.max_ratio,
        row.verdict(),
        row.note,
    );
}

fn format_number(number: f64) -> String {
    if number >= 1000.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.3}")
    }
}

/// Returns the path of the file with the results.
fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench/bulk.json")
}

pub fn write(rows: &[Row]) -> Result<()> {
    let results = rows.iter().map(|row| {
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
    let results: Value = results.collect();
    fs::write(file, serde_json::to_string_pretty(&results)?)?;
    Ok(())
}
