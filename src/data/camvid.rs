//! CamVid in SegNet's form.

use std::path::{Path, PathBuf};

use super::decode::LabelMap;
use super::pairs::{self, Pair};
use super::{Dataset, Splits, classes};
use crate::error::{Error, Result};

/// Read CamVid: `path` holds `train.txt` and `val.txt` (and perhaps `test.txt`) with an image and a label path per line,
/// relative to `path`; the absolute paths of the original lists (`/SegNet/CamVid/train/...`) are understood too. 11 classes;
/// label 11 in the files means void.
pub fn camvid(path: impl AsRef<Path>) -> Result<Splits> {
    let root = path.as_ref();
    pairs::folder(root, "CamVid's folder with train.txt and val.txt")?;
    let test = root.join("test.txt").is_file();
    Ok(Splits {
        train: split(root, "train")?,
        val: split(root, "val")?,
        test: test.then(|| split(root, "test")).transpose()?,
    })
}

fn split(root: &Path, name: &str) -> Result<Dataset> {
    let list = root.join(format!("{name}.txt"));
    let pairs = pairs::lines(&list)?
        .iter()
        .map(|line| {
            let mut words = line.split_whitespace();
            let (Some(image), Some(labels)) = (words.next(), words.next()) else {
                return Err(Error::file(
                    &list,
                    format!("found the line \"{line}\", expected an image and a label path"),
                ));
            };
            Ok(Pair {
                name: pairs::stem(Path::new(image)),
                image: below(root, image),
                labels: below(root, labels),
            })
        })
        .collect::<Result<_>>()?;
    let table = &classes::CAMVID;
    pairs::dataset(
        &format!("camvid/{name}"),
        (classes::names(table), classes::palette(table)),
        pairs,
        LabelMap::identity(table.len(), &[11]),
    )
}

/// The file that `entry` means: below `root`, or, where the list has somebody else's absolute paths, its last two parts below
/// `root`.
fn below(root: &Path, entry: &str) -> PathBuf {
    let entry = Path::new(entry);
    if entry.is_relative() || entry.exists() {
        return root.join(entry);
    }
    let parts: Vec<_> = entry.iter().collect();
    parts[parts.len().saturating_sub(2)..]
        .iter()
        .fold(root.to_path_buf(), |path, part| path.join(part))
}
