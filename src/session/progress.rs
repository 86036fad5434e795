//! The progress of one long task: a bar on a terminal, else a line every few seconds.

use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::write_err;

/// Rate, time left and a message. It disappears when dropped.
pub struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
    title: String,
    total: u64,
    /// Steps that were done before this task began; they say nothing about its rate.
    first: u64,
    started: Instant,
    spoken: Instant,
}

impl Progress {
    /// Seconds between two plain lines where standard error is not a terminal.
    const LINE_EVERY: f64 = 10.0;

    /// `first` of `total` steps are done already. Nothing is shown without `bars`.
    pub(super) fn new(bars: Option<&MultiProgress>, title: &str, first: u64, total: u64) -> Self {
        let bar = bars.map(|bars| {
            let bar = bars.add(ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()));
            if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len} {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(title.to_string());
            bar.set_position(first);
            bar
        });
        let now = Instant::now();
        Progress {
            lines: bar.as_ref().is_some_and(ProgressBar::is_hidden),
            bar,
            title: title.to_string(),
            total,
            first,
            started: now,
            spoken: now,
        }
    }

    /// `done` steps are done; `message` holds the facts worth seeing (the loss, say).
    pub fn at(&mut self, done: u64, message: &str) {
        let Some(bar) = &self.bar else { return };
        let pace = pace(self.first, done, self.total, self.started.elapsed().as_secs_f64());
        if !self.lines {
            bar.set_message(format!("{pace} left {message}"));
            bar.set_position(done);
        } else if self.spoken.elapsed().as_secs_f64() >= Self::LINE_EVERY {
            self.spoken = Instant::now();
            write_err(&format!("{} {done}/{} {pace} left {message}", self.title, self.total));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The rate of the steps since `first`, and the time the rest takes at that rate.
fn pace(first: u64, done: u64, total: u64, seconds: f64) -> String {
    let rate = done.saturating_sub(first) as f64 / seconds.max(1e-9);
    let left = total.saturating_sub(done) as f64 / rate.max(1e-9);
    match left {
        left if left < 100.0 => format!("{rate:.2}/s {left:.0} s"),
        left if left < 6000.0 => format!("{rate:.2}/s {:.0} min", left / 60.0),
        left => format!("{rate:.2}/s {:.1} h", left / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::pace;

    #[test]
    fn steps_of_an_earlier_session_do_not_count() {
        assert_eq!(pace(1000, 1005, 1010, 10.0), "0.50/s 10 s"); // 5 steps in 10 s, 5 more to go
        assert_eq!(pace(0, 20, 1020, 10.0), "2.00/s 8 min");
        assert_eq!(pace(0, 1, 10_001, 1.0), "1.00/s 2.8 h");
    }
}
