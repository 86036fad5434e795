//! Training that is killed again and again ends in the same files as training that is left alone.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise"
)]

mod program;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use seglab::random::Random;

/// A run of `what`, or one that goes on from its checkpoint. A checkpoint after every second step, so that kills meet their writing too.
const SCRIPT: &str = r#"
let d = data::scenes(#{ count: 4, size: [16, 24] });
let what = arg("what");
let checkpoint = arg("out") + "/" + what + "/last.safetensors";
let loss = |m, b| loss::cross_entropy(m.forward(b.images), b.labels) + tensor::randn([1]).sqr().mean() * 0.001;
let run = ();
if arg("again", false) {
    let options = #{ data: d };
    if what != "pretrain" { options.val = d; }
    if what == "fit" { options.loss = loss; }
    run = train::load(checkpoint, options);
    run.resume();
} else {
    let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: d.classes, decoder_channels: 8, projection: #{ channels: 8 } });
    let options = #{ steps: arg("steps"), batch_size: 2, checkpoint_every: 2, augment: #{ scale: [0.75, 1.5], crop: [16, 24], flip: 0.5 } };
    if what == "pretrain" {
        options.loss = #{ temperature: "learnable", sampling: "uniform", max_anchors: 20,
            memory: #{ per_class: 8, per_batch: 3, warm_up: 1, momentum_encoder: 0.9 } };
        run = train::pretrain(net, d, options);
    } else {
        options += #{ val: d, eval_every: 3 };
        run = if what == "fit" { train::fit(net, d, loss, options) } else { train::finetune(net, d, options) };
    }
}
print(run.status);
"#;

/// How one round went.
#[derive(Default)]
struct Count {
    kills: usize,
    late: usize,
    resumed: usize,
}

/// Start the training, or go on with it where a checkpoint is there; true once it is done. It gets `signal` after `delay`.
fn attempt(folder: &Path, what: &str, steps: usize, signal: Option<(&str, Duration)>, count: &mut Count) -> bool {
    let again = folder.join("out").join(what).join("last.safetensors").exists();
    count.resumed += usize::from(again);
    let (what, steps, again) = (
        format!("what={what}"),
        format!("steps={steps}"),
        format!("again={again}"),
    );
    let arguments = [
        "run",
        "kill.rhai",
        &what,
        &steps,
        &again,
        "out=out",
        "--out",
        "out",
        "--threads",
        "1",
        "--quiet",
    ];
    let mut child = program::program(folder, &arguments)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    if let Some((name, delay)) = signal {
        std::thread::sleep(delay);
        if child.try_wait().unwrap().is_none() {
            program::signal(child.id(), name);
            count.kills += 1;
        } else {
            count.late += 1;
        }
    }
    let output = child.wait_with_output().unwrap();
    let (status, text) = (output.status.code(), program::out(&output));
    match status {
        Some(0) => assert!(text.ends_with("done\n"), "{text}"),
        None => {}
        // at the very end the signal finds the work done
        Some(143) => {}
        other => panic!("{other:?}: {text}{}", program::err(&output)),
    }
    status == Some(0)
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Kill `what` with `signal` at `kills` random moments and compare with a run that was left alone.
fn survives(what: &str, signal: &str, kills: usize, steps: usize, seed: u64) -> Count {
    let fresh = || {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kill.rhai"), SCRIPT).unwrap();
        folder
    };
    let whole = fresh();
    let begun = Instant::now();
    assert!(attempt(whole.path(), what, steps, None, &mut Count::default()));
    let length = begun.elapsed().as_secs_f64();
    let mut random = Random::derived(seed, &[]);
    let mut count = Count::default();
    while count.kills < kills {
        let folder = fresh();
        let mut left = 3; // times per run, so that starts, middles and ends are met
        loop {
            let wanted = count.kills < kills && left > 0;
            left -= 1;
            let delay = Duration::from_secs_f64(length * random.unit() * 1.02);
            if attempt(
                folder.path(),
                what,
                steps,
                wanted.then_some((signal, delay)),
                &mut count,
            ) {
                break;
            }
        }
        let (a, b) = (
            whole.path().join("out").join(what),
            folder.path().join("out").join(what),
        );
        assert_eq!(files(&a), files(&b), "leftovers after kills of {what}");
        assert_eq!(
            files(whole.path().join("out").as_path()),
            files(folder.path().join("out").as_path())
        );
        for file in ["last.safetensors", "history.csv"] {
            let [a, b] = [&a, &b].map(|folder| std::fs::read(folder.join(file)).unwrap());
            assert!(a == b, "{what}: {file} differs after {signal}");
        }
    }
    println!(
        "{what}: {} x {signal}, {} too late, {} resumed; all equal",
        count.kills, count.late, count.resumed
    );
    count
}

#[test]
fn a_few_kills_change_nothing() {
    survives("finetune", "KILL", 2, 5, 1);
    survives("pretrain", "TERM", 2, 5, 2);
    survives("fit", "KILL", 1, 5, 3);
}

/// 50 kills and 20 terminations:
/// `cargo test --test kills -- --ignored --nocapture many`
#[test]
#[ignore = "takes minutes"]
fn many_kills_change_nothing() {
    for (i, what) in ["pretrain", "finetune", "fit"].into_iter().enumerate() {
        let kills = survives(what, "KILL", [17, 17, 16][i], 14, 10 + i as u64);
        let terminations = survives(what, "TERM", [7, 7, 6][i], 14, 20 + i as u64);
        assert!(
            kills.resumed > 4 && terminations.resumed > 2,
            "the kills came too early to be met by checkpoints"
        );
    }
}

/// A kill after the last checkpoint and before the record: the run is complete, its record is not.
#[test]
fn a_complete_run_that_is_read_again_completes_its_record() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("kill.rhai"), SCRIPT).unwrap();
    assert!(attempt(folder.path(), "finetune", 4, None, &mut Count::default()));
    let run = folder.path().join("out/finetune");
    let [history, record] = ["history.csv", "config.json"].map(|name| std::fs::read_to_string(run.join(name)).unwrap());
    let lines: Vec<&str> = history.lines().collect();
    std::fs::write(run.join("history.csv"), lines[..3].join("\n") + "\n").unwrap();
    std::fs::write(run.join("config.json"), record.replace("\"done\"", "\"running\"")).unwrap();
    std::fs::write(run.join(".config.json.seglab-0.partial"), &record[..20]).unwrap();
    assert!(attempt(folder.path(), "finetune", 4, None, &mut Count::default()));
    assert_eq!(std::fs::read_to_string(run.join("history.csv")).unwrap(), history);
    assert!(
        std::fs::read_to_string(run.join("config.json"))
            .unwrap()
            .contains("\"done\"")
    );
    assert_eq!(files(&run), ["config.json", "history.csv", "last.safetensors"]);
}
