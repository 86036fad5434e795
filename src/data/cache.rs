//! Loaded samples kept in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Sample;

/// Samples kept in memory up to a number of bytes. Those that came first stay: in a shuffled order each is needed once per epoch, so that
/// replacing them would help no other.
pub(super) struct Cache {
    budget: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    bytes: usize,
    samples: HashMap<usize, Arc<Sample>>,
}

impl Cache {
    pub fn new(budget: usize) -> Self {
        Cache {
            budget,
            kept: Mutex::default(),
        }
    }

    pub fn find(&self, position: usize) -> Option<Arc<Sample>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.samples.get(&position).cloned()
    }

    pub fn keep(&self, position: usize, sample: Arc<Sample>) -> Arc<Sample> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = kept.samples.get(&position) {
            return other.clone(); // another thread was faster
        }
        if kept.bytes + sample.bytes() <= self.budget {
            kept.bytes += sample.bytes();
            kept.samples.insert(position, sample.clone());
        }
        sample
    }
}
