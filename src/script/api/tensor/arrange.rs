//! The same elements elsewhere, with others around them, or added to others.

use super::elementwise::Limit;
use super::order::{as_before, lined};
use super::shape::{Index, positions};
use super::{Operand, affordable, axis};
use crate::error::choose;
use crate::names;
use crate::ops::{self, Border};
use crate::script::prelude::*;

names! {
    /// What stands around a tensor.
    struct BorderName: vec!["constant", "reflect", "replicate", "circular"];
}

/// Declare the methods.
pub fn declare(table: &mut Table) {
    table.methods::<Tensor>(entries! {
        /// The order along `dim`, or along several dimensions, turned around.
        /// ```
        /// assert_eq(tensor::from([[1, 2], [3, 4]]).flip(1), tensor::from([[2, 1], [4, 3]]));
        /// assert_eq(tensor::from([[1, 2], [3, 4]]).flip([0, 1]), tensor::from([[4, 3], [2, 1]]));
        /// ```
        fn flip(ctx, t: Tensor, dim: Dims) -> Tensor {
            if t.rank() == 0 && dim.0.iter().all(|d| [0, -1].contains(d)) {
                return Ok(t);
            }
            let dims = dim.0.iter().map(|d| axis(&t, *d)).collect::<Result<Vec<usize>>>()?;
            ops::flip(&t, &dims)
        }
        /// The elements moved by `shifts` along `dim`; what leaves at one end comes in at the other.
        ///
        /// Without `dim` through all elements, in the order of memory; several shifts need as many dimensions.
        /// ```
        /// assert_eq(tensor::from([1, 2, 3]).roll(1), tensor::from([3, 1, 2]));
        /// assert_eq(tensor::from([[1, 2], [3, 4]]).roll([1, 1], [0, 1]), tensor::from([[4, 3], [2, 1]]));
        /// ```
        fn roll(ctx, t: Tensor, shifts: Dims, dim: Option<Dims> = None) -> Tensor {
            let count = dim.as_ref().map_or(1, |dims| dims.0.len());
            ensure!(
                shifts.0.len() == count,
                "{} shifts for {count} dimensions; give one shift for each", shifts.0.len()
            );
            match dim {
                None => Ok(ops::roll(&t.flatten_all()?, shifts.0[0], 0)?.reshape(t.shape())?),
                Some(dims) => {
                    let moved = |line: Tensor, (shift, dim): (&i64, &i64)| {
                        let (line, dim) = lined(&line, *dim)?;
                        ops::roll(&line, *shift, dim)
                    };
                    as_before(&t, shifts.0.iter().zip(&dims.0).try_fold(t.clone(), moved)?)
                }
            }
        }
        /// Put elements around the tensor: `pad` holds how many before and after the last dimension, then the one before it, ...
        ///
        /// As torch's `pad`: `[left, right, top, bottom]` for images. Negative numbers take elements away.
        /// ```
        /// assert_eq(tensor::from([1, 2]).pad([1, 2], #{ value: 7 }), tensor::from([7, 1, 2, 7, 7]));
        /// assert_eq(tensor::ones([1, 3, 4, 4]).pad([1, 1, 2, 2]).shape, [1, 3, 8, 6]);
        /// assert_eq(tensor::from([1, 2, 3]).pad([2, 0], #{ mode: "reflect" }), tensor::from([3, 2, 1, 2, 3]));
        /// ```
        fn pad(ctx, t: Tensor, pad: Vec<i64>,
            /// What stands around: `"replicate"` is the nearest element, `"circular"` the other end.
            mode: BorderName = BorderName("constant".into()),
            /// What `"constant"` puts there, which may be infinite; 0 if not given.
            value: Option<Limit> = None
        ) -> Tensor {
            let value = value.map_or(Operand::Int(0), |value| value.0).tensor(t.device())?;
            let modes = [
                ("constant", Border::Constant(&value)), ("reflect", Border::Reflect),
                ("replicate", Border::Replicate), ("circular", Border::Circular),
            ];
            padded(t, &pad, choose("mode", &mode.0, &modes)?)
        }
        /// The tensor with every element of `src` added at the place along `dim` that `index` says.
        ///
        /// As torch's: `t[index[i, j], j] += src[i, j]` for `dim` 0; where places are equal, all are added.
        /// ```
        /// let sums = tensor::zeros([3]).scatter_add(0, [0, 2, 2], tensor::from([1.0, 2.0, 3.0]));
        /// assert_eq(sums, tensor::from([1.0, 0.0, 5.0]));
        /// ```
        fn scatter_add(ctx, t: Tensor, dim: i64, index: Index, src: Tensor) -> Tensor {
            ensure!(
                t.dtype().is_float() || src.dtype().is_int(),
                "`src` is {}, the tensor holds integers ({}); write t.to_dtype(\"f32\") first", src.brief(), t.brief()
            );
            let (line, dim) = lined(&t, dim)?;
            let [index, src] = [&index.0, &src].map(|part| if part.rank() == 0 { part.reshape(1) } else { Ok(part.clone()) });
            let (index, src) = (index?, src?);
            let index = if index.elem_count() == 0 { index } else { positions(&index, &line, dim)? };
            as_before(&t, ops::scatter_add(&line, dim, &index, &src)?)
        }
    });
}

fn padded(t: Tensor, pad: &[i64], border: Border) -> Result<Tensor> {
    let rank = t.rank();
    ensure!(
        pad.len().is_multiple_of(2) && pad.len() / 2 <= rank,
        "`pad` holds {} numbers for {}; expected two for each dimension from the last one on, at most {}",
        pad.len(),
        t.brief(),
        2 * rank
    );
    let mut shape = t.dims().to_vec();
    for (i, sides) in pad.chunks_exact(2).enumerate() {
        let size = &mut shape[rank - 1 - i];
        *size = (sides.iter().fold(*size as i64, |n, side| n.saturating_add(*side))).max(0) as usize;
    }
    affordable(&shape, t.dtype())?;
    let sides = pad.chunks_exact(2).enumerate();
    sides
        .filter(|(_, sides)| *sides != [0, 0])
        .try_fold(t, |t, (i, sides)| {
            ops::pad(&t, rank - 1 - i, [sides[0], sides[1]], border)
        })
}
