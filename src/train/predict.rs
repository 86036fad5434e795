//! From images to label maps: upsampling and argmax in one pass, or averaged over scales, mirror images and windows.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::evaluate::EvalOptions;
use crate::error::Result;
use crate::nn::{Pass, Segmenter};
use crate::ops::{self, pieces::Check};

/// Labels `[n, height, width]`, one byte each, for normalised images `[n, 3, h, w]`.
pub(super) fn label_maps(
    model: &Segmenter,
    images: &Tensor,
    size: [usize; 2],
    options: &EvalOptions,
    check: Check,
) -> Result<Vec<u8>> {
    let plain = options.scales == [1.0] && !options.flip && options.window.is_none();
    if plain {
        return upsampled_argmax(&coarse_logits(model, images, check)?, size, model.align_corners());
    }
    let (_, _, height, width) = images.dims4()?;
    let mut sum: Option<Tensor> = None;
    for &scale in &options.scales {
        let scaled = [height, width].map(|side| ((side as f64 * scale).round() as usize).max(1));
        let resized = if scaled == [height, width] {
            images.clone()
        } else {
            ops::resize_bilinear(images, scaled, false)?
        };
        for mirrored in [false, true] {
            if mirrored && !options.flip {
                continue;
            }
            let input = if mirrored {
                resized.flip(&[3])?.contiguous()?
            } else {
                resized.clone()
            };
            let logits = match options.window {
                Some(window) => windowed_logits(model, &input, window, check)?,
                None => coarse_logits(model, &input, check)?,
            };
            let logits = if mirrored {
                logits.flip(&[3])?.contiguous()?
            } else {
                logits
            };
            let logits = ops::resize_bilinear(&logits, size, model.align_corners())?;
            let share = probabilities(&logits)?;
            sum = Some(match sum {
                Some(sum) => (sum + share)?,
                None => share,
            });
        }
    }
    match sum {
        Some(sum) => upsampled_argmax(&sum, size, false),
        None => crate::fail!("predict: no scale was given"),
    }
}

/// Softmax over the classes.
fn probabilities(logits: &Tensor) -> Result<Tensor> {
    let e = logits.broadcast_sub(&logits.max_keepdim(1)?)?.exp()?;
    Ok(e.broadcast_div(&e.sum_keepdim(1)?)?)
}

/// Logits at the size of the decoder's map: `[n, classes, h / stride, w / stride]`.
fn coarse_logits(model: &Segmenter, images: &Tensor, check: Check) -> Result<Tensor> {
    let pass = Pass::evaluation().until(check);
    let features = model.features(images, &pass)?;
    let (_, _, height, width) = features.dims4()?;
    model.classify(&features, [height, width], &pass)
}

/// Logits `[n, classes, h, w]` at the size of the images, averaged over windows that overlap by a third.
fn windowed_logits(model: &Segmenter, images: &Tensor, window: [usize; 2], check: Check) -> Result<Tensor> {
    let (n, _, height, width) = images.dims4()?;
    let window = [window[0].min(height), window[1].min(width)];
    let classes = model.config().classes;
    let mut sum = vec![0f32; n * classes * height * width];
    let mut count = vec![0f32; height * width];
    for top in starts(height, window[0]) {
        for left in starts(width, window[1]) {
            let part = images
                .narrow(2, top, window[0])?
                .narrow(3, left, window[1])?
                .contiguous()?;
            let logits = model.forward(&part, &Pass::evaluation().until(check))?;
            let logits = logits.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
            for (plane, part) in sum
                .chunks_exact_mut(height * width)
                .zip(logits.chunks_exact(window[0] * window[1]))
            {
                for (y, row) in part.chunks_exact(window[1]).enumerate() {
                    let at = (top + y) * width + left;
                    plane[at..at + window[1]].iter_mut().zip(row).for_each(|(s, v)| *s += v);
                }
            }
            for y in top..top + window[0] {
                count[y * width + left..y * width + left + window[1]]
                    .iter_mut()
                    .for_each(|c| *c += 1.0);
            }
        }
    }
    for plane in sum.chunks_exact_mut(height * width) {
        plane.iter_mut().zip(&count).for_each(|(s, c)| *s /= c);
    }
    Ok(Tensor::from_vec(sum, (n, classes, height, width), &Device::Cpu)?.to_device(images.device())?)
}

/// Where windows of `window` begin along a side: every two thirds of a window, the last one flush with the end.
fn starts(side: usize, window: usize) -> Vec<usize> {
    let stride = (window * 2 / 3).max(1);
    let last = side - window.min(side);
    let mut starts: Vec<usize> = (0..last).step_by(stride).collect();
    starts.push(last);
    starts
}

/// Bilinear upsampling and argmax over the classes, row by row: the upsampled logits never exist as a whole. Equal values go to
/// the lower class.
fn upsampled_argmax(logits: &Tensor, size: [usize; 2], align_corners: bool) -> Result<Vec<u8>> {
    let (n, classes, h, w) = logits.dims4()?;
    crate::ensure!(classes <= 256, "predict: {classes} classes do not fit into one byte");
    let values = logits.to_device(&Device::Cpu)?.flatten_all()?.to_vec1::<f32>()?;
    let [height, width] = size;
    let rows = taps(h, height, align_corners);
    let columns = taps(w, width, align_corners);
    let mut labels = vec![0u8; n * height * width];
    labels.par_chunks_mut(width).enumerate().for_each_init(
        || (vec![0f32; w], vec![0f32; width]),
        |(blend, best), (line, out)| {
            let (image, (low, high, part)) = (line / height, rows[line % height]);
            best.fill(f32::NEG_INFINITY);
            for class in 0..classes {
                let plane = &values[(image * classes + class) * h * w..][..h * w];
                let (upper, lower) = (&plane[low * w..][..w], &plane[high * w..][..w]);
                for ((b, u), l) in blend.iter_mut().zip(upper).zip(lower) {
                    *b = (1.0 - part) * u + part * l;
                }
                for ((label, best), (left, right, part)) in out.iter_mut().zip(best.iter_mut()).zip(&columns) {
                    let value = (1.0 - part) * blend[*left] + part * blend[*right];
                    if value > *best {
                        (*best, *label) = (value, class as u8);
                    }
                }
            }
        },
    );
    Ok(labels)
}

/// For each output position the two input positions it lies between and the weight of the second, as PyTorch's `interpolate`.
fn taps(from: usize, to: usize, align_corners: bool) -> Vec<(usize, usize, f32)> {
    let ratio = match (align_corners, to) {
        (true, 1) => 0.0,
        (true, _) => (from - 1) as f64 / (to - 1) as f64,
        (false, _) => from as f64 / to as f64,
    };
    let tap = |i: usize| {
        let at = if align_corners {
            i as f64 * ratio
        } else {
            ((i as f64 + 0.5) * ratio - 0.5).max(0.0)
        };
        let low = (at as usize).min(from - 1);
        (low, (low + 1).min(from - 1), (at - low as f64) as f32)
    };
    (0..to).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn row_by_row_equals_resize_then_argmax() {
        let mut random = Random::new(1);
        let values: Vec<f32> = (0..2 * 5 * 6 * 7).map(|_| random.normal() as f32).collect();
        let logits = Tensor::from_vec(values, (2, 5, 6, 7), &Device::Cpu).unwrap();
        for corners in [false, true] {
            for size in [[6, 7], [24, 28], [13, 9], [3, 20]] {
                let whole = ops::resize_bilinear(&logits, size, corners).unwrap().argmax(1).unwrap();
                let whole: Vec<u32> = whole.flatten_all().unwrap().to_vec1().unwrap();
                let found = upsampled_argmax(&logits, size, corners).unwrap();
                let wrong = found.iter().zip(&whole).filter(|(a, b)| u32::from(**a) != **b).count();
                assert_eq!(wrong, 0, "corners {corners} size {size:?}");
            }
        }
    }

    #[test]
    fn windows_cover_every_pixel_and_end_flush() {
        assert_eq!(starts(96, 96), [0]);
        assert_eq!(starts(100, 48), [0, 32, 52]);
        assert_eq!(starts(33, 32), [0, 1]);
    }
}
