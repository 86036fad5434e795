//! What a run changes although it belongs to the caller: the network that its average is put into, and the memories of past keys that the
//! caller's loss fills. Checkpoints hold them too, so that a run that goes on makes the same steps as one that was never interrupted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use candle_core::Tensor;

use super::checkpoint::{below, under};
use crate::ensure;
use crate::error::Result;
use crate::loss::pixel_contrast::Memory;
use crate::nn::Segmenter;

/// The caller's things that a run changes and keeps in its checkpoints.
#[derive(Clone, Default)]
pub struct Lent {
    /// The network that its average is put into ([`super::Course::ema`]), for a loss that asks it.
    pub average: Option<Rc<RefCell<Segmenter>>>,
    /// The memories of past keys that its loss fills, each time in the same order.
    pub memories: Vec<Rc<RefCell<Memory>>>,
}

/// The memories of past keys that were lent to a run.
#[derive(Default)]
pub(super) struct Memories {
    all: Vec<Rc<RefCell<Memory>>>,
    /// What a checkpoint held for memories that were not lent again: the run was read without its loss.
    unclaimed: Vec<(String, Tensor)>,
}

const PREFIX: &str = "run.memories.";

impl Memories {
    pub(super) fn new(all: Vec<Rc<RefCell<Memory>>>) -> Self {
        let unclaimed = Vec::new();
        Memories { all, unclaimed }
    }

    /// What they hold now.
    pub(super) fn copies(&self) -> Vec<Memory> {
        self.all.iter().map(|memory| memory.borrow().clone()).collect()
    }

    /// Let them hold what they held then.
    pub(super) fn put_back(&self, copies: Vec<Memory>) {
        for (memory, copy) in self.all.iter().zip(copies) {
            *memory.borrow_mut() = copy;
        }
    }

    /// The tensors for a checkpoint.
    pub(super) fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        let mut tensors = self.unclaimed.clone();
        for (i, memory) in self.all.iter().enumerate() {
            tensors.extend(under(&format!("{PREFIX}{i}."), memory.borrow().state()?));
        }
        Ok(tensors)
    }

    /// Whether a checkpoint with these tensors is of a run that was lent as many.
    pub(super) fn fit(&self, tensors: &HashMap<String, Tensor>) -> bool {
        count(tensors) == self.all.len()
    }

    /// Take over what a checkpoint with these tensors holds.
    ///
    /// # Errors
    /// It holds another number of memories than were lent, or more keys than they take.
    pub(super) fn restore(&mut self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        let stored = count(tensors);
        if self.all.is_empty() {
            let ours = tensors.iter().filter(|(name, _)| name.starts_with(PREFIX));
            self.unclaimed = ours.map(|(name, t)| (name.clone(), t.clone())).collect();
            return Ok(());
        }
        ensure!(
            stored == 0 || self.fit(tensors),
            "the loss of this run filled {stored} memories of past keys (loss::memory), the one given fills {}; give the loss as it was",
            self.all.len()
        );
        for (i, memory) in self.all.iter().enumerate().take(stored) {
            let state: Vec<_> = below(&format!("{PREFIX}{i}."), tensors).into_iter().collect();
            let restored = Memory::from_state(memory.borrow().options(), &state)?;
            *memory.borrow_mut() = restored;
        }
        Ok(())
    }
}

/// How many memories a checkpoint with these tensors holds.
fn count(tensors: &HashMap<String, Tensor>) -> usize {
    (0..)
        .take_while(|i| tensors.contains_key(&format!("{PREFIX}{i}.batches")))
        .count()
}
