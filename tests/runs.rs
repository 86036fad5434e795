//! Run folders: one process at a time, nothing of an earlier run replaced, everything on record; settings that cannot be are refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod program;

use std::path::Path;
use std::time::{Duration, Instant};

use program::{START, code, err, out, program, script, start};
use serde_json::{Value, json};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn record(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("config.json")).unwrap()).unwrap()
}

fn bytes(folder: &Path) -> [Vec<u8>; 3] {
    ["last.safetensors", "history.csv", "config.json"].map(|name| std::fs::read(folder.join(name)).unwrap())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
#[cfg(unix)]
fn two_processes_do_not_work_in_one_folder() {
    let folder = folder();
    let endless = "train::finetune(net, d, #{ steps: 100000, batch_size: 2, on_step: |e| { if e.step == 0 { print(\"on\"); } } });";
    let running = start(folder.path(), &format!("{START}{endless}"), &["--out", "keep"]);
    for text in [
        format!("{START}train::finetune(net, d, #{{ steps: 1, batch_size: 2 }});"),
        format!("{START}train::pretrain(net, d, #{{ steps: 1, batch_size: 2 }});"),
        "tensor::save(\"a.npz\", #{ a: tensor::ones([1]) });".to_string(),
        "print(run_folder());".to_string(),
    ] {
        let begun = Instant::now();
        let o = script(folder.path(), &text, &["--out", "keep"]);
        let pid = format!("pid {}", running.child.id());
        assert_eq!((code(&o), out(&o).as_str()), (1, ""));
        assert!(
            err(&o).contains("keep") && err(&o).contains(&pid) && err(&o).contains("--out"),
            "{}",
            err(&o)
        );
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    // the same where the run that is at work is continued from elsewhere
    running.signal("TERM");
    assert_eq!(running.end().0, Some(143));
    let load = "train::load(\"keep/finetune/last.safetensors\", #{ data: d";
    let on = format!("{START}{load}, on_step: |e| print(\"on\") }}).resume();");
    let running = start(folder.path(), &on, &["--out", "other"]);
    for out in ["keep", "third"] {
        let o = script(
            folder.path(),
            &format!("{START}{load} }}).advance(1);"),
            &["--out", out],
        );
        assert_eq!(code(&o), 1);
        assert!(err(&o).contains(&format!("pid {}", running.child.id())), "{}", err(&o));
    }
    // the hold ends with its process, however it ends
    running.signal("KILL");
    assert_eq!(running.end().0, None);
    let o = script(
        folder.path(),
        &format!("{START}{load} }}).advance(1);"),
        &["--out", "keep"],
    );
    assert_eq!(code(&o), 0, "{}", err(&o));
}

#[test]
fn an_earlier_run_is_not_replaced() {
    let folder = folder();
    let keep = folder.path().join("keep");
    let train = format!("{START}let r = train::finetune(net, d, #{{ steps: 2, batch_size: 2 }}); print(r.name);");
    let quick = format!(
        "{START}print(train::fit(net, d, |m, b| m.forward(b.images).mean(), #{{ steps: 1, batch_size: 2, checkpoint_every: 0 }}).name);"
    );
    assert_eq!(out(&script(folder.path(), &train, &["--out", "keep"])), "finetune\n");
    assert_eq!(out(&script(folder.path(), &quick, &["--out", "keep"])), "fit\n");
    let first = bytes(&keep.join("finetune"));
    let o = script(folder.path(), &train, &["--out", "keep", "--seed", "1"]);
    assert_eq!(out(&o), "finetune-2\n", "{}", err(&o));
    assert!(
        err(&o).contains("finetune-2") && err(&o).contains("--overwrite"),
        "the new name is said: {}",
        err(&o)
    );
    assert_eq!(bytes(&keep.join("finetune")), first);
    // without a checkpoint the history is the run
    assert_eq!(out(&script(folder.path(), &quick, &["--out", "keep"])), "fit-2\n");
    let o = script(folder.path(), &train, &["--out", "keep", "--seed", "1", "--overwrite"]);
    assert_eq!(out(&o), "finetune\n");
    let second = bytes(&keep.join("finetune"));
    assert!(second[0] != first[0] && second[1] != first[1]);
    assert_eq!(second[1], bytes(&keep.join("finetune-2"))[1]);
    // within one script names go on as ever
    let twice = format!(
        "{train}{}",
        train
            .replace("let r", "let s")
            .replace("r.name", "s.name")
            .replace(START, "")
    );
    assert_eq!(
        out(&script(folder.path(), &twice, &["--out", "fresh"])),
        "finetune\nfinetune-2\n"
    );
    // what ended before it had anything to keep leaves its name to the next
    std::fs::create_dir_all(folder.path().join("died/finetune")).unwrap();
    std::fs::write(
        folder.path().join("died/finetune/config.json"),
        "{ \"program\": \"seglab\" }",
    )
    .unwrap();
    assert_eq!(out(&script(folder.path(), &train, &["--out", "died"])), "finetune\n");
}

#[test]
fn pictures_of_an_earlier_process_are_not_replaced() {
    let folder = folder();
    let show = "show(tensor::zeros([3, 8, 8]));";
    for name in ["show.png", "show-2.png"] {
        let o = script(folder.path(), show, &["--out", "keep"]);
        assert!(out(&o).contains(name), "{}{}", out(&o), err(&o));
    }
}

#[test]
fn a_loaded_run_goes_on_in_its_own_place() {
    let folder = folder();
    let keep = folder.path().join("keep/finetune");
    let text = format!(
        "{START}train::finetune(net, d, #{{ steps: 4, batch_size: 2, seed: arg(\"s\", 0), on_step: |e| if e.step == 1 {{ \"stop\" }} }});"
    );
    assert_eq!(
        code(&script(folder.path(), &text, &["s=5", "--out", "keep", "--seed", "3"])),
        0
    );
    let made = record(&keep);
    assert_eq!((&made["step"], &made["arguments"]), (&json!(2), &json!({ "s": "5" })));
    let on = format!(
        "{START}let r = train::load(\"keep/finetune/last.safetensors\", #{{ data: d }}); r.resume(); print(r.status); \
                      print(train::load(\"keep/finetune/last.safetensors\", #{{ data: d }}).name);"
    );
    let o = script(folder.path(), &on, &["--out", "other", "--seed", "9"]);
    assert_eq!(out(&o), "done\nfinetune\n", "{}", err(&o));
    assert!(!folder.path().join("other/finetune").exists());
    let now = record(&keep);
    for kept in ["script", "arguments", "session_seed", "model_seed", "parent", "name"] {
        assert_eq!(now[kept], made[kept], "{kept}");
    }
    assert_eq!((&now["step"], &now["status"]), (&json!(4), &json!("done")));
    let on_record = &now["continued"][0];
    assert_eq!(
        (&on_record["from_step"], &on_record["session_seed"]),
        (&json!(2), &json!(9))
    );
    assert_eq!(on_record["script"], json!(on));
    // an uninterrupted run of the same settings ends in the same file
    let whole = text.replace("e.step == 1", "e.step == 100");
    assert_eq!(
        code(&script(
            folder.path(),
            &whole,
            &["s=5", "--out", "whole", "--seed", "3"]
        )),
        0
    );
    let whole = folder.path().join("whole/finetune");
    assert_eq!(bytes(&keep)[..2], bytes(&whole)[..2]);
    assert_eq!(names(&keep), names(&whole));
    // a file of its own, a copy without record, a record of an older program
    std::fs::create_dir(folder.path().join("copy")).unwrap();
    std::fs::copy(
        keep.join("last.safetensors"),
        folder.path().join("copy/last.safetensors"),
    )
    .unwrap();
    let advance = |from: &str, out: &str| {
        let text = format!("{START}train::load(\"{from}/last.safetensors\", #{{ data: d }}).advance(1);");
        let o = script(folder.path(), &text, &["--out", out]);
        assert_eq!(code(&o), 0, "{}", err(&o));
    };
    advance("copy", "fourth");
    let parent = &record(&folder.path().join("fourth/finetune"))["parent"];
    assert_eq!(
        (&parent["path"], &parent["step"]),
        (&json!("copy/last.safetensors"), &json!(4))
    );
    std::fs::write(
        keep.join("config.json"),
        "{ \"program\": \"seglab 0.1.0\", \"script\": \"old\", \"session_seed\": 3, \"threads\": 2 }",
    )
    .unwrap();
    advance("keep/finetune", "fifth");
    let old = record(&keep);
    assert_eq!(
        (&old["script"], &old["session_seed"], &old["step"]),
        (&json!("old"), &json!(3), &json!(5))
    );
}

#[test]
fn a_run_that_ended_before_its_first_step_goes_on() {
    let folder = folder();
    let text = format!(
        "{START}train::pretrain(net, d, #{{ steps: 2, batch_size: 2, on_step: |e| if e.step == arg(\"stop\", 9) {{ exit(7) }} }});"
    );
    assert_eq!(code(&script(folder.path(), &text, &["--out", "whole"])), 0);
    assert_eq!(code(&script(folder.path(), &text, &["--out", "keep", "stop=0"])), 7);
    let on = format!("{START}train::load(\"keep/pretrain/last.safetensors\", #{{ data: d }}).resume();");
    let o = script(folder.path(), &on, &["--out", "keep"]);
    assert_eq!(code(&o), 0, "{}", err(&o));
    let [a, b] = ["whole", "keep"].map(|out| bytes(&folder.path().join(out).join("pretrain")));
    assert_eq!(a[..2], b[..2]);
}

#[test]
fn a_run_records_where_its_numbers_come_from() {
    let folder = folder();
    let text = format!(
        "{}\nlet o = #{{ steps: 1, batch_size: 2 }};\ntrain::pretrain(net, d, o); train::finetune(net, d, o);
        let other = model::load(\"keep/pretrain/last.safetensors\"); train::finetune(other, d, o);
        let third = net.copy(); third.save(\"third.safetensors\"); other.load_weights(\"keep/third.safetensors\"); train::finetune(other, d, o);",
        START.replace("decoder_channels: 8", "decoder_channels: 8, seed: 17")
    );
    let o = script(
        folder.path(),
        &text,
        &["--out", "keep", "--seed", "4", "--threads", "3"],
    );
    assert_eq!(code(&o), 0, "{}", err(&o));
    let of = |name: &str| record(&folder.path().join("keep").join(name));
    let (pre, fine) = (of("pretrain"), of("finetune"));
    assert_eq!((&pre["model_seed"], &pre["parent"]), (&json!(17), &Value::Null));
    assert_eq!((&pre["session_seed"], &pre["threads"]), (&json!(4), &json!(3)));
    assert_eq!(fine["model_seed"], json!(17));
    assert_eq!(
        (&fine["parent"]["path"], &fine["parent"]["step"]),
        (&json!("keep/pretrain/"), &json!(1))
    );
    let loaded = of("finetune-2");
    assert_eq!(
        (&loaded["model_seed"], &loaded["parent"]["path"]),
        (&Value::Null, &json!("keep/pretrain/last.safetensors"))
    );
    assert_eq!(of("finetune-3")["parent"]["path"], json!("keep/third.safetensors"));
}

#[test]
fn answers_of_callbacks_that_mean_nothing_do_not_end_a_run() {
    let folder = folder();
    let train = |option: &str, length: &str, answer: &str| {
        format!(
            "print(train::finetune(net, d, #{{ {length}, batch_size: 2, checkpoint_every: 0, {option}: |e| {{ {answer} }} }}).step);\n"
        )
    };
    let steps = [
        ("net.save(\"best.safetensors\");", 2),
        ("net.save(\"best.safetensors\")", 2),
        ("()", 2),
        ("42", 2),
        ("[1]", 2),
        ("false", 2),
        ("\"Stop\"", 2),
        ("\"stop\"", 1),
    ];
    let epochs = ["\"skip\"", "\"best\"", "net.save(\"a.safetensors\")"];
    let mut text = START.to_string();
    for (answer, _) in steps {
        text += &train("on_step", "steps: 2", answer);
    }
    for answer in epochs {
        text += &train("on_epoch", "epochs: 1", answer);
    }
    let o = script(folder.path(), &text, &[]);
    let made: Vec<usize> = out(&o).lines().map(|line| line.parse().unwrap()).collect();
    let expected: Vec<usize> = steps.iter().map(|(_, made)| *made).chain([2; 3]).collect();
    assert_eq!(made, expected, "{}", err(&o));
    // what looks like an answer is said once
    assert_eq!(err(&o).matches("did you mean \"stop\"?").count(), 1, "{}", err(&o));
    assert_eq!(err(&o).matches("no batch to skip").count(), 1, "{}", err(&o));
    assert_eq!(err(&o).lines().count(), 2, "{}", err(&o));
}

#[test]
fn threads_have_a_bound() {
    let folder = folder();
    std::fs::write(folder.path().join("a.rhai"), "print(1);").unwrap();
    for threads in ["0", "-1", "100000", "99999999999999999999", "two", ""] {
        let o = program(folder.path(), &["run", "a.rhai", "--threads", threads])
            .output()
            .unwrap();
        assert_eq!((code(&o), out(&o).as_str()), (2, ""), "{threads}");
        assert!(
            err(&o).contains("--threads") && err(&o).contains("from 1 to "),
            "{threads}: {}",
            err(&o)
        );
    }
    for variable in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        let o = program(folder.path(), &["run", "a.rhai"])
            .env(variable, "100000")
            .output()
            .unwrap();
        let refused = variable == "RAYON_NUM_THREADS";
        assert_eq!(code(&o), if refused { 2 } else { 0 }, "{variable}: {}", err(&o));
        assert_eq!(err(&o).contains(variable), refused, "{}", err(&o));
    }
    let info = |value: &str| {
        out(&program(folder.path(), &["info"])
            .env("RAYON_NUM_THREADS", value)
            .output()
            .unwrap())
    };
    assert!(info("3").contains("threads: 3 "), "{}", info("3"));
    assert_eq!(info("0"), info(""));
}

/// The threads of a program that computes: as many as it was told, whatever the environment says.
#[test]
#[cfg(target_os = "linux")]
fn there_are_as_many_threads_as_were_asked_for() {
    let folder = folder();
    std::fs::write(
        folder.path().join("a.rhai"),
        "let t = tensor::ones([600, 600]); let u = (t.matmul(t) + 1).exp().sum(); print(\"on\"); loop { }",
    )
    .unwrap();
    let mut command = program(folder.path(), &["run", "a.rhai", "--threads", "3"]);
    command.env("RAYON_NUM_THREADS", "200").env("CANDLE_NUM_THREADS", "200");
    let running = program::started(command);
    let threads = std::fs::read_dir(format!("/proc/{}/task", running.child.id()))
        .unwrap()
        .count();
    running.signal("KILL");
    let _ = running.end();
    // three of the pool; the first, the script's, the one of the signals
    assert!(threads <= 8, "{threads} threads");
}

#[test]
fn batches_larger_than_the_data_or_the_memory() {
    let folder = folder();
    let train = |size: &str| {
        let text = format!("{START}train::finetune(net, d, #{{ steps: 1, batch_size: {size}, checkpoint_every: 0 }});");
        script(folder.path(), &text, &[])
    };
    let o = train("4");
    assert_eq!((code(&o), err(&o).as_str()), (0, ""));
    let o = train("6");
    assert_eq!(code(&o), 0, "{}", err(&o));
    assert_eq!(err(&o).matches("batch_size 6 from 4 images").count(), 1, "{}", err(&o));
    for size in ["1000000000", "9000000000000000000"] {
        let begun = Instant::now();
        let o = train(size);
        assert_eq!(code(&o), 1);
        assert!(
            err(&o).contains("GB of memory") && err(&o).contains("16 x 24"),
            "{}",
            err(&o)
        );
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

#[test]
#[cfg(unix)]
fn a_checkpoint_is_written_after_some_minutes_of_work() {
    let folder = folder();
    let train = |minutes: &str| {
        format!(
            "{START}train::finetune(net, d, #{{ steps: 100000, batch_size: 2, checkpoint_minutes: {minutes}, on_step: |e| if e.step == 3 {{ print(\"on\"); }} }});"
        )
    };
    for (minutes, kept) in [("0.0001", true), ("0", false), ("10.0", false)] {
        let running = start(folder.path(), &train(minutes), &["--out", minutes]);
        running.signal("KILL");
        let _ = running.end();
        let path = folder.path().join(minutes).join("finetune/last.safetensors");
        assert_eq!(path.exists(), kept, "{minutes}");
    }
    for minutes in ["-1", "0.0/0.0", "1.0/0.0"] {
        let o = script(folder.path(), &train(minutes), &[]);
        assert!(code(&o) == 1 && err(&o).contains("checkpoint_minutes"), "{}", err(&o));
    }
}

/// A preset fills in what is not given; what is given goes before; a publication is asked about its own kind of training only.
#[test]
fn presets() {
    let folder = folder();
    let text = format!(
        r#"{START}
        train::finetune(net, d, #{{ preset: "deeplabv3plus", steps: 1, batch_size: 2, augment: #{{ crop: [32, 48] }} }});
        train::pretrain(net, d, #{{ preset: "zhao2021", steps: 1, batch_size: 2 }});
        for wrong in [|| train::pretrain(net, d, #{{ preset: "deeplabv3plus", steps: 1 }}), || train::finetune(net, d, #{{ preset: "zhao2021", steps: 1 }})] {{
            try {{ wrong.call(); }} catch (e) {{ print(e); }}
        }}"#
    );
    let o = script(folder.path(), &text, &["--out", "run"]);
    assert_eq!(code(&o), 0, "{}", err(&o));
    let lines = out(&o);
    let told: Vec<&str> = lines.lines().filter(|line| line.contains("preset \"")).collect();
    assert_eq!(told.len(), 2, "{lines}");
    assert!(
        told[0].contains("\"zhao2021\"") && told[1].contains("\"contrastive_seg\""),
        "{lines}"
    );
    let config = |name: &str| record(&folder.path().join("run").join(name))["training"].clone();
    let [fine, pre] = ["finetune", "pretrain"].map(config);
    let optimizer =
        |config: &Value| [&config["optimizer"]["lr"], &config["optimizer"]["weight_decay"]].map(Value::as_f64);
    assert_eq!(optimizer(&fine), [Some(0.007), Some(4e-5)]);
    assert_eq!(
        [&fine["batch_size"], &fine["augment"]["crop"]],
        [&json!(2), &json!([32, 48])]
    );
    assert_eq!(
        [
            &pre["objective"]["pixel_contrast"]["options"]["variant"],
            &pre["objective"]["pixel_contrast"]["options"]["temperature"]
        ],
        [&json!("within_image"), &json!(0.07)]
    );
    assert!(pre["distort"].is_object());
}
