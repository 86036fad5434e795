//! Functions of each element. Integers are taken as `f32` where the function has fractions.

use candle_core::DType;

use super::arithmetic::{eq, gt, lt, ne, pow, select, sub};
use super::{Operand, axis, float, in_single};
use crate::ops;
use crate::ops::reduce::{self, expand};
use crate::script::prelude::*;

/// A number that may be infinite as no other option may.
pub(super) struct Limit(pub(super) Operand);

impl Arg for Limit {
    fn kind() -> String {
        <f64 as Arg>::kind()
    }
    fn wanted() -> String {
        "a number that is not NaN".into()
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        match Operand::convert(value)? {
            Operand::Float(f) if f.is_nan() => None,
            Operand::Tensor(_) => None,
            number => Some(Limit(number)),
        }
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
            /// Where the elements are not a number: a mask.
            /// ```
            /// assert_eq(tensor::from([1.0, 0.0 / 0.0]).isnan().to_array(), [0, 1]);
            /// ```
            fn isnan(ctx, t: Tensor) -> Tensor { ne(Operand::Tensor(t.clone()), Operand::Tensor(t)) }
            /// Where the elements are neither infinite nor NaN: a mask.
            /// ```
            /// assert_eq(tensor::from([1.0, 1.0 / 0.0, 0.0 / 0.0]).isfinite().to_array(), [1, 0, 0]);
            /// ```
            fn isfinite(ctx, t: Tensor) -> Tensor {
                let distance = sub(Operand::Tensor(t.detach()), Operand::Tensor(t.detach()))?;
                eq(Operand::Tensor(distance), Operand::Int(0))
            }
            /// The square of each element.
            /// ```
            /// assert_eq(tensor::from([-3]).sqr(), tensor::from([9]));
            /// ```
            fn sqr(ctx, t: Tensor) -> Tensor {
                pow(Operand::Tensor(t), Operand::Int(2))
            }
            /// Each element moved into [min, max]; either end may be left out.
            /// ```
            /// assert_eq(tensor::from([-1.0, 5.0]).clamp(0, 3), tensor::from([0.0, 3.0]));
            /// assert_eq(tensor::from([-1.0, 5.0]).clamp(#{ min: 0 }), tensor::from([0.0, 5.0]));
            /// ```
            fn clamp(ctx, t: Tensor, min: Option<Limit> = None, max: Option<Limit> = None) -> Tensor {
                clamp(t, min.map(|end| end.0), max.map(|end| end.0))
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
            /// The sigmoid linear unit, x times its logistic function.
            /// ```
            /// assert_close(tensor::from([1.0]).silu(), [0.731059]);
            /// ```
            fn silu(ctx, t: Tensor) -> Tensor { each(ctx, &t, |t| Ok(t.silu()?)) }
            /// Each element, or `negative_slope` times it if it is negative.
            /// ```
            /// assert_close(tensor::from([-1.0, 2.0]).leaky_relu(), [-0.01, 2.0]);
            /// ```
            fn leaky_relu(ctx, t: Tensor, negative_slope: f64 = 0.01) -> Tensor {
                each(ctx, &t, |t| ops::leaky_relu(t, negative_slope))
            }
            /// The logarithm of 1 + exp(`beta` x), over `beta`; x itself where `beta` x is above `threshold`.
            /// ```
            /// assert_close(tensor::from([0.0, 30.0]).softplus(), [log(2.0), 30.0]);
            /// ```
            fn softplus(ctx, t: Tensor, beta: f64 = 1.0, threshold: f64 = 20.0) -> Tensor {
                each(ctx, &t, |t| ops::softplus(t, beta, threshold))
            }
            /// The error function of each element.
            /// ```
            /// assert_close(tensor::from([0.5]).erf(), [0.5205]);
            /// ```
            fn erf(ctx, t: Tensor) -> Tensor { each(ctx, &t, |t| Ok(t.erf()?)) }
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
                tempered(&t, temperature, dim, |shifted, dim| {
                    let e = shifted.exp()?;
                    let total = expand(&reduce::sum(&e, &[dim])?, e.dims())?;
                    Ok((e / total)?)
                })
            }
            /// The logarithm of `softmax`, computed without overflow.
            /// ```
            /// assert_close(tensor::from([1.0, 1.0]).log_softmax(), [-0.693147, -0.693147]);
            /// ```
            fn log_softmax(ctx, t: Tensor, dim: i64 = -1, temperature: f64 = 1.0) -> Tensor {
                tempered(&t, temperature, dim, |shifted, dim| {
                    let total = reduce::sum(&shifted.exp()?, &[dim])?.log()?;
                    Ok((shifted - expand(&total, shifted.dims())?)?)
                })
            }
            /// Divide by the Euclidean norm over `dim`, at least `eps`.
            /// ```
            /// assert_close(tensor::from([3.0, 4.0]).normalize(0), [0.6, 0.8]);
            /// ```
            fn normalize(ctx, t: Tensor, dim: i64 = -1, eps: f64 = 1e-12) -> Tensor {
                let dim = axis(&t, dim)?;
                in_single(&t, |t| ops::normalize(t, dim, eps))
            }
        },
    );
}

/// A function of each element, as floats; Ctrl-C ends it between two parts of a large tensor.
fn each(ctx: &Call, t: &Tensor, work: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    in_single(t, |t| ops::pieces::each(t, &|| ctx.session().check_cancel(), work))
}

/// The elements moved between two numbers; what was moved, stood on an end or is NaN has the slope 0.
fn clamp(t: Tensor, min: Option<Operand>, max: Option<Operand>) -> Result<Tensor> {
    let whole = |n: &Option<Operand>| !matches!(n, Some(Operand::Float(f)) if f.fract() != 0.0);
    let t = if t.dtype().is_int() && !(whole(&min) && whole(&max)) {
        float(&t)?
    } else {
        t
    };
    let mut moved = t.detach();
    let mut inside = moved.eq(&moved)?;
    type Compare = fn(Operand, Operand) -> Result<Tensor>;
    let ends: [(Option<Operand>, Compare, Compare); 2] = [(min, lt, gt), (max, gt, lt)];
    for (end, outside, within) in ends {
        let end = match end {
            None => continue,
            Some(Operand::Float(f)) if t.dtype().is_int() => Operand::Int(f as i64),
            Some(end) => end,
        };
        inside = (inside * within(Operand::Tensor(t.clone()), end.clone())?)?;
        moved = select(
            &outside(Operand::Tensor(moved.clone()), end.clone())?,
            end,
            Operand::Tensor(moved),
        )?;
    }
    select(&inside, Operand::Tensor(t), Operand::Tensor(moved))
}

/// What `work` makes of logits over the temperature, moved so that the largest is 0, and of the dimension.
fn tempered(t: &Tensor, temperature: f64, dim: i64, work: impl Fn(&Tensor, usize) -> Result<Tensor>) -> Result<Tensor> {
    ensure!(
        temperature > 0.0,
        "the temperature must be positive, found {temperature}"
    );
    let dim = axis(t, dim)?;
    ensure!(t.dims()[dim] > 0, "dimension {dim} of {} is empty", t.brief());
    in_single(t, |t| {
        let scaled = t.affine(1.0 / temperature, 0.0)?;
        let largest = reduce::largest(&scaled.detach(), &[dim])?;
        work(&scaled.broadcast_sub(&largest)?, dim)
    })
}
