//! The maps of an encoder that does not change, computed once per image: kept in memory up to a budget, then in the run's folder.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use candle_core::{Device, Tensor};

use super::config::TrainConfig;
use super::folder;
use super::run::Run;
use crate::data::Batch;
use crate::ensure;
use crate::error::Result;
use crate::nn::{Known, Pass, Segmenter, weights};
use crate::session::Place;
use crate::session::memory::available_memory;

/// The share of the memory that is left at the start which the maps may take.
const SHARE: u64 = 4;
/// Where nobody knows how much is left.
const UNKNOWN: u64 = 1 << 30;

/// An image: the number of its source, and its place there.
type Image = (usize, usize);

/// Where the maps of an image are.
enum Stored {
    Here(Vec<Tensor>),
    InFile(Place),
}

/// The maps of the images seen so far.
pub(super) struct Features {
    kept: HashMap<Image, Stored>,
    /// Bytes in memory, and how many there may be.
    held: u64,
    budget: u64,
    folder: Place,
    /// A digest of the encoder's numbers.
    encoder: u64,
}

/// Refuse settings under which an image is not the same in every step.
pub(super) fn check(name: &str, model: &Segmenter, config: &TrainConfig) -> Result<()> {
    if !config.course.cache_features {
        return Ok(());
    }
    let asked = format!("{name}: cache_features");
    ensure!(
        config.augment.is_none(),
        "{asked}: augment changes the images at random, so their maps cannot be kept; leave one of the two out"
    );
    ensure!(
        config.distort.is_none(),
        "{asked}: the images are compared with a distorted view, which differs in every step, so its maps cannot be kept; leave \
         cache_features out, or choose a loss of one view"
    );
    model.check_constant_encoder(&asked, config.course.frozen_norm)
}

/// Get ready for steps: what was kept stays where the encoder is still the same.
pub(super) fn begin(run: &mut Run) -> Result<()> {
    if !run.config.course.cache_features {
        return Ok(());
    }
    check(run.config.task.name(), &run.model.borrow(), &run.config)?;
    let encoder = digest(&run.model.borrow())?;
    if run.beside.features.as_ref().is_none_or(|f| f.encoder != encoder) {
        let budget = available_memory().map_or(UNKNOWN, |bytes| bytes / SHARE);
        run.beside.features = Some(Features::new(budget, folder::features_path(run)?, encoder));
    }
    Ok(())
}

/// The maps of the batches of a pass, one of each source, where they are kept.
pub(super) fn known(run: &mut Run, batches: &[Batch]) -> Result<Vec<Known>> {
    let Some(features) = &mut run.beside.features else {
        return Ok(Vec::new());
    };
    let model = run.model.borrow();
    let check = || run.session.check_cancel();
    let pass = Pass::evaluation().at(run.config.precision).until(&check);
    let batches = batches.iter().enumerate();
    batches
        .map(|(source, batch)| features.of(&model, source, batch, &pass))
        .collect()
}

/// A digest of the numbers of the encoder.
fn digest(model: &Segmenter) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    let name = format!("{}.", model.encoder_name().unwrap_or_default());
    for (_, tensor) in model.state()?.iter().filter(|(n, _)| n.starts_with(&name)) {
        let mut bytes = Vec::new();
        tensor.write_bytes(&mut bytes)?;
        bytes.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

impl Features {
    fn new(budget: u64, folder: Place, encoder: u64) -> Self {
        Features {
            kept: HashMap::new(),
            held: 0,
            budget,
            folder,
            encoder,
        }
    }

    /// The maps of a batch. Each image goes through the encoder by itself, so that its maps do not depend on which others it came with.
    fn of(&mut self, model: &Segmenter, source: usize, batch: &Batch, pass: &Pass) -> Result<Known> {
        let mut images = Vec::with_capacity(batch.indices.len());
        for (i, index) in batch.indices.iter().enumerate() {
            let image = (source, *index);
            let maps = match self.kept.get(&image) {
                Some(Stored::Here(maps)) => maps.clone(),
                Some(Stored::InFile(place)) => read(place)?,
                None => {
                    let maps = model.constant_maps(&batch.images.narrow(0, i, 1)?.contiguous()?, pass)?;
                    let maps = maps.iter().map(|map| map.to_device(&Device::Cpu));
                    let maps = maps.collect::<candle_core::Result<Vec<_>>>()?;
                    self.keep(image, &maps)?;
                    maps
                }
            };
            images.push(maps);
        }
        let count = images.first().map_or(0, Vec::len);
        let together = (0..count).map(|k| {
            let parts: Vec<&Tensor> = images.iter().map(|maps| &maps[k]).collect();
            Ok(Tensor::cat(&parts, 0)?.to_device(batch.images.device())?)
        });
        Ok(Known::new(&batch.images, together.collect::<Result<_>>()?))
    }

    fn keep(&mut self, image: Image, maps: &[Tensor]) -> Result<()> {
        let bytes = maps
            .iter()
            .map(|m| m.elem_count() * m.dtype().size_in_bytes())
            .sum::<usize>() as u64;
        let kept = if self.held + bytes <= self.budget {
            self.held += bytes;
            Stored::Here(maps.to_vec())
        } else {
            self.folder.make_folder()?;
            let place = self.folder.join(format!("{}-{}.safetensors", image.0, image.1));
            let named = maps.iter().enumerate().map(|(i, map)| (i.to_string(), map.clone()));
            weights::write(place.clone(), &named.collect::<Vec<_>>(), &[])?;
            Stored::InFile(place)
        };
        self.kept.insert(image, kept);
        Ok(())
    }
}

/// The files serve this run alone; what it computed can be computed again.
impl Drop for Features {
    fn drop(&mut self) {
        let mut files = self
            .kept
            .values()
            .filter(|kept| matches!(kept, Stored::InFile(_)))
            .peekable();
        let any = files.peek().is_some();
        for kept in files {
            if let Stored::InFile(place) = kept {
                let _ = std::fs::remove_file(place.path());
            }
        }
        if any {
            let _ = std::fs::remove_dir(self.folder.path());
        }
    }
}

fn read(place: &Place) -> Result<Vec<Tensor>> {
    let mut file = weights::read(place.clone(), &Device::Cpu)?;
    let maps = (0..file.tensors.len()).map(|i| file.tensors.remove(&i.to_string()));
    match maps.collect::<Option<Vec<_>>>() {
        Some(maps) => Ok(maps),
        None => crate::fail!(
            "{}: is not what this run wrote; remove the folder and go on",
            place.path().display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{BatchOptions, ScenesOptions, scenes};
    use crate::nn::{Architecture, EncoderKind, ModelConfig};

    #[test]
    fn what_does_not_fit_into_memory_lies_in_files_until_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let options = ScenesOptions {
            count: 4,
            size: [28, 42],
            ..ScenesOptions::default()
        };
        let data = scenes(&options).unwrap().train;
        let mut config = ModelConfig::new(Architecture::Linear, EncoderKind::DinoV2S, 9);
        config.frozen = true;
        let model = Segmenter::new(&config, 0, &Device::Cpu).unwrap();
        let options = BatchOptions {
            size: 2,
            shuffle: false,
            epochs: Some(2),
            ..BatchOptions::default()
        };
        // one map of 384 x 2 x 3 numbers for each image: two fit
        let mut features = Features::new(2 * 384 * 6 * 4, Place::from(folder.path().join("features")), 0);
        let pass = Pass::evaluation();
        let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for batch in data.batches(&options, &Device::Cpu).unwrap() {
            let batch = batch.unwrap();
            let alone = model.forward(&batch.images, &pass).unwrap();
            let known = [features.of(&model, 0, &batch, &pass).unwrap()];
            let known = model.forward(&batch.images, &pass.knowing(&known)).unwrap();
            let off = numbers(&(alone - known).unwrap())
                .into_iter()
                .fold(0f32, |m, d| m.max(d.abs()));
            assert!(off < 1e-4, "{off}");
        }
        let files = || std::fs::read_dir(folder.path().join("features")).map_or(0, Iterator::count);
        assert_eq!((features.kept.len(), files()), (4, 2));
        drop(features);
        assert!(!folder.path().join("features").exists());
    }
}
