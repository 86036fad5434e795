//! CamVid in SegNet's form.

use std::path::Path;

use super::decode::Exif;
use super::decode::map::LabelMap;
use super::pairs::{self, Pair};
use super::{Dataset, Splits, classes, files};
use crate::error::Result;
use crate::fail_at;
use crate::session::Place;

/// Read CamVid: `path` holds `train.txt` and `val.txt` (and perhaps `test.txt`) with an image and a label path per line,
/// relative to `path`; the absolute paths of the original lists (`/SegNet/CamVid/train/...`) are understood too. 11 classes;
/// label 11 in the files means void.
pub fn camvid(path: impl Into<Place>) -> Result<Splits> {
    let root = &path.into();
    files::folder(root, "CamVid's folder with train.txt and val.txt")?;
    let test = root.join("test.txt").exists()?;
    Ok(Splits {
        train: split(root, "train")?,
        val: split(root, "val")?,
        test: test.then(|| split(root, "test")).transpose()?,
    })
}

fn split(root: &Place, name: &str) -> Result<Dataset> {
    let list = root.join(format!("{name}.txt"));
    let pairs = files::lines(&list)?
        .iter()
        .map(|line| {
            let mut words = line.split_whitespace();
            let (Some(image), Some(labels)) = (words.next(), words.next()) else {
                fail_at!(
                    list.path(),
                    "found the line \"{line}\", expected an image and a label path"
                );
            };
            Ok(Pair {
                name: files::stem(Path::new(image)),
                image: below(root, image),
                labels: Some(below(root, labels)),
            })
        })
        .collect::<Result<_>>()?;
    let table = &classes::CAMVID;
    pairs::dataset(
        &format!("camvid/{name}"),
        classes::of(table),
        pairs,
        LabelMap::identity(table.len(), &[11]),
        Exif::Apply,
    )
}

/// The file that `entry` means: below `root`, or, where the list has somebody else's absolute paths, its last two parts below
/// `root`.
fn below(root: &Place, entry: &str) -> Place {
    let entry = Path::new(entry);
    if entry.is_relative() || entry.exists() {
        return root.join(entry);
    }
    let parts: Vec<_> = entry.iter().collect();
    parts[parts.len().saturating_sub(2)..]
        .iter()
        .fold(root.clone(), |place, part| place.join(part))
}
