//! A folder of images and a folder of label maps of one's own.

use std::collections::HashMap;

use super::decode::labels::LABELS;
use super::decode::map::{LabelMap, LabelRule};
use super::decode::{Exif, IMAGE_KINDS};
use super::pairs::{self, Pair};
use super::{Dataset, IGNORED, Missing, Splits, classes, files};
use crate::error::{Error, Result};
use crate::random::Random;
use crate::session::Place;
use crate::{ensure, fail, fail_at, options};

/// The stream of random numbers that sets images aside.
const SET_ASIDE: u64 = 0x0F01D;

options! {
    /// How to read a folder.
    #[derive(PartialEq)]
    pub struct FolderOptions {
        /// The folder of the images below `path`.
        images: String = "images".into(),
        /// The folder of the label maps below `path`; `()` for images without labels.
        labels: Option<String> = Some("labels".into()),
        /// How many classes there are; not needed with `class_names` or a `label_map` that lists them.
        classes: Option<usize> = None,
        /// The names of the classes; "class 0", "class 1", .. if not given.
        class_names: Option<Vec<String>> = None,
        /// The value in the files that means "no class"; 255 always does. A class of this number is left out of the means of a score.
        ignore_label: u8 = IGNORED,
        /// What the values in the files mean: `#{ "0": 0, "255": 1 }`, colours by class `[[128, 64, 128], ..]`, colours as keys
        /// `#{ "0,0,0": 255 }` (255: no class), or `"shift"`: 1 is class 0, 0 is no class (ADE20K).
        label_map: Option<LabelRule> = None,
        /// What the names of label maps have behind those of their images: `"_mask"` for `1.jpg` and `1_mask.png`.
        suffix: String = String::new(),
        /// What to do with images without label map.
        missing: Missing = Missing::Refuse,
        /// What to do with images whose EXIF data ask for a turn: `"apply"` turns them, as OpenCV does, `"refuse"` names them.
        exif: Exif = Exif::Apply,
        /// The share of the images in `.val`, 0 to below 1; not used where the images have folders for the parts.
        val: f64 = 0.2,
        /// Which images are in `.val`.
        seed: u64 = 0,
    }
}

/// Read a folder of images and a folder of label maps. An image belongs to the label map at the same place below its folder and
/// with the same name up to `suffix` and the ending (`images/a/1.jpg`, `labels/a/1.png`). Folders `train*`, `val*` and `test*` in
/// the folder of the images (`training`, `Validation`, `val2017`, ...) are the splits; otherwise the share `val` is set aside at
/// random.
pub fn folder(path: impl Into<Place>, options: &FolderOptions) -> Result<Splits> {
    let root = &path.into();
    files::folder(root, "a folder that holds images and label maps")?;
    let reader = Reader::new(root, options)?;
    let [train, val, test] = reader.parts()?;
    if let Some(train) = train {
        let val = match val {
            Some(val) => reader.split("val", &val)?,
            None => reader.dataset("val", Vec::new())?,
        };
        return Ok(Splits {
            train: reader.split("train", &train)?,
            val,
            test: test.map(|test| reader.split("test", &test)).transpose()?,
        });
    }
    let pairs = reader.pairs("", reader.labels.clone())?;
    let mut order = Random::derived(options.seed, &[SET_ASIDE]).permutation(pairs.len());
    order.truncate((options.val * pairs.len() as f64).round() as usize);
    order.sort_unstable();
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for (i, pair) in pairs.into_iter().enumerate() {
        let part = if order.binary_search(&i).is_ok() {
            &mut val
        } else {
            &mut train
        };
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
    images: Place,
    labels: Option<Place>,
    suffix: String,
    missing: Missing,
    class_names: Vec<String>,
    palette: Vec<[u8; 3]>,
    map: LabelMap,
    exif: Exif,
}

impl Reader {
    fn new(root: &Place, options: &FolderOptions) -> Result<Self> {
        ensure!(
            (0.0..1.0).contains(&options.val),
            "folder: found val {}, expected a share from 0 to below 1",
            options.val
        );
        let class_names = class_names(options)?;
        let classes = class_names.len();
        let map = match &options.label_map {
            Some(rule) => LabelMap::ruled(rule, classes, options.ignore_label)?,
            None => LabelMap::identity(classes, &[options.ignore_label]),
        };
        let palette = options.label_map.as_ref().and_then(|rule| rule.palette(classes));
        let reader = Reader {
            name: root
                .path()
                .file_name()
                .unwrap_or(root.path().as_os_str())
                .to_string_lossy()
                .into_owned(),
            images: root.join(&options.images),
            labels: options.labels.as_ref().map(|labels| root.join(labels)),
            suffix: without_ending(&options.suffix).to_string(),
            missing: options.missing,
            palette: palette.unwrap_or_else(|| classes::voc_palette(classes)),
            map,
            class_names,
            exif: options.exif,
        };
        files::folder(&reader.images, "the folder of the images (option images)")?;
        if let Some(labels) = &reader.labels {
            files::folder(
                labels,
                "the folder of the label maps (option labels; labels: () reads images without labels)",
            )?;
            ensure!(
                !reader.together() || !reader.suffix.is_empty(),
                "folder: the images and the label maps are both in {}, expected suffix: what the names of the label maps end in",
                labels
            );
        }
        Ok(reader)
    }

    /// Whether images and label maps lie in one folder.
    fn together(&self) -> bool {
        let real = |place: &Place| std::fs::canonicalize(place.path()).ok();
        self.labels
            .as_ref()
            .is_some_and(|labels| real(labels) == real(&self.images))
    }

    /// The folders of the images that are the parts train, val and test, where there are such. Other folders or images beside them
    /// belong to no part, which is an error: they would be left out without a word.
    fn parts(&self) -> Result<[Option<String>; 3]> {
        let mut parts: [Option<String>; 3] = [None, None, None];
        let (mut others, mut doubled) = (Vec::new(), None);
        let labels = self.labels.as_ref().map(Place::path);
        let own = |name: &str| Some(self.images.join(name).path()) == labels;
        for name in files::subfolders(&self.images)?.into_iter().filter(|name| !own(name)) {
            match part_number(&name) {
                None => others.push(name),
                Some(part) => match &parts[part] {
                    Some(first) => doubled = Some([first.clone(), name]),
                    None => parts[part] = Some(name),
                },
            }
        }
        let found: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
        if found.is_empty() {
            return Ok(parts);
        }
        let found = found.join(", ");
        let advice = "rename or move them, or read one folder alone with images: \"..\" and labels: \"..\"";
        let wrong = |what: String| Err(Error::file(self.images.path(), format!("{what}; {advice}")));
        if let Some([a, b]) = doubled {
            return wrong(format!("found the folders {a} and {b}, which name the same part"));
        }
        if !others.is_empty() {
            return wrong(format!(
                "found the parts {found} and beside them the folders {}, which belong to none",
                others.join(", ")
            ));
        }
        if parts[0].is_none() {
            return wrong(format!(
                "found the parts {found} but none to train on, expected a folder train beside them"
            ));
        }
        let loose = files::images_beside(&self.images)?;
        if let Some(first) = loose.first() {
            fail_at!(
                first.path(),
                "found {} images beside the parts {found}, which belong to none; {advice}",
                loose.len()
            );
        }
        Ok(parts)
    }

    /// The part in the folder `name` of the images. The label maps are in the folder of the same name, or of another name of the
    /// same part; a part `test` without one has no labels.
    fn split(&self, part: &str, name: &str) -> Result<Dataset> {
        let Some(all) = &self.labels else {
            return self.dataset(part, self.pairs(name, None)?);
        };
        let same = |other: &String| part_number(other) == part_number(name);
        let labels = match all.join(name).is_folder()? {
            true => Some(all.join(name)),
            false => files::subfolders(all)?
                .iter()
                .find(|other| same(other))
                .map(|other| all.join(other)),
        };
        if labels.is_none() && part != "test" {
            fail_at!(
                all.join(name).path(),
                "there is no such folder, expected the label maps of the images in {}",
                self.images.join(name)
            );
        }
        self.dataset(part, self.pairs(name, labels)?)
    }

    fn dataset(&self, name: &str, pairs: Vec<Pair>) -> Result<Dataset> {
        let title = format!("{}/{name}", self.name);
        let classes = (self.class_names.clone(), self.palette.clone());
        pairs::dataset(&title, classes, pairs, self.map.clone(), self.exif)
    }

    /// The images below the folder `part` of the images, each with its label map, which is below `labels`.
    fn pairs(&self, part: &str, labels: Option<Place>) -> Result<Vec<Pair>> {
        let images = self.images.join(part);
        let together = self.together();
        let apart = labels.as_ref().filter(|_| !together);
        let mut found = files::images_below(&images, apart)?;
        if together {
            found.retain(|file| !files::stem(file.path()).ends_with(&self.suffix));
        }
        if found.is_empty() {
            fail_at!(
                images.path(),
                "found no images in this folder, expected {IMAGE_KINDS} files"
            );
        }
        let found = by_place(&images, found, "", "images")?;
        let pair = |(name, image): (String, Place), labels| Pair { name, image, labels };
        let Some(labels) = labels else {
            return Ok(found.into_iter().map(|f| pair(f, None)).collect());
        };
        let maps = files::files_below(&labels, None)?;
        let maps: Vec<Place> = maps
            .into_iter()
            .filter(|f| LABELS.contains(&f.ending().as_str()))
            .collect();
        let mut of: HashMap<String, Place> = by_place(&labels, maps, &self.suffix, "label maps")?
            .into_iter()
            .collect();
        let mut paired = Vec::with_capacity(found.len());
        let (mut without, total) = (Vec::new(), found.len());
        for (name, image) in found {
            match of.remove(&name) {
                Some(map) => paired.push(pair((name, image), Some(map))),
                None => without.push((name, image)),
            }
        }
        match without.first() {
            Some((name, image)) if self.missing == Missing::Refuse || paired.is_empty() => {
                Err(self.no_label_map(image, name, &labels, [without.len(), total]))
            }
            _ => Ok(paired),
        }
    }

    /// The error for images without label map, the first of which is `image`.
    fn no_label_map(&self, image: &Place, name: &str, labels: &Place, [without, total]: [usize; 2]) -> Error {
        let expected = labels.join(format!("{name}{}.png", self.suffix));
        let others = files::files_below(labels, None).unwrap_or_default();
        let similar = others.iter().find_map(|file| {
            let rest = place(labels, file).strip_prefix(name)?.to_string();
            Some((file, rest))
        });
        let hint = match similar {
            Some((file, rest)) if LABELS.contains(&file.ending().as_str()) => {
                format!("is {} its label map? then suffix: \"{rest}\"", file)
            }
            Some((file, rest)) if rest == self.suffix => format!(
                "found {}, but label maps must be PNG, TIFF or BMP, which keep every value",
                file
            ),
            _ => "missing: \"skip\" leaves out images without label map, suffix says how the names of label maps end"
                .into(),
        };
        Error::file(
            image.path(),
            format!(
                "found no label map for this image ({without} of {total} have none), expected {}; {hint}",
                expected
            ),
        )
    }
}

/// The names of the classes, from whichever option tells them.
fn class_names(options: &FolderOptions) -> Result<Vec<String>> {
    let told = options.label_map.as_ref().and_then(LabelRule::classes);
    let names = match (&options.class_names, options.classes.or(told)) {
        (Some(names), Some(classes)) => {
            ensure!(
                names.len() == classes || (options.classes.is_none() && names.len() > classes),
                "folder: found {} class_names but {classes} classes, expected as many names as classes",
                names.len()
            );
            names.clone()
        }
        (Some(names), None) => names.clone(),
        (None, Some(classes)) => classes::numbered(classes),
        (None, None) if options.labels.is_none() => return Ok(Vec::new()),
        (None, None) => fail!("folder: expected classes (how many there are) or class_names, found neither"),
    };
    ensure!(
        (1..=255).contains(&names.len()),
        "folder: found {} classes, expected 1 to 255",
        names.len()
    );
    Ok(names)
}

/// Which part a folder of this name is: 0 train, 1 val, 2 test.
fn part_number(name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    ["train", "val", "test"].iter().position(|part| name.starts_with(part))
}

/// Files by their place below `root`, without `suffix` and ending; those without the suffix are left out.
fn by_place(root: &Place, files: Vec<Place>, suffix: &str, what: &str) -> Result<Vec<(String, Place)>> {
    let mut places: HashMap<String, Place> = HashMap::new();
    let mut all = Vec::with_capacity(files.len());
    for file in files {
        let place = place(root, &file);
        let Some(place) = place.strip_suffix(suffix) else {
            continue;
        };
        if let Some(first) = places.insert(place.to_string(), file.clone()) {
            fail_at!(
                file.path(),
                "found two {what} of one name, the other is {}; expected one of them: remove or rename the other",
                first
            );
        }
        all.push((place.to_string(), file));
    }
    Ok(all)
}

/// The path of `file` below `root` without its ending.
fn place(root: &Place, file: &Place) -> String {
    let file = file.path();
    file.strip_prefix(root.path())
        .unwrap_or(file)
        .with_extension("")
        .to_string_lossy()
        .into_owned()
}

/// `_mask` of `_mask.png`.
fn without_ending(suffix: &str) -> &str {
    match suffix.rsplit_once('.') {
        Some((start, ending)) if LABELS.contains(&ending.to_lowercase().as_str()) => start,
        _ => suffix,
    }
}
