//! Images per second from file to batch: JPEG and PNG decoded, scaled, cropped, flipped, colours distorted, normalised.
//!
//! `cargo bench --bench loading` runs ours on CamVid (`../shared/data/camvid`, or the folder in `SEGLAB_CAMVID`); with
//! `SEGLAB_PYTORCH=/path/to/python` it runs `loading.py` (torchvision, two worker processes) in turn and prints the ratio. Two threads
//! on both sides. Nothing is cached: every round reads each file once.
//!
//! Where the time of one image goes (480x360 JPEG, crop 256x256, scale 0.5 to 2, one thread): see `stages`, printed below the
//! rates.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints and stops at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::Device;
use seglab::data::decode::labels::labels_from_file;
use seglab::data::decode::map::LabelMap;
use seglab::data::decode::{Exif, image_from_file};
use seglab::data::{Augment, BatchOptions, Distort, camvid};
use seglab::random::Random;

const ROUNDS: usize = 3;

fn options() -> BatchOptions {
    BatchOptions {
        augment: Some(augment()),
        distort: Some(Distort::default()),
        epochs: Some(1),
        ..Default::default()
    }
}

fn augment() -> Augment {
    Augment {
        scale: Some([0.5, 2.0]),
        crop: Some([256, 256]),
        flip: 0.5,
    }
}

/// One pass over the training images.
fn ours(path: &Path) -> f64 {
    let train = camvid(path).unwrap().train;
    let mut batches = train.batches(&options(), &Device::Cpu).unwrap();
    batches.next().unwrap().unwrap(); // starting the threads is not counted, as on the other side
    let (start, mut n) = (Instant::now(), 0);
    for batch in batches {
        n += batch.unwrap().names.len();
    }
    n as f64 / start.elapsed().as_secs_f64()
}

/// Images per second of the other side.
fn theirs(python: &str, path: &Path) -> f64 {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/loading.py");
    let output = std::process::Command::new(python)
        .arg(program)
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap();
    value["images_per_second"].as_f64().unwrap()
}

/// Milliseconds per image of each stage, on one thread.
fn stages(path: &Path) -> Vec<(&'static str, f64)> {
    let files: Vec<(PathBuf, PathBuf)> = std::fs::read_to_string(path.join("train.txt"))
        .unwrap()
        .lines()
        .take(60)
        .map(|l| l.split_once(' ').unwrap())
        .map(|(image, labels)| (path.join(image), path.join(labels)))
        .collect();
    let map = LabelMap::identity(11, &[11]);
    let data = camvid(path).unwrap().train;
    let samples: Vec<_> = (0..files.len()).map(|i| data.get(i).unwrap()).collect();
    let mut random = Random::new(0);
    let mut views: Vec<_> = samples.iter().map(|s| augment().apply(s, &mut random)).collect();
    let mut times = Vec::new();
    let mut time = |name, work: &mut dyn FnMut(usize)| {
        let start = Instant::now();
        (0..files.len()).for_each(work);
        times.push((name, start.elapsed().as_secs_f64() * 1e3 / files.len() as f64));
    };
    time("decode image", &mut |i| {
        drop(image_from_file(&(&files[i].0).into(), Exif::Apply).unwrap())
    });
    time("decode labels", &mut |i| {
        drop(labels_from_file(&(&files[i].1).into(), &map).unwrap())
    });
    time("scale, crop, flip", &mut |i| {
        drop(augment().apply(&samples[i], &mut random.clone()))
    });
    time("distort", &mut |i| {
        Distort::default().apply(&mut views[i].planes, [256, 256], &mut random);
    });
    times
}

fn main() {
    // Keep `cargo test --benches` and `cargo bench -- --list` quick.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let path = std::env::var("SEGLAB_CAMVID").map_or_else(
        |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/camvid"),
        PathBuf::from,
    );
    if !path.exists() {
        println!("skipped: {} is not there (set SEGLAB_CAMVID)", path.display());
        return;
    }
    rayon::ThreadPoolBuilder::new().num_threads(2).build_global().unwrap();
    let python = std::env::var("SEGLAB_PYTORCH").ok();
    let mut rates = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        rates.0.push(ours(&path));
        if let Some(python) = &python {
            rates.1.push(theirs(python, &path));
        }
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    };
    let (our_rate, their_rate) = (median(&mut rates.0).unwrap(), median(&mut rates.1));
    let ratio = their_rate.map(|t| our_rate / t);
    if std::env::args().any(|a| a == "--json") {
        let stages: serde_json::Map<_, _> = stages(&path)
            .into_iter()
            .map(|(n, t)| (n.to_string(), t.into()))
            .collect();
        println!(
            "{}",
            serde_json::json!({ "name": "loading", "images_per_second": our_rate, "torchvision": their_rate, "ratio": ratio, "stages_ms": stages })
        );
        return;
    }
    println!("loading: {our_rate:.0} images per second");
    if let (Some(theirs), Some(ratio)) = (their_rate, ratio) {
        println!("torchvision: {theirs:.0} images per second, ratio {ratio:.2}");
    }
    for (name, ms) in stages(&path) {
        println!("  {name}: {ms:.2} ms per image");
    }
}
