//! What one session owns: the device, the seed, the cancel flag, the run folder and the output sink.
//!
//! A [`Session`] is a cheap handle (clones share the same state). The library prints nothing by itself: text, progress and
//! warnings go through the session's [`Sink`], and every long loop asks [`Session::check_cancel`].

mod files;
mod place;
pub mod sandbox;
pub mod screen;
mod write;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::Device;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

pub use place::Place;
pub use write::Writer;

use crate::error::{Error, Result};
use crate::random::Random;
use sandbox::Sandbox;
use screen::Screen;

/// Where the session's output goes.
#[derive(Clone)]
pub enum Sink {
    /// Text to standard output, progress and warnings to standard error (bars on a terminal, else a line every few seconds).
    Terminal(MultiProgress),
    /// Text is collected, progress is dropped (tests, embedding).
    Capture(Rc<RefCell<String>>),
    /// Text to standard output, no progress.
    Quiet,
}

impl Sink {
    /// The terminal, with its progress bars.
    pub fn terminal() -> Self {
        Sink::Terminal(MultiProgress::new())
    }
}

/// The state shared by everything that runs in one session.
#[derive(Clone)]
pub struct Session(Rc<State>);

struct State {
    device: Device,
    seed: Cell<u64>,
    draws: Cell<u64>,
    cancel: Arc<AtomicBool>,
    folder: RefCell<PathBuf>,
    sink: Sink,
    script: RefCell<String>,
    warnings: RefCell<Vec<String>>,
    names: RefCell<BTreeMap<String, usize>>,
    /// Files that this session has written, which it may replace.
    written: RefCell<BTreeSet<PathBuf>>,
    /// Folders that were searched for left-overs of killed processes.
    swept: RefCell<BTreeSet<PathBuf>>,
    overwrite: Cell<bool>,
    sandbox: OnceCell<Arc<Sandbox>>,
}

impl Session {
    /// A session on `device` whose figures, checkpoints and tables go to `folder` (created when first needed).
    pub fn new(device: Device, seed: u64, folder: impl Into<PathBuf>, sink: Sink) -> Self {
        Session(Rc::new(State {
            device,
            seed: Cell::new(seed),
            draws: Cell::new(0),
            cancel: Arc::new(AtomicBool::new(false)),
            folder: RefCell::new(folder.into()),
            sink,
            script: RefCell::new(String::new()),
            warnings: RefCell::new(Vec::new()),
            names: RefCell::default(),
            written: RefCell::default(),
            swept: RefCell::default(),
            overwrite: Cell::new(false),
            sandbox: OnceCell::new(),
        }))
    }

    /// A CPU session for tests and embedding: seed 0, output captured.
    pub fn quiet(folder: impl Into<PathBuf>) -> Self {
        Self::new(Device::Cpu, 0, folder, Sink::Capture(Rc::default()))
    }

    /// The device of new tensors and models.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The seed that everything random in this session starts from unless it is given its own.
    pub fn seed(&self) -> u64 {
        self.0.seed.get()
    }

    /// Start the session's random state anew from `seed`.
    pub fn set_seed(&self, seed: u64) {
        self.0.seed.set(seed);
        self.0.draws.set(0);
    }

    /// A fresh stream: the n-th call after [`Session::set_seed`] always gives the same one.
    pub fn random(&self) -> Random {
        let n = self.0.draws.get();
        self.0.draws.set(n + 1);
        Random::derived(self.seed(), &[0x5E55, n])
    }

    /// Run `body` with the random state of another seed; afterwards the state is as before.
    pub fn with_seed<T>(&self, seed: u64, body: impl FnOnce() -> T) -> T {
        let before = (self.seed(), self.0.draws.get());
        self.set_seed(seed);
        let result = body();
        self.0.seed.set(before.0);
        self.0.draws.set(before.1);
        result
    }

    /// The flag that Ctrl-C sets.
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        self.0.cancel.clone()
    }

    /// Whether Ctrl-C was pressed since the flag was last cleared.
    pub fn cancelled(&self) -> bool {
        self.0.cancel.load(Ordering::Relaxed)
    }

    /// Forget a Ctrl-C that has been dealt with.
    pub fn clear_cancel(&self) {
        self.0.cancel.store(false, Ordering::Relaxed);
    }

    /// [`Error::Interrupted`] if Ctrl-C was pressed.
    pub fn check_cancel(&self) -> Result<()> {
        if self.cancelled() {
            Err(Error::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Hold what runs from now on to these limits; only the first call counts.
    pub fn confine(&self, sandbox: Arc<Sandbox>) {
        let _ = self.0.sandbox.set(sandbox);
    }

    /// The limits, if there are any.
    pub fn sandbox(&self) -> Option<&Arc<Sandbox>> {
        self.0.sandbox.get()
    }

    /// The terminal that text goes to, if pictures can be drawn there.
    pub fn screen(&self) -> Option<Screen> {
        match &self.0.sink {
            Sink::Capture(_) => None,
            Sink::Terminal(_) | Sink::Quiet => Screen::detect(|name| std::env::var(name).ok()),
        }
    }

    /// The text of the script being run (empty in the REPL), for the record in the run folder.
    pub fn script(&self) -> String {
        self.0.script.borrow().clone()
    }

    /// Remember the text of the script being run.
    pub fn set_script(&self, text: &str) {
        *self.0.script.borrow_mut() = text.to_string();
    }

    /// Write a line of output. A closed pipe ends the output quietly.
    pub fn print(&self, text: &str) {
        match &self.0.sink {
            Sink::Terminal(bars) => bars.suspend(|| write_out(text)),
            Sink::Capture(buffer) => {
                let mut buffer = buffer.borrow_mut();
                buffer.push_str(text);
                buffer.push('\n');
            }
            Sink::Quiet => write_out(text),
        }
    }

    /// Show a warning and keep it in [`Session::warnings`].
    pub fn warn(&self, text: &str) {
        self.0.warnings.borrow_mut().push(text.to_string());
        if let Sink::Terminal(bars) = &self.0.sink {
            bars.suspend(|| write_err(&format!("warning: {text}")));
        }
    }

    /// All warnings so far.
    pub fn warnings(&self) -> Vec<String> {
        self.0.warnings.borrow().clone()
    }

    /// What was printed so far, for [`Sink::Capture`].
    pub fn captured(&self) -> String {
        match &self.0.sink {
            Sink::Capture(buffer) => buffer.borrow().clone(),
            _ => String::new(),
        }
    }

    /// A progress display for `total` steps; it disappears when dropped.
    pub fn progress(&self, title: &str, total: u64) -> Progress {
        let bar = match &self.0.sink {
            Sink::Terminal(bars) => {
                let bar = bars.add(ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()));
                if let Ok(style) =
                    ProgressStyle::with_template("{prefix} {bar:24} {pos}/{len} {per_sec} {eta} left {msg}")
                {
                    bar.set_style(style);
                }
                bar.set_prefix(title.to_string());
                Some(bar)
            }
            _ => None,
        };
        let lines = bar.as_ref().is_some_and(ProgressBar::is_hidden);
        let now = Instant::now();
        Progress {
            bar,
            lines,
            title: title.to_string(),
            total,
            started: now,
            spoken: now,
            first: None,
        }
    }
}

/// The progress of one long task: rate, time left and a message.
pub struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
    title: String,
    total: u64,
    started: Instant,
    spoken: Instant,
    first: Option<u64>,
}

impl Progress {
    /// Seconds between two plain lines where standard error is not a terminal.
    const LINE_EVERY: f64 = 10.0;

    /// `done` steps are done; `message` holds the facts worth seeing (the loss, say).
    pub fn at(&mut self, done: u64, message: &str) {
        let first = *self.first.get_or_insert(done.saturating_sub(1));
        let Some(bar) = &self.bar else { return };
        if !self.lines {
            bar.set_message(message.to_string());
            bar.set_position(done);
        } else if self.spoken.elapsed().as_secs_f64() >= Self::LINE_EVERY {
            self.spoken = Instant::now();
            let rate = (done - first.min(done)) as f64 / self.started.elapsed().as_secs_f64();
            let left = (self.total.saturating_sub(done)) as f64 / rate.max(1e-9);
            write_err(&format!(
                "{} {done}/{} {rate:.2}/s {left:.0} s left {message}",
                self.title, self.total
            ));
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

fn write_out(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

fn write_err(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_restart_with_the_seed() {
        let session = Session::quiet("unused");
        let (a, b) = (session.random().bits(), session.random().bits());
        session.set_seed(0);
        assert_eq!((a, b), (session.random().bits(), session.random().bits()));
        assert_ne!(a, b);
    }

    #[test]
    fn cancel_is_seen_and_cleared() {
        let session = Session::quiet("unused");
        session.cancel_flag().store(true, Ordering::Relaxed);
        assert!(matches!(session.check_cancel(), Err(Error::Interrupted)));
        session.clear_cancel();
        assert!(session.check_cancel().is_ok());
    }
}
