//! What became of the tensors of a file.

use std::fmt;

/// A tensor whose shape in the file is not the model's.
#[derive(Clone, Debug, PartialEq)]
pub struct WrongShape {
    /// Its name in the model.
    pub name: String,
    /// Its shape in the model.
    pub model: Vec<usize>,
    /// Its shape in the file.
    pub file: Vec<usize>,
}

/// What became of each tensor. Names are the model's, those of `unexpected` the file's after `rename` and `prefix`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// Taken over, in the order of the modules.
    pub loaded: Vec<String>,
    /// In the model, not in the file; the projection head does not count.
    pub missing: Vec<String>,
    /// In the file, not in the model, in alphabetical order.
    pub unexpected: Vec<String>,
    /// In both, of different shape; not taken over.
    pub wrong_shape: Vec<WrongShape>,
    /// In the file, known to have no place in any model here: ImageNet's classifier, the auxiliary classifier, and last the
    /// counters of batch norm.
    pub passed_over: Vec<String>,
    /// Taken over although they hold NaN or infinity.
    pub not_finite: Vec<String>,
}

impl LoadReport {
    /// Whether everything fitted.
    pub fn complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.wrong_shape.is_empty()
    }

    /// The numbers, with a word for what became of the tensors that fit.
    pub(super) fn text(&self, fitting: &str) -> String {
        let list = |what: &str, names: &[String]| match names.first() {
            Some(first) => format!(", {} {what} (first: {first})", names.len()),
            None => format!(", 0 {what}"),
        };
        let mut text = format!("{} {fitting}", self.loaded.len());
        text += &list("missing", &self.missing);
        text += &list("unexpected", &self.unexpected);
        text += &match self.wrong_shape.first() {
            Some(WrongShape { name, model, file }) => format!(
                ", {} of another shape (first: {name}, {file:?} in the file, {model:?} in the model)",
                self.wrong_shape.len()
            ),
            None => ", 0 of another shape".into(),
        };
        for (what, names) in [("passed over", &self.passed_over), ("not finite", &self.not_finite)] {
            if !names.is_empty() {
                text += &list(what, names);
            }
        }
        text
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text("loaded"))
    }
}
