//! Batch normalisation on a GPU: sums, one thread a channel for the statistics, one pass over the maps; nothing is read back.

use candle_core::{DType, Result, Tensor};

use super::{BatchNormOptions, BatchNormState, Layout};
use crate::ops::kernel::cuda::{BLOCKS, Buffer, Launch, Source, THREADS, arithmetic};
use crate::ops::tape::Graph;

const SOURCE: Source = Source {
    name: "batch_norm",
    text: include_str!("batch_norm.cu"),
};

/// Parts to cut each channel into: enough blocks to fill the GPU, each with some work for every thread.
fn splits(layout: Layout) -> usize {
    let work = (layout.images * layout.area).div_ceil(16 * THREADS);
    (2 * BLOCKS / layout.channels.max(1)).clamp(1, work.max(1))
}

/// The normalised batch, recorded in `graph`.
pub(super) fn batch_norm(
    graph: Graph,
    layout: Layout,
    x: &Tensor,
    [weight, bias]: &[Tensor; 2],
    state: BatchNormState,
    residual: Option<&Tensor>,
    o: &BatchNormOptions,
) -> Result<Tensor> {
    let Layout { images, channels, area } = layout;
    let (device, real, n) = (x.device(), arithmetic(x.dtype()), x.elem_count());
    for part in [weight, bias, state.mean.as_tensor(), state.var.as_tensor()] {
        if part.dtype() != real {
            candle_core::bail!(
                "batch_norm: weight, bias and statistics are {}, expected {} for input of {}; convert them with to_dtype",
                part.dtype().as_str(),
                real.as_str(),
                x.dtype().as_str()
            )
        }
    }
    let splits = splits(layout);
    let vector = || Buffer::new(device, real, channels);
    let (mut mean, mut scale, mut factor, mut shift) = (vector()?, vector()?, vector()?, vector()?);
    let parts = match o.training {
        false => None,
        true => {
            let mut parts = Buffer::new(device, DType::F64, channels * splits * 3)?;
            Launch::of(&SOURCE, "batch_norm_sums", x)
                .read(x)
                .write(&mut parts)
                .ints(&[images, channels, area])
                .run([splits, channels, 1], THREADS)?;
            Some(parts.tensor(channels * splits * 3))
        }
    };
    Launch::of(&SOURCE, "batch_norm_finish", x)
        .read_or_null(parts.as_ref())
        .read(weight)
        .read(bias)
        .update(state.mean)
        .update(state.var)
        .write(&mut mean)
        .write(&mut scale)
        .write(&mut factor)
        .write(&mut shift)
        .ints(&[channels, splits])
        .real(o.momentum)
        .real(o.eps)
        .each(channels)?;
    let (factor, shift) = (factor.tensor(channels), shift.tensor(channels));
    let mut y = Buffer::like(x, n)?;
    Launch::of(&SOURCE, "batch_norm_apply", x)
        .read(x)
        .read(&factor)
        .read(&shift)
        .read_or_null(residual)
        .write(&mut y)
        .ints(&[channels, area, n, usize::from(o.relu)])
        .each(n.div_ceil(4))?;
    let (mean, scale) = (mean.tensor(channels), scale.tensor(channels));
    let mut arguments = vec![x, weight, bias];
    arguments.extend(residual);
    let (training, relu) = (o.training, o.relu);
    graph.record(
        "batch_norm",
        &arguments,
        y.output(x.shape()),
        move |arguments, y, dy| {
            let (x, weight) = (arguments[0], arguments[1]);
            let residual = arguments.get(3).filter(|r| r.track_op());
            let y = relu.then_some(y);
            let mut parts = Buffer::new(x.device(), DType::F64, channels * splits * 2)?;
            Launch::of(&SOURCE, "batch_norm_gradient_sums", x)
                .read(x)
                .read_or_null(y)
                .read(dy)
                .read(&mean)
                .write(&mut parts)
                .ints(&[images, channels, area])
                .run([splits, channels, 1], THREADS)?;
            let parts = parts.tensor(channels * splits * 2);
            let vector = |count| Buffer::new(x.device(), real, channels * count);
            let (mut dweight, mut dbias, mut abe) = (vector(1)?, vector(1)?, vector(3)?);
            Launch::of(&SOURCE, "batch_norm_gradient_finish", x)
                .read(&parts)
                .read(weight)
                .read(&mean)
                .read(&scale)
                .write(&mut dweight)
                .write(&mut dbias)
                .write(&mut abe)
                .ints(&[channels, splits, images * area, usize::from(training)])
                .each(channels)?;
            let abe = abe.tensor(channels * 3);
            let mut dx = Buffer::like(x, n)?;
            // Without the rectifier the residual's gradient is the result's.
            let mut passed = (relu && residual.is_some()).then(|| Buffer::like(x, n)).transpose()?;
            Launch::of(&SOURCE, "batch_norm_gradient", x)
                .read(x)
                .read_or_null(y)
                .read(dy)
                .read(&abe)
                .write(&mut dx)
                .write_or_null(passed.as_mut())
                .ints(&[channels, area, n])
                .each(n.div_ceil(4))?;
            let mut list = vec![
                Some(dx.tensor(x.shape())),
                Some(dweight.tensor(channels)),
                Some(dbias.tensor(channels)),
            ];
            if arguments.len() > 3 {
                list.push(residual.map(|r| match passed {
                    Some(passed) => passed.tensor(r.shape()),
                    None => dy.clone(),
                }));
            }
            Ok(list)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{agree, random};
    use candle_core::Var;

    /// Both sides with fresh running statistics of their own; those are compared too.
    fn compare(shape: &[usize], training: bool, relu: bool, residual: bool) {
        let channels = shape[1];
        let layout = Layout {
            images: shape[0],
            channels,
            area: shape[2..].iter().product(),
        };
        let o = BatchNormOptions {
            training,
            relu,
            ..Default::default()
        };
        // A mean far from zero, as behind a rectifier.
        let x = (random(shape, 1) * 2.0).unwrap().affine(1.0, 3.0).unwrap();
        let mut inputs = vec![x];
        if residual {
            inputs.push(random(shape, 2));
        }
        let maps = inputs.len();
        inputs.push(random(&[channels], 3));
        inputs.push(random(&[channels], 4));
        let state = |dtype| {
            let of = |t: Tensor| Var::from_tensor(&t.to_dtype(dtype).unwrap()).unwrap();
            (of(random(&[channels], 5)), of(random(&[channels], 6).sqr().unwrap()))
        };
        let run = |t: &[Tensor], on_gpu: bool| {
            let (mean, var) = state(t[maps].dtype());
            let s = BatchNormState { mean: &mean, var: &var };
            let r = residual.then(|| &t[1]);
            let y = if on_gpu {
                let affine = [t[maps].clone(), t[maps + 1].clone()];
                batch_norm(Graph::default(), layout, &t[0], &affine, s, r, &o)?
            } else {
                crate::ops::batch_norm(&t[0], &t[maps], &t[maps + 1], s, r, &o)?
            };
            // The statistics join the value, so that they are compared (they do not depend on the inputs for the gradient).
            let extra = Tensor::cat(&[mean.as_detached_tensor(), var.as_detached_tensor()], 0)?.to_dtype(DType::F64)?;
            Ok(Tensor::cat(&[y.flatten_all()?.to_dtype(DType::F64)?, extra], 0)?)
        };
        agree(maps, &inputs, |t| run(t, false), |t| run(t, true));
    }

    #[test]
    fn batch_norm_on_a_gpu_is_that_of_the_processor() {
        for training in [true, false] {
            compare(&[3, 2, 4, 8], training, true, true);
            compare(&[2, 3, 5, 3], training, true, false);
            compare(&[2, 3, 4, 4], training, false, true);
            compare(&[5, 3], training, false, false);
        }
        // several parts a channel
        compare(&[2, 1, 70, 72], true, true, false);
    }
}
