//! How the names in a file become those of a model.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use candle_core::Tensor;

use super::LoadOptions;
use crate::error::Result;
use crate::fail;
use crate::nn::decoder::Conventions;
use crate::nn::param::Slot;

/// How a name of the file becomes one of the model, beside the renaming.
pub(super) struct Change {
    strip: String,
    add: String,
}

impl Change {
    pub(super) fn apply(&self, name: &str, renames: &[(String, String)]) -> String {
        let rest = name.strip_prefix(self.strip.as_str()).unwrap_or(name);
        format!("{}{}", self.add, rename(rest, renames))
    }
}

/// The changes that are tried, those of fewer letters first.
pub(super) fn changes(
    map: &HashMap<String, Tensor>,
    conventions: Option<&Conventions>,
    options: &LoadOptions,
) -> Vec<Change> {
    let encoder = conventions.map(|c| format!("{}.", c.encoder)).unwrap_or_default();
    let change = |strip: &str, add: &str| Change {
        strip: strip.into(),
        add: add.into(),
    };
    match options.prefix.as_deref() {
        Some("") => vec![change("", "")],
        Some(prefix) => {
            let prefix = format!("{}.", prefix.trim_end_matches('.'));
            vec![change("", &prefix), change(&prefix, ""), change(&prefix, &encoder)]
        }
        None => std::iter::once(String::new())
            .chain(beginnings(map))
            .flat_map(|strip| [change(&strip, ""), change(&strip, &encoder)])
            .collect(),
    }
}

/// The beginnings, of one or two words, that most names of a file have: `module.` of a network trained on several GPUs.
fn beginnings(map: &HashMap<String, Tensor>) -> Vec<String> {
    const TRIED: usize = 6;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in map.keys() {
        for (end, _) in name.match_indices('.').take(2) {
            *counts.entry(&name[..=end]).or_default() += 1;
        }
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
        .into_iter()
        .take(TRIED)
        .map(|(start, _)| start.to_string())
        .collect()
}

/// Refuse a renaming or a prefix that no name asks for: it is misspelt.
pub(super) fn check_given(slots: &[Arc<Slot>], map: &HashMap<String, Tensor>, options: &LoadOptions) -> Result<()> {
    let first = map.keys().min().map_or("nothing", |n| n.as_str());
    let strip = options
        .prefix
        .as_deref()
        .map(|p| format!("{}.", p.trim_end_matches('.')));
    if let Some(prefix) = strip.as_deref().filter(|prefix| *prefix != ".") {
        let theirs = map.keys().any(|name| name.starts_with(prefix));
        let ours = slots.iter().any(|slot| slot.name.starts_with(prefix));
        if !theirs && !ours {
            fail!(
                "load_weights: prefix: no name in the file begins with \"{prefix}\" (the first is {first}), nor does one of the model's \
                 (the first is {}); nothing was loaded",
                slots.first().map_or("nothing", |s| s.name.as_str())
            );
        }
    }
    for (from, _) in &options.rename {
        let fits = |name: &String| {
            let rest = strip.as_deref().and_then(|s| name.strip_prefix(s));
            name.starts_with(from.as_str()) || rest.is_some_and(|rest| rest.starts_with(from.as_str()))
        };
        // Behind a beginning that is found and taken away by itself, too.
        let behind = |name: &String| {
            name.match_indices('.')
                .take(2)
                .any(|(end, _)| name[end + 1..].starts_with(from.as_str()))
        };
        if !map.keys().any(|name| fits(name) || behind(name)) {
            fail!(
                "load_weights: rename: no name in the file begins with \"{from}\" (the first is {first}); nothing was loaded"
            );
        }
    }
    Ok(())
}

/// Where to look for a file whose names fit, if these are names that some other program has for the same network.
pub(super) fn other_names(map: &HashMap<String, Tensor>) -> &'static str {
    if map.keys().any(|name| name.contains(".attn.qkv.")) {
        "; these are the names of timm and of DINOv2's own files: take model.safetensors of Hugging Face's facebook/dinov2-small (-base, \
         -large, -with-registers-small, ..)"
    } else {
        ""
    }
}

fn rename(name: &str, pairs: &[(String, String)]) -> String {
    let fitting = pairs
        .iter()
        .find_map(|(from, to)| Some((to, name.strip_prefix(from.as_str())?)));
    match fitting {
        Some((to, rest)) => format!("{to}{rest}"),
        None => name.to_string(),
    }
}

/// Tensors of other programs that have no place here: batch norm's counter (PyTorch), ImageNet's classifier (`fc` in torchvision,
/// `classifier` in Hugging Face's) and the auxiliary classifier (torchvision).
pub(super) fn passed_over(name: &str) -> bool {
    matches!(name, "classifier.weight" | "classifier.bias")
        || is_counter(name)
        || is_of_a_run(name)
        || name.rsplit('.').nth(1) == Some("fc")
        || name.starts_with("aux_classifier.")
}

/// What the checkpoint of a training holds beside its network: history, averages, the optimiser's state.
pub(super) fn is_of_a_run(name: &str) -> bool {
    name.starts_with("run.")
}

pub(super) fn is_counter(name: &str) -> bool {
    name == "num_batches_tracked" || name.ends_with(".num_batches_tracked")
}
