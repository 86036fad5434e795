//! The workloads of `pytorch_bench.py` beside it, by the same names, on this crate.
//!
//! ```text
//! cargo bench --bench versus_pytorch -- [--only PREFIX] [--threads N] [--runs N] [--rounds N] [--dtype f32|bf16] [--json]
//!     [--device cpu|cuda] [--small]
//! SEGLAB_PYTORCH=/path/to/python cargo bench --bench versus_pytorch          # both sides in turn, with their ratio
//! ```
//!
//! Alone it measures this crate. With `SEGLAB_PYTORCH` every workload runs in `--rounds` rounds of two fresh processes, PyTorch's
//! and ours, and the table gives the median over all rounds of each side, the ratio (theirs / ours; above 1 we are faster) and the
//! growth of the peak resident memory. Only ratios of one run mean anything: these machines are noisy.
//!
//! On a machine that others use too, take `--threads 1` (and `CANDLE_NUM_THREADS=1`) and compare the column of processor time: threads that
//! spin while they wait count in it, so with more threads it flatters us.
//!
//! On a GPU (`--device cuda`; f32 computes with TF32 as PyTorch's side does) the networks and losses are those of PyTorch's side there; each
//! time includes waiting for the GPU, and memory is that of its pool: the growth of the peak beyond inputs, and in `kept_mib` what is in use
//! after the last run beyond what was after the first. `--only exact_map` is the loss of a 513 x 513 map, exact, which PyTorch cannot compute.
//! `--small` takes sizes that try the program itself anywhere; their times mean nothing.
//!
//! # Where the time of a training step goes
//!
//! DeepLabV3+ ResNet-18, 8x3x128x128, f32, one thread of an AMD EPYC of family 26 (Zen 5), by `perf record` on this program while the machine
//! was also used by others; what prepares the workload is left out:
//!
//! | part | share |
//! |---|---|
//! | matrix products (Winograd's 36, 1x1, columns) | 32 % |
//! | their packing | 4 % |
//! | Winograd's transforms of kernels (9 %), patches, results, gradients | 22 % |
//! | depthwise, both ways, with the result computed again | 7 % |
//! | batch norm + relu + residual, both ways | 5 % |
//! | fresh pages from the system | 5 % |
//! | pooling and resizing | 5 % |
//! | copies and zeros | 4 % |
//! | columns cut out and added back for strided convolutions | 3 % |
//! | optimiser, loss, the rest | 13 % |
//!
//! Floors: the contrastive workload, which is four products and some exponentials, runs at 200 GFLOP/s for each of two threads, so
//! the products of a step by direct sums (55 GFLOP) take 0.14 s on two threads at least. Winograd's F(4x4, 3x3) needs a quarter of
//! those of the 3x3 convolutions at stride 1; a step took 0.13 to 0.18 s. A loop of `vdpbf16ps` reaches 515 GFLOP/s a thread.
//! Memory: two threads move 72 GB/s (`a = b + 3 c` over 256 MiB each; reading alone 59). Batch norm + relu of 4x256x64x64 passes 8 maps of 17 MB
//! at least, both ways: 1.9 ms, measured 2.6 to 3.1. Max pool 0.7 ms (measured 5.8 to 8.7), resize 0.5 (3.8 to 4.2) and cross-entropy 0.8
//! (3.1 to 3.7) are bound by their arithmetic and by fresh pages, not by bandwidth. Next: transformed kernels kept between forward and backward, columns packed
//! straight into the product's panels, Winograd's patches written in the product's packed form.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a program for the terminal, which may stop at the first surprise"
)]

mod own;
mod tensors;

use std::cell::RefCell;
use std::process::Command;
use std::time::Instant;

use candle_core::{Device, Tensor, Var};
use seglab::allocator::{MiMalloc, keep_freed_memory};
use seglab::device::{memory, open_device, reset_peak, set_tf32};
use seglab::loss::{PixelContrastInput, PixelContrastOptions, pixel_contrast};
use seglab::nn::{Architecture, EncoderKind, Family, ModelConfig, Pass, Segmenter};
use seglab::ops::{self, BatchNormOptions, BatchNormState, Conv2dOptions, CrossEntropyOptions, Graph, Precision, Tape};
use seglab::random::Random;
use seglab::train::{Optimizer, OptimizerConfig, Rule};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What the command line asks for.
#[derive(Clone)]
struct Options {
    only: String,
    threads: usize,
    runs: usize,
    rounds: usize,
    precision: Precision,
    device: String,
    small: bool,
    json: bool,
}

fn options() -> Options {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut o = Options {
        only: String::new(),
        threads,
        runs: 5,
        rounds: 3,
        precision: Precision::F32,
        device: "cpu".to_string(),
        small: false,
        json: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            arguments
                .next()
                .and_then(|v| v.parse().ok())
                .expect("a number after the option")
        };
        match argument.as_str() {
            "--threads" => o.threads = number(),
            "--runs" => o.runs = number(),
            "--rounds" => o.rounds = number(),
            "--only" => o.only = arguments.next().expect("a prefix after --only"),
            "--json" => o.json = true,
            "--small" => o.small = true,
            "--device" => o.device = arguments.next().expect("cpu, cuda or cuda:N after --device"),
            "--dtype" => {
                let name = arguments.next().expect("f32 or bf16 after --dtype");
                o.precision = seglab::error::choose("--dtype", &name, &Precision::ALL).expect("f32 or bf16");
            }
            _ => {} // cargo's own `--bench`
        }
    }
    o
}

fn dtype(precision: Precision) -> &'static str {
    precision.name()
}

/// What is measured.
type Step = Box<dyn FnMut()>;

/// One workload: its name, what prepares it on a device, and so its step.
struct Workload {
    name: String,
    prepare: Box<dyn Fn(&Device) -> Step>,
}

fn workload(name: impl Into<String>, prepare: impl Fn(&Device) -> Step + 'static) -> Workload {
    Workload {
        name: name.into(),
        prepare: Box::new(prepare),
    }
}

/// A trainable tensor of normal draws.
fn draw(shape: &[usize], device: &Device) -> Var {
    let mut random = Random::new(shape.iter().sum::<usize>() as u64);
    let data: Vec<f32> = (0..shape.iter().product()).map(|_| random.normal() as f32).collect();
    Var::from_vec(data, shape, device).unwrap()
}

fn labels(shape: &[usize], device: &Device) -> Tensor {
    let mut random = Random::new(1);
    let data: Vec<i64> = (0..shape.iter().product()).map(|_| random.below(19) as i64).collect();
    Tensor::from_vec(data, shape, device).unwrap()
}

/// Forward and backward of `f` on a tape, as a training step has it (candle's graph would add two passes over each gradient); it starts
/// from a gradient of ones, as `out.backward(torch.ones_like(out))`.
fn through(f: impl Fn(Graph) -> Tensor + 'static) -> Step {
    Box::new(move || {
        let tape = Tape::new();
        drop(tape.backward(&f(Graph::on(&tape))).unwrap());
    })
}

fn conv([n, ci, co, h, w, k, s, d]: [usize; 8], groups: usize, precision: Precision, name: String) -> Workload {
    workload(name, move |device| {
        let x = draw(&[n, ci, h, w], device);
        let weight = draw(&[co, ci / groups, k, k], device);
        let o = Conv2dOptions {
            groups,
            ..Conv2dOptions::same(k, s, d)
        };
        through(move |graph| graph.at(precision).conv2d(&x, &weight, None, &o).unwrap())
    })
}

fn operations(precision: Precision) -> Vec<Workload> {
    let mut list: Vec<Workload> = [
        [4, 64, 64, 64, 64, 3, 1, 1],
        [4, 256, 256, 32, 32, 3, 1, 1],
        [4, 512, 512, 16, 16, 3, 1, 2],
        [4, 256, 1024, 16, 16, 1, 1, 1],
        [4, 3, 64, 256, 256, 7, 2, 1],
        [4, 1024, 256, 16, 16, 3, 1, 12],
    ]
    .into_iter()
    .map(|c| {
        let [n, ci, co, h, w, k, s, d] = c;
        conv(
            c,
            1,
            precision,
            format!("conv2d_{n}x{ci}x{h}x{w}_to{co}_k{k}_s{s}_d{d}"),
        )
    })
    .collect();
    let depthwise = [4, 2048, 2048, 16, 16, 3, 1, 12];
    list.push(conv(
        depthwise,
        2048,
        precision,
        "conv2d_depthwise_4x2048x16x16_k3_d12".to_string(),
    ));
    list.push(workload("batch_norm_relu_4x256x64x64", |device| {
        let x = draw(&[4, 256, 64, 64], device);
        let (weight, bias, mean, var) = (
            draw(&[256], device),
            draw(&[256], device),
            draw(&[256], device),
            draw(&[256], device),
        );
        let o = BatchNormOptions {
            relu: true,
            ..Default::default()
        };
        through(move |graph| {
            let state = BatchNormState { mean: &mean, var: &var };
            graph.batch_norm(&x, &weight, &bias, state, None, &o).unwrap()
        })
    }));
    list.push(workload("max_pool2d_4x64x128x128_k3_s2", |device| {
        let x = draw(&[4, 64, 128, 128], device);
        through(move |graph| graph.max_pool2d(&x, [3, 3], [2, 2], [1, 1]).unwrap())
    }));
    list.push(workload("resize_bilinear_4x256_16to64", |device| {
        let x = draw(&[4, 256, 16, 16], device);
        through(move |graph| graph.resize_bilinear(&x, [64, 64], true).unwrap())
    }));
    list.push(workload("cross_entropy_4x19x256x256", |device| {
        let (x, y) = (draw(&[4, 19, 256, 256], device), labels(&[4, 256, 256], device));
        Box::new(move || {
            let tape = Tape::new();
            let loss = Graph::on(&tape)
                .cross_entropy(&x, &y, &CrossEntropyOptions::default())
                .unwrap();
            drop(tape.backward(&loss).unwrap());
        })
    }));
    list
}

/// The within-image loss on `images` maps of `side` x `side` positions. PyTorch's program computes it in two ways, the obvious one and
/// the best a careful user writes; ours is the same for both names.
fn contrasts(o: &Options) -> Vec<Workload> {
    let [few, many, map] = if o.small { [8usize, 16, 33] } else { [64, 128, 513] };
    let mut list = Vec::new();
    for (way, images, side) in [
        ("obvious", 2, few),
        ("checkpointed", 2, few),
        ("obvious", 1, many),
        ("checkpointed", 1, many),
    ] {
        // on the processor PyTorch's obvious form is too large at this size
        if o.device != "cpu" || o.small || (way, images) != ("obvious", 1) {
            let name = format!("pixel_contrast_{way}_{images}x{}x256", side * side);
            list.push(contrast(name, [images, 256, side, side]));
        }
    }
    if o.only.starts_with("exact_map") {
        list.push(contrast(format!("exact_map_1x{map}x{map}x64"), [1, 64, map, map]));
    }
    list
}

/// The loss on features of this shape, forward and backward.
fn contrast(name: String, [images, dim, height, width]: [usize; 4]) -> Workload {
    workload(name, move |device| {
        let shape = [images, dim, height, width];
        let (features, distorted) = (draw(&shape, device), draw(&shape, device));
        let y = labels(&[images, height, width], device);
        let mut random = Random::new(0);
        Box::new(move || {
            let input = PixelContrastInput {
                features: &features,
                distorted: Some(&distorted),
                labels: &y,
                predictions: None,
                temperature: None,
                memory: None,
                random: &mut random,
            };
            let output = pixel_contrast(input, &PixelContrastOptions::default()).unwrap();
            drop(output.loss.backward().unwrap());
        })
    })
}

fn network(encoder: EncoderKind, n: usize, size: usize, device: &Device) -> (Segmenter, Tensor) {
    let architecture = match encoder.family() {
        Family::Vit => Architecture::Linear,
        _ => Architecture::DeepLabV3Plus,
    };
    let config = ModelConfig::new(architecture, encoder, 19);
    let network = Segmenter::new(&config, 0, device).unwrap();
    (network, draw(&[n, 3, size, size], device).as_detached_tensor())
}

fn networks(precision: Precision, o: &Options) -> Vec<Workload> {
    let mut list = Vec::new();
    let sizes = match (o.small, o.device.as_str()) {
        (true, _) => [
            (EncoderKind::Resnet18, 2, 64),
            (EncoderKind::Resnet50, 2, 64),
            (EncoderKind::DinoV2S, 1, 56),
        ],
        (false, "cpu") => [
            (EncoderKind::Resnet18, 8, 128),
            (EncoderKind::Resnet50, 2, 256),
            (EncoderKind::DinoV2S, 4, 224),
        ],
        (false, _) => [
            (EncoderKind::Resnet18, 16, 512),
            (EncoderKind::Resnet50, 16, 512),
            (EncoderKind::DinoV2S, 16, 518),
        ],
    };
    for (encoder, n, size) in sizes {
        let name = encoder.name();
        list.push(workload(
            format!("train_step_{name}_{n}x3x{size}x{size}"),
            move |device| {
                let (network, x) = network(encoder, n, size, device);
                let y = labels(&[n, size, size], device);
                let parameters = network
                    .parameters("")
                    .into_iter()
                    .filter(|p| !p.name.starts_with("projection"));
                let config = OptimizerConfig {
                    name: Rule::Sgd,
                    lr: Some(0.01),
                    momentum: Some(0.9),
                    weight_decay: Some(1e-4),
                    ..Default::default()
                };
                let mut optimizer = Optimizer::new(parameters.map(|p| (p.name, p.var)).collect(), &config).unwrap();
                let random = RefCell::new(Random::new(0));
                Box::new(move || {
                    let tape = Tape::new();
                    let out = network
                        .forward(&x, &Pass::training(&random).on(&tape).at(precision))
                        .unwrap();
                    let loss = Graph::on(&tape)
                        .cross_entropy(&out, &y, &CrossEntropyOptions::default())
                        .unwrap();
                    drop(out);
                    optimizer.step(&tape.backward(&loss).unwrap(), 1.0).unwrap();
                })
            },
        ));
        list.push(workload(
            format!("inference_{name}_{n}x3x{size}x{size}"),
            move |device| {
                let (network, x) = network(encoder, n, size, device);
                let pass = Pass::evaluation().at(precision);
                Box::new(move || drop(network.forward(&x, &pass).unwrap()))
            },
        ));
    }
    list
}

/// Processor time of all threads of this process so far (Linux; 0 elsewhere).
fn cpu_ms() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let run = |task: std::fs::DirEntry| -> Option<f64> {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    tasks.filter_map(run).sum::<f64>() / 1e6
}

/// The resident set, now (`VmRSS:`) or the largest so far (`VmHWM:`), in MiB (Linux; 0 elsewhere).
fn resident_mib(which: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(which));
    let kib = line
        .and_then(|l| l.split_whitespace().next())
        .and_then(|v| v.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Measure one workload in this process; prints one JSON line in the format of `pytorch_bench.py`.
fn measure(w: &Workload, o: &Options) {
    let device = open_device(&o.device).unwrap();
    let gpu = |part: usize| {
        memory(&device)
            .unwrap()
            .map(|bytes| bytes[part] as f64 / f64::from(1 << 20))
    };
    let mut step = (w.prepare)(&device);
    // as on the other side, parameters and inputs are there already
    let base = gpu(0).unwrap_or_else(|| resident_mib("VmRSS:"));
    reset_peak(&device).unwrap();
    step();
    let first = gpu(0);
    step();
    device.synchronize().unwrap();
    let cpu = cpu_ms();
    let mut times: Vec<f64> = (0..o.runs)
        .map(|_| {
            let start = Instant::now();
            step();
            device.synchronize().unwrap();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let cpu = (cpu_ms() - cpu) / o.runs as f64;
    let median = median(&mut times);
    let peak = gpu(1).unwrap_or_else(|| resident_mib("VmHWM:")) - base;
    let kept = gpu(0).zip(first).map(|(now, first)| now - first);
    let line = serde_json::json!({
        "side": "seglab", "name": w.name, "device": o.device, "dtype": dtype(o.precision), "threads": o.threads, "median_ms": median,
        "min_ms": times[0], "max_ms": times[times.len() - 1], "cpu_ms": cpu, "peak_mib": peak,
        "kept_mib": kept,
    });
    println!("{line}");
}

/// Medians of time and processor time, and peaks, of one side over the rounds.
#[derive(Default)]
struct Side {
    medians: Vec<f64>,
    cpu: Vec<f64>,
    peaks: Vec<f64>,
}

impl Side {
    /// Run `command` and keep what it says about the workload `name`.
    fn run(&mut self, command: &mut Command, name: &str) {
        let output = command.output().expect("the other side can be started");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else {
                continue;
            };
            if value["name"] == name {
                self.medians.extend(value["median_ms"].as_f64());
                self.cpu.extend(value["cpu_ms"].as_f64());
                self.peaks.extend(value["peak_mib"].as_f64());
            }
        }
    }
}

/// Both sides in turn, each workload and round in processes of their own.
fn versus(python: &str, names: &[String], o: &Options) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/pytorch_bench.py");
    let numbers = [
        ("--threads", o.threads.to_string()),
        ("--runs", o.runs.to_string()),
        ("--dtype", dtype(o.precision).to_string()),
        ("--device", o.device.clone()),
    ];
    if !o.json {
        println!(
            "{:44} {:>9} {:>9} {:>6} {:>6} {:>9} {:>9}",
            "workload, ms", "ours", "PyTorch", "ratio", "cpu", "MiB", "PyTorch"
        );
    }
    for name in names {
        let (mut ours, mut theirs) = (Side::default(), Side::default());
        for _ in 0..o.rounds {
            let mut command = Command::new(python);
            command.arg(script).args(["--only", name]);
            let mut own = Command::new(std::env::current_exe().expect("this program's path"));
            own.args(["--only", name]).env_remove("SEGLAB_PYTORCH");
            for (key, value) in &numbers {
                command.args([key, value.as_str()]);
                own.args([key, value.as_str()]);
            }
            theirs.run(&mut command, name);
            ours.run(&mut own, name);
        }
        let (a, b) = (median(&mut ours.medians), median(&mut theirs.medians));
        let (cpu_a, cpu_b) = (median(&mut ours.cpu), median(&mut theirs.cpu));
        let (peak_a, peak_b) = (median(&mut ours.peaks), median(&mut theirs.peaks));
        if o.json {
            let line = serde_json::json!({
                "name": name, "threads": o.threads, "ours_ms": a, "pytorch_ms": b, "ratio": b / a, "ratio_of_cpu": cpu_b / cpu_a,
                "ours_peak_mib": peak_a, "pytorch_peak_mib": peak_b,
            });
            println!("{line}");
        } else {
            println!(
                "{name:44} {a:9.2} {b:9.2} {:6.2} {:6.2} {peak_a:9.1} {peak_b:9.1}",
                b / a,
                cpu_b / cpu_a
            );
        }
    }
}

fn main() {
    keep_freed_memory();
    let o = options();
    ops::start_threads(o.threads).expect("the pool starts once");
    set_tf32(true);
    let mut list = operations(o.precision);
    list.extend(tensors::workloads());
    if o.device == "cpu" {
        list.extend(own::workloads());
    }
    list.extend(contrasts(&o));
    list.extend(networks(o.precision, &o));
    list.retain(|w| w.name.starts_with(&o.only));
    match std::env::var("SEGLAB_PYTORCH") {
        Ok(python) => versus(&python, &list.iter().map(|w| w.name.clone()).collect::<Vec<_>>(), &o),
        Err(_) => list.iter().for_each(|w| measure(w, &o)),
    }
}
