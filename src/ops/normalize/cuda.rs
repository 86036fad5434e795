//! Unit vectors on a GPU.

use candle_core::{Result, Tensor};

use crate::ops::kernel::cuda::{Buffer, Launch, Source, THREADS, arithmetic};
use crate::ops::tape::{Graph, Needs};

const SOURCE: Source = Source::new("normalize", include_str!("normalize.cu"));

/// The unit vectors, recorded in `graph`.
pub(super) fn normalize(graph: Graph, [outer, length, inner]: [usize; 3], x: &Tensor, eps: f64) -> Result<Tensor> {
    let (n, vectors) = (x.elem_count(), outer * inner);
    let sizes = [vectors, length, inner];
    let threads = vectors * if inner == 1 { 32 } else { 1 };
    let grid = [threads.div_ceil(THREADS).min(1 << 20), 1, 1];
    let mut y = Buffer::like(x, n)?;
    let mut lengths = Buffer::new(x.device(), arithmetic(x.dtype()), vectors)?;
    let launch = Launch::of(&SOURCE, "normalize_forward", x).read(x).write(&mut y);
    launch.write(&mut lengths).ints(&sizes).real(eps).run(grid, THREADS)?;
    let lengths = lengths.tensor(vectors.max(1));
    let (needs, output) = (Needs::ARGUMENT, y.output(x.shape()));
    graph.record("normalize", &[x], needs, output, move |arguments, _, dy| {
        let x = arguments[0];
        let mut dx = Buffer::like(x, n)?;
        let launch = Launch::of(&SOURCE, "normalize_backward", x)
            .read(x)
            .read(dy)
            .read(&lengths);
        launch.write(&mut dx).ints(&sizes).real(eps).run(grid, THREADS)?;
        Ok(vec![Some(dx.tensor(x.shape()))])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{agree, random};

    #[test]
    fn unit_vectors_on_a_gpu_are_those_of_the_processor() {
        for (shape, dim) in [
            ([2, 5, 3, 4], 1),
            ([3, 2, 4, 40], 3),
            ([300, 2, 1, 1], 1),
            ([6, 1, 2, 2], 0),
        ] {
            // the second leaves every vector shorter than eps
            for eps in [1e-12, 1e3] {
                let sizes = |part: &[usize]| part.iter().product();
                let around = [sizes(&shape[..dim]), shape[dim], sizes(&shape[dim + 1..])];
                agree(
                    1,
                    &[random(&shape, 1)],
                    |t| crate::ops::normalize(&t[0], dim, eps),
                    |t| Ok(normalize(Graph::default(), around, &t[0], eps)?),
                );
            }
        }
    }
}
