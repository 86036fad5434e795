//! Pooling on a GPU.

use candle_core::{DType, Result, Tensor};

use super::Window;
use crate::ops::Layout;
use crate::ops::kernel::cuda::{Buffer, Columns, Launch, Source, THREADS, lanes};
use crate::ops::tape::Graph;

const SOURCE: Source = Source::new("pool", include_str!("pool.cu"));

impl Window {
    /// The kernels' `WINDOW`.
    fn sizes(&self) -> [usize; 10] {
        let (s, o, k, t, p) = (self.size, self.out_size, self.kernel, self.stride, self.padding);
        [s[0], s[1], o[0], o[1], k[0], k[1], t[0], t[1], p[0], p[1]]
    }

    /// Run a kernel over maps of `n` elements from those of `maps`.
    fn each(&self, layout: Layout, launch: Launch, n: usize, maps: &Tensor) -> Result<()> {
        let launch = launch.int(n);
        match layout {
            Layout::ChannelsFirst => launch.ints(&self.sizes()).each(n),
            Layout::ChannelsLast => {
                let (lanes, wide) = lanes(self.channels, &[maps])?;
                let launch = launch.ints(&[self.channels, usize::from(wide)]);
                launch.ints(&self.sizes()).each(n / lanes)
            }
        }
    }
}

/// The sum over all pixels of each image of maps with the channels last, `[n, h, w, c]`, by `divisor`: `[n, c]`.
pub(in crate::ops) fn whole(x: &Tensor, divisor: usize) -> Result<Buffer> {
    let (images, h, w, channels) = x.dims4()?;
    let lanes = 16 / x.dtype().size_in_bytes();
    let columns = Columns::with(lanes, [h * w, channels], &[x])?;
    let splits = columns.splits().div_ceil(images);
    let n = images * channels;
    let mut parts = Buffer::new(x.device(), DType::F64, n * splits)?;
    let [shares, sets, _] = columns.grid(splits);
    let launch = Launch::of(&SOURCE, "whole_sums", x).read(x).write(&mut parts);
    launch.ints(&columns.ints()).run([shares, sets, images], THREADS)?;
    let parts = parts.tensor(n * splits);
    let mut sums = Buffer::like(x, n)?;
    Launch::of(&SOURCE, "whole_finish", x)
        .read(&parts)
        .write(&mut sums)
        .ints(&[n, splits, divisor])
        .run([n.div_ceil(THREADS / 32), 1, 1], THREADS)?;
    Ok(sums)
}

/// The maxima, recorded in `graph`.
pub(super) fn max(graph: Graph, g: Window, x: &Tensor) -> Result<Tensor> {
    let (layout, shape) = (graph.layout, graph.layout.shape(g.shape()));
    let n = shape.iter().product();
    let mut y = Buffer::like(x, n)?;
    let mut places = Buffer::new(x.device(), DType::U32, n)?;
    let name = layout.kernel(["max_forward", "max_last_forward"]);
    let launch = Launch::of(&SOURCE, name, x).read(x).write(&mut y).write(&mut places);
    g.each(layout, launch, n, x)?;
    let (places, input) = (places.tensor(n), x.shape().clone());
    graph.record_light("max_pool2d", &[x], y.output(&shape), move |dy| {
        let mut dx = Buffer::like(dy, input.elem_count())?;
        let name = layout.kernel(["max_backward", "max_last_backward"]);
        let launch = Launch::of(&SOURCE, name, dy).read(&places).read(dy).write(&mut dx);
        g.each(layout, launch, input.elem_count(), dy)?;
        Ok(vec![Some(dx.tensor(&input))])
    })
}

/// The means, recorded in `graph`.
pub(super) fn mean(graph: Graph, g: Window, x: &Tensor) -> Result<Tensor> {
    let (layout, shape) = (graph.layout, graph.layout.shape(g.shape()));
    let n = shape.iter().product();
    let y = if layout == Layout::ChannelsLast && g.kernel == g.size && g.padding == [0, 0] {
        whole(x, g.size[0] * g.size[1])?
    } else {
        let mut y = Buffer::like(x, n)?;
        let name = layout.kernel(["mean_forward", "mean_last_forward"]);
        g.each(layout, Launch::of(&SOURCE, name, x).read(x).write(&mut y), n, x)?;
        y
    };
    let input = x.shape().clone();
    graph.record_light("avg_pool2d", &[x], y.output(&shape), move |dy| {
        let mut dx = Buffer::like(dy, input.elem_count())?;
        let name = layout.kernel(["mean_backward", "mean_last_backward"]);
        let launch = Launch::of(&SOURCE, name, dy).read(dy).write(&mut dx);
        g.each(layout, launch, input.elem_count(), dy)?;
        Ok(vec![Some(dx.tensor(&input))])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{LAYOUTS, agree, from_layout, random, to_layout};

    #[test]
    fn pooling_on_a_gpu_is_that_of_the_processor() {
        let cases = [
            ([3, 3], [2, 2], [1, 1]),
            ([2, 2], [2, 2], [0, 0]),
            ([3, 2], [1, 3], [1, 0]),
            ([1, 1], [2, 1], [0, 0]),
            ([7, 6], [7, 6], [0, 0]), // one output an image
        ];
        for ((kernel, stride, padding), channels) in cases.into_iter().flat_map(|c| [3, 16].map(|n| (c, n))) {
            let x = random(&[2, channels, 7, 6], 1);
            let window = Window::new("test", x.dims(), kernel, stride, padding).unwrap();
            for layout in LAYOUTS {
                let graph = Graph::default().in_layout(layout);
                agree(
                    1,
                    std::slice::from_ref(&x),
                    |t| crate::ops::max_pool2d(&t[0], kernel, stride, padding),
                    |t| Ok(from_layout(&max(graph, window, &to_layout(&t[0], layout)?)?, layout)?),
                );
                agree(
                    1,
                    std::slice::from_ref(&x),
                    |t| crate::ops::avg_pool2d(&t[0], kernel, stride, padding),
                    |t| Ok(from_layout(&mean(graph, window, &to_layout(&t[0], layout)?)?, layout)?),
                );
            }
        }
    }
}
