//! From images to label maps: upsampling and argmax in one pass, or averaged over scales, mirror images and windows.

use candle_core::{DType, Device, Tensor};

use super::evaluate::EvalOptions;
use crate::error::Result;
use crate::nn::{Pass, Segmenter};
use crate::ops::{self, pieces::Check};

/// What a network makes of some images, on their device.
pub(super) struct Found {
    /// Labels `[n, height, width]`, one byte each, or class probabilities `[n, classes, height, width]`.
    pub(super) maps: Tensor,
    /// `[n]`, i64: how many of the numbers that they were made of are NaN or infinite.
    pub(super) not_finite: Tensor,
}

/// `[n]`, i64: how many numbers of each map `[n, c, h, w]` are infinite or NaN.
fn not_finite(maps: &Tensor) -> Result<Tensor> {
    Ok(ops::reduce::not_finite(maps, &[1, 2, 3])?.flatten_all()?)
}

/// How a network predicts.
pub(super) struct Predictor<'a> {
    model: &'a Segmenter,
    options: &'a EvalOptions,
    /// What may end the work.
    check: Check<'a>,
}

impl<'a> Predictor<'a> {
    pub(super) fn new(model: &'a Segmenter, options: &'a EvalOptions, check: Check<'a>) -> Self {
        Predictor { model, options, check }
    }

    /// The labels of normalised images `[n, 3, h, w]`.
    pub(super) fn labels(&self, images: &Tensor, size: [usize; 2]) -> Result<Found> {
        let options = self.options;
        let plain = options.scales == [1.0] && !options.flip && options.window.is_none();
        let (maps, align_corners) = match plain {
            true => (self.coarse_logits(images)?, self.model.align_corners()),
            false => (self.summed_probabilities(images, size)?.0, false),
        };
        Ok(Found {
            maps: ops::upsampled_argmax(&maps, size, align_corners)?,
            not_finite: not_finite(&maps)?,
        })
    }

    /// The class probabilities of normalised images `[n, 3, h, w]`.
    pub(super) fn probabilities(&self, images: &Tensor, size: [usize; 2]) -> Result<Found> {
        let (sum, count) = self.summed_probabilities(images, size)?;
        let maps = (sum / count as f64)?;
        Ok(Found {
            not_finite: not_finite(&maps)?,
            maps,
        })
    }

    /// The sum of the class probabilities over the scales and mirror images, and how many there were.
    fn summed_probabilities(&self, images: &Tensor, size: [usize; 2]) -> Result<(Tensor, usize)> {
        let (_, _, height, width) = images.dims4()?;
        let mut sum: Option<Tensor> = None;
        let mut count = 0;
        for &scale in &self.options.scales {
            let scaled = [height, width].map(|side| ((side as f64 * scale).round() as usize).max(1));
            // the image as it is has the size that the caller chose
            let scaled = match self.model.config() {
                Some(config) if scale != 1.0 => ops::nearest_multiple(scaled, config.encoder.multiple()),
                _ => scaled,
            };
            let resized = if scaled == [height, width] {
                images.clone()
            } else {
                ops::resize_bilinear(images, scaled, false)?
            };
            let passes: &[bool] = if self.options.flip { &[false, true] } else { &[false] };
            for &mirrored in passes {
                let turned = |t: Tensor| match mirrored {
                    true => t.flip(&[3])?.contiguous(),
                    false => Ok(t),
                };
                let input = turned(resized.clone())?;
                let logits = turned(match self.options.window {
                    Some(window) => self.windowed_logits(&input, window)?,
                    None => self.coarse_logits(&input)?,
                })?;
                let logits = ops::resize_bilinear(&logits, size, self.model.align_corners())?;
                let share = probabilities(&logits)?;
                count += 1;
                sum = Some(match sum {
                    Some(sum) => (sum + share)?,
                    None => share,
                });
            }
        }
        match sum {
            Some(sum) => Ok((sum, count)),
            None => crate::fail!("predict: no scale was given"),
        }
    }

    /// Logits at the size of the decoder's map: `[n, classes, h / stride, w / stride]`.
    fn coarse_logits(&self, images: &Tensor) -> Result<Tensor> {
        let pass = Pass::evaluation().until(self.check);
        self.model.classify_maps(&self.model.maps(images, &pass)?, None, &pass)
    }

    /// Logits `[n, classes, h, w]` at the size of the images, averaged over windows that overlap by a third; nothing leaves a GPU.
    fn windowed_logits(&self, images: &Tensor, window: [usize; 2]) -> Result<Tensor> {
        let (n, _, height, width) = images.dims4()?;
        let window = [window[0].min(height), window[1].min(width)];
        let shape = (n, self.model.classes(), height, width);
        if images.device().is_cuda() {
            let sum = Tensor::zeros(shape, DType::F32, images.device())?;
            let count = self.for_windows(images, window, |logits, at| {
                Ok(ops::add_window(&sum, &logits.contiguous()?, at)?)
            })?;
            let count = Tensor::from_vec(count, (1, 1, height, width), images.device())?;
            return Ok(sum.broadcast_div(&count)?);
        }
        let mut sum = vec![0f32; n * shape.1 * height * width];
        let count = self.for_windows(images, window, |logits, [top, left]| {
            let logits = logits.flatten_all()?.to_vec1::<f32>()?;
            for (plane, part) in sum
                .chunks_exact_mut(height * width)
                .zip(logits.chunks_exact(window[0] * window[1]))
            {
                for (y, row) in part.chunks_exact(window[1]).enumerate() {
                    let at = (top + y) * width + left;
                    plane[at..at + window[1]].iter_mut().zip(row).for_each(|(s, v)| *s += v);
                }
            }
            Ok(())
        })?;
        for plane in sum.chunks_exact_mut(height * width) {
            plane.iter_mut().zip(&count).for_each(|(s, c)| *s /= c);
        }
        Ok(Tensor::from_vec(sum, shape, &Device::Cpu)?)
    }

    /// Call `add(logits, [top, left])` for every window; returns how many windows cover each pixel, row by row.
    fn for_windows(
        &self,
        images: &Tensor,
        window: [usize; 2],
        mut add: impl FnMut(&Tensor, [usize; 2]) -> Result<()>,
    ) -> Result<Vec<f32>> {
        let (_, _, height, width) = images.dims4()?;
        let mut count = vec![0f32; height * width];
        for top in starts(height, window[0]) {
            for left in starts(width, window[1]) {
                let part = images
                    .narrow(2, top, window[0])?
                    .narrow(3, left, window[1])?
                    .contiguous()?;
                add(
                    &self.model.forward(&part, &Pass::evaluation().until(self.check))?,
                    [top, left],
                )?;
                for y in top..top + window[0] {
                    let row = &mut count[y * width + left..][..window[1]];
                    row.iter_mut().for_each(|c| *c += 1.0);
                }
            }
        }
        Ok(count)
    }
}

/// Softmax over the classes.
fn probabilities(logits: &Tensor) -> Result<Tensor> {
    let e = logits.broadcast_sub(&ops::reduce::largest(logits, &[1])?)?.exp()?;
    Ok(e.broadcast_div(&ops::reduce::sum(&e, &[1])?)?)
}

/// Where windows of `window` begin along a side: every two thirds of a window, the last one flush with the end.
fn starts(side: usize, window: usize) -> Vec<usize> {
    let stride = (window * 2 / 3).max(1);
    let last = side - window.min(side);
    let mut starts: Vec<usize> = (0..last).step_by(stride).collect();
    starts.push(last);
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_every_pixel_and_end_flush() {
        assert_eq!(starts(96, 96), [0]);
        assert_eq!(starts(100, 48), [0, 32, 52]);
        assert_eq!(starts(33, 32), [0, 1]);
    }
}
