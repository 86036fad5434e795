//! The whole model.
#![cfg(test)]
use std::cell::RefCell;

use std::collections::HashMap;

use super::*;
use crate::nn::{Architecture, EncoderKind};
use crate::nn::{LoadOptions, weights};
use crate::random::Random;

fn small(architecture: Architecture, classes: usize) -> ModelConfig {
    let (_, encoder) = architecture.encoders()[0];
    let mut config = ModelConfig::new(architecture, encoder, classes);
    if architecture != Architecture::Linear {
        config.decoder_channels = 16;
    }
    config.projection.channels = 8;
    config
}

fn model(classes: usize) -> Segmenter {
    Segmenter::new(&small(Architecture::DeepLabV3Plus, classes), 3, &Device::Cpu).unwrap()
}

fn images(n: usize, h: usize, w: usize) -> Tensor {
    let mut random = Random::new(9);
    let pixels = (0..n * 3 * h * w).map(|_| random.normal() as f32).collect::<Vec<_>>();
    Tensor::from_vec(pixels, (n, 3, h, w), &Device::Cpu).unwrap()
}

fn numbers(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn every_architecture_answers_at_the_size_of_any_image() {
    for (name, architecture) in Architecture::ALL {
        let model = Segmenter::new(&small(architecture, 5), 0, &Device::Cpu).unwrap();
        let sizes = match model.config().unwrap().encoder.multiple() {
            1 => [[32, 48], [33, 17]],
            m => [[m, 2 * m], [2 * m, m]],
        };
        for [h, w] in sizes {
            let pass = Pass::evaluation();
            let logits = model.forward(&images(1, h, w), &pass).unwrap();
            assert_eq!(logits.dims(), [1, 5, h, w], "{name}");
            let embedded = model.embed(&images(1, h, w), &pass).unwrap();
            let norms = numbers(&embedded.sqr().unwrap().sum(1).unwrap());
            assert!(
                embedded.dims()[1] == 8 && norms.iter().all(|n| (n - 1.0).abs() < 1e-5),
                "{name}"
            );
        }
    }
}

#[test]
fn every_decoder_of_maps_of_one_stride_takes_dinov2() {
    for (name, architecture) in Architecture::ALL {
        let kinds = architecture.encoders();
        let Some((_, kind)) = kinds.into_iter().find(|(_, kind)| *kind == EncoderKind::DinoV2S) else {
            assert_eq!(architecture, Architecture::Unet);
            continue;
        };
        let mut config = ModelConfig::new(architecture, kind, 5);
        if architecture != Architecture::Linear {
            config.decoder_channels = 8;
        }
        let model = Segmenter::build(&config, None, None, DType::F32, &Device::Cpu).unwrap();
        let pass = Pass::evaluation();
        let maps = model.encode(&images(1, 28, 42), &pass).unwrap();
        let dims: Vec<&[usize]> = maps.iter().map(Tensor::dims).collect();
        assert_eq!(dims, [[1, 384, 2, 3]; 4], "{name}");
        let logits = model.forward(&images(1, 28, 42), &pass).unwrap();
        assert_eq!(logits.dims(), [1, 5, 28, 42], "{name}");
        let stage = model.stage_name().unwrap();
        assert!(
            model.has_part(&stage) && stage.ends_with("encoder.layer.0"),
            "{name}: {stage}"
        );
        assert!(model.summary().contains("384 x h/14 x w/14"), "{}", model.summary());
    }
}

#[test]
fn a_saved_model_knows_its_architecture_and_answers_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let model = model(4);
    model.save(&path).unwrap();
    let loaded = Segmenter::load(&path, &Device::Cpu).unwrap();
    assert_eq!(loaded.config(), model.config());
    let (x, pass) = (images(1, 32, 32), Pass::evaluation());
    assert_eq!(
        numbers(&model.forward(&x, &pass).unwrap()),
        numbers(&loaded.forward(&x, &pass).unwrap())
    );
    let bare = folder.path().join("bare.safetensors");
    weights::write(&bare, &model.state().unwrap(), &[]).unwrap();
    let text = Segmenter::load(&bare, &Device::Cpu).err().unwrap().to_string();
    assert!(
        text.contains("no model configuration") && text.contains("load_weights"),
        "{text}"
    );
}

#[test]
fn frozen_parameters_get_no_gradient_but_statistics_move() {
    let model = model(4);
    let all = model.parameters("").len();
    let encoder = model.freeze("encoder");
    assert_eq!((encoder, model.parameters("encoder").len()), (60, 0)); // 20 convolutions, 20 batch norms of two
    assert_eq!(model.parameters("").len(), all - 60);
    let before = model.state().unwrap();
    let random = RefCell::new(Random::new(0));
    let logits = model.forward(&images(2, 32, 32), &Pass::training(&random)).unwrap();
    let gradients = logits.sqr().unwrap().mean_all().unwrap().backward().unwrap();
    let after = model.state().unwrap();
    let moved = |name: &str| {
        let at = before.iter().position(|(n, _)| n == name).unwrap();
        numbers(&before[at].1) != numbers(&after[at].1)
    };
    assert!(moved("encoder.bn1.running_mean") && !moved("encoder.bn1.weight"));
    assert!(
        model
            .parameters("decoder")
            .iter()
            .all(|p| gradients.get(&p.var).is_some())
    );
    assert_eq!(model.unfreeze("encoder"), 60);
    let encoder = model.parameters("encoder");
    assert!(encoder.iter().all(|p| gradients.get(&p.var).is_none()));
}

#[test]
fn without_tracking_no_graph_is_kept() {
    let (model, x) = (model(4), images(2, 32, 32));
    assert!(!model.forward(&x, &Pass::evaluation()).unwrap().track_op());
}

#[test]
fn options_of_one_part_do_not_change_the_numbers_of_another() {
    let mut config = small(Architecture::DeepLabV3Plus, 7);
    config.projection.norm = true;
    let (a, mut b) = (model(4), Segmenter::new(&config, 3, &Device::Cpu).unwrap());
    b.new_classifier(4, 3).unwrap();
    assert_eq!(b.classes(), 4);
    let of = |m: &Segmenter| -> HashMap<String, Vec<f32>> {
        m.state()
            .unwrap()
            .iter()
            .map(|(n, t)| (n.clone(), numbers(t)))
            .collect()
    };
    let (a, b) = (of(&a), of(&b));
    assert!(a.iter().all(|(name, values)| b[name] == *values));
}

#[test]
fn a_copy_shares_nothing() {
    let model = model(4);
    let copy = model.copy().unwrap();
    copy.new_numbers();
    let (a, b) = (model.state().unwrap(), copy.state().unwrap());
    assert!(a.iter().zip(&b).all(|((_, a), (_, b))| numbers(a) != numbers(b)));
}

impl Segmenter {
    fn new_numbers(&self) {
        for slot in self.slots() {
            slot.var.set(&(slot.var.as_detached_tensor() + 1.0).unwrap()).unwrap();
        }
    }
}

#[test]
fn impossible_images_are_named() {
    let model = model(4);
    let pass = Pass::evaluation();
    let grey = Tensor::zeros((1, 1, 8, 8), DType::F32, &Device::Cpu).unwrap();
    let text = model.forward(&grey, &pass).unwrap_err().to_string();
    assert!(
        text.contains("[n, 3, height, width]") && text.contains("[1, 1, 8, 8]"),
        "{text}"
    );
    let random = RefCell::new(Random::new(0));
    let text = model
        .forward(&images(1, 32, 32), &Pass::training(&random))
        .unwrap_err()
        .to_string();
    assert!(text.contains("2 images or more"), "{text}");
    let pass = Pass {
        random: None,
        ..Pass::training(&random)
    };
    let text = model.forward(&images(2, 32, 32), &pass).unwrap_err().to_string();
    assert!(text.contains("random state"), "{text}");
}

#[test]
fn real_imagenet_weights_fill_the_first_half_of_a_resnet50() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/weights/resnet50_imagenet_to_layer2.safetensors");
    if !path.exists() {
        return; // development data, not part of the project
    }
    let mut config = small(Architecture::DeepLabV3Plus, 4);
    config.encoder = EncoderKind::Resnet50;
    let model = Segmenter::new(&config, 0, &Device::Cpu).unwrap();
    let file = weights::read(&path, &Device::Cpu).unwrap();
    let options = LoadOptions {
        strict: false,
        ..LoadOptions::default()
    };
    let report = model.load_state(&file.tensors, &options).unwrap();
    assert_eq!(
        (report.loaded.len(), report.unexpected.len(), report.wrong_shape.len()),
        (120, 0, 0)
    );
    assert!(report.missing.iter().any(|n| n == "encoder.layer3.0.conv1.weight"));
    assert!(model.load_state(&file.tensors, &LoadOptions::default()).is_err());
    let (_, bn) = model.state().unwrap().swap_remove(1);
    assert_eq!(numbers(&bn), numbers(&file.tensors["bn1.weight"]));
}

#[test]
fn a_network_that_follows_itself_stays() {
    let model = model(4);
    let before = model.state().unwrap();
    model.follow(&model, 0.5).unwrap();
    let after = model.state().unwrap();
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|((_, a), (_, b))| numbers(a) == numbers(b))
    );
}
