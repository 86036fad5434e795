//! Batch normalisation, with the addition of a residual and the rectifier in the same pass.

mod cpu;
mod cuda;

use std::sync::Arc;

use candle_core::{Result as EngineResult, Tensor, Var};

use super::kernel::{Element, View, by_dtype, on_gpu, output, plain};
use super::numbers::numbers;
use super::operation;
use super::tape::{Graph, Needs};
use crate::ensure;
use crate::error::Result;
use cpu::Passed;

/// The running statistics of one layer, `[channels]` each; training updates them in place.
#[derive(Clone, Copy)]
pub struct BatchNormState<'a> {
    /// Running mean.
    pub mean: &'a Var,
    /// Running variance (unbiased).
    pub var: &'a Var,
}

/// What [`batch_norm`] does beside the normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormOptions {
    /// Normalise by the batch's statistics and update the running ones; else by the running ones.
    pub training: bool,
    /// Share of the new statistics in the running ones.
    pub momentum: f64,
    /// Added to the variance.
    pub eps: f64,
    /// Rectify the result.
    pub relu: bool,
}

impl Default for BatchNormOptions {
    fn default() -> Self {
        BatchNormOptions {
            training: true,
            momentum: 0.1,
            eps: 1e-5,
            relu: false,
        }
    }
}

operation! {
/// Batch normalisation over images and pixels: `relu(weight * (x - mean) / sqrt(var + eps) + bias + residual)`, where the
/// residual and the rectifier are optional.
///
/// Shapes: input and residual `[n, c, h, w]` (or `[n, c]`, `[n, c, l]`), weight and bias `[c]`. In training, mean and variance are
/// the batch's (biased variance) and the running statistics move by `momentum` towards them (unbiased variance), as PyTorch's.
///
/// One pass over memory forward and one backward where a channel of the batch fits the second-level cache. Source: Ioffe,
/// Szegedy, "Batch Normalization", 2015.
///
/// # Errors
/// Shapes that do not fit; one value per channel in training.
pub fn batch_norm(graph, input: &Tensor, weight: &Tensor, bias: &Tensor, state: BatchNormState, residual: Option<&Tensor>, o: &BatchNormOptions) -> Result<Tensor> {
    let dims = graph.dims("batch_norm", input)?;
    ensure!(
        dims.len() >= 2,
        "batch_norm: the input has shape {dims:?}, expected [images, channels, height, width]"
    );
    let parts = [
        ("weight", weight),
        ("bias", bias),
        ("running mean", state.mean),
        ("running variance", state.var),
    ];
    for (name, part) in parts {
        ensure!(
            part.dims() == [dims[1]],
            "batch_norm: the {name} has shape {:?}, expected [{}] for input {dims:?}",
            part.dims(),
            dims[1]
        );
    }
    if let Some(residual) = residual {
        ensure!(
            residual.dims() == input.dims(),
            "batch_norm: the residual has shape {:?}, expected that of the input, {:?}",
            residual.dims(),
            input.dims()
        );
    }
    let sizes = Sizes {
        images: dims[0],
        channels: dims[1],
        area: dims[2..].iter().product(),
    };
    ensure!(
        !o.training || sizes.images * sizes.area > 1,
        "batch_norm: input {dims:?} has one value per channel, training needs more to estimate a variance; \
     use a larger batch or map, or evaluation mode"
    );
    let input = input.contiguous()?;
    let residual = residual.map(Tensor::contiguous).transpose()?;
    let affine = [weight.contiguous()?, bias.contiguous()?];
    if on_gpu(input.device()) {
        let residual = residual.as_ref();
        return Ok(cuda::batch_norm(graph, sizes, &input, &affine, state, residual, o)?);
    }
    Ok(by_dtype!(input, "batch_norm", T => typed::<T>(graph, sizes, &input, &affine, state, residual.as_ref(), o))?)
}
}

/// Sizes of the batch: `[images, channels, area]`.
#[derive(Clone, Copy)]
struct Sizes {
    images: usize,
    channels: usize,
    area: usize,
}

fn typed<T: Element>(
    graph: Graph,
    sizes: Sizes,
    input: &Tensor,
    [weight, bias]: &[Tensor; 2],
    state: BatchNormState,
    residual: Option<&Tensor>,
    o: &BatchNormOptions,
) -> EngineResult<Tensor> {
    let given = match o.training {
        true => None,
        false => Some((numbers(state.mean)?, numbers(state.var)?)),
    };
    let (result, statistics) = {
        let (x, w, b) = (View::<T>::of(input)?, View::<T>::of(weight)?, View::<T>::of(bias)?);
        let r = residual.map(View::<T>::of).transpose()?;
        cpu::forward(sizes, &x, [&w, &b], r.as_deref(), given, o)
    };
    if o.training {
        let count = (sizes.images * sizes.area) as f64;
        let unbiased: Vec<f64> = statistics.var.iter().map(|v| v * count / (count - 1.0)).collect();
        update(state.mean, &statistics.mean, o.momentum)?;
        update(state.var, &unbiased, o.momentum)?;
    }
    let mut arguments = vec![input, weight, bias];
    arguments.extend(residual);
    let (training, relu) = (o.training, o.relu);
    let residual = residual.map(Tensor::track_op);
    // without a residual, where the rectifier passed follows from the input
    let needs_result = relu && residual.is_some();
    let needs = Needs::first(3).and_result(needs_result);
    let statistics = Arc::new(statistics);
    let again = {
        let (kept, statistics) = ([input.clone(), weight.clone(), bias.clone()], statistics.clone());
        move || -> EngineResult<Tensor> {
            let [input, weight, bias] = &kept;
            let (x, w, b) = (View::<T>::of(input)?, View::<T>::of(weight)?, View::<T>::of(bias)?);
            Ok(plain(cpu::again(sizes, &x, [&w, &b], &statistics, relu), input.shape()))
        }
    };
    let output = output(result, input.shape());
    let result = graph.record("batch_norm", &arguments, needs, output, move |arguments, y, dy| {
        let (input, weight, bias) = (arguments[0], arguments[1], arguments[2]);
        let gradients = {
            let (x, w, b) = (View::<T>::of(input)?, View::<T>::of(weight)?, View::<T>::of(bias)?);
            let d = View::<T>::of(dy)?;
            let y = needs_result.then(|| View::<T>::of(y)).transpose()?;
            let passed = match (relu, &y) {
                (false, _) => Passed::All,
                (true, Some(y)) => Passed::Result(y),
                (true, None) => Passed::Input,
            };
            let want_residual = needs_result && residual == Some(true);
            cpu::backward(sizes, &x, [&w, &b], passed, &d, &statistics, training, want_residual)
        };
        let mut list = vec![
            Some(plain(gradients.input, input.shape())),
            Some(plain(gradients.weight, sizes.channels)),
            Some(plain(gradients.bias, sizes.channels)),
        ];
        if let Some(tracked) = residual {
            // Without the rectifier the residual's gradient is the result's.
            list.push(tracked.then(|| match gradients.residual {
                Some(data) => plain(data, input.shape()),
                None => dy.clone(),
            }));
        }
        Ok(list)
    })?;
    if residual.is_none() {
        graph.recomputable(&result, again);
    }
    Ok(result)
}

/// Move the running statistic `var` towards `new`.
fn update(var: &Var, new: &[f64], momentum: f64) -> EngineResult<()> {
    let moved: Vec<f64> = numbers(var)?
        .iter()
        .zip(new)
        .map(|(old, new)| old * (1.0 - momentum) + new * momentum)
        .collect();
    var.set(&Tensor::new(moved, var.device())?.to_dtype(var.dtype())?)
}
