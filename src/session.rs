//! What one session owns: the device, the seed, the cancel flag, the run folder and the output sink.
//!
//! A [`Session`] is a cheap handle (clones share the same state). The library prints nothing by itself: text, progress and
//! warnings go through the session's [`Sink`], and every long loop asks [`Session::check_cancel`].

pub mod clock;
pub mod digest;
pub mod ending;
mod files;
mod lock;
pub mod memory;
mod place;
mod progress;
pub mod sandbox;
pub mod screen;
pub mod signals;
mod write;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::Device;
use indicatif::MultiProgress;

pub use place::Place;
pub use write::Writer;

use crate::error::{Error, Result};
use crate::random::Random;
use ending::{CLOSED_PIPE, Ending};
pub use lock::FolderLock;
pub use progress::Progress;
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
    ending: Ending,
    folder: RefCell<PathBuf>,
    /// The folders that this process holds, links followed.
    held: RefCell<BTreeMap<PathBuf, FolderLock>>,
    overwrite: Cell<bool>,
    numbered: Cell<bool>,
    sink: Sink,
    script: RefCell<(PathBuf, String)>,
    /// SHA-256 of the program's file, once it was asked for.
    program: OnceCell<String>,
    /// What the script said that came of it.
    results: RefCell<serde_json::Map<String, serde_json::Value>>,
    first_seed: u64,
    goes_on: Cell<bool>,
    event_files: Cell<bool>,
    begun: Instant,
    arguments: RefCell<BTreeMap<String, String>>,
    warnings: RefCell<Vec<String>>,
    /// The places that something of this session is kept at.
    claimed: RefCell<BTreeSet<PathBuf>>,
    /// Files that this session has written, which it may replace.
    written: RefCell<BTreeSet<PathBuf>>,
    /// Folders that were searched for left-overs of killed processes.
    swept: RefCell<BTreeSet<PathBuf>>,
    sandbox: OnceCell<Arc<Sandbox>>,
}

impl Session {
    /// A session on `device` whose figures, checkpoints and tables go to `folder` (created when first needed).
    pub fn new(device: Device, seed: u64, folder: impl Into<PathBuf>, sink: Sink) -> Self {
        Session(Rc::new(State {
            device,
            seed: Cell::new(seed),
            draws: Cell::new(0),
            ending: Ending::default(),
            folder: RefCell::new(folder.into()),
            held: RefCell::default(),
            overwrite: Cell::new(false),
            numbered: Cell::new(false),
            sink,
            script: RefCell::default(),
            program: OnceCell::new(),
            results: RefCell::default(),
            first_seed: seed,
            goes_on: Cell::new(false),
            event_files: Cell::new(false),
            begun: Instant::now(),
            arguments: RefCell::default(),
            warnings: RefCell::new(Vec::new()),
            claimed: RefCell::default(),
            written: RefCell::default(),
            swept: RefCell::default(),
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

    /// Whether and how the process was asked to end.
    pub fn ending(&self) -> &Ending {
        &self.0.ending
    }

    /// The flag that Ctrl-C sets.
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        self.0.ending.cancel_flag()
    }

    /// Whether Ctrl-C was pressed since the flag was last cleared, or the process must end.
    pub fn cancelled(&self) -> bool {
        self.cancel_flag().load(Ordering::Relaxed)
    }

    /// Forget a Ctrl-C that has been dealt with; a process that was asked to end stays cancelled.
    pub fn clear_cancel(&self) {
        if self.0.ending.status().is_none() {
            self.cancel_flag().store(false, Ordering::Relaxed);
        }
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

    /// The text of the script being run, in the REPL of the inputs so far, for the record in the run folder.
    pub fn script(&self) -> String {
        self.0.script.borrow().1.clone()
    }

    /// The file of the script being run; empty where there is none.
    pub fn script_path(&self) -> PathBuf {
        self.0.script.borrow().0.clone()
    }

    /// SHA-256 of the program's file; the file is read once in a session.
    pub fn program_sha256(&self) -> &str {
        self.0.program.get_or_init(|| {
            let program = Place::from(std::env::current_exe().unwrap_or_default());
            digest::sha256([program.bytes("the program", u64::MAX - 1).unwrap_or_default()])
        })
    }

    /// Remember the text of the script being run.
    pub fn set_script(&self, text: &str) {
        self.0.script.borrow_mut().1 = text.to_string();
    }

    /// Remember the file of the script being run.
    pub fn set_script_path(&self, path: &Path) {
        self.0.script.borrow_mut().0 = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    }

    /// What the script said that came of it.
    pub fn results(&self) -> serde_json::Map<String, serde_json::Value> {
        self.0.results.borrow().clone()
    }

    /// Add names and values to what came of the script; those there are replaced.
    pub fn add_results(&self, results: serde_json::Map<String, serde_json::Value>) {
        self.0.results.borrow_mut().extend(results);
    }

    /// The seed that the session began with.
    pub fn first_seed(&self) -> u64 {
        self.0.first_seed
    }

    /// Seconds since the session began.
    pub fn seconds(&self) -> f64 {
        self.0.begun.elapsed().as_secs_f64()
    }

    /// Whether training runs write event files for TensorBoard.
    pub fn event_files(&self) -> bool {
        self.0.event_files.get()
    }

    /// Let training runs write event files for TensorBoard.
    pub fn set_event_files(&self, write: bool) {
        self.0.event_files.set(write);
    }

    /// Whether training runs go on from what an earlier process left at their place in the run folder.
    pub fn goes_on(&self) -> bool {
        self.0.goes_on.get()
    }

    /// Let training runs go on from what an earlier process, which ran the same script, left at their place; the files that it wrote
    /// are written again.
    pub fn set_goes_on(&self, goes_on: bool) {
        self.0.goes_on.set(goes_on);
    }

    /// The values that the script was given on the command line, as written.
    pub fn arguments(&self) -> BTreeMap<String, String> {
        self.0.arguments.borrow().clone()
    }

    /// Remember them, for the record in the run folder.
    pub fn set_arguments(&self, arguments: BTreeMap<String, String>) {
        *self.0.arguments.borrow_mut() = arguments;
    }

    /// Write a line of output. Where nobody takes it the process is asked to end: quietly at a closed pipe, else with a message.
    pub fn print(&self, text: &str) {
        let written = match &self.0.sink {
            Sink::Terminal(bars) => bars.suspend(|| write_out(text)),
            Sink::Capture(buffer) => {
                let mut buffer = buffer.borrow_mut();
                buffer.push_str(text);
                buffer.push('\n');
                Ok(())
            }
            Sink::Quiet => write_out(text),
        };
        let Err(e) = written else { return };
        if self.0.ending.status().is_some() {
            return;
        }
        match output_status(&e) {
            CLOSED_PIPE => self.0.ending.ask(CLOSED_PIPE),
            status => {
                write_err(&format!("error: standard output cannot be written ({e})"));
                self.0.ending.ask(status);
            }
        }
    }

    /// Show a warning and keep it in [`Session::warnings`].
    pub fn warn(&self, text: &str) {
        self.0.warnings.borrow_mut().push(text.to_string());
        if let Sink::Terminal(bars) = &self.0.sink {
            bars.suspend(|| write_err(&format!("warning: {text}")));
        }
    }

    /// Show a warning that was not shown yet.
    pub fn warn_once(&self, text: &str) {
        if !self.0.warnings.borrow().iter().any(|shown| shown == text) {
            self.warn(text);
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

    /// A progress display for `total` steps, `first` of which were done before; it disappears when dropped.
    pub fn progress(&self, title: &str, first: u64, total: u64) -> Progress {
        let bars = match &self.0.sink {
            Sink::Terminal(bars) => Some(bars),
            _ => None,
        };
        Progress::new(bars, title, first, total)
    }
}

/// The exit status of a program whose standard output cannot be written.
pub fn output_status(error: &std::io::Error) -> u8 {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => CLOSED_PIPE,
        _ => 1,
    }
}

fn write_out(text: &str) -> std::io::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{text}")
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
        session.ending().ask(3);
        session.clear_cancel();
        assert!(session.cancelled(), "who must end stays cancelled");
    }
}
