//! Batches prepared ahead of the step by worker threads, with the same result for any number of threads.
//!
//! The work is cut by sample: each worker takes the next sample of the next batch that is wanted, loads and augments it, and the
//! one that finishes a batch's last sample puts the batch together. Workers sleep while two batches are ready.
//!
//! Where a script's closure makes the samples, which it can on its own thread only, the consumer makes those of the batches
//! ahead when it asks for a batch, and the workers do the rest.

mod shared;
mod tests;

use std::sync::Arc;
use std::thread::JoinHandle;

use candle_core::{Device, Tensor};

use self::shared::Shared;
use super::order::batches_per_epoch;
use super::{Augment, Dataset, Distort};
use crate::error::{Error, Result};
use crate::ops::kernel::cuda::upload;
use crate::{ensure, options};

options! {
    /// What a stream of batches consists of.
    #[derive(PartialEq)]
    pub struct BatchOptions {
        /// Images per batch.
        size: usize = 8,
        /// A new random order in every epoch.
        shuffle: bool = true,
        /// Order and augmentation follow from it; the session's if not given.
        seed: u64 = 0 => "()",
        /// Random `scale: [smallest, largest]`, `crop: [h, w]`, `flip: probability`, for image and labels together.
        augment: Option<Augment> = None,
        /// A second view with other colours: `brightness`, `contrast`, `saturation`, `hue`, `probability`, `grey`, `blur`.
        distort: Option<Distort> = None,
        /// Further views of the same crop, each a map as `distort` takes: `batch.views[i]`; no image is loaded twice.
        views: Vec<Distort> = Vec::new(),
        /// How often to go through the set, an epoch before `start` included; endless if not given.
        epochs: Option<usize> = None,
        /// Full batches only: an epoch's incomplete rest is left out, and a set smaller than a batch is gone through several times per epoch.
        /// Otherwise every image comes once per epoch and the last batch may be smaller.
        drop_last: bool = true,
    }
    beside {
        /// How likely each sample is to be drawn, in proportion; an epoch then draws as many samples as the set has, each from all of
        /// them, so that some come several times and others not at all.
        weights: Option<Vec<f64>> = None,
        /// Batches already consumed in an earlier run of the same options: the stream continues exactly after them.
        start: usize = 0,
    }
}

impl BatchOptions {
    /// Every image once, in order.
    pub fn once() -> Self {
        BatchOptions {
            shuffle: false,
            epochs: Some(1),
            drop_last: false,
            ..BatchOptions::default()
        }
    }

    /// Batches in one epoch of a set of `len` samples.
    pub fn batches_per_epoch(&self, len: usize) -> usize {
        batches_per_epoch(self, len)
    }

    /// Refuse numbers that make no sense.
    pub fn check(&self) -> Result<()> {
        ensure!(self.size >= 1, "batches: found size 0, expected at least 1");
        self.augment.as_ref().map_or(Ok(()), Augment::check)?;
        self.distort.iter().chain(&self.views).try_for_each(Distort::check)
    }

    /// Refuse what makes no sense for this set.
    pub fn check_for(&self, data: &Dataset) -> Result<()> {
        self.check()?;
        ensure!(
            !data.is_empty(),
            "batches: {} has no images, expected at least one",
            data.name()
        );
        let Some(weights) = &self.weights else { return Ok(()) };
        ensure!(
            weights.len() == data.len(),
            "batches: found {} weights for {} images, expected one each",
            weights.len(),
            data.len()
        );
        ensure!(
            weights.iter().all(|w| w.is_finite() && *w >= 0.0) && weights.iter().sum::<f64>() > 0.0,
            "batches: found weights that are negative, not finite or all zero, expected numbers from 0, some of them above"
        );
        Ok(())
    }
}

/// Some images with their labels.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `f32` `[n, 3, h, w]`, normalised with ImageNet's mean and standard deviation.
    pub images: Tensor,
    /// The same images with distorted colours, normalised alike, where asked for.
    pub distorted: Option<Tensor>,
    /// Further views of the same images, as [`BatchOptions::views`] asks.
    pub views: Vec<Tensor>,
    /// `i64` `[n, h, w]`, 255 where a pixel is ignored.
    pub labels: Tensor,
    /// Whether some image has a label map.
    pub labelled: bool,
    /// The same labels in main memory, wherever the others lie.
    pub host_labels: Tensor,
    /// The samples' names.
    pub names: Vec<String>,
    /// The samples' indices in the data set.
    pub indices: Vec<usize>,
    /// The epoch this batch belongs to, from 0.
    pub epoch: usize,
}

impl Dataset {
    /// A stream of batches on `device`. A sample that cannot be loaded makes its batch an error; the stream goes on after it.
    pub fn batches(&self, options: &BatchOptions, device: &Device) -> Result<Batches> {
        let workers = rayon::current_num_threads().clamp(1, 8);
        Batches::new(self.clone(), options.clone(), device.clone(), workers)
    }
}

/// A stream of batches; dropping it stops its threads.
pub struct Batches {
    data: Dataset,
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    device: Device,
    /// Whether a batch that is ready is taken before it is asked for: on its way to a GPU while that works on the one before.
    early: bool,
    ahead: Option<Result<Batch>>,
}

impl Batches {
    fn new(data: Dataset, options: BatchOptions, device: Device, workers: usize) -> Result<Self> {
        options.check_for(&data)?;
        let shared = Arc::new(Shared::new(&data, options));
        let mut batches = Batches {
            data,
            shared,
            workers: Vec::new(),
            early: !device.is_cpu(),
            ahead: None,
            device,
        };
        for i in 0..workers {
            let shared = batches.shared.clone();
            let worker = std::thread::Builder::new()
                .name(format!("batches-{i}"))
                .spawn(move || shared.work())
                .map_err(|e| Error::usage(format!("batches: a worker thread cannot be started ({e})")))?;
            batches.workers.push(worker);
        }
        Ok(batches)
    }

    /// Batches in one epoch.
    pub fn per_epoch(&self) -> usize {
        self.shared.per_epoch()
    }

    /// The next batch, on the device; `None` at the end, or if it is not ready and not to be waited for.
    fn deliver(&self, wait: bool) -> Option<Result<Batch>> {
        self.shared.hand_in(&self.data);
        let batch = self.shared.take(wait)?;
        Some(batch.and_then(|b| b.moved_to(&self.device)))
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        let batch = self.ahead.take().or_else(|| self.deliver(true));
        if self.early {
            self.ahead = self.deliver(false);
        }
        batch
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.shared.stop();
        for worker in self.workers.drain(..) {
            let _ = worker.join(); // a worker's panic was already delivered as the batch's error
        }
    }
}

impl Batch {
    fn moved_to(self, device: &Device) -> Result<Self> {
        if device.is_cpu() {
            return Ok(self);
        }
        Ok(Batch {
            images: upload(&self.images, device)?,
            distorted: self.distorted.map(|d| upload(&d, device)).transpose()?,
            views: self
                .views
                .iter()
                .map(|v| upload(v, device))
                .collect::<candle_core::Result<_>>()?,
            labels: upload(&self.labels, device)?,
            ..self
        })
    }
}
