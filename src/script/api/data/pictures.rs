//! Images and label maps that are tensors: from files, to files, as data sets, mixed.

use std::rc::Rc;

use candle_core::Device;

use super::Data;
use super::made::{Generated, Maker};
use crate::data::classes::{self, Classes};
use crate::data::decode::labels::labels_from_file;
use crate::data::decode::map::{LabelMap, LabelRule};
use crate::data::decode::{Exif, image_from_file};
use crate::data::encode::label_png;
use crate::data::items::{from_samples, sample_from};
use crate::data::mix::{self, Mixed};
use crate::data::{self, Dataset, Sample};
use crate::random::Random;
use crate::script::api::plot::arguments::{Palette, labels_from, picture_from};
use crate::script::api::show::colours;
use crate::script::prelude::*;
use crate::script::table::Entry;
use crate::script::values::describe;

/// The maps that are mixed with the images, in the form in which they come and go: one tensor, an array or a map of tensors.
enum Maps {
    One(Tensor),
    List(Vec<Tensor>),
    Named(Vec<(String, Tensor)>),
}

impl Arg for Maps {
    const TAKES_MAP: bool = true;
    const KIND: &'static str = "Tensor, [Tensor] or map";
    const WANTED: &'static str = "a tensor, an array or a map of tensors";
    fn convert(value: &dyn Source) -> Option<Self> {
        if let Some(tensor) = Tensor::convert(value) {
            return Some(Maps::One(tensor));
        }
        if let Some(list) = Vec::<Tensor>::convert(value) {
            return Some(Maps::List(list));
        }
        let map = dynamic(value)?.read_lock::<Map>()?;
        let named = map
            .iter()
            .map(|(name, t)| Some((name.to_string(), Tensor::convert(t)?)));
        named.collect::<Option<_>>().map(Maps::Named)
    }
}

impl Maps {
    /// The tensors; of a map those called `labels` first.
    fn tensors(&self) -> Vec<Tensor> {
        match self {
            Maps::One(tensor) => vec![tensor.clone()],
            Maps::List(list) => list.clone(),
            Maps::Named(named) => ordered(named).map(|(_, t)| t.clone()).collect(),
        }
    }

    /// The mixed batch as scripts see it, its maps in the form of these.
    fn reply(&self, mixed: Mixed) -> Map {
        let mut maps = mixed.maps.into_iter().map(Dynamic::from);
        let maps = match self {
            Maps::One(_) => maps.next().unwrap_or_default(),
            Maps::List(_) => Dynamic::from_array(maps.collect()),
            Maps::Named(named) => {
                let names = ordered(named).map(|(name, _)| name.as_str().into());
                Dynamic::from_map(names.zip(maps).collect())
            }
        };
        named([
            ("images", Dynamic::from(mixed.images)),
            ("maps", maps),
            ("mask", Dynamic::from(mixed.mask)),
        ])
    }
}

fn ordered(named: &[(String, Tensor)]) -> impl Iterator<Item = &(String, Tensor)> {
    let labels = |(name, _): &&(String, Tensor)| name == "labels";
    named
        .iter()
        .filter(labels)
        .chain(named.iter().filter(move |pair| !labels(pair)))
}

/// The classes of a set made by a script, from whichever option names them.
pub(super) fn classes_from(
    function: &str,
    classes: Option<usize>,
    class_names: Option<Vec<String>>,
    palette: Option<Palette>,
) -> Result<Classes> {
    let names = match (classes, class_names) {
        (Some(classes), Some(names)) => {
            ensure!(
                names.len() == classes,
                "{function}: found {} class_names but classes {classes}, expected as many names as classes",
                names.len()
            );
            names
        }
        (None, Some(names)) => names,
        (Some(classes), None) => {
            ensure!(classes <= 255, "{function}: found {classes} classes, expected 1 to 255");
            classes::numbered(classes)
        }
        (None, None) => Vec::new(),
    };
    let colours = match palette {
        Some(palette) => palette.0,
        None => classes::voc_palette(names.len()),
    };
    ensure!(
        colours.len() >= names.len(),
        "{function}: found {} colours in the palette for {} classes, expected one each",
        colours.len(),
        names.len()
    );
    let colours = colours[..names.len()].to_vec();
    Ok((names, colours))
}

/// What a script gives for one image: `#{ image, labels, name }`, labels and name may be missing.
pub(super) fn sample_of(function: &str, number: usize, item: &Dynamic, classes: usize) -> Result<Sample> {
    let at = format!("{function}: item {number}");
    let Some(map) = item.read_lock::<Map>() else {
        fail!("{at}: found {}, expected #{{ image, labels, name }}", describe(item))
    };
    if let Some(unknown) = map
        .keys()
        .find(|key| !["image", "labels", "name"].contains(&key.as_str()))
    {
        fail!("{at}: found `{unknown}`, expected image, labels and name");
    }
    let name = match map.get("name") {
        None => format!("item_{number}"),
        Some(name) => match String::convert(name) {
            Some(name) => name,
            None => fail!("{at}: name must be a string, found {}", describe(name)),
        },
    };
    let at = format!("{function}: item {number} ({name})");
    let Some(image) = map.get("image").and_then(|image| Tensor::convert(image)) else {
        let found = map.get("image").map_or("nothing".into(), describe);
        fail!("{at}: image must be a tensor [3, h, w], found {found}")
    };
    let labels = match map.get("labels").filter(|l| !l.is_unit()) {
        None => None,
        Some(labels) => match Tensor::convert(labels) {
            Some(labels) => Some(labels),
            None => fail!("{at}: labels must be a tensor [h, w] or (), found {}", describe(labels)),
        },
    };
    ensure!(
        labels.is_none() || classes > 0,
        "{at}: found labels, but not how many classes there are: give classes or class_names"
    );
    Ok(Sample {
        name,
        ..sample_from(&at, &image, labels.as_ref(), classes)?
    })
}

pub(super) fn entries() -> Vec<Entry> {
    entries! {
        /// Read an image file as a tensor `[3, h, w]` with colours from 0 to 1.
        ///
        /// PNG, JPEG, TIFF, WebP or BMP; turned as its EXIF data say.
        /// ```
        /// tensor::zeros([3, 4, 6]).save("black.png");
        /// assert_eq(data::image("black.png").shape, [3, 4, 6]);
        /// ```
        fn image(ctx, /// The file; also looked for in the run folder.
                 path: String) -> Tensor {
            let found = image_from_file(&ctx.session().input_path(&path)?, Exif::Apply)?;
            let sample = Sample {
                name: path,
                height: found.height,
                width: found.width,
                pixels: found.pixels.into(),
                labels: Vec::new(),
                labelled: false,
            };
            Ok(data::image_tensor(&sample)?.to_device(ctx.session().device())?)
        }

        /// Read a label map as a tensor `[h, w]` of integers: the values of a grey or the indices of an indexed PNG, TIFF or BMP.
        /// ```
        /// tensor::from([[0, 1], [2, 255]]).to_dtype("i64").save("labels.png");
        /// assert_eq(data::labels("labels.png").to_array(), [[0, 1], [2, 255]]);
        /// assert_eq(data::labels("labels.png", #{ label_map: #{ "0": 1, "1": 0, "2": 0 } }).to_array(), [[1, 0], [0, 255]]);
        /// ```
        fn labels(ctx,
            /// The file; also looked for in the run folder.
            path: String,
            /// What the values or colours mean, as for `data::folder`.
            label_map: Option<LabelRule> = None
        ) -> Tensor {
            let map = match label_map {
                None => LabelMap::identity(255, &[]),
                Some(rule) => LabelMap::ruled(&rule, rule.classes().unwrap_or(255), data::IGNORED)?,
            };
            let found = labels_from_file(&ctx.session().input_path(&path)?, &map)?;
            let labels: Vec<i64> = found.labels.into_iter().map(i64::from).collect();
            Ok(Tensor::from_vec(labels, (found.height, found.width), ctx.session().device())?)
        }

        /// Make a data set of images and label maps that are tensors.
        ///
        /// Colours are kept as bytes, as those of files are. Labels may be missing or `()`.
        /// ```
        /// let items = [];
        /// for i in 0..3 { items.push(#{ image: tensor::rand([3, 8, 8]), labels: tensor::zeros([8, 8]).to_dtype("i64"), name: `i${i}` }); }
        /// let set = data::from(items, #{ class_names: ["ground", "house"] });
        /// assert_eq([set.len, set.classes], [3, 2]);
        /// assert_eq(set.get(2).name, "i2");
        /// ```
        fn from(ctx,
            /// `#{ image, labels, name }` each: `[3, h, w]` with colours 0 to 1, `[h, w]` of integers.
            items: Vec<Dynamic>,
            /// How many classes there are; not needed with `class_names`, or without labels.
            classes: Option<usize> = None,
            /// The names of the classes.
            class_names: Option<Vec<String>> = None,
            /// One colour `[red, green, blue]` per class.
            palette: Option<Palette> = None
        ) -> Data {
            let (names, palette) = classes_from("data::from", classes, class_names, palette)?;
            let sample = |(i, item)| sample_of("data::from", i, item, names.len());
            let samples = items.iter().enumerate().map(sample).collect::<Result<_>>()?;
            Ok(Data::of(from_samples("items", samples, names, palette)?))
        }

        /// Make a data set of images that a closure makes from their number, each when it is needed.
        ///
        /// It is called on the script's own thread, once per image while there is memory to keep it.
        /// ```
        /// let set = data::generate(100, |i| #{ image: tensor::full([3, 8, 8], i / 100.0), labels: tensor::zeros([8, 8]).to_dtype("i64") }, #{ classes: 2 });
        /// assert_eq(set.len, 100);
        /// assert_close(set.get(40).image.mean().item(), 0.4, #{ tolerance: 0.01 });
        /// ```
        fn generate(ctx,
            /// How many images there are.
            n: usize,
            /// `|i| #{ image, labels, name }`, as for `data::from`.
            make: FnPtr,
            /// How many classes there are; not needed with `class_names`, or without labels.
            classes: Option<usize> = None,
            /// The names of the classes.
            class_names: Option<Vec<String>> = None,
            /// One colour `[red, green, blue]` per class.
            palette: Option<Palette> = None
        ) -> Data {
            let (names, palette) = classes_from("data::generate", classes, class_names, palette)?;
            let maker = Maker::new(ctx, "data::generate", make, names.len());
            Ok(Data::of(Dataset::new("generated", names, palette, Rc::new(Generated { count: n, maker }))?))
        }

        /// Paste into each image of a batch a box of the next one (CutMix); every map given is pasted at the same pixels.
        ///
        /// The result: `images`, `maps` (in the form in which they were given), `mask` (`[n, h, w]`, 1 where a pixel was pasted).
        /// ```
        /// let images = tensor::stack([tensor::zeros([3, 8, 8]), tensor::ones([3, 8, 8])], 0);
        /// let labels = tensor::stack([tensor::zeros([8, 8]), tensor::ones([8, 8])], 0).to_dtype("i64");
        /// let mixed = data::cutmix(images, #{ labels: labels }, #{ area: [0.25, 0.5], seed: 1 });
        /// assert_eq(mixed.maps.labels[0].sum().item(), mixed.mask[0].to_dtype("i64").sum().item());
        /// ```
        fn cutmix(ctx,
            /// `[n, channels, h, w]`.
            images: Tensor,
            /// Labels, confidence, whatever belongs to the pixels: `[n, h, w]` or `[n, channels, h, w]`.
            maps: Maps,
            /// Smallest and largest share of the image that is pasted.
            area: [f64; 2] = [0.02, 0.4],
            /// Which boxes; drawn from the session's seed if not given.
            seed: Option<u64> = None
        ) -> Map {
            let mut random = stream(ctx, seed);
            Ok(maps.reply(mix::cutmix(&images, &maps.tensors(), area, &mut random)?))
        }

        /// Paste into each image of a batch half of the classes of the next one (ClassMix); every map given is pasted at the same pixels.
        ///
        /// The labels say where the classes are: the first map, or that called `labels`. The result is that of `data::cutmix`.
        /// ```
        /// let images = tensor::rand([2, 3, 2, 2]);
        /// let labels = tensor::from([[[0, 0], [0, 0]], [[1, 1], [2, 2]]]).to_dtype("i64");
        /// let mixed = data::classmix(images, labels, #{ seed: 1 });
        /// assert_eq(mixed.mask[0].to_dtype("i64").sum().item(), 2);
        /// ```
        fn classmix(ctx,
            /// `[n, channels, h, w]`.
            images: Tensor,
            /// The labels `[n, h, w]`, alone or with further maps.
            maps: Maps,
            /// Which classes; drawn from the session's seed if not given.
            seed: Option<u64> = None
        ) -> Map {
            let mut random = stream(ctx, seed);
            Ok(maps.reply(mix::classmix(&images, &maps.tensors(), &mut random)?))
        }
    }
}

/// Random numbers from this seed, or from the session's.
fn stream(ctx: &Call, seed: Option<u64>) -> Random {
    seed.map_or_else(|| ctx.session().random(), Random::new)
}

pub(super) fn methods() -> Vec<Entry> {
    entries! {
        /// Write an image or a label map as a PNG; answers the path.
        ///
        /// An image is `[3, h, w]` with colours 0 to 1. A label map, `[h, w]` of integers 0 to 255, becomes an indexed PNG whose indices are
        /// the labels, which `data::labels` and `data::folder` read back.
        /// ```
        /// let labels = tensor::from([[0, 1], [2, 255]]).to_dtype("i64");
        /// labels.save("labels.png", #{ palette: [[0, 0, 0], [255, 0, 0], [0, 255, 0]] });
        /// assert_eq(data::labels("labels.png"), labels);
        /// ```
        fn save(ctx, tensor: Tensor,
            /// The file, `.png`; relative to the run folder.
            path: String,
            /// Colours of the labels: `[[red, green, blue], ..]` or the data set; VOC's if absent.
            palette: Option<Dynamic> = None
        ) -> String {
            ensure!(
                path.to_lowercase().ends_with(".png"),
                "found the name \"{path}\", expected one that ends in .png; tensor::save writes other tensors"
            );
            let tensor = tensor.detach().to_device(&Device::Cpu)?;
            let bytes = match tensor.dims() {
                [_, _] if tensor.dtype().is_int() => {
                    let (labels, size) = labels_from(&tensor)?;
                    label_png(&labels, size, &colours(palette)?)?
                }
                [3, _, _] => picture_from(&tensor)?.png()?,
                _ => fail!("found {}, expected an image [3, h, w] or labels [h, w] of integers", tensor.brief()),
            };
            let path = ctx.session().output_path(&path)?;
            path.write(bytes)?;
            Ok(path.to_string())
        }
    }
}
