//! Batch normalisation on a GPU: sums, one warp a channel for the statistics, one pass over the maps; nothing is read back.

use candle_core::{DType, Result, Tensor};

use super::{BatchNormOptions, BatchNormState, Sizes};
use crate::ops::Layout;
use crate::ops::kernel::cuda::{BLOCKS, Buffer, Columns, Launch, Source, THREADS, arithmetic};
use crate::ops::tape::{Graph, Needs};

const SOURCE: Source = Source::new("batch_norm", include_str!("batch_norm.cu"));

/// How some maps are shared out.
#[derive(Clone, Copy)]
enum Plan {
    First(Sizes),
    Last(Columns),
}

impl Plan {
    fn new(layout: Layout, sizes: Sizes, maps: &[&Tensor]) -> Result<Self> {
        Ok(match layout {
            Layout::ChannelsFirst => Plan::First(sizes),
            Layout::ChannelsLast => Plan::Last(Columns::of(maps)?),
        })
    }

    /// The kernel for this layout: `[channels first, channels last]`.
    fn start<'a>(&self, kernels: [&'static str; 2], x: &'a Tensor) -> Launch<'a> {
        let layout = match self {
            Plan::First(_) => Layout::ChannelsFirst,
            Plan::Last(_) => Layout::ChannelsLast,
        };
        Launch::of(&SOURCE, layout.kernel(kernels), x)
    }

    /// Parts to cut each channel into: enough blocks to fill the GPU, each with some work for every thread.
    fn splits(&self) -> usize {
        match self {
            Plan::First(sizes) => {
                let work = (sizes.images * sizes.area).div_ceil(16 * THREADS);
                (2 * BLOCKS / sizes.channels.max(1)).clamp(1, work.max(1))
            }
            Plan::Last(columns) => columns.splits(),
        }
    }

    /// Run a kernel that sums every part.
    fn sum(&self, launch: Launch, splits: usize) -> Result<()> {
        match self {
            Plan::First(s) => launch
                .ints(&[s.images, s.channels, s.area])
                .run([splits, s.channels, 1], THREADS),
            Plan::Last(columns) => launch.ints(&columns.ints()).run(columns.grid(splits), THREADS),
        }
    }

    /// Run a kernel that changes every element.
    fn apply(&self, launch: Launch, more: &[usize]) -> Result<()> {
        match self {
            Plan::First(s) => {
                let n = s.images * s.channels * s.area;
                launch.ints(&[s.channels, s.area, n]).ints(more).each(n.div_ceil(4))
            }
            Plan::Last(columns) => launch.ints(&columns.ints()).ints(more).run(columns.all(), THREADS),
        }
    }
}

/// Run a kernel with a warp for every channel.
fn warps(launch: Launch, channels: usize) -> Result<()> {
    launch.run([channels.div_ceil(THREADS / 32), 1, 1], THREADS)
}

/// The normalised batch, recorded in `graph`.
pub(super) fn batch_norm(
    graph: Graph,
    sizes: Sizes,
    x: &Tensor,
    [weight, bias]: &[Tensor; 2],
    state: BatchNormState,
    residual: Option<&Tensor>,
    o: &BatchNormOptions,
) -> Result<Tensor> {
    let (device, real, n) = (x.device(), arithmetic(x.dtype()), x.elem_count());
    let (channels, layout) = (sizes.channels, graph.layout);
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
    let maps: Vec<&Tensor> = std::iter::once(x).chain(residual).collect();
    let plan = Plan::new(layout, sizes, &maps)?;
    let splits = plan.splits();
    let vector = || Buffer::new(device, real, channels);
    let (mut mean, mut scale, mut factor, mut shift) = (vector()?, vector()?, vector()?, vector()?);
    let parts = match o.training {
        false => None,
        true => {
            let mut parts = Buffer::new(device, DType::F64, channels * splits * 3)?;
            let launch = plan.start(["batch_norm_sums", "batch_norm_last_sums"], x);
            plan.sum(launch.read(x).write(&mut parts), splits)?;
            Some(parts.tensor(channels * splits * 3))
        }
    };
    let launch = Launch::of(&SOURCE, "batch_norm_finish", x)
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
        .real(o.eps);
    warps(launch, channels)?;
    let (factor, shift) = (factor.tensor(channels), shift.tensor(channels));
    let mut y = Buffer::like(x, n)?;
    let launch = plan
        .start(["batch_norm_apply", "batch_norm_last_apply"], x)
        .read(x)
        .read(&factor)
        .read(&shift)
        .read_or_null(residual)
        .write(&mut y);
    plan.apply(launch, &[usize::from(o.relu)])?;
    let (mean, scale) = (mean.tensor(channels), scale.tensor(channels));
    let mut arguments = vec![x, weight, bias];
    arguments.extend(residual);
    let (training, relu) = (o.training, o.relu);
    // Without a residual, where the rectifier passed follows from the input.
    let needs_result = relu && residual.is_some();
    let needs = Needs::first(3).and_result(needs_result);
    let tracked = residual.map(Tensor::track_op);
    let output = y.output(x.shape());
    graph.record("batch_norm", &arguments, needs, output, move |arguments, y, dy| {
        let (x, weight) = (arguments[0], arguments[1]);
        let y = needs_result.then_some(y);
        let passing = (relu && y.is_none()).then_some([&factor, &shift]);
        let maps: Vec<&Tensor> = [x, dy].into_iter().chain(y).collect();
        let plan = Plan::new(layout, sizes, &maps)?;
        let splits = plan.splits();
        let mut parts = Buffer::new(x.device(), DType::F64, channels * splits * 2)?;
        let launch = plan
            .start(["batch_norm_gradient_sums", "batch_norm_last_gradient_sums"], x)
            .read(x)
            .read_or_null(y)
            .read(dy)
            .read(&mean)
            .read_or_null(passing.map(|p| p[0]))
            .read_or_null(passing.map(|p| p[1]))
            .write(&mut parts);
        plan.sum(launch, splits)?;
        let parts = parts.tensor(channels * splits * 2);
        let vector = |count| Buffer::new(x.device(), real, channels * count);
        let (mut dweight, mut dbias, mut abe) = (vector(1)?, vector(1)?, vector(3)?);
        let launch = Launch::of(&SOURCE, "batch_norm_gradient_finish", x)
            .read(&parts)
            .read(weight)
            .read(&mean)
            .read(&scale)
            .write(&mut dweight)
            .write(&mut dbias)
            .write(&mut abe)
            .ints(&[channels, splits, sizes.images * sizes.area, usize::from(training)]);
        warps(launch, channels)?;
        let abe = abe.tensor(channels * 3);
        let mut dx = Buffer::like(x, n)?;
        // Without the rectifier the residual's gradient is the result's.
        let mut passed = (relu && tracked == Some(true))
            .then(|| Buffer::like(x, n))
            .transpose()?;
        let launch = plan
            .start(["batch_norm_gradient", "batch_norm_last_gradient"], x)
            .read(x)
            .read_or_null(y)
            .read(dy)
            .read(&abe)
            .read_or_null(passing.map(|p| p[0]))
            .read_or_null(passing.map(|p| p[1]))
            .write(&mut dx)
            .write_or_null(passed.as_mut());
        plan.apply(launch, &[])?;
        let mut list = vec![
            Some(dx.tensor(x.shape())),
            Some(dweight.tensor(channels)),
            Some(dbias.tensor(channels)),
        ];
        if let Some(tracked) = tracked {
            list.push(tracked.then(|| match passed {
                Some(passed) => passed.tensor(x.shape()),
                None => dy.clone(),
            }));
        }
        Ok(list)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{LAYOUTS, agree, from_layout, random, to_layout};
    use candle_core::Var;

    /// Both sides with fresh running statistics of their own; those are compared too.
    fn compare(layout: Layout, shape: &[usize], training: bool, relu: bool, residual: bool) {
        let channels = shape[1];
        let sizes = Sizes {
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
                let graph = Graph::default().in_layout(layout);
                let maps = t[..maps]
                    .iter()
                    .map(|m| to_layout(m, layout))
                    .collect::<Result<Vec<_>>>()?;
                let y = batch_norm(graph, sizes, &maps[0], &affine, s, maps.get(1), &o)?;
                from_layout(&y, layout)?
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
            compare(Layout::ChannelsFirst, &[5, 3], training, false, false);
            for layout in LAYOUTS {
                compare(layout, &[3, 2, 4, 8], training, true, true);
                compare(layout, &[2, 3, 5, 3], training, true, false);
                compare(layout, &[2, 3, 4, 4], training, false, true);
                // whole packs of channels, in a number that is no power of two
                compare(layout, &[2, 24, 3, 5], training, true, true);
            }
        }
        // several parts a channel; several sets of channels
        for layout in LAYOUTS {
            compare(layout, &[2, 1, 70, 72], true, true, false);
            compare(layout, &[2, 40, 19, 1], true, true, false);
            compare(layout, &[2, 48, 40, 40], true, true, true);
            compare(layout, &[1, 272, 3, 3], true, false, true);
        }
    }
}
