//! Throughput over latency, drawn from the figures of the last run.

use std::fs;
use std::path::Path;

use plotters::prelude::*;
use serde_json::Value;

use crate::Result;
use crate::rows::{BY_HAND, LATENCIES, THROUGHPUT, at};
use crate::table;

const SIZE: (u32, u32) = (720, 420);
const FONT: (&str, u32) = ("sans-serif", 15);

/// Draws the figures into the file that the README shows.
pub fn draw() -> Result<()> {
    let all: Vec<Value> = serde_json::from_slice(&fs::read(table::file())?)?;
    let series = |name: &str, figure: &str| -> Result<Vec<(f64, f64)>> {
        let mut points = Vec::new();
        for millis in LATENCIES {
            let name = at(name, millis);
            let row = all.iter().find(|row| row["name"] == name.as_str());
            let figure = row.and_then(|row| row[figure].as_f64());
            points.push((millis.into(), figure.ok_or("run the bench first")?));
        }
        Ok(points)
    };
    let lines = [
        (
            "3 requests at a time",
            series(THROUGHPUT, "bound")?,
            BLACK.mix(0.4),
        ),
        (
            "loop by hand",
            series(BY_HAND, "measured")?,
            RGBColor(200, 90, 20).mix(1.0),
        ),
        (
            "this crate",
            series(THROUGHPUT, "measured")?,
            RGBColor(20, 90, 200).mix(1.0),
        ),
    ];
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/throughput.svg");
    let area = SVGBackend::new(&file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(15)
        .x_label_area_size(45)
        .y_label_area_size(75)
        .build_cartesian_2d((2.0..50.0).log_scale(), (1_000.0..100_000.0).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .y_labels(6)
        .x_label_formatter(&|millis| format!("{millis:.0}"))
        .y_label_formatter(&|rate| format!("{:.0},000", rate / 1000.0))
        .label_style(FONT)
        .x_desc("latency of an answer, ms")
        .y_desc("values per second")
        .draw()?;
    for (name, points, colour) in lines {
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(FONT)
        .background_style(WHITE)
        .draw()?;
    area.present()?;
    println!("{}", file.canonicalize()?.display());
    Ok(())
}
