//! Results do not depend on the number of threads or on the instruction set beyond rounding, and repeat to the bit for a fixed one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::process::Command;

/// Two steps of training; every convolution kernel, batch norm, pooling, resizing and the loss take part.
const SCRIPT: &str = r#"
let data = data::scenes(#{ count: 4, size: [64, 96] });
let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 32, dropout: 0.0 });
let run = train::finetune(net, data, #{ steps: 2, batch_size: 4, precision: arg("precision", "f32"), checkpoint_every: 0 });
for value in run.history.loss + run.history.grad_norm { print(value); }
"#;

/// What the script prints: two losses, two gradient norms.
fn train(threads: &str, precision: &str, level: Option<&str>) -> Vec<f64> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.rhai"), SCRIPT).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_seglab"));
    command
        .args(["run", "a.rhai", "--threads", threads, "--quiet"])
        .arg(format!("precision={precision}"))
        .current_dir(folder.path());
    command.args(["--seed", "1"]);
    match level {
        Some(level) => command.env("SEGLAB_CPU", level),
        None => command.env_remove("SEGLAB_CPU"),
    };
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text.lines().filter_map(|line| line.trim().parse().ok()).collect();
    assert_eq!(numbers.len(), 4, "{text}{}", String::from_utf8_lossy(&output.stderr));
    numbers
}

fn agree(a: &[f64], b: &[f64], limit: f64) {
    let close = a.iter().zip(b).all(|(a, b)| (a / b - 1.0).abs() < limit);
    assert!(close, "{a:?} {b:?}");
}

#[test]
fn a_fixed_number_of_threads_repeats_to_the_bit_and_others_agree() {
    let one = train("1", "f32", None);
    for threads in ["2", "3"] {
        let first = train(threads, "f32", None);
        assert_eq!(first, train(threads, "f32", None), "{threads} threads");
        agree(&one, &first, 1e-3);
    }
}

#[test]
fn lower_instruction_sets_agree() {
    // bf16: a sum that is rounded otherwise in f32 may round to the other neighbour in bf16, and a rectifier then flip, which a
    // gradient norm of this small batch shows more than the loss does
    for (precision, loss_limit, norm_limit) in [("f32", 1e-3, 1e-3), ("bf16", 1e-2, 1e-1)] {
        let best = train("2", precision, None);
        for level in ["portable", "avx2"] {
            let lower = train("2", precision, Some(level));
            agree(&best[..2], &lower[..2], loss_limit);
            agree(&best[2..], &lower[2..], norm_limit);
        }
    }
}
