//! Attention on a GPU: batched products by cuBLAS, the softmax between them by a kernel. In bf16 the products take bf16 and add in f32.

use candle_core::{Result, Tensor};

use super::split;
use crate::ops::kernel::cuda::product::batched;
use crate::ops::kernel::cuda::{Buffer, Launch, Source, THREADS};
use crate::ops::tape::{Graph, Needs};

const SOURCE: Source = Source::new("attention", include_str!("attention.cu"));

/// Rows of a block: one warp each.
const ROWS: usize = THREADS / 32;

/// The attended values, recorded in `graph`; `factor` multiplies the scores.
pub(super) fn attention(graph: Graph, [query, key, value]: [&Tensor; 3], heads: usize, factor: f64) -> Result<Tensor> {
    let scores = batched(&split(query, heads)?.t()?, &split(key, heads)?)?;
    let (matrices, queries, keys) = scores.dims3()?;
    let (shape, rows) = ((matrices, queries, keys), matrices * queries);
    let sizes = [rows, keys];
    let mut weights = Buffer::like(&scores, rows * keys)?;
    Launch::of(&SOURCE, "attention_softmax", &scores)
        .read(&scores)
        .write(&mut weights)
        .ints(&sizes)
        .real(factor)
        .run([rows.div_ceil(ROWS), 1, 1], THREADS)?;
    drop(scores);
    let weights = weights.tensor(shape);
    let result = batched(&split(value, heads)?, &weights.t()?)?;
    let needs = Needs::first(3);
    let arguments = [query, key, value];
    let output = Buffer::copy(&result)?.output(query.shape());
    graph.record("attention", &arguments, needs, output, move |arguments, _, gradient| {
        let (query, key, value) = (arguments[0], arguments[1], arguments[2]);
        let dy = split(gradient, heads)?;
        let by_weights = batched(&dy.t()?, &split(value, heads)?)?;
        let mut by_scores = Buffer::like(&weights, rows * keys)?;
        Launch::of(&SOURCE, "attention_softmax_backward", &weights)
            .read(&weights)
            .read(&by_weights)
            .write(&mut by_scores)
            .ints(&sizes)
            .real(factor)
            .run([rows.div_ceil(ROWS), 1, 1], THREADS)?;
        drop(by_weights);
        let by_scores = by_scores.tensor(shape);
        let each = [
            batched(&split(key, heads)?, &by_scores.t()?)?.reshape(query.shape())?,
            batched(&split(query, heads)?, &by_scores)?.reshape(key.shape())?,
            batched(&dy, &weights)?.reshape(value.shape())?,
        ];
        Ok(each.into_iter().map(Some).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{agree, random};

    #[test]
    fn attention_on_a_gpu_is_that_of_the_processor() {
        // more and fewer keys than lanes, one key, several heads
        for (channels, heads, queries, keys) in [(6, 2, [3, 5], [9, 7]), (4, 1, [2, 2], [3, 4]), (6, 3, [4, 3], [1, 1])]
        {
            let inputs = [
                random(&[2, channels, queries[0], queries[1]], 1),
                random(&[2, channels, keys[0], keys[1]], 2),
                random(&[2, channels, keys[0], keys[1]], 3),
            ];
            let factor = 1.0 / ((channels / heads) as f64).sqrt();
            agree(
                3,
                &inputs,
                |t| crate::ops::attention(&t[0], &t[1], &t[2], heads),
                |t| Ok(attention(Graph::default(), [&t[0], &t[1], &t[2]], heads, factor)?),
            );
        }
    }
}
