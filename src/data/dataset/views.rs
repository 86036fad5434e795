//! Sets made by choosing samples of a set; they share its files and its memory.

use super::Dataset;
use super::loader::Sizing;
use crate::data::Source;
use crate::error::{Result, or_meant};
use crate::random::Random;
use crate::{ensure, fail};

/// The streams of random numbers that draw: [`Dataset::take`], [`Dataset::shuffle`], [`Dataset::split`], [`Dataset::kfold`].
const TAKE: u64 = 0x7A4E;
const SHUFFLE: u64 = 0x5FFE;
const SPLIT: u64 = 0x5917;
const FOLDS: u64 = 0xF01D;

impl Dataset {
    /// `n` samples drawn at random without repetition, in the order of the set. With the same seed a smaller draw is
    /// contained in a larger one.
    pub fn take(&self, n: usize, seed: u64) -> Result<Self> {
        self.ensure_has("take", n)?;
        let mut chosen = Random::derived(seed, &[TAKE]).permutation(self.len());
        chosen.truncate(n);
        chosen.sort_unstable();
        Ok(self.view(&chosen))
    }

    /// `n` samples evenly spread over the set: the positions `i * floor(len / n)` for `i` in `0..n`.
    pub fn spread(&self, n: usize) -> Result<Self> {
        self.ensure_has("spread", n)?;
        let step = self.len() / n;
        Ok(self.view(&(0..n).map(|i| i * step).collect::<Vec<_>>()))
    }

    /// The share `f` (above 0, at most 1) of the samples, at least one, drawn as by [`Dataset::take`].
    pub fn fraction(&self, f: f64, seed: u64) -> Result<Self> {
        ensure!(
            f > 0.0 && f <= 1.0,
            "fraction: found {f}, expected a number above 0 and at most 1"
        );
        ensure!(!self.is_empty(), "fraction: {} has no images", self.name());
        let n = (f * self.len() as f64).round().max(1.0) as usize;
        self.take(n, seed)
    }

    /// The samples at these places, in this order; one may come several times.
    pub fn select(&self, places: &[usize]) -> Result<Self> {
        match places.iter().find(|&&i| i >= self.len()) {
            None => Ok(self.view(places)),
            Some(i) => fail!(
                "select: found index {i}, but {} has {} images (indices start at 0)",
                self.name(),
                self.len()
            ),
        }
    }

    /// The samples of these names, in this order.
    pub fn select_names(&self, names: &[String]) -> Result<Self> {
        let known: Vec<String> = (0..self.len()).map(|i| self.loader.name(i)).collect();
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            let Some(place) = known.iter().position(|k| k == name) else {
                let hint = or_meant(name, known.iter().map(String::as_str), "\"", "\"");
                fail!("select: {} has no image called \"{name}\"{hint}", self.name())
            };
            places.push(place);
        }
        Ok(self.view(&places))
    }

    /// All samples in a random order.
    pub fn shuffle(&self, seed: u64) -> Self {
        self.view(&Random::derived(seed, &[SHUFFLE]).permutation(self.len()))
    }

    /// Parts of these shares of the samples, drawn at random without overlap, each in the order of the set. Shares that sum up to 1
    /// leave nothing over.
    pub fn split(&self, shares: &[f64], seed: u64) -> Result<Vec<Self>> {
        let sum: f64 = shares.iter().sum();
        ensure!(
            !shares.is_empty() && shares.iter().all(|share| *share > 0.0) && sum <= 1.0 + 1e-9,
            "split: found the shares {shares:?}, expected numbers above 0 with a sum of at most 1, such as [0.8, 0.2]"
        );
        let order = Random::derived(seed, &[SPLIT]).permutation(self.len());
        let mut parts = Vec::with_capacity(shares.len());
        let (mut start, mut until) = (0, 0.0);
        for share in shares {
            until += share;
            let end = ((until * self.len() as f64).round() as usize).min(self.len());
            ensure!(
                end > start,
                "split: the share {share} of {} images is none; the set {} is too small for these shares",
                self.len(),
                self.name()
            );
            let mut places = order[start..end].to_vec();
            places.sort_unstable();
            parts.push(self.view(&places));
            start = end;
        }
        Ok(parts)
    }

    /// `k` pairs of a set to train on and a set to validate on. Every sample is in exactly one of the latter; their sizes differ by
    /// at most one.
    pub fn kfold(&self, k: usize, seed: u64) -> Result<Vec<[Self; 2]>> {
        ensure!(
            (2..=self.len()).contains(&k),
            "kfold: found {k}, expected 2 to {}, the number of images of {}",
            self.len(),
            self.name()
        );
        let order = Random::derived(seed, &[FOLDS]).permutation(self.len());
        let mut fold_of = vec![0; self.len()];
        for (i, place) in order.into_iter().enumerate() {
            fold_of[place] = i % k;
        }
        let fold = |fold: usize| {
            let (val, train): (Vec<usize>, Vec<usize>) = (0..self.len()).partition(|i| fold_of[*i] == fold);
            [self.view(&train), self.view(&val)]
        };
        Ok((0..k).map(fold).collect())
    }

    /// The set with every image and label map at this size: images by Pillow's antialiased bilinear filter, labels by nearest
    /// neighbour. Always starts from the original, so a second `resize` replaces the first.
    pub fn resize(&self, size: [usize; 2]) -> Result<Self> {
        ensure!(
            size.iter().all(|s| (1..=16384).contains(s)),
            "resize: found size {size:?}, expected [height, width], each 1 to 16384"
        );
        Ok(self.sized(Sizing::To(size)))
    }

    /// The set with the sides of every image and label map at their nearest multiples of this, as [`Dataset::resize`] does it.
    pub fn resize_to_multiple(&self, multiple: usize) -> Result<Self> {
        ensure!(
            (1..=1024).contains(&multiple),
            "resize: found multiple {multiple}, expected 1 to 1024"
        );
        Ok(self.sized(Sizing::Multiple(multiple)))
    }

    fn sized(&self, sizing: Sizing) -> Self {
        Dataset {
            about: self.about.clone(),
            loader: self.loader.resized(sizing),
        }
    }

    /// The samples at these places of this set (which must exist), sharing source and cache.
    pub(in crate::data) fn view(&self, places: &[usize]) -> Self {
        Dataset {
            about: self.about.clone(),
            loader: self.loader.view(places),
        }
    }

    fn ensure_has(&self, function: &str, n: usize) -> Result<()> {
        ensure!(
            n >= 1 && n <= self.len(),
            "{function}: found {n}, expected 1 to {}, the number of images of {}",
            self.len(),
            self.name()
        );
        Ok(())
    }
}
