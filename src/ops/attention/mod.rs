//! Attention between two maps.

mod cpu;
mod cuda;

use candle_core::{Result as EngineResult, Tensor};

use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::operation;
use super::tape::Needs;
use crate::ensure;
use crate::error::Result;

operation! {
/// Scaled dot-product attention (Vaswani et al. 2017) of every position of `query` to every position of `key`: with the channels
/// cut into `heads` groups of d, for each group `sum_j softmax_j(q_i . k_j / sqrt d) v_j`.
///
/// Shapes: query `[n, c, h, w]`, key and value `[n, c, h', w']`, result as the query. Cost: `4 n c hw h'w'` operations forward;
/// on the processor the `n heads hw h'w'` weights are computed again for the backward pass, block by block, on a GPU they are kept.
/// The products are f32 at every precision; on a GPU maps of bf16 are multiplied in bf16 with sums in f32.
///
/// # Errors
/// Shapes that do not fit; channels that `heads` does not divide.
pub fn attention(graph, query: &Tensor, key: &Tensor, value: &Tensor, heads: usize) -> Result<Tensor> {
    let (q, k, v) = (query.dims(), key.dims(), value.dims());
    ensure!(
        q.len() == 4 && k.len() == 4 && q[..2] == k[..2] && k == v && k[2] * k[3] > 0,
        "attention: query {q:?}, key {k:?} and value {v:?} must be [n, c, h, w], [n, c, h', w'] and as the key"
    );
    ensure!(
        heads > 0 && q[1] % heads == 0,
        "attention: {heads} heads do not divide the {} channels of the query {q:?}",
        q[1]
    );
    let keys = k[2] * k[3];
    let scale = 1.0 / ((q[1] / heads) as f64).sqrt();
    let (query, key, value) = (query.contiguous()?, key.contiguous()?, value.contiguous()?);
    if on_gpu(query.device()) {
        return Ok(cuda::attention(graph, [&query, &key, &value], heads, scale)?);
    }
    let needs = Needs::first(3);
    let sizes = Sizes {
        heads: q[0] * heads,
        channels: q[1] / heads,
        queries: q[2] * q[3],
        keys,
    };
    Ok(by_dtype!(query, "attention", T => {
        let (result, sums) = {
            let (q, k, v) = (View::<T>::of(&query)?, View::<T>::of(&key)?, View::<T>::of(&value)?);
            cpu::forward::<T>(sizes, [&*q, &*k, &*v], scale)
        };
        let output = output(result, query.shape());
        let arguments = [&query, &key, &value];
        graph.record("attention", &arguments, needs, output, move |arguments, _, gradient| {
            let (query, key, value) = (arguments[0], arguments[1], arguments[2]);
            let (q, k, v) = (View::<T>::of(query)?, View::<T>::of(key)?, View::<T>::of(value)?);
            let dy = View::<T>::of(gradient)?;
            let gradients = cpu::backward::<T>(sizes, [&*q, &*k, &*v], &sums, &dy, scale);
            let each = gradients.into_iter().zip([query, key, value]);
            Ok(each.map(|(gradient, map)| Some(plain(gradient, map.shape()))).collect())
        })
    })?)
}
}

/// Sizes of an attention on the processor.
#[derive(Clone, Copy)]
struct Sizes {
    /// Heads of all images together.
    heads: usize,
    /// Channels of a head.
    channels: usize,
    queries: usize,
    keys: usize,
}

/// A map [n, heads d, h, w] as matrices [n heads, d, hw], outside any graph.
fn split(map: &Tensor, heads: usize) -> EngineResult<Tensor> {
    let (n, c, h, w) = map.dims4()?;
    map.detach().reshape((n * heads, c / heads, h * w))
}
