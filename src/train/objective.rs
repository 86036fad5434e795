//! The losses of the two built-in tasks on one batch.

use std::cell::RefCell;

use candle_core::Tensor;

use super::config::Objective;
use super::embedding::EmbeddedPixels;
use super::event::LossValue;
use super::ledger::Number;
use super::run::Run;
use crate::data::Batch;
use crate::error::Result;
use crate::loss::{PixelContrastInput, PixelContrastOptions, Sampling, pixel_contrast_until};
use crate::nn::{Inside, Pass, Segmenter};
use crate::ops::{Graph, checked_labels};
use crate::random::Random;

/// Steps between two judgements of the embedding, for which a GPU is waited for.
const DIAGNOSE_EVERY: usize = 20;
/// Pixels of the batch that are looked at.
const DIAGNOSED_PIXELS: usize = 256;
/// The random stream that chooses them.
const DIAGNOSE: u64 = 0xD1A6;

/// A loss with its graph, and what else came out of the pass.
pub(super) struct Computed {
    pub(super) loss: Tensor,
    /// Numbers worth recording.
    pub(super) metrics: Vec<(String, Number)>,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
    /// Features and labels for the memory of past keys, without graph.
    pub(super) keys: Option<(Tensor, Tensor)>,
}

impl Computed {
    /// A loss of the caller's.
    pub(super) fn of(value: LossValue) -> Self {
        let metrics = value.metrics.into_iter();
        Computed {
            metrics: metrics.map(|(name, number)| (name, Number::Known(number))).collect(),
            ..Self::new(value.loss)
        }
    }

    /// A bare loss.
    pub(super) fn new(loss: Tensor) -> Self {
        Computed {
            loss,
            metrics: Vec::new(),
            warnings: Vec::new(),
            keys: None,
        }
    }
}

/// The loss of the run's objective; `temperature` overrides a fixed one, sampling draws from `random`.
pub(super) fn compute(
    run: &Run,
    batch: &Batch,
    temperature: Option<f64>,
    pass: &Pass,
    random: &RefCell<Random>,
) -> Result<Computed> {
    let model = run.model.borrow();
    match &run.config.objective {
        Objective::PixelContrast { options, .. } => {
            let mut options = PixelContrastOptions::clone(options);
            options.temperature = temperature.unwrap_or(options.temperature);
            contrast(run, &model, batch, &options, pass, random)
        }
        Objective::CrossEntropy(options) => {
            let (_, height, width) = batch.labels.dims3()?;
            if batch.labels.device().is_cuda() {
                // A GPU does not stop at a label that is no class: its loss would be NaN.
                checked_labels(
                    "cross_entropy",
                    &batch.host_labels,
                    model.classes(),
                    options.ignore_label,
                )?;
            }
            let maps = model.maps(&batch.images, pass)?;
            let logits = model.classify_maps(&maps, Some([height, width]), pass)?;
            drop(maps);
            let graph = pass.tape.map(Graph::on).unwrap_or_default();
            Ok(Computed::new(graph.cross_entropy(&logits, &batch.labels, options)?))
        }
        Objective::Custom => crate::fail!("{}: the loss is a function; give it again to go on", run.name),
    }
}

/// Both views go through the network as one batch, so that batch norm sees them together; the loss compares the halves.
fn contrast(
    run: &Run,
    model: &Segmenter,
    batch: &Batch,
    options: &PixelContrastOptions,
    pass: &Pass,
    random: &RefCell<Random>,
) -> Result<Computed> {
    let n = batch.images.dim(0)?;
    let images = match &batch.distorted {
        Some(distorted) => Tensor::cat(&[&batch.images, distorted], 0)?,
        None => batch.images.clone(),
    };
    let maps = model.maps(&images, pass)?;
    let projected = model.project_maps(&maps, pass)?;
    let (features, distorted) = match &batch.distorted {
        Some(_) => (projected.narrow(0, 0, n)?, Some(projected.narrow(0, n, n)?)),
        None => (projected, None),
    };
    let predictions = match options.sampling {
        Sampling::Hard => Some(predictions(model, &maps.first(n)?, pass)?),
        _ => None,
    };
    let output = pixel_contrast_until(
        PixelContrastInput {
            features: &features,
            distorted: distorted.as_ref(),
            labels: &batch.host_labels,
            predictions: predictions.as_ref(),
            temperature: run.temperature.as_deref(),
            memory: run.memory.as_ref(),
            random: &mut random.borrow_mut(),
        },
        options,
        &|| run.session.check_cancel(),
    )?;
    let known = |n: usize| Number::Known(n as f64);
    let number = |v: Option<Tensor>| v.map_or(Number::Known(f64::NAN), Number::Waiting);
    let facts = [
        ("temperature", Number::Waiting(output.temperature)),
        ("anchors", known(output.anchors)),
        ("anchors_without_positive", known(output.anchors_without_positive)),
        ("positive_logit", number(output.positive_logit)),
        ("negative_logit", number(output.negative_logit)),
        ("alignment", number(output.alignment)),
    ];
    let mut metrics: Vec<(String, Number)> = facts.map(|(n, v)| (n.to_string(), v)).into();
    metrics.extend(
        output
            .classes
            .iter()
            .map(|c| (format!("anchors_of_{}", c.label), known(c.anchors))),
    );
    if run.step.is_multiple_of(DIAGNOSE_EVERY) {
        let found = diagnostics(run, &features, batch, options.ignore_label)?;
        metrics.extend(found.into_iter().map(|(n, v)| (n, Number::Known(v))));
    }
    let keys = distorted.as_ref().unwrap_or(&features).detach();
    Ok(Computed {
        loss: output.loss,
        metrics,
        warnings: output.warnings,
        keys: run.memory.is_some().then(|| (keys, batch.host_labels.clone())),
    })
}

/// The features for the memory as the averaged network sees them: of the distorted view, with its running statistics.
pub(super) fn averaged_keys(average: &Segmenter, batch: &Batch) -> Result<Tensor> {
    let pass = Pass::evaluation();
    let images = batch.distorted.as_ref().unwrap_or(&batch.images);
    average.project_maps(&average.maps(images, &pass)?, &pass)
}

/// The light form of the embedding's diagnostics, on some pixels of the batch; nothing where it cannot be judged.
fn diagnostics(run: &Run, features: &Tensor, batch: &Batch, ignore_label: i64) -> Result<Vec<(String, f64)>> {
    let mut random = Random::derived(run.config.seed, &[DIAGNOSE, run.step as u64]);
    let pixels = EmbeddedPixels::of_batch(
        features,
        &batch.host_labels,
        ignore_label,
        DIAGNOSED_PIXELS,
        &mut random,
    )?;
    let Ok(found) = pixels.diagnose() else {
        return Ok(Vec::new()); // no valid pixel, or features that are not finite: the loss itself says so
    };
    let number = |v: Option<f64>| v.unwrap_or(f64::NAN);
    let facts = [
        ("uniformity", number(found.uniformity)),
        ("intra", found.intra),
        ("inter", number(found.inter)),
        ("effective_rank", found.effective_rank),
    ];
    Ok(facts.map(|(n, v)| (n.to_string(), v)).into())
}

/// The classifier's present opinion at the size of the features, for samplers that look for wrong pixels.
fn predictions(model: &Segmenter, maps: &Inside, pass: &Pass) -> Result<Tensor> {
    let pass = Pass::evaluation().at(pass.precision);
    Ok(model.classify_maps(maps, None, &pass)?.argmax(1)?)
}
