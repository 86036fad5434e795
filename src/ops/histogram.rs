//! How many elements lie between two numbers each.

use candle_core::{DType, Device, Tensor};

use super::numbers::numbers;
use crate::ensure;
use crate::error::Result;

/// Where the bins of a histogram begin and end.
#[derive(Clone, Debug, PartialEq)]
pub enum Bins {
    /// So many of one width, from one number to another; from the smallest to the largest element if these are not given.
    Even(usize, Option<[f64; 2]>),
    /// From each of these numbers to the next.
    Edges(Vec<f64>),
}

/// The number of elements in each bin, or the sum of their weights, and the edges of the bins, as PyTorch's `histogram`: an edge belongs
/// to the bin above it, the last one to the last bin, and elements outside of all bins count nowhere. With `density` the bins times their
/// widths add up to 1. Both are f64 for f64, else f32; no gradient flows.
///
/// # Errors
/// No bins, edges that do not rise, elements that are not finite without a range, weights of another shape.
pub fn histogram(x: &Tensor, bins: &Bins, weights: Option<&Tensor>, density: bool) -> Result<(Tensor, Tensor)> {
    let dtype = match x.dtype() {
        DType::F64 => DType::F64,
        _ => DType::F32,
    };
    let values = numbers(x)?;
    let edges = edges(&values, bins, dtype)?;
    let weights = match weights {
        Some(weights) => {
            ensure!(
                weights.dims() == x.dims(),
                "histogram: the weights have the shape {:?}, expected that of the tensor, {:?}",
                weights.dims(),
                x.dims()
            );
            Some(numbers(weights)?)
        }
        None => None,
    };
    let last = edges.len() - 1;
    let mut counts = vec![0f64; last];
    for (i, value) in values.iter().enumerate() {
        let bin = match edges.partition_point(|edge| edge <= value) {
            _ if *value == edges[last] => last - 1,
            0 => continue,
            above if above > last => continue,
            above => above - 1,
        };
        counts[bin] += weights.as_ref().map_or(1.0, |weights| weights[i]);
    }
    if density {
        let total: f64 = counts.iter().sum();
        let widths = edges.windows(2).map(|pair| pair[1] - pair[0]);
        counts
            .iter_mut()
            .zip(widths)
            .for_each(|(count, width)| *count /= total * width);
    }
    let tensor = |numbers: Vec<f64>| -> Result<Tensor> {
        Ok(Tensor::new(numbers, &Device::Cpu)?
            .to_dtype(dtype)?
            .to_device(x.device())?)
    };
    Ok((tensor(counts)?, tensor(edges)?))
}

/// The edges as they are in this element type, so that elements fall where the edges given back say.
fn edges(values: &[f64], bins: &Bins, dtype: DType) -> Result<Vec<f64>> {
    let rounded = |edge: f64| {
        if dtype == DType::F64 {
            edge
        } else {
            f64::from(edge as f32)
        }
    };
    let (count, range) = match bins {
        Bins::Edges(edges) => {
            let edges: Vec<f64> = edges.iter().copied().map(rounded).collect();
            ensure!(
                edges.len() >= 2
                    && edges.windows(2).all(|pair| pair[0] < pair[1])
                    && edges.iter().all(|edge| edge.is_finite()),
                "histogram: the edges of bins must rise and be at least two, found {edges:?}"
            );
            return Ok(edges);
        }
        Bins::Even(count, range) => (*count, range),
    };
    ensure!(count > 0, "histogram: 0 bins, expected at least 1");
    let [mut low, mut high] = match range {
        Some(range) => *range,
        None if values.is_empty() => [0.0, 1.0],
        None => {
            ensure!(
                values.iter().all(|value| value.is_finite()),
                "histogram: not all elements are finite; give a `range`, and those outside do not count"
            );
            let ends = [f64::INFINITY, f64::NEG_INFINITY];
            values
                .iter()
                .fold(ends, |[low, high], value| [low.min(*value), high.max(*value)])
        }
    };
    ensure!(
        low.is_finite() && high.is_finite() && low <= high,
        "histogram: the range is {low} to {high}, expected two rising numbers"
    );
    if low == high {
        (low, high) = (low - 0.5, high + 0.5);
    }
    let edge = |i: usize| match i {
        i if i == count => high,
        i => low + (high - low) * (i as f64 / count as f64),
    };
    Ok((0..=count).map(edge).map(rounded).collect())
}
