//! Functions of each element.

use candle_core::cpu::erf::erf_f64;
use candle_core::{Device, Tensor, WithDType};

use super::kernel::{by_dtype, on_gpu};
use super::operation;
use super::pointwise::each;
use super::tape::Needs;
use crate::error::{POSITIVE, Result, in_range};

/// Operations that are one function: what a GPU has for it, the function, and the argument's gradient from the result's and from the
/// argument or the result.
macro_rules! functions {
    ($($(#[$meta:meta])* $name:ident: $gpu:expr; |$x:ident| $value:expr; $reads:ident |$d:ident, $v:ident| $gradient:expr;)*) => {$(
        operation! {
        $(#[$meta])*
        pub fn $name(graph, x: &Tensor) -> Result<Tensor> {
            if on_gpu(x.device()) {
                let gpu: fn(&Tensor) -> candle_core::Result<Tensor> = $gpu;
                return Ok(gpu(x)?);
            }
            Ok(by_dtype!(x, stringify!($name), T => {
                each::<T>(graph, stringify!($name), x, |$x: T| $value, Needs::$reads, |$d: T, $v: T| $gradient)
            })?)
        }
        }
    )*};
}

functions! {
    /// The exponential.
    exp: Tensor::exp; |x| T::exp(x); RESULT |d, y| d * y;
    /// The natural logarithm.
    log: Tensor::log; |x| T::ln(x); ARGUMENT |d, x| d / x;
    /// The square root.
    sqrt: Tensor::sqrt; |x| T::sqrt(x); RESULT |d, y| 0.5 * d / y;
    /// The sine.
    sin: Tensor::sin; |x| T::sin(x); ARGUMENT |d, x| d * T::cos(x);
    /// The cosine.
    cos: Tensor::cos; |x| T::cos(x); ARGUMENT |d, x| -d * T::sin(x);
    /// The hyperbolic tangent.
    tanh: Tensor::tanh; |x| T::tanh(x); RESULT |d, y| d * (1.0 - y * y);
    /// The logistic function `1 / (1 + exp(-x))`.
    sigmoid: |x| x.affine(0.5, 0.0)?.tanh()?.affine(0.5, 0.5); |x| 1.0 / (1.0 + T::exp(-x)); RESULT |d, y| d * (y * (1.0 - y));
    /// `x` times its logistic function.
    silu: Tensor::silu; |x| x / (1.0 + T::exp(-x)); ARGUMENT |d, x| {
        let s = 1.0 / (1.0 + T::exp(-x));
        d * (s * (1.0 + x * (1.0 - s)))
    };
    /// The error function.
    erf: Tensor::erf; |x| erf_f64(x.to_f64()) as T; ARGUMENT |d, x| d * (std::f64::consts::FRAC_2_SQRT_PI as T * T::exp(-x * x));
    /// The absolute value; its slope at 0 is 0, as PyTorch's.
    abs: absolute; |x| T::abs(x); ARGUMENT |d, x| if x > 0.0 { d } else if x < 0.0 { -d } else { 0.0 };
}

/// On a GPU: candle's own has the slope 1 at 0.
fn absolute(x: &Tensor) -> candle_core::Result<Tensor> {
    let (value, dtype) = (x.detach(), x.dtype());
    let sign = (value.gt(0f64)?.to_dtype(dtype)? - value.lt(0f64)?.to_dtype(dtype)?)?;
    x * sign
}

operation! {
/// `x` where it is above 0, else `slope x`; the gradient at 0 is `slope`, as PyTorch's. Any shape.
pub fn leaky_relu(graph, x: &Tensor, slope: f64) -> Result<Tensor> {
    if on_gpu(x.device()) {
        let value = x.detach();
        let one = value.ones_like()?;
        let factor = value.gt(0f64)?.where_cond(&one, &(&one * slope)?)?;
        return Ok((x * factor)?);
    }
    Ok(by_dtype!(x, "leaky_relu", T => {
        let slope = slope as T;
        let factor = move |x: T| if x > 0.0 { 1.0 } else { slope };
        each::<T>(graph, "leaky_relu", x, move |x| x * factor(x), Needs::ARGUMENT, move |d, x| d * factor(x))
    })?)
}
}

operation! {
/// `log(1 + exp(beta x)) / beta`, and `x` where `beta x` is above `threshold`. Any shape.
///
/// # Errors
/// `beta` that is not above 0.
pub fn softplus(graph, x: &Tensor, beta: f64, threshold: f64) -> Result<Tensor> {
    in_range("softplus", "beta", beta, POSITIVE)?;
    if on_gpu(x.device()) {
        return Ok(softplus(&x.to_device(&Device::Cpu)?, beta, threshold)?.to_device(x.device())?);
    }
    Ok(by_dtype!(x, "softplus", T => {
        let value = move |x: T| {
            let z = x.to_f64() * beta;
            if z > threshold { x } else { (z.exp().ln_1p() / beta) as T }
        };
        let slope = move |x: T| {
            let z = x.to_f64() * beta;
            if z > threshold { 1.0 } else { (1.0 / (1.0 + (-z).exp())) as T }
        };
        each::<T>(graph, "softplus", x, value, Needs::ARGUMENT, move |d, x| d * slope(x))
    })?)
}
}

operation! {
/// `x` moved between `low` and `high`; the slope is 0 where it was moved or stood on an end.
pub fn clamp(graph, x: &Tensor, low: f64, high: f64) -> Result<Tensor> {
    if on_gpu(x.device()) {
        let value = x.detach();
        let inside = (value.gt(low)? * value.lt(high)?)?;
        let end = value.maximum(low)?.minimum(high)?;
        let end = value.ne(&value)?.where_cond(&value, &end)?;
        return Ok(inside.where_cond(x, &end)?);
    }
    Ok(by_dtype!(x, "clamp", T => {
        let (low, high) = (low as T, high as T);
        let value = move |x: T| {
            let x = if x < low { low } else { x };
            if x > high { high } else { x }
        };
        let slope = move |d: T, x: T| if x > low && x < high { d } else { 0.0 };
        each::<T>(graph, "clamp", x, value, Needs::ARGUMENT, slope)
    })?)
}
}
