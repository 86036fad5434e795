//! Cross-entropy that weighs or chooses its pixels.

use std::ops::Bound;

use candle_core::Tensor;

use crate::ensure;
use crate::error::{Result, in_range};
use crate::loss::total;
use crate::ops::{CrossEntropyOptions, Graph, Reduction, integers, numbers};

/// Cross-entropy with a weight for each pixel, `[n, h, w]`. The mean is the weighted one, as with class weights: the sum divided by
/// the weights (times class weights) of the pixels that count; 0 where these are all 0.
///
/// # Errors
/// Those of [`Graph::cross_entropy`]; weights of another shape, or that are negative or not finite.
pub fn weighted_cross_entropy(
    graph: Graph,
    logits: &Tensor,
    labels: &Tensor,
    weights: &Tensor,
    options: &CrossEntropyOptions,
) -> Result<Tensor> {
    ensure!(
        weights.dims() == labels.dims(),
        "cross_entropy: the weights have shape {:?}, expected that of the labels, {:?}",
        weights.dims(),
        labels.dims()
    );
    let each = CrossEntropyOptions {
        reduction: Reduction::None,
        ..options.clone()
    };
    let weights = weights.detach().to_dtype(logits.dtype())?;
    let numbers = numbers(&weights)?;
    ensure!(
        numbers.iter().all(|w| w.is_finite() && *w >= 0.0),
        "cross_entropy: the weights of the pixels must be finite and not negative"
    );
    let losses = (graph.cross_entropy(logits, labels, &each)? * weights)?;
    match options.reduction {
        Reduction::None => Ok(losses),
        Reduction::Sum => total(&losses, false),
        Reduction::Mean => {
            let labels = integers(labels)?;
            let class = |label: i64| match &options.class_weights {
                Some(weights) => f64::from(weights[label as usize]),
                None => 1.0,
            };
            let counted = labels
                .iter()
                .zip(&numbers)
                .filter(|(label, _)| **label != options.ignore_label);
            let weight: f64 = counted.map(|(label, weight)| class(*label) * weight).sum();
            Ok((total(&losses, false)? * if weight > 0.0 { 1.0 / weight } else { 0.0 })?)
        }
    }
}

/// Which pixels [`ohem`] keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hardest {
    /// This share of the valid pixels, at least one.
    Share(f64),
    /// Those whose class has less than this probability; and at least so many.
    Below(f64, usize),
}

/// Online hard example mining: the mean cross-entropy of the pixels with the largest one. Ties go to the pixel that comes first.
/// Source: Shrivastava et al. 2016.
///
/// # Errors
/// Those of [`Graph::cross_entropy`]; a share or a probability outside (0, 1].
pub fn ohem(graph: Graph, logits: &Tensor, labels: &Tensor, kept: Hardest, ignore_label: i64) -> Result<Tensor> {
    let (option, value) = match kept {
        Hardest::Share(share) => ("keep", share),
        Hardest::Below(p, _) => ("threshold", p),
    };
    in_range("ohem", option, value, (Bound::Excluded(0.0), Bound::Included(1.0)))?;
    let options = CrossEntropyOptions {
        ignore_label,
        reduction: Reduction::None,
        ..CrossEntropyOptions::default()
    };
    let losses = graph.cross_entropy(logits, labels, &options)?;
    let labels = integers(labels)?;
    let numbers = numbers(&losses)?;
    let mut order: Vec<usize> = (0..labels.len()).filter(|i| labels[*i] != ignore_label).collect();
    // what is not a number is no smaller loss than others
    let loss = |i: usize| if numbers[i].is_nan() { f64::INFINITY } else { numbers[i] };
    order.sort_unstable_by(|a, b| loss(*b).total_cmp(&loss(*a)).then(a.cmp(b)));
    let count = match kept {
        Hardest::Share(share) => (share * order.len() as f64).ceil() as usize,
        Hardest::Below(p, least) => order.iter().filter(|i| loss(**i) > -p.ln()).count().max(least),
    };
    order.truncate(count);
    let mut weights = vec![0f64; labels.len()];
    order.iter().for_each(|i| weights[*i] = 1.0 / order.len() as f64);
    let weights = Tensor::from_vec(weights, losses.shape(), losses.device())?.to_dtype(losses.dtype())?;
    total(&(losses * weights)?, false)
}
