//! DINOv2 and its heads against transformers and PyTorch: `tests/golden/vit.safetensors`, made by `make_golden_vit.py`, which says by which
//! formula both sides fill a network.
#![cfg(test)]

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use super::*;
use crate::nn::decoder::{Conventions, Decoder};
use crate::nn::head::Classifier;
use crate::nn::{Architecture, ModelConfig, weights};
use crate::ops::Tape;
use crate::ops::kernel::cuda::emulated::{available, emulate};

/// Element `i` of the tensor of this name: SplitMix64 of FNV-1a(name) + i, as a number in [-1, 1).
fn uniform(name: &str, count: usize) -> Vec<f64> {
    let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let draw = |i: u64| {
        let mut x = hash.wrapping_add(i);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 * 2f64.powi(-52) - 1.0
    };
    (0..count as u64).map(draw).collect()
}

fn filled(name: &str, shape: &[usize], factor: f64, dtype: DType) -> Tensor {
    let values: Vec<f64> = uniform(name, shape.iter().product())
        .iter()
        .map(|u| u * factor)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
        .unwrap()
        .to_dtype(dtype)
        .unwrap()
}

fn fill(slots: &[Arc<Slot>]) {
    for slot in slots {
        let shape = slot.var.dims();
        let value = match shape {
            [_, i, h, w] => filled(&slot.name, shape, (3.0 / (i * h * w) as f64).sqrt(), DType::F64),
            [_, i] => filled(&slot.name, shape, (3.0 / *i as f64).sqrt(), DType::F64),
            _ if slot.name.ends_with("running_var") => (filled(&slot.name, shape, 0.3, DType::F64) + 1.0).unwrap(),
            _ if slot.name.ends_with("weight") => (filled(&slot.name, shape, 0.2, DType::F64) + 1.0).unwrap(),
            _ => filled(&slot.name, shape, 0.1, DType::F64),
        };
        slot.var.set(&value.to_dtype(slot.var.dtype()).unwrap()).unwrap();
    }
}

fn sample(t: &Tensor, count: usize) -> Vec<f64> {
    let flat = t
        .flatten_all()
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap()
        .to_vec1::<f64>()
        .unwrap();
    (0..count).map(|k| flat[k * 7919 % flat.len()]).collect()
}

/// The largest difference, relative to the largest expected value.
fn error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0f64, |m, x| m.max(x.abs()));
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    off.fold(0f64, |m, d| if d.is_nan() { f64::INFINITY } else { m.max(d) }) / largest.max(1e-300)
}

struct Golden {
    tensors: HashMap<String, Tensor>,
    options: HashMap<String, Value>,
}

impl Golden {
    fn read() -> Self {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vit.safetensors");
        let file = weights::read(path, &Device::Cpu).unwrap();
        let options = file.metadata.iter();
        Golden {
            tensors: file.tensors,
            options: options
                .filter_map(|(name, text)| Some((name.clone(), serde_json::from_str(text).ok()?)))
                .collect(),
        }
    }

    fn values(&self, name: &str) -> Vec<f64> {
        self.tensors[name].flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The worst error of a gradient, with its parameter's name.
    fn gradients(&self, case: &str, slots: &[Arc<Slot>], loss: &Tensor, tape: &Tape) -> (f64, String) {
        let gradients = tape.backward(loss).unwrap();
        let rows = self.tensors[&format!("{case}/gradients")].to_vec2::<f64>().unwrap();
        let names = self.options[case]["names"].as_array().unwrap();
        assert_eq!(names.len(), rows.len());
        let most = rows.iter().fold(0f64, |m, row| m.max(row[0]));
        let mut worst = (0.0, String::new());
        for (name, row) in names.iter().zip(&rows) {
            let name = name.as_str().unwrap();
            let slot = slots
                .iter()
                .find(|s| s.name == name)
                .unwrap_or_else(|| panic!("no {name}"));
            assert!(!slot.buffer, "{name} is not trained");
            let gradient = gradients
                .get(&slot.var)
                .unwrap_or_else(|| panic!("{name} has no gradient"));
            let norm = gradient.sqr().unwrap().sum_all().unwrap().to_dtype(DType::F64).unwrap();
            let norm = norm.to_scalar::<f64>().unwrap().sqrt();
            if row[0] < 1e-9 * most {
                // the bias of the keys shifts all scores of a query alike: rounding is all there is
                assert!(norm < 1e-4 * most, "{name}: {norm} should vanish beside {most}");
                continue;
            }
            let found: Vec<f64> = std::iter::once(norm).chain(sample(gradient, 4)).collect();
            let off = error(&found, row);
            if off > worst.0 {
                worst = (off, name.to_string());
            }
        }
        let trained: Vec<&String> = slots.iter().filter(|s| !s.buffer).map(|s| &s.name).collect();
        assert_eq!(trained.len(), names.len(), "{trained:?}");
        worst
    }
}

fn number(options: &Value, key: &str) -> usize {
    options[key].as_u64().unwrap() as usize
}

fn config(options: &Value) -> VitConfig {
    VitConfig {
        name: "a small network",
        width: number(options, "width"),
        heads: number(options, "heads"),
        blocks: [0, 1, 2, 3].map(|i| options["blocks"][i].as_u64().unwrap() as usize),
        registers: number(options, "registers"),
        grid: number(options, "grid"),
        drop_path: 0.0,
    }
}

/// Worst errors of the maps and of the gradients.
fn errors(golden: &Golden, case: &str, dtype: DType) -> (f64, (f64, String)) {
    let options = &golden.options[case];
    let mut builder = Builder::new(None, dtype, &Device::Cpu);
    let vit = Vit::new(&mut builder, "", &config(options)).unwrap();
    let slots: Vec<Arc<Slot>> = builder.finish().unwrap();
    let slots: Vec<Arc<Slot>> = slots
        .iter()
        .map(|s| Arc::new(s.renamed(s.name.trim_start_matches('.').into())))
        .collect();
    fill(&slots);
    let shape = [0, 1, 2, 3].map(|i| options["images"][i].as_u64().unwrap() as usize);
    let tape = Tape::new();
    let mut pass = Pass::evaluation().on(&tape);
    pass.track = true;
    let maps = vit
        .forward(&filled("images", &shape, 2.0, dtype), &pass)
        .unwrap()
        .into_maps();
    let mut worst = 0f64;
    let mut loss: Option<Tensor> = None;
    for (i, map) in maps.iter().enumerate() {
        assert_eq!(
            map.dims(),
            [shape[0], number(options, "width"), shape[2] / 14, shape[3] / 14]
        );
        worst = worst.max(error(&sample(map, 64), &golden.values(&format!("{case}/map{i}"))));
        let part = (map * filled(&format!("cotangent{i}"), map.dims(), 1.0, dtype))
            .unwrap()
            .mean_all()
            .unwrap();
        loss = Some(match loss {
            None => part,
            Some(loss) => (part + loss).unwrap(),
        });
    }
    (worst, golden.gradients(case, &slots, &loss.unwrap(), &tape))
}

/// The small networks of the golden file; `square_518` has 1370 tokens.
const CASES: [&str; 8] = [
    "plain",
    "plain_native",
    "plain_small",
    "registers",
    "registers_small",
    "registers_native",
    "square_224",
    "square_518",
];

#[test]
fn maps_and_gradients_are_those_of_transformers() {
    let golden = Golden::read();
    for case in CASES {
        // transformers interpolates positions in single precision whatever the type
        for (dtype, maps, gradients) in [(DType::F64, 2e-7, 2e-6), (DType::F32, 2e-5, 2e-4)] {
            let (map, (gradient, name)) = errors(&golden, case, dtype);
            assert!(map < maps, "{case} in {dtype:?}: the maps are off by {map}");
            assert!(gradient < gradients, "{case} in {dtype:?}: {name} is off by {gradient}");
        }
    }
}

#[test]
fn a_network_on_a_gpu_is_that_of_transformers() {
    if !available() {
        return;
    }
    let golden = Golden::read();
    for case in ["plain_small", "registers_small"] {
        let (map, (gradient, name)) = emulate(|| errors(&golden, case, DType::F64));
        assert!(map < 2e-7, "{case}: the maps are off by {map}");
        assert!(gradient < 2e-6, "{case}: {name} is off by {gradient}");
    }
}

#[test]
fn the_names_and_shapes_are_those_of_the_published_files() {
    let golden = Golden::read();
    for (name, kind) in Architecture::Linear.encoders() {
        let expected = golden.options["names"][name].as_object().unwrap();
        let mut builder = Builder::new(None, DType::F32, &Device::Cpu);
        Vit::new(&mut builder, "", &VitConfig::of(kind, 0.0).unwrap()).unwrap();
        let slots = builder.finish().unwrap();
        assert_eq!(slots.len(), expected.len(), "{name}");
        for slot in slots {
            let shape = &expected[slot.name.trim_start_matches('.')];
            assert_eq!(serde_json::json!(slot.var.dims()), *shape, "{name}: {}", slot.name);
        }
    }
}

#[test]
fn a_whole_small_network_is_that_of_transformers() {
    let golden = Golden::read();
    let mut builder = Builder::new(None, DType::F32, &Device::Cpu);
    let vit = Vit::new(&mut builder, "", &VitConfig::of(EncoderKind::DinoV2S, 0.0).unwrap()).unwrap();
    let slots = builder.finish().unwrap();
    let bare = |s: &Arc<Slot>| Arc::new(s.renamed(s.name.trim_start_matches('.').into()));
    fill(&slots.iter().map(bare).collect::<Vec<_>>());
    let images = filled("images", &[1, 3, 98, 154], 2.0, DType::F32);
    let maps = vit.forward(&images, &Pass::evaluation()).unwrap().into_maps();
    for (i, map) in maps.iter().enumerate() {
        let off = error(&sample(map, 64), &golden.values(&format!("dinov2_vits14/map{i}")));
        assert!(off < 1e-4, "map {i} is off by {off}");
    }
}

#[test]
fn the_heads_are_those_of_pytorch() {
    let golden = Golden::read();
    for architecture in [Architecture::Dpt, Architecture::Linear] {
        for (dtype, most) in [(DType::F64, 1e-9), (DType::F32, 2e-4)] {
            let case = architecture.name();
            let config = ModelConfig::new(architecture, EncoderKind::DinoV2S, 5);
            let mut builder = Builder::new(None, dtype, &Device::Cpu);
            let decoder = Decoder::new(&mut builder, &config).unwrap();
            let (channels, _) = Decoder::output(&config);
            let conventions = Conventions::of(architecture);
            let classifier = Classifier::new(&mut builder, &conventions, channels, 5).unwrap();
            let slots = builder.finish().unwrap();
            let mut names: Vec<&str> = slots.iter().map(|s| s.name.as_str()).collect();
            names.sort_unstable();
            let state = golden.options[case]["state"].as_array().unwrap();
            let mut expected: Vec<&str> = state.iter().map(|n| n.as_str().unwrap()).collect();
            expected.sort_unstable();
            assert_eq!(names, expected);
            fill(&slots);
            let maps = (0..4)
                .map(|i| filled(&format!("map{i}"), &[2, 384, 3, 4], 2.0, dtype))
                .collect();
            let random = std::cell::RefCell::new(crate::random::Random::new(0));
            let tape = Tape::new();
            let pass = Pass::training(&random).on(&tape);
            let features = decoder
                .forward(&Pyramid::from_maps(maps).unwrap(), [42, 56], &pass)
                .unwrap();
            let logits = classifier.forward(&features, Some([42, 56]), dtype, &pass).unwrap();
            let off = error(&sample(&features, 256), &golden.values(&format!("{case}/features")));
            assert!(off < most, "{case} in {dtype:?}: the features are off by {off}");
            let off = error(&sample(&logits, 256), &golden.values(&format!("{case}/logits")));
            assert!(off < most, "{case} in {dtype:?}: the logits are off by {off}");
            let cotangent = filled("cotangent", logits.dims(), 1.0, dtype);
            let loss = (logits * cotangent).unwrap().mean_all().unwrap();
            let (off, name) = golden.gradients(case, &slots, &loss, &tape);
            assert!(off < 5.0 * most, "{case} in {dtype:?}: {name} is off by {off}");
        }
    }
}

#[test]
fn the_stages_are_the_blocks_and_sides_must_be_multiples_of_the_patch() {
    let golden = Golden::read();
    let mut builder = Builder::new(None, DType::F32, &Device::Cpu);
    let vit = Vit::new(&mut builder, "backbone", &config(&golden.options["plain_small"])).unwrap();
    let slots = builder.finish().unwrap();
    let stages = vit.stage_names("backbone.");
    assert_eq!(stages.len(), 3); // the embeddings and two blocks
    for slot in &slots {
        let found = stages
            .iter()
            .filter(|names| names.iter().any(|n| slot.below(n)))
            .count();
        assert_eq!(found, 1, "{}", slot.name);
    }
    for (size, nearest) in [([98, 150], "98 x 154"), ([5, 14], "14 x 14"), ([21, 20], "28 x 14")] {
        let images = Tensor::zeros(&[1, 3, size[0], size[1]][..], DType::F32, &Device::Cpu).unwrap();
        let text = vit.forward(&images, &Pass::evaluation()).err().unwrap().to_string();
        let found = format!("found images of {} x {}", size[0], size[1]);
        for part in [found.as_str(), &format!("such as {nearest}"), "multiple: 14"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
}
