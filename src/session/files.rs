//! Where a script's files lie, and which of them may be replaced.

use std::path::{Path, PathBuf};

use super::Session;
use super::place::Place;
use super::write;
use crate::ensure;
use crate::error::{Error, Result};

/// Files.
impl Session {
    /// `path` behind this session's sandbox, if it has one.
    pub fn place(&self, path: impl Into<PathBuf>) -> Place {
        Place::within(path, self.sandbox().cloned())
    }

    /// The run folder, created if need be.
    pub fn folder(&self) -> Result<PathBuf> {
        let folder = self.0.folder.borrow().clone();
        self.place(folder.clone()).make_folder().map_err(|e| match e {
            Error::File { path, what } => Error::file(path, format!("{what}; another run folder: --out FOLDER")),
            other => other,
        })?;
        Ok(folder)
    }

    /// Where `name` is written: below the run folder unless absolute; its parent folders are created.
    ///
    /// # Errors
    /// A folder cannot be created, or a file is there that seglab did not write (unless [`Session::set_overwrite`]).
    pub fn output_path(&self, name: &str) -> Result<Place> {
        ensure!(!name.is_empty(), "the file name is empty");
        let place = self.place(self.0.folder.borrow().join(name));
        place.check()?;
        if !Path::new(name).is_absolute() {
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
            let replaceable = self.0.overwrite.get() || place.is_replaceable()?;
            if !replaceable {
                return Err(Error::file(
                    place.path(),
                    "this file was there before and seglab did not write it; choose another name, move it away, or allow it with \
                     --overwrite",
                ));
            }
            self.0.written.borrow_mut().insert(place.path().to_path_buf());
        }
        Ok(place)
    }

    /// A name for something that is kept in the run folder: `wanted`, or `wanted-2`, `wanted-3`, ... the next times.
    pub fn claim_name(&self, wanted: &str) -> String {
        let mut names = self.0.names.borrow_mut();
        let uses = names.entry(wanted.to_string()).or_insert(0);
        *uses += 1;
        if *uses == 1 {
            wanted.to_string()
        } else {
            format!("{wanted}-{uses}")
        }
    }
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
}
