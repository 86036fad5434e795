//! Many settings of the loss on one frozen batch: what each would say and how hard it would pull.

use std::time::Instant;

use candle_core::{DType, Tensor, Var};

use super::{Memory, PixelContrastInput, PixelContrastOptions, pixel_contrast};
use crate::error::Result;
use crate::random::Random;

/// What one set of options gives on the batch.
#[derive(Clone, Debug)]
pub struct ProbeRow {
    /// The loss.
    pub value: f64,
    /// Euclidean norm of the gradient to the features.
    pub gradient_norm: f64,
    /// Euclidean norm of the gradient to the distorted features (0 where they take no part).
    pub gradient_norm_distorted: f64,
    /// Derivative by the temperature.
    pub temperature_slope: f64,
    /// Anchors that have a positive.
    pub anchors: usize,
    /// Anchors that have none.
    pub anchors_without_positive: usize,
    /// Mean logit of the positive pairs.
    pub positive_logit: Option<f64>,
    /// Mean logit of the negative pairs.
    pub negative_logit: Option<f64>,
    /// Mean squared distance of the positive pairs.
    pub alignment: Option<f64>,
    /// Time for value and gradients.
    pub milliseconds: f64,
    /// What the loss warned of.
    pub warnings: Vec<String>,
}

/// The frozen batch: as [`PixelContrastInput`], without graph.
pub struct ProbeInput<'a> {
    /// Features of the images, `[n, d, h, w]`.
    pub features: &'a Tensor,
    /// Features of the distorted images.
    pub distorted: Option<&'a Tensor>,
    /// Labels `[n, h', w']`.
    pub labels: &'a Tensor,
    /// Predicted labels (for sampling `hard`).
    pub predictions: Option<&'a Tensor>,
    /// Past keys, used once they are ready.
    pub memory: Option<&'a Memory>,
    /// Every row draws its samples and partners from this seed, so that rows differ by their options alone.
    pub seed: u64,
}

/// One row for each set of options, in their order. Nothing is trained; no gradient flows into the caller's graph.
///
/// # Errors
/// Those of [`pixel_contrast`](super::pixel_contrast()), the number of the options in front.
pub fn probe(input: &ProbeInput, list: &[PixelContrastOptions]) -> Result<Vec<ProbeRow>> {
    let features = Var::from_tensor(&input.features.detach())?;
    let distorted = match input.distorted {
        Some(distorted) => Some(Var::from_tensor(&distorted.detach())?),
        None => None,
    };
    let row = |options: &PixelContrastOptions| -> Result<ProbeRow> {
        let temperature = Var::new(options.temperature, features.device())?;
        let started = Instant::now();
        let out = pixel_contrast(
            PixelContrastInput {
                features: &features,
                distorted: distorted.as_deref(),
                labels: input.labels,
                predictions: input.predictions,
                temperature: Some(&temperature),
                memory: input.memory,
                random: &mut Random::new(input.seed),
            },
            options,
        )?;
        let gradients = out.loss.backward()?;
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        let norm = |var: &Var| -> Result<f64> {
            match gradients.get(var) {
                Some(g) => Ok(g.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?.sqrt()),
                None => Ok(0.0),
            }
        };
        let slope = match gradients.get(&temperature) {
            Some(slope) => slope.to_scalar::<f64>()?,
            None => 0.0,
        };
        let number = |found: &Option<Tensor>| found.as_ref().map(Tensor::to_scalar::<f64>).transpose();
        Ok(ProbeRow {
            value: out.loss.to_dtype(DType::F64)?.to_scalar::<f64>()?,
            gradient_norm: norm(&features)?,
            gradient_norm_distorted: distorted.as_ref().map_or(Ok(0.0), norm)?,
            temperature_slope: slope,
            anchors: out.anchors,
            anchors_without_positive: out.anchors_without_positive,
            positive_logit: number(&out.positive_logit)?,
            negative_logit: number(&out.negative_logit)?,
            alignment: number(&out.alignment)?,
            milliseconds,
            warnings: out.warnings,
        })
    };
    list.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Variant;
    use candle_core::Device;

    #[test]
    fn a_colder_loss_pulls_harder_and_the_slope_is_the_difference() {
        let mut random = Random::new(0);
        let data: Vec<f64> = (0..2 * 6 * 16).map(|_| random.normal()).collect();
        let z = Tensor::from_vec(data, (2, 6, 4, 4), &Device::Cpu).unwrap();
        let labels = Tensor::from_vec((0..32).map(|i| i % 3).collect::<Vec<i64>>(), (2, 4, 4), &Device::Cpu).unwrap();
        let input = ProbeInput {
            features: &z,
            distorted: Some(&z),
            labels: &labels,
            predictions: None,
            memory: None,
            seed: 0,
        };
        let options = |temperature| PixelContrastOptions {
            temperature,
            ..Default::default()
        };
        let supcon = PixelContrastOptions {
            variant: Variant::Supcon,
            ..options(0.07)
        };
        let rows = probe(&input, &[options(0.07), options(0.5), options(0.500001), supcon]).unwrap();
        assert!(rows[0].gradient_norm > rows[1].gradient_norm && rows[1].gradient_norm_distorted > 0.0);
        let slope = (rows[2].value - rows[1].value) / 1e-6;
        assert!(
            (slope - rows[1].temperature_slope).abs() < 1e-4 * slope.abs(),
            "{slope} {}",
            rows[1].temperature_slope
        );
        // the bag holds both views, which are the same here
        assert_eq!((rows[0].anchors, rows[3].anchors), (32, 64));
        assert!((rows[3].gradient_norm / rows[3].gradient_norm_distorted - 1.0).abs() < 1e-9);
    }
}
