//! Fitting named tensors to the tensors of a model.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use candle_core::Tensor;

use super::decoder::Conventions;
use super::param::Slot;
use crate::error::Result;
use crate::fail;

/// How names of a file become names of the model, and what happens when they do not fit.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Refuse the whole file unless every tensor fits; otherwise take what fits.
    pub strict: bool,
    /// By what the names of file and model differ, with or without the dot at its end: put in front of the file's names, or
    /// taken away where they begin with it, whichever fits more names of the model. `None` finds out whether the encoder's
    /// own prefix fits better than none.
    pub prefix: Option<String>,
    /// (from, to): a name that begins with `from` gets `to` instead; the first pair that fits counts. Before `prefix` is put in
    /// front, after it is taken away.
    pub rename: Vec<(String, String)>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            strict: true,
            prefix: None,
            rename: Vec::new(),
        }
    }
}

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
}

impl LoadReport {
    /// Whether everything fitted.
    pub fn complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.wrong_shape.is_empty()
    }

    /// The numbers, with a word for what became of the tensors that fit.
    fn write(&self, f: &mut fmt::Formatter<'_>, fitting: &str) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, what: &str, names: &[String]| match names.first() {
            Some(first) => write!(f, ", {} {what} (first: {first})", names.len()),
            None => write!(f, ", 0 {what}"),
        };
        write!(f, "{} {fitting}", self.loaded.len())?;
        list(f, "missing", &self.missing)?;
        list(f, "unexpected", &self.unexpected)?;
        match self.wrong_shape.first() {
            Some(w) => write!(
                f,
                ", {} of another shape (first: {}, {:?} in the file, {:?} in the model)",
                self.wrong_shape.len(),
                w.name,
                w.file,
                w.model
            )?,
            None => write!(f, ", 0 of another shape")?,
        }
        match self.passed_over.is_empty() {
            true => Ok(()),
            false => list(f, "passed over", &self.passed_over),
        }
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "loaded")
    }
}

/// A report on what would have been loaded.
struct Refused<'a>(&'a LoadReport);

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, "fit")
    }
}

/// See [`super::Segmenter::load_state`].
pub(super) fn load(
    slots: &[Arc<Slot>],
    conventions: &Conventions,
    map: &HashMap<String, Tensor>,
    options: &LoadOptions,
) -> Result<LoadReport> {
    let ours: HashMap<&str, &Arc<Slot>> = slots.iter().map(|s| (s.name.as_str(), s)).collect();
    let encoder = format!("{}.", conventions.encoder);
    let candidates: Vec<(String, String)> = match options.prefix.as_deref() {
        Some("") => vec![(String::new(), String::new())],
        Some(prefix) => {
            let prefix = format!("{}.", prefix.trim_end_matches('.'));
            vec![
                (String::new(), prefix.clone()),
                (prefix.clone(), String::new()),
                (prefix, encoder),
            ]
        }
        None => vec![(String::new(), String::new()), (String::new(), encoder)],
    };
    let named = |(strip, add): &(String, String)| -> BTreeMap<String, &Tensor> {
        let rest = |n: &str| rename(n.strip_prefix(strip.as_str()).unwrap_or(n), &options.rename);
        map.iter().map(|(n, t)| (format!("{add}{}", rest(n)), t)).collect()
    };
    let mut theirs = BTreeMap::new();
    let mut best = None;
    for candidate in &candidates {
        let names = named(candidate);
        let fitting = names.keys().filter(|n| ours.contains_key(n.as_str())).count();
        if best.is_none_or(|most| fitting > most) {
            (theirs, best) = (names, Some(fitting));
        }
    }

    let mut report = LoadReport::default();
    let mut fitting = Vec::new();
    for slot in slots {
        match theirs.get(&slot.name) {
            Some(tensor) if tensor.dims() == slot.var.dims() => {
                fitting.push((slot, *tensor));
                report.loaded.push(slot.name.clone());
            }
            Some(tensor) => report.wrong_shape.push(WrongShape {
                name: slot.name.clone(),
                model: slot.var.dims().to_vec(),
                file: tensor.dims().to_vec(),
            }),
            None if slot.below("projection") => {}
            None => report.missing.push(slot.name.clone()),
        }
    }
    let strangers = theirs.keys().filter(|name| !ours.contains_key(name.as_str())).cloned();
    (report.passed_over, report.unexpected) = strangers.partition(|name| passed_over(name));
    report.passed_over.sort_by_key(|name| is_counter(name));

    if options.strict {
        refuse(&report, conventions)?;
    }
    for (slot, tensor) in fitting {
        slot.var
            .set(&tensor.to_dtype(slot.var.dtype())?.to_device(slot.var.device())?)?;
    }
    Ok(report)
}

/// An error that names the first misfit, if there is one.
fn refuse(report: &LoadReport, conventions: &Conventions) -> Result<()> {
    if let Some(wrong) = report.wrong_shape.first() {
        let WrongShape { name, model, file } = wrong;
        let advice = match (model.first(), file.first()) {
            (Some(ours), Some(theirs)) if name.starts_with(conventions.classifier) && model[1..] == file[1..] => {
                format!(
                    "the file has {theirs} classes, the model {ours}: call new_classifier({theirs}) first, or load with strict: \
                 false and train the classifier anew"
                )
            }
            _ => "make the model with the options of the file, or load with strict: false to leave it out".to_string(),
        };
        fail!(
            "load_weights: {name} has the shape {file:?} in the file and {model:?} in the model; nothing was loaded; {advice}"
        );
    }
    if !report.complete() {
        fail!(
            "load_weights: nothing was loaded: {}; strict: false takes what fits, rename and prefix change names",
            Refused(report)
        );
    }
    Ok(())
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
fn passed_over(name: &str) -> bool {
    matches!(name, "classifier.weight" | "classifier.bias")
        || is_counter(name)
        || name.rsplit('.').nth(1) == Some("fc")
        || name.starts_with("aux_classifier.")
}

fn is_counter(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::nn::{Architecture, EncoderKind, ModelConfig, Segmenter};

    fn model(classes: usize) -> Segmenter {
        let mut config = ModelConfig::new(Architecture::DeepLabV3Plus, EncoderKind::Resnet18, classes);
        config.decoder_channels = 8;
        config.projection.channels = 4;
        Segmenter::new(&config, 1, &Device::Cpu).unwrap()
    }

    fn map(model: &Segmenter, keep: impl Fn(&str) -> Option<String>) -> HashMap<String, Tensor> {
        let state = model.state().unwrap();
        state.into_iter().filter_map(|(n, t)| Some((keep(&n)?, t))).collect()
    }

    #[test]
    fn bare_torchvision_names_find_their_prefix() {
        let (from, to) = (model(3), model(3));
        let mut file = map(&from, |n| n.strip_prefix("encoder.").map(str::to_string));
        file.insert(
            "fc.weight".into(),
            Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu).unwrap(),
        );
        file.insert(
            "bn1.num_batches_tracked".into(),
            Tensor::new(7i64, &Device::Cpu).unwrap(),
        );
        let options = LoadOptions {
            strict: false,
            ..LoadOptions::default()
        };
        let report = to.load_state(&file, &options).unwrap();
        // ResNet-18: 20 convolutions and 20 batch norms of four tensors
        assert_eq!(report.loaded.len(), 100);
        assert!(report.unexpected.is_empty() && report.wrong_shape.is_empty());
        assert_eq!(
            report.passed_over,
            ["encoder.fc.weight", "encoder.bn1.num_batches_tracked"]
        );
        assert!(
            report.to_string().ends_with("2 passed over (first: encoder.fc.weight)"),
            "{report}"
        );
        assert!(
            report
                .missing
                .iter()
                .all(|n| n.starts_with("decoder.") || n.starts_with("segmentation_head."))
        );
        for prefix in ["encoder", "encoder."] {
            let options = LoadOptions {
                prefix: Some(prefix.into()),
                ..options.clone()
            };
            assert_eq!(to.load_state(&file, &options).unwrap().loaded.len(), 100, "{prefix}");
        }
        let text = to.load_state(&file, &LoadOptions::default()).unwrap_err().to_string();
        assert!(
            text.contains("nothing was loaded: 100 fit, ") && text.contains("first: decoder.aspp.0.convs.0.0.weight"),
            "{text}"
        );
    }

    #[test]
    fn another_number_of_classes_names_tensor_shapes_and_remedy() {
        let (from, to) = (model(21), model(11));
        let before = to.state().unwrap();
        let text = to
            .load_state(&map(&from, |n| Some(n.into())), &LoadOptions::default())
            .unwrap_err()
            .to_string();
        for part in [
            "segmentation_head.0.weight",
            "[21, 8, 1, 1]",
            "[11, 8, 1, 1]",
            "new_classifier(21)",
            "strict: false",
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        for ((_, a), (name, b)) in before.iter().zip(to.state().unwrap()) {
            let difference = (a - b)
                .unwrap()
                .abs()
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
            assert_eq!(difference, 0.0, "{name} changed");
        }
    }

    #[test]
    fn a_missing_projection_is_complete_and_rename_works() {
        let (from, to) = (model(3), model(3));
        let file = map(&from, |n| (!n.starts_with("projection")).then(|| format!("module.{n}")));
        let options = LoadOptions {
            rename: vec![("module.".into(), String::new())],
            ..LoadOptions::default()
        };
        assert!(to.load_state(&file, &options).unwrap().complete());
        let text = to.load_state(&file, &LoadOptions::default()).unwrap_err().to_string();
        assert!(text.contains("unexpected (first: module."), "{text}");
        for prefix in ["module", "module."] {
            let options = LoadOptions {
                prefix: Some(prefix.into()),
                ..LoadOptions::default()
            };
            assert!(to.load_state(&file, &options).unwrap().complete(), "{prefix}");
        }
    }
}
