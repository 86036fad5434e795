//! Where a network's numbers come from, for the record of the runs that train it.

use serde::{Deserialize, Serialize};

/// The random start of a network, and what has trained it since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The seed of its first parameters; none for a network that was read from a file.
    pub seed: Option<u64>,
    /// The run or the file whose numbers it has taken over last.
    pub parent: Option<Parent>,
}

/// A run folder, or a file of weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Where it lies.
    pub path: String,
    /// The steps of the run that were made when its numbers were taken.
    pub step: Option<usize>,
}

impl Origin {
    /// Numbers were read from this file.
    pub fn read_from(&mut self, file: &std::path::Path) {
        let path = file.display().to_string();
        self.parent = Some(Parent { path, step: None });
    }
}
