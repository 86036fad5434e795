//! Values and gradients of the pixel contrastive losses against `tests/golden/losses.safetensors`, which PyTorch made from the
//! slow, obvious definitions (`make_golden.py`). `SEGLAB_GOLDEN=FOLDER` reads another seed's file.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod devices;
mod tensors;

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use seglab::loss::{PixelContrastInput, PixelContrastOptions, Variant, pixel_contrast};
use seglab::random::Random;
use serde_json::Value;
use tensors::numbers;

struct Golden {
    tensors: HashMap<String, Tensor>,
    options: Vec<(String, Value)>,
}

fn golden() -> Golden {
    let folder = std::env::var("SEGLAB_GOLDEN")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden").to_string());
    let bytes = std::fs::read(format!("{folder}/losses.safetensors")).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().clone().unwrap();
    let cases = metadata.into_iter().filter_map(|(name, text)| {
        let options: Value = serde_json::from_str(&text).ok()?;
        options.is_object().then_some((name, options))
    });
    let mut options: Vec<_> = cases.collect();
    options.sort_by(|a, b| a.0.cmp(&b.0));
    Golden {
        tensors: candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap(),
        options,
    }
}

/// Largest difference relative to the largest wanted number (of the case's size, if all are zero).
fn difference(ours: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(ours.len(), wanted.len());
    let scale = wanted.iter().fold(0.0f64, |m, x| m.max(x.abs())).max(1e-7);
    ours.iter().zip(wanted).fold(0.0f64, |m, (a, b)| {
        m.max(if a.is_finite() { (a - b).abs() } else { f64::MAX })
    }) / scale
}

/// Run all cases in this type; all findings together.
fn compare(dtype: DType, tolerance: f64) {
    let golden = golden();
    let mut findings = Vec::new();
    let mut seen = 0;
    let devices = devices::devices();
    for (device, (case, options)) in devices.iter().flat_map(|d| golden.options.iter().map(move |o| (d, o))) {
        let get = |role: &str| {
            let stored = &golden.tensors[&format!("{case}/{role}")];
            stored.to_device(device).unwrap()
        };
        let var = |role: &str| Var::from_tensor(&get(role).to_dtype(dtype).unwrap()).unwrap();
        let (features, distorted) = (var("features"), var("distorted"));
        let temperature = Var::new(options["temperature"].as_f64().unwrap(), device).unwrap();
        let variant = seglab::error::choose("variant", options["variant"].as_str().unwrap(), &Variant::ALL).unwrap();
        let settings = PixelContrastOptions {
            variant,
            temperature: 1.0, // replaced by the tensor
            base_temperature: options["base_temperature"].as_f64(),
            partners: Some(serde_json::from_value(options["partners"].clone()).unwrap()),
            ignore_label: options["ignore_label"].as_i64().unwrap(),
            ..Default::default()
        };
        let input = PixelContrastInput {
            features: &features,
            // the stored bags hold one view
            distorted: variant.needs_distorted().then_some(&distorted),
            labels: &get("labels"),
            predictions: None,
            temperature: Some(&temperature),
            memory: None,
            random: &mut Random::new(0),
        };
        let out = pixel_contrast(input, &settings).unwrap();
        let gradients = out.loss.backward().unwrap();
        let gradient = |v: &Var| gradients.get(v).map_or(vec![0.0; v.elem_count()], numbers);
        for (role, ours) in [
            ("out", numbers(&out.loss)),
            ("grad_features", gradient(&features)),
            ("grad_distorted", gradient(&distorted)),
            ("grad_temperature", gradient(&temperature)),
        ] {
            let off = difference(&ours, &numbers(&get(role)));
            if off > tolerance {
                findings.push(format!("{case}/{role} on {device:?}: relative difference {off:.2e}"));
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 42 * devices.len());
    assert!(
        findings.is_empty(),
        "{dtype:?}, tolerance {tolerance}:\n{}",
        findings.join("\n")
    );
}

#[test]
fn all_cases_in_f32() {
    compare(DType::F32, 1e-4);
}

#[test]
fn all_cases_in_f64() {
    compare(DType::F64, 1e-6);
}
