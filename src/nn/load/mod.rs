//! Fitting named tensors to the tensors of a model.

mod names;
mod report;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use candle_core::Tensor;

use super::decoder::Conventions;
use super::param::Slot;
use super::vit::published;
use crate::error::Result;
use crate::fail;
use crate::ops::reduce::all_finite;
use names::{Change, changes, check_given, is_counter, is_of_a_run, other_names, passed_over};
pub use report::{LoadReport, WrongShape};

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

/// See [`super::Segmenter::load_state`].
pub(super) fn load(
    slots: &[Arc<Slot>],
    conventions: Option<&Conventions>,
    map: &HashMap<String, Tensor>,
    options: &LoadOptions,
) -> Result<LoadReport> {
    let ours: HashMap<&str, &Arc<Slot>> = slots.iter().map(|s| (s.name.as_str(), s)).collect();
    check_given(slots, map, options)?;
    let named = |change: &Change| -> BTreeMap<String, &Tensor> {
        let name = |n: &str| {
            let name = change.apply(n, &options.rename);
            published(&name)
                .filter(|n| ours.contains_key(n.as_str()))
                .unwrap_or(name)
        };
        map.iter().map(|(n, t)| (name(n), t)).collect()
    };
    let mut theirs = BTreeMap::new();
    let mut best = None;
    for change in changes(map, conventions, options) {
        let names = named(&change);
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
            None if conventions.is_some() && slot.below("projection") => {}
            None => report.missing.push(slot.name.clone()),
        }
    }
    let others = theirs.keys().filter(|name| !ours.contains_key(name.as_str())).cloned();
    (report.passed_over, report.unexpected) = others.partition(|name| match conventions {
        Some(_) => passed_over(name),
        None => is_counter(name) || is_of_a_run(name),
    });
    report.passed_over.sort_by_key(|name| is_counter(name));

    if options.strict {
        refuse(&report, conventions, map)?;
    }
    if report.loaded.is_empty() {
        let mut names: Vec<&String> = map.keys().collect();
        names.sort();
        fail!(
            "load_weights: nothing was loaded: none of the {} tensors fits this model ({report}); the file's names begin with {}, \
             the model's with {}; rename and prefix change names{}",
            map.len(),
            names.first().map_or("nothing", |n| n.as_str()),
            slots.first().map_or("nothing", |s| s.name.as_str()),
            other_names(map)
        );
    }
    report.not_finite = not_finite(fitting.iter().map(|(slot, t)| (&slot.name, (*t).clone())))?;
    for (slot, tensor) in fitting {
        slot.var
            .set(&tensor.to_dtype(slot.var.dtype())?.to_device(slot.var.device())?)?;
    }
    Ok(report)
}

/// The names of those that hold NaN or infinity.
pub(super) fn not_finite<'a>(named: impl Iterator<Item = (&'a String, Tensor)>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (name, tensor) in named {
        if !all_finite(&tensor)? {
            found.push(name.clone());
        }
    }
    Ok(found)
}

/// An error that names the first misfit, if there is one.
fn refuse(report: &LoadReport, conventions: Option<&Conventions>, map: &HashMap<String, Tensor>) -> Result<()> {
    if let Some(wrong) = report.wrong_shape.first() {
        let WrongShape { name, model, file } = wrong;
        let advice = match (model.first(), file.first()) {
            (Some(ours), Some(theirs))
                if conventions.is_some_and(|c| name.starts_with(c.classifier)) && model[1..] == file[1..] =>
            {
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
            "load_weights: nothing was loaded: {}; strict: false takes what fits, rename and prefix change names{}",
            report.text("fit"),
            other_names(map)
        );
    }
    Ok(())
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
        assert!(
            to.load_state(&file, &LoadOptions::default()).unwrap().complete(),
            "module. is found"
        );
        for prefix in ["module", "module."] {
            let options = LoadOptions {
                prefix: Some(prefix.into()),
                ..LoadOptions::default()
            };
            assert!(to.load_state(&file, &options).unwrap().complete(), "{prefix}");
        }
    }

    #[test]
    fn beginnings_are_found_and_what_fits_nothing_is_an_error() {
        let (from, to) = (model(3), model(3));
        for start in ["module.", "_orig_mod.", "model.", "module.student."] {
            let file = map(&from, |n| Some(format!("{start}{n}")));
            assert!(
                to.load_state(&file, &LoadOptions::default()).unwrap().complete(),
                "{start}"
            );
        }
        // torchvision's names behind a beginning: the encoder's
        let file = map(&from, |n| n.strip_prefix("encoder.").map(|n| format!("module.{n}")));
        let loose = LoadOptions {
            strict: false,
            ..LoadOptions::default()
        };
        assert_eq!(to.load_state(&file, &loose).unwrap().loaded.len(), 100);
        let strange = map(&from, |n| Some(format!("{n}_of_another_kind")));
        let text = to.load_state(&strange, &loose).unwrap_err().to_string();
        for part in ["nothing was loaded", "encoder.conv1.weight", "_of_another_kind"] {
            assert!(text.contains(part), "{text}");
        }
        let options = LoadOptions {
            prefix: Some("backbone".into()),
            ..loose.clone()
        };
        let text = to.load_state(&file, &options).unwrap_err().to_string();
        assert!(
            text.contains("\"backbone.\"") && text.contains("module.bn1.bias"),
            "{text}"
        );
        let options = LoadOptions {
            rename: vec![("modul.".into(), String::new())],
            ..loose
        };
        let text = to.load_state(&file, &options).unwrap_err().to_string();
        assert!(
            text.contains("\"modul.\"") && text.contains("module.bn1.bias"),
            "{text}"
        );
    }
}
