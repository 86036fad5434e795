//! Choosing samples by a text file.

use std::collections::HashMap;
use std::path::Path;

use super::{Dataset, Missing};
use crate::data::Source;
use crate::error::Result;
use crate::fail_at;
use crate::session::Place;

impl Dataset {
    /// The samples named in a text file, one per line, in the file's order. The first word of a line may be a name (a VOC id,
    /// say), a file name, or a path such as `JPEGImages/2007_000032.jpg` or
    /// `leftImg8bit/train/jena/jena_000078_000019_leftImg8bit.png`; empty lines and lines that start with `#` are passed over.
    pub fn subset(&self, list: impl Into<Place>, missing: Missing) -> Result<Self> {
        let place = list.into();
        let text = place.text("the list of images")?;
        let list = place.path();
        let known: HashMap<String, usize> = (0..self.len()).map(|i| (self.loader.name(i), i)).collect();
        let (mut chosen, mut unknown) = (Vec::new(), Vec::new());
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|l| !l.is_empty() && !l.starts_with('#')) {
            match names_from_line(line).iter().find_map(|name| known.get(name)) {
                Some(&i) => chosen.push(i),
                None => unknown.push(line),
            }
        }
        if missing == Missing::Refuse && !unknown.is_empty() {
            let first = &unknown[..unknown.len().min(3)];
            let example = self
                .sample_name(0)
                .unwrap_or_else(|_| "nothing, the set is empty".into());
            fail_at!(
                list,
                "{} of {} lines name no image of {} ({} images, the first is {example}); first such lines: {}. Use the \
                     list's own data set, or missing: \"skip\" to leave them out",
                unknown.len(),
                unknown.len() + chosen.len(),
                self.name(),
                self.len(),
                first.join(" | ")
            );
        }
        if chosen.is_empty() {
            fail_at!(list, "no line names an image of {}", self.name());
        }
        Ok(self.view(&chosen))
    }
}

/// The names that the first word of a list line may mean, the most literal first.
fn names_from_line(line: &str) -> Vec<String> {
    let word = line.split_whitespace().next().unwrap_or_default();
    let mut names = vec![word.to_string()];
    let path = Path::new(word);
    names.push(path.with_extension("").to_string_lossy().into_owned());
    if let Some(stem) = path.file_stem() {
        let stem = stem.to_string_lossy();
        names.push(stem.trim_end_matches("_leftImg8bit").to_string());
        names.push(stem.into_owned());
    }
    names
}
