//! Powers.

use candle_core::{Device, Tensor};

use super::kernel::{by_dtype, on_gpu};
use super::operation;
use super::pointwise::{each, of_two};
use super::tape::Needs;
use crate::error::Result;

operation! {
/// `x^exponent`, element by element; the gradient is `exponent x^(exponent - 1)`, and 0 for the exponent 0. Any shape.
pub fn power(graph, x: &Tensor, exponent: f64) -> Result<Tensor> {
    if on_gpu(x.device()) {
        return Ok(match exponent {
            0.0 => x.ne(f64::INFINITY)?.where_cond(x, &x.zeros_like()?)?.affine(0.0, 1.0)?,
            1.0 => x.clone(),
            2.0 => x.sqr()?,
            _ => x.powf(exponent)?,
        });
    }
    Ok(by_dtype!(x, "power", T => {
        // the usual exponents cost what they must
        let raise = |x: T, exponent: f64| match exponent {
            1.0 => x,
            2.0 => x * x,
            3.0 => x * x * x,
            0.5 => x.sqrt(),
            _ => x.powf(exponent as T),
        };
        let slope = move |d: T, x: T| match exponent {
            0.0 => 0.0,
            _ => d * (exponent as T * raise(x, exponent - 1.0)),
        };
        each::<T>(graph, "power", x, move |x| raise(x, exponent), Needs::ARGUMENT, slope)
    })?)
}
}

operation! {
/// `base^exponent`, element by element, repeated to one shape. The gradients are PyTorch's: that of the base is 0 for the exponent 0, that
/// of the exponent is 0 for the base 0 (of exponents that are not negative).
///
/// # Errors
/// Shapes that cannot be repeated to one.
pub fn power_of(graph, base: &Tensor, exponent: &Tensor) -> Result<Tensor> {
    if on_gpu(base.device()) {
        let result = power_of(&base.to_device(&Device::Cpu)?, &exponent.to_device(&Device::Cpu)?)?;
        return Ok(result.to_device(base.device())?);
    }
    Ok(by_dtype!(base, "power", T => {
        let of_base = |d: T, x: T, e: T| if e == 0.0 { 0.0 } else { d * (e * x.powf(e - 1.0)) };
        let of_exponent = |d: T, x: T, e: T| if x == 0.0 && e >= 0.0 { 0.0 } else { d * (x.powf(e) * x.ln()) };
        of_two::<T, _, _>(graph, "power", base, exponent, |x, e| x.powf(e), (of_base, of_exponent))
    })?)
}
}
