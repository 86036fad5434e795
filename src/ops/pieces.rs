//! Long products in pieces, so that a person can end them: candle's and our kernels know no cancel flag, and one that reached
//! them all would have to be a state of the process. Pieces take about a tenth of a second; a gradient flows through them as
//! through the whole.

use candle_core::Tensor;

use super::{Conv2dOptions, conv2d};
use crate::error::Result;

/// Operations (multiplications and additions) of one piece.
const PIECE: f64 = 1.5e10;

/// What a function of one element costs beside a multiplication, memory traffic included.
const ELEMENT: f64 = 400.0;

/// What is asked before each piece; its error ends the work.
pub type Check<'a> = &'a dyn Fn() -> Result<()>;

/// Matrix product over the last two dimensions of contiguous `a` and `b` (both of rank 2 at least), the others broadcast.
/// Cost: `2 rows inner columns` operations for each matrix.
pub fn matmul(a: &Tensor, b: &Tensor, check: Check) -> Result<Tensor> {
    let (rank, columns) = (a.rank(), b.dims()[b.rank() - 1]);
    let (rows, inner) = (a.dims()[rank - 2], a.dims()[rank - 1]);
    let matrices = |t: &Tensor| t.elem_count() / (t.dims()[t.rank() - 2] * t.dims()[t.rank() - 1]).max(1);
    let cost = 2.0 * (rows as f64) * (inner as f64) * (columns as f64) * matrices(a).max(matrices(b)) as f64;
    in_pieces(a, rank - 2, rank - 2, cost, check, |part| {
        Ok(part.contiguous()?.broadcast_matmul(b)?)
    })
}

/// [`conv2d`](super::conv2d()) of `[n, c, h, w]`, image by image and by groups of output channels where that is long.
pub fn conv2d_in_pieces(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: &Conv2dOptions,
    check: Check,
) -> Result<Tensor> {
    if x.rank() != 4 || weight.rank() != 4 {
        return conv2d(x, weight, bias, options);
    }
    let cost = 2.0 * (x.elem_count() / x.dims()[1].max(1)) as f64 * weight.elem_count() as f64
        / (options.stride[0] * options.stride[1]).max(1) as f64;
    let image_cost = cost / x.dims()[0].max(1) as f64;
    in_pieces(x, 0, 0, cost, check, |x| {
        if options.groups != 1 || bias.is_some() {
            return conv2d(x, weight, bias, options);
        }
        in_pieces(weight, 0, 1, image_cost * x.dims()[0] as f64, check, |weight| {
            conv2d(x, weight, None, options)
        })
    })
}

/// A function of each element by itself, part by part where there are many.
pub fn each(t: &Tensor, check: Check, work: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let cost = t.elem_count() as f64 * ELEMENT;
    if cost <= PIECE {
        return work(t);
    }
    Ok(in_pieces(&t.flatten_all()?, 0, 0, cost, check, work)?.reshape(t.shape())?)
}

/// `work` on slices of `t` along `dim`, joined along `joined`.
fn in_pieces(
    t: &Tensor,
    dim: usize,
    joined: usize,
    cost: f64,
    check: Check,
    work: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let size = t.dims()[dim];
    let count = ((cost / PIECE).ceil() as usize).clamp(1, size.max(1));
    if count == 1 {
        return work(t);
    }
    let step = size.div_ceil(count);
    let mut parts = Vec::with_capacity(count);
    for start in (0..size).step_by(step) {
        check()?;
        parts.push(work(&t.narrow(dim, start, step.min(size - start))?)?);
    }
    Ok(Tensor::cat(&parts, joined)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use candle_core::{DType, Device};

    #[test]
    fn elements_keep_their_places() {
        let n = 100_000_000; // 2.7 pieces
        let t = Tensor::arange(0u32, n, &Device::Cpu)
            .unwrap()
            .reshape((2, n as usize / 2))
            .unwrap();
        let asked = std::cell::Cell::new(0);
        let count = || {
            asked.set(asked.get() + 1);
            Ok(())
        };
        let found = each(&t, &count, |p| Ok(p.to_dtype(DType::F32)?)).unwrap();
        assert_eq!((found.dims(), asked.get()), (t.dims(), 3));
        let last = found.get(1).unwrap().get(n as usize / 2 - 1).unwrap();
        assert_eq!(last.to_scalar::<f32>().unwrap(), (n - 1) as f32);
    }

    #[test]
    fn pieces_make_the_whole_and_can_be_ended() {
        let t = Tensor::arange(0f32, 24., &Device::Cpu)
            .unwrap()
            .reshape((2, 4, 3))
            .unwrap();
        let b = Tensor::arange(0f32, 6., &Device::Cpu).unwrap().reshape((3, 2)).unwrap();
        let whole = t.broadcast_matmul(&b).unwrap();
        let go = || Ok(());
        // 3.5 pieces: 4 of one row each
        let parts = in_pieces(&t, 1, 1, 3.5 * PIECE, &go, |p| {
            Ok(p.contiguous()?.broadcast_matmul(&b)?)
        })
        .unwrap();
        assert_eq!(parts.dims(), whole.dims());
        let difference = (parts - whole).unwrap().abs().unwrap().sum_all().unwrap();
        assert_eq!(
            difference.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap(),
            0.0
        );
        let stop = || Err(Error::Interrupted);
        assert!(in_pieces(&t, 1, 1, 3.5 * PIECE, &stop, |p| Ok(p.clone())).is_err());
    }
}
