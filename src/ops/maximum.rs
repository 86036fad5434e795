//! The larger and the smaller of two tensors.

use candle_core::Tensor;

use super::kernel::cpu::fill_by;
use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::tape::Graph;
use crate::ensure;
use crate::error::Result;

/// The larger of `a` and `b`, element by element, NaN where one of them is. Equal ones share the gradient, as PyTorch's. One shape.
///
/// # Errors
/// Shapes that differ.
pub fn maximum(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    chosen::<true>(a, b)
}

/// The smaller of `a` and `b`, as [`maximum`].
///
/// # Errors
/// Shapes that differ.
pub fn minimum(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    chosen::<false>(a, b)
}

fn chosen<const LARGER: bool>(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    ensure!(
        a.dims() == b.dims(),
        "maximum: {:?} and {:?} must have one shape",
        a.dims(),
        b.dims()
    );
    if on_gpu(a.device()) || a.dtype().is_int() {
        let best = if LARGER { a.maximum(b)? } else { a.minimum(b)? };
        let best = a.ne(a)?.where_cond(a, &best)?;
        return Ok(b.ne(b)?.where_cond(b, &best)?);
    }
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    Ok(by_dtype!(a, "maximum", T => {
        // as comparisons with NaN are false, the second is taken unless the first is better or no number
        let first = |a: T, b: T| (if LARGER { a > b } else { a < b }) || a.is_nan();
        let result = {
            let (a, b) = (View::<T>::of(&a)?, View::<T>::of(&b)?);
            fill_by(a.len(), |at, out| {
                for ((o, a), b) in out.iter_mut().zip(&a[at..]).zip(&b[at..]) {
                    o.write(if first(*a, *b) { *a } else { *b });
                }
            })
        };
        Graph::default().record("maximum", &[&a, &b], output(result, a.shape()), move |arguments, _, gradient| {
            let (a, b) = (View::<T>::of(arguments[0])?, View::<T>::of(arguments[1])?);
            let dy = View::<T>::of(gradient)?;
            let share = |a: &[T], b: &[T]| {
                let share = fill_by(a.len(), |at, out| {
                    for (((o, a), b), d) in out.iter_mut().zip(&a[at..]).zip(&b[at..]).zip(&dy[at..]) {
                        let loses = if LARGER { a < b } else { a > b };
                        o.write(if a == b { 0.5 * d } else if loses { 0.0 } else { *d });
                    }
                });
                Some(plain(share, gradient.shape()))
            };
            Ok(vec![share(&a, &b), share(&b, &a)])
        })
    })?)
}
