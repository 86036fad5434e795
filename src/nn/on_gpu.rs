//! Whole networks as a GPU runs them, with the kernels in the emulator.
#![cfg(test)]

use std::cell::RefCell;

use candle_core::{DType, Device, Tensor};

use super::{Architecture, EncoderKind, Inside, ModelConfig, Pass, Segmenter};
use crate::ops::kernel::cuda::emulated::{LAYOUTS, available, emulate, flat, random};
use crate::ops::{Layout, Precision, Tape};
use crate::random::Random;

fn model(architecture: Architecture, dtype: DType) -> Segmenter {
    let encoder = match architecture {
        Architecture::Segformer => EncoderKind::MitB0,
        _ => EncoderKind::Resnet18,
    };
    let mut config = ModelConfig::new(architecture, encoder, 3);
    config.decoder_channels = if architecture == Architecture::Unet { 64 } else { 16 };
    config.projection.channels = 8;
    config.dropout = 0.3;
    Segmenter::new(&config, 3, &Device::Cpu)
        .unwrap()
        .to_dtype(dtype)
        .unwrap()
}

/// Logits, embedding, the gradients of both by every parameter, the statistics: of a step in training.
fn step(model: &Segmenter, dtype: DType, layout: Layout, precision: Precision) -> Vec<(String, Vec<f64>)> {
    let images = random(&[2, 3, 17, 24], 1).to_dtype(dtype).unwrap();
    let draws = RefCell::new(Random::new(5));
    let tape = Tape::new();
    let pass = Pass {
        layout,
        ..Pass::training(&draws).on(&tape).at(precision)
    };
    let maps = model.maps(&images, &pass).unwrap();
    let logits = model.classify_maps(&maps, Some([17, 24]), &pass).unwrap();
    let embedded = model.project_maps(&maps, &pass).unwrap();
    let weighted = |t: &Tensor, seed| {
        (t * random(t.dims(), seed).to_dtype(t.dtype()).unwrap())
            .unwrap()
            .sum_all()
            .unwrap()
    };
    let loss = (weighted(&logits, 2) + weighted(&embedded, 3)).unwrap();
    let gradients = tape.backward(&loss).unwrap();
    let mut all = vec![("logits".into(), flat(&logits)), ("embedded".into(), flat(&embedded))];
    for p in model.parameters("") {
        let gradient = gradients
            .get(&p.var)
            .unwrap_or_else(|| panic!("{} has no gradient", p.name));
        assert_eq!(
            (gradient.dims(), gradient.dtype()),
            (p.var.dims(), p.var.dtype()),
            "{}",
            p.name
        );
        all.push((p.name, flat(gradient)));
    }
    all.extend(model.buffers().iter().map(|b| (b.name.clone(), flat(&b.var))));
    all
}

/// The largest difference, as a share of the largest number.
fn difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let most = a.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    off / most
}

#[test]
fn a_network_on_a_gpu_is_that_of_the_processor_in_both_layouts() {
    if !available() {
        return;
    }
    // DeepLabV3 and FCN are made of parts of DeepLabV3+
    for (architecture, layouts) in [
        (Architecture::DeepLabV3Plus, &LAYOUTS[..]),
        (Architecture::Unet, &[Layout::ChannelsLast]),
        (Architecture::Segformer, &[Layout::ChannelsFirst]),
    ] {
        let near = step(
            &model(architecture, DType::F64),
            DType::F64,
            Layout::ChannelsFirst,
            Precision::F32,
        );
        for layout in layouts {
            let far = emulate(|| step(&model(architecture, DType::F64), DType::F64, *layout, Precision::F32));
            for ((name, near), (_, far)) in near.iter().zip(&far) {
                let off = difference(near, far);
                assert!(off < 1e-8, "{architecture:?}, {layout:?}, {name}: {off}");
            }
        }
    }
}

/// What a script sees of a step in bf16: types and shapes as ever, numbers near those of f32.
#[test]
fn bf16_on_a_gpu_keeps_to_the_inside_of_a_network() {
    if !available() {
        return;
    }
    let model = model(Architecture::DeepLabV3Plus, DType::F32);
    let images = random(&[1, 3, 33, 24], 1).to_dtype(DType::F32).unwrap();
    let near = model.forward(&images, &Pass::evaluation()).unwrap();
    let pass = Pass::evaluation().at(Precision::Bf16);
    let (far, features, embedded) = emulate(|| {
        let features = model.features(&images, &pass).unwrap();
        let Inside::Map(maps) = model.maps(&images, &pass).unwrap() else {
            panic!("not one of ours")
        };
        assert_eq!((maps.dims(), maps.dtype()), (&[1, 9, 6, 16][..], DType::BF16));
        let far = model.classify(&features, [33, 24], &pass).unwrap();
        (far, features, model.embed(&images, &pass).unwrap())
    });
    assert_eq!((features.dims(), features.dtype()), (&[1, 16, 9, 6][..], DType::F32));
    assert_eq!((embedded.dims(), embedded.dtype()), (&[1, 8, 9, 6][..], DType::F32));
    assert_eq!((far.dims(), far.dtype()), (near.dims(), DType::F32));
    let off = difference(&flat(&near), &flat(&far));
    assert!(off > 1e-6 && off < 3e-2, "{off}");
}
