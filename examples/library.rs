//! seglab as a library: a training loop without scripts, then a script that sees what Rust has made.
//!
//! `cargo run --release --example library`

use std::cell::RefCell;
use std::error::Error;
use std::io::Write;
use std::rc::Rc;

use candle_core::Device;
use seglab::data::{ScenesOptions, scenes};
use seglab::nn::{Architecture, EncoderKind, ModelConfig, Segmenter};
use seglab::ops::CrossEntropyOptions;
use seglab::script::{Interpreter, Scope};
use seglab::session::Session;
use seglab::train::evaluate::{EvalOptions, segmentation};
use seglab::train::{Hooks, Run, TrainConfig};

fn main() -> Result<(), Box<dyn Error>> {
    writeln!(std::io::stdout(), "{}", train_and_look()?)?;
    Ok(())
}

/// Train a small network for a few steps, score it, and return what a script says of it.
pub fn train_and_look() -> Result<String, Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("seglab-library-{}", std::process::id()));
    let session = Session::quiet(&folder);
    let splits = scenes(&ScenesOptions {
        count: 8,
        size: [32, 48],
        val_count: 2,
        ..ScenesOptions::default()
    })?;

    let mut config = ModelConfig::new(
        Architecture::DeepLabV3Plus,
        EncoderKind::Resnet18,
        splits.train.classes(),
    );
    config.decoder_channels = 16;
    let model = Rc::new(RefCell::new(Segmenter::new(&config, 0, &Device::Cpu)?));

    let config = TrainConfig {
        steps: Some(5),
        batch_size: 4,
        ..TrainConfig::finetune(CrossEntropyOptions::default())
    };
    let mut run = Run::new(&session, model.clone(), splits.train, None, &config)?;
    run.resume(&mut Hooks::default())?;
    let score = segmentation(&session, &model.borrow(), &splits.val, &EvalOptions::default())?;

    let interpreter = Interpreter::new(session.clone());
    let mut scope = Scope::new();
    scope.push("loss", run.loss());
    scope.push("miou", score.miou());
    let _ = interpreter
        .run("library", "print(`loss ${loss}, mIoU ${miou}`)", &mut scope)
        .map_err(|report| report.render(false))?;
    std::fs::remove_dir_all(folder)?;

    Ok(session.captured())
}
