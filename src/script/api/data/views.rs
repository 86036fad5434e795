//! Data sets made from data sets; nothing is loaded before it is asked for.

use std::rc::Rc;

use super::Data;
use super::facts::item_map;
use super::made::{Maker, Mapped};
use super::pictures::classes_from;
use crate::data::{Dataset, Missing};
use crate::ops::nearest_multiple;
use crate::script::api::nth;
use crate::script::api::plot::arguments::Palette;
use crate::script::prelude::*;
use crate::script::table::Entry;
use crate::script::values::describe;

/// Images by index or by name.
enum Which {
    Indices(Vec<i64>),
    Names(Vec<String>),
}

impl Arg for Which {
    const KIND: &'static str = "[int] or [string]";
    const WANTED: &'static str = "an array of indices or of names";
    fn convert(value: &dyn Source) -> Option<Self> {
        let indices = Vec::convert(value).map(Which::Indices);
        indices.or_else(|| Vec::convert(value).map(Which::Names))
    }
}

pub(super) fn entries() -> Vec<Entry> {
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

        /// Choose images by their indices (-1 is the last) or names, in this order; one may come several times.
        /// ```
        /// let scenes = data::scenes(#{ count: 5 });
        /// assert_eq(scenes.select([4, 0, 0]).len, 3);
        /// assert_eq(scenes.select([-1]).names, ["scene_0_train_00004"]);
        /// assert_eq(scenes.select(["scene_0_train_00002"]).len, 1);
        /// ```
        fn select(ctx, data: Data, /// Indices, or names.
                  which: Which) -> Data {
            data.view(|set| match &which {
                Which::Names(names) => set.select_names(names),
                Which::Indices(indices) => {
                    let place = |&i: &i64| match nth(i, set.len()) {
                        Some(place) => Ok(place),
                        None => fail!("select: there is no image {i}, the data set {} has {}", set.name(), set.len()),
                    };
                    set.select(&indices.iter().map(place).collect::<Result<Vec<_>>>()?)
                }
            })
        }

        /// Bring the images into a random order.
        /// ```
        /// let scenes = data::scenes(#{ count: 5 });
        /// assert_eq(scenes.shuffle(#{ seed: 1 }).names.sort(), scenes.names);
        /// ```
        fn shuffle(ctx, data: Data, /** Which order. */ seed: u64 = 0) -> Data {
            data.view(|set| Ok(set.shuffle(seed)))
        }

        /// Divide the images at random into parts without overlap: an array of data sets.
        /// ```
        /// let parts = data::scenes(#{ count: 10 }).split([0.8, 0.2]);
        /// assert_eq([parts[0].len, parts[1].len], [8, 2]);
        /// ```
        fn split(ctx, data: Data,
            /// The share of each part; together at most 1.
            shares: Vec<f64>,
            /// Which images go where.
            seed: u64 = 0
        ) -> Vec<Data> {
            Ok(data.set.split(&shares, seed)?.into_iter().map(Data::of).collect())
        }

        /// Divide the images for cross-validation: an array of `#{ train, val }`; every image is in one `val`.
        /// ```
        /// let folds = data::scenes(#{ count: 10 }).kfold(5);
        /// assert_eq([folds.len, folds[0].train.len, folds[0].val.len], [5, 8, 2]);
        /// ```
        fn kfold(ctx, data: Data, /// How many.
                 k: usize, /** Which images go where. */ seed: u64 = 0) -> Vec<Map> {
            let fold = |sets: [Dataset; 2]| {
                let [train, val] = sets.map(|set| Dynamic::from(Data::of(set)));
                named([("train", train), ("val", val)])
            };
            Ok(data.set.kfold(k, seed)?.into_iter().map(fold).collect())
        }

        /// Forget the labels: `get(i).labels` and the batches' labels are `()`.
        /// ```
        /// let images = data::scenes(#{ count: 2, size: [32, 40] }).without_labels();
        /// assert_eq(images.get(0).labels, ());
        /// assert_eq(images.batches().next().labels, ());
        /// ```
        fn without_labels(ctx, data: Data) -> Data {
            data.view(Dataset::without_labels)
        }

        /// Choose the images for which a closure says true. It is called at once, with every image in turn.
        /// ```
        /// let scenes = data::scenes(#{ count: 6, size: [32, 40] });
        /// let with_cars = scenes.filter(|item| item.labels.eq(5).sum().item() > 0);
        /// assert(with_cars.len <= 6);
        /// ```
        fn filter(ctx, data: Data, /// `|item| ..` of `#{ image, labels, name }`, as `get(i)` gives it.
                  keep: FnPtr) -> Data {
            let mut kept = Vec::new();
            for i in 0..data.set.len() {
                ctx.session().check_cancel()?;
                let item = item_map(&*data.set.get(i)?, ctx.session().device())?;
                let answer = ctx.call(&keep, (item,))?;
                match answer.as_bool() {
                    Ok(true) => kept.push(i),
                    Ok(false) => {}
                    Err(_) => fail!("filter: the closure must answer true or false, found {}", describe(&answer)),
                }
            }
            data.view(|set| set.select(&kept))
        }

        /// Change every image by a closure, which is called when an image is needed, once while there is memory to keep it.
        ///
        /// It is called on the script's own thread, ahead of the batches that the worker threads prepare. `.val` and `.test` are changed alike.
        /// ```
        /// let dark = data::scenes(#{ count: 3, size: [32, 40] }).map(|item| { item.image *= 0.5; item });
        /// assert(dark.get(1).image.max().item() <= 0.51);
        /// ```
        fn map(ctx, data: Data,
            /// `|item| ..` of `#{ image, labels, name }`, as `get(i)` gives it; it answers such a map.
            change: FnPtr,
            /// How many classes the labels have that it gives; those of the set if absent.
            classes: Option<usize> = None,
            /// The names of these classes.
            class_names: Option<Vec<String>> = None,
            /// One colour `[red, green, blue]` per class.
            palette: Option<Palette> = None
        ) -> Data {
            let labels = classes.is_some() || class_names.is_some();
            let given = classes_from("map", classes, class_names, palette)?;
            data.each_part(|set| {
                let (names, palette) = match labels {
                    true => given.clone(),
                    false => (set.class_names().to_vec(), set.palette().to_vec()),
                };
                let maker = Maker::new(ctx, "map", change.clone(), names.len());
                Dataset::new(set.name(), names, palette, Rc::new(Mapped { set: set.clone(), maker, labels }))
            })
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
            /// What to do with lines that name no image of the set.
            missing: Missing = Missing::Refuse,
        ) -> Data {
            let list_file = ctx.session().input_path(&list_file)?;
            data.view(|set| set.subset(&list_file, missing))
        }

        /// Bring every image and label map to `[height, width]`, or each to the nearest sides that an encoder takes.
        ///
        /// Images antialiased bilinearly, labels by nearest neighbour.
        /// ```
        /// let small = data::scenes(#{ count: 2 }).resize([24, 32]);
        /// assert_eq(small.get(0).image.shape, [3, 24, 32]);
        /// assert_eq(small.val.get(0).labels.shape, [24, 32]);
        /// let fitting = data::scenes(#{ count: 2, size: [96, 128] }).resize(#{ multiple: 14 });
        /// assert_eq(fitting.get(0).image.shape, [3, 98, 126]);
        /// ```
        fn resize(
            ctx,
            data: Data,
            /// Height and width; those of each image if absent.
            size: Option<[usize; 2]> = None,
            /// Take the nearest multiples of this for the sides: 14 for the encoders of DINOv2.
            multiple: Option<usize> = None,
        ) -> Data {
            ensure!(
                size.is_some() || multiple.is_some(),
                "resize: give the size, resize([96, 128]), or what the sides shall be multiples of, resize(#{{ multiple: 14 }})"
            );
            ensure!(multiple != Some(0), "resize: found multiple 0, expected 1 to 1024");
            data.each_part(|set| match (size, multiple) {
                (Some(size), multiple) => set.resize(nearest_multiple(size, multiple.unwrap_or(1))),
                (None, multiple) => set.resize_to_multiple(multiple.unwrap_or(1)),
            })
        }
    }
}
