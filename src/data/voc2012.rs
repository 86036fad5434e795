//! PASCAL VOC 2012, segmentation.

use std::path::{Path, PathBuf};

use super::decode::LabelMap;
use super::pairs::{self, Pair};
use super::{Dataset, Splits, classes};
use crate::error::{Error, Result};

/// Read PASCAL VOC 2012: `path` is `VOC2012`, `VOCdevkit` or the folder that holds either. `masks` is the folder of the label
/// maps, `SegmentationClass` or `SegmentationClassAug`; if not given, the latter where it exists. Images are those of
/// `ImageSets/Segmentation/train.txt` (with `SegmentationClassAug`: `train_aug.txt` or `trainaug.txt` where that exists) and
/// `val.txt`. 21 classes with background 0; the border, 255, is ignored. Indexed PNGs are read by index.
pub fn voc2012(path: impl AsRef<Path>, masks: Option<&str>) -> Result<Splits> {
    let root = root(path.as_ref())?;
    let masks = match masks {
        Some(name) => name,
        None if root.join("SegmentationClassAug").is_dir() => "SegmentationClassAug",
        None => "SegmentationClass",
    };
    pairs::folder(
        &root.join(masks),
        "the folder of the label maps; masks: \"SegmentationClass\" or \"SegmentationClassAug\" chooses it",
    )?;
    let train: &[&str] = if masks.ends_with("Aug") {
        &["train_aug", "trainaug", "train"]
    } else {
        &["train"]
    };
    Ok(Splits {
        train: split(&root, masks, "train", train)?,
        val: split(&root, masks, "val", &["val"])?,
        test: None,
    })
}

/// The folder with `JPEGImages`.
fn root(path: &Path) -> Result<PathBuf> {
    pairs::folder(path, "the folder VOC2012, VOCdevkit, or the one that holds either")?;
    ["", "VOC2012", "VOCdevkit/VOC2012"]
        .iter()
        .map(|below| {
            if below.is_empty() {
                path.to_path_buf()
            } else {
                path.join(below)
            }
        })
        .find(|root| root.join("JPEGImages").is_dir())
        .ok_or_else(|| {
            Error::file(
                path,
                "found no folder JPEGImages here, in VOC2012 or in VOCdevkit/VOC2012, expected VOC's layout",
            )
        })
}

fn split(root: &Path, masks: &str, name: &str, lists: &[&str]) -> Result<Dataset> {
    let folder = root.join("ImageSets").join("Segmentation");
    let candidates = lists.iter().map(|list| folder.join(format!("{list}.txt")));
    let list = candidates
        .clone()
        .find(|list| list.is_file())
        .unwrap_or_else(|| folder.join(format!("{name}.txt")));
    let pairs = pairs::lines(&list)?
        .iter()
        .map(|line| {
            // An id, or (in other people's lists) the paths of image and label map.
            let name = pairs::stem(Path::new(line.split_whitespace().next().unwrap_or_default()));
            Pair {
                image: root.join("JPEGImages").join(format!("{name}.jpg")),
                labels: root.join(masks).join(format!("{name}.png")),
                name,
            }
        })
        .collect();
    let names: Vec<String> = classes::VOC2012.iter().map(|n| (*n).to_string()).collect();
    let palette = (0..names.len()).map(|i| classes::voc_colour(i as u8)).collect();
    let map = LabelMap::identity(names.len(), &[]);
    pairs::dataset(&format!("voc2012/{name}"), (names, palette), pairs, map)
}
