//! A branch added to what went around it, on a GPU.

use candle_core::{Device, Result, Tensor};

use crate::ops::kernel::cuda::{Buffer, Launch, Source, arithmetic};
use crate::ops::tape::Graph;

const SOURCE: Source = Source::new("residual", include_str!("residual.cu"));

/// `x + factor branch`, recorded in `graph`.
pub(super) fn residual(graph: Graph, x: &Tensor, branch: &Tensor, factors: &[f64]) -> Result<Tensor> {
    let (n, each) = (x.elem_count(), (x.elem_count() / factors.len().max(1)).max(1));
    let whole = factors.iter().all(|factor| *factor == 1.0);
    let factors = Tensor::from_slice(factors, factors.len(), &Device::Cpu)?;
    let factors = factors.to_dtype(arithmetic(x.dtype()))?.to_device(x.device())?;
    let mut y = Buffer::like(x, n)?;
    Launch::of(&SOURCE, "residual_forward", x)
        .read(x)
        .read(branch)
        .read(&factors)
        .write(&mut y)
        .ints(&[n, each])
        .each(n)?;
    graph.record_light("residual", &[x, branch], y.output(x.shape()), move |dy| {
        if whole {
            return Ok(vec![Some(dy.clone()), Some(dy.clone())]);
        }
        let mut scaled = Buffer::like(dy, n)?;
        Launch::of(&SOURCE, "residual_backward", dy)
            .read(dy)
            .read(&factors)
            .write(&mut scaled)
            .ints(&[n, each])
            .each(n)?;
        Ok(vec![Some(dy.clone()), Some(scaled.tensor(dy.shape()))])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{agree, random};

    #[test]
    fn a_branch_on_a_gpu_counts_as_on_the_processor() {
        for factors in [[1.0, 1.0, 1.0], [0.0, 1.25, 1.25]] {
            agree(
                2,
                &[random(&[3, 5, 7, 3], 1), random(&[3, 5, 7, 3], 2)],
                |t| crate::ops::residual(&t[0], &t[1], &factors),
                |t| Ok(residual(Graph::default(), &t[0], &t[1], &factors)?),
            );
        }
    }
}
