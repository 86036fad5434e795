//! Functions of each element. Integers are taken as `f32` where the function has fractions.

use candle_core::DType;

use super::{axis, float, in_single};
use crate::ops;
use crate::script::prelude::*;

/// A bound, which may be infinite as no other option may.
struct Limit(f64);

impl Arg for Limit {
    fn kind() -> String {
        <f64 as Arg>::kind()
    }
    fn wanted() -> String {
        "a number that is not NaN".into()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        f64::convert(value).filter(|bound| !bound.is_nan()).map(Limit)
    }
}

/// Declare the methods.
pub fn declare(table: &mut Table) {
    table.methods::<Tensor>(
        "Tensor",
        entries! {
            /// The exponential of each element.
            /// ```
            /// assert_eq(tensor::from([0]).exp(), tensor::from([1.0]));
            /// ```
            fn exp(ctx, t: Tensor) -> Tensor { each(ctx, &t, |t| Ok(t.exp()?)) }
            /// The natural logarithm of each element.
            /// ```
            /// assert_eq(tensor::from([1]).log(), tensor::from([0.0]));
            /// ```
            fn log(ctx, t: Tensor) -> Tensor { each(ctx, &t, |t| Ok(t.log()?)) }
            /// The square root of each element.
            /// ```
            /// assert_eq(tensor::from([4]).sqrt(), tensor::from([2.0]));
            /// ```
            fn sqrt(ctx, t: Tensor) -> Tensor { each(ctx, &t, |t| Ok(t.sqrt()?)) }
            /// The sine of each element.
            /// ```
            /// assert_eq(tensor::from([0.0]).sin(), tensor::from([0.0]));
            /// ```
            fn sin(ctx, t: Tensor) -> Tensor { each(ctx, &t, |t| Ok(t.sin()?)) }
            /// The cosine of each element.
            /// ```
            /// assert_eq(tensor::from([0.0]).cos(), tensor::from([1.0]));
            /// ```
            fn cos(ctx, t: Tensor) -> Tensor { each(ctx, &t, |t| Ok(t.cos()?)) }
            /// The absolute value of each element.
            /// ```
            /// assert_eq(tensor::from([-2, 3]).abs(), tensor::from([2, 3]));
            /// ```
            fn abs(ctx, t: Tensor) -> Tensor {
                Ok(match t.dtype() {
                    DType::U8 | DType::U32 => t,
                    DType::I64 => t.maximum(&t.affine(-1.0, 0.0)?)?,
                    // candle's own has the slope 1 at 0; PyTorch's is 0
                    _ => {
                        let (value, dtype) = (t.detach(), t.dtype());
                        let sign = (value.gt(0f64)?.to_dtype(dtype)? - value.lt(0f64)?.to_dtype(dtype)?)?;
                        (t * sign)?
                    }
                })
            }
            /// The square of each element.
            /// ```
            /// assert_eq(tensor::from([-3]).sqr(), tensor::from([9]));
            /// ```
            fn sqr(ctx, t: Tensor) -> Tensor {
                if t.dtype().is_float() {
                    return Ok(t.sqr()?);
                }
                let t = t.to_dtype(DType::I64)?;
                Ok((&t * &t)?)
            }
            /// Each element moved into [min, max]; either end may be left out.
            /// ```
            /// assert_eq(tensor::from([-1.0, 5.0]).clamp(0, 3), tensor::from([0.0, 3.0]));
            /// assert_eq(tensor::from([-1.0, 5.0]).clamp(#{ min: 0 }), tensor::from([0.0, 5.0]));
            /// ```
            fn clamp(ctx, t: Tensor, min: Option<Limit> = None, max: Option<Limit> = None) -> Tensor {
                let [min, max] = [min, max].map(|bound| bound.map(|b| b.0));
                let whole = min.is_none_or(|x| x.fract() == 0.0) && max.is_none_or(|x| x.fract() == 0.0);
                let mut t = match (t.dtype().is_float(), whole) {
                    (true, _) => t,
                    (false, true) => t.to_dtype(DType::I64)?,
                    (false, false) => t.to_dtype(DType::F32)?,
                };
                if let Some(low) = min {
                    t = t.maximum(low)?;
                }
                if let Some(high) = max {
                    t = t.minimum(high)?;
                }
                Ok(t)
            }
            /// Each element, or 0 if it is negative.
            /// ```
            /// assert_eq(tensor::from([-1.0, 2.0]).relu(), tensor::from([0.0, 2.0]));
            /// ```
            fn relu(ctx, t: Tensor) -> Tensor { in_single(&t, ops::relu) }
            /// The Gaussian error linear unit, x times the normal distribution's probability below x.
            /// ```
            /// assert_close(tensor::from([1.0]).gelu(), [0.841345]);
            /// ```
            fn gelu(ctx, t: Tensor) -> Tensor { each(ctx, &t, |t| Ok(t.gelu_erf()?)) }
            /// The logistic function 1 / (1 + exp(-x)) of each element.
            /// ```
            /// assert_eq(tensor::from([0.0]).sigmoid(), tensor::from([0.5]));
            /// ```
            fn sigmoid(ctx, t: Tensor) -> Tensor {
                // tanh does not overflow
                each(ctx, &t, |t| Ok(t.affine(0.5, 0.0)?.tanh()?.affine(0.5, 0.5)?))
            }
            /// The hyperbolic tangent of each element.
            /// ```
            /// assert_eq(tensor::from([0.0]).tanh(), tensor::from([0.0]));
            /// ```
            fn tanh(ctx, t: Tensor) -> Tensor { each(ctx, &t, |t| Ok(t.tanh()?)) }
            /// Softmax over `dim`, after division by `temperature`.
            /// ```
            /// let p = tensor::from([1, 2]).softmax(#{ temperature: 0.5 });
            /// assert_close(p.sum().item(), 1.0);
            /// ```
            fn softmax(ctx, t: Tensor, dim: i64 = -1, temperature: f64 = 1.0) -> Tensor {
                let (shifted, dim) = shifted(&t, temperature, dim)?;
                let e = shifted.exp()?;
                Ok(e.broadcast_div(&e.sum_keepdim(dim)?)?)
            }
            /// The logarithm of `softmax`, computed without overflow.
            /// ```
            /// assert_close(tensor::from([1.0, 1.0]).log_softmax(), [-0.693147, -0.693147]);
            /// ```
            fn log_softmax(ctx, t: Tensor, dim: i64 = -1, temperature: f64 = 1.0) -> Tensor {
                let (shifted, dim) = shifted(&t, temperature, dim)?;
                let total = shifted.exp()?.sum_keepdim(dim)?.log()?;
                Ok(shifted.broadcast_sub(&total)?)
            }
            /// Divide by the Euclidean norm over `dim`, at least `eps`.
            /// ```
            /// assert_close(tensor::from([3.0, 4.0]).normalize(0), [0.6, 0.8]);
            /// ```
            fn normalize(ctx, t: Tensor, dim: i64 = -1, eps: f64 = 1e-12) -> Tensor {
                let dim = axis(&t, dim)?;
                ops::normalize(&float(&t)?, dim, eps)
            }
        },
    );
}

/// A function of each element, as floats; Ctrl-C ends it between two parts of a large tensor.
fn each(ctx: &Call, t: &Tensor, work: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    ops::pieces::each(&float(t)?, &|| ctx.session().check_cancel(), work)
}

/// Logits over the temperature, moved so that the largest is 0.
fn shifted(t: &Tensor, temperature: f64, dim: i64) -> Result<(Tensor, usize)> {
    ensure!(
        temperature > 0.0,
        "the temperature must be positive, found {temperature}"
    );
    let dim = axis(t, dim)?;
    ensure!(t.dims()[dim] > 0, "dimension {dim} of {} is empty", t.brief());
    let scaled = float(t)?.affine(1.0 / temperature, 0.0)?;
    let largest = scaled.detach().max_keepdim(dim)?;
    Ok((scaled.broadcast_sub(&largest)?, dim))
}
