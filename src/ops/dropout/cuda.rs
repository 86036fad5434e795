//! Dropout on a GPU.

use candle_core::{Device, Result, Tensor};

use crate::ops::Layout;
use crate::ops::kernel::cuda::{Buffer, Launch, Source, upload};
use crate::ops::tape::Graph;

const SOURCE: Source = Source::new("dropout", include_str!("dropout.cu"));

/// The elements where `kept` (drawn for maps with the channels first) is not 0, times `scale`; recorded in `graph`.
pub(super) fn dropout(graph: Graph, x: &Tensor, kept: Vec<u8>, scale: f64) -> Result<Tensor> {
    let n = x.elem_count();
    let sizes = match (graph.layout, x.dims()) {
        (Layout::ChannelsLast, [_, h, w, channels]) => [n, *channels, h * w],
        _ => [n, 1, 1],
    };
    let kept = upload(&Tensor::from_vec(kept, n, &Device::Cpu)?, x.device())?;
    let masked = move |x: &Tensor| -> Result<Buffer> {
        let mut y = Buffer::like(x, n)?;
        let launch = Launch::of(&SOURCE, "dropout", x).read(x).read(&kept).write(&mut y);
        launch.ints(&sizes).real(scale).each(n)?;
        Ok(y)
    };
    let y = masked(x)?;
    graph.record_light("dropout", &[x], y.output(x.shape()), move |dy| {
        Ok(vec![Some(masked(dy)?.tensor(dy.shape()))])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{LAYOUTS, agree, from_layout, random, to_layout};
    use crate::random::Random;

    #[test]
    fn one_seed_drops_the_same_elements_on_both() {
        for (p, layout) in [0.3, 1.0].into_iter().flat_map(|p| LAYOUTS.map(|layout| (p, layout))) {
            agree(
                1,
                &[random(&[3, 7, 2, 5], 1)],
                |t| crate::ops::dropout(&t[0], p, &mut Random::new(4)),
                |t| {
                    let mut draws = Random::new(4);
                    let kept = super::super::mask(t[0].elem_count(), p, &mut draws);
                    let graph = Graph::default().in_layout(layout);
                    let y = dropout(graph, &to_layout(&t[0], layout)?, kept, super::super::scale(p))?;
                    Ok(from_layout(&y, layout)?)
                },
            );
        }
    }
}
