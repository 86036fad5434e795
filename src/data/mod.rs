//! Data sets, readers, synthetic scenes, augmentation, batches.
//!
//! | file | what |
//! |---|---|
//! | `dataset/` | [`Dataset`]: a list of samples and its views (`take`, `select`, `subset`, `resize`, ...) |
//! | `histogram` | pixels per class, which checks every file |
//! | `scenes/` | [`scenes()`]: street scenes drawn by code |
//! | `camvid`, `voc2012`, `cityscapes`, `folder` | one reader each: lists the files, nothing is decoded before it is asked for |
//! | `files` | which files a folder holds |
//! | `pairs` | what the readers share: an image file with its label file as a [`Source`] |
//! | `decode/` | image and label files to memory, with errors that name the file and the pixel |
//! | `classes` | class names and palettes |
//! | `resize` | antialiased bilinear and nearest resizing, as Pillow's |
//! | `augment`, `distort` | random scale, crop and flip; the colour distortion of the second view |
//! | `batches`, `order`, `prepare` | batches prepared ahead by worker threads; which sample comes when; from sample to batch |
//! | `cache` | loaded samples kept in memory |
//! | `items` | samples that are tensors already |
//! | `mix` | CutMix and ClassMix |
//! | `encode` | label maps as files |
//!
//! A new reader is one file that ends in `pairs::dataset`, a line here, and its entry in the script's table.
//! Inside the program the ignore label is always 255 ([`IGNORED`]), whatever the files use.

pub mod augment;
pub mod batches;
mod cache;
mod camvid;
mod cityscapes;
pub mod classes;
pub mod dataset;
pub mod decode;
pub mod distort;
pub mod encode;
mod files;
mod folder;
mod histogram;
pub mod items;
pub mod mix;
mod order;
mod pairs;
mod prepare;
pub mod resize;
pub mod scenes;
mod voc2012;

pub use augment::Augment;
pub use batches::{Batch, BatchOptions, Batches};
pub use camvid::camvid;
pub use cityscapes::cityscapes;
pub use dataset::{Dataset, Missing, Splits};
pub use decode::Exif;
pub use decode::map::LabelRule;
pub use distort::Distort;
pub use folder::{FolderOptions, folder};
pub use histogram::Histogram;
pub use scenes::{ScenesOptions, scenes};
pub use voc2012::voc2012;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::ensure;
use crate::error::Result;

/// The label of a pixel that belongs to no class: it is neither trained on nor evaluated.
pub const IGNORED: u8 = 255;

/// Mean of the ImageNet training images per channel (red, green, blue), colours in 0..1.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// Standard deviation of the ImageNet training images per channel (red, green, blue), colours in 0..1.
pub const IMAGENET_SD: [f32; 3] = [0.229, 0.224, 0.225];

/// One image with its label map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What the data set calls it, unique within the set.
    pub name: String,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Colours, row by row, red green blue interleaved: `3 * height * width` bytes.
    pub pixels: Arc<Vec<u8>>,
    /// One class per pixel, row by row, [`IGNORED`] where there is none: `height * width` bytes.
    pub labels: Vec<u8>,
    /// Whether there is a label map; without one all labels are [`IGNORED`].
    pub labelled: bool,
}

impl Sample {
    /// Height and width.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Bytes held by pixels and labels.
    pub fn bytes(&self) -> usize {
        self.pixels.len() + self.labels.len()
    }
}

/// Where samples come from: files, code that draws them, other sources. One that is `Send` and `Sync` is loaded on worker threads.
pub trait Source {
    /// How many samples there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of sample `i`, known without loading it.
    fn name(&self, i: usize) -> String;

    /// The files that sample `i` is read from; none if it is drawn.
    fn files(&self, _: usize) -> Vec<std::path::PathBuf> {
        Vec::new()
    }

    /// Whether sample `i` has a label map, known without loading it.
    fn labelled(&self, _: usize) -> bool {
        true
    }

    /// The labels of sample `i` without its image, where that is cheaper than loading both.
    fn labels_alone(&self, _: usize) -> Option<Result<Vec<u8>>> {
        None
    }

    /// Whether a pixel may have this class; not where the files' ignore label is also a class number.
    fn can_hold(&self, _class: u8) -> bool {
        true
    }

    /// Load (decode, draw) sample `i`; the error names the file at fault.
    fn load(&self, i: usize) -> Result<Arc<Sample>>;

    /// Bytes of loaded samples that a [`Dataset`] of this source may keep in memory.
    fn cache_bytes(&self) -> usize {
        1 << 30
    }
}

/// The image as `f32` `[3, height, width]` with colours in 0..1, not normalised.
pub fn image_tensor(sample: &Sample) -> Result<Tensor> {
    let planes = augment::planes_from_pixels(&sample.pixels);
    Ok(Tensor::from_vec(
        planes,
        (3, sample.height, sample.width),
        &Device::Cpu,
    )?)
}

/// The labels as `i64` `[height, width]`, 255 where a pixel is ignored.
pub fn label_tensor(sample: &Sample) -> Result<Tensor> {
    let labels: Vec<i64> = sample.labels.iter().map(|&l| i64::from(l)).collect();
    Ok(Tensor::from_vec(labels, (sample.height, sample.width), &Device::Cpu)?)
}

/// Refuse an image whose values cannot be colours from 0 to 1: bytes, colours to 255, a normalised image of a batch. (Resizing may
/// overshoot a little.)
pub fn check_colours(function: &str, image: &Tensor) -> Result<()> {
    ensure!(
        image.dtype().is_float(),
        "{function}: the image holds integers ({}), expected colours from 0 to 1: (image.to_dtype(\"f32\") / 255)",
        image.dtype().as_str()
    );
    let values = image.detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let (low, high) = values
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| {
            (low.min(*v), high.max(*v))
        });
    ensure!(
        values.iter().all(|v| v.is_finite()),
        "{function}: some values of the image are NaN or infinite, expected colours from 0 to 1"
    );
    let advice = match low < -0.01 {
        true => "images of batches are normalised, data.get(i).image is not",
        false => "divide colours up to 255 by 255",
    };
    ensure!(
        low >= -0.01 && high <= 1.01,
        "{function}: the image has values from {low} to {high}, expected colours from 0 to 1; {advice}"
    );
    Ok(())
}

/// `(images - mean) / sd` per channel with ImageNet's numbers; `images` is `[3, h, w]` or `[n, 3, h, w]` with colours in 0..1.
pub fn normalise_colours(images: &Tensor) -> Result<Tensor> {
    let rank = images.rank();
    ensure!(
        (rank == 3 || rank == 4) && images.dims()[rank - 3] == 3,
        "normalise_colours: found a tensor of shape {:?}, expected [3, h, w] or [n, 3, h, w]",
        images.dims()
    );
    let channels = |values: [f32; 3]| -> candle_core::Result<Tensor> {
        Tensor::new(&values, images.device())?
            .reshape((3, 1, 1))?
            .to_dtype(images.dtype())
    };
    Ok(images
        .broadcast_sub(&channels(IMAGENET_MEAN)?)?
        .broadcast_div(&channels(IMAGENET_SD)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_have_the_documented_layout() {
        // One row of two pixels: (255, 0, 51) and (0, 255, 102).
        let sample = Sample {
            name: "two".into(),
            height: 1,
            width: 2,
            pixels: Arc::new(vec![255, 0, 51, 0, 255, 102]),
            labels: vec![3, IGNORED],
            labelled: true,
        };
        let image = image_tensor(&sample).unwrap();
        assert_eq!(image.dims(), [3, 1, 2]);
        let expected = [1.0, 0.0, 0.0, 1.0, 0.2, 0.4];
        let values = image.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(
            values
                .iter()
                .zip(expected)
                .all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6)
        );
        assert_eq!(label_tensor(&sample).unwrap().to_vec2::<i64>().unwrap(), [[3, 255]]);
        let normal = normalise_colours(&image).unwrap().flatten_all().unwrap();
        let normal = normal.to_vec1::<f32>().unwrap();
        assert!((normal[0] - (1.0 - 0.485) / 0.229).abs() < 1e-5); // red of the first pixel
        assert!((normal[5] - (0.4 - 0.406) / 0.225).abs() < 1e-5); // blue of the second
        assert!(normalise_colours(&label_tensor(&sample).unwrap()).is_err());
    }
}
