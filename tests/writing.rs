//! What is written stays whole: a disk that fills up, a file of somebody else in the way, a process that was killed.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise, and says what it skips"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

const SEGLAB: &str = env!("CARGO_BIN_EXE_seglab");

fn run(folder: &Path, script: &str, out: &str) -> (i32, String) {
    std::fs::write(folder.join("script.rhai"), script).unwrap();
    let output = Command::new(SEGLAB)
        .args(["run", "script.rhai", "--out", out])
        .current_dir(folder)
        .output()
        .unwrap();
    (output.status.code().unwrap_or(-1), text(&output))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// Files by name with their content.
type Files = BTreeMap<String, Vec<u8>>;

/// The files below a folder.
fn files(folder: &Path) -> Files {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                // the lock of the run folder is no file of a run
                false if path.ends_with(".seglab.lock") => {}
                false => {
                    let name = path.strip_prefix(folder).unwrap().display().to_string();
                    found.insert(name, std::fs::read(&path).unwrap());
                }
            }
        }
    }
    found
}

/// Run the scripts one after the other with `disk/`, a disk of `size`, as run folder; what lies there after each of them, and what
/// each said. `None` where this machine lets nobody mount a disk.
fn on_a_disk(size: &str, scripts: &[&str]) -> Option<Vec<(Files, String)>> {
    let folder = tempfile::tempdir().unwrap();
    let mut steps = format!("mount -t tmpfs -o size={size} none disk || exit 77\n");
    std::fs::create_dir(folder.path().join("disk")).unwrap();
    for (i, script) in scripts.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{i}.rhai")), script).unwrap();
        steps += &format!("{SEGLAB} run {i}.rhai --out disk > said{i} 2>&1; cp -a disk after{i}\n");
    }
    for user in [&["--mount"][..], &["--user", "--map-root-user", "--mount"]] {
        let done = Command::new("unshare")
            .args(user)
            .args(["sh", "-c", &steps])
            .current_dir(folder.path())
            .output();
        if done.is_ok_and(|done| done.status.success()) {
            let after = |i: usize| {
                let said = std::fs::read_to_string(folder.path().join(format!("said{i}"))).unwrap();
                (files(&folder.path().join(format!("after{i}"))), said)
            };
            return Some((0..scripts.len()).map(after).collect());
        }
    }
    eprintln!("skipped: no disk can be mounted here");
    None
}

#[test]
fn a_full_disk_leaves_the_last_good_file_of_each_kind() {
    let write = "
        let t = tensor::rand([size]);
        let failures = [];
        for name in [\"t.npz\", \"t.npy\", \"t.safetensors\"] { try { tensor::save(name, #{ t: t }); } catch (e) { failures.push(`${e}`); } }
        let figure = plot::figure(#{ size: [6, 4] });
        let x = []; let y = [];
        for i in 0..points { x.push(i); y.push((i * 7919) % 1009); }
        let figure = figure.line(x, y, #{ marker: \"circle\" });
        for name in [\"a.svg\", \"a.png\", \"b.pdf\"] { try { figure.save(name, #{ dpi: dpi }); } catch (e) { failures.push(`${e}`); } }
        let memory = loss::memory(#{ warm_up: 1, per_class: 64 });
        memory.store(tensor::rand([1, channels, 4, 4]), tensor::zeros([1, 4, 4]).to_dtype(\"i64\"));
        try { memory.save(\"keys.safetensors\"); } catch (e) { failures.push(`${e}`); }
        try { show(tensor::rand([3, pixels, pixels])); } catch (e) { failures.push(`${e}`); }
        print(`${failures.len} failures`);
        for failure in failures { print(failure); }
    ";
    let small = format!("let size = 10; let points = 5; let dpi = 40; let channels = 4; let pixels = 8; {write}");
    let large = format!(
        "for size in [40000, 1000] {{ let i = 0; loop {{ i += 1;
             try {{ tensor::save(`filler${{size}}-${{i}}.npy`, #{{ t: tensor::rand([size]) }}); }} catch {{ break; }} }} }}
         let size = 300000; let points = 9000; let dpi = 400; let channels = 8192; let pixels = 400; {write}"
    );
    let Some(after) = on_a_disk("3m", &[&small, &large]) else {
        return;
    };
    let ((before, first), (after, second)) = (&after[0], &after[1]);
    assert!(first.contains("0 failures"), "{first}");
    assert_eq!(before.len(), 11, "{:?}", before.keys());
    // the record is that of the last run
    for (name, bytes) in before.iter().filter(|(name, _)| *name != "result.json") {
        assert!(after[name] == *bytes, "{name} was changed: {second}");
        if name != "show.png" && !name.ends_with(".csv") {
            assert!(
                second.contains(&format!("{name}: cannot be written")),
                "{name}: {second}"
            );
        }
    }
    let new: Vec<&String> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    assert!(new.iter().all(|name| name.starts_with("filler")), "{new:?}");
}

#[test]
fn a_full_disk_leaves_the_last_good_checkpoint() {
    let train = "
        let data = data::scenes(#{ count: 2, size: [32, 32], seed: 1 });
        let net = model::fcn(#{ encoder: \"resnet18\", classes: data.classes });
        train::finetune(net, data, #{ steps: 3, batch_size: 1, checkpoint_every: 1 });
    ";
    let go_on = "
        let data = data::scenes(#{ count: 2, size: [32, 32], seed: 1 });
        let run = train::load(\"disk/finetune/last.safetensors\", #{ data: data });
        print(`step ${run.step}`);
    ";
    let Some(after) = on_a_disk("150m", &[train, go_on]) else {
        return;
    };
    assert!(
        after[0].1.contains("last.safetensors: cannot be written"),
        "{}",
        after[0].1
    );
    let names: Vec<&String> = after[0].0.keys().filter(|n| n.contains("partial")).collect();
    assert!(names.is_empty(), "{names:?}");
    assert!(after[1].1.contains("step 1"), "{}", after[1].1);
}

#[test]
fn what_seglab_did_not_write_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    let foreign = ["f.png", "g.data.csv", "t.npz", "w.safetensors", "f.svg", "f.pdf"];
    for name in foreign {
        std::fs::write(mine.join(name), "the user's").unwrap();
    }
    let figure = "plot::figure().line([1, 2], [1, 2])";
    for (script, expected) in [
        (format!("{figure}.save(\"f.png\")"), &["f.png", "--overwrite"][..]),
        (format!("{figure}.save(\"f.svg\")"), &["f.svg"]),
        (format!("{figure}.save(\"f.pdf\")"), &["f.pdf"]),
        (format!("{figure}.save(\"g.png\")"), &["g.data.csv", "data: false"]),
        ("tensor::save(\"t.npz\", #{ t: tensor::ones([1]) })".into(), &["t.npz"]),
        (
            "model::fcn(#{ encoder: \"resnet18\", classes: 2 }).save(\"w.safetensors\")".into(),
            &["w.safetensors"],
        ),
    ] {
        let (code, said) = run(folder.path(), &script, "mine");
        assert_eq!(code, 1, "{script}: {said}");
        assert!(expected.iter().all(|e| said.contains(e)), "{script}: {said}");
    }
    for name in foreign {
        assert_eq!(
            std::fs::read_to_string(mine.join(name)).unwrap(),
            "the user's",
            "{name}"
        );
    }
    assert!(
        !mine.join("g.png").exists(),
        "nothing of the figure where its data cannot be written"
    );
    // results.csv of the user is not the figure's business, and what seglab wrote is replaced, also by a later run
    std::fs::write(mine.join("results.csv"), "the user's").unwrap();
    let script = format!(
        "for i in 0..2 {{ {figure}.save(\"results.png\"); {figure}.save(\"r.svg\"); {figure}.save(\"r.pdf\");
         for name in [\"o.npz\", \"o.npy\", \"o.safetensors\"] {{ tensor::save(name, #{{ t: tensor::ones([1]) }}); }} }}
         show(tensor::rand([3, 8, 8])); {figure}.save(\"g.png\", #{{ data: false }});"
    );
    for _ in 0..2 {
        let (code, said) = run(folder.path(), &script, "mine");
        assert_eq!(code, 0, "{said}");
    }
    assert_eq!(std::fs::read_to_string(mine.join("results.csv")).unwrap(), "the user's");
    assert!(
        std::fs::read_to_string(mine.join("results.data.csv"))
            .unwrap()
            .starts_with("panel,kind,series")
    );
}

#[test]
fn left_overs_of_killed_processes_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join(".old.npz.seglab-0.partial"), "half").unwrap();
    std::fs::write(out.join(".t.npy.seglab-3.partial"), "").unwrap();
    std::fs::write(out.join("thesis.partial"), "the user's").unwrap();
    let (code, said) = run(
        folder.path(),
        "tensor::save(\"t.npy\", #{ t: tensor::ones([1]) });",
        "out",
    );
    assert_eq!(code, 0, "{said}");
    let names: Vec<String> = files(&out).into_keys().collect();
    assert_eq!(names, ["result.json", "t.npy", "thesis.partial"]);
}

#[test]
fn large_heat_maps_have_no_data_unless_asked() {
    let folder = tempfile::tempdir().unwrap();
    let figure = |side: usize| format!("plot::figure().heatmap(tensor::rand([{side}, {side}]))");
    let script = format!(
        "{}.save(\"small.png\"); {}.save(\"large.png\"); {}.save(\"asked.png\", #{{ data: true }}); \
         {}.save(\"unasked.png\", #{{ data: false }});",
        figure(100),
        figure(101),
        figure(101),
        figure(3)
    );
    let (code, said) = run(folder.path(), &script, "out");
    assert_eq!(code, 0, "{said}");
    let tables: Vec<String> = files(&folder.path().join("out"))
        .into_keys()
        .filter(|n| n.ends_with("csv"))
        .collect();
    assert_eq!(tables, ["asked.data.csv", "small.data.csv"]);
}
