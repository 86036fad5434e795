//! Sets made of sets: one behind the other, without labels, with other labels.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use super::{About, Dataset, Loader, Origin};
use crate::data::{IGNORED, Sample, Source, classes};
use crate::ensure;
use crate::error::Result;

impl Dataset {
    /// The samples of this set and behind them those of another one with the same classes. A set without classes, of images without
    /// labels, can be joined to any.
    pub fn joined(&self, other: &Dataset) -> Result<Self> {
        let (ours, theirs) = (self.class_names(), other.class_names());
        if !ours.is_empty() && !theirs.is_empty() {
            let differ = ours
                .iter()
                .zip(theirs)
                .position(|(a, b)| a != b && !unnamed(ours) && !unnamed(theirs));
            ensure!(
                ours.len() == theirs.len() && differ.is_none(),
                "+: {} and {} have different classes: {} and {}{}; label_map and class_names bring files to the same classes",
                self.name(),
                other.name(),
                ours.len(),
                theirs.len(),
                differ.map_or(String::new(), |i| format!(
                    ", class {i} is {} and {}",
                    ours[i], theirs[i]
                ))
            );
        }
        let named = if ours.is_empty() || (unnamed(ours) && !theirs.is_empty()) {
            other
        } else {
            self
        };
        let about = About {
            name: match self.name() == other.name() {
                true => self.name().to_string(),
                false => format!("{} + {}", self.name(), other.name()),
            },
            ..About::clone(&named.about)
        };
        self.wrapped(about, other)
    }

    fn wrapped(&self, about: About, other: &Dataset) -> Result<Self> {
        let origin = match (self.shared(), other.shared()) {
            (Some(a), Some(b)) => Origin::from(Arc::new(Joined([a, b]))),
            _ => Origin::from(Rc::new(Joined([self.loader.clone(), other.loader.clone()]))),
        };
        Self::made(about, Loader::new(origin, 0)?) // the parts keep their samples
    }

    /// The same images without their labels.
    pub fn without_labels(&self) -> Result<Self> {
        self.relabelled(About::clone(&self.about), None)
    }

    /// The same images with these labels in place of their own, one label map at the size of each image, of classes that
    /// `class_names` names.
    pub fn with_labels(
        &self,
        labels: Vec<Arc<Vec<u8>>>,
        class_names: Vec<String>,
        palette: Vec<[u8; 3]>,
    ) -> Result<Self> {
        ensure!(
            labels.len() == self.len(),
            "with_labels: found {} label maps for {} images",
            labels.len(),
            self.len()
        );
        let about = About {
            name: self.name().to_string(),
            class_names,
            palette,
        };
        self.relabelled(about, Some(labels.into()))
    }

    fn relabelled(&self, about: About, labels: Option<Arc<[Arc<Vec<u8>>]>>) -> Result<Self> {
        let origin = match self.shared() {
            Some(images) => Origin::from(Arc::new(Relabelled { images, labels })),
            None => Origin::from(Rc::new(Relabelled {
                images: self.loader.clone(),
                labels,
            })),
        };
        Self::made(about, Loader::new(origin, 0)?)
    }
}

/// Whether the classes have the names that they get where nobody names them.
fn unnamed(names: &[String]) -> bool {
    *names == classes::numbered(names.len())
}

/// The samples of two sources, one behind the other.
struct Joined<S>([S; 2]);

impl<S: Source> Joined<S> {
    fn at(&self, i: usize) -> (&S, usize) {
        let [first, second] = &self.0;
        match i.checked_sub(first.len()) {
            None => (first, i),
            Some(rest) => (second, rest),
        }
    }
}

impl<S: Source> Source for Joined<S> {
    fn len(&self) -> usize {
        self.0.iter().map(Source::len).sum()
    }
    fn name(&self, i: usize) -> String {
        let (source, i) = self.at(i);
        source.name(i)
    }
    fn files(&self, i: usize) -> Vec<PathBuf> {
        let (source, i) = self.at(i);
        source.files(i)
    }
    fn labelled(&self, i: usize) -> bool {
        let (source, i) = self.at(i);
        source.labelled(i)
    }
    fn labels_alone(&self, i: usize) -> Option<Result<Vec<u8>>> {
        let (source, i) = self.at(i);
        source.labels_alone(i)
    }
    fn can_hold(&self, class: u8) -> bool {
        self.0.iter().any(|source| source.can_hold(class))
    }
    fn load(&self, i: usize) -> Result<Arc<Sample>> {
        let (source, i) = self.at(i);
        source.load(i)
    }
    fn cache_bytes(&self) -> usize {
        self.0.iter().map(Source::cache_bytes).sum()
    }
}

/// The images of a source with other labels, or without any.
struct Relabelled<S> {
    images: S,
    labels: Option<Arc<[Arc<Vec<u8>>]>>,
}

impl<S: Source> Source for Relabelled<S> {
    fn len(&self) -> usize {
        self.images.len()
    }
    fn name(&self, i: usize) -> String {
        self.images.name(i)
    }
    fn files(&self, i: usize) -> Vec<PathBuf> {
        self.images.files(i)
    }
    fn labelled(&self, _: usize) -> bool {
        self.labels.is_some()
    }
    fn labels_alone(&self, i: usize) -> Option<Result<Vec<u8>>> {
        Some(Ok(self.labels.as_ref()?[i].to_vec()))
    }
    fn load(&self, i: usize) -> Result<Arc<Sample>> {
        let sample = self.images.load(i)?;
        let area = sample.height * sample.width;
        let labels = match &self.labels {
            None => vec![IGNORED; area],
            Some(labels) => labels[i].to_vec(),
        };
        ensure!(
            labels.len() == area,
            "with_labels: the label map of {} has {} pixels, its image {}x{} (height x width)",
            sample.name,
            labels.len(),
            sample.height,
            sample.width
        );
        Ok(Arc::new(Sample {
            labels,
            labelled: self.labels.is_some(),
            ..Sample::clone(&sample) // the pixels are shared
        }))
    }
    fn cache_bytes(&self) -> usize {
        self.images.cache_bytes()
    }
}
