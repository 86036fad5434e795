//! The pixel contrastive losses: pull the features of pixels of one class together, push those of other classes away.
//!
//! Notation: f, k are the features of an image and of its distorted view, of unit norm; `s_pq = f_p . k_q / temperature`;
//! only valid (not ignored) pixels take part. Per anchor p: the mean over its positives q of `-log(e^s_pq / denominator)`.
//!
//! | variant | anchors | positives | denominator for (p, q) | source |
//! |---|---|---|---|---|
//! | `within_image` | pixels of I | same class in distorted I | all keys of distorted I | paper |
//! | `cross_image` | pixels of I | same class in distorted I and distorted J | all keys of distorted I + the positives of distorted J | paper |
//! | `batch` | pixels of all images | same class in all distorted views | all keys of the batch | paper |
//! | `released_within_image` | each view by itself, losses added | same class in the view, itself included | this pair + the negatives | authors' code |
//! | `released_cross_image` | I and distorted J as one bag | same class in both, itself included | this pair + the negatives of its own half | authors' code |
//! | `own_positive` | all pixels of the batch and of its distorted views, if given | same class, itself excluded | this pair + all negatives | ContrastiveSeg |
//! | `supcon` | the same | same class, itself excluded | all others | SupCon |
//!
//! Paper: Zhao et al., Contrastive Learning for Label-Efficient Semantic Segmentation, ICCV 2021. ContrastiveSeg: Wang et al.,
//! ICCV 2021. SupCon: Khosla et al. 2020. `loss = pairs x similarity x reduction`: `pairs` says who sees whom and what each
//! anchor weighs, the streamed kernel of [`ops::pixel_contrast`](crate::ops::pixel_contrast) knows cosines and denominators.

mod memory;
mod on_gpu;
mod options;
mod pairs;
mod probe;
mod sampling;

use candle_core::{DType, Device, Tensor};

use crate::ensure;
use crate::error::Result;
use crate::loss::labels::{IGNORED, label_map};
use crate::ops::kernel::on_gpu;
use crate::ops::pieces::Check;
use crate::ops::pixel_contrast::pixel_contrast as contrast;
use crate::random::Random;
pub use memory::{Memory, MemoryOptions};
pub use options::{KeySampling, PixelContrastOptions, Reduction, Sampling, Variant};
pub use probe::{ProbeInput, ProbeRow, probe};
use sampling::ClassMap;

/// What the loss is computed from.
pub struct PixelContrastInput<'a> {
    /// Features of the images, `[n, d, h, w]`, of any norm.
    pub features: &'a Tensor,
    /// Features of the distorted images, of the same shape; `own_positive` and `supcon` can do without.
    pub distorted: Option<&'a Tensor>,
    /// Labels `[n, h', w']`, integers; brought to the size of the features by nearest neighbour.
    pub labels: &'a Tensor,
    /// Predicted labels `[n, h', w']` (for sampling `hard`).
    pub predictions: Option<&'a Tensor>,
    /// A scalar that replaces the temperature of the options: of a schedule, or a variable to be learned.
    pub temperature: Option<&'a Tensor>,
    /// Past keys; used once they are [`ready`](Memory::ready).
    pub memory: Option<&'a Memory>,
    /// Where samplings and random partners come from.
    pub random: &'a mut Random,
}

/// How much of one class took part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassCount {
    /// The label.
    pub label: i64,
    /// Valid pixels at the size of the features.
    pub pixels: usize,
    /// Anchors among them.
    pub anchors: usize,
    /// Keys among them (without those of the memory).
    pub keys: usize,
}

/// The loss and what it was made of.
#[derive(Debug)]
pub struct PixelContrastOutput {
    /// The loss, a scalar; f64 for f64 features, else f32.
    pub loss: Tensor,
    /// The classes that are present (or in the memory), by ascending label.
    pub classes: Vec<ClassCount>,
    /// Anchors that have a positive.
    pub anchors: usize,
    /// Anchors that have none and count nothing.
    pub anchors_without_positive: usize,
    /// Mean logit of the positive pairs; `None` if there is no pair. This and the next two are f64 scalars on the features' device:
    /// reading one waits for a GPU.
    pub positive_logit: Option<Tensor>,
    /// Mean logit of the negative pairs; `None` if there is no pair.
    pub negative_logit: Option<Tensor>,
    /// Mean squared distance of the positive pairs (alignment, Wang and Isola 2020).
    pub alignment: Option<Tensor>,
    /// The temperature that was used, likewise an f64 scalar.
    pub temperature: Tensor,
    /// What the user should know: nothing valid in the batch, a memory that does not fit.
    pub warnings: Vec<String>,
}

/// The pixel contrastive loss of a batch, exact in `O(pixels)` memory; differentiable in features, distorted features and
/// temperature. Nothing to contrast at all: 0 with zero gradients, and a warning.
///
/// On a GPU nothing is read back but the labels and predictions, if they lie there.
///
/// # Errors
/// Shapes, labels or options that do not fit each other; features that are not finite.
pub fn pixel_contrast(input: PixelContrastInput, options: &PixelContrastOptions) -> Result<PixelContrastOutput> {
    pixel_contrast_until(input, options, &|| Ok(()))
}

/// [`pixel_contrast`] that asks `check` between blocks of anchors and ends with its error: a large map takes minutes.
pub fn pixel_contrast_until(
    input: PixelContrastInput,
    options: &PixelContrastOptions,
    check: Check,
) -> Result<PixelContrastOutput> {
    options.check()?;
    let variant = options.variant;
    let random = input.random;
    let (features, distorted) = views(input.features, input.distorted, options)?;
    let (images, dim, height, width) = features.dims4()?;
    let temperature = match input.temperature {
        Some(temperature) => {
            ensure!(
                temperature.elem_count() == 1,
                "pixel_contrast: a temperature of shape {:?}, expected one number",
                temperature.dims()
            );
            temperature.reshape(())?.to_device(features.device())?
        }
        None => Tensor::new(options.temperature, &Device::Cpu)?, // to read it back from a GPU would be to wait
    };
    let mut warnings = Vec::new();

    let at_size = |what: &str, map: &Tensor| match options.resize {
        // a size that was asked for need not have the labels' aspect ratio
        Some(size) => label_map(
            "pixel_contrast",
            what,
            &crate::ops::resize_labels(map, size)?,
            images,
            size,
        ),
        None => label_map("pixel_contrast", what, map, images, [height, width]),
    };
    let labels = at_size("labels", input.labels)?;
    let predictions = input.predictions.map(|p| at_size("predictions", p)).transpose()?;
    let memory = input.memory.filter(|memory| memory.ready());
    let map = class_map(
        &labels,
        predictions,
        [height, width],
        images,
        options.ignore_label,
        memory,
    );
    let memory = memory.filter(|memory| memory.fits(&map, dim));
    if memory.is_none() && input.memory.is_some_and(|memory| memory.ready() && memory.dim() != dim) {
        warnings.push(format!(
            "pixel_contrast: the memory holds features of another size than {dim}; it was not used"
        ));
    }

    let anchors = sampling::anchors(&map, options, random)?;
    let keys = sampling::keys(&map, options, random);
    let partners = partners(images, options, random)?;

    // loss = pairs x similarity x reduction
    let mut grouped = pairs::build(variant, distorted.is_some(), &map, &anchors, &keys, &partners, memory);
    let (with, without) = pairs::weigh(
        &mut grouped,
        variant.reduction(),
        &map,
        options.class_weights.as_deref(),
    )?;
    let done = contrast(
        &features,
        distorted.as_ref(),
        &temperature,
        options.base_temperature,
        &grouped.pairs,
        check,
    )?;

    if with == 0 {
        warnings.push(if anchors.iter().all(Vec::is_empty) {
            format!(
                "pixel_contrast: no valid pixel in the batch (all are {}); its loss is 0",
                options.ignore_label
            )
        } else {
            "pixel_contrast: no anchor has a positive; the loss is 0".to_string()
        });
    }
    Ok(PixelContrastOutput {
        classes: counts(&map, &anchors, &keys),
        anchors: with,
        anchors_without_positive: without,
        alignment: done
            .positive_logit
            .as_ref()
            .map(|s| (s * &done.temperature)?.affine(-2.0, 2.0))
            .transpose()?,
        positive_logit: done.positive_logit,
        negative_logit: done.negative_logit,
        temperature: done.temperature,
        loss: done.loss,
        warnings,
    })
}

/// Both feature maps, in f32 or f64 (on a GPU in bf16 too), resized if asked.
fn views(
    features: &Tensor,
    distorted: Option<&Tensor>,
    options: &PixelContrastOptions,
) -> Result<(Tensor, Option<Tensor>)> {
    let name = options.variant.name();
    ensure!(
        distorted.is_some() || !options.variant.needs_distorted(),
        "pixel_contrast: variant \"{name}\" contrasts with the distorted view; give its features as well"
    );
    ensure!(
        features.rank() == 4 && features.dims()[1] > 0,
        "pixel_contrast: features of shape {:?}, expected [n, d, h, w] with at least one channel",
        features.dims()
    );
    if let Some(distorted) = distorted {
        ensure!(
            features.dims() == distorted.dims(),
            "pixel_contrast: features of shape {:?} and distorted features of shape {:?}, expected the same shape",
            features.dims(),
            distorted.dims()
        );
    }
    let prepare = |map: &Tensor| -> Result<Tensor> {
        ensure!(
            map.dtype().is_float(),
            "pixel_contrast: features of type {:?}, expected a floating point type",
            map.dtype()
        );
        let kept = map.dtype() == DType::F64 || (map.dtype() == DType::BF16 && on_gpu(map.device()));
        let map = if kept { map.clone() } else { map.to_dtype(DType::F32)? };
        match options.resize {
            Some(size) if size != [map.dim(2)?, map.dim(3)?] => crate::ops::resize_bilinear(&map, size, false),
            _ => Ok(map),
        }
    };
    Ok((prepare(features)?, distorted.map(prepare).transpose()?))
}

/// Classes as small numbers, over the batch and the memory.
fn class_map(
    labels: &[i64],
    predictions: Option<Vec<i64>>,
    size: [usize; 2],
    images: usize,
    ignore_label: i64,
    memory: Option<&Memory>,
) -> ClassMap {
    let mut present: Vec<i64> = labels.iter().copied().filter(|&label| label != ignore_label).collect();
    present.extend(memory.into_iter().flat_map(Memory::labels));
    present.sort_unstable();
    present.dedup();
    let class = |label: &i64| match present.binary_search(label) {
        Ok(class) if *label != ignore_label => class as u32,
        _ => IGNORED,
    };
    let classes = labels.iter().map(class).collect();
    ClassMap {
        images,
        size,
        classes,
        labels: present,
        predictions,
    }
}

/// The given partners, or a random derangement: a random cycle through all images (Sattolo 1986).
fn partners(images: usize, options: &PixelContrastOptions, random: &mut Random) -> Result<Vec<usize>> {
    if let Some(partners) = &options.partners {
        ensure!(
            partners.len() == images && partners.iter().all(|&j| j < images),
            "pixel_contrast: partners {partners:?} for {images} images, expected {images} numbers below {images}"
        );
        return Ok(partners.clone());
    }
    let mut order: Vec<usize> = (0..images).collect();
    if options.variant.uses_partners() {
        for i in (1..images).rev() {
            order.swap(i, random.below(i));
        }
    }
    Ok(order)
}

fn counts(map: &ClassMap, anchors: &[Vec<u32>], keys: &[Vec<u32>]) -> Vec<ClassCount> {
    let tally = |pixels: &mut dyn Iterator<Item = u32>| {
        let mut counts = vec![0usize; map.labels.len()];
        pixels
            .filter(|&class| class != IGNORED)
            .for_each(|class| counts[class as usize] += 1);
        counts
    };
    let class = |pixel: &u32| map.classes[*pixel as usize];
    let pixels = tally(&mut map.classes.iter().copied());
    let anchors = tally(&mut anchors.iter().flatten().map(class));
    let keys = tally(&mut keys.iter().flatten().map(class));
    let rows = map.labels.iter().zip(pixels).zip(anchors.into_iter().zip(keys));
    rows.map(|((&label, pixels), (anchors, keys))| ClassCount {
        label,
        pixels,
        anchors,
        keys,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_partners_are_a_derangement_from_the_seed() {
        let options = PixelContrastOptions {
            variant: Variant::CrossImage,
            ..Default::default()
        };
        for n in 2..9 {
            let list = partners(n, &options, &mut Random::new(n as u64)).unwrap();
            assert!(list.iter().enumerate().all(|(b, &j)| b != j && j < n), "{list:?}");
            assert_eq!(list, partners(n, &options, &mut Random::new(n as u64)).unwrap());
        }
        assert_eq!(partners(1, &options, &mut Random::new(0)).unwrap(), [0]);
        let wrong = PixelContrastOptions {
            partners: Some(vec![0, 5]),
            ..options
        };
        assert!(partners(2, &wrong, &mut Random::new(0)).is_err());
    }
}
