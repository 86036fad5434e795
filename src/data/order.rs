//! Which sample comes when: epochs, batches, positions. A pure function of the options, so that resuming needs no replay.

use std::sync::Arc;

use super::batches::BatchOptions;
use crate::random::Random;

/// The stream of random numbers that orders an epoch.
const ORDER: u64 = 0x08DE;

/// The order of one epoch: indices into the data set, `passes` permutations (or counts) one after another.
#[derive(Clone)]
pub(super) struct Order {
    epoch: usize,
    indices: Arc<[usize]>,
}

impl Order {
    /// The order of `epoch` for a set of `len` samples.
    pub fn new(options: &BatchOptions, len: usize, epoch: usize) -> Self {
        let mut random = Random::derived(options.seed, &[ORDER, epoch as u64]);
        if let Some(weights) = &options.weights {
            let drawn = weighted(weights, passes(options, len) * len, &mut random);
            return Order { epoch, indices: drawn };
        }
        let indices = (0..passes(options, len))
            .flat_map(|_| {
                if options.shuffle {
                    random.permutation(len)
                } else {
                    (0..len).collect()
                }
            })
            .collect();
        Order { epoch, indices }
    }

    /// The epoch this is the order of.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    /// The indices of batch `number` within the epoch.
    pub fn batch(&self, size: usize, number: usize) -> &[usize] {
        let first = number * size;
        &self.indices[first..(first + size).min(self.indices.len())]
    }
}

/// Indices drawn in proportion to their weights, each from all of them.
fn weighted(weights: &[f64], count: usize, random: &mut Random) -> Arc<[usize]> {
    let mut total = 0.0;
    let sums: Vec<f64> = weights
        .iter()
        .map(|w| {
            total += w;
            total
        })
        .collect();
    let draw = |random: &mut Random| {
        let at = random.unit() * total;
        sums.partition_point(|sum| *sum <= at).min(sums.len() - 1)
    };
    (0..count).map(|_| draw(random)).collect()
}

/// How often an epoch goes through the set: once, or until one full batch comes together where only full batches count.
fn passes(options: &BatchOptions, len: usize) -> usize {
    if options.drop_last {
        options.size.div_ceil(len.max(1))
    } else {
        1
    }
}

/// Batches per epoch for a set of `len` samples.
pub(super) fn batches_per_epoch(options: &BatchOptions, len: usize) -> usize {
    let total = passes(options, len) * len;
    if options.drop_last {
        total / options.size.max(1)
    } else {
        total.div_ceil(options.size.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(size: usize, shuffle: bool, drop_last: bool) -> BatchOptions {
        BatchOptions {
            size,
            shuffle,
            drop_last,
            ..Default::default()
        }
    }

    #[test]
    fn full_batches_only_when_the_rest_is_dropped() {
        assert_eq!(batches_per_epoch(&options(8, true, true), 18), 2);
        assert_eq!(batches_per_epoch(&options(8, false, false), 18), 3);
        assert_eq!(batches_per_epoch(&options(8, true, true), 3), 1); // three permutations of 3 hold one batch of 8
        assert_eq!(batches_per_epoch(&options(8, false, false), 3), 1);
    }

    #[test]
    fn weights_are_the_shares_drawn() {
        let o = BatchOptions {
            weights: Some([1.0, 0.0, 3.0, 0.0].into()),
            ..options(4000, true, true)
        };
        let order = Order::new(&o, 4, 0);
        let drawn = order.batch(4000, 0);
        let share = |i| drawn.iter().filter(|d| **d == i).count() as f64 / 4000.0;
        assert_eq!((share(1), share(3)), (0.0, 0.0));
        assert!((share(2) - 0.75).abs() < 0.03, "{}", share(2)); // sd 0.007
        assert_ne!(drawn, Order::new(&o, 4, 1).batch(4000, 0));
    }

    #[test]
    fn an_epoch_is_a_permutation_and_epochs_differ() {
        let o = options(4, true, true);
        let (a, b) = (Order::new(&o, 12, 0), Order::new(&o, 12, 1));
        let mut sorted: Vec<usize> = (0..3).flat_map(|n| a.batch(4, n).to_vec()).collect();
        assert_ne!(sorted, (0..3).flat_map(|n| b.batch(4, n).to_vec()).collect::<Vec<_>>());
        sorted.sort_unstable();
        assert_eq!(sorted, (0..12).collect::<Vec<_>>());
        assert_eq!(Order::new(&options(4, false, false), 6, 3).batch(4, 1), [4, 5]);
    }
}
