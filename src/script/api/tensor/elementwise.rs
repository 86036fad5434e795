//! Functions of each element. Integers are taken as `f32` where the function has fractions.

use candle_core::DType;

use super::arithmetic::{eq, maximum, minimum, ne, pow, sub};
use super::{Operand, axis, in_single};
use crate::ops::{self, Graph};
use crate::script::prelude::*;

/// A number that may be infinite as no other option may.
pub(super) struct Limit(pub(super) Operand);

impl Arg for Limit {
    fn kind() -> String {
        <f64 as Arg>::kind()
    }
    const WANTED: &'static str = "a number that is not NaN";
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
    table.methods::<Tensor>(entries! {
        /// The exponential of each element.
        /// ```
        /// assert_eq(tensor::from([0]).exp(), tensor::from([1.0]));
        /// ```
        fn exp(ctx, t: Tensor) -> Tensor { each(ctx, &t, Graph::exp) }
        /// The natural logarithm of each element.
        /// ```
        /// assert_eq(tensor::from([1]).log(), tensor::from([0.0]));
        /// ```
        fn log(ctx, t: Tensor) -> Tensor { each(ctx, &t, Graph::log) }
        /// The square root of each element.
        /// ```
        /// assert_eq(tensor::from([4]).sqrt(), tensor::from([2.0]));
        /// ```
        fn sqrt(ctx, t: Tensor) -> Tensor { each(ctx, &t, Graph::sqrt) }
        /// The sine of each element.
        /// ```
        /// assert_eq(tensor::from([0.0]).sin(), tensor::from([0.0]));
        /// ```
        fn sin(ctx, t: Tensor) -> Tensor { each(ctx, &t, Graph::sin) }
        /// The cosine of each element.
        /// ```
        /// assert_eq(tensor::from([0.0]).cos(), tensor::from([1.0]));
        /// ```
        fn cos(ctx, t: Tensor) -> Tensor { each(ctx, &t, Graph::cos) }
        /// The absolute value of each element.
        /// ```
        /// assert_eq(tensor::from([-2, 3]).abs(), tensor::from([2, 3]));
        /// ```
        fn abs(ctx, t: Tensor) -> Tensor {
            Ok(match t.dtype() {
                DType::U8 | DType::U32 => t,
                DType::I64 => t.maximum(&t.affine(-1.0, 0.0)?)?,
                _ => each(ctx, &t, Graph::abs)?,
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
            let distance = sub(Graph::default(), Operand::Tensor(t.detach()), Operand::Tensor(t.detach()))?;
            eq(Operand::Tensor(distance), Operand::Int(0))
        }
        /// The square of each element.
        /// ```
        /// assert_eq(tensor::from([-3]).sqr(), tensor::from([9]));
        /// ```
        fn sqr(ctx, t: Tensor) -> Tensor {
            pow(ctx.graph(&[&t]), Operand::Tensor(t), Operand::Int(2))
        }
        /// Each element moved into [min, max]; either end may be left out.
        /// ```
        /// assert_eq(tensor::from([-1.0, 5.0]).clamp(0, 3), tensor::from([0.0, 3.0]));
        /// assert_eq(tensor::from([-1.0, 5.0]).clamp(#{ min: 0 }), tensor::from([0.0, 5.0]));
        /// ```
        fn clamp(ctx, t: Tensor, min: Option<Limit> = None, max: Option<Limit> = None) -> Tensor {
            clamp(ctx, t, min.map(|end| end.0), max.map(|end| end.0))
        }
        /// Each element, or 0 if it is negative.
        /// ```
        /// assert_eq(tensor::from([-1.0, 2.0]).relu(), tensor::from([0.0, 2.0]));
        /// ```
        fn relu(ctx, t: Tensor) -> Tensor { each(ctx, &t, Graph::relu) }
        /// The Gaussian error linear unit, x times the normal distribution's probability below x.
        /// ```
        /// assert_close(tensor::from([1.0]).gelu(), [0.841345]);
        /// ```
        fn gelu(ctx, t: Tensor) -> Tensor { each(ctx, &t, Graph::gelu) }
        /// The sigmoid linear unit, x times its logistic function.
        /// ```
        /// assert_close(tensor::from([1.0]).silu(), [0.731059]);
        /// ```
        fn silu(ctx, t: Tensor) -> Tensor { each(ctx, &t, Graph::silu) }
        /// Each element, or `negative_slope` times it if it is negative.
        /// ```
        /// assert_close(tensor::from([-1.0, 2.0]).leaky_relu(), [-0.01, 2.0]);
        /// ```
        fn leaky_relu(ctx, t: Tensor, negative_slope: f64 = 0.01) -> Tensor {
            each(ctx, &t, |graph, t| graph.leaky_relu(t, negative_slope))
        }
        /// The logarithm of 1 + exp(`beta` x), over `beta`; x itself where `beta` x is above `threshold`.
        /// ```
        /// assert_close(tensor::from([0.0, 30.0]).softplus(), [log(2.0), 30.0]);
        /// ```
        fn softplus(ctx, t: Tensor, beta: f64 = 1.0, threshold: f64 = 20.0) -> Tensor {
            each(ctx, &t, |graph, t| graph.softplus(t, beta, threshold))
        }
        /// The error function of each element.
        /// ```
        /// assert_close(tensor::from([0.5]).erf(), [0.5205]);
        /// ```
        fn erf(ctx, t: Tensor) -> Tensor { each(ctx, &t, Graph::erf) }
        /// The logistic function 1 / (1 + exp(-x)) of each element.
        /// ```
        /// assert_eq(tensor::from([0.0]).sigmoid(), tensor::from([0.5]));
        /// ```
        fn sigmoid(ctx, t: Tensor) -> Tensor { each(ctx, &t, Graph::sigmoid) }
        /// The hyperbolic tangent of each element.
        /// ```
        /// assert_eq(tensor::from([0.0]).tanh(), tensor::from([0.0]));
        /// ```
        fn tanh(ctx, t: Tensor) -> Tensor { each(ctx, &t, Graph::tanh) }
        /// Softmax over `dim`, after division by `temperature`.
        /// ```
        /// let p = tensor::from([1, 2]).softmax(#{ temperature: 0.5 });
        /// assert_close(p.sum().item(), 1.0);
        /// ```
        fn softmax(ctx, t: Tensor, dim: i64 = -1, temperature: f64 = 1.0) -> Tensor {
            tempered(ctx, &t, temperature, dim, Graph::softmax)
        }
        /// The logarithm of `softmax`, computed without overflow.
        /// ```
        /// assert_close(tensor::from([1.0, 1.0]).log_softmax(), [-0.693147, -0.693147]);
        /// ```
        fn log_softmax(ctx, t: Tensor, dim: i64 = -1, temperature: f64 = 1.0) -> Tensor {
            tempered(ctx, &t, temperature, dim, Graph::log_softmax)
        }
        /// Divide by the Euclidean norm over `dim`, at least `eps`.
        /// ```
        /// assert_close(tensor::from([3.0, 4.0]).normalize(0), [0.6, 0.8]);
        /// ```
        fn normalize(ctx, t: Tensor, dim: i64 = -1, eps: f64 = 1e-12) -> Tensor {
            let dim = axis(&t, dim)?;
            in_single(&t, |x| ctx.graph(&[&t]).normalize(x, dim, eps))
        }
    });
}

/// A function of each element, as floats; Ctrl-C ends it between two parts of a large tensor.
fn each<'a>(ctx: &'a Call, t: &Tensor, work: impl Fn(Graph<'a>, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let graph = ctx.graph(&[t]);
    in_single(t, |t| {
        ops::pieces::each(t, &|| ctx.session().check_cancel(), |t| work(graph, t))
    })
}

/// The elements moved between two numbers; what was moved, stood on an end or is NaN has the slope 0.
fn clamp(ctx: &Call, t: Tensor, min: Option<Operand>, max: Option<Operand>) -> Result<Tensor> {
    let whole = |n: &Option<Operand>| !matches!(n, Some(Operand::Float(f)) if f.fract() != 0.0);
    if t.dtype().is_int() && whole(&min) && whole(&max) {
        let end = |end: Operand| match end {
            Operand::Float(f) => Operand::Int(f as i64),
            end => end,
        };
        let least = min.map_or(Ok(t.clone()), |n| maximum(Graph::default(), Operand::Tensor(t), end(n)))?;
        return max.map_or(Ok(least.clone()), |n| {
            minimum(Graph::default(), Operand::Tensor(least), end(n))
        });
    }
    let end = |n: Option<Operand>, none: f64| match n {
        Some(Operand::Float(f)) => f,
        Some(Operand::Int(i)) => i as f64,
        _ => none,
    };
    let (low, high) = (end(min, f64::NEG_INFINITY), end(max, f64::INFINITY));
    each(ctx, &t, |graph, t| graph.clamp(t, low, high))
}

type Softmax<'a> = fn(Graph<'a>, &Tensor, usize) -> Result<Tensor>;

/// A softmax of logits over the temperature.
fn tempered<'a>(ctx: &'a Call, t: &Tensor, temperature: f64, dim: i64, softmax: Softmax<'a>) -> Result<Tensor> {
    ensure!(
        temperature > 0.0,
        "the temperature must be positive, found {temperature}"
    );
    let dim = axis(t, dim)?;
    ensure!(t.dims()[dim] > 0, "dimension {dim} of {} is empty", t.brief());
    let graph = ctx.graph(&[t]);
    in_single(t, |t| match temperature {
        1.0 => softmax(graph, t, dim),
        _ => softmax(graph, &graph.affine(t, 1.0 / temperature, 0.0)?, dim),
    })
}
