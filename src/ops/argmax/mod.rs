//! From logits to label maps, without gradient.

mod cuda;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::kernel::on_gpu;
use crate::error::Result;
pub(crate) use cuda::{PairCounts, add_window};

/// Pairs of a truth and a label of one byte each.
const PAIRS: usize = 1 << 16;

/// Bilinear upsampling of logits `[n, classes, h, w]` to `size` and argmax over the classes, pixel by pixel: the upsampled logits never
/// exist as a whole. Labels `[n, height, width]`, one byte each, on the logits' device. Equal values go to the lower class.
///
/// # Errors
/// More than 256 classes; logits that are not f32.
pub fn upsampled_argmax(logits: &Tensor, size: [usize; 2], align_corners: bool) -> Result<Tensor> {
    let (n, classes, h, w) = logits.dims4()?;
    crate::ensure!(classes <= 256, "predict: {classes} classes do not fit into one byte");
    if on_gpu(logits.device()) {
        return Ok(cuda::upsampled(&logits.contiguous()?, size, align_corners)?);
    }
    let values = logits.flatten_all()?.to_vec1::<f32>()?;
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
    Ok(Tensor::from_vec(labels, (n, height, width), &Device::Cpu)?)
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
    use crate::ops::resize_bilinear;
    use crate::random::Random;

    #[test]
    fn row_by_row_equals_resize_then_argmax() {
        let mut random = Random::new(1);
        let values: Vec<f32> = (0..2 * 5 * 6 * 7).map(|_| random.normal() as f32).collect();
        let logits = Tensor::from_vec(values, (2, 5, 6, 7), &Device::Cpu).unwrap();
        for corners in [false, true] {
            for size in [[6, 7], [24, 28], [13, 9], [3, 20]] {
                let whole = resize_bilinear(&logits, size, corners).unwrap().argmax(1).unwrap();
                let whole: Vec<u32> = whole.flatten_all().unwrap().to_vec1().unwrap();
                let found = upsampled_argmax(&logits, size, corners).unwrap();
                let found: Vec<u8> = found.flatten_all().unwrap().to_vec1().unwrap();
                let wrong = found.iter().zip(&whole).filter(|(a, b)| u32::from(**a) != **b).count();
                assert_eq!(wrong, 0, "corners {corners} size {size:?}");
            }
        }
    }
}
