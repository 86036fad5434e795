//! Paths as the program uses them: every file and folder is listed, read and written through a [`Place`], which knows the
//! sandbox it must pass.
//!
//! A place made from a path alone is free; [`Session::input_path`](super::Session::input_path) and
//! [`Session::output_path`](super::Session::output_path) give those of a script. What is joined to a place passes the same
//! sandbox, so that an option or a list of files cannot lead around it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sandbox::Sandbox;
use super::write::{self, Writer};
use crate::error::{Error, Result};

/// The largest list, script or table.
const LONGEST_TEXT: u64 = 1 << 30;

/// A file or folder, and the sandbox through which it is reached, if there is one.
#[derive(Clone)]
pub struct Place {
    path: PathBuf,
    sandbox: Option<Arc<Sandbox>>,
}

impl Place {
    /// `path` as seen from within `sandbox`.
    pub fn within(path: impl Into<PathBuf>, sandbox: Option<Arc<Sandbox>>) -> Self {
        Place {
            path: path.into(),
            sandbox,
        }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `part` means from here, behind the same sandbox.
    pub fn join(&self, part: impl AsRef<Path>) -> Self {
        self.at(self.path.join(part))
    }

    /// Another path behind the same sandbox.
    pub fn at(&self, path: impl Into<PathBuf>) -> Self {
        Place::within(path, self.sandbox.clone())
    }

    /// The last part of the path.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The ending of the name in lower case, empty if it has none.
    pub fn ending(&self) -> String {
        let ending = self.path.extension().unwrap_or_default();
        ending.to_string_lossy().to_lowercase()
    }

    /// Refuse what the sandbox does not reach.
    pub fn check(&self) -> Result<()> {
        match &self.sandbox {
            Some(sandbox) => sandbox.check_path(&self.path),
            None => Ok(()),
        }
    }

    /// Whether something is there.
    pub fn exists(&self) -> Result<bool> {
        self.check()?;
        Ok(self.path.exists())
    }

    /// Whether this is a folder.
    pub fn is_folder(&self) -> Result<bool> {
        self.check()?;
        Ok(self.path.is_dir())
    }

    /// What lies in this folder, sorted by name.
    pub fn list(&self) -> Result<Vec<Place>> {
        self.check()?;
        let failed = |e: io::Error| Error::file(&self.path, format!("the folder cannot be read ({})", reason(&e)));
        let entries = std::fs::read_dir(&self.path).map_err(failed)?;
        let mut found = entries
            .map(|entry| Ok(self.at(entry.map_err(failed)?.path())))
            .collect::<Result<Vec<_>>>()?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// Open an ordinary file for reading. `what` names it in errors: "the image". A folder, a pipe or a device is refused: reading a
    /// pipe waits for its writer, and a device may have no end.
    pub fn open(&self, what: &str) -> Result<File> {
        self.check()?;
        let failed = |e: io::Error| self.unreadable(what, &e);
        let about = std::fs::metadata(&self.path).map_err(failed)?;
        if !about.is_file() {
            let found = if about.is_dir() {
                "a folder"
            } else {
                "a pipe, a socket or a device"
            };
            let text = format!("{what} cannot be read: found {found}, expected an ordinary file");
            return Err(Error::file(&self.path, text));
        }
        let file = File::open(&self.path).map_err(failed)?;
        // The path may have been changed since it was checked: what counts is the file that was opened.
        if let Some(sandbox) = &self.sandbox {
            sandbox.check_opened(&self.path, &file)?;
        }
        Ok(file)
    }

    /// The whole content of a file of at most `limit` bytes.
    pub fn bytes(&self, what: &str, limit: u64) -> Result<Vec<u8>> {
        let file = self.open(what)?;
        let failed = |e: io::Error| self.unreadable(what, &e);
        let size = file.metadata().map_err(failed)?.len();
        let too_large = || {
            let (mib, most) = (size >> 20, limit >> 20);
            Error::file(&self.path, format!("{what} has {mib} MiB, expected at most {most} MiB"))
        };
        if size > limit {
            return Err(too_large());
        }
        let mut content = Vec::with_capacity(size as usize);
        file.take(limit + 1).read_to_end(&mut content).map_err(failed)?;
        match content.len() as u64 > limit {
            true => Err(too_large()), // it grew while it was read
            false => Ok(content),
        }
    }

    /// The text of a file in UTF-8, without the byte order mark that some editors put in front.
    pub fn text(&self, what: &str) -> Result<String> {
        let text = String::from_utf8(self.bytes(what, LONGEST_TEXT)?).map_err(|_| {
            Error::file(
                &self.path,
                format!("{what} is no text in UTF-8; save it in that encoding"),
            )
        })?;
        Ok(match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_string(),
            None => text,
        })
    }

    /// What a JSON file holds; nothing where there is none. `what` names it in errors: "the record of a run".
    pub fn json<T: DeserializeOwned>(&self, what: &str) -> Result<Option<T>> {
        if !self.exists()? {
            return Ok(None);
        }
        let value = serde_json::from_str(&self.text(what)?);
        value.map_err(|e| Error::file(&self.path, format!("{what} cannot be read ({e})")))
    }

    /// Write a value as a JSON file.
    pub fn write_json(&self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(|e| Error::file(&self.path, e))?;
        self.write(text + "\n")
    }

    /// Make this folder and those above it.
    pub fn make_folder(&self) -> Result<()> {
        self.check()?;
        let missing: Vec<&Path> = self
            .path
            .ancestors()
            .take_while(|p| !p.as_os_str().is_empty() && !p.exists())
            .collect();
        if missing.is_empty() && self.path.is_dir() {
            return Ok(());
        }
        for folder in missing.into_iter().rev() {
            if let Some(sandbox) = &self.sandbox {
                sandbox.count_entry().map_err(|e| Error::file(folder, e))?;
            }
            match std::fs::create_dir(folder) {
                // another thread or process has made the folder meanwhile
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
                made => made.map_err(|e| self.unmade(&e))?,
            }
        }
        match self.path.is_dir() {
            true => Ok(()),
            false => Err(self.unmade(&io::ErrorKind::NotADirectory.into())),
        }
    }

    /// Whether a file may be written here without loss to the user: nothing is there, or what seglab wrote.
    pub fn is_replaceable(&self) -> Result<bool> {
        write::is_replaceable(self)
    }

    /// Write a whole file. What was there before stays until the new content is complete and on the disk.
    pub fn write(&self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.write_with(|file| io::Write::write_all(file, bytes.as_ref()))
    }

    /// As [`Place::write`], for content that is made piece by piece.
    pub fn write_with(&self, content: impl FnOnce(&mut Writer) -> io::Result<()>) -> Result<()> {
        self.check()?;
        write::replace(&self.path, self.sandbox.as_ref(), content)
    }

    /// Open a file that grows, such as what a process says: its content is added to, never replaced.
    pub fn append(&self) -> Result<File> {
        self.check()?;
        write::append(&self.path, self.sandbox.as_ref())
    }

    fn unreadable(&self, what: &str, e: &io::Error) -> Error {
        let why = match e.kind() {
            io::ErrorKind::NotFound => ": there is no such file".to_string(),
            _ => format!(" ({})", reason(e)),
        };
        Error::file(&self.path, format!("{what} cannot be read{why}"))
    }

    fn unmade(&self, e: &io::Error) -> Error {
        Error::file(&self.path, format!("the folder cannot be created ({})", reason(e)))
    }
}

/// What the system said, without its number.
pub(super) fn reason(e: &io::Error) -> String {
    let text = e.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_string(),
        None => text,
    }
}

/// `Place` itself is no `AsRef<Path>`, so that no sandbox is lost on the way through a path.
impl<P: AsRef<Path> + ?Sized> From<&P> for Place {
    fn from(path: &P) -> Self {
        Place::within(path.as_ref(), None)
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Place::within(path, None)
    }
}

impl From<&Place> for Place {
    fn from(place: &Place) -> Self {
        place.clone()
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.path.display().fmt(f)
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.path.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_skipped_and_other_encodings_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::from(&folder.path().join("list.txt"));
        place.write("\u{feff}a\nb").unwrap();
        assert_eq!(place.text("the list").unwrap(), "a\nb");
        place.write([0xff, 0xfe, b'a', 0]).unwrap();
        assert!(place.text("the list").unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn folders_are_made_and_a_file_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = Place::from(folder.path());
        root.join("a/b/c").make_folder().unwrap();
        root.join("a/b/c").make_folder().unwrap();
        assert!(root.join("a/b/c").is_folder().unwrap());
        root.join("file").write("x").unwrap();
        for place in ["file", "file/below"] {
            let text = root.join(place).make_folder().unwrap_err().to_string();
            assert!(text.contains(place) && text.contains("cannot be created"), "{text}");
        }
        let names: Vec<String> = root.list().unwrap().iter().map(Place::to_string).collect();
        assert!(
            names.len() == 2 && names[0].ends_with("a") && names[1].ends_with("file"),
            "{names:?}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn folders_devices_and_files_that_are_too_large_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = |place: &Place| place.bytes("the image", 1000).unwrap_err().to_string();
        assert!(error(&Place::from(folder.path())).contains("found a folder"));
        let device = Place::from("/dev/zero");
        assert!(error(&device).contains("a device"));
        assert!(device.write("x").unwrap_err().to_string().contains("/dev/zero"));
        let root = Place::from(folder.path());
        assert!(error(&root.join("absent")).contains("no such file"));
        let large = root.join("large");
        File::create(large.path()).unwrap().set_len(3 << 30).unwrap();
        assert!(error(&large).contains("3072 MiB"));
    }
}
