//! All random draws, from an explicit seed. Nothing else in the crate draws numbers.
//!
//! [`Random`] is ChaCha8 keyed by a seed and a path of numbers, so that every consumer (initialisation, the augmentation of
//! image 17 in epoch 3, ...) derives its own stream from what it is, not from the order in which threads happen to ask.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

/// A reproducible stream of random numbers; its state can be saved and restored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Random {
    generator: ChaCha8Rng,
}

impl Random {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self::derived(seed, &[])
    }

    /// The stream of `seed` for the consumer named by `path`; different paths give independent streams.
    pub fn derived(seed: u64, path: &[u64]) -> Self {
        let mut state = mix(seed ^ 0x9E37_79B9_7F4A_7C15);
        for &step in path {
            state = mix(state ^ mix(step.wrapping_add(0xD1B5_4A32_D192_ED03)));
        }
        Random {
            generator: ChaCha8Rng::seed_from_u64(state),
        }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// The same, rounded to `f32`.
    pub fn between(&mut self, low: f64, high: f64) -> f32 {
        self.uniform(low, high) as f32
    }

    /// Standard normal (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in 0..n without bias (0 for n = 0).
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        if n == 0 {
            return 0;
        }
        let limit = u64::MAX - u64::MAX % n;
        loop {
            let bits = self.bits();
            if bits < limit {
                return (bits % n) as usize;
            }
        }
    }

    /// Shuffle in place (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// A random order of 0..n.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}

/// The finaliser of SplitMix64: a bijection whose every output bit depends on every input bit.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_stream_and_paths_differ() {
        assert_eq!(Random::derived(3, &[1, 2]).bits(), Random::derived(3, &[1, 2]).bits());
        assert_ne!(Random::derived(3, &[1, 2]).bits(), Random::derived(3, &[2, 1]).bits());
        assert_ne!(Random::new(3).bits(), Random::new(4).bits());
    }

    #[test]
    fn draws_have_the_right_moments() {
        let mut random = Random::new(0);
        let n = 100_000;
        let normal: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        let mean = normal.iter().sum::<f64>() / n as f64;
        let variance = normal.iter().map(|x| x * x).sum::<f64>() / n as f64 - mean * mean;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let mut order = random.permutation(50);
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_saved_state_continues_the_stream() {
        let mut random = Random::new(7);
        random.bits();
        let text = serde_json::to_string(&random).unwrap();
        let mut copy: Random = serde_json::from_str(&text).unwrap();
        assert_eq!(random.bits(), copy.bits());
    }
}
