//! `data::scenes`, `data::folder` and the readers of published data sets.

use super::rule::GivenRule;
use super::{Data, MISSING};
use crate::data::{self, Exif, FolderOptions, ScenesOptions, Splits};
use crate::error::choose;
use crate::script::prelude::*;
use crate::script::table::Entry;
use crate::session::Place;

/// The names of what is done with images that ask for a turn.
const EXIF: [(&str, Exif); 2] = [("apply", Exif::Apply), ("refuse", Exif::Refuse)];

/// The folder of the label maps, or `()` for none.
struct Labels(Option<String>);

impl Arg for Labels {
    fn kind() -> String {
        "string or ()".into()
    }
    fn wanted() -> String {
        "a folder's name, or () for images without labels".into()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        Option::<String>::convert(value).map(Labels)
    }
}

pub(super) fn entries() -> Vec<Entry> {
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
        /// Images are PNG, JPEG, TIFF, WebP or BMP; label maps PNG, TIFF or BMP, grey or indexed, one class number per pixel, unless
        /// `label_map` says otherwise. Folders `train*`, `val*` and `test*` of the images (`training`, `Validation`, ..) are the parts;
        /// otherwise the share `val` of the images is set aside at random. Hidden files are passed over, a file that cannot be read is
        /// an error. The result is the training set itself, with `.val` and `.test`.
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
            /// The folder of the label maps below `path`; `()` for images without labels.
            labels: Labels = Labels(Some("labels".into())),
            /// How many classes there are; not needed with `class_names` or a `label_map` that lists them.
            classes: Option<usize> = None,
            /// The names of the classes.
            class_names: Option<Vec<String>> = None,
            /// The value in the files that means "no class"; 255 always does. A class of this number is left out of the means of a score.
            ignore_label: u32 = 255,
            /// What the values in the files mean: `#{ "0": 0, "255": 1 }`, colours by class `[[128, 64, 128], ..]`, colours as keys
            /// `#{ "0,0,0": 255 }` (255: no class), or `"shift"`: 1 is class 0, 0 is no class (ADE20K).
            label_map: Option<GivenRule> = None,
            /// What the names of label maps have behind those of their images: `"_mask"` for `1.jpg` and `1_mask.png`.
            suffix: String = String::new(),
            /// What to do with images without label map: `"error"` or `"skip"`.
            missing: String = "error".into(),
            /// What to do with images whose EXIF data ask for a turn: `"apply"` turns them, as OpenCV does, `"refuse"` names them.
            exif: String = "apply".into(),
            /// The share of the images in `.val`.
            val: f64 = 0.2,
            /// Which images are in `.val`.
            seed: u64 = 0,
        ) -> Data {
            let Ok(ignore_label) = u8::try_from(ignore_label) else {
                fail!("data::folder: found ignore_label {ignore_label}, expected 0 to 255")
            };
            let options = FolderOptions {
                images,
                labels: labels.0,
                suffix,
                missing: choose("data::folder: missing", &missing, &MISSING)?,
                classes,
                class_names,
                label_map: label_map.map(|rule| rule.0),
                ignore_label,
                exif: choose("data::folder: exif", &exif, &EXIF)?,
                val,
                seed,
            };
            read(ctx, &path, |path| data::folder(path, &options))
        }
    }
}

/// What a reader gives for the folder `path`.
fn read(ctx: &Call, path: &str, reader: impl FnOnce(&Place) -> Result<Splits>) -> Result<Data> {
    Ok(Data::whole(reader(&ctx.session().place(path))?))
}
