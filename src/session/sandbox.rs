//! Limits for scripts of others: operations, time, memory, the folders whose files may be read and written, and how much is
//! written.
//!
//! Operations are counted by the engine, closures included. Time and memory are watched from a thread of their own, because
//! the engine is not asked while a long kernel runs: the watcher raises the session's cancel flag, and ends the process where
//! nothing answers that. Memory is what the process holds beyond what it held when the sandbox was made; most of it is
//! tensors, and a string or array without end is caught as well.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::memory::memory_in_use;
use crate::error::{Error, Result};

/// How often time and memory are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long a script may go on after its limit was reached.
const PATIENCE: Duration = Duration::from_secs(3);
/// Links that lead to links, at most (as Linux).
const MOST_LINKS: usize = 40;

/// What a script may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Operations of the interpreter (a few per line of a script).
    pub operations: u64,
    /// Seconds, for each run of a script or input.
    pub seconds: f64,
    /// Bytes.
    pub memory: u64,
    /// Bytes written to files in all.
    pub written: u64,
    /// Files and folders made in all.
    pub files: u64,
}

/// The limits in force, and what has been used.
pub struct Sandbox {
    limits: Limits,
    folders: Vec<PathBuf>,
    cancel: Arc<AtomicBool>,
    operations: AtomicU64,
    written: AtomicU64,
    files: AtomicU64,
    base: u64,
    reached: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the script began; absent between two inputs.
    started: Option<Instant>,
    /// When a limit was reached, and its message.
    reached: Option<(Instant, String)>,
}

impl Sandbox {
    /// Limits whose watcher raises `cancel`; files are allowed below `folders` (created if need be).
    pub fn new(limits: Limits, folders: &[PathBuf], cancel: Arc<AtomicBool>) -> Result<Self> {
        let folders = folders
            .iter()
            .map(|folder| real(folder).ok_or_else(|| Error::file(folder, "the sandbox cannot find this folder")));
        Ok(Sandbox {
            limits,
            folders: folders.collect::<Result<_>>()?,
            cancel,
            operations: AtomicU64::new(0),
            written: AtomicU64::new(0),
            files: AtomicU64::new(0),
            base: memory_in_use().unwrap_or(0),
            reached: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A script or input begins: its operations and seconds count from here.
    pub fn begin(&self) {
        self.operations.store(0, Ordering::Relaxed);
        self.reached.store(false, Ordering::Relaxed);
        *self.state() = State {
            started: Some(Instant::now()),
            reached: None,
        };
    }

    /// It has ended: the message of the limit it reached, if any.
    pub fn end(&self) -> Option<String> {
        self.reached.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.state()).reached.map(|(_, text)| text)
    }

    /// Count one operation; true if the script must end.
    pub fn step(&self) -> bool {
        if self.operations.fetch_add(1, Ordering::Relaxed) == self.limits.operations {
            self.reach(format!(
                "the sandbox's limit of {} operations is reached; --max-operations N raises it",
                self.limits.operations
            ));
        }
        self.reached()
    }

    /// Whether a limit is reached: what runs must end.
    pub fn reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    fn reach(&self, text: String) {
        let mut state = self.state();
        if state.started.is_some() && state.reached.is_none() {
            state.reached = Some((Instant::now(), text));
            self.reached.store(true, Ordering::Relaxed);
            self.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Refuse a value of so many bytes where it cannot fit.
    pub fn check_memory(&self, bytes: u64) -> Result<()> {
        let used = memory_in_use().unwrap_or(0).saturating_sub(self.base);
        if used.saturating_add(bytes) <= self.limits.memory {
            return Ok(());
        }
        let gb = |n: u64| n as f64 / 1e9;
        crate::fail!(
            "a value of {:.3} GB beside the {:.3} GB in use passes the sandbox's limit of {:.3} GB of memory; --max-memory GB \
             raises it",
            gb(bytes),
            gb(used),
            gb(self.limits.memory)
        )
    }

    /// Refuse a path that lies, links followed, outside the allowed folders.
    pub fn check_path(&self, path: &Path) -> Result<()> {
        match real(path) {
            Some(real) if self.reaches(&real) => Ok(()),
            _ => Err(self.outside(path)),
        }
    }

    /// Refuse an opened file that lies outside: the path may have led elsewhere when it was checked.
    pub fn check_opened(&self, path: &Path, file: &File) -> Result<()> {
        match path.canonicalize() {
            Ok(real) if self.reaches(&real) && same_file(&real, file) => Ok(()),
            _ => Err(self.outside(path)),
        }
    }

    fn reaches(&self, real: &Path) -> bool {
        self.folders.iter().any(|folder| real.starts_with(folder))
    }

    fn outside(&self, path: &Path) -> Error {
        let folders: Vec<String> = self.folders.iter().map(|f| f.display().to_string()).collect();
        Error::file(
            path,
            format!(
                "the sandbox's limit for files: only what lies below {} may be read or written; --allow FOLDER adds a folder",
                folders.join(" or ")
            ),
        )
    }

    /// Count bytes that are about to be written; an error where they pass the limit.
    pub fn count_bytes(&self, bytes: usize) -> io::Result<()> {
        let before = self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        if before.saturating_add(bytes as u64) <= self.limits.written {
            return Ok(());
        }
        self.written.fetch_sub(bytes as u64, Ordering::Relaxed);
        Err(io::Error::other(format!(
            "the sandbox's limit of {:.3} GB written to files is reached; --max-written GB raises it",
            self.limits.written as f64 / 1e9
        )))
    }

    /// Count a file or folder that is about to be made; an error where it passes the limit.
    pub fn count_entry(&self) -> io::Result<()> {
        if self.files.fetch_add(1, Ordering::Relaxed) < self.limits.files {
            return Ok(());
        }
        self.files.fetch_sub(1, Ordering::Relaxed);
        Err(io::Error::other(format!(
            "the sandbox's limit of {} new files and folders is reached; --max-files N raises it",
            self.limits.files
        )))
    }

    /// Watch time and memory until the sandbox is dropped. `give_up` gets the message of a limit that was reached while
    /// something ran that does not answer; it ends the process.
    pub fn watch(self: &Arc<Self>, give_up: impl Fn(&str) + Send + 'static) -> std::io::Result<()> {
        let sandbox = Arc::downgrade(self);
        let look = move || {
            while let Some(sandbox) = sandbox.upgrade() {
                if let Some(text) = sandbox.look() {
                    give_up(&text);
                }
                drop(sandbox);
                std::thread::sleep(LOOK_EVERY);
            }
        };
        std::thread::Builder::new().name("sandbox".into()).spawn(look).map(drop)
    }

    /// Compare with the limits; the message if the script does not end although it must.
    fn look(&self) -> Option<String> {
        let (started, reached) = {
            let state = self.state();
            (state.started?, state.reached.clone())
        };
        let used = memory_in_use().unwrap_or(0).saturating_sub(self.base);
        if let Some((since, text)) = reached {
            let flooded = used > self.limits.memory.saturating_mul(2);
            return (flooded || since.elapsed() > PATIENCE).then_some(text);
        }
        if started.elapsed().as_secs_f64() > self.limits.seconds {
            self.reach(format!(
                "the sandbox's limit of {} s is reached; --max-seconds S raises it",
                self.limits.seconds
            ));
        } else if used > self.limits.memory {
            self.reach(format!(
                "the sandbox's limit of {:.3} GB of memory is reached; --max-memory GB raises it",
                self.limits.memory as f64 / 1e9
            ));
        }
        None
    }
}

/// Whether the file at `path` is the opened one.
#[cfg(unix)]
fn same_file(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (path.symlink_metadata(), file.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Elsewhere files have no number to compare: the path is taken at its word.
#[cfg(not(unix))]
fn same_file(_: &Path, _: &File) -> bool {
    true
}

/// The path with all links followed, of a file that may not be there yet; `None` where that cannot be told.
fn real(path: &Path) -> Option<PathBuf> {
    let mut path = std::path::absolute(path).ok()?;
    for _ in 0..MOST_LINKS {
        let mut missing = Vec::new();
        let mut at = path.as_path();
        let dead_link = loop {
            match at.canonicalize() {
                Ok(found) => {
                    // `..` after a part that is not there cannot be followed
                    let named = missing.iter().all(|part| matches!(part, Component::Normal(_)));
                    return named.then(|| missing.iter().rev().fold(found, |path, part| path.join(part)));
                }
                Err(_) => {
                    if let Ok(to) = at.read_link() {
                        break at.parent()?.join(to);
                    }
                    missing.push(at.components().next_back()?);
                    at = at.parent()?;
                }
            }
        };
        path = missing.iter().rev().fold(dead_link, |path, part| path.join(part));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(folder: &Path, limits: Limits) -> Sandbox {
        Sandbox::new(limits, &[folder.to_path_buf()], Arc::default()).unwrap()
    }

    const WIDE: Limits = Limits {
        operations: 3,
        seconds: 60.0,
        memory: 1 << 30,
        written: 10,
        files: 2,
    };

    #[test]
    fn operations_are_counted_for_each_script() {
        let folder = tempfile::tempdir().unwrap();
        let s = sandbox(folder.path(), WIDE);
        for _ in 0..2 {
            s.begin();
            assert_eq!([0; 4].map(|_| s.step()), [false, false, false, true]);
            assert!(s.end().unwrap().contains("--max-operations"));
        }
        s.begin();
        assert!(s.end().is_none());
    }

    #[test]
    fn time_is_seen_and_an_answer_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { seconds: 0.0, ..WIDE };
        let s = sandbox(folder.path(), limits);
        assert!(s.look().is_none() && !s.reached(), "nothing runs yet");
        s.begin();
        assert!(s.look().is_none());
        assert!(s.reached() && s.cancel.load(Ordering::Relaxed));
        assert!(s.look().is_none(), "patience");
        assert!(s.end().unwrap().contains("--max-seconds"));
    }

    #[test]
    fn what_is_written_is_counted_over_all_scripts() {
        let folder = tempfile::tempdir().unwrap();
        let s = sandbox(folder.path(), WIDE);
        for _ in 0..2 {
            s.begin();
            assert!(s.count_bytes(5).is_ok() && s.count_entry().is_ok());
            assert!(s.end().is_none());
        }
        assert!(s.count_bytes(0).is_ok());
        assert!(s.count_bytes(1).unwrap_err().to_string().contains("--max-written"));
        assert!(
            s.count_entry()
                .unwrap_err()
                .to_string()
                .contains("limit of 2 new files")
        );
    }

    #[cfg(unix)]
    #[test]
    fn paths_are_followed_to_where_they_lead() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let s = sandbox(inside.path(), WIDE);
        let link = |to: PathBuf, name: &str| std::os::unix::fs::symlink(to, inside.path().join(name)).unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        std::fs::write(inside.path().join("own"), "x").unwrap();
        link(inside.path().join("own"), "fine");
        link("nowhere".into(), "dead");
        link("round".into(), "round");
        link(outside.path().join("secret"), "leak");
        link(outside.path().join("new"), "dangling");
        link("dangling".into(), "twice");
        for allowed in ["own", "fine", "new/deep/file", "dead", "dead/below"] {
            assert!(s.check_path(&inside.path().join(allowed)).is_ok(), "{allowed}");
        }
        for refused in [
            "leak",
            "dangling",
            "twice",
            "twice/below",
            "round",
            "../x",
            "new/../../x",
        ] {
            let text = s.check_path(&inside.path().join(refused)).unwrap_err().to_string();
            assert!(text.contains("--allow"), "{text}");
        }
        assert!(s.check_path(outside.path()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_swapped_after_the_check_is_seen_on_the_opened_file() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let s = sandbox(inside.path(), WIDE);
        let (own, secret) = (inside.path().join("own"), outside.path().join("secret"));
        std::fs::write(&own, "x").unwrap();
        std::fs::write(&secret, "x").unwrap();
        assert!(s.check_opened(&own, &File::open(&own).unwrap()).is_ok());
        // a file opened while its path led outside of the sandbox, where the path leads inside again
        assert!(s.check_opened(&own, &File::open(&secret).unwrap()).is_err());
        let link = inside.path().join("link");
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        assert!(s.check_opened(&link, &File::open(&link).unwrap()).is_err());
    }
}
