//! Arithmetic of 16-bit floats.

use candle_core::{DType, Tensor};

use crate::error::Result;

/// Run an operation on halves (f16, bf16) in single precision: they enter as f32 and leave as halves, so that what an operation adds
/// up is rounded once. Other types enter as they are.
pub fn in_single(x: &Tensor, work: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match x.dtype() {
        DType::F16 | DType::BF16 => Ok(work(&x.to_dtype(DType::F32)?)?.to_dtype(x.dtype())?),
        _ => work(x),
    }
}
