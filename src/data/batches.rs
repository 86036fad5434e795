//! Batches prepared ahead of the step by worker threads, with the same result for any number of threads.
//!
//! The work is cut by sample: each worker takes the next sample of the next batch that is wanted, loads and augments it, and the
//! one that finishes a batch's last sample puts the batch together. Workers sleep while two batches are ready.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use candle_core::{Device, Tensor};

use super::order::{Order, batches_per_epoch};
use super::prepare::{self, Part, Place, assemble};
use super::{Augment, Dataset, Distort};
use crate::error::{Error, Result};
use crate::ops::kernel::cuda::upload;
use crate::{ensure, fail};

/// Batches kept ready ahead of the one in use.
const AHEAD: usize = 2;

/// What a stream of batches consists of.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchOptions {
    /// Samples per batch.
    pub size: usize,
    /// A new random order in every epoch.
    pub shuffle: bool,
    /// Order and augmentation follow from it.
    pub seed: u64,
    /// Random scale, crop and flip of image and labels.
    pub augment: Option<Augment>,
    /// Also deliver a second view with distorted colours.
    pub distort: Option<Distort>,
    /// Full batches only: an epoch's incomplete rest is dropped, and a set smaller than a batch is gone through several times
    /// per epoch. Otherwise every sample comes once per epoch and the last batch may be smaller.
    pub drop_last: bool,
    /// Batches already consumed in an earlier run of the same options: the stream continues exactly after them.
    pub start: usize,
    /// How many epochs the whole stream has, those before `start` included; endless if not given.
    pub epochs: Option<usize>,
}

impl Default for BatchOptions {
    fn default() -> Self {
        BatchOptions {
            size: 8,
            shuffle: true,
            seed: 0,
            augment: None,
            distort: None,
            drop_last: true,
            start: 0,
            epochs: None,
        }
    }
}

impl BatchOptions {
    /// Batches in one epoch of a set of `len` samples.
    pub fn batches_per_epoch(&self, len: usize) -> usize {
        batches_per_epoch(self, len)
    }

    /// Refuse numbers that make no sense.
    pub fn check(&self) -> Result<()> {
        ensure!(self.size >= 1, "batches: found size 0, expected at least 1");
        self.augment.as_ref().map_or(Ok(()), Augment::check)?;
        self.distort.as_ref().map_or(Ok(()), Distort::check)
    }
}

/// Some images with their labels.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `f32` `[n, 3, h, w]`, normalised with ImageNet's mean and standard deviation.
    pub images: Tensor,
    /// The same images with distorted colours, normalised alike, where asked for.
    pub distorted: Option<Tensor>,
    /// `i64` `[n, h, w]`, 255 where a pixel is ignored.
    pub labels: Tensor,
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
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    device: Device,
    /// Whether a batch that is ready is taken before it is asked for: on its way to a GPU while that works on the one before.
    early: bool,
    ahead: Option<Result<Batch>>,
}

/// What the workers and the consumer share.
struct Shared {
    data: Dataset,
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
}

impl Batches {
    fn new(data: Dataset, options: BatchOptions, device: Device, workers: usize) -> Result<Self> {
        options.check()?;
        ensure!(
            !data.is_empty(),
            "batches: {} has no images, expected at least one",
            data.name()
        );
        let per_epoch = options.batches_per_epoch(data.len());
        let end = options.epochs.map_or(usize::MAX, |epochs| epochs * per_epoch);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                stop: false,
                wanted: options.start,
                window: VecDeque::new(),
                order: Order::new(&options, data.len(), options.start / per_epoch),
            }),
            data,
            options,
            end,
            work: Condvar::new(),
            ready: Condvar::new(),
        });
        let mut batches = Batches {
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
        self.shared.options.batches_per_epoch(self.shared.data.len())
    }

    /// The next batch, on the device; `None` at the end, or if it is not ready and not to be waited for.
    fn deliver(&self, wait: bool) -> Option<Result<Batch>> {
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
        while let Some(job) = self.next_job() {
            let prepare = || prepare::part(&self.data, &self.options, job.place);
            let part = catch_unwind(AssertUnwindSafe(prepare)).unwrap_or_else(|_| {
                let name = self.data.sample_name(job.place.index).unwrap_or_default();
                fail!("batches: preparing {name} of {} failed unexpectedly", self.data.name())
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

    fn hand_out(&self, state: &mut State) -> Option<Job> {
        let per_epoch = self.options.batches_per_epoch(self.data.len());
        let size = self.options.size;
        let open = state.window.iter().position(|s| s.started < s.indices.len());
        let at = match open {
            Some(at) => at,
            None => {
                let number = state.wanted + state.window.len();
                if state.window.len() >= AHEAD || number >= self.end {
                    return None;
                }
                let epoch = number / per_epoch;
                if state.order.epoch() != epoch {
                    state.order = Order::new(&self.options, self.data.len(), epoch);
                }
                let slot = Slot::new(epoch, state.order.batch(size, number % per_epoch));
                state.window.push_back(slot);
                state.window.len() - 1
            }
        };
        let batch = state.wanted + at;
        let slot = &mut state.window[at];
        let number = slot.started;
        slot.started += 1;
        Some(Job {
            batch,
            number,
            place: Place {
                epoch: slot.epoch,
                position: (batch % per_epoch) * size + number,
                index: slot.indices[number],
            },
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

impl Slot {
    fn new(epoch: usize, indices: &[usize]) -> Self {
        Slot {
            epoch,
            indices: indices.to_vec(),
            started: 0,
            parts: indices.iter().map(|_| None).collect(),
            missing: indices.len(),
            batch: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{IGNORED, Sample, Source};

    /// Seven 6x8 samples of class i; the fourth is corrupt where asked.
    struct Seven {
        corrupt: bool,
        uneven: bool,
    }

    impl Source for Seven {
        fn len(&self) -> usize {
            7
        }
        fn name(&self, i: usize) -> String {
            format!("image_{i}")
        }
        fn load(&self, i: usize) -> Result<Sample> {
            ensure!(!(self.corrupt && i == 3), "image_3.png: broken");
            let height = if self.uneven { 6 + i } else { 6 };
            Ok(Sample {
                name: self.name(i),
                height,
                width: 8,
                pixels: (0..height * 24).map(|p| (p * (i + 1)) as u8).collect(),
                labels: vec![i as u8; height * 8],
            })
        }
    }

    fn seven(corrupt: bool, uneven: bool) -> Dataset {
        let names = (0..7).map(|i| format!("c{i}")).collect();
        Dataset::new("seven", names, vec![[0; 3]; 7], Arc::new(Seven { corrupt, uneven })).unwrap()
    }

    fn options() -> BatchOptions {
        BatchOptions {
            size: 3,
            seed: 5,
            augment: Some(Augment {
                scale: Some([0.5, 2.0]),
                crop: Some([5, 7]),
                flip: 0.5,
            }),
            distort: Some(Distort::default()),
            epochs: Some(3),
            ..Default::default()
        }
    }

    fn run(options: &BatchOptions, workers: usize) -> Vec<Batch> {
        Batches::new(seven(false, false), options.clone(), Device::Cpu, workers)
            .unwrap()
            .collect::<Result<_>>()
            .unwrap()
    }

    fn values(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn same(a: &Batch, b: &Batch) -> bool {
        a.indices == b.indices
            && a.epoch == b.epoch
            && values(&a.images) == values(&b.images)
            && values(a.distorted.as_ref().unwrap()) == values(b.distorted.as_ref().unwrap())
    }

    #[test]
    fn any_number_of_threads_gives_the_same_batches() {
        let (one, four) = (run(&options(), 1), run(&options(), 4));
        assert_eq!(one.len(), 6); // floor(7 / 3) = 2 per epoch
        assert!(one.iter().zip(&four).all(|(a, b)| same(a, b)));
        assert_eq!(one[0].images.dims(), [3, 3, 5, 7]);
        assert_eq!(one[0].labels.dims(), [3, 5, 7]);
        assert_eq!(one.iter().map(|b| b.epoch).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2]);
        assert_ne!(one[0].indices, one[2].indices);
        let labels = one[0].labels.flatten_all().unwrap().to_vec1::<i64>().unwrap();
        let allowed = |l: &i64| one[0].indices.contains(&(*l as usize)) || *l == i64::from(IGNORED);
        assert!(labels.iter().all(allowed));
    }

    #[test]
    fn batches_taken_early_are_the_same() {
        let all = run(&options(), 2);
        let mut early = Batches::new(seven(false, false), options(), Device::Cpu, 2).unwrap();
        early.early = true;
        let mut taken = 0;
        let mut found = Vec::new();
        while let Some(batch) = early.next() {
            found.push(batch.unwrap());
            std::thread::sleep(std::time::Duration::from_millis(20)); // time for the next one to become ready
            taken += usize::from(early.ahead.is_some());
        }
        assert_eq!(found.len(), all.len());
        assert!(all.iter().zip(&found).all(|(a, b)| same(a, b)));
        assert!(taken > 0, "no batch was taken early");
    }

    #[test]
    fn a_later_start_continues_exactly() {
        let all = run(&options(), 2);
        let rest = run(&BatchOptions { start: 3, ..options() }, 2);
        assert_eq!(rest.len(), 3);
        assert!(all[3..].iter().zip(&rest).all(|(a, b)| same(a, b)));
    }

    #[test]
    fn in_order_every_sample_comes_once_and_is_normalised() {
        let plain = BatchOptions {
            size: 3,
            shuffle: false,
            drop_last: false,
            epochs: Some(1),
            ..Default::default()
        };
        let batches = run(&plain, 2);
        let indices: Vec<usize> = batches.iter().flat_map(|b| b.indices.clone()).collect();
        assert_eq!(indices, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(
            (batches.len(), batches[2].names.clone()),
            (3, vec!["image_6".to_string()])
        );
        // Sample 1, second pixel, red: byte 3 * 2 = 6.
        let found = batches[0]
            .images
            .get(1)
            .unwrap()
            .get(0)
            .unwrap()
            .get(0)
            .unwrap()
            .get(1)
            .unwrap();
        let expected = (6.0 / 255.0 - 0.485) / 0.229;
        assert!((found.to_scalar::<f32>().unwrap() - expected).abs() < 1e-5);
    }

    #[test]
    fn a_corrupt_file_is_the_error_of_its_batch_only() {
        let plain = BatchOptions {
            size: 2,
            shuffle: false,
            drop_last: false,
            epochs: Some(1),
            ..Default::default()
        };
        let batches = Batches::new(seven(true, false), plain, Device::Cpu, 3).unwrap();
        let results: Vec<Result<Batch>> = batches.collect();
        assert_eq!(
            results.iter().map(Result::is_ok).collect::<Vec<_>>(),
            [true, false, true, true]
        );
        assert!(results[1].as_ref().unwrap_err().to_string().contains("image_3.png"));
    }

    #[test]
    fn different_sizes_are_refused_with_a_remedy() {
        let plain = BatchOptions {
            shuffle: false,
            ..Default::default()
        };
        let mut batches = Batches::new(seven(false, true), plain, Device::Cpu, 2).unwrap();
        let text = batches.next().unwrap().unwrap_err().to_string();
        assert!(
            text.contains("image_0 is 6x8 but image_1 is 7x8") && text.contains("resize"),
            "{text}"
        );
    }

    #[test]
    fn an_endless_stream_can_be_dropped_at_any_time() {
        for taken in [0, 1, 5] {
            let endless = BatchOptions {
                size: 20, // larger than the set
                ..Default::default()
            };
            let mut batches = seven(false, false).batches(&endless, &Device::Cpu).unwrap();
            for _ in 0..taken {
                assert_eq!(batches.next().unwrap().unwrap().names.len(), 20);
            }
        }
    }
}
