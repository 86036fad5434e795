//! A folder of images and a folder of label maps of one's own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::decode::LabelMap;
use super::pairs::{self, Pair};
use super::{Dataset, IGNORED, Splits, classes};
use crate::ensure;
use crate::error::{Error, Result};
use crate::random::Random;

/// The stream of random numbers that sets images aside.
const SET_ASIDE: u64 = 0x0F01D;

/// How to read a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct FolderOptions {
    /// The folder of the images (PNG, JPEG), below the path given or absolute.
    pub images: String,
    /// The folder of the label maps (PNG, grey or indexed, one class number per pixel).
    pub labels: String,
    /// The number of classes; may be left out where `class_names` is given.
    pub classes: Option<usize>,
    /// The names of the classes; "class 0", "class 1", ... if not given.
    pub class_names: Option<Vec<String>>,
    /// The value in the files that means "no class"; 255 always does. Where it is also the number of a class, no pixel has that
    /// class ([`Dataset::never_true`]).
    pub ignore_label: u8,
    /// The share of the images set aside as `val`, 0 to below 1. Not used where the images have folders `train` and `val`.
    pub val: f64,
    /// Which images are set aside.
    pub seed: u64,
}

impl Default for FolderOptions {
    fn default() -> Self {
        FolderOptions {
            images: "images".into(),
            labels: "labels".into(),
            classes: None,
            class_names: None,
            ignore_label: IGNORED,
            val: 0.2,
            seed: 0,
        }
    }
}

/// Read a folder of images and a folder of label maps. An image belongs to the label map at the same place below its folder and
/// with the same name up to the ending (`images/a/1.jpg`, `labels/a/1.png`). With `images/train`, `images/val` (and perhaps
/// `images/test`), and the same below `labels`, these are the splits; otherwise the share `val` is set aside at random.
pub fn folder(path: impl AsRef<Path>, options: &FolderOptions) -> Result<Splits> {
    let root = path.as_ref();
    pairs::folder(root, "a folder that holds images and label maps")?;
    let reader = Reader::new(root, options)?;
    if reader.images.join("train").is_dir() {
        let optional = |name: &str| {
            reader
                .images
                .join(name)
                .is_dir()
                .then(|| reader.split(name))
                .transpose()
        };
        let val = match optional("val")? {
            Some(val) => val,
            None => reader.dataset("val", Vec::new())?,
        };
        return Ok(Splits {
            train: reader.split("train")?,
            val,
            test: optional("test")?,
        });
    }
    let pairs = reader.pairs("")?;
    let mut order = Random::derived(options.seed, &[SET_ASIDE]).permutation(pairs.len());
    order.truncate((options.val * pairs.len() as f64).round() as usize);
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for (i, pair) in pairs.into_iter().enumerate() {
        let part = if order.contains(&i) { &mut val } else { &mut train };
        part.push(pair);
    }
    Ok(Splits {
        train: reader.dataset("train", train)?,
        val: reader.dataset("val", val)?,
        test: None,
    })
}

struct Reader {
    name: String,
    images: PathBuf,
    labels: PathBuf,
    class_names: Vec<String>,
    map: LabelMap,
}

impl Reader {
    fn new(root: &Path, options: &FolderOptions) -> Result<Self> {
        ensure!(
            (0.0..1.0).contains(&options.val),
            "folder: found val {}, expected a share from 0 to below 1",
            options.val
        );
        let class_names = match (&options.class_names, options.classes) {
            (Some(names), Some(classes)) => {
                ensure!(
                    names.len() == classes,
                    "folder: found {} class_names but classes {classes}, expected as many names as classes",
                    names.len()
                );
                names.clone()
            }
            (Some(names), None) => names.clone(),
            (None, Some(classes)) => (0..classes).map(|i| format!("class {i}")).collect(),
            (None, None) => {
                crate::fail!("folder: expected classes (how many there are) or class_names, found neither")
            }
        };
        ensure!(
            (1..=255).contains(&class_names.len()),
            "folder: found {} classes, expected 1 to 255",
            class_names.len()
        );
        let reader = Reader {
            name: root
                .file_name()
                .unwrap_or(root.as_os_str())
                .to_string_lossy()
                .into_owned(),
            images: root.join(&options.images),
            labels: root.join(&options.labels),
            map: LabelMap::identity(class_names.len(), &[options.ignore_label]),
            class_names,
        };
        pairs::folder(&reader.images, "the folder of the images (option images)")?;
        pairs::folder(&reader.labels, "the folder of the label maps (option labels)")?;
        Ok(reader)
    }

    fn split(&self, name: &str) -> Result<Dataset> {
        self.dataset(name, self.pairs(name)?)
    }

    fn dataset(&self, name: &str, pairs: Vec<Pair>) -> Result<Dataset> {
        let palette = (0..self.class_names.len())
            .map(|i| classes::voc_colour(i as u8))
            .collect();
        let title = format!("{}/{name}", self.name);
        pairs::dataset(&title, (self.class_names.clone(), palette), pairs, self.map.clone())
    }

    /// The images below the folder `split` of the images, each with its label map.
    fn pairs(&self, split: &str) -> Result<Vec<Pair>> {
        let (images, labels) = (self.images.join(split), self.labels.join(split));
        pairs::folder(&labels, "the label maps of the images of the same name")?;
        let maps: HashMap<String, PathBuf> = pairs::files_below(&labels, &[".png"])?
            .into_iter()
            .map(|file| (place(&labels, &file), file))
            .collect();
        let files = pairs::files_below(&images, &[".png", ".jpg", ".jpeg"])?;
        if files.is_empty() {
            return Err(Error::file(
                &images,
                "found no images in this folder, expected PNG or JPEG files",
            ));
        }
        files
            .into_iter()
            .map(|image| {
                let name = place(&images, &image);
                let labels = maps.get(&name).cloned().ok_or_else(|| {
                    Error::file(
                        &image,
                        format!(
                            "found no label map for this image, expected {}",
                            labels.join(format!("{name}.png")).display()
                        ),
                    )
                })?;
                Ok(Pair { name, image, labels })
            })
            .collect()
    }
}

/// The path of `file` below `root` without its ending.
fn place(root: &Path, file: &Path) -> String {
    file.strip_prefix(root)
        .unwrap_or(file)
        .with_extension("")
        .to_string_lossy()
        .into_owned()
}
