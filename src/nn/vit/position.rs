//! Position embeddings of a square grid for grids of other sizes.

use candle_core::Tensor;

use crate::error::Result;
use crate::ops::{Filter, resampled};

/// Embeddings [side^2, d] of a square grid as those of a grid of `rows` x `columns`: [d, rows * columns].
pub(super) fn on_grid(embeddings: &Tensor, [rows, columns]: [usize; 2], filter: Filter) -> Result<Tensor> {
    let (count, width) = embeddings.dims2()?;
    let side = count.isqrt();
    let maps = embeddings.t()?.contiguous()?.reshape((1, width, side, side))?;
    Ok(resampled(&maps, [rows, columns], filter)?.reshape((width, rows * columns))?)
}
