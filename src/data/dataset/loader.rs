//! Some samples of a source, kept in memory once they were loaded.

use std::ops::Deref;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::data::cache::Cache;
use crate::data::{Sample, Source, resize};
use crate::ensure;
use crate::error::Result;
use crate::ops::nearest_multiple;

/// The most samples of a set: more than any set of labelled images has, and their numbers are quickly made.
const MOST: usize = 10_000_000;

/// A source whose samples can be loaded on any thread.
pub type Shared = Arc<dyn Source + Send + Sync>;

/// Where the samples of a set come from.
#[derive(Clone)]
pub enum Origin {
    /// They can be loaded on any thread.
    Anywhere(Shared),
    /// They are made on the script's own thread: by a closure.
    Here(Rc<dyn Source>),
}

impl Deref for Origin {
    type Target = dyn Source;
    fn deref(&self) -> &(dyn Source + 'static) {
        match self {
            Origin::Anywhere(source) => &**source,
            Origin::Here(source) => &**source,
        }
    }
}

impl<S: Source + Send + Sync + 'static> From<Arc<S>> for Origin {
    fn from(source: Arc<S>) -> Self {
        Origin::Anywhere(source)
    }
}

impl<S: Source + 'static> From<Rc<S>> for Origin {
    fn from(source: Rc<S>) -> Self {
        Origin::Here(source)
    }
}

/// The size that samples are brought to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sizing {
    /// Their own.
    Own,
    /// This one.
    To([usize; 2]),
    /// Sides that are the nearest multiples of this.
    Multiple(usize),
}

/// Some samples of a source in some order, perhaps resized; a source itself. Loaded samples stay in memory within a budget.
#[derive(Clone)]
pub struct Loader<P> {
    from: P,
    positions: Arc<[usize]>,
    sizing: Sizing,
    cache: Arc<Cache>,
}

impl<P: Deref<Target: Source> + Clone> Loader<P> {
    /// All samples of `from`, of which `budget` bytes are kept.
    pub(super) fn new(from: P, budget: usize) -> Result<Self> {
        let found = from.len();
        ensure!(
            found <= MOST,
            "a data set: found {found} images, expected at most 10 million"
        );
        Ok(Loader {
            positions: (0..found).collect(),
            sizing: Sizing::Own,
            cache: Arc::new(Cache::new(budget)),
            from,
        })
    }

    /// The samples at these places, which must exist; they share the memory.
    pub(super) fn view(&self, places: &[usize]) -> Self {
        Loader {
            positions: places.iter().map(|&i| self.positions[i]).collect(),
            ..self.clone()
        }
    }

    /// All samples of another size, from the originals.
    pub(super) fn resized(&self, sizing: Sizing) -> Self {
        Loader {
            sizing,
            cache: Arc::new(Cache::new(self.from.cache_bytes())),
            ..self.clone()
        }
    }

    /// The size that all samples are brought to, if any.
    pub(super) fn size(&self) -> Option<[usize; 2]> {
        match self.sizing {
            Sizing::To(size) => Some(size),
            Sizing::Own | Sizing::Multiple(_) => None,
        }
    }
}

impl Loader<Origin> {
    /// The same for any thread, where the source allows it.
    pub(super) fn shared(&self) -> Option<Loader<Shared>> {
        match &self.from {
            Origin::Here(_) => None,
            Origin::Anywhere(source) => Some(Loader {
                from: source.clone(),
                positions: self.positions.clone(),
                sizing: self.sizing,
                cache: self.cache.clone(),
            }),
        }
    }
}

impl<P: Deref<Target: Source>> Source for Loader<P> {
    fn len(&self) -> usize {
        self.positions.len()
    }

    fn name(&self, i: usize) -> String {
        self.from.name(self.positions[i])
    }

    fn files(&self, i: usize) -> Vec<PathBuf> {
        self.from.files(self.positions[i])
    }

    fn labelled(&self, i: usize) -> bool {
        self.from.labelled(self.positions[i])
    }

    fn can_hold(&self, class: u8) -> bool {
        self.from.can_hold(class)
    }

    fn labels_alone(&self, i: usize) -> Option<Result<Vec<u8>>> {
        let position = self.positions[i];
        match self.cache.find(position) {
            Some(sample) => Some(Ok(sample.labels.clone())),
            None => self.from.labels_alone(position),
        }
    }

    fn load(&self, i: usize) -> Result<Arc<Sample>> {
        let position = self.positions[i];
        if let Some(sample) = self.cache.find(position) {
            return Ok(sample);
        }
        let mut sample = self.from.load(position)?;
        let size = match self.sizing {
            Sizing::Own => sample.size(),
            Sizing::To(size) => size,
            Sizing::Multiple(multiple) => nearest_multiple(sample.size(), multiple),
        };
        if size != sample.size() {
            sample = Arc::new(Sample {
                pixels: Arc::new(resize::bilinear_rgb(&sample.pixels, sample.size(), size)),
                labels: resize::nearest(&sample.labels, sample.size(), size),
                labelled: sample.labelled,
                name: sample.name.clone(),
                height: size[0],
                width: size[1],
            });
        }
        Ok(self.cache.keep(position, sample))
    }

    fn cache_bytes(&self) -> usize {
        self.from.cache_bytes()
    }
}
