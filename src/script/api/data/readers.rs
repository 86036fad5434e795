//! `data::scenes`, `data::folder` and the readers of published data sets.

use super::Data;
use crate::data::{self, FolderOptions, ScenesOptions, Splits};
use crate::script::prelude::*;
use crate::script::table::Entry;
use crate::session::Place;

/// The folder of the label maps, or `()` for none.
struct LabelFolder(Option<String>);

impl Arg for LabelFolder {
    const KIND: &'static str = "string or ()";
    const WANTED: &'static str = "a folder's name, or () for images without labels";
    fn convert(value: &dyn Source) -> Option<Self> {
        Option::<String>::convert(value).map(LabelFolder)
    }
    fn literal(&self) -> Option<String> {
        self.0.literal()
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
            ..options: ScenesOptions
        ) -> Data {
            let parts = data::scenes(&options)?;
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
            ..options: FolderOptions,
            labels: LabelFolder = LabelFolder(FolderOptions::default().labels)
        ) -> Data {
            let options = FolderOptions { labels: labels.0, ..options };
            read(ctx, &path, |path| data::folder(path, &options))
        }
    }
}

/// What a reader gives for the folder `path`.
fn read(ctx: &Call, path: &str, reader: impl FnOnce(&Place) -> Result<Splits>) -> Result<Data> {
    Ok(Data::whole(reader(&ctx.session().place(path))?))
}
