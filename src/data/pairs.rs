//! What the readers share: image files with their label files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::decode::{LabelMap, image_from_file, labels_from_file};
use super::{Dataset, Sample, Source};
use crate::error::{Error, Result};

/// An image with its label map.
pub(super) struct Pair {
    pub name: String,
    pub image: PathBuf,
    pub labels: PathBuf,
}

/// Pairs of files as a source of samples.
struct Pairs {
    pairs: Vec<Pair>,
    map: LabelMap,
}

/// The data set of these pairs.
pub(super) fn dataset(
    name: &str,
    (class_names, palette): (Vec<String>, Vec<[u8; 3]>),
    pairs: Vec<Pair>,
    map: LabelMap,
) -> Result<Dataset> {
    Dataset::new(name, class_names, palette, Arc::new(Pairs { pairs, map }))
}

impl Source for Pairs {
    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn name(&self, i: usize) -> String {
        self.pairs[i].name.clone()
    }

    fn files(&self, i: usize) -> Vec<PathBuf> {
        vec![self.pairs[i].image.clone(), self.pairs[i].labels.clone()]
    }

    fn can_hold(&self, class: u8) -> bool {
        self.map.reaches(class)
    }

    fn load(&self, i: usize) -> Result<Sample> {
        let pair = &self.pairs[i];
        let (height, width, pixels) = image_from_file(&pair.image)?;
        let truth = labels_from_file(&pair.labels, &self.map)?;
        if [truth.height, truth.width] != [height, width] {
            return Err(Error::file(
                &pair.labels,
                format!(
                    "the label map is {}x{} (height x width), but its image {} is {height}x{width}; expected the same size",
                    truth.height,
                    truth.width,
                    pair.image.display()
                ),
            ));
        }
        Ok(Sample {
            name: pair.name.clone(),
            height,
            width,
            pixels,
            labels: truth.labels,
        })
    }
}

/// `path` if it is a folder; otherwise an error that says what was expected there.
pub(super) fn folder(path: &Path, expected: &str) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let found = if path.exists() {
        "found a file"
    } else {
        "there is no such folder"
    };
    Err(Error::file(path, format!("{found}, expected {expected}")))
}

/// The lines of a list file that hold something, trimmed.
pub(super) fn lines(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::file(path, format!("the list of images cannot be read ({e})")))?;
    let lines: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(String::from)
        .collect();
    if lines.is_empty() {
        return Err(Error::file(path, "the list of images is empty"));
    }
    Ok(lines)
}

/// The files below `root` whose names end in one of `endings` (lower case), sorted by path.
pub(super) fn files_below(root: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        let unreadable = |e: std::io::Error| Error::file(&folder, format!("the folder cannot be read ({e})"));
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.to_string_lossy().to_lowercase();
            if path.is_dir() {
                open.push(path);
            } else if endings.iter().any(|e| name.ends_with(e)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The last part of a path without its ending.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
