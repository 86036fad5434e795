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

/// Element `i` of the tensor of this name: SplitMix64 of FNV-1a(name) + i, as a number in [-1, 1).
pub fn uniform(name: &str, count: usize) -> Vec<f64> {
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let draw = |i: u64| {
        let mut x = hash.wrapping_add(i);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 * 2f64.powi(-52) - 1.0
    };
    (0..count as u64).map(draw).collect()
}

/// The numbers of the tensor of this name, by the formula of `tests/golden/make_golden_models.py`.
pub fn value(name: &str, shape: &[usize]) -> Tensor {
    let mut u = uniform(name, shape.iter().product());
    let (offset, factor) = match shape {
        [_, i, h, w] => (0.0, (3.0 / (i * h * w) as f64).sqrt()),
        [_, i] => (0.0, (3.0 / *i as f64).sqrt()),
        _ if name.ends_with("running_mean") => (0.0, 0.1),
        _ if name.ends_with("running_var") => (1.0, 0.3),
        _ if name.ends_with("weight") => (1.0, 0.2),
        _ => (0.0, 0.1),
    };
    u.iter_mut().for_each(|x| *x = offset + factor * *x);
    Tensor::from_vec(u, shape, &Device::Cpu).unwrap()
}
