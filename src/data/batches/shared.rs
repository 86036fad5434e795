//! The batches in the making: what the workers and the consumer of a stream share.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Batch, BatchOptions};
use crate::data::dataset::{self, Loader};
use crate::data::order::Order;
use crate::data::prepare::{self, Draw, Part, assemble};
use crate::data::{Dataset, Sample, Source};
use crate::error::Result;
use crate::fail;

/// Batches kept ready ahead of the one in use.
const AHEAD: usize = 2;

/// What the workers and the consumer share.
pub(super) struct Shared {
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
    window: VecDeque<Pending>,
    order: Order,
}

/// One batch in the making.
struct Pending {
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
    place: Draw,
    /// The sample, where the consumer made it.
    given: Option<Result<Arc<Sample>>>,
}

impl Shared {
    /// For the batches of `data` from the first one wanted on.
    pub(super) fn new(data: &Dataset, options: BatchOptions) -> Self {
        let per_epoch = options.batches_per_epoch(data.len());
        Shared {
            state: Mutex::new(State {
                stop: false,
                wanted: options.start,
                window: VecDeque::new(),
                order: Order::new(&options, data.len(), options.start / per_epoch),
            }),
            name: data.name().to_string(),
            len: data.len(),
            loader: data.shared(),
            end: options.epochs.map_or(usize::MAX, |epochs| epochs * per_epoch),
            options,
            work: Condvar::new(),
            ready: Condvar::new(),
        }
    }

    /// Batches in one epoch.
    pub(super) fn per_epoch(&self) -> usize {
        self.options.batches_per_epoch(self.len)
    }

    /// Let the workers end.
    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.work.notify_all();
    }

    /// Make the samples of the batches ahead, where they are made on the consumer's thread.
    pub(super) fn hand_in(&self, data: &Dataset) {
        if self.loader.is_some() {
            return;
        }
        while let Some((batch, number, index)) = self.wanted_here() {
            let sample = data.get(index);
            let failed = sample.is_err();
            let mut state = self.lock();
            let at = batch - state.wanted;
            let given = &mut state.window[at].given;
            given[number] = Some(sample);
            if failed {
                // A batch fails with its first error, before its other samples are tried.
                given[number + 1..].fill_with(|| Some(fail_untried()));
            }
            drop(state);
            self.work.notify_all();
            if failed {
                return;
            }
        }
    }

    /// The next batch; `None` at the end, or if it is not ready and not to be waited for.
    pub(super) fn take(&self, wait: bool) -> Option<Result<Batch>> {
        let mut state = self.lock();
        if state.wanted >= self.end {
            return None;
        }
        loop {
            if let Some(batch) = state.window.front_mut().and_then(|slot| slot.batch.take()) {
                state.window.pop_front();
                state.wanted += 1;
                drop(state);
                self.work.notify_all();
                return Some(batch);
            }
            if !wait {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker's life.
    pub(super) fn work(&self) {
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
        let per_epoch = self.per_epoch();
        let number = state.wanted + state.window.len();
        if state.window.len() >= AHEAD || number >= self.end {
            return None;
        }
        let epoch = number / per_epoch;
        if state.order.epoch() != epoch {
            state.order = Order::new(&self.options, self.len, epoch);
        }
        let slot = Pending::new(epoch, state.order.batch(self.options.size, number % per_epoch));
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
        let per_epoch = self.per_epoch();
        let size = self.options.size;
        let here = self.loader.is_none();
        let waits = |s: &Pending| s.started < s.indices.len() && (!here || s.given[s.started].is_some());
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
            place: Draw {
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

impl Pending {
    fn new(epoch: usize, indices: &[usize]) -> Self {
        Pending {
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
