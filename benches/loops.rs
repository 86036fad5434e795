//! The built-in loop, `train::fit` with the same loss in a closure, and loops written by hand, with and without a name for the logits:
//! time and peak memory, each in processes of its own, in turn. `cargo bench --bench loops -- --rounds 3`.
//!
//! And two losses of one pass: `joint` is the loop by hand with a contrastive loss beside the cross-entropy, both of `outputs`, `contrast`
//! what that adds, the projection head and its loss both ways on features that are there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and may stop at the first surprise"
)]

use std::process::{Command, Stdio};
use std::time::Duration;

const SCRIPT: &str = r#"
let kind = arg("kind", "finetune");
let data = data::scenes(#{ count: 64, size: [128, 128], seed: 1 });
let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, dropout: 0.0, seed: 3 });
let rule = #{ lr: 0.05, momentum: 0.9, weight_decay: 1e-4 };
let options = #{ steps: 40, batch_size: 8, seed: 5, checkpoint_every: 0, schedule: "constant", optimizer: rule };
let losses = [];
let seconds = time(|| {
    if kind == "finetune" { losses = train::finetune(net, data, options).history.loss; }
    else if kind == "fit" {
        losses = train::fit(net, data, |net, batch| loss::cross_entropy(net.forward(batch.images), batch.labels), options).history.loss;
    } else if kind == "contrast" {
        let o = optim::sgd(net.parameters("projection"), rule);
        let batch = data.batches(#{ size: 8, shuffle: true, seed: 5 }).next();
        let features = tensor::variable(tensor::no_grad(|| net.features(batch.images)));
        for i in 0..40 {
            let loss = loss::pixel_contrast(net.project(features), (), batch.labels, #{ variant: "own_positive" });
            o.step(loss.backward());
            losses.push(loss.item());
        }
    } else {
        let o = optim::sgd(net.parameters(), rule);
        for batch in data.batches(#{ size: 8, shuffle: true, seed: 5, epochs: 5 }) {
            if kind == "joint" {
                let out = net.outputs(batch.images);
                let loss = loss::cross_entropy(out.logits, batch.labels) + 0.1 * loss::pixel_contrast(out.embeddings, (), batch.labels, #{ variant: "own_positive" });
                o.step(loss.backward());
                losses.push(loss.item());
            } else if kind == "hand" {
                let logits = net.forward(batch.images);
                let loss = loss::cross_entropy(logits, batch.labels);
                o.step(loss.backward());
                losses.push(loss.item());
            } else {
                let loss = loss::cross_entropy(net.forward(batch.images), batch.labels);
                o.step(loss.backward());
                losses.push(loss.item());
            }
        }
    }
});
print(`${seconds} ${losses[losses.len() - 1]}`);
"#;

/// Seconds, MiB at the peak, the last loss.
fn run(kind: &str, script: &std::path::Path, out: &std::path::Path) -> (f64, f64, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_seglab"))
        .args([
            "run",
            script.to_str().unwrap(),
            &format!("kind={kind}"),
            "--threads",
            "2",
            "--out",
        ])
        .arg(out.join(kind))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0f64;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
        peak = peak.max(kib.unwrap_or(0.0) / 1024.0);
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (seconds, loss) = text.trim().lines().last().unwrap().split_once(' ').unwrap();
    (seconds.parse().unwrap(), peak, loss.to_string())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let rounds = arguments.iter().position(|a| a == "--rounds");
    let rounds = rounds.and_then(|i| arguments[i + 1].parse().ok()).unwrap_or(3);
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("loops.rhai");
    std::fs::write(&script, SCRIPT).unwrap();
    let kinds = ["finetune", "fit", "hand", "no name", "joint", "contrast"];
    let mut all: Vec<Vec<(f64, f64, String)>> = vec![Vec::new(); kinds.len()];
    for _ in 0..rounds {
        for (found, kind) in all.iter_mut().zip(kinds) {
            found.push(run(kind, &script, folder.path()));
        }
    }
    let time = |i: usize| median(all[i].iter().map(|r| r.0).collect());
    let peak = |i: usize| median(all[i].iter().map(|r| r.1).collect());
    println!("| loop | ms a step | of finetune | peak, MiB | of finetune | last loss |\n|---|---|---|---|---|---|");
    for (i, (found, kind)) in all.iter().zip(kinds).enumerate() {
        println!(
            "| {kind} | {:.1} | {:.3} | {:.0} | {:.3} | {} |",
            time(i) * 25.0,
            time(i) / time(0),
            peak(i),
            peak(i) / peak(0),
            found[0].2
        );
    }
    let [hand, joint, contrast] = [2, 4, 5].map(time);
    println!("joint: {:.3} of the sum of its parts", joint / (hand + contrast));
}
