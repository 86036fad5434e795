//! Cross-entropy on a GPU. Nothing is read back: a stray label shows as a loss of NaN, not as an error that names it.

use candle_core::{DType, Result, Tensor};

use super::{Problem, Reduction};
use crate::ops::kernel::cuda::{BLOCKS, Buffer, Launch, Source, THREADS, arithmetic};
use crate::ops::tape::{Graph, Needs};

const SOURCE: Source = Source::new("cross_entropy", include_str!("cross_entropy.cu"));

/// The loss (f32 for bf16 logits), recorded in `graph`. The backward pass computes the softmax again from the logits.
pub(super) fn cross_entropy(graph: Graph, p: Problem, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (device, real) = (logits.device(), arithmetic(logits.dtype()));
    let label_dims = labels.dims();
    let labels = labels.to_dtype(DType::I64)?.contiguous()?;
    let weights = Tensor::new(p.weights.as_slice(), device)?;
    let pixels = p.images * p.area;
    let sizes = [pixels, p.classes, p.area, p.ignore as usize];
    let blocks = pixels.div_ceil(THREADS).clamp(1, BLOCKS);
    let mut totals = Buffer::new(device, real, pixels)?;
    let mut parts = Buffer::new(device, DType::F64, blocks * 3)?;
    let mapped = usize::from(p.reduction == Reduction::None);
    let mut map = Buffer::new(device, real, (pixels * mapped).max(1))?;
    Launch::of(&SOURCE, "cross_entropy_forward", logits)
        .read(logits)
        .read(&labels)
        .read(&weights)
        .write(&mut totals)
        .write(&mut parts)
        .write(&mut map)
        .ints(&sizes)
        .int(mapped)
        .real(p.smoothing)
        .run([blocks, 1, 1], THREADS)?;
    let (totals, parts) = (totals.tensor(pixels.max(1)), parts.tensor(blocks * 3));
    let (mut loss, mut factor) = (Buffer::new(device, real, 1)?, Buffer::new(device, real, 1)?);
    let launch = Launch::of(&SOURCE, "cross_entropy_finish", logits).read(&parts);
    let launch = launch
        .write(&mut loss)
        .write(&mut factor)
        .int(blocks)
        .int(usize::from(p.reduction == Reduction::Mean));
    launch.run([1, 1, 1], THREADS)?;
    let factor = factor.tensor(1);
    let whole: f64 = p.weights.iter().sum();
    let result = if mapped == 1 {
        map.output(label_dims)
    } else {
        loss.output(())
    };
    let needs = Needs::ARGUMENT;
    graph.record("cross_entropy", &[logits], needs, result, move |arguments, _, dy| {
        let (logits, dy) = (arguments[0], dy.contiguous()?);
        let mut gradient = Buffer::like(logits, logits.elem_count())?;
        Launch::of(&SOURCE, "cross_entropy_backward", logits)
            .read(logits)
            .read(&labels)
            .read(&weights)
            .read(&totals)
            .read(&factor)
            .read(&dy)
            .write(&mut gradient)
            .ints(&sizes)
            .int(mapped)
            .real(p.smoothing)
            .real(whole)
            .each(pixels)?;
        Ok(vec![Some(gradient.tensor(logits.shape()))])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::CrossEntropyOptions;
    use crate::ops::kernel::cuda::emulated::{agree, available, random};
    use candle_core::Device;

    fn labels(ignored: bool) -> Tensor {
        let value = |i: i64| if ignored || i % 7 == 0 { -1 } else { i * i % 5 };
        Tensor::from_vec(
            (0..2 * 9 * 31).map(value).collect::<Vec<i64>>(),
            (2, 9, 31),
            &Device::Cpu,
        )
        .unwrap()
    }

    fn problem(o: &CrossEntropyOptions) -> Problem {
        Problem::new(&[2, 5, 9, 31], o)
    }

    #[test]
    fn cross_entropy_on_a_gpu_is_that_of_the_processor() {
        let logits = (random(&[2, 5, 9, 31], 1) * 3.0).unwrap();
        for weighted in [false, true] {
            for (label_smoothing, ignored) in [(0.0, false), (0.2, false), (0.1, true)] {
                for (_, reduction) in Reduction::ALL {
                    let o = CrossEntropyOptions {
                        ignore_label: -1,
                        class_weights: weighted.then(|| vec![0.5, 2.0, 0.0, 1.0, 3.0]),
                        label_smoothing,
                        reduction,
                    };
                    agree(
                        1,
                        std::slice::from_ref(&logits),
                        |t| crate::ops::cross_entropy(&t[0], &labels(ignored), &o),
                        |t| Ok(cross_entropy(Graph::default(), problem(&o), &t[0], &labels(ignored))?),
                    );
                }
            }
        }
    }

    #[test]
    fn a_stray_label_makes_the_loss_nan_without_reading_beyond_the_logits() {
        if !available() {
            return;
        }
        let o = CrossEntropyOptions::default();
        let logits = random(&[2, 5, 9, 31], 1);
        for stray in [5, -3, 1 << 40] {
            let mut list = labels(false).flatten_all().unwrap().to_vec1::<i64>().unwrap();
            list.iter_mut().for_each(|y| *y = (*y).max(0));
            let loss = |list: Vec<i64>| {
                let labels = Tensor::from_vec(list, (2, 9, 31), &Device::Cpu).unwrap();
                let loss = cross_entropy(Graph::default(), problem(&o), &logits, &labels).unwrap();
                loss.to_scalar::<f64>().unwrap()
            };
            assert!(loss(list.clone()).is_finite());
            list[100] = stray;
            assert!(loss(list).is_nan());
        }
    }
}
