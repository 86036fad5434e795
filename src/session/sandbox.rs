//! Limits for scripts of others: operations, time, memory, and the folders whose files may be read and written.
//!
//! Operations are counted by the engine, closures included. Time and memory are watched from a thread of their own, because
//! the engine is not asked while a long kernel runs: the watcher raises the session's cancel flag, and ends the process where
//! nothing answers that. Memory is what the process holds beyond what it held when the sandbox was made; most of it is
//! tensors, and a string or array without end is caught as well.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How often time and memory are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long a script may go on after its limit was reached.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a script may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Operations of the interpreter (a few per line of a script).
    pub operations: u64,
    /// Seconds, for each run of a script or input.
    pub seconds: f64,
    /// Bytes.
    pub memory: u64,
}

/// The limits in force, and what has been used.
pub struct Sandbox {
    limits: Limits,
    folders: Vec<PathBuf>,
    cancel: Arc<AtomicBool>,
    operations: AtomicU64,
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

    /// Refuse a tensor of so many bytes where it cannot fit.
    pub fn check_memory(&self, bytes: u64) -> Result<()> {
        let used = memory_in_use().unwrap_or(0).saturating_sub(self.base);
        if used.saturating_add(bytes) <= self.limits.memory {
            return Ok(());
        }
        let gb = |n: u64| n as f64 / 1e9;
        crate::fail!(
            "a tensor of {:.3} GB beside the {:.3} GB in use passes the sandbox's limit of {:.3} GB of memory; --max-memory GB \
             raises it",
            gb(bytes),
            gb(used),
            gb(self.limits.memory)
        )
    }

    /// Refuse a path that lies, links followed, outside the allowed folders.
    pub fn check_path(&self, path: &Path) -> Result<()> {
        if real(path).is_some_and(|real| self.folders.iter().any(|folder| real.starts_with(folder))) {
            return Ok(());
        }
        let folders: Vec<String> = self.folders.iter().map(|f| f.display().to_string()).collect();
        Err(Error::file(
            path,
            format!(
                "the sandbox's limit for files: only what lies below {} may be read or written; --allow FOLDER adds a folder",
                folders.join(" or ")
            ),
        ))
    }

    /// Refuse a folder that lies outside, or that holds a link which leads outside.
    pub fn check_folder(&self, folder: &Path) -> Result<()> {
        self.check_path(folder)?;
        let mut open = vec![folder.to_path_buf()];
        while let Some(folder) = open.pop() {
            // What cannot be listed cannot be read either; the reader says so.
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries.flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => open.push(entry.path()),
                    Ok(kind) if kind.is_file() => {}
                    _ => self.check_path(&entry.path())?,
                }
            }
        }
        Ok(())
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

/// Bytes that this process holds (Linux; elsewhere unknown).
pub fn memory_in_use() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split(' ').nth(1)?.parse::<u64>().ok()? * 4096)
}

/// The path with all links followed, of a file that may not be there yet; `None` where that cannot be told.
fn real(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    let mut missing = Vec::new();
    let mut at = absolute.as_path();
    loop {
        match at.canonicalize() {
            Ok(found) => return Some(missing.iter().rev().fold(found, |path, part| path.join(part))),
            // A link to nothing: writing would follow it.
            Err(_) if at.symlink_metadata().is_ok() => return None,
            Err(_) => {
                missing.push(at.file_name()?);
                at = at.parent()?;
            }
        }
    }
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

    #[cfg(unix)]
    #[test]
    fn paths_are_followed_to_where_they_lead() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let s = sandbox(inside.path(), WIDE);
        let link = |to: PathBuf, name: &str| std::os::unix::fs::symlink(to, inside.path().join(name)).unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        std::fs::write(inside.path().join("own"), "x").unwrap();
        assert!(s.check_folder(inside.path()).is_ok());
        link(inside.path().join("own"), "fine");
        assert!(s.check_folder(inside.path()).is_ok());
        link(outside.path().join("secret"), "leak");
        link(outside.path().join("new"), "dangling");
        for allowed in ["own", "fine", "new/deep/file"] {
            assert!(s.check_path(&inside.path().join(allowed)).is_ok(), "{allowed}");
        }
        for refused in ["leak", "dangling", "../x", "new/../../x"] {
            let text = s.check_path(&inside.path().join(refused)).unwrap_err().to_string();
            assert!(text.contains("--allow"), "{text}");
        }
        assert!(s.check_path(outside.path()).is_err() && s.check_folder(inside.path()).is_err());
    }
}
