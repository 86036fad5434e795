//! Evaluation: one confusion matrix over a whole data set, with its protocol; prediction for one image.

use candle_core::Tensor;
use rayon::prelude::*;

use super::{predict, run};
use crate::data::{self, Dataset, IGNORED, Sample};
use crate::ensure;
use crate::error::Result;
use crate::metrics::{Confusion, Protocol, Score};
use crate::nn::Segmenter;
use crate::ops::PairCounts;
use crate::ops::kernel::cuda::upload;
use crate::session::Session;

/// How predictions are made. The default is one pass over the whole image at its own size.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalOptions {
    /// The image is resized by each of these factors; class probabilities are averaged.
    pub scales: Vec<f64>,
    /// Average with the prediction for the mirrored image.
    pub flip: bool,
    /// Height and width of a window that slides over the image by two thirds of its size; logits are averaged where windows
    /// overlap.
    pub window: Option<[usize; 2]>,
    /// Images per pass (images of different sizes do not share a pass).
    pub batch_size: usize,
}

impl Default for EvalOptions {
    fn default() -> Self {
        EvalOptions {
            scales: vec![1.0],
            flip: false,
            window: None,
            batch_size: 8,
        }
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
/// Options that cannot be, an empty data set, other classes than the model's, a file that cannot be read,
/// [`crate::error::Error::Interrupted`] between two batches.
pub fn segmentation(session: &Session, model: &Segmenter, data: &Dataset, options: &EvalOptions) -> Result<Score> {
    options.check()?;
    ensure!(!data.is_empty(), "eval: the data set {} has no images", data.name());
    run::check_classes("eval", model, data)?;
    let mut confusion = Confusion::new(data.classes()).never_true(data.never_true());
    let mut size: Option<Option<[usize; 2]>> = None;
    let mut progress = session.progress("evaluate", 0, data.len() as u64);
    let counts = match model.device().is_cuda() {
        true => Some(PairCounts::new(model.device())?),
        false => None,
    };
    let check = || session.check_cancel();
    let mut next = 0;
    while next < data.len() {
        session.check_cancel()?;
        let end = (next + options.batch_size).min(data.len());
        let samples: Vec<_> = (next..end)
            .into_par_iter()
            .map(|i| data.get(i))
            .collect::<Result<_>>()?;
        for group in samples.chunk_by(|a, b| a.size() == b.size()) {
            let [height, width] = group[0].size();
            size = match size {
                None => Some(Some([height, width])),
                Some(Some(seen)) if seen == [height, width] => Some(Some(seen)),
                _ => Some(None),
            };
            let images: Vec<&Sample> = group.iter().map(|s| &**s).collect();
            let predicted =
                predict::label_maps(model, &images_tensor(model, &images)?, [height, width], options, &check)?;
            if let Some(counts) = &counts {
                let truth: Vec<&[u8]> = images.iter().map(|s| s.labels.as_slice()).collect();
                let truth = truth.concat();
                let truth = Tensor::from_slice(&truth, truth.len(), &candle_core::Device::Cpu)?;
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
    }
    if let Some(counts) = counts {
        let add = confusion.add_pairs(&counts.read()?, IGNORED);
        add.map_err(|e| crate::error::Error::usage(format!("{}: {e}", data.name())))?;
    }
    Ok(Score {
        confusion,
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
    options.check()?;
    let [3, height, width] = *image.dims() else {
        crate::fail!(
            "predict: the image must be a tensor of shape [3, height, width] with colours from 0 to 1, found {:?}",
            image.dims()
        )
    };
    let image = image.to_dtype(candle_core::DType::F32)?.to_device(model.device())?;
    let images = data::normalise_colours(&image)?.unsqueeze(0)?;
    let labels = predict::label_maps(model, &images, [height, width], options, &|| session.check_cancel())?;
    Ok(labels.squeeze(0)?.to_device(&candle_core::Device::Cpu)?)
}

/// Samples of one size as normalised images `[n, 3, h, w]` on the model's device.
fn images_tensor(model: &Segmenter, samples: &[&Sample]) -> Result<Tensor> {
    let images = samples
        .par_iter()
        .map(|s| data::image_tensor(s))
        .collect::<Result<Vec<_>>>()?;
    data::normalise_colours(&upload(&Tensor::stack(&images, 0)?, model.device())?)
}
