//! The Gaussian error linear unit on a GPU.

use candle_core::{Result, Tensor};

use crate::ops::kernel::cuda::{Buffer, Launch, Source};
use crate::ops::tape::{Graph, Needs};

const SOURCE: Source = Source::new("gelu", include_str!("gelu.cu"));

/// `x Phi(x)`, recorded in `graph`.
pub(super) fn gelu(graph: Graph, x: &Tensor) -> Result<Tensor> {
    let n = x.elem_count();
    let mut y = Buffer::like(x, n)?;
    let launch = Launch::of(&SOURCE, "gelu_forward", x).read(x).write(&mut y);
    launch.int(n).each(n)?;
    let (needs, output) = (Needs::ARGUMENT, y.output(x.shape()));
    graph.record("gelu", &[x], needs, output, move |arguments, _, dy| {
        let x = arguments[0];
        let mut dx = Buffer::like(x, n)?;
        let launch = Launch::of(&SOURCE, "gelu_backward", x).read(x).read(dy).write(&mut dx);
        launch.int(n).each(n)?;
        Ok(vec![Some(dx.tensor(x.shape()))])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{agree, random};

    #[test]
    fn gelu_on_a_gpu_is_that_of_the_processor() {
        let x = (random(&[2, 5, 7, 9], 1) * 3.0).unwrap();
        agree(
            1,
            &[x],
            |t| crate::ops::gelu(&t[0]),
            |t| Ok(gelu(Graph::default(), &t[0])?),
        );
    }
}
