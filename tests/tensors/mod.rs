//! Tensors for numerical tests, and their numbers.
#![allow(dead_code, reason = "a test uses a part")]

use candle_core::{DType, Device, Tensor};
use seglab::random::Random;

/// Normally distributed f64 numbers, the same for the same seed.
pub fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut draws = Random::new(seed);
    let data: Vec<f64> = (0..shape.iter().product()).map(|_| draws.normal()).collect();
    Tensor::from_vec(data, shape, &Device::Cpu).unwrap()
}

/// All numbers, in order.
pub fn numbers(t: &Tensor) -> Vec<f64> {
    let t = t.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    t.to_vec1().unwrap()
}
