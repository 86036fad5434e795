//! The rectifier on a GPU.

use candle_core::{Result, Tensor};

use crate::ops::kernel::cuda::{Buffer, Launch, Source};
use crate::ops::tape::{Graph, Needs};

const SOURCE: Source = Source::new("relu", include_str!("relu.cu"));

/// The rectified tensor, recorded in `graph`.
pub(super) fn relu(graph: Graph, x: &Tensor) -> Result<Tensor> {
    let n = x.elem_count();
    let mut y = Buffer::like(x, n)?;
    Launch::of(&SOURCE, "relu_forward", x)
        .read(x)
        .write(&mut y)
        .int(n)
        .each(n.div_ceil(4))?;
    graph.record("relu", &[x], Needs::RESULT, y.output(x.shape()), move |_, y, dy| {
        let mut dx = Buffer::like(y, n)?;
        let launch = Launch::of(&SOURCE, "relu_backward", y).read(y).read(dy);
        launch.write(&mut dx).int(n).each(n.div_ceil(4))?;
        Ok(vec![Some(dx.tensor(y.shape()))])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{agree, random};

    #[test]
    fn relu_on_a_gpu_is_that_of_the_processor() {
        for shape in [vec![2, 3, 4, 4], vec![7, 5]] {
            agree(
                1,
                &[random(&shape, 1)],
                |t| crate::ops::relu(&t[0]),
                |t| Ok(relu(Graph::default(), &t[0])?),
            );
        }
    }
}
