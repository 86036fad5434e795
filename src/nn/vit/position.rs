//! Position embeddings of a square grid for grids of other sizes, by bicubic interpolation as PyTorch's `F.interpolate` does it.

use candle_core::{Device, Tensor};

use crate::error::Result;

/// How an interpolation looks at its neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::nn) enum Bicubic {
    /// Four neighbours (Keys 1981 with a = -0.75), those beyond the border being the border's.
    Plain,
    /// As many as a smaller grid leaves out (a = -0.5), those beyond the border left away: `antialias=True`.
    Antialiased,
}

/// The cubic convolution kernel of Keys 1981.
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        a * (((x - 5.0) * x + 8.0) * x - 4.0)
    } else {
        0.0
    }
}

impl Bicubic {
    /// What each of `from` positions counts at each of `to`, row by row.
    fn shares(self, from: usize, to: usize) -> Vec<f64> {
        let scale = from as f64 / to as f64;
        let last = from as i64 - 1;
        let mut shares = vec![0.0; to * from];
        for (i, row) in shares.chunks_mut(from).enumerate() {
            let center = scale * (i as f64 + 0.5);
            match self {
                Bicubic::Plain => {
                    let at = center - 0.5;
                    let first = at.floor();
                    for tap in -1..=2 {
                        let place = (first as i64 + tap).clamp(0, last) as usize;
                        row[place] += cubic(at - first - tap as f64, -0.75);
                    }
                }
                Bicubic::Antialiased => {
                    let wide = scale.max(1.0);
                    let begin = ((center - 2.0 * wide + 0.5) as i64).max(0) as usize;
                    let end = ((center + 2.0 * wide + 0.5) as usize).min(from);
                    for (j, share) in row.iter_mut().enumerate().take(end).skip(begin) {
                        *share = cubic((j as f64 + 0.5 - center) / wide, -0.5);
                    }
                    let sum: f64 = row.iter().sum();
                    row.iter_mut().for_each(|share| *share /= sum);
                }
            }
        }
        shares
    }

    fn matrix(self, from: usize, to: usize, like: &Tensor) -> Result<Tensor> {
        let shares = Tensor::from_vec(self.shares(from, to), (to, from), &Device::Cpu)?;
        Ok(shares.to_dtype(like.dtype())?.to_device(like.device())?)
    }

    /// Embeddings [side^2, d] of a square grid as those of a grid of `rows` x `columns`: [rows * columns, d].
    pub(super) fn resize(self, grid: &Tensor, [rows, columns]: [usize; 2]) -> Result<Tensor> {
        let (count, width) = grid.dims2()?;
        let side = count.isqrt();
        if [rows, columns] == [side, side] {
            return Ok(grid.clone());
        }
        let down = self
            .matrix(side, rows, grid)?
            .matmul(&grid.reshape((side, side * width))?)?;
        let down = down.reshape((rows, side, width))?.transpose(0, 1)?.contiguous()?;
        let across = self
            .matrix(side, columns, grid)?
            .matmul(&down.reshape((side, rows * width))?)?;
        let across = across.reshape((columns, rows, width))?.transpose(0, 1)?.contiguous()?;
        Ok(across.reshape((rows * columns, width))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_up_to_one_and_keep_a_grid_of_the_same_size() {
        for kind in [Bicubic::Plain, Bicubic::Antialiased] {
            for (from, to) in [(37, 16), (4, 7), (5, 5), (37, 37), (3, 1), (1, 4)] {
                let shares = kind.shares(from, to);
                for (i, row) in shares.chunks(from).enumerate() {
                    assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{kind:?} {from} {to}");
                    if from == to {
                        assert!((row[i] - 1.0).abs() < 1e-12, "{kind:?} {from}");
                    }
                }
            }
        }
    }
}
