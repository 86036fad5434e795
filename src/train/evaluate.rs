//! Evaluation: one confusion matrix over a whole data set, with its protocol; prediction for one image.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::capacity;
use super::predict::{Found, Predictor};
use crate::data::{self, Dataset, Histogram, IGNORED, Sample};
use crate::error::Result;
use crate::metrics::{Confusion, Protocol, Score};
use crate::nn::Segmenter;
use crate::ops::PairCounts;
use crate::ops::kernel::cuda::upload;
use crate::session::Session;
use crate::{ensure, options};

options! {
    /// How predictions are made. The default is one pass over the whole image at its own size.
    #[derive(PartialEq)]
    pub struct EvalOptions {
        /// The image is resized by each of these; class probabilities are averaged.
        scales: Vec<f64> = vec![1.0],
        /// Average with the prediction for the mirror image.
        flip: bool = false,
        /// Height and width of a window that slides over the image by two thirds of its size, where logits are averaged; the whole image at
        /// once if absent.
        window: Option<[usize; 2]> = None,
        /// Images per pass (images of different sizes do not share a pass).
        batch_size: usize = 8,
    }
}

impl EvalOptions {
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            !self.scales.is_empty(),
            "eval: scales is empty, expected at least one factor, such as [1.0]"
        );
        for scale in &self.scales {
            ensure!((0.05..=8.0).contains(scale), "eval: scale {scale} is outside 0.05 to 8");
        }
        if let Some([height, width]) = self.window {
            ensure!(
                height >= 16 && width >= 16,
                "eval: window is [{height}, {width}], expected at least 16 pixels each way"
            );
        }
        ensure!(self.batch_size > 0, "eval: batch_size is 0, expected at least 1");
        Ok(())
    }
}

/// The score of `model` on `data`: predictions at the size of the labels, one confusion matrix in `u64` over all pixels whose
/// truth is not ignored.
///
/// # Errors
/// Options that cannot be, an empty data set, other classes than the model's, a file that cannot be read, logits that are not finite,
/// [`crate::error::Error::Interrupted`] between two batches.
pub fn segmentation(session: &Session, model: &Segmenter, data: &Dataset, options: &EvalOptions) -> Result<Score> {
    options.check()?;
    ensure!(!data.is_empty(), "eval: the data set {} has no images", data.name());
    capacity::check_classes("eval", model, data)?;
    data.check_labelled("eval")?;
    let mut confusion = Confusion::new(data.classes()).never_true(data.never_true());
    let mut ignored = 0;
    let mut size: Option<Option<[usize; 2]>> = None;
    let mut progress = session.progress("evaluate", 0, data.len() as u64);
    let counts = match model.device().is_cuda() {
        true => Some(PairCounts::new(model.device())?),
        false => None,
    };
    let check = || session.check_cancel();
    let predictor = Predictor::new(model, options, &check);
    let (mut overflows, mut names) = (Vec::new(), Vec::new());
    let mut next = 0;
    while next < data.len() {
        session.check_cancel()?;
        let end = (next + options.batch_size).min(data.len());
        let samples = data.for_each(next..end, |source, i| source.load(i));
        let samples: Vec<_> = samples.into_iter().collect::<Result<_>>()?;
        for group in samples.chunk_by(|a, b| a.size() == b.size()) {
            let [height, width] = group[0].size();
            size = match size {
                None => Some(Some([height, width])),
                Some(Some(seen)) if seen == [height, width] => Some(Some(seen)),
                _ => Some(None),
            };
            let images: Vec<&Sample> = group.iter().map(|s| &**s).collect();
            let void = |s: &&Sample| s.labels.iter().filter(|l| **l == IGNORED).count() as u64;
            ignored += images.iter().map(void).sum::<u64>();
            let found = predictor.labels(&images_tensor(model, &images)?, [height, width])?;
            let predicted = found.maps;
            overflows.push(found.not_finite);
            names.extend(images.iter().map(|s| s.name.clone()));
            if let Some(counts) = &counts {
                let truth: Vec<&[u8]> = images.iter().map(|s| s.labels.as_slice()).collect();
                let truth = truth.concat();
                let truth = Tensor::from_slice(&truth, truth.len(), &Device::Cpu)?;
                counts.add(&upload(&truth, model.device())?, &predicted)?;
                continue;
            }
            let predicted = predicted.flatten_all()?.to_vec1::<u8>()?;
            for (sample, labels) in images.iter().zip(predicted.chunks_exact(height * width)) {
                let add = confusion.add(&sample.labels, labels, IGNORED);
                add.map_err(|e| crate::error::Error::usage(format!("{}: {e}", sample.name)))?;
            }
        }
        next = end;
        progress.at(next as u64, "");
        if counts.is_none() {
            refuse_not_finite("eval", model, &overflows, &names)?;
        }
    }
    refuse_not_finite("eval", model, &overflows, &names)?;
    if let Some(counts) = counts {
        let add = confusion.add_pairs(&counts.read()?, IGNORED);
        add.map_err(|e| crate::error::Error::usage(format!("{}: {e}", data.name())))?;
    }
    let counts = (0..data.classes()).map(|class| confusion.row(class)).collect();
    let doubts = Histogram { counts, ignored }.doubts(data.name(), data.class_names(), &data.never_true());
    for doubt in &doubts {
        session.warn_once(&format!("eval: {doubt}"));
    }
    Ok(Score {
        confusion,
        doubts,
        protocol: Protocol {
            data: data.name().to_string(),
            split_hash: data.split_hash(),
            images: data.len(),
            size: size.flatten(),
            scales: options.scales.clone(),
            flip: options.flip,
            window: options.window,
            ignore_label: IGNORED,
            classes: data.class_names().to_vec(),
        },
    })
}

/// The labels of one image: `[3, h, w]` with colours in 0..1 to `[h, w]` `u8`. Colours are normalised here.
pub fn predict(session: &Session, model: &Segmenter, image: &Tensor, options: &EvalOptions) -> Result<Tensor> {
    of_one(session, model, image, options, |p, images, size| p.labels(images, size))
}

/// The class probabilities of one image, `[3, h, w]` with colours in 0..1: `[classes, h, w]`.
pub fn probabilities(session: &Session, model: &Segmenter, image: &Tensor, options: &EvalOptions) -> Result<Tensor> {
    of_one(session, model, image, options, |p, images, size| {
        p.probabilities(images, size)
    })
}

/// What `work` finds in one image.
fn of_one(
    session: &Session,
    model: &Segmenter,
    image: &Tensor,
    options: &EvalOptions,
    work: fn(&Predictor, &Tensor, [usize; 2]) -> Result<Found>,
) -> Result<Tensor> {
    options.check()?;
    let [3, height, width] = *image.dims() else {
        crate::fail!(
            "predict: the image must be a tensor of shape [3, height, width] with colours from 0 to 1, found {:?}",
            image.dims()
        )
    };
    data::check_colours("predict", image)?;
    let image = image.to_dtype(DType::F32)?.to_device(model.device())?;
    let image = data::normalise_colours(&image)?.unsqueeze(0)?;
    let check = || session.check_cancel();
    let predictor = Predictor::new(model, options, &check);
    let found = work(&predictor, &image, [height, width])?;
    refuse_not_finite("predict", model, &[found.not_finite], &["the image".to_string()])?;
    Ok(found.maps.squeeze(0)?.to_device(&Device::Cpu)?)
}

/// The labels that the network gives the images of a set where it is sure of them.
pub struct PseudoLabels {
    /// One label map per image, at its size; [`IGNORED`] where no class reaches the threshold.
    pub labels: Vec<Arc<Vec<u8>>>,
    /// The sizes of the images.
    pub sizes: Vec<[usize; 2]>,
    /// The share of the pixels that have a label.
    pub kept: f64,
}

/// Label the images of `data` with the network's own predictions where its probability is at least `threshold`.
pub fn pseudo_labels(
    session: &Session,
    model: &Segmenter,
    data: &Dataset,
    threshold: f64,
    options: &EvalOptions,
) -> Result<PseudoLabels> {
    options.check()?;
    ensure!(
        (0.0..=1.0).contains(&threshold),
        "pseudo_labels: found threshold {threshold}, expected a probability from 0 to 1"
    );
    ensure!(!data.is_empty(), "pseudo_labels: {} has no images", data.name());
    let mut found = PseudoLabels {
        labels: Vec::with_capacity(data.len()),
        sizes: Vec::with_capacity(data.len()),
        kept: 0.0,
    };
    let check = || session.check_cancel();
    let predictor = Predictor::new(model, options, &check);
    let (mut kept, mut pixels) = (0, 0);
    let mut progress = session.progress("pseudo labels", 0, data.len() as u64);
    for i in 0..data.len() {
        session.check_cancel()?;
        let sample = data.get(i)?;
        let images = images_tensor(model, &[&*sample])?;
        let Found { maps, not_finite } = predictor.probabilities(&images, sample.size())?;
        refuse_not_finite(
            "pseudo_labels",
            model,
            &[not_finite],
            std::slice::from_ref(&sample.name),
        )?;
        let best = maps.max(1)?.flatten_all()?.to_vec1::<f32>()?;
        let classes = maps.argmax(1)?.flatten_all()?.to_vec1::<u32>()?;
        let label = |(p, class): (&f32, &u32)| {
            if f64::from(*p) >= threshold {
                *class as u8
            } else {
                IGNORED
            }
        };
        let labels: Vec<u8> = best.iter().zip(&classes).map(label).collect();
        kept += labels.iter().filter(|l| **l != IGNORED).count();
        pixels += labels.len();
        found.labels.push(Arc::new(labels));
        found.sizes.push(sample.size());
        progress.at(i as u64 + 1, "");
    }
    found.kept = kept as f64 / pixels.max(1) as f64;
    Ok(found)
}

/// An error if a number that a label was made of was not finite: the largest of NaNs is no prediction.
fn refuse_not_finite(function: &str, model: &Segmenter, counts: &[Tensor], names: &[String]) -> Result<()> {
    if counts.is_empty() {
        return Ok(());
    }
    let counts: Vec<i64> = Tensor::cat(counts, 0)?.to_vec1()?;
    let bad: Vec<usize> = (0..counts.len()).filter(|i| counts[*i] > 0).collect();
    let Some(&first) = bad.first() else { return Ok(()) };
    let weights = model.not_finite()?;
    let reason = match weights.first() {
        Some(name) => format!(
            "NaN or infinity stands in {} of the {} tensors of the network (first: {name}); load weights that are finite, or train \
             again with a smaller lr",
            weights.len(),
            model.state()?.len()
        ),
        None => "the weights are finite: look at the images, and at numbers that overflow".to_string(),
    };
    crate::fail!(
        "{function}: the logits of {} of {} images are not finite (NaN or infinite; first: {}, {} numbers); {reason}",
        bad.len(),
        counts.len(),
        names[first],
        counts[first]
    )
}

/// Samples of one size as normalised images `[n, 3, h, w]` on the model's device.
fn images_tensor(model: &Segmenter, samples: &[&Sample]) -> Result<Tensor> {
    let images = samples
        .par_iter()
        .map(|s| data::image_tensor(s))
        .collect::<Result<Vec<_>>>()?;
    data::normalise_colours(&upload(&Tensor::stack(&images, 0)?, model.device())?)
}
