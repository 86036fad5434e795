//! Facts about a tensor, and the same elements in other arrangements.

use candle_core::DType;

use super::arithmetic::broadcast_shape;
use super::{axis, axis_of, device_name, float, integers};
use crate::ops;
use crate::script::api::nth;
use crate::script::prelude::*;
use crate::session::memory::affordable;

/// How a dimension is cut: parts of one size, or of these.
enum Cuts {
    Each(usize),
    Sizes(Vec<usize>),
}

impl Arg for Cuts {
    const KIND: &'static str = "int or [int]";
    const WANTED: &'static str = "a size or an array of sizes";
    fn convert(value: &dyn Source) -> Option<Self> {
        let each = usize::convert(value).map(Cuts::Each);
        each.or_else(|| Vec::convert(value).map(Cuts::Sizes))
    }
}

impl Cuts {
    fn parts(self, t: &Tensor, dim: usize) -> Result<Vec<Tensor>> {
        let size = t.dims()[dim];
        let sizes = match self {
            Cuts::Sizes(sizes) => sizes,
            Cuts::Each(0) => fail!("the size of the parts is 0, expected at least 1"),
            Cuts::Each(each) => (0..size.max(1)).step_by(each).map(|at| each.min(size - at)).collect(),
        };
        let sum = sizes.iter().try_fold(0usize, |sum, n| sum.checked_add(*n));
        ensure!(
            sum == Some(size),
            "the sizes {sizes:?} do not add up to {size}, that of dimension {dim} of the tensor's shape {:?}",
            t.dims()
        );
        let mut at = 0;
        let part = |n: &usize| {
            at += n;
            Ok(t.narrow(dim, at - n, *n)?)
        };
        sizes.iter().map(part).collect()
    }
}

/// Declare the methods.
pub fn declare(table: &mut Table) {
    table.methods::<Tensor>(entries! {
        /// The sizes of the dimensions.
        /// ```
        /// assert_eq(tensor::zeros([2, 3]).shape, [2, 3]);
        /// ```
        get shape(ctx, t: Tensor) -> Vec<usize> { Ok(t.dims().to_vec()) }
        /// The number of dimensions.
        /// ```
        /// assert_eq(tensor::zeros([2, 3]).rank, 2);
        /// ```
        get rank(ctx, t: Tensor) -> usize { Ok(t.rank()) }
        /// The number of elements.
        /// ```
        /// assert_eq(tensor::zeros([2, 3]).numel, 6);
        /// ```
        get numel(ctx, t: Tensor) -> usize { Ok(t.elem_count()) }
        /// The element type: `f32 f16 bf16 f64 u8 u32 i64`.
        /// ```
        /// assert_eq(tensor::zeros([1]).dtype, "f32");
        /// ```
        get dtype(ctx, t: Tensor) -> String { Ok(t.dtype().as_str().to_string()) }
        /// The device that holds the elements.
        /// ```
        /// assert_eq(tensor::zeros([1]).device, device());
        /// ```
        get device(ctx, t: Tensor) -> String { Ok(device_name(t.device())) }
        /// The size of the first dimension.
        /// ```
        /// assert_eq(tensor::zeros([2, 3]).len, 2);
        /// ```
        get len(ctx, t: Tensor) -> usize {
            match t.dims().first() {
                Some(n) => Ok(*n),
                None => fail!("a tensor without dimensions has no length"),
            }
        }
        /// Matrix product over the last two dimensions, with broadcasting of the others; vectors as in torch.
        /// ```
        /// let a = tensor::from([[1.0, 2.0], [3.0, 4.0]]);
        /// assert_eq(a.matmul(tensor::eye(2)), a);
        /// assert_eq(a.matmul(tensor::from([1.0, 1.0])), tensor::from([3.0, 7.0]));
        /// ```
        fn matmul(ctx, t: Tensor, other: Tensor) -> Tensor { matmul(ctx, &t, &other) }
        /// The same elements in another shape; one size may be -1.
        /// ```
        /// assert_eq(tensor::arange(6).reshape([2, -1]).shape, [2, 3]);
        /// ```
        fn reshape(ctx, t: Tensor, shape: Vec<i64>) -> Tensor { reshape(&t, &shape) }
        /// Exchange two dimensions, the last two unless said otherwise.
        /// ```
        /// assert_eq(tensor::zeros([2, 3]).transpose().shape, [3, 2]);
        /// ```
        fn transpose(ctx, t: Tensor, a: i64 = -2, b: i64 = -1) -> Tensor {
            Ok(t.transpose(axis(&t, a)?, axis(&t, b)?)?)
        }
        /// The dimensions in another order.
        /// ```
        /// assert_eq(tensor::zeros([2, 3, 4]).permute([2, 0, 1]).shape, [4, 2, 3]);
        /// ```
        fn permute(ctx, t: Tensor, dims: Vec<i64>) -> Tensor {
            let order = dims.iter().map(|d| axis(&t, *d)).collect::<Result<Vec<usize>>>()?;
            let mut sorted = order.clone();
            sorted.sort_unstable();
            ensure!(
                sorted.into_iter().eq(0..t.rank()),
                "`dims` is {dims:?}, the tensor's shape {:?}; name each of its {} dimensions once", t.dims(), t.rank()
            );
            Ok(t.permute(order)?)
        }
        /// Drop a dimension of size 1, or all of them.
        /// ```
        /// assert_eq(tensor::zeros([1, 3, 1]).squeeze().shape, [3]);
        /// assert_eq(tensor::zeros([1, 3, 1]).squeeze(0).shape, [3, 1]);
        /// ```
        fn squeeze(ctx, t: Tensor, dim: Option<i64> = None) -> Tensor {
            if let Some(dim) = dim {
                return Ok(t.squeeze(axis(&t, dim)?)?);
            }
            let shape: Vec<usize> = t.dims().iter().copied().filter(|d| *d != 1).collect();
            Ok(t.reshape(shape)?)
        }
        /// Add a dimension of size 1 before `dim`.
        /// ```
        /// assert_eq(tensor::zeros([3]).unsqueeze(0).shape, [1, 3]);
        /// ```
        fn unsqueeze(ctx, t: Tensor, dim: i64) -> Tensor { Ok(t.unsqueeze(axis_of(t.rank() + 1, dim)?)?) }
        /// Take `length` elements of `dim` from `start` on.
        /// ```
        /// assert_eq(tensor::arange(5).narrow(0, 1, 2), tensor::from([1, 2]));
        /// ```
        fn narrow(ctx, t: Tensor, dim: i64, start: usize, length: usize) -> Tensor {
            let dim = axis(&t, dim)?;
            let size = t.dims()[dim];
            ensure!(
                start.checked_add(length).is_some_and(|end| end <= size),
                "`start` is {start} and `length` {length}, dimension {dim} of the tensor's shape {:?} has {size}", t.dims()
            );
            Ok(t.narrow(dim, start, length)?)
        }
        /// Cut `dim` into parts, as `torch.split`: an array of tensors.
        /// ```
        /// let parts = tensor::arange(5).split([2, 3]);
        /// assert_eq(parts[1], tensor::from([2, 3, 4]));
        /// assert_eq(tensor::arange(5).split(2).map(|part| part.numel), [2, 2, 1]);
        /// ```
        fn split(ctx, t: Tensor,
                 /// The sizes of the parts, or one size of all, of which the last may be smaller.
                 sizes: Cuts, dim: i64 = 0) -> Vec<Tensor> {
            let dim = axis(&t, dim)?;
            sizes.parts(&t, dim)
        }
        /// Cut `dim` into `n` parts of one size, the last perhaps smaller, as `torch.chunk`: an array of tensors.
        /// ```
        /// let halves = tensor::arange(6).chunk(2);
        /// assert_eq(halves[0], tensor::from([0, 1, 2]));
        /// ```
        fn chunk(ctx, t: Tensor, n: usize, dim: i64 = 0) -> Vec<Tensor> {
            ensure!(n > 0, "`n` is 0, expected at least 1");
            let dim = axis(&t, dim)?;
            Cuts::Each(t.dims()[dim].div_ceil(n).max(1)).parts(&t, dim)
        }
        /// The slices of `dim` at these positions.
        /// ```
        /// assert_eq(tensor::from([5, 6, 7]).index_select(0, [2, 0]), tensor::from([7, 5]));
        /// ```
        fn index_select(ctx, t: Tensor, dim: i64, index: Index) -> Tensor {
            let dim = axis(&t, dim)?;
            select_slices(&t, dim, &index.0)
        }
        /// For each element of `index` (of the same rank) the element of `t` at that position of `dim`.
        /// ```
        /// let t = tensor::from([[1, 2], [3, 4]]);
        /// assert_eq(t.gather(1, tensor::from([[1], [0]])), tensor::from([[2], [3]]));
        /// ```
        fn gather(ctx, t: Tensor, dim: i64, index: Tensor) -> Tensor {
            let dim = axis(&t, dim)?;
            ensure!(
                index.rank() == t.rank(),
                "`index` has the shape {:?}, the tensor {:?}; both must have as many dimensions", index.dims(), t.dims()
            );
            for (d, (i, n)) in index.dims().iter().zip(t.dims()).enumerate() {
                ensure!(
                    d == dim || i <= n,
                    "`index` has the shape {:?}, the tensor {:?}; in dimension {d} the index must not be larger", index.dims(), t.dims()
                );
            }
            let index = positions(&index, &t, dim)?;
            // the engine's gradient needs an index as large as the tensor in the other dimensions
            let others = (0..t.rank()).filter(|d| *d != dim);
            let part = others.clone().try_fold(t, |part, d| part.narrow(d, 0, index.dims()[d]))?;
            Ok(part.contiguous()?.gather(&index.contiguous()?, dim)?)
        }
        /// Join the dimensions from `start` to `end` into one.
        /// ```
        /// assert_eq(tensor::zeros([2, 3, 4]).flatten(1).shape, [2, 12]);
        /// ```
        fn flatten(ctx, t: Tensor, start: i64 = 0, end: i64 = -1) -> Tensor {
            if t.rank() == 0 {
                return Ok(t.reshape(1)?);
            }
            let (a, b) = (axis(&t, start)?, axis(&t, end)?);
            ensure!(a <= b, "`start` is {start}, which comes after `end`, {end}, in the tensor's shape {:?}", t.dims());
            Ok(t.flatten(a, b)?)
        }
        /// Repeat dimensions of size 1 up to this shape.
        /// ```
        /// assert_eq(tensor::ones([3, 1]).broadcast([3, 2]).shape, [3, 2]);
        /// ```
        fn broadcast(ctx, t: Tensor, shape: Vec<usize>) -> Tensor {
            let fits = broadcast_shape("broadcast", ("the tensor", t.dims()), ("`shape`", &shape))?;
            ensure!(fits == shape, "the tensor has the shape {:?}, `shape` is {shape:?}; only sizes of 1 are repeated", t.dims());
            affordable(&shape, t.dtype())?;
            Ok(ops::reduce::expand(&t, &shape)?.contiguous()?)
        }
    });
}

/// Positions along a dimension: a tensor of integers or an array.
pub struct Index(pub Tensor);

impl Arg for Index {
    const KIND: &'static str = "Tensor or [int]";
    const WANTED: &'static str = "a tensor or array of integers";
    fn convert(value: &dyn Source) -> Option<Self> {
        if let Some(t) = Tensor::convert(value) {
            return t.dtype().is_int().then_some(Index(t));
        }
        let list = Vec::<i64>::convert(value)?;
        let n = list.len();
        Tensor::from_vec(list, n, &candle_core::Device::Cpu).ok().map(Index)
    }
}

/// Positions checked against the size of a dimension, negative ones counted from the end, as candle's index type.
pub(super) fn positions(index: &Tensor, t: &Tensor, dim: usize) -> Result<Tensor> {
    ensure!(
        index.dtype().is_int() && index.dtype() != DType::U8,
        "`index` must hold positions (i64 or u32), found {}{}",
        index.brief(),
        if index.dtype() == DType::U8 {
            ", which is a mask; t[mask] selects by one, mask.to_dtype(\"i64\") makes positions of it"
        } else {
            ""
        }
    );
    let size = t.dims()[dim];
    let values = integers(index)?;
    let checked = values.iter().map(|&i| match nth(i, size) {
        Some(k) => Ok(k as u32),
        None => fail!(
            "`index` of the shape {:?} holds {i}, dimension {dim} of the tensor's shape {:?} has {size}",
            index.dims(),
            t.dims()
        ),
    });
    let checked: Vec<u32> = checked.collect::<Result<_>>()?;
    Ok(Tensor::from_vec(checked, index.shape().clone(), index.device())?)
}

/// Slices of a dimension, in the order of a flat index.
pub(super) fn select_slices(t: &Tensor, dim: usize, index: &Tensor) -> Result<Tensor> {
    ensure!(
        index.rank() == 1,
        "`index` has the shape {:?}, the tensor {:?}; the index must have one dimension (t.gather takes more)",
        index.dims(),
        t.dims()
    );
    let index = positions(index, t, dim)?.to_device(t.device())?;
    Ok(t.contiguous()?.index_select(&index, dim)?)
}

fn reshape(t: &Tensor, shape: &[i64]) -> Result<Tensor> {
    let known: usize = shape
        .iter()
        .filter(|d| **d >= 0)
        .map(|d| *d as usize)
        .try_fold(1, usize::checked_mul)
        .unwrap_or(usize::MAX);
    let open = shape.iter().filter(|d| **d < 0).count();
    ensure!(
        open <= 1 && shape.iter().all(|d| *d >= -1),
        "`shape` is {shape:?}; only one size may be -1, the others must be 0 or more"
    );
    let n = t.elem_count();
    let fits = if open == 1 {
        known > 0 && n.is_multiple_of(known)
    } else {
        known == n
    };
    ensure!(
        fits,
        "the tensor's shape {:?} has {n} elements, `shape` {shape:?} {}",
        t.dims(),
        if open == 1 {
            format!("needs a multiple of {known}")
        } else {
            format!("needs {known}")
        }
    );
    let sizes: Vec<usize> = shape
        .iter()
        .map(|d| usize::try_from(*d).unwrap_or(n / known.max(1)))
        .collect();
    Ok(t.reshape(sizes)?)
}

fn matmul(ctx: &Call, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (mut x, mut y) = (float(a)?, float(b)?);
    let wide = match (x.dtype(), y.dtype()) {
        (a, b) if a == b => a,
        (DType::F64, _) | (_, DType::F64) => DType::F64,
        _ => DType::F32,
    };
    // the processor's products of halves add up in halves
    let halves = matches!(wide, DType::F16 | DType::BF16) && x.device().is_cpu();
    let computed = if halves { DType::F32 } else { wide };
    x = x.to_dtype(computed)?;
    y = y.to_dtype(computed)?;
    ensure!(
        x.rank() > 0 && y.rank() > 0,
        "the tensor has the shape {:?}, `other` {:?}; both need at least one dimension",
        a.dims(),
        b.dims()
    );
    let (row, column) = (x.rank() == 1, y.rank() == 1);
    if row {
        x = x.unsqueeze(0)?;
    }
    if column {
        y = y.unsqueeze(1)?;
    }
    let (inner, outer) = (x.dims()[x.rank() - 1], y.dims()[y.rank() - 2]);
    ensure!(
        inner == outer,
        "the tensor has the shape {:?}, `other` {:?}; {inner} columns against {outer} rows",
        a.dims(),
        b.dims()
    );
    let Ok(mut shape) = broadcast_shape(
        "matmul",
        ("", &x.dims()[..x.rank() - 2]),
        ("", &y.dims()[..y.rank() - 2]),
    ) else {
        fail!(
            "the tensor has the shape {:?}, `other` {:?}; all dimensions but the last two must be equal or 1",
            a.dims(),
            b.dims()
        )
    };
    shape.extend([x.dims()[x.rank() - 2], y.dims()[y.rank() - 1]]);
    affordable(&shape, wide)?;
    let mut out = if inner == 0 || shape.contains(&0) {
        Tensor::zeros(shape, computed, x.device())?
    } else {
        let check = || ctx.session().check_cancel();
        if y.rank() == 2 && x.rank() > 2 {
            // one product of all rows, whose gradient needs no sum over matrices
            let rows = x.contiguous()?.flatten(0, x.rank() - 2)?;
            ops::pieces::matmul(&rows, &y.contiguous()?, &check)?.reshape(shape)?
        } else {
            let batch = &shape[..shape.len() - 2];
            let whole = |t: &Tensor| match t.track_op() {
                true => ops::reduce::expand(t, &[batch, &t.dims()[t.rank() - 2..]].concat()),
                false => Ok(t.clone()),
            };
            ops::pieces::matmul(&whole(&x)?.contiguous()?, &whole(&y)?.contiguous()?, &check)?
        }
    };
    if column {
        out = out.squeeze(out.rank() - 1)?;
    }
    if row {
        let dim = out.rank() - if column { 1 } else { 2 };
        out = out.squeeze(dim)?;
    }
    Ok(out.to_dtype(wide)?)
}
