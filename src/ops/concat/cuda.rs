//! Joining maps on a GPU: one copy a part.

use candle_core::{Result, Shape, Tensor};

use crate::ops::kernel::cuda::{Buffer, Launch, Source};
use crate::ops::tape::Graph;

const SOURCE: Source = Source::new("concat", include_str!("concat.cu"));

/// The parts, each `outer` rows of its width, joined row by row; recorded in `graph`.
pub(super) fn concat(
    graph: Graph,
    parts: &[&Tensor],
    outer: usize,
    widths: &[usize],
    shape: Vec<usize>,
) -> Result<Tensor> {
    let whole: usize = widths.iter().sum();
    if let Some(other) = parts.iter().find(|t| t.dtype() != parts[0].dtype()) {
        candle_core::bail!(
            "concat: the tensors are {} and {}, expected one element type; convert with to_dtype",
            parts[0].dtype().as_str(),
            other.dtype().as_str()
        )
    }
    let mut joined = Buffer::like(parts[0], outer * whole)?;
    let mut start = 0;
    let mut places: Vec<(usize, usize, Option<Shape>)> = Vec::with_capacity(parts.len());
    for (part, width) in parts.iter().zip(widths) {
        let n = outer * width;
        let launch = Launch::of(&SOURCE, "concat_forward", part)
            .read(part)
            .write(&mut joined);
        launch.ints(&[n, *width, whole, start]).each(n.div_ceil(4))?;
        places.push((*width, start, part.track_op().then(|| part.shape().clone())));
        start += width;
    }
    graph.record_light("concat", parts, joined.output(shape), move |dy| {
        let cut = |(width, start, shape): &(usize, usize, Option<Shape>)| -> Result<Option<Tensor>> {
            let Some(shape) = shape else { return Ok(None) };
            let n = outer * width;
            let mut part = Buffer::like(dy, n)?;
            let launch = Launch::of(&SOURCE, "concat_backward", dy).read(dy).write(&mut part);
            launch.ints(&[n, *width, whole, *start]).each(n.div_ceil(4))?;
            Ok(Some(part.tensor(shape)))
        };
        places.iter().map(cut).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{agree, random};

    #[test]
    fn joining_on_a_gpu_is_that_of_the_processor() {
        for (dim, inner, sizes) in [(1, [4, 4], [3, 1, 2]), (1, [3, 1], [2, 5, 1]), (0, [2, 2], [1, 2, 3])] {
            let shape = |n: usize| {
                if dim == 0 {
                    [n, 3, inner[0], inner[1]]
                } else {
                    [2, n, inner[0], inner[1]]
                }
            };
            let inputs: Vec<Tensor> = sizes.iter().map(|n| random(&shape(*n), *n as u64)).collect();
            let outer = if dim == 0 { 1 } else { 2 };
            let widths: Vec<usize> = inputs.iter().map(|t| t.elem_count() / outer).collect();
            agree(
                3,
                &inputs,
                |t| crate::ops::concat(&t.iter().collect::<Vec<_>>(), dim),
                |t| {
                    let parts: Vec<&Tensor> = t.iter().collect();
                    let joined = shape(sizes.iter().sum()).to_vec();
                    Ok(concat(Graph::default(), &parts, outer, &widths, joined)?)
                },
            );
        }
    }
}
