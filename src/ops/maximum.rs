//! The larger and the smaller of two tensors.

use candle_core::Tensor;

use super::kernel::{by_dtype, on_gpu};
use super::operation;
use super::pointwise::{common, of_two};
use super::tape::Graph;
use crate::error::Result;

operation! {
/// The larger of `a` and `b`, element by element, repeated to one shape; NaN where one of them is. Equal ones share the gradient, as
/// PyTorch's.
///
/// # Errors
/// Shapes that cannot be repeated to one.
pub fn maximum(graph, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    chosen::<true>(graph, a, b)
}
}

operation! {
/// The smaller of `a` and `b`, as [`maximum`].
///
/// # Errors
/// Shapes that cannot be repeated to one.
pub fn minimum(graph, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    chosen::<false>(graph, a, b)
}
}

fn chosen<const LARGER: bool>(graph: Graph, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if on_gpu(a.device()) || a.dtype().is_int() {
        let shape = common("maximum", a.dims(), b.dims())?;
        let to_shape = |t: &Tensor| t.broadcast_as(shape.as_slice())?.contiguous();
        let (a, b) = (to_shape(a)?, to_shape(b)?);
        let best = if LARGER { a.maximum(&b)? } else { a.minimum(&b)? };
        let best = a.ne(&a)?.where_cond(&a, &best)?;
        return Ok(b.ne(&b)?.where_cond(&b, &best)?);
    }
    Ok(by_dtype!(a, "maximum", T => {
        // as comparisons with NaN are false, the second is taken unless the first is better or no number
        let larger = |a: T, b: T| if (if LARGER { a > b } else { a < b }) || a.is_nan() { a } else { b };
        let share = |d: T, own: T, other: T| {
            let loses = if LARGER { own < other } else { own > other };
            if own == other { 0.5 * d } else if loses { 0.0 } else { d }
        };
        of_two::<T, _, _>(graph, "maximum", a, b, larger, (share, move |d, a, b| share(d, b, a)))
    })?)
}
