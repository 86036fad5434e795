//! From a sample to its part of a batch, and from the parts to the batch.

use candle_core::{Device, Tensor};

use super::{Batch, BatchOptions, Distort, IMAGENET_MEAN, IMAGENET_SD, Sample, augment};
use crate::error::Result;
use crate::fail;
use crate::random::Random;

/// The streams of random numbers for the geometry and the colours of a draw, and for the colours of further views.
const GEOMETRY: u64 = 0x6E0;
const COLOURS: u64 = 0xC01;
const VIEWS: u64 = 0x71E35;

/// One sample, ready to be put into its batch.
pub(super) struct Part {
    name: String,
    size: [usize; 2],
    image: Vec<f32>,
    distorted: Option<Vec<f32>>,
    views: Vec<Vec<f32>>,
    labels: Vec<u8>,
    labelled: bool,
}

/// Where in the stream of samples a draw stands.
#[derive(Clone, Copy)]
pub(super) struct Draw {
    pub epoch: usize,
    /// Place within the epoch's order.
    pub position: usize,
    /// Index in the data set.
    pub index: usize,
}

/// Augment one sample; every random draw follows from seed, epoch and position alone.
pub(super) fn part(sample: &Sample, options: &BatchOptions, place: Draw) -> Result<Part> {
    let stream = |kind| Random::derived(options.seed, &[kind, place.epoch as u64, place.position as u64]);
    let view = match &options.augment {
        Some(augment) => augment.apply(sample, &mut stream(GEOMETRY)),
        None => augment::unchanged(sample),
    };
    let size = [view.height, view.width];
    let mut image = view.planes;
    let coloured = |distort: &Distort, mut random: Random| {
        let mut planes = image.clone();
        distort.apply(&mut planes, size, &mut random);
        normalise(&mut planes);
        planes
    };
    let distorted = options
        .distort
        .as_ref()
        .map(|distort| coloured(distort, stream(COLOURS)));
    let views = (VIEWS..)
        .zip(&options.views)
        .map(|(kind, distort)| coloured(distort, stream(kind)));
    let views = views.collect();
    normalise(&mut image);
    Ok(Part {
        name: sample.name.clone(),
        size,
        image,
        distorted,
        views,
        labels: view.labels,
        labelled: sample.labelled,
    })
}

/// `(colour - mean) / sd` per plane, in place.
fn normalise(planes: &mut [f32]) {
    let area = planes.len() / 3;
    for ((plane, mean), sd) in planes.chunks_exact_mut(area.max(1)).zip(IMAGENET_MEAN).zip(IMAGENET_SD) {
        let (scale, offset) = (1.0 / sd, -mean / sd);
        for value in plane {
            *value = *value * scale + offset;
        }
    }
}

/// Stack the samples of a batch; the first error in their order is the batch's.
pub(super) fn assemble(parts: Vec<Option<Result<Part>>>, indices: Vec<usize>, epoch: usize) -> Result<Batch> {
    let parts: Vec<Part> = parts.into_iter().flatten().collect::<Result<_>>()?;
    let [height, width] = parts.first().map_or([0, 0], |p| p.size);
    if let Some(other) = parts.iter().find(|p| p.size != [height, width]) {
        fail!(
            "batches: {} is {height}x{width} but {} is {}x{}; one batch needs one size: use .resize([h, w]) on the data set or \
             augment: #{{ crop: [h, w] }}",
            parts[0].name,
            other.name,
            other.size[0],
            other.size[1]
        );
    }
    let n = parts.len();
    let labels: Vec<i64> = parts.iter().flat_map(|p| &p.labels).map(|&l| i64::from(l)).collect();
    let shape = (n, 3, height, width);
    let stacked = |planes: Vec<&Vec<f32>>| -> Result<Tensor> {
        let mut all = Vec::with_capacity(n * 3 * height * width);
        planes.iter().for_each(|p| all.extend_from_slice(p));
        Ok(Tensor::from_vec(all, shape, &Device::Cpu)?)
    };
    let distorted: Option<Vec<&Vec<f32>>> = parts.iter().map(|p| p.distorted.as_ref()).collect();
    let views = (0..parts.first().map_or(0, |p| p.views.len()))
        .map(|k| stacked(parts.iter().map(|p| &p.views[k]).collect()))
        .collect::<Result<_>>()?;
    let labels = Tensor::from_vec(labels, (n, height, width), &Device::Cpu)?;
    Ok(Batch {
        images: stacked(parts.iter().map(|p| &p.image).collect())?,
        distorted: distorted.map(stacked).transpose()?,
        views,
        labelled: parts.iter().any(|p| p.labelled),
        host_labels: labels.clone(),
        labels,
        names: parts.into_iter().map(|p| p.name).collect(),
        indices,
        epoch,
    })
}
