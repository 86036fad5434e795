//! Sums of gradients.

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, TensorId};

use super::kernel::{by_dtype, on_gpu, plain};
use super::pointwise::pairs;
use crate::error::Result;

/// `sum` with the gradients of `other` added.
pub fn add_gradients(mut sum: GradStore, other: &GradStore) -> Result<GradStore> {
    for id in other.get_ids() {
        if let Some(part) = other.get_id(*id) {
            accumulate(&mut sum, *id, part.clone())?;
        }
    }
    Ok(sum)
}

/// Add `part` to the gradient of `id`.
pub(super) fn accumulate(gradients: &mut GradStore, id: TensorId, part: Tensor) -> Result<()> {
    let sum = match gradients.get_id(id) {
        Some(old) => sum(old, part)?,
        None => part,
    };
    gradients.insert_id(id, sum);
    Ok(())
}

/// The sum of two gradients, outside any graph.
pub(super) fn sum(a: &Tensor, b: Tensor) -> Result<Tensor> {
    if on_gpu(a.device()) || !matches!(a.dtype(), DType::F32 | DType::F64) {
        return Ok((a.detach() + b.detach())?);
    }
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    Ok(by_dtype!(a, "backward", T => {
        pairs::<T>(a.dims(), &a, &b, |a, b| a + b).map(|sum| plain(sum, a.shape()))
    })?)
}
