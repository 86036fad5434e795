//! Cross-entropy per pixel, with ignored labels, class weights and label smoothing.

mod cpu;
mod cuda;

use candle_core::{Result as EngineResult, Tensor};

use super::kernel::{Element, View, by_dtype, on_gpu, output, plain};
use super::numbers::integers;
use super::operation;
use super::tape::Graph;
use crate::error::{Result, in_range};
use crate::{choices, ensure, fail, options};

choices! {
    /// How the losses of the pixels become one number.
    pub enum Reduction {
        /// Their sum, divided by the sum of their weights (those of their classes); 0 if that is 0.
        Mean = "mean",
        /// Their sum.
        Sum = "sum",
        /// They stay a map, 0 where a pixel does not count.
        None = "none",
    }
}

/// Refuse weights of classes that are not finite, negative, all 0, or (where the number of classes is known) not one per class.
pub(crate) fn check_class_weights(
    function: &str,
    weights: impl ExactSizeIterator<Item = f64>,
    classes: Option<usize>,
) -> Result<()> {
    let count = weights.len();
    ensure!(
        classes.is_none_or(|classes| classes == count),
        "{function}: {count} class_weights for {} classes, expected one per class",
        classes.unwrap_or(0)
    );
    let mut some = false;
    for (class, weight) in weights.enumerate() {
        in_range(function, &format!("class_weights[{class}]"), weight, 0.0..)?;
        some |= weight > 0.0;
    }
    ensure!(
        some,
        "{function}: class_weights are all 0, expected one above 0 at least"
    );
    Ok(())
}

options! {
    /// What [`cross_entropy`] counts, and how.
    #[derive(PartialEq)]
    pub struct CrossEntropyOptions {
        /// Pixels with this label do not count.
        ignore_label: i64 = 255,
        /// Weight of each class; 1 each if not given.
        class_weights: Option<Vec<f32>> = None,
        /// Share of the target spread evenly over all classes, 0 to 1.
        label_smoothing: f64 = 0.0,
        /// How the losses of the pixels become one number; `"none"` leaves a map of them, 0 where a pixel does not count.
        reduction: Reduction = Reduction::Mean,
    }
}

impl CrossEntropyOptions {
    /// Refuse numbers that make no sense; `function` is named in the message.
    pub fn check(&self, function: &str, classes: Option<usize>) -> Result<()> {
        if let Some(weights) = &self.class_weights {
            check_class_weights(function, weights.iter().map(|w| f64::from(*w)), classes)?;
        }
        in_range(function, "label_smoothing", self.label_smoothing, 0.0..=1.0)
    }
}

/// The options and sizes of one call, as the kernel wants them.
struct Problem {
    images: usize,
    classes: usize,
    area: usize,
    ignore: i64,
    weights: Vec<f64>,
    smoothing: f64,
    reduction: Reduction,
}

impl Problem {
    /// For logits of this shape, `[images, classes, ...]`.
    fn new(dims: &[usize], o: &CrossEntropyOptions) -> Self {
        Problem {
            images: dims[0],
            classes: dims[1],
            area: dims[2..].iter().product(),
            ignore: o.ignore_label,
            weights: match &o.class_weights {
                Some(weights) => weights.iter().map(|w| f64::from(*w)).collect(),
                None => vec![1.0; dims[1]],
            },
            smoothing: o.label_smoothing,
            reduction: o.reduction,
        }
    }
}

operation! {
/// The cross-entropy of the pixels that count, equal to PyTorch's `F.cross_entropy` with the same [`Reduction`].
///
/// With the mean: `loss = sum_i [(1 - s) w_{y_i} nll_i(y_i) + s / C sum_c w_c nll_i(c)] / sum_i w_{y_i}` with `nll_i(c) = logsumexp_k logits_i(k) - logits_i(c)`,
/// smoothing `s`, class weights `w`, over the pixels whose label is not `ignore_label`. If none counts the loss and its gradient are 0.
///
/// Shapes: logits `[n, c, h, w]`, labels `[n, h, w]` of any integer type (also `[n, c]` with `[n]`), result a scalar, or with
/// [`Reduction::None`] a map like the labels. The gradient is computed in the same pass over the logits as the value (on a GPU in a second one, when it is asked for).
///
/// # Errors
/// Shapes that do not fit, a label outside `0..c` (named with its position), weights whose number is not `c` or that are negative. On a GPU
/// labels are not read back: one outside `0..c` gives a loss and gradients of NaN there.
pub fn cross_entropy(graph, logits: &Tensor, labels: &Tensor, o: &CrossEntropyOptions) -> Result<Tensor> {
    let (dims, label_dims) = (logits.dims(), labels.dims());
    ensure!(
        dims.len() >= 2
            && label_dims.len() + 1 == dims.len()
            && label_dims[0] == dims[0]
            && label_dims[1..] == dims[2..],
        "cross_entropy: logits have shape {dims:?} and labels {label_dims:?}, expected [images, classes, height, width] and \
     [images, height, width]; resize the logits or the labels to the same size"
    );
    ensure!(
        labels.dtype().is_int(),
        "cross_entropy: the labels are {}, expected an integer type; convert with to_dtype",
        labels.dtype().as_str()
    );
    let classes = dims[1];
    o.check("cross_entropy", Some(classes))?;
    let problem = Problem::new(dims, o);
    let logits = logits.contiguous()?;
    if on_gpu(logits.device()) {
        return Ok(cuda::cross_entropy(graph, problem, &logits, labels)?);
    }
    let truth = checked_labels("cross_entropy", labels, classes, o.ignore_label)?;
    Ok(by_dtype!(logits, "cross_entropy", T => typed::<T>(graph, &problem, &logits, &truth, label_dims))?)
}
}

/// The labels `[images, ..]` in reading order, each a class or the ignored label; on a GPU this waits for the device.
///
/// # Errors
/// A label that is neither, named with its place.
pub(crate) fn checked_labels(function: &str, labels: &Tensor, classes: usize, ignore: i64) -> Result<Vec<i64>> {
    let truth = integers(labels)?;
    let outside = |label: i64| label != ignore && !(0..classes as i64).contains(&label);
    if let Some(at) = truth.iter().position(|&label| outside(label)) {
        let mut rest = at;
        let mut place = labels.dims().to_vec();
        place.iter_mut().rev().for_each(|d| (*d, rest) = (rest % *d, rest / *d));
        fail!(
            "{function}: label {} at {place:?} is not one of the {classes} classes 0..{classes} nor the ignored label {ignore}; \
             check the number of classes and ignore_label",
            truth[at],
        );
    }
    Ok(truth)
}

fn typed<T: Element>(
    graph: Graph,
    problem: &Problem,
    logits: &Tensor,
    truth: &[i64],
    label_dims: &[usize],
) -> EngineResult<Tensor> {
    let found = cpu::loss::<T>(problem, &View::<T>::of(logits)?, truth, logits.track_op());
    let gradient = found.gradient.map(|data| plain(data, logits.shape()));
    let result = match found.map {
        Some(map) => output(map, label_dims),
        None => output(vec![T::from_f64(found.total)], ()),
    };
    let mapped = problem.reduction == Reduction::None;
    let lasts = graph.lasts();
    graph.record_light("cross_entropy", &[logits], result, move |upstream| {
        let Some(gradient) = &gradient else {
            candle_core::bail!("internal: no gradient was kept")
        };
        if mapped {
            return Ok(vec![Some(gradient.broadcast_mul(&upstream.unsqueeze(1)?)?)]);
        }
        let factor = View::<T>::of(upstream)?[0];
        // what is kept for another pass must not be changed in place as a variable's gradient
        if factor == T::one() && !lasts {
            return Ok(vec![Some(gradient.clone())]);
        }
        Ok(vec![Some((gradient * factor.to_f64())?)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    #[test]
    fn nothing_to_count_gives_zero_and_zero_gradient() {
        let logits = Var::from_tensor(&Tensor::ones((1, 3, 2, 2), DType::F32, &Device::Cpu).unwrap()).unwrap();
        let labels = Tensor::full(255u8, (1, 2, 2), &Device::Cpu).unwrap();
        let loss = cross_entropy(&logits, &labels, &CrossEntropyOptions::default()).unwrap();
        assert_eq!(loss.to_scalar::<f32>().unwrap(), 0.0);
        let grads = loss.backward().unwrap();
        let total = grads
            .get(&logits)
            .unwrap()
            .abs()
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        assert_eq!(total, 0.0);
    }

    #[test]
    fn a_stray_label_is_named_with_its_place() {
        let logits = Tensor::zeros((1, 11, 2, 2), DType::F32, &Device::Cpu).unwrap();
        let labels = Tensor::new(&[[[0i64, 1], [57, 2]]], &Device::Cpu).unwrap();
        let text = cross_entropy(&logits, &labels, &CrossEntropyOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("57") && text.contains("[0, 1, 0]") && text.contains("11 classes"),
            "{text}"
        );
    }
}
