//! `data::` and the methods of data sets.

use std::path::Path;
use std::rc::Rc;

use candle_core::Device;

use crate::data::{
    self, Augment, Batch, BatchOptions, Dataset, Distort, FolderOptions, Missing, ScenesOptions, Splits,
};
use crate::script::prelude::*;

/// A data set as scripts hold it: images, and the parts `train`, `val` and `test` of what they were read or drawn with.
#[derive(Clone)]
pub struct Data {
    set: Dataset,
    parts: Option<Rc<Splits>>,
}

impl Data {
    /// One part, or a view of one.
    pub fn of(set: Dataset) -> Self {
        Data { set, parts: None }
    }

    /// The training images, with the other parts at hand.
    fn whole(parts: Splits) -> Self {
        Data {
            set: parts.train.clone(),
            parts: Some(Rc::new(parts)),
        }
    }

    /// The images.
    pub fn set(&self) -> &Dataset {
        &self.set
    }

    /// A view of the images; the other parts stay at hand.
    fn view(&self, make: impl Fn(&Dataset) -> Result<Dataset>) -> Result<Self> {
        Ok(Data {
            set: make(&self.set)?,
            parts: self.parts.clone(),
        })
    }

    /// Another part of the set this one was read with.
    fn part(&self, name: &str, choose: impl Fn(&Splits) -> Option<Dataset>) -> Result<Self> {
        let Some(parts) = &self.parts else {
            fail!(
                "{name}: found one part of a data set already ({}); .train, .val and .test belong to what data::camvid(..) and \
                 the like give",
                self.line()
            );
        };
        match choose(parts) {
            Some(set) => Ok(Data::of(set)),
            None => fail!("{name}: {} has no such part", self.line()),
        }
    }
}

impl ScriptType for Data {
    const NAME: &'static str = "Dataset";
    const DOC: &'static str = "Images with label maps; views of it share the files and the memory.";

    fn display(&self) -> String {
        format!("{}{}", self.line(), counts(&self.set))
    }

    fn brief(&self) -> String {
        format!("Dataset {}", self.line())
    }
}

impl Data {
    /// Name, number of images and classes, size; how many images the other parts have.
    fn line(&self) -> String {
        let mut line = self.set.to_string();
        if let Some(parts) = &self.parts {
            let test = parts.test.iter().map(|test| (".test", test));
            for (name, part) in [(".val", &parts.val)].into_iter().chain(test) {
                line.push_str(&format!("; {name}: {} images", part.len()));
            }
        }
        line
    }
}

/// Images whose labels are counted to show a data set.
const COUNTED: usize = 40;

/// The pixels per class as lines of a table, from a few images of a large set; what is wrong where files cannot be read.
fn counts(set: &Dataset) -> String {
    let part = if set.len() > COUNTED {
        set.spread(COUNTED)
    } else {
        Ok(set.clone())
    };
    let (part, histogram) = match part.and_then(|part| Ok((part.clone(), part.histogram()?))) {
        Ok(found) => found,
        Err(error) => return format!("\n{error}"),
    };
    let all = (histogram.counts.iter().sum::<u64>() + histogram.ignored).max(1) as f64;
    let names: Vec<String> = (0..set.classes())
        .map(|c| {
            set.class_names()
                .get(c)
                .map_or_else(|| c.to_string(), ToString::to_string)
        })
        .collect();
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0).max(8);
    let row = |name: &str, count: u64| {
        let share = count as f64 / all;
        let bar = "\u{2588}".repeat((share * 40.0).round() as usize);
        format!("\n{name:width$} {count:>12} {:>6.2} %  {bar}", 100.0 * share)
            .trim_end()
            .to_string()
    };
    let mut text = format!("\n{:width$} {:>12} {:>8}", "class", "pixels", "share");
    if part.len() < set.len() {
        text = format!("{text}   (of {} images)", part.len());
    }
    for (name, count) in names.iter().zip(&histogram.counts) {
        text.push_str(&row(name, *count));
    }
    if histogram.ignored > 0 {
        text.push_str(&row("no class", histogram.ignored));
    }
    text
}

/// Batches to run over, again from the start in every `for`.
#[derive(Clone)]
pub struct DataBatches {
    set: Dataset,
    options: BatchOptions,
    device: Device,
}

impl ScriptType for DataBatches {
    const NAME: &'static str = "Batches";
    const DOC: &'static str = "Batches of a data set, prepared ahead by worker threads: `for batch in batches`.";

    fn display(&self) -> String {
        format!("batches of {} from {}", self.options.size, self.set)
    }
}

impl Iterable for DataBatches {
    fn items(self) -> impl Iterator<Item = Result<Dynamic>> + 'static {
        let (stream, error) = match self.set.batches(&self.options, &self.device) {
            Ok(stream) => (Some(stream), None),
            Err(error) => (None, Some(Err(error))),
        };
        let batches = stream.into_iter().flatten();
        error
            .into_iter()
            .chain(batches.map(|batch| Ok(batch_map(batch?).into())))
    }
}

/// A batch as scripts see it: `images`, `distorted` (or `()`), `labels`, `names`, `indices`, `epoch`.
pub fn batch_map(batch: Batch) -> Map {
    let mut map = Map::new();
    map.insert("images".into(), Dynamic::from(batch.images));
    let distorted = batch.distorted.map_or(Dynamic::UNIT, Dynamic::from);
    map.insert("distorted".into(), distorted);
    map.insert("labels".into(), Dynamic::from(batch.labels));
    map.insert("names".into(), batch.names.into());
    let indices: Array = batch.indices.iter().map(|&i| Dynamic::from_int(i as i64)).collect();
    map.insert("indices".into(), indices.into());
    map.insert("epoch".into(), Dynamic::from_int(batch.epoch as i64));
    map
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.script_type::<Data>();
    table.script_type::<DataBatches>();
    table.iterable::<DataBatches>();
    table.namespace("data", "Data sets: read, draw, choose, batch.", constructors());
    table.methods::<Data>("Dataset", facts());
    table.methods::<Data>("Dataset", views());
}

fn constructors() -> Vec<crate::script::table::Entry> {
    entries! {
        /// Draw street scenes with exact labels: nothing to download.
        ///
        /// Classes: sky, building, road, pavement, tree, car, person, pole, sign. The result is the training set itself; `.val`
        /// holds other pictures. Picture `i` depends on seed, part, `i` and size only.
        /// ```
        /// let scenes = data::scenes(#{ count: 8, size: [48, 64], seed: 1 });
        /// assert_eq(scenes.len, 8);
        /// assert_eq(scenes.get(0).image.shape, [3, 48, 64]);
        /// assert_eq(scenes.val.class_names[2], "road");
        /// ```
        fn scenes(
            ctx,
            /// Pictures to train on.
            count: usize = 200,
            /// Height and width.
            size: [usize; 2] = [96, 128],
            /// How many of the nine classes are labelled (the first ones, 2 to 9); pixels of the others are ignored.
            classes: usize = 9,
            /// Another seed gives other pictures.
            seed: u64 = 0,
            /// Pictures in `.val`.
            val_count: usize = 40,
        ) -> Data {
            let parts = data::scenes(&ScenesOptions { count, size, classes, seed, val_count })?;
            Ok(Data::whole(parts))
        }

        /// Read CamVid in SegNet's form: `train.txt` and `val.txt` with an image and a label path per line.
        ///
        /// 11 classes; label 11 in the files means void. The result is the training set itself; `.val` holds the others.
        /// ```
        /// let text = "";
        /// try { data::camvid("no/such/folder"); } catch (e) { text = e; }
        /// assert(text.contains("no such folder"));
        /// ```
        fn camvid(ctx, path: String) -> Data {
            read(ctx, &path, |path| data::camvid(path))
        }

        /// Read PASCAL VOC 2012: `path` is `VOC2012`, `VOCdevkit` or the folder that holds either.
        ///
        /// 21 classes with background; the border (255) is ignored. With `SegmentationClassAug` the training list is
        /// `train_aug.txt` where that exists. The result is the training set itself; `.val` holds the others.
        /// ```
        /// let text = "";
        /// try { data::voc2012("no/such/folder"); } catch (e) { text = e; }
        /// assert(text.contains("VOCdevkit"));
        /// ```
        fn voc2012(
            ctx,
            path: String,
            /// `"SegmentationClass"` or `"SegmentationClassAug"`; the latter where it exists if not given.
            masks: Option<String> = None,
        ) -> Data {
            read(ctx, &path, |path| data::voc2012(path, masks.as_deref()))
        }

        /// Read Cityscapes: `path` holds `leftImg8bit` and `gtFine`.
        ///
        /// 19 classes, from the `labelTrainIds` maps or, where these are missing, the `labelIds` maps. The result is the training set itself;
        /// `.val` holds the others.
        /// ```
        /// let text = "";
        /// try { data::cityscapes("no/such/folder"); } catch (e) { text = e; }
        /// assert(text.contains("leftImg8bit"));
        /// ```
        fn cityscapes(ctx, path: String) -> Data {
            read(ctx, &path, |path| data::cityscapes(path))
        }

        /// Read a folder of images and a folder of label maps with the same names.
        ///
        /// Label maps are PNG, grey or indexed, one class number per pixel. Folders `train`, `val` and `test` in both are the parts;
        /// otherwise the share `val` of the images is set aside at random. The result is the training set itself, with `.val` and `.test`.
        /// ```
        /// let text = "";
        /// try { data::folder("no/such/folder", #{ classes: 2 }); } catch (e) { text = e; }
        /// assert(text.contains("no such folder"));
        /// ```
        fn folder(
            ctx,
            path: String,
            /// The folder of the images below `path`.
            images: String = "images".into(),
            /// The folder of the label maps below `path`.
            labels: String = "labels".into(),
            /// How many classes there are; not needed with `class_names`.
            classes: Option<usize> = None,
            /// The names of the classes.
            class_names: Option<Vec<String>> = None,
            /// The value in the files that means "no class"; 255 always does. A class of this number is left out of the means of a score.
            ignore_label: u32 = 255,
            /// The share of the images in `.val`.
            val: f64 = 0.2,
            /// Which images are in `.val`.
            seed: u64 = 0,
        ) -> Data {
            let Ok(ignore_label) = u8::try_from(ignore_label) else {
                fail!("data::folder: found ignore_label {ignore_label}, expected 0 to 255")
            };
            let options = FolderOptions { images, labels, classes, class_names, ignore_label, val, seed };
            read(ctx, &path, |path| data::folder(path, &options))
        }
    }
}

/// What a reader gives for the folder `path`; lists may name files elsewhere, which a sandbox refuses.
fn read(ctx: &Call, path: &str, reader: impl FnOnce(&Path) -> Result<Splits>) -> Result<Data> {
    let place = ctx.session().place(path);
    place.check()?;
    let splits = reader(place.path())?;
    for set in [Some(&splits.train), Some(&splits.val), splits.test.as_ref()]
        .into_iter()
        .flatten()
    {
        set.files().try_for_each(|file| place.at(file).check())?;
    }
    Ok(Data::whole(splits))
}

fn facts() -> Vec<crate::script::table::Entry> {
    entries! {
        /// The images to learn from.
        /// ```
        /// assert_eq(data::scenes(#{ count: 8 }).train.len, 8);
        /// ```
        get train(ctx, data: Data) -> Data {
            data.part("train", |_| Some(data.set.clone()))
        }

        /// The images to choose and report on.
        /// ```
        /// assert_eq(data::scenes(#{ count: 8, val_count: 3 }).val.len, 3);
        /// ```
        get val(ctx, data: Data) -> Data {
            data.part("val", |parts| Some(parts.val.clone()))
        }

        /// Further images kept apart, where the files have labels for them.
        /// ```
        /// let text = "";
        /// try { data::scenes(#{ count: 8 }).test; } catch (e) { text = e; }
        /// assert(text.contains("no such part"));
        /// ```
        get test(ctx, data: Data) -> Data {
            data.part("test", |parts| parts.test.clone())
        }

        /// How many images there are.
        /// ```
        /// assert_eq(data::scenes(#{ count: 8 }).len, 8);
        /// ```
        get len(ctx, data: Data) -> usize {
            Ok(data.set().len())
        }

        /// Where the images come from: `"scenes/train"`.
        /// ```
        /// assert_eq(data::scenes().val.name, "scenes/val");
        /// ```
        get name(ctx, data: Data) -> String {
            Ok(data.set().name().to_string())
        }

        /// How many classes there are; labels are 0 to `classes - 1`, and 255 where a pixel is ignored.
        /// ```
        /// assert_eq(data::scenes().classes, 9);
        /// ```
        get classes(ctx, data: Data) -> usize {
            Ok(data.set().classes())
        }

        /// The names of the classes in the order of their labels.
        /// ```
        /// assert_eq(data::scenes().class_names[5], "car");
        /// ```
        get class_names(ctx, data: Data) -> Vec<String> {
            Ok(data.set().class_names().to_vec())
        }

        /// One colour `[red, green, blue]` per class, 0 to 255.
        /// ```
        /// assert_eq(data::scenes().palette[0], [70, 130, 180]);
        /// ```
        get palette(ctx, data: Data) -> Vec<Vec<u32>> {
            let colours = data.set().palette().iter();
            Ok(colours.map(|c| c.iter().map(|&v| u32::from(v)).collect()).collect())
        }

        /// The names of the images in order.
        /// ```
        /// assert_eq(data::scenes(#{ count: 2 }).names, ["scene_0_train_00000", "scene_0_train_00001"]);
        /// ```
        get names(ctx, data: Data) -> Vec<String> {
            let set = data.set();
            (0..set.len()).map(|i| set.sample_name(i)).collect()
        }

        /// SHA-256 of the images' names in order: the same hash means the same images.
        /// ```
        /// let scenes = data::scenes(#{ count: 8 });
        /// assert_eq(scenes.take(3).split_hash, scenes.take(3).split_hash);
        /// assert(scenes.take(3).split_hash != scenes.split_hash);
        /// ```
        get split_hash(ctx, data: Data) -> String {
            Ok(data.set().split_hash())
        }

        /// Pixels per class over all images, and those that are ignored. Reads every file: the error counts the bad ones and names them.
        /// ```
        /// let h = data::scenes(#{ count: 2, size: [32, 40] }).histogram();
        /// assert_eq(h.counts.sum() + h.ignored, 2 * 32 * 40);
        /// ```
        fn histogram(ctx, data: Data) -> Map {
            let histogram = data.set().histogram_until(&ctx.session().cancel_flag())?;
            let mut map = Map::new();
            map.insert("counts".into(), histogram.counts.reply(ctx));
            map.insert("ignored".into(), histogram.ignored.reply(ctx));
            Ok(map)
        }

        /// Load image `i` (-1 is the last): a map of `image` (`[3, h, w]`, 0 to 1), `labels` (`[h, w]`, integers) and `name`.
        /// ```
        /// let sample = data::scenes(#{ count: 2, size: [32, 40] }).get(1);
        /// assert_eq(sample.labels.shape, [32, 40]);
        /// assert(sample.image.max().item() <= 1.0);
        /// ```
        fn get(ctx, data: Data, i: i64) -> Map {
            let set = data.set();
            let index = if i < 0 { i.saturating_add(set.len() as i64) } else { i };
            let Some(index) = usize::try_from(index).ok().filter(|i| *i < set.len()) else {
                fail!("there is no image {i}, the data set {} has {}", set.name(), set.len())
            };
            let sample = set.get(index)?;
            let device = ctx.session().device();
            let mut map = Map::new();
            map.insert("image".into(), Dynamic::from(data::image_tensor(&sample)?.to_device(device)?));
            map.insert("labels".into(), Dynamic::from(data::label_tensor(&sample)?.to_device(device)?));
            map.insert("name".into(), sample.name.clone().into());
            Ok(map)
        }
    }
}

fn views() -> Vec<crate::script::table::Entry> {
    entries! {
        /// Choose `n` images at random, in the order of the set; a smaller draw is contained in a larger one.
        /// ```
        /// let few = data::scenes(#{ count: 20 }).take(5, #{ seed: 3 });
        /// assert_eq(few.len, 5);
        /// ```
        fn take(ctx, data: Data, n: usize, /** Which ones. */ seed: u64 = 0) -> Data {
            data.view(|set| set.take(n, seed))
        }

        /// Choose `n` images evenly spread over the set: the positions `i * floor(len / n)`.
        /// ```
        /// let few = data::scenes(#{ count: 20 }).spread(3);
        /// assert_eq(few.names[2], "scene_0_train_00012");
        /// ```
        fn spread(ctx, data: Data, n: usize) -> Data {
            data.view(|set| set.spread(n))
        }

        /// Choose the share `f` of the images at random, at least one.
        /// ```
        /// assert_eq(data::scenes(#{ count: 20 }).fraction(0.25).len, 5);
        /// ```
        fn fraction(ctx, data: Data, f: f64, /** Which ones. */ seed: u64 = 0) -> Data {
            data.view(|set| set.fraction(f, seed))
        }

        /// Choose the images named in a text file, one per line: names, file names or paths.
        ///
        /// Published lists of VOC ids and of Cityscapes paths can be given as they are.
        /// ```
        /// let scenes = data::scenes(#{ count: 3 });
        /// let text = "";
        /// try { scenes.subset("no/such/list.txt"); } catch (e) { text = e; }
        /// assert(text.contains("list.txt"));
        /// ```
        fn subset(
            ctx,
            data: Data,
            list_file: String,
            /// What to do with lines that name no image of the set: `"error"` or `"skip"`.
            missing: String = "error".into(),
        ) -> Data {
            let choices = [("error", Missing::Refuse), ("skip", Missing::Skip)];
            let missing = crate::error::choose("subset: missing", &missing, &choices)?;
            let list_file = ctx.session().input_path(&list_file)?;
            data.view(|set| set.subset(list_file.path(), missing))
        }

        /// Bring every image and label map to `[height, width]`: images antialiased bilinearly, labels by nearest neighbour.
        /// ```
        /// let small = data::scenes(#{ count: 2 }).resize([24, 32]);
        /// assert_eq(small.get(0).image.shape, [3, 24, 32]);
        /// assert_eq(small.val.get(0).labels.shape, [24, 32]);
        /// ```
        fn resize(ctx, data: Data, size: [usize; 2]) -> Data {
            let resized = |set: &Dataset| set.resize(size);
            let parts = data.parts.as_ref().map(|parts| -> Result<_> {
                Ok(Rc::new(Splits {
                    train: resized(&parts.train)?,
                    val: resized(&parts.val)?,
                    test: parts.test.as_ref().map(resized).transpose()?,
                }))
            });
            Ok(Data { set: resized(&data.set)?, parts: parts.transpose()? })
        }

        /// Run over the images in batches, prepared ahead by worker threads.
        ///
        /// Each batch is a map: `images` (`[n, 3, h, w]`, normalised with ImageNet's mean and standard deviation), `distorted` (the same
        /// with distorted colours, or `()`), `labels` (`[n, h, w]`), `names`, `indices`, `epoch`.
        /// ```
        /// let scenes = data::scenes(#{ count: 6, size: [32, 40] });
        /// let n = 0;
        /// for batch in scenes.batches(#{ size: 4, shuffle: true, augment: #{ scale: [0.75, 1.5], flip: 0.5 }, distort: #{} }) {
        ///     assert_eq(batch.images.shape, batch.distorted.shape);
        ///     n += batch.names.len();
        /// }
        /// assert_eq(n, 6);
        /// ```
        fn batches(
            ctx,
            data: Data,
            /// Images per batch.
            size: usize = 8,
            /// A new random order in every epoch.
            shuffle: bool = false,
            /// Order and augmentation follow from it; the session's seed if not given.
            seed: Option<u64> = None,
            /// Random `scale: [smallest, largest]`, `crop: [h, w]`, `flip: probability`, for image and labels together.
            augment: Option<Nested<Augment>> = None,
            /// The same as `crop` in `augment`.
            crop: Option<[usize; 2]> = None,
            /// A second view with other colours: `brightness`, `contrast`, `saturation`, `hue`, `probability`, `grey`, `blur`.
            distort: Option<Nested<Distort>> = None,
            /// How often to go through the set.
            epochs: usize = 1,
            /// Leave out an incomplete last batch.
            drop_last: bool = false,
        ) -> DataBatches {
            let augment = augment.map(|o| o.fill("batches: augment")).transpose()?;
            let augment = match crop {
                Some(crop) => Some(Augment { crop: Some(crop), ..augment.unwrap_or_default() }),
                None => augment,
            };
            let distort = distort.map(|o| o.fill("batches: distort")).transpose()?;
            let options = BatchOptions {
                size,
                shuffle,
                seed: seed.unwrap_or(ctx.session().seed()),
                augment,
                distort,
                drop_last,
                start: 0,
                epochs: Some(epochs),
            };
            options.check()?;
            let set = data.set().clone();
            Ok(DataBatches { set, options, device: ctx.session().device().clone() })
        }
    }
}
