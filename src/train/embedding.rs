//! Pixels of a data set as the projection head sees them, and what can be said of them.

use candle_core::{DType, Device, Tensor};

use crate::data::{self, Dataset, IGNORED};
use crate::ensure;
use crate::error::Result;
use crate::metrics::embedding::{EmbeddingDiagnostics, diagnose};
use crate::nn::{Pass, Segmenter};
use crate::ops;
use crate::random::Random;
use crate::session::Session;

/// Embedded pixels with their labels.
#[derive(Clone, Debug, Default)]
pub struct EmbeddedPixels {
    /// Row by row, of any norm.
    pub features: Vec<f32>,
    /// Channels of a row.
    pub dim: usize,
    /// One per row.
    pub labels: Vec<i64>,
}

impl EmbeddedPixels {
    /// Up to `pixels` valid pixels of a batch: features `[n, d, h, w]` of any norm, labels `[n, h', w']`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    pub fn of_batch(
        features: &Tensor,
        labels: &Tensor,
        ignore_label: i64,
        pixels: usize,
        random: &mut Random,
    ) -> Result<EmbeddedPixels> {
        let mut found = EmbeddedPixels::default();
        found.add(features, labels, ignore_label, pixels, random)?;
        Ok(found)
    }

    fn add(
        &mut self,
        features: &Tensor,
        labels: &Tensor,
        ignore_label: i64,
        pixels: usize,
        random: &mut Random,
    ) -> Result<()> {
        let (n, dim, h, w) = features.dims4()?;
        let area = h * w;
        let labels = ops::resize_labels(labels, [h, w])?.to_dtype(DType::I64)?;
        let labels: Vec<i64> = labels.flatten_all()?.to_vec1()?;
        let mut valid: Vec<usize> = (0..n * area).filter(|&p| labels[p] != ignore_label).collect();
        random.shuffle(&mut valid);
        valid.truncate(pixels);
        self.dim = dim;
        if valid.is_empty() {
            return Ok(());
        }
        // only the chosen pixels leave the device
        let elements = valid.iter().flat_map(|pixel| {
            let from = pixel / area * dim * area + pixel % area;
            (0..dim).map(move |d| (from + d * area) as i64)
        });
        let elements = Tensor::from_iter(elements, features.device())?;
        let found = features.detach().flatten_all()?.index_select(&elements, 0)?;
        self.features.extend(found.to_dtype(DType::F32)?.to_vec1::<f32>()?);
        self.labels.extend(valid.iter().map(|pixel| labels[*pixel]));
        Ok(())
    }

    /// Alignment, uniformity, spread of the classes, effective rank.
    pub fn diagnose(&self) -> Result<EmbeddingDiagnostics> {
        diagnose(&self.features, self.dim, &self.labels)
    }
}

/// Up to `pixels` valid pixels of `data`, the same number from every image, drawn from `seed`; embedded by the model in
/// evaluation, labels at the size of its features.
///
/// # Errors
/// An empty data set, fewer than 2 pixels asked for, a file that cannot be read, [`crate::error::Error::Interrupted`]
/// between two images.
pub fn embedded_pixels(
    session: &Session,
    model: &Segmenter,
    data: &Dataset,
    pixels: usize,
    seed: u64,
) -> Result<EmbeddedPixels> {
    ensure!(
        !data.is_empty(),
        "embedding: the data set {} has no images",
        data.name()
    );
    ensure!(
        pixels >= 2,
        "embedding: {pixels} pixels, expected at least 2 (2000 is usual)"
    );
    let mut found = EmbeddedPixels::default();
    let check = || session.check_cancel();
    let mut progress = session.progress("embed", 0, data.len() as u64);
    for i in 0..data.len() {
        session.check_cancel()?;
        let wanted = pixels * (i + 1) / data.len() - pixels * i / data.len();
        if wanted == 0 {
            continue;
        }
        let sample = data.get(i)?;
        let [height, width] = sample.size();
        let image = data::image_tensor(&sample)?.to_device(model.device())?.unsqueeze(0)?;
        let map = model.embed(&data::normalise_colours(&image)?, &Pass::evaluation().until(&check))?;
        let labels = Tensor::from_slice(&sample.labels, (1, height, width), &Device::Cpu)?;
        let mut random = Random::derived(seed, &[0xE1BED, i as u64]);
        found.add(&map, &labels, i64::from(IGNORED), wanted, &mut random)?;
        progress.at(i as u64 + 1, "");
    }
    ensure!(
        found.labels.len() >= 2,
        "embedding: {} labelled pixels in {}, expected at least 2; are all of them ignored?",
        found.labels.len(),
        data.name()
    );
    Ok(found)
}
