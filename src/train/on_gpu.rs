//! The loop as a GPU runs it (steps judged and undone by kernels, numbers read later), with the kernels in the emulator.
#![cfg(test)]

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::{Device, Tensor};
use serde_json::json;

use super::event::{Event, Flow, Hooks};
use super::ledger::READ_EVERY;
use super::{Objective, OptimizerConfig, Run, Status, Temperature, TrainConfig};
use crate::data::{Batch, Dataset, ScenesOptions, scenes};
use crate::error::Error;
use crate::loss::PixelContrastOptions;
use crate::nn::{Architecture, EncoderKind, ModelConfig, Pass, Segmenter};
use crate::ops::kernel::cuda::emulated::available;
use crate::ops::{CrossEntropyOptions, cross_entropy};
use crate::session::Session;

fn data() -> Dataset {
    let options = ScenesOptions {
        count: 4,
        size: [32, 48],
        val_count: 1,
        ..ScenesOptions::default()
    };
    scenes(&options).unwrap().train
}

fn model() -> Rc<RefCell<Segmenter>> {
    let mut config = ModelConfig::new(Architecture::DeepLabV3Plus, EncoderKind::Resnet18, 9);
    config.decoder_channels = 16;
    config.projection.channels = 8;
    let model = Segmenter::new(&config, 3, &Device::Cpu).unwrap();
    // the emulator takes its time
    model.freeze("encoder.layer3");
    model.freeze("encoder.layer4");
    Rc::new(RefCell::new(model))
}

fn config(task: TrainConfig, steps: usize, optimizer: serde_json::Value) -> TrainConfig {
    TrainConfig {
        steps: Some(steps),
        batch_size: 2,
        clip: Some(0.5),
        optimizer: serde_json::from_value::<OptimizerConfig>(optimizer).unwrap(),
        ..task
    }
}

/// A run in a folder of its own, by the kernels of a GPU or the processor's.
fn run(config: &TrainConfig, on_gpu: bool) -> (tempfile::TempDir, Run) {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::quiet(folder.path());
    let val = Some(data().take(1, 0).unwrap());
    let mut run = Run::new(&session, model(), data(), val, config).unwrap();
    run.on_gpu = on_gpu;
    (folder, run)
}

/// All numbers of the model, parameters and statistics.
fn numbers(run: &Run) -> Vec<f32> {
    let state = run.model().borrow().state().unwrap();
    let flat = |(_, t): (String, Tensor)| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    state.into_iter().flat_map(flat).collect()
}

fn same(what: &str, a: &Run, b: &Run) {
    let columns = |r: &Run| r.history().columns().iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
    assert_eq!(
        (a.step(), a.status(), columns(a)),
        (b.step(), b.status(), columns(b)),
        "{what}"
    );
    for ((name, a), (_, b)) in a.history().columns().iter().zip(b.history().columns()) {
        assert_eq!(a.len(), b.len(), "{what}: {name}");
        for (a, b) in a.iter().zip(b) {
            let close = (a - b).abs() <= 1e-4 * (1.0 + a.abs()) || a.is_nan() && b.is_nan();
            assert!(close, "{what}: {name}: {a} and {b}");
        }
    }
    for (a, b) in numbers(a).iter().zip(numbers(b)) {
        assert!((a - b).abs() <= 1e-4 * (1.0 + a.abs()), "{what}: {a} and {b}");
    }
}

#[test]
fn numbers_read_later_are_those_of_the_processor() {
    if !available() {
        return;
    }
    let learnt = Objective::PixelContrast {
        options: Box::default(),
        temperature: Temperature::Learnable { min: 0.01, max: 1.0 },
    };
    let finetune = TrainConfig::finetune(CrossEntropyOptions::default());
    let pretrain = TrainConfig {
        objective: learnt,
        ..TrainConfig::pretrain(PixelContrastOptions::default())
    };
    for (what, task, optimizer) in [
        ("finetune", finetune, json!({"lr": 0.02})),
        ("pretrain", pretrain, json!({"name": "adamw", "lr": 0.001})),
    ] {
        let config = TrainConfig {
            eval_every: Some(3),
            ..config(task, 7, optimizer)
        };
        let (_near, mut near) = run(&config, false);
        near.resume(&mut Hooks::default()).unwrap();
        let (_far, mut far) = run(&config, true);
        far.resume(&mut Hooks::default()).unwrap();
        same(what, &near, &far);
        assert!(near.history().last("loss").is_some_and(f64::is_finite));
        // a run that is paused, saved and loaded ends with the same numbers
        let (folder, mut half) = run(&config, true);
        half.advance(4, &mut Hooks::default()).unwrap();
        assert_eq!((half.history().len(), half.status()), (4, Status::Paused));
        let session = half.session().clone(); // its process holds the folder
        let path = folder.path().join(format!("{}/last.safetensors", half.name()));
        let val = Some(data().take(1, 0).unwrap());
        let mut rest = Run::load(&session, &path, Some(data()), val).unwrap();
        rest.on_gpu = true;
        rest.resume(&mut Hooks::default()).unwrap();
        assert!(
            rest.history() == far.history() && numbers(&rest) == numbers(&far),
            "{what}"
        );
    }
}

#[test]
fn a_callback_that_sees_each_step_has_its_numbers_in_time() {
    if !available() {
        return;
    }
    let config = config(
        TrainConfig::finetune(CrossEntropyOptions::default()),
        4,
        json!({"lr": 0.02}),
    );
    let (_folder, mut run) = run(&config, true);
    let before = numbers(&run);
    let mut seen = Vec::new();
    let listener = |event: &Event| {
        seen.push((event.step, event.loss));
        Ok(Flow::SkipBatch)
    };
    let mut hooks = Hooks {
        listener: Some(Box::new(listener)),
        ..Hooks::default()
    };
    run.advance(1, &mut hooks).unwrap();
    drop(hooks);
    assert_eq!(seen, [(0, run.history().column("loss").unwrap()[0])]);
    let parameter = |all: &[f32]| all[..1000].to_vec(); // the first tensor is the stem's weight
    assert_eq!(parameter(&before), parameter(&numbers(&run)));
    let mut epochs = Vec::new();
    let listener = |event: &Event| {
        epochs.push((event.step, event.loss));
        Ok(Flow::Continue)
    };
    let mut hooks = Hooks {
        listener: Some(Box::new(listener)),
        epochs_only: true,
        ..Hooks::default()
    };
    run.resume(&mut hooks).unwrap();
    drop(hooks);
    let losses = run.history().column("loss").unwrap();
    assert_eq!(epochs, [(1, losses[1]), (3, losses[3])]);
}

/// The loss of the third call is not a number; several steps later that is noticed.
#[test]
fn a_loss_that_is_not_finite_undoes_itself_and_all_after_it() {
    if !available() {
        return;
    }
    let config = config(TrainConfig::fit(), 6, json!({"name": "adamw", "lr": 0.001}));
    let train = |run: &mut Run, broken: usize| {
        let model = run.model().clone();
        let calls = RefCell::new(Vec::new());
        let loss = |batches: &[Batch], pass: &Pass, step: usize| {
            let batch = &batches[0];
            calls.borrow_mut().push(step);
            let logits = model.borrow().forward(&batch.images, pass)?;
            let loss = cross_entropy(&logits, &batch.labels, &CrossEntropyOptions::default())?;
            Ok(if step == broken { (loss * f64::NAN)? } else { loss }.into())
        };
        let mut hooks = Hooks {
            loss: Some(Box::new(loss)),
            ..Hooks::default()
        };
        let outcome = run.resume(&mut hooks);
        drop(hooks);
        (outcome, calls.into_inner())
    };
    let (_whole, mut whole) = run(&config, true);
    train(&mut whole, usize::MAX).0.unwrap();
    let (_short, mut short) = run(
        &TrainConfig {
            steps: Some(6),
            ..config.clone()
        },
        false,
    );
    let (error, calls) = train(&mut short, 2);
    assert!(matches!(error, Err(Error::Training(_))) && calls == [0, 1, 2]);

    let (folder, mut found) = run(&config, true);
    let (error, calls) = train(&mut found, 2);
    let text = error.unwrap_err().to_string();
    for part in ["NaN", "step 2", "last.safetensors"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    assert!(READ_EVERY > 6 && calls == [0, 1, 2, 3, 4, 5], "{calls:?}");
    same("before the broken step", &short, &found);
    assert_eq!((found.step(), found.history().len()), (2, 2));
    let session = Session::quiet(folder.path());
    let saved = Run::load(&session, folder.path().join("fit/last.safetensors"), None, None).unwrap();
    assert!(saved.step() == 2 && numbers(&saved) == numbers(&found));

    train(&mut found, usize::MAX).0.unwrap();
    assert!(found.history() == whole.history() && numbers(&found) == numbers(&whole));
}
