//! Writing, the one way the program does it: beside the destination under a name of its own, to the disk, then renamed. Whatever
//! interrupts it, a full disk or a kill, the last good file stays.
//!
//! The temporary file is locked while it is written. A lock ends with its process, so a temporary file that can be locked was
//! left over by a process that is gone, and is removed.

use std::fs::{File, TryLockError};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::place::{Place, reason};
use super::sandbox::Sandbox;
use crate::error::{Error, Result};

/// Between the name of the destination and the number of a temporary file, and its end.
const MARK: (&str, &str) = (".seglab-", ".partial");
/// What files of seglab hold near their start or end.
const SIGNATURE: &[u8] = b"seglab";
/// How near, in bytes.
const SIGNED_WITHIN: u64 = 1 << 16;
/// How files of seglab start that have no room for that: arrays of NumPy, histories, data of figures, lists of images.
const UNSIGNED: [&[u8]; 4] = [b"\x93NUMPY", b"step,", b"panel,kind,series,", b"file,bytes,sha256"];
/// So many writers of one file at the same time.
const MOST_WRITERS: usize = 1000;

/// A file that is being written.
pub type Writer = BufWriter<Counted>;

/// A file whose bytes a sandbox counts.
pub struct Counted {
    file: File,
    sandbox: Option<Arc<Sandbox>>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(sandbox) = &self.sandbox {
            sandbox.count_bytes(bytes.len())?;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Write `path` anew with what `content` writes; on any error what was there before stays, and nothing else is left.
pub(super) fn replace(
    path: &Path,
    sandbox: Option<&Arc<Sandbox>>,
    content: impl FnOnce(&mut Writer) -> io::Result<()>,
) -> Result<()> {
    let failed = |e: io::Error| Error::file(path, format!("cannot be written ({})", reason(&e)));
    // A link stays: what it leads to is written.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let before = target.metadata().ok();
    if let Some(before) = &before {
        let refused = |what: &str| {
            Err(Error::file(
                path,
                format!("cannot be written: {what}; choose another name"),
            ))
        };
        if !before.is_file() {
            return refused("it is no regular file");
        }
        if before.permissions().readonly() {
            return refused("it is write-protected");
        }
    } else if let Some(sandbox) = sandbox {
        sandbox.count_entry().map_err(failed)?;
    }
    let (draft, file) = Draft::begin(&target).map_err(failed)?;
    if let Some(sandbox) = sandbox {
        sandbox.check_opened(&draft.path, &file)?;
    }
    let file = Counted {
        file,
        sandbox: sandbox.cloned(),
    };
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    content(&mut writer).map_err(failed)?;
    let file = writer.into_inner().map_err(|e| failed(e.into_error()))?.file;
    if let Some(before) = before {
        file.set_permissions(before.permissions()).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    draft.finish(&target).map_err(failed)
}

/// Open `path` so that what is written comes behind what is there.
pub(super) fn append(path: &Path, sandbox: Option<&Arc<Sandbox>>) -> Result<File> {
    let failed = |e: io::Error| Error::file(path, format!("cannot be written ({})", reason(&e)));
    if let (Some(sandbox), false) = (sandbox, path.exists()) {
        sandbox.count_entry().map_err(failed)?;
    }
    let file = File::options().append(true).create(true).open(path).map_err(failed)?;
    if let Some(sandbox) = sandbox {
        sandbox.check_opened(path, &file)?;
    }
    Ok(file)
}

/// The temporary file beside a destination; gone when dropped before [`Draft::finish`].
struct Draft {
    path: PathBuf,
    finished: bool,
}

impl Draft {
    /// A new, locked file in the folder of `target`.
    fn begin(target: &Path) -> io::Result<(Self, File)> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        // A file name has at most 255 bytes.
        let name: String = name.chars().take(40).collect();
        for number in 0..MOST_WRITERS {
            let path = target.with_file_name(format!(".{name}{}{number}{}", MARK.0, MARK.1));
            let mut made = File::options().write(true).create_new(true).open(&path);
            if made.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::AlreadyExists) && remove_if_left_over(&path) {
                made = File::options().write(true).create_new(true).open(&path);
            }
            let file = match made {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e),
            };
            let locked = match file.try_lock() {
                Ok(()) => path.exists(),
                // another process takes the file for a left-over and is removing it
                Err(TryLockError::WouldBlock) => false,
                // a file system without locks
                Err(TryLockError::Error(_)) => true,
            };
            if locked {
                return Ok((Draft { path, finished: false }, file));
            }
        }
        Err(io::Error::other("too many processes write this file"))
    }

    fn finish(mut self, target: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, target)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Remove a temporary file whose writer is gone; false if somebody writes it.
fn remove_if_left_over(path: &Path) -> bool {
    // Not through a link, which is nothing of ours.
    let regular = path.symlink_metadata().is_ok_and(|m| m.is_file());
    let Ok(file) = File::options().write(true).open(path) else {
        return false;
    };
    regular && file.try_lock().is_ok() && std::fs::remove_file(path).is_ok()
}

/// Whether what is at `place` may give way: nothing, an empty file, or a file that seglab wrote. These name the program at
/// their start or end, but for kinds of files that cannot, which are known by how they start.
pub(super) fn is_replaceable(place: &Place) -> Result<bool> {
    let Ok(size) = place.path().metadata().map(|m| m.len()) else {
        return Ok(true);
    };
    let mut file = place.open("the file there")?;
    let failed = |e: io::Error| Error::file(place.path(), format!("cannot be read ({})", reason(&e)));
    let mut start = Vec::new();
    (&file).take(SIGNED_WITHIN).read_to_end(&mut start).map_err(failed)?;
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(size.saturating_sub(SIGNED_WITHIN)))
        .map_err(failed)?;
    file.take(SIGNED_WITHIN).read_to_end(&mut end).map_err(failed)?;
    let signed = |part: &[u8]| part.windows(SIGNATURE.len()).any(|w| w == SIGNATURE);
    Ok(start.is_empty() || signed(&start) || signed(&end) || UNSIGNED.iter().any(|s| start.starts_with(s)))
}

/// Remove the temporary files that processes which are gone left in `folder`.
pub(super) fn sweep(folder: &Path) {
    // A folder that cannot be listed is passed over here: writing to it gives the error.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.contains(MARK.0) && name.ends_with(MARK.1) {
            remove_if_left_over(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::from(&folder.path().join("a.txt"));
        place.write("good").unwrap();
        let error = place.write_with(|file| {
            file.write_all(&[b'x'; 200_000])?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(error.unwrap_err().to_string().contains("a.txt: cannot be written"));
        assert_eq!(place.text("it").unwrap(), "good");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_ordinary_kept_and_respected_and_links_stay() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (a, plain) = (folder.path().join("a.txt"), folder.path().join("plain"));
        std::fs::write(&plain, "").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        Place::from(&a).write("1").unwrap();
        assert_eq!(mode(&a), mode(&plain), "as any new file");
        std::fs::set_permissions(&a, PermissionsExt::from_mode(0o640)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("a.txt", &link).unwrap();
        Place::from(&link).write("2").unwrap();
        assert_eq!(mode(&a), 0o640);
        assert!(link.is_symlink() && std::fs::read_to_string(&a).unwrap() == "2");
        std::fs::set_permissions(&a, PermissionsExt::from_mode(0o440)).unwrap();
        let text = Place::from(&a).write("3").unwrap_err().to_string();
        assert!(text.contains("write-protected"), "{text}");
        assert_eq!(std::fs::read_to_string(&a).unwrap(), "2");
    }

    #[test]
    fn left_overs_go_and_files_that_are_being_written_stay() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("last.safetensors");
        let (alive, mut file) = Draft::begin(&target).unwrap();
        file.write_all(b"half").unwrap();
        let left = folder.path().join(".other.csv.seglab-0.partial");
        std::fs::write(&left, "half").unwrap();
        let own = folder.path().join("notes.partial");
        std::fs::write(&own, "the user's").unwrap();
        sweep(folder.path());
        assert!(alive.path.exists() && !left.exists() && own.exists());
        // a second writer of the same file takes another name
        Place::from(&target).write("whole").unwrap();
        assert!(alive.path.exists());
        alive.finish(&target).unwrap();
        assert_eq!(names(folder.path()), ["last.safetensors", "notes.partial"]);
        // the same name is free again where its writer is gone
        std::fs::write(folder.path().join(".last.safetensors.seglab-0.partial"), "half").unwrap();
        Place::from(&target).write("again").unwrap();
        assert_eq!(names(folder.path()), ["last.safetensors", "notes.partial"]);
    }
}
