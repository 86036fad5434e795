//! Between the layouts on a GPU.

use candle_core::{DType, Result, Tensor};

use crate::ops::kernel::cuda::{Buffer, Launch, Source, THREADS, arithmetic};
use crate::ops::tape::Graph;

const SOURCE: Source = Source::new("layout", include_str!("layout.cu"));

/// `[n, c, h, w]` as maps `[n, h, w, c]` of type `dtype`; recorded in `graph`.
pub(super) fn enter(graph: Graph, x: &Tensor, dtype: DType) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    let y = entered(x, dtype)?;
    graph.record_light("layout", &[x], y.output((n, h, w, c)), move |dy| {
        Ok(vec![Some(left(dy)?.tensor((n, c, h, w)))])
    })
}

/// Maps `[n, h, w, c]` as `[n, c, h, w]` of their arithmetic type; recorded in `graph`.
pub(super) fn leave(graph: Graph, x: &Tensor) -> Result<Tensor> {
    let ((n, h, w, c), dtype) = (x.dims4()?, x.dtype());
    let y = left(x)?;
    graph.record_light("layout", &[x], y.output((n, c, h, w)), move |dy| {
        Ok(vec![Some(entered(dy, dtype)?.tensor((n, h, w, c)))])
    })
}

fn entered(x: &Tensor, dtype: DType) -> Result<Buffer> {
    let (n, c, h, w) = x.dims4()?;
    if x.dtype() != arithmetic(dtype) {
        candle_core::bail!("internal: {} cannot become {}", x.dtype().as_str(), dtype.as_str())
    }
    let mut y = Buffer::new(x.device(), dtype, x.elem_count())?;
    let launch = Launch::typed(&SOURCE, "layout_enter", dtype, x.device())
        .read(x)
        .write(&mut y);
    turn(launch, n, [c, h * w])?;
    Ok(y)
}

fn left(x: &Tensor) -> Result<Buffer> {
    let (n, h, w, c) = x.dims4()?;
    let mut y = Buffer::new(x.device(), arithmetic(x.dtype()), x.elem_count())?;
    turn(
        Launch::of(&SOURCE, "layout_leave", x).read(x).write(&mut y),
        n,
        [h * w, c],
    )?;
    Ok(y)
}

fn turn(launch: Launch, n: usize, [rows, columns]: [usize; 2]) -> Result<()> {
    let tiles = rows.div_ceil(32) * columns.div_ceil(32);
    launch.ints(&[rows, columns]).run([tiles, 1, n], THREADS)
}

/// Maps as they are in the other of the two types, that inside a network and the arithmetic type; recorded in `graph`.
pub(super) fn cast(graph: Graph, x: &Tensor, dtype: DType) -> Result<Tensor> {
    let (from, shape) = (x.dtype(), x.shape().clone());
    let y = converted(x, dtype)?;
    graph.record_light("cast", &[x], y.output(&shape), move |dy| {
        Ok(vec![Some(converted(dy, from)?.tensor(&shape))])
    })
}

fn converted(x: &Tensor, dtype: DType) -> Result<Buffer> {
    let n = x.elem_count();
    let mut y = Buffer::new(x.device(), dtype, n)?;
    let launch = if x.dtype() == arithmetic(dtype) {
        Launch::typed(&SOURCE, "layout_round", dtype, x.device())
    } else if dtype == arithmetic(x.dtype()) {
        Launch::of(&SOURCE, "layout_widen", x)
    } else {
        candle_core::bail!("internal: {} cannot become {}", x.dtype().as_str(), dtype.as_str())
    };
    launch.read(x).write(&mut y).int(n).each(n.div_ceil(4))?;
    Ok(y)
}

/// Matrices `[.., rows, columns]` of weights, each turned, as elements of maps of type `like`.
pub(in crate::ops) fn pack(weight: &Tensor, like: &Tensor, [rows, columns]: [usize; 2]) -> Result<Tensor> {
    let weight = weight.detach().to_dtype(arithmetic(like.dtype()))?;
    if (rows == 1 || columns == 1) && weight.dtype() == like.dtype() {
        return Ok(weight);
    }
    let n = weight.elem_count();
    let mut packed = Buffer::like(like, n)?;
    let launch = Launch::of(&SOURCE, "layout_pack", like)
        .read(&weight)
        .write(&mut packed);
    launch.ints(&[n, rows, columns]).each(n)?;
    Ok(packed.tensor(n))
}

/// What [`pack`] turned, as it was, in a shape and a type.
pub(in crate::ops) fn unpack(packed: &Tensor, like: &Tensor, [rows, columns]: [usize; 2]) -> Result<Tensor> {
    if (rows == 1 || columns == 1) && packed.dtype() == like.dtype() {
        return packed.reshape(like.shape());
    }
    let n = packed.elem_count();
    let mut weight = Buffer::new(packed.device(), arithmetic(packed.dtype()), n)?;
    let launch = Launch::of(&SOURCE, "layout_unpack", packed)
        .read(packed)
        .write(&mut weight);
    launch.ints(&[n, rows, columns]).each(n)?;
    weight.tensor(like.shape()).to_dtype(like.dtype())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{agree, flat, random};

    #[test]
    fn maps_turn_and_turn_back() {
        for shape in [[2, 3, 5, 7], [1, 40, 1, 33], [3, 1, 2, 2]] {
            agree(
                0,
                &[random(&shape, 1)],
                |t| Ok(t[0].permute((0, 2, 3, 1))?.contiguous()?),
                |t| Ok(enter(Graph::default(), &t[0], t[0].dtype())?),
            );
            agree(
                1,
                &[random(&shape, 2)],
                |t| Ok(t[0].permute((0, 3, 1, 2))?.contiguous()?),
                |t| Ok(leave(Graph::default(), &t[0])?),
            );
        }
    }

    #[test]
    fn entering_rounds_and_its_gradient_comes_back() {
        if !crate::ops::kernel::cuda::emulated::available() {
            return;
        }
        let x = candle_core::Var::from_tensor(&random(&[2, 3, 5, 7], 1).to_dtype(DType::F32).unwrap()).unwrap();
        let turned = |t: &Tensor, order: [usize; 4]| t.permute(order).unwrap().contiguous().unwrap();
        let inside = enter(Graph::default(), &x, DType::BF16).unwrap();
        let expected = turned(&x, [0, 2, 3, 1]).to_dtype(DType::BF16).unwrap();
        assert_eq!(
            (inside.dtype(), inside.dims(), flat(&inside)),
            (DType::BF16, expected.dims(), flat(&expected))
        );
        let weights = random(&[2, 5, 7, 3], 2).to_dtype(DType::BF16).unwrap();
        let loss = (inside.to_dtype(DType::F32).unwrap() * weights.to_dtype(DType::F32).unwrap()).unwrap();
        let gradients = loss.sum_all().unwrap().backward().unwrap();
        let expected = turned(&weights, [0, 3, 1, 2]);
        assert_eq!(flat(gradients.get(&x).unwrap()), flat(&expected));
        assert!(enter(Graph::default(), &inside, DType::BF16).is_err());
    }

    #[test]
    fn a_cast_rounds_and_its_gradient_comes_back() {
        if !crate::ops::kernel::cuda::emulated::available() {
            return;
        }
        let x = candle_core::Var::from_tensor(&random(&[2, 3, 5], 1).to_dtype(DType::F32).unwrap()).unwrap();
        let narrow = cast(Graph::default(), &x, DType::BF16).unwrap();
        assert_eq!(flat(&narrow), flat(&x.to_dtype(DType::BF16).unwrap()));
        let wide = cast(Graph::default(), &narrow, DType::F32).unwrap();
        assert_eq!((wide.dims(), flat(&wide)), (x.dims(), flat(&narrow)));
        let weights = random(&[2, 3, 5], 2).to_dtype(DType::F32).unwrap();
        let gradients = (wide * &weights).unwrap().sum_all().unwrap().backward().unwrap();
        let expected = weights.to_dtype(DType::BF16).unwrap();
        assert_eq!(flat(gradients.get(&x).unwrap()), flat(&expected));
        assert!(cast(Graph::default(), &x, DType::F64).is_err());
    }

    #[test]
    fn weights_are_packed_and_unpacked() {
        if !crate::ops::kernel::cuda::emulated::available() {
            return;
        }
        for (map, weight) in [
            (DType::F64, DType::F64),
            (DType::F32, DType::F32),
            (DType::BF16, DType::F32),
        ] {
            for shape in [[4, 3, 5], [1, 7, 9], [6, 2, 1], [1, 1, 4]] {
                let like = random(&[1], 0).to_dtype(map).unwrap();
                let exact = random(&shape, 3).to_dtype(map).unwrap().to_dtype(weight).unwrap();
                let sizes = [shape[1], shape[2]];
                let packed = pack(&exact, &like, sizes).unwrap();
                assert_eq!(packed.dtype(), map);
                let turned = exact.transpose(1, 2).unwrap().contiguous().unwrap();
                assert_eq!(flat(&packed), flat(&turned), "{shape:?}");
                let back = unpack(&packed, &exact, sizes).unwrap();
                assert_eq!((back.dims(), flat(&back)), (exact.dims(), flat(&exact)), "{shape:?}");
            }
        }
    }
}
