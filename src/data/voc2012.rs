//! PASCAL VOC 2012, segmentation.

use std::path::Path;

use super::decode::Exif;
use super::decode::map::LabelMap;
use super::pairs::{self, Pair};
use super::{Dataset, Splits, classes, files};
use crate::error::{Error, Result};
use crate::session::Place;

/// Read PASCAL VOC 2012: `path` is `VOC2012`, `VOCdevkit` or the folder that holds either. `masks` is the folder of the label
/// maps, `SegmentationClass` or `SegmentationClassAug`; if not given, the latter where it exists. Images are those of
/// `ImageSets/Segmentation/train.txt` (with `SegmentationClassAug`: `train_aug.txt` or `trainaug.txt` where that exists) and
/// `val.txt`. 21 classes with background 0; the border, 255, is ignored. Indexed PNGs are read by index.
pub fn voc2012(path: impl Into<Place>, masks: Option<&str>) -> Result<Splits> {
    let root = root(&path.into())?;
    let masks = match masks {
        Some(name) => name,
        None if root.join("SegmentationClassAug").is_folder()? => "SegmentationClassAug",
        None => "SegmentationClass",
    };
    files::folder(
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
fn root(path: &Place) -> Result<Place> {
    files::folder(path, "the folder VOC2012, VOCdevkit, or the one that holds either")?;
    ["", "VOC2012", "VOCdevkit/VOC2012"]
        .iter()
        .map(|below| path.join(below))
        .find(|root| root.join("JPEGImages").path().is_dir())
        .ok_or_else(|| {
            Error::file(
                path.path(),
                "found no folder JPEGImages here, in VOC2012 or in VOCdevkit/VOC2012, expected VOC's layout",
            )
        })
}

fn split(root: &Place, masks: &str, name: &str, lists: &[&str]) -> Result<Dataset> {
    let folder = root.join("ImageSets").join("Segmentation");
    let candidates = lists.iter().map(|list| folder.join(format!("{list}.txt")));
    let list = candidates
        .clone()
        .find(|list| list.path().is_file())
        .unwrap_or_else(|| folder.join(format!("{name}.txt")));
    let pairs = files::lines(&list)?
        .iter()
        .map(|line| {
            // An id, or (in other people's lists) the paths of image and label map.
            let name = files::stem(Path::new(line.split_whitespace().next().unwrap_or_default()));
            Pair {
                image: root.join("JPEGImages").join(format!("{name}.jpg")),
                labels: Some(root.join(masks).join(format!("{name}.png"))),
                name,
            }
        })
        .collect();
    let names: Vec<String> = classes::VOC2012.iter().map(|n| (*n).to_string()).collect();
    let palette = classes::voc_palette(names.len());
    let map = LabelMap::identity(names.len(), &[]);
    pairs::dataset(&format!("voc2012/{name}"), (names, palette), pairs, map, Exif::Apply)
}
