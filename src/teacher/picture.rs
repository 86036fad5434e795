//! Images in: sizes and colours.

use candle_core::{DType, Device, Tensor};

use crate::data::check_colours;
use crate::ensure;
use crate::error::Result;

/// The longest side of an image; resampling takes a matrix of old by new pixels.
const LONGEST_SIDE: usize = 1 << 15;

/// Images as a teacher takes them.
pub(super) struct Batch {
    /// `[n, 3, h, w]`, f32, colours in 0..1, on the teacher's device, outside any graph.
    pub(super) images: Tensor,
    /// Whether one image was given, `[3, h, w]`: what comes of it then loses the first dimension.
    single: bool,
}

impl Batch {
    /// `image` is `[3, h, w]` or `[n, 3, h, w]` with colours in 0..1; `function` names the one that takes it.
    pub(super) fn new(function: &str, image: &Tensor, device: &Device) -> Result<Self> {
        let dims = image.dims();
        let fits = matches!(dims, [3, ..] | [_, 3, ..]) && [3, 4].contains(&dims.len()) && image.elem_count() > 0;
        ensure!(
            fits && dims[dims.len() - 3] == 3,
            "{function}: the image must be a tensor [3, h, w], or [n, 3, h, w] for several, with colours from 0 to 1; found {dims:?}"
        );
        ensure!(
            dims.iter().rev().take(2).all(|side| *side <= LONGEST_SIDE),
            "{function}: the image {dims:?} is longer than {LONGEST_SIDE} pixels on a side: resize it, or cut it into pieces"
        );
        check_colours(function, image)?;
        let single = dims.len() == 3;
        let image = image.detach().to_dtype(DType::F32)?.to_device(device)?;
        let images = if single { image.unsqueeze(0)? } else { image };
        Ok(Batch { images, single })
    }

    /// Height and width.
    pub(super) fn size(&self) -> [usize; 2] {
        let dims = self.images.dims();
        [dims[2], dims[3]]
    }

    /// The images one by one, `[1, 3, h, w]`: a pass of one keeps memory low and can be interrupted soon.
    pub(super) fn each(&self) -> Result<Vec<Tensor>> {
        let one = |i| Ok(self.images.narrow(0, i, 1)?);
        (0..self.images.dims()[0]).map(one).collect()
    }

    /// The results `[1, ..]` of the images together; of one image given alone, `[..]`.
    pub(super) fn joined(&self, each: &[Tensor]) -> Result<Tensor> {
        let all = Tensor::cat(each, 0)?;
        Ok(if self.single { all.squeeze(0)? } else { all })
    }
}

/// `(images - mean) / sd` per channel.
pub(super) fn normalised(images: &Tensor, mean: [f32; 3], sd: [f32; 3]) -> Result<Tensor> {
    let channel = |v: [f32; 3]| Tensor::new(&v, images.device())?.reshape((1, 3, 1, 1));
    Ok(images.broadcast_sub(&channel(mean)?)?.broadcast_div(&channel(sd)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_that_are_no_images_are_refused() {
        for shape in [
            vec![3],
            vec![1, 5, 5],
            vec![3, 0, 5],
            vec![2, 4, 5, 5],
            vec![0, 3, 5, 5],
            vec![1, 1, 3, 5, 5],
        ] {
            let image = Tensor::zeros(shape.as_slice(), DType::F32, &Device::Cpu).unwrap();
            let text = Batch::new("f", &image, &Device::Cpu).err().unwrap().to_string();
            assert!(
                text.contains("[3, h, w]") && text.contains(&format!("{shape:?}")),
                "{text}"
            );
        }
    }
}
