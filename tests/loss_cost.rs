//! What the pixel contrastive loss costs in time and memory. Measurements, not checks of correctness: run by hand with
//! `cargo test --release --test loss_cost -- --ignored --nocapture --test-threads 1 NAME`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement prints, and may stop at the first surprise"
)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use candle_core::{DType, Device, Tensor, Var};
use seglab::allocator::{MiMalloc, keep_freed_memory};
use seglab::data::{ScenesOptions, scenes};
use seglab::loss::{PixelContrastInput, PixelContrastOptions, Variant, pixel_contrast};
use seglab::nn::{Architecture, EncoderKind, ModelConfig, Segmenter};
use seglab::random::Random;
use seglab::session::Session;
use seglab::train::{Hooks, Run, TrainConfig};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

struct Batch {
    features: Var,
    distorted: Var,
    labels: Tensor,
}

/// `images` maps of `height x width` pixels, random features, 19 random classes.
fn batch(images: usize, dim: usize, height: usize, width: usize) -> Batch {
    let shape = (images, dim, height, width);
    let map = || Var::from_tensor(&Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap()).unwrap();
    let mut random = Random::new(0);
    let labels: Vec<i64> = (0..images * height * width).map(|_| random.below(19) as i64).collect();
    Batch {
        features: map(),
        distorted: map(),
        labels: Tensor::from_vec(labels, (images, height, width), &Device::Cpu).unwrap(),
    }
}

/// Value and gradients; returns the bytes of the gradients.
fn step(batch: &Batch, variant: Variant) -> usize {
    let options = PixelContrastOptions {
        variant,
        ..Default::default()
    };
    let input = PixelContrastInput {
        features: &batch.features,
        distorted: variant.needs_distorted().then_some(&batch.distorted),
        labels: &batch.labels,
        predictions: None,
        temperature: None,
        memory: None,
        random: &mut Random::new(0),
    };
    let out = pixel_contrast(input, &options).unwrap();
    let gradients = out.loss.backward().unwrap();
    assert!(
        out.loss
            .to_dtype(DType::F64)
            .unwrap()
            .to_scalar::<f64>()
            .unwrap()
            .is_finite()
    );
    [&batch.features, &batch.distorted]
        .iter()
        .filter_map(|v| gradients.get(v))
        .map(|g| g.elem_count() * 4)
        .sum()
}

/// Memory of this process in MiB: `VmHWM` is the peak, `VmRSS` the present.
fn status(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Processor time of this process in seconds, all threads.
fn processor_time() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Milliseconds, processor milliseconds by thread, and the growth of the peak beyond the gradients in MiB.
fn measure(batch: &Batch, variant: Variant, runs: usize) -> (f64, f64, f64) {
    std::fs::write("/proc/self/clear_refs", "5").unwrap(); // the peak starts anew
    let (start, mut best, mut gradients) = (status("VmRSS"), f64::MAX, 0);
    let mut busy = f64::MAX;
    for _ in 0..runs {
        let (now, used) = (Instant::now(), processor_time());
        gradients = step(batch, variant);
        best = best.min(now.elapsed().as_secs_f64() * 1e3);
        busy = busy.min((processor_time() - used) * 1e3 / rayon::current_num_threads() as f64);
    }
    (
        best,
        busy,
        status("VmHWM") - start - gradients as f64 / (1 << 20) as f64,
    )
}

/// Which case `one_case` measures: `images side variant`.
const CASE: &str = "SEGLAB_LOSS_COST";

/// Every case in a process of its own: memory that an earlier case gave back to the allocator would hide the growth.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let mut missed = false;
    for (images, side) in [(2, 64), (1, 128)] {
        for (name, _) in Variant::ALL {
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            again.args(["--ignored", "--nocapture", "--exact", "one_case"]);
            let output = again.env(CASE, format!("{images} {side} {name}")).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let line = text.lines().find(|line| line.contains("MiB"));
            println!("{}", line.unwrap_or("nothing measured"));
            if !output.status.success() {
                println!("{text}{}", String::from_utf8_lossy(&output.stderr));
                missed = true;
            }
        }
    }
    assert!(!missed, "a case failed, see above");
}

#[test]
#[ignore = "a part of `speed`"]
fn one_case() {
    let Ok(case) = std::env::var(CASE) else { return };
    keep_freed_memory();
    let words: Vec<&str> = case.split(' ').collect();
    let (images, side) = (words[0].parse().unwrap(), words[1].parse::<usize>().unwrap());
    let batch = batch(images, 256, side, side);
    let (time, busy, peak) = measure(
        &batch,
        seglab::error::choose("variant", words[2], &Variant::ALL).unwrap(),
        3,
    );
    println!(
        "\n{images}x{}x256 {}: {time:.0} ms ({busy:.0} ms of each thread), peak + {peak:.0} MiB",
        side * side,
        words[2]
    );
    assert!(side < 128 || peak <= 64.0, "{peak} MiB");
}

/// The loss at stride 4 in a pretraining step of 8 images of 128 x 128: its time on maps of that size against the step's.
#[test]
#[ignore = "a measurement"]
fn share_of_a_step() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::quiet(folder.path());
    let options = ScenesOptions {
        count: 8,
        size: [128, 128],
        ..ScenesOptions::default()
    };
    let config = ModelConfig::new(Architecture::DeepLabV3Plus, EncoderKind::Resnet18, 9);
    let batch = batch(8, config.projection.channels, 32, 32);
    for (name, variant) in Variant::ALL {
        let alone = measure(&batch, variant, 5).0;
        let model = Segmenter::new(&config, 0, &Device::Cpu).unwrap();
        let training = TrainConfig {
            steps: Some(6),
            checkpoint_every: Some(0),
            ..TrainConfig::pretrain(PixelContrastOptions {
                variant,
                ..Default::default()
            })
        };
        let data = scenes(&options).unwrap().train;
        let mut run = Run::new(&session, Rc::new(RefCell::new(model)), data, None, &training).unwrap();
        run.advance(2, &mut Hooks::default()).unwrap();
        let now = Instant::now();
        run.resume(&mut Hooks::default()).unwrap();
        let whole = now.elapsed().as_secs_f64() * 1e3 / 4.0;
        println!(
            "{name}: loss {alone:.0} ms of a step of {whole:.0} ms, {:.0} %",
            100.0 * alone / whole
        );
    }
}

#[test]
#[ignore = "a measurement"]
fn growth() {
    for side in [32, 64, 128, 256] {
        let batch = batch(1, 64, side, side);
        let (time, busy, peak) = measure(&batch, Variant::WithinImage, if side < 200 { 3 } else { 1 });
        println!(
            "1x{}x64: {time:.0} ms ({busy:.0} ms of each thread), peak + {peak:.0} MiB",
            side * side
        );
    }
}

#[test]
#[ignore = "a measurement of several minutes"]
fn a_whole_513_map() {
    let batch = batch(1, 64, 513, 513);
    let (time, busy, peak) = measure(&batch, Variant::WithinImage, 1);
    println!("1x263169x64: {time:.0} ms ({busy:.0} ms of each thread), peak + {peak:.0} MiB");
    assert!(peak < 1024.0, "{peak} MiB");
}
