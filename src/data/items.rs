//! Samples in memory: images and labels that are tensors already.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::{Dataset, IGNORED, Sample, Source, check_colours};
use crate::ensure;
use crate::error::Result;

/// Samples in memory as a source.
struct Items(Vec<Arc<Sample>>);

impl Source for Items {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn name(&self, i: usize) -> String {
        self.0[i].name.clone()
    }
    fn labelled(&self, i: usize) -> bool {
        self.0[i].labelled
    }
    fn labels_alone(&self, i: usize) -> Option<Result<Vec<u8>>> {
        Some(Ok(self.0[i].labels.clone()))
    }
    fn load(&self, i: usize) -> Result<Arc<Sample>> {
        Ok(self.0[i].clone())
    }
    fn cache_bytes(&self) -> usize {
        1 << 30 // of what is made from them: they themselves are in memory
    }
}

/// The data set of these samples.
pub fn from_samples(
    name: &str,
    samples: Vec<Sample>,
    class_names: Vec<String>,
    palette: Vec<[u8; 3]>,
) -> Result<Dataset> {
    let items = Items(samples.into_iter().map(Arc::new).collect());
    Dataset::new(name, class_names, palette, Arc::new(items))
}

/// A sample from an image `[3, height, width]` with colours in 0..1, which are rounded to bytes, and a label map
/// `[height, width]` of integers, 0 to `classes - 1` or 255.
pub fn sample_from(name: &str, image: &Tensor, labels: Option<&Tensor>, classes: usize) -> Result<Sample> {
    let [3, height, width] = *image.dims() else {
        crate::fail!(
            "{name}: found an image of shape {:?}, expected [3, height, width]",
            image.dims()
        )
    };
    check_colours(name, image)?;
    let image = image.detach().to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let values = image.permute((1, 2, 0))?.flatten_all()?.to_vec1::<f32>()?;
    let byte = |v: &f32| (v * 255.0).round().clamp(0.0, 255.0) as u8;
    let bytes = match labels {
        None => vec![IGNORED; height * width],
        Some(labels) => label_bytes(name, labels, [height, width], classes)?,
    };
    Ok(Sample {
        name: name.to_string(),
        height,
        width,
        pixels: Arc::new(values.iter().map(byte).collect()),
        labels: bytes,
        labelled: labels.is_some(),
    })
}

/// The bytes of a label map of this size.
fn label_bytes(name: &str, labels: &Tensor, size: [usize; 2], classes: usize) -> Result<Vec<u8>> {
    ensure!(
        labels.dims() == size,
        "{name}: found labels of shape {:?}, expected {size:?}, the size of the image",
        labels.dims()
    );
    ensure!(
        labels.dtype().is_int(),
        "{name}: found labels of {}, expected integers: labels.to_dtype(\"i64\")",
        labels.dtype().as_str()
    );
    let values = labels.detach().to_device(&Device::Cpu)?.flatten_all()?;
    let values = values.to_dtype(DType::I64)?.to_vec1::<i64>()?;
    let byte = |(at, value): (usize, i64)| {
        let fits = (0..classes as i64).contains(&value) || value == i64::from(IGNORED);
        ensure!(
            fits,
            "{name}: found label {value} at row {}, column {}, expected 0 to {} ({classes} classes) or 255 (ignored)",
            at / size[1],
            at % size[1],
            classes.saturating_sub(1)
        );
        Ok(value as u8)
    };
    values.into_iter().enumerate().map(byte).collect()
}
