//! Cityscapes, fine annotations.

use std::path::Path;

use super::decode::Exif;
use super::decode::map::LabelMap;
use super::pairs::{self, Pair};
use super::{Dataset, IGNORED, Splits, classes, files};
use crate::error::Result;
use crate::fail_at;
use crate::session::Place;

/// Train id of each label id 0..=33; 255 where the benchmark does not count the class.
const TRAIN_IDS: [u8; 34] = {
    let mut ids = [IGNORED; 34];
    let counted = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33];
    let mut i = 0;
    while i < counted.len() {
        ids[counted[i]] = i as u8;
        i += 1;
    }
    ids
};

/// Read Cityscapes: `path` holds `leftImg8bit/<split>/<city>/*_leftImg8bit.png` and `gtFine/<split>/<city>/` with
/// `*_gtFine_labelTrainIds.png` or, where these are missing, `*_gtFine_labelIds.png`, which are mapped to train ids. 19 classes.
/// Images are sorted by path and named `aachen_000000_000019`. A missing `val` folder gives an empty set; the test images have
/// no public labels and are not read.
pub fn cityscapes(path: impl Into<Place>) -> Result<Splits> {
    let root = &path.into();
    files::folder(root, "Cityscapes' folder with leftImg8bit and gtFine")?;
    files::folder(
        &root.join("leftImg8bit").join("train"),
        "Cityscapes' training images, one folder per city",
    )?;
    Ok(Splits {
        train: split(root, "train")?,
        val: split(root, "val")?,
        test: None,
    })
}

fn split(root: &Place, name: &str) -> Result<Dataset> {
    let (images, truth) = (root.join("leftImg8bit").join(name), root.join("gtFine").join(name));
    let mut found = if images.is_folder()? {
        files::files_below(&images, None)?
    } else {
        Vec::new()
    };
    found.retain(|file| {
        file.path()
            .to_string_lossy()
            .to_lowercase()
            .ends_with("_leftimg8bit.png")
    });
    if name == "train" && found.is_empty() {
        fail_at!(
            images.path(),
            "found no *_leftImg8bit.png in its folders, expected Cityscapes' layout"
        );
    }
    let label_file = |image: &Path, kind: &str| -> Place {
        let city = image.parent().and_then(Path::file_name).unwrap_or_default();
        let id = image_id(image);
        truth.join(city).join(format!("{id}_gtFine_{kind}.png"))
    };
    let train_ids = found
        .first()
        .is_some_and(|first| label_file(first.path(), "labelTrainIds").path().is_file());
    let kind = if train_ids { "labelTrainIds" } else { "labelIds" };
    let pairs = found
        .into_iter()
        .map(|image| Pair {
            name: image_id(image.path()),
            labels: Some(label_file(image.path(), kind)),
            image,
        })
        .collect();
    let table = &classes::CITYSCAPES;
    let map = if train_ids {
        LabelMap::identity(table.len(), &[])
    } else {
        LabelMap::table(
            &TRAIN_IDS,
            "a label id 0 to 33 or 255",
            "is this one of Cityscapes' own label maps?",
        )
    };
    pairs::dataset(
        &format!("cityscapes/{name}"),
        classes::of(table),
        pairs,
        map,
        Exif::Apply,
    )
}

/// `aachen_000000_000019` from `.../aachen_000000_000019_leftImg8bit.png`.
fn image_id(image: &Path) -> String {
    files::stem(image).trim_end_matches("_leftImg8bit").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_ids_map_to_the_published_train_ids() {
        // 7 road, 8 sidewalk, 11 building, 26 car, 33 bicycle; 0 unlabelled, 9 parking, 30 trailer.
        assert_eq!([7, 8, 11, 26, 33].map(|id| TRAIN_IDS[id]), [0, 1, 2, 13, 18]);
        assert_eq!([0, 9, 30].map(|id| TRAIN_IDS[id]), [255; 3]);
    }
}
