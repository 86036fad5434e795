//! Maps at another size by filters that look at more than the nearest neighbours.

use candle_core::{Device, Tensor};

use crate::error::Result;

/// How numbers between the places of a map are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Filter {
    /// A triangle that widens with the reduction: Pillow's `BILINEAR`.
    Smooth,
    /// Cubic, a = -0.5, that widens with the reduction: Pillow's `BICUBIC`.
    SmoothCubic,
    /// Cubic, a = -0.75, four places whatever the reduction: PyTorch's `bicubic`, with which `transformers` interpolates positions.
    Cubic,
}

impl Filter {
    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        let a = match self {
            Filter::Smooth => return (1.0 - x).max(0.0),
            Filter::SmoothCubic => -0.5,
            Filter::Cubic => -0.75,
        };
        match x {
            x if x < 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
            x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * a,
            _ => 0.0,
        }
    }

    /// The matrix `[to, from]` that resamples one side. Places beyond the border are left out by the filters that widen, and have
    /// the number at the border for the other, as in Pillow and PyTorch.
    fn matrix(self, from: usize, to: usize, like: &Tensor) -> Result<Tensor> {
        let scale = from as f64 / to as f64;
        let widened = if self == Filter::Cubic { 1.0 } else { scale.max(1.0) };
        let support = if self == Filter::Smooth { widened } else { 2.0 * widened };
        let mut matrix = vec![0f64; to * from];
        for (i, row) in matrix.chunks_exact_mut(from).enumerate() {
            let centre = (i as f64 + 0.5) * scale - 0.5;
            let (low, high) = ((centre - support).floor() as i64, (centre + support).ceil() as i64);
            let near: Vec<(i64, f64)> = (low..=high)
                .filter(|at| self == Filter::Cubic || (0..from as i64).contains(at))
                .map(|at| (at, self.weight((at as f64 - centre) / widened)))
                .collect();
            let sum: f64 = near.iter().map(|(_, w)| w).sum();
            for (at, weight) in near {
                row[at.clamp(0, from as i64 - 1) as usize] += weight / sum;
            }
        }
        let matrix = Tensor::from_vec(matrix, (to, from), &Device::Cpu)?;
        Ok(matrix.to_dtype(like.dtype())?.to_device(like.device())?)
    }
}

/// Maps `[n, c, h, w]` at another size. Two products with matrices, `n c w' (h w + h' h)` multiplications; candle's graph goes back through
/// them.
pub fn resampled(maps: &Tensor, size: [usize; 2], filter: Filter) -> Result<Tensor> {
    let (n, c, h, w) = maps.dims4()?;
    if [h, w] == size {
        return Ok(maps.clone());
    }
    let columns = filter.matrix(w, size[1], maps)?.t()?.contiguous()?;
    let rows = filter.matrix(h, size[0], maps)?;
    let across = maps.contiguous()?.reshape((n * c * h, w))?.matmul(&columns)?;
    let across = across.reshape((n * c, h, size[1]))?;
    let all = rows.broadcast_matmul(&across)?;
    Ok(all.reshape((n, c, size[0], size[1]))?)
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;

    fn ramp(h: usize, w: usize) -> Tensor {
        let numbers = (0..h * w).map(|i| ((i * 37) % 11) as f32).collect();
        Tensor::from_vec(numbers, (1, 1, h, w), &Device::Cpu).unwrap()
    }

    fn close(found: &Tensor, expected: &[f32]) {
        let found = found.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 1e-4, "{found:?}\n{expected:?}");
        }
    }

    /// x = ((torch.arange(20) * 37) % 11).float().reshape(1, 1, 4, 5); F.interpolate(x, size, mode=.., antialias=..)
    #[test]
    fn filters_are_pytorchs() {
        let x = ramp(4, 5);
        close(
            &resampled(&x, [2, 3], Filter::Smooth).unwrap(),
            &[3.87755, 5.52381, 4.55102, 5.44898, 4.47619, 6.12245],
        );
        close(
            &resampled(&x, [3, 2], Filter::SmoothCubic).unwrap(),
            &[4.09351, 4.84799, 4.58614, 5.41386, 5.15201, 5.90649],
        );
        close(
            &resampled(&x, [2, 7], Filter::Cubic).unwrap(),
            &[
                4.80558, 3.39741, 4.1445, 7.1875, 6.42219, 4.90033, 4.06942, 5.93058, 5.09967, 3.57781, 2.8125, 5.8555,
                6.60259, 5.19443,
            ],
        );
        close(
            &resampled(&x, [6, 3], Filter::Cubic).unwrap(),
            &[
                0.55639, 8.17361, 3.17181, 3.99306, 7.1875, 4.57639, 6.73167, 5.57408, 5.2228, 4.7772, 4.42593,
                3.26833, 5.42361, 2.8125, 6.00694, 6.82819, 1.82639, 9.44361,
            ],
        );
    }

    #[test]
    fn what_a_filter_looks_at_sums_up_to_one_and_the_same_size_is_kept() {
        let like = Tensor::zeros(1, DType::F64, &Device::Cpu).unwrap();
        for filter in [Filter::Smooth, Filter::SmoothCubic, Filter::Cubic] {
            for (from, to) in [(37, 16), (4, 7), (5, 5), (37, 37), (3, 1), (1, 4)] {
                let matrix = filter.matrix(from, to, &like).unwrap().to_vec2::<f64>().unwrap();
                for (i, row) in matrix.iter().enumerate() {
                    assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{filter:?} {from} {to}");
                    if from == to {
                        assert!((row[i] - 1.0).abs() < 1e-12, "{filter:?} {from}");
                    }
                }
            }
        }
    }
}
