//! Batches prepared ahead of the step by worker threads, with the same result for any number of threads.
//!
//! The work is cut by sample: each worker takes the next sample of the next batch that is wanted, loads and augments it, and the
//! one that finishes a batch's last sample puts the batch together. Workers sleep while two batches are ready.
//!
//! Where a script's closure makes the samples, which it can on its own thread only, the consumer makes those of the batches
//! ahead when it asks for a batch, and the workers do the rest.

mod tests;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use candle_core::{Device, Tensor};

use super::dataset::{self, Loader};
use super::order::{Order, batches_per_epoch};
use super::prepare::{self, Part, Place, assemble};
use super::{Augment, Dataset, Distort, Sample, Source};
use crate::error::{Error, Result};
use crate::ops::kernel::cuda::upload;
use crate::{ensure, fail, options};

/// Batches kept ready ahead of the one in use.
const AHEAD: usize = 2;

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

/// What the workers and the consumer share.
struct Shared {
    /// What the set is called.
    name: String,
    /// How many samples it has.
    len: usize,
    /// Loads them on the workers' threads; none where the consumer hands them in.
    loader: Option<Loader<dataset::Shared>>,
    options: BatchOptions,
    /// Number of the first batch that does not exist.
    end: usize,
    state: Mutex<State>,
    /// Rings when there may be work for a worker.
    work: Condvar,
    /// Rings when a batch is ready.
    ready: Condvar,
}

struct State {
    stop: bool,
    /// Number of the batch the consumer gets next; `window[0]` is that batch.
    wanted: usize,
    window: VecDeque<Slot>,
    order: Order,
}

/// One batch in the making.
struct Slot {
    epoch: usize,
    indices: Vec<usize>,
    /// Samples that the consumer handed in, where it makes them.
    given: Vec<Option<Result<Arc<Sample>>>>,
    /// Samples handed out to workers so far.
    started: usize,
    parts: Vec<Option<Result<Part>>>,
    missing: usize,
    batch: Option<Result<Batch>>,
}

/// A sample to prepare.
struct Job {
    batch: usize,
    /// Which sample of the batch.
    number: usize,
    place: Place,
    /// The sample, where the consumer made it.
    given: Option<Result<Arc<Sample>>>,
}

impl Batches {
    fn new(data: Dataset, options: BatchOptions, device: Device, workers: usize) -> Result<Self> {
        options.check_for(&data)?;
        let per_epoch = options.batches_per_epoch(data.len());
        let end = options.epochs.map_or(usize::MAX, |epochs| epochs * per_epoch);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                stop: false,
                wanted: options.start,
                window: VecDeque::new(),
                order: Order::new(&options, data.len(), options.start / per_epoch),
            }),
            name: data.name().to_string(),
            len: data.len(),
            loader: data.shared(),
            options,
            end,
            work: Condvar::new(),
            ready: Condvar::new(),
        });
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
        self.shared.options.batches_per_epoch(self.shared.len)
    }

    /// Make the samples of the batches ahead, where they are made on this thread.
    fn hand_in(&self) {
        if self.shared.loader.is_some() {
            return;
        }
        while let Some((batch, number, index)) = self.shared.wanted_here() {
            let sample = self.data.get(index);
            let failed = sample.is_err();
            let mut state = self.shared.lock();
            let at = batch - state.wanted;
            let given = &mut state.window[at].given;
            given[number] = Some(sample);
            if failed {
                // The first error is the batch's; it is to be heard before another sample is tried.
                given[number + 1..].fill_with(|| Some(fail_untried()));
            }
            drop(state);
            self.shared.work.notify_all();
            if failed {
                return;
            }
        }
    }

    /// The next batch, on the device; `None` at the end, or if it is not ready and not to be waited for.
    fn deliver(&self, wait: bool) -> Option<Result<Batch>> {
        self.hand_in();
        let mut state = self.shared.lock();
        if state.wanted >= self.shared.end {
            return None;
        }
        loop {
            if let Some(batch) = state.window.front_mut().and_then(|slot| slot.batch.take()) {
                state.window.pop_front();
                state.wanted += 1;
                drop(state);
                self.shared.work.notify_all();
                return Some(batch.and_then(|b| b.moved_to(&self.device)));
            }
            if !wait {
                return None;
            }
            state = self.shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
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
        self.shared.lock().stop = true;
        self.shared.work.notify_all();
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's life.
    fn work(&self) {
        while let Some(mut job) = self.next_job() {
            let Job { place, given, .. } = &mut job;
            let prepare = || {
                let sample = match (given.take(), &self.loader) {
                    (Some(sample), _) => sample,
                    (None, Some(loader)) => loader.load(place.index),
                    (None, None) => fail!("batches: internal: a sample was not handed in"),
                };
                prepare::part(&*sample?, &self.options, *place)
            };
            let part = catch_unwind(AssertUnwindSafe(prepare)).unwrap_or_else(|_| {
                let name = self.loader.as_ref().map(|l| l.name(job.place.index));
                let name = name.unwrap_or_else(|| format!("image {}", job.place.index));
                fail!("batches: preparing {name} of {} failed unexpectedly", self.name)
            });
            self.finish(&job, part);
        }
    }

    /// The next sample to prepare; waits while enough batches are under way. `None` when the stream is dropped or at its end.
    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.stop {
                return None;
            }
            if let Some(job) = self.hand_out(&mut state) {
                return Some(job);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Open the next batch, unless enough are open or there is none.
    fn open(&self, state: &mut State) -> Option<usize> {
        let per_epoch = self.options.batches_per_epoch(self.len);
        let number = state.wanted + state.window.len();
        if state.window.len() >= AHEAD || number >= self.end {
            return None;
        }
        let epoch = number / per_epoch;
        if state.order.epoch() != epoch {
            state.order = Order::new(&self.options, self.len, epoch);
        }
        let slot = Slot::new(epoch, state.order.batch(self.options.size, number % per_epoch));
        state.window.push_back(slot);
        Some(state.window.len() - 1)
    }

    /// A sample that the consumer is to make: the number of its batch, its place there, its index in the set.
    fn wanted_here(&self) -> Option<(usize, usize, usize)> {
        let mut state = self.lock();
        while self.open(&mut state).is_some() {}
        let wanted = state.wanted;
        state.window.iter().enumerate().find_map(|(at, slot)| {
            let number = (slot.started..slot.indices.len()).find(|&number| slot.given[number].is_none())?;
            Some((wanted + at, number, slot.indices[number]))
        })
    }

    fn hand_out(&self, state: &mut State) -> Option<Job> {
        let per_epoch = self.options.batches_per_epoch(self.len);
        let size = self.options.size;
        let here = self.loader.is_none();
        let waits = |s: &Slot| s.started < s.indices.len() && (!here || s.given[s.started].is_some());
        let at = match state.window.iter().position(waits) {
            Some(at) => at,
            None if here => return None,
            None => self.open(state)?,
        };
        let batch = state.wanted + at;
        let slot = &mut state.window[at];
        let number = slot.started;
        slot.started += 1;
        let given = slot.given[number].take();
        Some(Job {
            batch,
            number,
            place: Place {
                epoch: slot.epoch,
                position: (batch % per_epoch) * size + number,
                index: slot.indices[number],
            },
            given,
        })
    }

    /// Hand in a prepared sample; the one that completes a batch puts it together, outside the lock.
    fn finish(&self, job: &Job, part: Result<Part>) {
        let mut state = self.lock();
        let wanted = state.wanted;
        let slot = &mut state.window[job.batch - wanted];
        slot.parts[job.number] = Some(part);
        slot.missing -= 1;
        if slot.missing > 0 {
            return;
        }
        let (parts, indices, epoch) = (std::mem::take(&mut slot.parts), slot.indices.clone(), slot.epoch);
        drop(state);
        let batch = catch_unwind(AssertUnwindSafe(|| assemble(parts, indices, epoch)))
            .unwrap_or_else(|_| fail!("batches: putting a batch together failed unexpectedly"));
        // The batch is not delivered before it is whole, so the consumer cannot have moved past it.
        let mut state = self.lock();
        let wanted = state.wanted;
        state.window[job.batch - wanted].batch = Some(batch);
        drop(state);
        self.ready.notify_all();
    }
}

/// In place of a sample behind one that could not be made.
fn fail_untried() -> Result<Arc<Sample>> {
    fail!("batches: not tried after an earlier error")
}

impl Slot {
    fn new(epoch: usize, indices: &[usize]) -> Self {
        Slot {
            epoch,
            indices: indices.to_vec(),
            given: indices.iter().map(|_| None).collect(),
            started: 0,
            parts: indices.iter().map(|_| None).collect(),
            missing: indices.len(),
            batch: None,
        }
    }
}
