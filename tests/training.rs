//! The loop as a whole: it learns, it repeats itself, it can be interrupted anywhere without changing its result.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use candle_core::{Device, Tensor};
use seglab::data::{Augment, Dataset, ScenesOptions, scenes};
use seglab::error::Error;
use seglab::loss::pixel_contrast::MemoryOptions;
use seglab::loss::{PixelContrastOptions, Sampling};
use seglab::nn::{Architecture, EncoderKind, ModelConfig, Pass, Segmenter};
use seglab::ops::{CrossEntropyOptions, Precision, cross_entropy};
use seglab::session::Session;
use seglab::train::evaluate::{EvalOptions, predict, segmentation};
use seglab::train::{
    Flow, Hooks, Moment, Objective, OptimizerConfig, Run, Schedule, Shape, Status, Temperature, TrainConfig,
};
use serde_json::json;

const SIZE: [usize; 2] = [32, 48];

fn data(count: usize) -> Dataset {
    data_of(count, SIZE)
}

fn data_of(count: usize, size: [usize; 2]) -> Dataset {
    let options = ScenesOptions {
        count,
        size,
        val_count: 2,
        ..ScenesOptions::default()
    };
    scenes(&options).unwrap().train
}

fn model(seed: u64) -> Rc<RefCell<Segmenter>> {
    model_with(seed, 32, 0.5)
}

fn model_with(seed: u64, decoder_channels: usize, dropout: f64) -> Rc<RefCell<Segmenter>> {
    let mut config = ModelConfig::new(Architecture::DeepLabV3Plus, EncoderKind::Resnet18, 9);
    config.decoder_channels = decoder_channels;
    config.dropout = dropout;
    config.projection.channels = 16;
    Rc::new(RefCell::new(Segmenter::new(&config, seed, &Device::Cpu).unwrap()))
}

fn finetune(steps: usize) -> TrainConfig {
    TrainConfig {
        steps: Some(steps),
        batch_size: 2,
        augment: Some(Augment {
            scale: Some([0.75, 1.5]),
            crop: Some(SIZE),
            flip: 0.5,
        }),
        optimizer: OptimizerConfig {
            lr: Some(0.1 / 3.0),
            ..OptimizerConfig::default()
        },
        ..TrainConfig::finetune(CrossEntropyOptions::default())
    }
}

fn pretrain(steps: usize) -> TrainConfig {
    TrainConfig {
        steps: Some(steps),
        batch_size: 2,
        ..TrainConfig::pretrain(PixelContrastOptions::default())
    }
}

/// Values of every tensor of a model.
fn numbers(run: &Run) -> HashMap<String, Vec<f32>> {
    let state = run.model().borrow().state().unwrap();
    let values = |t: Tensor| t.flatten_all().unwrap().to_vec1().unwrap();
    state.into_iter().map(|(n, t)| (n, values(t))).collect()
}

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Folder {
            folder: tempfile::tempdir().unwrap(),
        }
    }
    fn session(&self) -> Session {
        Session::quiet(self.folder.path())
    }
    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

#[test]
fn four_images_are_overfitted() {
    let folder = Folder::new();
    let data = data_of(4, [64, 96]);
    let config = TrainConfig {
        batch_size: 4,
        augment: None,
        optimizer: OptimizerConfig {
            lr: Some(0.1),
            ..OptimizerConfig::default()
        },
        ..finetune(150)
    };
    let session = folder.session();
    let mut run = Run::new(&session, model_with(0, 64, 0.0), data.clone(), None, &config).unwrap();
    run.resume(&mut Hooks::default()).unwrap();
    let score = segmentation(&session, &run.model().borrow(), &data, &EvalOptions::default()).unwrap();
    assert!(score.pixel_accuracy() > 0.95, "{}", score.table());

    // The other protocols agree with the plain one on pictures that the network knows by heart.
    let other = EvalOptions {
        flip: true,
        scales: vec![1.0, 1.25],
        window: Some([64, 64]),
        batch_size: 3,
    };
    let other = segmentation(&session, &run.model().borrow(), &data, &other).unwrap();
    assert!(other.pixel_accuracy() > 0.6, "{}", other.table());
    assert!(other.table().contains("scales 1 1.25, flip yes, window 64x64"));

    // One image: the same labels as the largest logit of the whole network.
    let sample = data.get(0).unwrap();
    let image = seglab::data::image_tensor(&sample).unwrap();
    let found = predict(&session, &run.model().borrow(), &image, &EvalOptions::default()).unwrap();
    let images = seglab::data::normalise_colours(&image).unwrap().unsqueeze(0).unwrap();
    let logits = run.model().borrow().forward(&images, &Pass::evaluation()).unwrap();
    let expected = logits
        .argmax(1)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1::<u32>()
        .unwrap();
    let found = found.flatten_all().unwrap().to_vec1::<u8>().unwrap();
    let same = found
        .iter()
        .zip(&expected)
        .filter(|(a, b)| u32::from(**a) == **b)
        .count();
    assert!(same as f64 > 0.999 * found.len() as f64, "{same} of {}", found.len());
}

/// Two runs with the same seed; then one that is advanced, saved, loaded in another session and resumed.
fn repeats_and_continues(config: &TrainConfig) {
    let data = data(5);
    let new = |folder: &Folder| {
        Run::new(
            &folder.session(),
            model(3),
            data.clone(),
            Some(data.take(2, 0).unwrap()),
            config,
        )
        .unwrap()
    };
    let folders = [(); 3].map(|()| Folder::new());
    let mut whole = new(&folders[0]);
    whole.resume(&mut Hooks::default()).unwrap();
    assert_eq!(whole.status(), Status::Done);
    let mut again = new(&folders[1]);
    again.resume(&mut Hooks::default()).unwrap();
    assert!(
        whole.history() == again.history(),
        "{}\n{}",
        whole.history().csv(),
        again.history().csv()
    );

    let mut first = new(&folders[2]);
    first.advance(3, &mut Hooks::default()).unwrap();
    assert_eq!((first.status(), first.step()), (Status::Paused, 3));
    let path = folders[2].file("half.safetensors");
    first.save(&path).unwrap();
    drop(first);
    let other = Folder::new();
    let val = Some(data.take(2, 0).unwrap());
    let mut second = Run::load(&other.session(), &path, Some(data.clone()), val).unwrap();
    second.resume(&mut Hooks::default()).unwrap();
    assert!(
        whole.history() == second.history(),
        "{}\n{}",
        whole.history().csv(),
        second.history().csv()
    );
    let (a, b) = (numbers(&whole), numbers(&second));
    assert_eq!(a.len(), b.len());
    for (name, values) in &a {
        assert!(values == &b[name], "{name} differs after resuming");
    }
    let name = whole.name();
    let csv = |folder: &Folder| std::fs::read(folder.file(&format!("{name}/history.csv"))).unwrap();
    assert_eq!(csv(&folders[0]), csv(&folders[1]));
    assert_eq!(csv(&folders[0]), csv(&other));
}

#[test]
fn finetuning_repeats_and_continues_bit_for_bit() {
    repeats_and_continues(&TrainConfig {
        eval_every: Some(2),
        clip: Some(1.0),
        ..finetune(6)
    });
}

#[test]
fn bf16_repeats_and_continues_bit_for_bit() {
    let rounded = |config: TrainConfig| TrainConfig {
        precision: Precision::Bf16,
        ..config
    };
    repeats_and_continues(&rounded(finetune(6)));
    let (folder, data) = (Folder::new(), data(4));
    let loss = |config: &TrainConfig| {
        let mut run = Run::new(&folder.session(), model(1), data.clone(), None, config).unwrap();
        run.resume(&mut Hooks::default()).unwrap();
        run.loss()
    };
    let (exact, close) = (loss(&finetune(1)), loss(&rounded(finetune(1))));
    assert!(exact != close && (exact / close - 1.0).abs() < 2e-2, "{exact} {close}");
}

#[test]
fn adamw_repeats_and_continues_bit_for_bit() {
    let mut config = finetune(5);
    config.optimizer = serde_json::from_value(json!({"name": "adamw", "groups": {"segmentation_head": 10}})).unwrap();
    repeats_and_continues(&config);
}

#[test]
fn pretraining_repeats_and_continues_bit_for_bit() {
    let mut config = pretrain(5);
    config.objective = Objective::PixelContrast {
        options: Box::new(PixelContrastOptions {
            sampling: Sampling::Uniform,
            max_anchors: Some(20),
            memory: Some(MemoryOptions {
                per_class: 8,
                per_batch: 3,
                warm_up: 1,
                momentum_encoder: None,
            }),
            ..PixelContrastOptions::default()
        }),
        temperature: Temperature::Learnable { min: 0.01, max: 1.0 },
    };
    repeats_and_continues(&config);
}

fn pretrain_with_memory(steps: usize, momentum_encoder: Option<f64>) -> TrainConfig {
    let mut config = pretrain(steps);
    config.objective = Objective::PixelContrast {
        options: Box::new(PixelContrastOptions {
            memory: Some(MemoryOptions {
                per_class: 8,
                per_batch: 3,
                warm_up: 1,
                momentum_encoder,
            }),
            ..PixelContrastOptions::default()
        }),
        temperature: Temperature::Fixed,
    };
    config
}

#[test]
fn a_momentum_encoder_repeats_and_continues_bit_for_bit() {
    repeats_and_continues(&pretrain_with_memory(6, Some(0.9)));
}

#[test]
fn a_momentum_encoder_follows_by_its_momentum_and_its_features_are_stored() {
    // The momentum of the first two updates: 0.4, or that of the start, 1 - 1/2 and 1 - 1/3.
    for (momentum, used) in [(0.4, [0.4, 0.4]), (0.999, [0.5, 2.0 / 3.0])] {
        let folder = Folder::new();
        let config = pretrain_with_memory(2, Some(momentum));
        let mut run = Run::new(&folder.session(), model(3), data(4), None, &config).unwrap();
        let path = folder.file("whole.safetensors");
        let mut expected = numbers(&run);
        for keep in used {
            run.advance(1, &mut Hooks::default()).unwrap();
            run.save(&path).unwrap();
            let saved = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
            for (name, now) in numbers(&run) {
                let average = expected.get_mut(&name).unwrap();
                for (a, b) in average.iter_mut().zip(now) {
                    *a = (keep * f64::from(*a) + (1.0 - keep) * f64::from(b)) as f32;
                }
                let stored: Vec<f32> = saved[&format!("run.average.{name}")]
                    .flatten_all()
                    .unwrap()
                    .to_vec1()
                    .unwrap();
                let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
                assert!(stored.iter().zip(&*average).all(near), "{name} with {momentum}");
            }
        }
    }
    let keys = |momentum| {
        let folder = Folder::new();
        let config = pretrain_with_memory(2, momentum);
        let mut run = Run::new(&folder.session(), model(3), data(4), None, &config).unwrap();
        run.resume(&mut Hooks::default()).unwrap();
        let path = folder.file("whole.safetensors");
        run.save(&path).unwrap();
        let saved = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        saved["run.memory.keys.0"]
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()
    };
    let (own, averaged) = (keys(None), keys(Some(0.4)));
    assert!(own.len() == averaged.len() && own != averaged);
}

#[test]
fn each_task_trains_its_own_part() {
    let folder = Folder::new();
    let session = folder.session();
    let mut run = Run::new(&session, model(0), data(4), None, &pretrain(2)).unwrap();
    let before = numbers(&run);
    run.resume(&mut Hooks::default()).unwrap();
    let after = numbers(&run);
    assert_eq!(
        before["segmentation_head.0.weight"],
        after["segmentation_head.0.weight"]
    );
    assert_ne!(before["projection.conv1.weight"], after["projection.conv1.weight"]);
    assert_ne!(before["encoder.conv1.weight"], after["encoder.conv1.weight"]);
    assert_ne!(before["encoder.bn1.running_mean"], after["encoder.bn1.running_mean"]);

    run.model().borrow().freeze("encoder.layer1");
    let mut second = Run::new(&session, run.model().clone(), data(4), None, &finetune(2)).unwrap();
    second.resume(&mut Hooks::default()).unwrap();
    let last = numbers(&second);
    assert_eq!(last["projection.conv1.weight"], after["projection.conv1.weight"]);
    assert_eq!(
        last["encoder.layer1.0.conv1.weight"],
        after["encoder.layer1.0.conv1.weight"]
    );
    assert_ne!(last["segmentation_head.0.weight"], after["segmentation_head.0.weight"]);
    assert_eq!((run.name(), second.name()), ("pretrain", "finetune"));
    assert!(session.warnings().is_empty(), "{:?}", session.warnings());
}

#[test]
fn a_cancelled_run_pauses_with_a_checkpoint_and_goes_on() {
    let folder = Folder::new();
    let session = folder.session();
    let mut run = Run::new(&session, model(0), data(4), None, &finetune(4)).unwrap();
    let flag = session.cancel_flag();
    let cancel = |event: &seglab::train::Event| {
        if event.step == 1 {
            flag.store(true, Ordering::Relaxed);
        }
        Ok(Flow::Continue)
    };
    let mut hooks = Hooks {
        listener: Some(Box::new(cancel)),
        ..Hooks::default()
    };
    run.resume(&mut hooks).unwrap();
    assert_eq!((run.status(), run.step()), (Status::Paused, 2));
    session.clear_cancel();
    let path = folder.file("finetune/last.safetensors");
    assert_eq!(Run::load(&session, &path, None, None).unwrap().step(), 2);
    assert!(Segmenter::load(&path, &Device::Cpu).is_ok());
    run.resume(&mut Hooks::default()).unwrap();
    assert_eq!((run.status(), run.step()), (Status::Done, 4));
}

#[test]
fn a_score_that_was_interrupted_is_measured_when_the_run_goes_on() {
    let config = TrainConfig {
        eval_every: Some(2),
        ..finetune(4)
    };
    let new = |folder: &Folder| {
        let val = Some(data(4).take(2, 0).unwrap());
        Run::new(&folder.session(), model(0), data(4), val, &config).unwrap()
    };
    let folder = Folder::new();
    let mut whole = new(&folder);
    whole.resume(&mut Hooks::default()).unwrap();
    // the flag is raised in a step after which the evaluation is due, in the middle and at the end
    for at in [1, 3] {
        let folder = Folder::new();
        let mut run = new(&folder);
        let flag = run.session().cancel_flag();
        let cancel = |event: &seglab::train::Event| {
            flag.store(event.step == at, Ordering::Relaxed);
            Ok(Flow::Continue)
        };
        let mut hooks = Hooks {
            listener: Some(Box::new(cancel)),
            ..Hooks::default()
        };
        run.resume(&mut hooks).unwrap();
        assert_eq!((run.status(), run.step()), (Status::Paused, at + 1));
        drop(run);
        let path = folder.file("finetune/last.safetensors");
        let val = Some(data(4).take(2, 0).unwrap());
        let mut run = Run::load(&folder.session(), &path, Some(data(4)), val).unwrap();
        run.resume(&mut Hooks::default()).unwrap();
        assert_eq!(run.status(), Status::Done);
        assert!(
            run.history() == whole.history(),
            "{}\n{}",
            run.history().csv(),
            whole.history().csv()
        );
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_before_the_update() {
    let folder = Folder::new();
    let session = folder.session();
    let model = model(0);
    let config = TrainConfig {
        optimizer: OptimizerConfig {
            lr: Some(0.05),
            ..OptimizerConfig::default()
        },
        schedule: Schedule::new(Shape::Constant),
        steps: Some(5),
        batch_size: 2,
        ..TrainConfig::fit()
    };
    let mut run = Run::new(&session, model.clone(), data(4), None, &config).unwrap();
    let mut calls = 0;
    let snapshot = RefCell::new(None);
    let loss = |batches: &[seglab::data::Batch], pass: &Pass, _: usize| {
        let batch = &batches[0];
        calls += 1;
        if calls == 3 {
            *snapshot.borrow_mut() = Some(model.borrow().copy()?.state()?);
        }
        let logits = model.borrow().forward(&batch.images, pass)?;
        let loss = cross_entropy(&logits, &batch.labels, &CrossEntropyOptions::default())?;
        Ok(if calls == 3 { (loss * f64::NAN)? } else { loss }.into())
    };
    let mut hooks = Hooks {
        loss: Some(Box::new(loss)),
        ..Hooks::default()
    };
    let error = run.resume(&mut hooks).unwrap_err();
    assert!(matches!(error, Error::Training(_)));
    let text = error.to_string();
    for part in ["NaN", "step 2", "5.000e-2", "last.safetensors"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert_eq!((run.status(), run.step()), (Status::Stopped, 2));
    let now = numbers(&run);
    for (name, tensor) in snapshot.borrow().as_ref().unwrap() {
        let before: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        assert!(before == now[name], "{name} moved");
    }
    let saved = Run::load(&session, folder.file("fit/last.safetensors"), None, None).unwrap();
    assert!(numbers(&saved) == now);
}

#[test]
fn listeners_skip_and_stop_and_see_epochs() {
    let folder = Folder::new();
    let mut run = Run::new(&folder.session(), model(0), data(4), None, &finetune(6)).unwrap();
    let before = numbers(&run);
    let mut seen = Vec::new();
    let listener = |event: &seglab::train::Event| {
        seen.push((event.moment, event.step, event.epoch));
        Ok(match (event.moment, event.step) {
            (Moment::Step, 0) => Flow::SkipBatch,
            (Moment::Epoch, _) => Flow::Stop,
            _ => Flow::Continue,
        })
    };
    let mut hooks = Hooks {
        listener: Some(Box::new(listener)),
        ..Hooks::default()
    };
    run.advance(1, &mut hooks).unwrap();
    let name = "segmentation_head.0.weight";
    assert_eq!(before[name], numbers(&run)[name]);
    run.resume(&mut hooks).unwrap();
    assert_eq!((run.status(), run.step()), (Status::Stopped, 2));
    drop(hooks);
    assert_ne!(before[name], numbers(&run)[name]);
    // Four images in batches of two: an epoch is two steps.
    assert_eq!(
        seen,
        [(Moment::Step, 0, 0), (Moment::Step, 1, 0), (Moment::Epoch, 1, 0)]
    );
}

#[test]
fn changes_are_checked_and_recorded() {
    let folder = Folder::new();
    let mut run = Run::new(&folder.session(), model(0), data(4), None, &finetune(3)).unwrap();
    run.advance(1, &mut Hooks::default()).unwrap();
    run.set("lr", &json!(0.5)).unwrap();
    run.advance(1, &mut Hooks::default()).unwrap();
    let lr = run.history().column("lr").unwrap();
    assert!((lr[1] - 0.5 * (2.0f64 / 3.0).powf(0.9)).abs() < 1e-12, "{lr:?}");
    let text = std::fs::read_to_string(folder.file("finetune/config.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(record["changes"], json!([{"step": 1, "name": "lr", "value": 0.5}]));
    assert_eq!(record["training"]["optimizer"]["momentum"], json!(0.9));
    assert_eq!(record["training"]["steps"], json!(3));
    assert!(
        run.set("lrr", &json!(1))
            .unwrap_err()
            .to_string()
            .contains("did you mean lr?")
    );
    assert!(run.set("temperature", &json!(1)).is_err());
    assert!(run.set("lr", &json!("fast")).is_err());
    run.advance(3, &mut Hooks::default()).unwrap();
    assert_eq!((run.step(), run.steps(), run.status()), (5, 5, Status::Done));
}

#[test]
fn mistakes_are_refused_before_the_first_step() {
    let folder = Folder::new();
    let session = folder.session();
    let refused = |config: TrainConfig| {
        Run::new(&session, model(0), data(2), None, &config)
            .err()
            .unwrap()
            .to_string()
    };
    let mut config = finetune(3);
    config.epochs = Some(2);
    assert!(refused(config).contains("not both"));
    let mut config = finetune(3);
    config.steps = None;
    assert!(refused(config).contains("steps: 400"));
    let mut config = finetune(3);
    config.batch_size = 0;
    assert!(refused(config).contains("batch_size is 0"));
    let mut wrong = ModelConfig::new(Architecture::DeepLabV3Plus, EncoderKind::Resnet18, 5);
    wrong.decoder_channels = 16;
    let wrong = Rc::new(RefCell::new(Segmenter::new(&wrong, 0, &Device::Cpu).unwrap()));
    let text = Run::new(&session, wrong, data(2), None, &finetune(1))
        .err()
        .unwrap()
        .to_string();
    assert!(
        text.contains("5 classes") && text.contains("new_classifier(9)"),
        "{text}"
    );
    let blocked = Session::quiet("Cargo.toml/runs");
    let text = Run::new(&blocked, model(0), data(2), None, &finetune(1))
        .unwrap()
        .resume(&mut Hooks::default());
    assert!(text.unwrap_err().to_string().contains("Cargo.toml/runs"));
}
