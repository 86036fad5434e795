//! The elements of a tensor as a list. Where it lies on a GPU this waits for it.

use candle_core::{DType, Device, Result, Tensor};

/// All elements in reading order, as f64.
pub fn numbers(t: &Tensor) -> Result<Vec<f64>> {
    listed(t, DType::F64)?.to_vec1()
}

/// All elements in reading order, as i64.
pub fn integers(t: &Tensor) -> Result<Vec<i64>> {
    listed(t, DType::I64)?.to_vec1()
}

fn listed(t: &Tensor, dtype: DType) -> Result<Tensor> {
    t.detach().to_device(&Device::Cpu)?.to_dtype(dtype)?.flatten_all()
}
