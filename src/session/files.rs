//! Where a script's files lie, and which of them may be replaced.

use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use super::Session;
use super::lock::FolderLock;
use super::place::Place;
use super::write;
use crate::error::{Error, Result};
use crate::{ensure, fail_at};

/// Files.
impl Session {
    /// `path` behind this session's sandbox, if it has one.
    pub fn place(&self, path: impl Into<PathBuf>) -> Place {
        Place::within(path, self.sandbox().cloned())
    }

    /// The run folder, created if need be and held against other processes.
    ///
    /// # Errors
    /// It cannot be made, or another process, which is named, is at work in it.
    pub fn folder(&self) -> Result<PathBuf> {
        let wanted = self.0.folder.borrow().clone();
        let mut folder = wanted.clone();
        for number in 2.. {
            self.place(folder.clone()).make_folder().map_err(|e| match e {
                Error::File { path, what } => Error::file(path, format!("{what}; another run folder: --out FOLDER")),
                other => other,
            })?;
            match self.hold(&folder) {
                // another process has begun in the same second
                Err(_) if self.0.numbered.get() && number < 100 => {
                    folder = PathBuf::from(format!("{}-{number}", wanted.display()));
                }
                held => {
                    held?;
                    break;
                }
            }
        }
        self.0.numbered.set(false);
        *self.0.folder.borrow_mut() = folder.clone();
        Ok(folder)
    }

    /// Whether the run folder is there.
    pub fn has_folder(&self) -> bool {
        self.0.folder.borrow().is_dir()
    }

    /// Let a number follow the name of the run folder where another process is at work in a folder of that name.
    pub fn number_folder(&self) {
        self.0.numbered.set(true);
    }

    /// Hold a folder that is there against other processes, until this one ends.
    pub fn hold(&self, folder: &Path) -> Result<()> {
        self.place(folder).check()?;
        let real = folder.canonicalize().map_err(|e| Error::file(folder, e))?;
        if let Entry::Vacant(free) = self.0.held.borrow_mut().entry(real) {
            free.insert(FolderLock::take(folder)?);
        }
        Ok(())
    }

    /// Where `name` is written: below the run folder unless absolute; its parent folders are created.
    ///
    /// # Errors
    /// A folder cannot be created, or a file is there that seglab did not write (unless [`Session::set_overwrite`]).
    pub fn output_path(&self, name: impl AsRef<Path>) -> Result<Place> {
        let name = name.as_ref();
        ensure!(!name.as_os_str().is_empty(), "the file name is empty");
        let place = self.place(self.0.folder.borrow().join(name));
        place.check()?;
        if !name.is_absolute() {
            self.folder()?;
        }
        self.prepare(place)
    }

    /// Where `name` is written by somebody who types a command: in the working folder.
    ///
    /// # Errors
    /// As [`Session::output_path`].
    pub fn output_here(&self, name: &str) -> Result<Place> {
        ensure!(!name.is_empty(), "the file name is empty");
        self.prepare(self.place(name))
    }

    /// The path of `name` for reading: as named, or, where nothing is there, below the run folder, where [`Session::output_path`]
    /// puts it.
    pub fn input_path(&self, name: &str) -> Result<Place> {
        let direct = self.place(name);
        let written = direct.at(self.0.folder.borrow().join(name));
        let place = if !direct.path().exists() && written.path().exists() {
            written
        } else {
            direct
        };
        place.check()?;
        Ok(place)
    }

    /// Let what this session writes take the place of files that it did not write.
    pub fn set_overwrite(&self, overwrite: bool) {
        self.0.overwrite.set(overwrite);
    }

    /// Make ready to write `place`: its folder, without what killed processes left there, and nothing of the user's in the way.
    fn prepare(&self, place: Place) -> Result<Place> {
        place.check()?;
        let folder = place.path().parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).to_path_buf();
        place.at(&folder).make_folder()?;
        if self.0.swept.borrow_mut().insert(folder.clone()) {
            write::sweep(&folder);
        }
        if !self.0.written.borrow().contains(place.path()) {
            let replaceable = self.0.overwrite.get() || self.goes_on() || place.is_replaceable()?;
            if !replaceable {
                fail_at!(
                    place.path(),
                    "this file was there before and seglab did not write it; choose another name, move it away, or allow it with \
                     --overwrite"
                );
            }
            self.0.written.borrow_mut().insert(place.path().to_path_buf());
        }
        Ok(place)
    }

    /// A name for something that is kept in the run folder: `wanted`, or `wanted-2`, `wanted-3`, ... where this session or, unless it
    /// may be overwritten, an earlier process has taken the place. `taken` says whether a place on the disk holds something.
    pub fn claim_name(&self, wanted: &str, taken: impl Fn(&Path) -> bool) -> String {
        let names = std::iter::once(wanted.to_string()).chain((2..).map(|n| format!("{wanted}-{n}")));
        for name in names {
            let place = self.0.folder.borrow().join(&name);
            let own = self.0.claimed.borrow().contains(&absolute(&place));
            let free = || self.0.overwrite.get() || self.goes_on() || !taken(&place);
            if !own && free() && self.claim(&place) {
                return name;
            }
        }
        wanted.to_string()
    }

    /// Take a place for this session; false if something of it is there already.
    pub fn claim(&self, place: &Path) -> bool {
        self.0.claimed.borrow_mut().insert(absolute(place))
    }
}

fn absolute(place: &Path) -> PathBuf {
    std::path::absolute(place).unwrap_or_else(|_| place.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_below_a_file_is_refused_with_its_path() {
        let session = Session::quiet("Cargo.toml/x");
        let text = session.output_path("a.png").unwrap_err().to_string();
        assert!(text.contains("Cargo.toml/x") && text.contains("--out"), "{text}");
    }

    #[test]
    fn only_what_seglab_wrote_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("own.svg", "<svg><desc>seglab 0.1.0</desc></svg>");
        write("own.csv", "step,loss\n");
        write("empty.txt", "");
        write("photo.png", "\u{89}PNG of a camera");
        let session = Session::quiet(folder.path());
        for name in ["own.svg", "own.csv", "empty.txt", "new/a.txt"] {
            session.output_path(name).unwrap().write("1").unwrap();
            session.output_path(name).unwrap().write("2").unwrap();
        }
        let text = session.output_path("photo.png").unwrap_err().to_string();
        assert!(text.contains("photo.png") && text.contains("--overwrite"), "{text}");
        session.set_overwrite(true);
        assert!(session.output_path("photo.png").is_ok());
    }

    #[test]
    fn a_place_is_taken_once_and_never_from_an_earlier_process() {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::quiet(folder.path());
        std::fs::create_dir(folder.path().join("fit")).unwrap();
        let claim = || session.claim_name("fit", Path::exists);
        assert_eq!([claim(), claim()], ["fit-2", "fit-3"]);
        session.set_overwrite(true);
        assert_eq!([claim(), claim()], ["fit", "fit-4"]);
    }

    #[test]
    fn a_run_folder_is_held_until_the_session_ends() {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::quiet(folder.path());
        session.folder().unwrap();
        session.folder().unwrap();
        let other = Session::quiet(folder.path());
        assert!(other.output_path("a.png").unwrap_err().to_string().contains("pid "));
        let numbered = Session::quiet(folder.path());
        numbered.number_folder();
        assert!(
            numbered
                .folder()
                .unwrap()
                .ends_with(format!("{}-2", folder.path().display()))
        );
        std::fs::remove_dir_all(numbered.folder().unwrap()).unwrap();
        drop(session);
        assert!(other.folder().is_ok());
    }
}
