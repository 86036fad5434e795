//! Functions of each element of one tensor, or of two that are repeated to one shape, and their gradients.

mod walk;

use candle_core::{Result as EngineResult, Shape, Tensor};

use super::kernel::cpu::{fill_by, filled};
use super::kernel::{Element, View, output, plain};
use super::reduce::summed;
use super::tape::{Graph, Kept, Needs};
use walk::Walk;

/// The shape that tensors of both shapes are repeated to: from the last dimension on sizes are equal, or one of them is 1.
pub(super) fn common(name: &str, a: &[usize], b: &[usize]) -> EngineResult<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |dims: &[usize], d: usize| (d + dims.len()).checked_sub(rank).map_or(1, |d| dims[d]);
    let mut shape = Vec::with_capacity(rank);
    for d in 0..rank {
        shape.push(match (size(a, d), size(b, d)) {
            (x, y) if x == y || y == 1 => x,
            (1, y) => y,
            _ => candle_core::bail!(
                "{name}: {a:?} and {b:?} do not go together; sizes must be equal or 1, counted from the last dimension"
            ),
        });
    }
    Ok(shape)
}

/// `f` of every element of `x`; its gradient is `slope` of the result's and of the element that it `reads`: of the result if that is
/// among them, else of `x`.
pub(super) fn each<T: Element>(
    graph: Graph,
    name: &'static str,
    x: &Tensor,
    f: impl Fn(T) -> T + Sync + Send,
    reads: Needs,
    slope: impl Fn(T, T) -> T + Sync + Send + 'static,
) -> EngineResult<Tensor> {
    let x = x.contiguous()?;
    let result = {
        let x = View::<T>::of(&x)?;
        let x: &[T] = &x;
        fill_by(x.len(), |at, out| {
            for (o, x) in out.iter_mut().zip(&x[at..]) {
                o.write(f(*x));
            }
        })
    };
    let output = output(result, x.shape());
    graph.record(name, &[&x], reads, output, move |arguments, result, gradient| {
        let read = if reads.result { result } else { arguments[0] };
        let dx = pairs::<T>(gradient.dims(), gradient, read, &slope)?;
        Ok(vec![Some(plain(dx, gradient.shape()))])
    })
}

/// One side of a function of two: its sizes, and what its gradient is computed from; nothing where none is wanted.
struct Side {
    dims: Shape,
    reads: Option<[Kept; 2]>,
}

/// `f` of the elements of `a` and `b`, which are repeated to one shape; their gradients are `slopes` of the result's gradient and of
/// both elements, added up where the tensor was repeated.
pub(super) fn of_two<T: Element, A, B>(
    graph: Graph,
    name: &'static str,
    a: &Tensor,
    b: &Tensor,
    f: impl Fn(T, T) -> T + Sync + Send,
    slopes: (A, B),
) -> EngineResult<Tensor>
where
    A: Fn(T, T, T) -> T + Sync + Send + 'static,
    B: Fn(T, T, T) -> T + Sync + Send + 'static,
{
    let shape = common(name, a.dims(), b.dims())?;
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    let result = pairs::<T>(&shape, &a, &b, f)?;
    let side = |t: &Tensor| Side {
        dims: t.shape().clone(),
        reads: t.track_op().then(|| [graph.keep(&a), graph.keep(&b)]),
    };
    let (side_a, side_b) = (side(&a), side(&b));
    graph.record_light(name, &[&a, &b], output(result, shape), move |gradient| {
        Ok(vec![
            side_a.gradient(gradient, &slopes.0)?,
            side_b.gradient(gradient, &slopes.1)?,
        ])
    })
}

impl Side {
    fn gradient<T: Element>(
        &self,
        gradient: &Tensor,
        slope: &(impl Fn(T, T, T) -> T + Sync + Send),
    ) -> EngineResult<Option<Tensor>> {
        let Some([a, b]) = &self.reads else { return Ok(None) };
        let (a, b) = (a.value(gradient)?, b.value(gradient)?);
        let each = triples(gradient, &a, &b, slope)?;
        Ok(Some(summed(plain(each, gradient.shape()), self.dims.dims())?))
    }
}

/// `f` of the elements of two contiguous tensors that are repeated to `shape`.
pub(super) fn pairs<T: Element>(
    shape: &[usize],
    a: &Tensor,
    b: &Tensor,
    f: impl Fn(T, T) -> T + Sync + Send,
) -> EngineResult<Vec<T>> {
    let walk = Walk::new(shape, [a.dims(), b.dims()]);
    let (a, b) = (View::<T>::of(a)?, View::<T>::of(b)?);
    let (a, b): (&[T], &[T]) = (&a, &b);
    Ok(fill_by(shape.iter().product(), |at, out| {
        walk.runs(at, out.len(), |range, [i, j], repeated| {
            let out = &mut out[range];
            let n = out.len();
            match repeated {
                [false, false] => {
                    for ((o, a), b) in out.iter_mut().zip(&a[i..i + n]).zip(&b[j..j + n]) {
                        o.write(f(*a, *b));
                    }
                }
                [false, true] => {
                    let b = b[j];
                    for (o, a) in out.iter_mut().zip(&a[i..i + n]) {
                        o.write(f(*a, b));
                    }
                }
                [true, true] => {
                    filled(out, f(a[i], b[j]));
                }
                [true, false] => {
                    let a = a[i];
                    for (o, b) in out.iter_mut().zip(&b[j..j + n]) {
                        o.write(f(a, *b));
                    }
                }
            }
        });
    }))
}

/// `f` of the elements of a contiguous tensor and of two that are repeated to its shape.
pub(super) fn triples<T: Element>(
    d: &Tensor,
    a: &Tensor,
    b: &Tensor,
    f: impl Fn(T, T, T) -> T + Sync + Send,
) -> EngineResult<Vec<T>> {
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    let walk = Walk::new(d.dims(), [a.dims(), b.dims()]);
    let (d, a, b) = (View::<T>::of(d)?, View::<T>::of(&a)?, View::<T>::of(&b)?);
    let (d, a, b): (&[T], &[T], &[T]) = (&d, &a, &b);
    Ok(fill_by(d.len(), |at, out| {
        let d = &d[at..at + out.len()];
        walk.runs(at, out.len(), |range, [i, j], repeated| {
            let (out, d) = (&mut out[range.clone()], &d[range]);
            let n = out.len();
            match repeated {
                [false, false] => {
                    for (((o, d), a), b) in out.iter_mut().zip(d).zip(&a[i..i + n]).zip(&b[j..j + n]) {
                        o.write(f(*d, *a, *b));
                    }
                }
                [false, true] => {
                    let b = b[j];
                    for ((o, d), a) in out.iter_mut().zip(d).zip(&a[i..i + n]) {
                        o.write(f(*d, *a, b));
                    }
                }
                [true, true] => {
                    let (a, b) = (a[i], b[j]);
                    for (o, d) in out.iter_mut().zip(d) {
                        o.write(f(*d, a, b));
                    }
                }
                [true, false] => {
                    let a = a[i];
                    for ((o, d), b) in out.iter_mut().zip(d).zip(&b[j..j + n]) {
                        o.write(f(*d, a, *b));
                    }
                }
            }
        });
    }))
}
