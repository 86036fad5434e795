//! What a data set tells of itself, and its images.

use candle_core::Device;

use super::Data;
use crate::data::{self, Sample};
use crate::script::api::nth;
use crate::script::prelude::*;
use crate::script::table::Entry;

/// A sample as scripts see it: `image`, `labels` (or `()`), `name`.
pub(super) fn item_map(sample: &Sample, device: &Device) -> Result<Map> {
    let labels = match sample.labelled {
        true => Dynamic::from(data::label_tensor(sample)?.to_device(device)?),
        false => Dynamic::UNIT,
    };
    Ok(named([
        ("image", Dynamic::from(data::image_tensor(sample)?.to_device(device)?)),
        ("labels", labels),
        ("name", sample.name.clone().into()),
    ]))
}

pub(super) fn entries() -> Vec<Entry> {
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
            let (counts, ignored) = (histogram.counts.reply(ctx), histogram.ignored.reply(ctx));
            Ok(named([("counts", counts), ("ignored", ignored)]))
        }

        /// Load image `i` (-1 is the last): a map of `image`, `labels` and `name`.
        ///
        /// The image is `[3, h, w]`, 0 to 1; the labels are `[h, w]`, integers, and `()` without label map.
        /// ```
        /// let sample = data::scenes(#{ count: 2, size: [32, 40] }).get(1);
        /// assert_eq(sample.labels.shape, [32, 40]);
        /// assert(sample.image.max().item() <= 1.0);
        /// ```
        fn get(ctx, data: Data, i: i64) -> Map {
            let set = data.set();
            let Some(index) = nth(i, set.len()) else {
                fail!("there is no image {i}, the data set {} has {}", set.name(), set.len())
            };
            item_map(&*set.get(index)?, ctx.session().device())
        }
    }
}
