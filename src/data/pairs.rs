//! What the readers share: image files, with their label files, as a source of samples.

use std::path::PathBuf;
use std::sync::Arc;

use super::classes::Classes;
use super::decode::labels::labels_from_file;
use super::decode::map::LabelMap;
use super::decode::{Exif, image_from_file};
use super::{Dataset, IGNORED, Sample, Source};
use crate::error::Result;
use crate::fail_at;
use crate::session::Place;

/// An image, with its label map where there is one.
pub(super) struct Pair {
    pub name: String,
    pub image: Place,
    pub labels: Option<Place>,
}

/// Pairs of files as a source of samples.
struct Pairs {
    pairs: Vec<Pair>,
    map: LabelMap,
    exif: Exif,
}

/// The data set of these pairs.
pub(super) fn dataset(
    name: &str,
    (class_names, palette): Classes,
    pairs: Vec<Pair>,
    map: LabelMap,
    exif: Exif,
) -> Result<Dataset> {
    for pair in &pairs {
        pair.image.check()?;
        pair.labels.as_ref().map_or(Ok(()), Place::check)?;
    }
    Dataset::new(name, class_names, palette, Arc::new(Pairs { pairs, map, exif }))
}

impl Source for Pairs {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn name(&self, i: usize) -> String {
        self.pairs[i].name.clone()
    }

    fn files(&self, i: usize) -> Vec<PathBuf> {
        let pair = &self.pairs[i];
        [Some(&pair.image), pair.labels.as_ref()]
            .into_iter()
            .flatten()
            .map(|place| place.path().to_path_buf())
            .collect()
    }

    fn can_hold(&self, class: u8) -> bool {
        self.map.reaches(class)
    }

    fn labelled(&self, i: usize) -> bool {
        self.pairs[i].labels.is_some()
    }

    fn labels_alone(&self, i: usize) -> Option<Result<Vec<u8>>> {
        let file = self.pairs[i].labels.as_ref()?;
        Some(labels_from_file(file, &self.map).map(|found| found.labels))
    }

    fn load(&self, i: usize) -> Result<Arc<Sample>> {
        let pair = &self.pairs[i];
        let image = image_from_file(&pair.image, self.exif)?;
        let (height, width) = (image.height, image.width);
        let labels = match &pair.labels {
            None => vec![IGNORED; height * width],
            Some(file) => {
                let truth = labels_from_file(file, &self.map)?;
                if [truth.height, truth.width] != [height, width] {
                    let turned = match image.turned {
                        true => " (turned as its EXIF data say; exif: \"refuse\" names such images)",
                        false => "",
                    };
                    fail_at!(
                        file.path(),
                        "the label map is {}x{} (height x width), but its image {} is {height}x{width}{turned}; expected the \
                             same size",
                        truth.height,
                        truth.width,
                        pair.image
                    );
                }
                truth.labels
            }
        };
        Ok(Arc::new(Sample {
            name: pair.name.clone(),
            height,
            width,
            pixels: Arc::new(image.pixels),
            labels,
            labelled: pair.labels.is_some(),
        }))
    }
}
