//! The progress of a run: a bar on a terminal, and otherwise a line every 10 seconds.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bigcommerce_ext::WaitReason;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::{Instant, interval_at};

use crate::numbers::grouped;

/// The time between two lines where standard error is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// The time between two updates of the bar.
const BAR_INTERVAL: Duration = Duration::from_millis(100);

/// The length of the bar, which shows shares.
const BAR_LENGTH: u64 = 1000;

/// How much of the input was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    pub rows: u64,
    pub bytes: u64,
    /// `None` if the length of the input is not known.
    pub total_bytes: Option<u64>,
}

impl Reading {
    /// Estimates the rows of the whole input from the part that was read.
    pub fn expected_rows(self) -> Option<u64> {
        let total = self.total_bytes.filter(|_| self.bytes > 0)?;
        let share = total.max(self.bytes) as f64 / self.bytes as f64;
        Some((self.rows as f64 * share).round() as u64)
    }
}

/// What the display shows.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub elapsed: Duration,
    pub rows: u64,
    /// Whether the rows are those of a list.
    pub is_list: bool,
    /// The rows at the end, as far as known.
    pub expected: Option<u64>,
    /// The reason and the rest of a wait during which nothing is sent.
    pub waiting: Option<(WaitReason, Duration)>,
    /// How long the store has been down.
    pub down_for: Option<Duration>,
}

impl View {
    /// Returns the share that is done (0 to 1).
    fn share(&self) -> Option<f64> {
        let expected = self.expected.filter(|&expected| expected > 0)?;
        Some((self.rows as f64 / expected as f64).min(1.0))
    }
}

/// The line of the display, for example `1,204 rows, 401/s, 32%, 6 s left`.
impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = grouped(self.rows);
        let what = if self.is_list { "values read" } else { "rows" };
        write!(f, "{rows} {what}")?;
        let rate = self.rows as f64 / self.elapsed.as_secs_f64().max(0.001);
        if self.rows > 0 {
            write!(f, ", {}/s", grouped(rate.round() as u64))?;
        }
        if let Some(share) = self.share() {
            write!(f, ", {:.0}%", (share * 100.0).floor())?;
        }
        if let (Some(expected), true) = (self.expected, rate > 0.0) {
            let left = expected.saturating_sub(self.rows) as f64 / rate;
            write!(f, ", {} left", Rounded(left))?;
        }
        if let Some(time) = self.down_for {
            let time = Rounded(time.as_secs_f64());
            write!(f, "; the store is down for {time}, trying again")?;
        } else if let Some((reason, wait)) = self.waiting {
            let wait = Rounded(wait.as_secs_f64());
            write!(f, "; waiting {wait}: {reason}")?;
        }
        Ok(())
    }
}

/// Returns a time as people read it, rounded up to seconds.
pub fn shown(time: Duration) -> String {
    Rounded(time.as_secs_f64()).to_string()
}

/// A time in seconds, rounded up for people.
struct Rounded(f64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.ceil() as u64;
        match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
            (0, 0, seconds) => write!(f, "{seconds} s"),
            (0, minutes, seconds) => write!(f, "{minutes} min {seconds} s"),
            (hours, minutes, _) => write!(f, "{} h {minutes} min", grouped(hours)),
        }
    }
}

/// Shows the progress, and writes other text around it.
#[derive(Debug)]
pub struct Display {
    /// `None` where standard error is no terminal, or with `--quiet`.
    bar: Option<ProgressBar>,
    is_paused: AtomicBool,
}

impl Default for Display {
    fn default() -> Self {
        Self::new(true)
    }
}

impl Display {
    pub fn new(is_quiet: bool) -> Self {
        let shows_bar = !is_quiet && io::stderr().is_terminal();
        Self {
            bar: shows_bar.then(|| {
                let target = ProgressDrawTarget::stderr();
                ProgressBar::with_draw_target(Some(BAR_LENGTH), target)
            }),
            is_paused: AtomicBool::new(false),
        }
    }

    /// Shows the progress until it is dropped.
    pub async fn run(&self, view: impl Fn() -> Option<View>) {
        if let Some(bar) = &self.bar {
            show_every(BAR_INTERVAL, view, |view| self.draw(bar, &view)).await;
        } else {
            show_every(LINE_INTERVAL, view, |view| eprintln!("{view}")).await;
        }
    }

    fn draw(&self, bar: &ProgressBar, view: &View) {
        if self.is_paused.load(Ordering::Relaxed) {
            return;
        }
        let share = view.share();
        let template = match share {
            Some(_) => "[{bar:20}] {wide_msg}",
            None => "{spinner} {wide_msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(view.to_string());
        bar.set_position((share.unwrap_or_default() * BAR_LENGTH as f64) as u64);
        bar.tick();
    }

    /// Writes text while the bar is off the screen.
    pub fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar off the screen until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.is_paused.store(true, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    pub fn resume(&self) {
        if let Some(bar) = &self.bar {
            bar.reset();
        }
        self.is_paused.store(false, Ordering::Relaxed);
    }
}

async fn show_every(time: Duration, view: impl Fn() -> Option<View>, mut show: impl FnMut(View)) {
    let mut ticks = interval_at(Instant::now() + time, time);
    loop {
        ticks.tick().await;
        if let Some(view) = view() {
            show(view);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: View = View {
        elapsed: Duration::from_secs(10),
        rows: 4_010,
        is_list: false,
        expected: None,
        waiting: None,
        down_for: None,
    };

    #[test]
    fn the_line_shows_rows_rate_time_left_and_why_it_waits() {
        let quota = Some((WaitReason::Quota, Duration::from_millis(11_200)));
        for (view, expected) in [
            (View { rows: 0, ..VIEW }, "0 rows"),
            (VIEW, "4,010 rows, 401/s"),
            (
                View {
                    expected: Some(40_100),
                    ..VIEW
                },
                "4,010 rows, 401/s, 10%, 1 min 30 s left",
            ),
            (
                View {
                    expected: Some(4_000),
                    is_list: true,
                    ..VIEW
                },
                "4,010 values read, 401/s, 100%, 0 s left",
            ),
            (
                View {
                    waiting: quota,
                    ..VIEW
                },
                "4,010 rows, 401/s; waiting 12 s: the quota is spent",
            ),
            (
                View {
                    waiting: quota,
                    down_for: Some(Duration::from_secs(3_700)),
                    ..VIEW
                },
                "4,010 rows, 401/s; the store is down for 1 h 1 min, trying again",
            ),
        ] {
            assert_eq!(view.to_string(), expected);
        }
    }

    #[test]
    fn the_rows_of_the_input_are_estimated_from_its_bytes() {
        let reading = |rows, bytes, total_bytes| Reading {
            rows,
            bytes,
            total_bytes,
        };
        assert_eq!(reading(10, 100, Some(1000)).expected_rows(), Some(100));
        assert_eq!(reading(10, 100, None).expected_rows(), None);
        assert_eq!(reading(0, 0, Some(1000)).expected_rows(), None);
        // The file has grown.
        assert_eq!(reading(10, 100, Some(50)).expected_rows(), Some(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_shown_every_ten_seconds_once_there_is_a_view() {
        let started = Instant::now();
        let mut shown = Vec::new();
        let view = || (started.elapsed() >= Duration::from_secs(20)).then_some(VIEW);
        let lines = show_every(LINE_INTERVAL, view, |_| {
            shown.push(started.elapsed().as_secs());
        });
        let limit = tokio::time::timeout(Duration::from_secs(45), lines).await;
        limit.expect_err("the display ends only by being dropped");
        assert_eq!(shown, [20, 30, 40]);
    }
}
