//! A run folder belongs to one process at a time.

use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};

/// The file in a run folder that its process holds. It stays behind: what counts is who holds it, and that ends with the process,
/// however it ends.
const NAME: &str = ".seglab.lock";
/// Who only looks whether a folder is held holds it for a moment; so often and so long that is waited for.
const TRIES: (u32, Duration) = (10, Duration::from_millis(20));

/// The hold on a folder, until it is dropped.
pub struct FolderLock {
    _file: Option<File>,
}

impl FolderLock {
    /// Take hold of `folder`, which is there.
    ///
    /// # Errors
    /// Another process, which the message names, holds it; or nothing can be written there.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let options = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut file = options.map_err(|e| {
            Error::file(
                folder,
                format!("the run folder cannot be written to ({e}); choose another with --out"),
            )
        })?;
        let mut tried = file.try_lock();
        for _ in 0..TRIES.0 {
            if !matches!(tried, Err(TryLockError::WouldBlock)) {
                break;
            }
            std::thread::sleep(TRIES.1);
            tried = file.try_lock();
        }
        match tried {
            Ok(()) => {
                // the file's text only tells other processes who holds the lock, so a full disk is no error here
                let _ = file.set_len(0);
                let _ = write!(file, "{}", holder());
                Ok(FolderLock { _file: Some(file) })
            }
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                let holder = text.trim();
                Err(Error::file(
                    folder,
                    format!(
                        "another run is at work in this folder ({}); wait until it ends, end it, or choose another folder with --out",
                        if holder.is_empty() {
                            "a process that has just started"
                        } else {
                            holder
                        }
                    ),
                ))
            }
            // some network file systems have no locks
            Err(TryLockError::Error(_)) => Ok(FolderLock { _file: None }),
        }
    }

    /// Whether some process holds `folder`.
    pub fn is_held(folder: &Path) -> bool {
        let file = File::open(folder.join(NAME));
        file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }
}

/// This process in words: `pid 4711 on node3`.
fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => format!("pid {}", std::process::id()),
        host => format!("pid {} on {host}", std::process::id()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_who_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        let text = FolderLock::take(folder.path()).err().unwrap().to_string();
        assert!(
            text.contains(&format!("pid {}", std::process::id())) && text.contains("--out"),
            "{text}"
        );
        assert!(FolderLock::is_held(folder.path()));
        drop(first);
        assert!(!FolderLock::is_held(folder.path()));
        assert!(FolderLock::take(folder.path()).is_ok());
    }
}
