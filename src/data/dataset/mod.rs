//! [`Dataset`]: a list of samples and its views. A view shares the source; nothing is loaded before it is asked for.
//!
//! | file | what |
//! |---|---|
//! | here | what a set tells of itself; its samples |
//! | `loader` | [`Loader`]: some samples of a source, kept in memory |
//! | `views` | sets made by choosing samples: `take`, `spread`, `select`, `split`, ... |
//! | `subset` | choosing by a text file |
//! | `joined` | sets made of sets: one behind the other, without labels, with other labels |

mod joined;
mod loader;
mod subset;
mod tests;
mod views;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

pub use self::loader::{Loader, Origin, Shared};
use super::{Sample, Source};
use crate::error::Result;
use crate::session::digest::sha256;
use crate::{choices, ensure};

/// A list of samples with its classes; cloning and making views is cheap. Loaded samples stay in memory up to the source's
/// budget ([`Source::cache_bytes`]), so that a small set is decoded once.
#[derive(Clone)]
pub struct Dataset {
    about: Arc<About>,
    loader: Loader<Origin>,
}

/// What does not change between views.
#[derive(Clone)]
struct About {
    name: String,
    class_names: Vec<String>,
    palette: Vec<[u8; 3]>,
}

/// The parts of a data set as its authors split it.
#[derive(Clone, Debug)]
pub struct Splits {
    /// The images to learn from.
    pub train: Dataset,
    /// The images to choose and report on; empty where the files have none.
    pub val: Dataset,
    /// Further images kept apart, where the files have labels for them.
    pub test: Option<Dataset>,
}

choices! {
    /// What to do with something that has no counterpart: a line of a list without image, an image without label map.
    pub enum Missing {
        /// Refuse all, naming the first.
        Refuse = "error",
        /// Leave it out.
        Skip = "skip",
    }
}

impl Dataset {
    /// All samples of `source`. `name` is for people ("camvid/train"); `palette` has one colour per class.
    pub fn new(
        name: impl Into<String>,
        class_names: Vec<String>,
        palette: Vec<[u8; 3]>,
        source: impl Into<Origin>,
    ) -> Result<Self> {
        let about = About {
            name: name.into(),
            class_names,
            palette,
        };
        let origin = source.into();
        let budget = origin.cache_bytes();
        Self::made(about, Loader::new(origin, budget)?)
    }

    fn made(about: About, loader: Loader<Origin>) -> Result<Self> {
        let (name, classes) = (&about.name, about.class_names.len());
        let labelled = (0..loader.len()).any(|i| loader.labelled(i));
        ensure!(
            (usize::from(labelled)..=255).contains(&classes),
            "{name}: found {classes} classes, expected 1 to 255 (a label is one byte, 255 is the ignore label)"
        );
        ensure!(
            about.palette.len() == classes,
            "{name}: found {} colours for {classes} classes, expected one each",
            about.palette.len()
        );
        Ok(Dataset {
            about: Arc::new(about),
            loader,
        })
    }

    /// What the set is called, "camvid/train" say; views keep the name.
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// How many samples the set has.
    pub fn len(&self) -> usize {
        self.loader.len()
    }

    /// Whether the set has no sample.
    pub fn is_empty(&self) -> bool {
        self.loader.is_empty()
    }

    /// How many classes there are; labels are `0..classes` and 255.
    pub fn classes(&self) -> usize {
        self.about.class_names.len()
    }

    /// The classes that no pixel can have, because the files' ignore label is also their number.
    pub fn never_true(&self) -> Vec<usize> {
        (0..self.classes())
            .filter(|&class| !self.loader.can_hold(class as u8))
            .collect()
    }

    /// The names of the classes, in the order of their labels.
    pub fn class_names(&self) -> &[String] {
        &self.about.class_names
    }

    /// One colour (red, green, blue) per class, for pictures of label maps.
    pub fn palette(&self) -> &[[u8; 3]] {
        &self.about.palette
    }

    /// The size asked for by [`Dataset::resize`], if any.
    pub fn size(&self) -> Option<[usize; 2]> {
        self.loader.size()
    }

    /// The name of sample `i`, without loading it.
    pub fn sample_name(&self, i: usize) -> Result<String> {
        Ok(self.loader.name(self.checked(i)?))
    }

    /// Whether sample `i` has a label map, without loading it.
    pub fn labelled(&self, i: usize) -> Result<bool> {
        Ok(self.loader.labelled(self.checked(i)?))
    }

    /// Refuse a set with an image that has no label map.
    pub fn check_labelled(&self, function: &str) -> Result<()> {
        match (0..self.len()).find(|&i| !self.loader.labelled(i)) {
            None => Ok(()),
            Some(i) => crate::fail!(
                "{function}: needs labels, but {} of {} has none",
                self.loader.name(i),
                self.name()
            ),
        }
    }

    /// Whether labels lie in files of their own, which can be read without the images.
    pub(super) fn has_label_files(&self) -> bool {
        !self.is_empty() && self.loader.files(0).len() > 1
    }

    /// Sample `i`, from memory if it is still there. Fails with the file's name if that is missing, corrupt or does not fit
    /// the classes.
    pub fn get(&self, i: usize) -> Result<Arc<Sample>> {
        self.loader.load(self.checked(i)?)
    }

    /// What loads the samples on any thread; none where a script's closure makes them, which runs on its own thread only.
    pub fn shared(&self) -> Option<Loader<Shared>> {
        self.loader.shared()
    }

    /// Do something with each of these samples, on all threads where they can be loaded there.
    pub fn for_each<T: Send>(&self, samples: Range<usize>, work: impl Fn(&dyn Source, usize) -> T + Sync) -> Vec<T> {
        match self.shared() {
            Some(loader) => samples.into_par_iter().map(|i| work(&loader, i)).collect(),
            None => samples.map(|i| work(&self.loader, i)).collect(),
        }
    }

    /// The files that the samples are read from.
    pub fn files(&self) -> impl Iterator<Item = std::path::PathBuf> + '_ {
        (0..self.len()).flat_map(|i| self.loader.files(i))
    }

    /// SHA-256 (hexadecimal) of the samples' names in order, each followed by a line feed: the same hash means the same images.
    pub fn split_hash(&self) -> String {
        sha256((0..self.len()).map(|i| self.loader.name(i) + "\n"))
    }

    /// `i`, if there is such a sample.
    fn checked(&self, i: usize) -> Result<usize> {
        ensure!(
            i < self.len(),
            "get: found index {i}, but {} has {} images (indices start at 0)",
            self.name(),
            self.len()
        );
        Ok(i)
    }
}

impl fmt::Display for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {} images, ", self.name(), self.len())?;
        match self.classes() {
            0 => write!(f, "no labels")?,
            classes => write!(f, "{classes} classes")?,
        }
        match self.size() {
            Some([h, w]) => write!(f, ", {h}x{w}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Dataset({self})")
    }
}
