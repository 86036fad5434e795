//! Batches that are larger than the data or the memory, or too small for the loss; images of a size, and classes, that the network does not
//! take.

use super::config::{Objective, Task, TrainConfig};
use crate::data::Dataset;
use crate::ensure;
use crate::error::{Error, Result};
use crate::nn::Segmenter;
use crate::session::Session;
use crate::session::memory::available_memory;

/// Bytes that a training step keeps for each pixel of a batch, at least: about half of the 564 that DeepLabV3+ of ResNet-18 with 16 decoder
/// channels, a very small network, was measured to take (peaks of batches of 32 and 128 images of 64 x 64).
const STEP: u64 = 300;
/// Bytes of a pixel of a batch before any network sees it: three colours and a label, in the batch at work and the two prepared ahead.
const PIXEL: u64 = 3 * (12 + 8);

/// Say that images repeat within a batch or have no partner in it; refuse a batch that cannot be held or computed.
pub(super) fn check(session: &Session, model: &Segmenter, data: &Dataset, config: &TrainConfig) -> Result<()> {
    let (name, batch, images) = (config.task.name(), config.batch_size, data.len());
    let crop = config.augment.as_ref().and_then(|a| a.crop);
    let own = || data.get(0).ok().map(|sample| [sample.height, sample.width]);
    let size = crop.or(data.size()).or_else(own);
    if let (Some(size), Some(network)) = (size, model.config()) {
        let sides = network.encoder.check_sides(size);
        sides.map_err(|e| Error::usage(format!("{name}: {e}")))?;
    }
    if let (Some([height, width]), Some(available)) = (size, available_memory()) {
        // A frozen part, or one that the caller's loss does not use, needs less memory.
        let whole = config.task != Task::Fit && model.device().is_cpu() && !model.has_frozen();
        let needed = needed(batch, [height, width], if whole { STEP } else { PIXEL });
        let gb = |bytes: u64| bytes as f64 / 1e9;
        ensure!(
            needed <= available,
            "{name}: batch_size {batch} of images of {height} x {width} needs at least {:.1} GB of memory, found {:.1} GB available; \
             choose a smaller batch_size, or smaller images with .resize([h, w]) or augment: #{{ crop: [h, w] }}",
            gb(needed),
            gb(available)
        );
    }
    if batch > images {
        session.warn(&format!(
            "{name}: batch_size {batch} from {images} images: every batch holds images more than once"
        ));
    }
    if let Objective::PixelContrast { options, .. } = &config.objective
        && let Some(text) = options.variant.without_partner(batch)
    {
        session.warn(&format!("{name}: {text}"));
    }
    Ok(())
}

/// Refuse data whose classes are not the model's.
pub(super) fn check_classes(task: &str, model: &Segmenter, data: &Dataset) -> Result<()> {
    let (ours, theirs) = (model.classes(), data.classes());
    ensure!(
        ours == theirs || theirs == 0, // none: images without labels
        "{task}: the model has {ours} classes, the data set {} has {theirs}; call model.new_classifier({theirs})",
        data.name()
    );
    Ok(())
}

fn needed(batch: usize, [height, width]: [usize; 2], bytes: u64) -> u64 {
    let factors = [height as u64, width as u64, bytes];
    factors.into_iter().fold(batch as u64, u64::saturating_mul)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_without_end_does_not_overflow() {
        assert_eq!(needed(8, [128, 128], STEP), 8 * 128 * 128 * 300);
        assert_eq!(needed(usize::MAX, [128, 128], STEP), u64::MAX);
    }
}
