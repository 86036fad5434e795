//! A memory of past keys: for each class a ring of unit-norm features, used as further keys without gradient.
//!
//! Published queues have stored pixels of wrong classes, moved their pointer by one instead of by the batch, dropped class 0
//! and drawn from places that nothing had been written to; here a ring knows how full it is, and only what was stored is used.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use super::sampling::ClassMap;
use crate::error::Result;
use crate::loss::labels::{IGNORED, label_map};
use crate::ops::pixel_contrast::{Pool, Source};
use crate::random::Random;
use crate::{ensure, options};

options! {
    /// The settings of a [`Memory`].
    #[derive(PartialEq)]
    pub struct MemoryOptions {
        /// Keys kept of each class; the oldest are overwritten.
        per_class: usize = 512,
        /// Keys stored of each class and batch.
        per_batch: usize = 64,
        /// Batches to be stored before the loss uses it.
        warm_up: usize = 10,
        /// Store the features of a slowly moving average of the network (MoCo) with this momentum instead of the network's own;
        /// it is the training loop that keeps such a network (parameters and running statistics, moved after each update).
        momentum_encoder: Option<f64> = None,
    }
}

impl MemoryOptions {
    /// Refuse numbers that cannot work.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.per_class > 0 && self.per_batch > 0,
            "pixel_contrast: memory with per_class {} and per_batch {}, expected at least 1 of each",
            self.per_class,
            self.per_batch
        );
        if let Some(momentum) = self.momentum_encoder {
            ensure!(
                (0.0..1.0).contains(&momentum),
                "pixel_contrast: memory with momentum_encoder {momentum}, expected 0 <= momentum < 1 (0.999 is usual)"
            );
        }
        Ok(())
    }
}

/// The keys of one class; full, the oldest is overwritten.
#[derive(Clone, Debug, Default, PartialEq)]
struct Ring {
    rows: Vec<f32>,
    next: usize,
}

/// Past keys by class.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    options: MemoryOptions,
    dim: usize,
    batches: usize,
    rings: BTreeMap<i64, Ring>,
}

impl Memory {
    /// An empty memory.
    pub fn new(options: &MemoryOptions) -> Result<Self> {
        options.check()?;
        Ok(Memory {
            options: options.clone(),
            dim: 0,
            batches: 0,
            rings: BTreeMap::new(),
        })
    }

    /// Its settings.
    pub fn options(&self) -> &MemoryOptions {
        &self.options
    }

    /// Whether the warm-up is over and there is something to use.
    pub fn ready(&self) -> bool {
        self.batches >= self.options.warm_up && !self.rings.is_empty()
    }

    /// How many keys there are of each label.
    pub fn counts(&self) -> Vec<(i64, usize)> {
        self.rings
            .iter()
            .map(|(label, ring)| (*label, ring.rows.len() / self.dim.max(1)))
            .collect()
    }

    /// The keys of a label, `[n, d]` of unit norm, from the oldest to the newest; none if it holds none.
    pub fn keys(&self, label: i64) -> Result<Tensor> {
        let empty = Ring::default();
        let ring = self.rings.get(&label).unwrap_or(&empty);
        let mut rows = ring.rows.clone();
        if rows.len() == self.options.per_class * self.dim {
            rows.rotate_left(ring.next * self.dim);
        }
        let shape = (rows.len() / self.dim.max(1), self.dim);
        Ok(Tensor::from_vec(rows, shape, &Device::Cpu)?)
    }

    /// Store up to `per_batch` random pixels of each class: `features` `[n, d, h, w]` of any norm, `labels` `[n, h', w']`.
    ///
    /// # Errors
    /// Shapes that do not fit, or another number of channels than before.
    pub fn store(&mut self, features: &Tensor, labels: &Tensor, ignore_label: i64, random: &mut Random) -> Result<()> {
        let (n, dim, h, w) = features.dims4()?;
        let area = h * w;
        ensure!(
            dim > 0,
            "pixel_contrast: features of shape {:?} have no channels",
            features.dims()
        );
        ensure!(
            self.dim == 0 || self.dim == dim,
            "pixel_contrast: features of {dim} channels for a memory of {}; start a new memory",
            self.dim
        );
        self.dim = dim;
        let labels = label_map("pixel_contrast", "labels", labels, n, [h, w])?;
        let mut places: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (pixel, &label) in labels.iter().enumerate().filter(|(_, label)| **label != ignore_label) {
            places.entry(label).or_default().push(pixel);
        }
        let most = self.options.per_batch.min(self.options.per_class);
        for places in places.values_mut() {
            random.shuffle(places);
            places.truncate(most);
        }
        // only the chosen pixels leave the device
        let chosen = places.values().flatten().flat_map(|pixel| {
            let from = pixel / area * dim * area + pixel % area;
            (0..dim).map(move |d| (from + d * area) as i64)
        });
        let chosen: Vec<i64> = chosen.collect();
        let data = if chosen.is_empty() {
            Vec::new()
        } else {
            let places = Tensor::from_slice(&chosen, chosen.len(), features.device())?;
            let found = features.detach().flatten_all()?.index_select(&places, 0)?;
            found.to_dtype(DType::F32)?.to_vec1::<f32>()?
        };
        let mut rows = data.chunks_exact(dim.max(1));
        for (label, places) in places {
            let ring = self.rings.entry(label).or_default();
            for row in rows.by_ref().take(places.len()) {
                let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                if !norm.is_finite() || norm == 0.0 {
                    continue;
                }
                let row = row.iter().map(|x| x / norm);
                if ring.rows.len() < self.options.per_class * dim {
                    ring.rows.extend(row);
                } else {
                    let from = ring.next * dim;
                    ring.rows[from..from + dim]
                        .iter_mut()
                        .zip(row)
                        .for_each(|(old, new)| *old = new);
                }
                ring.next = (ring.next + 1) % self.options.per_class;
            }
        }
        self.rings.retain(|_, ring| !ring.rows.is_empty());
        self.batches += 1;
        Ok(())
    }

    /// The labels it holds.
    pub(super) fn labels(&self) -> impl Iterator<Item = i64> {
        self.rings.keys().copied()
    }

    /// Channels of its features.
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// Its keys as rows sorted by class; `labels` are those of the classes and contain all of the memory's.
    pub(super) fn pool(&self, labels: &[i64]) -> Pool {
        let (mut rows, mut classes) = (Vec::new(), Vec::new());
        for (label, ring) in &self.rings {
            if let Ok(class) = labels.binary_search(label) {
                rows.extend_from_slice(&ring.rows);
                classes.resize(classes.len() + ring.rows.len() / self.dim.max(1), class as u32);
            }
        }
        Pool {
            source: Source::Fixed(rows),
            pixels: Vec::new(),
            classes,
        }
    }

    /// Everything, as named tensors for a checkpoint: `batches` and for each label `keys.LABEL` `[n, d]` with `next.LABEL`.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let number = |n: usize| Tensor::new(&[n as i64], &Device::Cpu);
        let mut state = vec![("batches".to_string(), number(self.batches)?)];
        for (label, ring) in &self.rings {
            let shape = (ring.rows.len() / self.dim.max(1), self.dim);
            state.push((
                format!("keys.{label}"),
                Tensor::from_slice(&ring.rows, shape, &Device::Cpu)?,
            ));
            state.push((format!("next.{label}"), number(ring.next)?));
        }
        Ok(state)
    }

    /// The memory whose [`state`](Memory::state) this was.
    ///
    /// # Errors
    /// Entries that are missing or do not fit the options.
    pub fn from_state(options: &MemoryOptions, state: &[(String, Tensor)]) -> Result<Self> {
        let mut memory = Memory::new(options)?;
        let number = |name: &str| -> Result<usize> {
            let found = state.iter().find(|(n, _)| n == name);
            ensure!(
                found.is_some(),
                "the saved memory has no entry {name}; the checkpoint is incomplete"
            );
            let value = found.map_or(Ok(vec![0]), |(_, t)| t.flatten_all()?.to_vec1::<i64>())?;
            Ok(value.first().copied().unwrap_or(0).max(0) as usize)
        };
        memory.batches = number("batches")?;
        for (name, tensor) in state {
            let Some(label) = name.strip_prefix("keys.").and_then(|label| label.parse::<i64>().ok()) else {
                continue;
            };
            let (n, dim) = tensor.dims2()?;
            let mut rows = tensor.flatten_all()?.to_vec1::<f32>()?;
            ensure!(
                n <= options.per_class && (memory.dim == 0 || memory.dim == dim),
                "the saved memory holds {n} keys of {dim} channels under {name}, expected at most {} of {}",
                options.per_class,
                memory.dim
            );
            memory.dim = dim;
            let mut next = number(&format!("next.{label}"))?;
            if n < options.per_class && n > 0 {
                // there is more room now: the oldest key comes first, the next one behind the newest
                rows.rotate_left(next % n * dim);
                next = n;
            }
            memory.rings.insert(
                label,
                Ring {
                    rows,
                    next: next % options.per_class,
                },
            );
        }
        Ok(memory)
    }

    /// Whether a class map contains nothing the memory could be contrasted with (used to skip it).
    pub(super) fn fits(&self, map: &ClassMap, dim: usize) -> bool {
        self.dim == dim && map.classes.iter().any(|&class| class != IGNORED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(value: f32, label: i64) -> (Tensor, Tensor) {
        let features = Tensor::from_vec(vec![value, value, 0.0, 0.0], (1, 2, 1, 2), &Device::Cpu).unwrap();
        (
            features,
            Tensor::from_vec(vec![label, 255], (1, 1, 2), &Device::Cpu).unwrap(),
        )
    }

    #[test]
    fn a_ring_fills_then_overwrites_the_oldest() {
        let options = MemoryOptions {
            per_class: 3,
            per_batch: 5,
            warm_up: 2,
            momentum_encoder: None,
        };
        let mut memory = Memory::new(&options).unwrap();
        let mut random = Random::new(0);
        for (i, value) in [1.0, -1.0, 1.0, 1.0].into_iter().enumerate() {
            let (features, labels) = batch(value, 0);
            memory.store(&features, &labels, 255, &mut random).unwrap();
            assert_eq!(memory.ready(), i >= 1);
            assert_eq!(memory.counts(), [(0, (i + 1).min(3))]); // the ignored pixel is not stored, class 0 is
        }
        assert_eq!(memory.rings[&0].rows, [1.0, 0.0, -1.0, 0.0, 1.0, 0.0]); // the fourth replaced the first
        assert_eq!(memory.rings[&0].next, 1);
        let keys: Vec<Vec<f32>> = memory.keys(0).unwrap().to_vec2().unwrap();
        assert_eq!(keys, [[-1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]); // the oldest first
        assert_eq!(memory.keys(7).unwrap().dims(), [0, 2]);
    }

    #[test]
    fn the_saved_state_is_everything() {
        let options = MemoryOptions::default();
        let mut memory = Memory::new(&options).unwrap();
        let mut random = Random::new(0);
        for label in [4, 0, 4] {
            let (features, labels) = batch(2.0, label);
            memory.store(&features, &labels, 255, &mut random).unwrap();
        }
        assert_eq!(Memory::from_state(&options, &memory.state().unwrap()).unwrap(), memory);
    }

    #[test]
    fn a_full_ring_goes_on_in_a_larger_memory_with_the_oldest_first() {
        let sizes = |per_class| MemoryOptions {
            per_class,
            warm_up: 0,
            ..MemoryOptions::default()
        };
        let keys = |memory: &Memory| -> Vec<f32> {
            let keys: Vec<Vec<f32>> = memory.keys(0).unwrap().to_vec2().unwrap();
            keys.iter().map(|key| key[1] / key[0]).collect()
        };
        let store = |memory: &mut Memory, slope: f32| {
            let features = Tensor::from_vec(vec![1.0, slope], (1, 2, 1, 1), &Device::Cpu).unwrap();
            let labels = Tensor::from_vec(vec![0_i64], (1, 1, 1), &Device::Cpu).unwrap();
            memory.store(&features, &labels, 255, &mut Random::new(0)).unwrap();
        };
        let mut small = Memory::new(&sizes(2)).unwrap();
        [1.0, 2.0, 4.0].into_iter().for_each(|slope| store(&mut small, slope));
        let mut large = Memory::from_state(&sizes(3), &small.state().unwrap()).unwrap();
        store(&mut large, 8.0);
        assert_eq!(keys(&large), [2.0, 4.0, 8.0]);
        store(&mut large, 16.0);
        assert_eq!(keys(&large), [4.0, 8.0, 16.0]);
    }
}
