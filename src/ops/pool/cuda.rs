//! Pooling on a GPU.

use candle_core::{DType, Result, Tensor};

use super::Window;
use crate::ops::kernel::cuda::{Buffer, Launch, Source};
use crate::ops::tape::Graph;

const SOURCE: Source = Source {
    name: "pool",
    text: include_str!("pool.cu"),
};

impl Window {
    /// The kernels' `WINDOW`.
    fn sizes(&self) -> [usize; 10] {
        let (s, o, k, t, p) = (self.size, self.out_size, self.kernel, self.stride, self.padding);
        [s[0], s[1], o[0], o[1], k[0], k[1], t[0], t[1], p[0], p[1]]
    }

    fn outputs(&self) -> usize {
        self.planes * self.out_size[0] * self.out_size[1]
    }
}

/// The maxima, recorded in `graph`.
pub(super) fn max(graph: Graph, g: Window, x: &Tensor, shape: (usize, usize, usize, usize)) -> Result<Tensor> {
    let n = g.outputs();
    let mut y = Buffer::like(x, n)?;
    let mut places = Buffer::new(x.device(), DType::U32, n)?;
    Launch::of(&SOURCE, "max_forward", x)
        .read(x)
        .write(&mut y)
        .write(&mut places)
        .int(n)
        .ints(&g.sizes())
        .each(n)?;
    let (places, input) = (places.tensor(n), x.shape().clone());
    graph.record_light("max_pool2d", &[x], y.output(shape), move |dy| {
        let mut dx = Buffer::like(dy, input.elem_count())?;
        Launch::of(&SOURCE, "max_backward", dy)
            .read(&places)
            .read(dy)
            .write(&mut dx)
            .int(input.elem_count())
            .ints(&g.sizes())
            .each(input.elem_count())?;
        Ok(vec![Some(dx.tensor(&input))])
    })
}

/// The means, recorded in `graph`.
pub(super) fn mean(graph: Graph, g: Window, x: &Tensor, shape: (usize, usize, usize, usize)) -> Result<Tensor> {
    let n = g.outputs();
    let mut y = Buffer::like(x, n)?;
    let launch = Launch::of(&SOURCE, "mean_forward", x).read(x).write(&mut y);
    launch.int(n).ints(&g.sizes()).each(n)?;
    let input = x.shape().clone();
    graph.record_light("avg_pool2d", &[x], y.output(shape), move |dy| {
        let n = input.elem_count();
        let mut dx = Buffer::like(dy, n)?;
        let launch = Launch::of(&SOURCE, "mean_backward", dy).read(dy).write(&mut dx);
        launch.int(n).ints(&g.sizes()).each(n)?;
        Ok(vec![Some(dx.tensor(&input))])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{agree, random};

    #[test]
    fn pooling_on_a_gpu_is_that_of_the_processor() {
        let cases = [
            ([3, 3], [2, 2], [1, 1]),
            ([2, 2], [2, 2], [0, 0]),
            ([3, 2], [1, 3], [1, 0]),
            ([1, 1], [2, 1], [0, 0]),
        ];
        for (kernel, stride, padding) in cases {
            let x = random(&[2, 3, 7, 6], 1);
            let window = Window::new("test", &x, kernel, stride, padding).unwrap();
            let shape = (2, 3, window.out_size[0], window.out_size[1]);
            agree(
                1,
                std::slice::from_ref(&x),
                |t| crate::ops::max_pool2d(&t[0], kernel, stride, padding),
                |t| Ok(max(Graph::default(), window, &t[0], shape)?),
            );
            agree(
                1,
                &[x],
                |t| crate::ops::avg_pool2d(&t[0], kernel, stride, padding),
                |t| Ok(mean(Graph::default(), window, &t[0], shape)?),
            );
        }
    }
}
