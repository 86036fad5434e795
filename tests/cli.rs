//! The program: commands, exit codes, arguments.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn seglab(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_seglab"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_script_reads_its_arguments() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("a.rhai"),
        "print(arg(\"n\", 1)); print(arg(\"x\", 0.5)); print(arg(\"size\", \"64x64\")); print(arg(\"on\", false)); print(arg(\"list\", [1])); print(arg(\"crop\", [8, 8]));",
    )
    .unwrap();
    let o = seglab(
        folder.path(),
        &[
            "run",
            "a.rhai",
            "n=18",
            "size=96x128",
            "--seed",
            "3",
            "on=1",
            "x=2",
            "list=[1,2]",
            "crop=32x48",
        ],
        "",
    );
    assert_eq!(
        (code(&o), out(&o).as_str()),
        (0, "18\n2.0\n96x128\ntrue\n[1, 2]\n[32, 48]\n"),
        "{}",
        err(&o)
    );
    assert!(
        !folder.path().join("runs").exists(),
        "nothing was written, so there is no run folder"
    );
    let o = seglab(folder.path(), &["run", "a.rhai", "sizes=1"], "");
    assert_eq!(code(&o), 2);
    assert!(
        err(&o).contains("reads no argument `sizes`") && err(&o).contains("did you mean size=..?"),
        "{}",
        err(&o)
    );
    let o = seglab(folder.path(), &["run", "a.rhai", "n=many"], "");
    assert_eq!(code(&o), 1);
    let expected = "arg: n=many: found the string \"many\", expected an integer; write n=1";
    assert!(err(&o).contains(expected), "{}", err(&o));
}

#[test]
fn every_script_that_takes_a_size_explains_how_to_write_one() {
    let folder = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let scripts = ["scripts", "scripts/methods"].map(|name| std::fs::read_dir(folder(name)).unwrap());
    let mut sized = 0;
    for script in scripts.into_iter().flatten().map(|entry| entry.unwrap().path()) {
        if script.extension().is_none_or(|e| e != "rhai") {
            continue;
        }
        let text = std::fs::read_to_string(&script).unwrap();
        if !text.contains("arg(\"size\"") {
            continue;
        }
        sized += 1;
        let folder = tempfile::tempdir().unwrap();
        for size in ["size=64", "size=64x", "size=large"] {
            let mut arguments = vec!["run", script.to_str().unwrap(), size];
            if text.contains("arg(\"data\")") {
                arguments.push("data=x");
            }
            let o = seglab(folder.path(), &arguments, "");
            assert_eq!(code(&o), 1, "{}", script.display());
            let expected = format!("arg: {size}: found ");
            assert!(
                err(&o).contains(&expected)
                    && err(&o).contains("expected integers in the form [64, 96] or 64x96; write size=["),
                "{}",
                err(&o)
            );
        }
    }
    assert!(sized >= 5, "{sized}");
}

#[test]
#[cfg(unix)]
fn the_check_of_a_gpu_explains_itself_from_anywhere() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/gpu_check.sh");
    let folder = tempfile::tempdir().unwrap();
    for option in ["--help", "-h"] {
        let o = Command::new("bash")
            .arg(&script)
            .arg(option)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(code(&o), 0, "{}", err(&o));
        let text = out(&o);
        assert!(text.contains("--camvid ") && text.contains("GPU_CHECK_BUILD"), "{text}");
        assert!(!text.contains("set -u") && !text.contains('#'), "{text}");
    }
}

#[test]
fn failures_have_a_report_and_an_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("bad.rhai"),
        "let a = 1;\nlet b = tensor::ones([2]) / \"x\";\n",
    )
    .unwrap();
    let o = seglab(folder.path(), &["run", "bad.rhai"], "");
    assert_eq!(code(&o), 1);
    assert!(err(&o).contains("bad.rhai:2:") && err(&o).contains("^"), "{}", err(&o));
    assert_eq!(code(&seglab(folder.path(), &["run", "missing.rhai"], "")), 1);
    assert_eq!(code(&seglab(folder.path(), &["fly"], "")), 2);
    assert_eq!(code(&seglab(folder.path(), &["run", "bad.rhai", "oops"], "")), 2);
    assert_eq!(code(&seglab(folder.path(), &["info", "--device", "gpu"], "")), 0);
    assert_eq!(code(&seglab(folder.path(), &["--device", "gpu"], "1")), 2);
}

#[test]
fn piped_input_is_a_script() {
    let folder = tempfile::tempdir().unwrap();
    let o = seglab(folder.path(), &[], "print(1+1)");
    assert_eq!((code(&o), out(&o).as_str()), (0, "2\n"));
    let o = seglab(folder.path(), &[], "let a = 1;\nprint(b)");
    assert_eq!(code(&o), 1);
    assert!(err(&o).contains("<stdin>:2:7"), "{}", err(&o));
}

#[test]
fn check_finds_what_running_would_find_late() {
    let folder = tempfile::tempdir().unwrap();
    let script = "let t = tensor::ons([2]);\nlet u = tensor::zeros([2], #{ dtyp: \"f32\" });\nprint(v);\nif false { t.softmx() }\n\
         import \"nowhere\" as n;\nlet d = data::scenes();\ntrain::pretrain(n::net(), d, #{ loss: #{ memory: #{ per_clas: v } } });\n";
    std::fs::write(folder.path().join("c.rhai"), script).unwrap();
    std::fs::write(
        folder.path().join("good.rhai"),
        "import \"other\" as o;\nlet f = |x| x * PI * o::two();\nfn g(t) { t.softmax(#{ dim: 0 }) }\nprint(g(tensor::ones([2])));\nwhos();\n\
         train::finetune(o::net(), o::d(), #{ optimizer: #{ groups: #{ \"encoder\": 0.1 } }, schedule: \"poly\" });\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("other.rhai"), "fn two() { 2 }\n").unwrap();
    let o = seglab(folder.path(), &["check", "c.rhai"], "");
    assert_eq!(code(&o), 1);
    let text = out(&o);
    for expected in [
        "c.rhai:1:",
        "did you mean `tensor::ones`",
        "c.rhai:2:",
        "did you mean `dtype`",
        "c.rhai:3:7",
        "`softmx`",
        "c.rhai:5:8: import \"nowhere\": there is no file",
        "c.rhai:7:",
        "train::pretrain: loss: memory: unknown option `per_clas`",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let o = seglab(folder.path(), &["check", "good.rhai"], "");
    assert_eq!((code(&o), out(&o).as_str()), (0, ""), "{}", err(&o));
}

#[test]
fn help_reference_and_info_answer() {
    let folder = tempfile::tempdir().unwrap();
    let o = seglab(folder.path(), &["help", "softmax"], "");
    assert_eq!(code(&o), 0);
    assert!(
        out(&o).contains("temperature: float = 1.0") && out(&o).contains("example"),
        "{}",
        out(&o)
    );
    assert_eq!(code(&seglab(folder.path(), &["help", "softmxa"], "")), 1);
    assert!(out(&seglab(folder.path(), &["reference"], "")).starts_with("# Reference"));
    let start = std::time::Instant::now();
    let o = seglab(folder.path(), &["info"], "");
    assert!(out(&o).contains("seglab ") && out(&o).contains("threads"));
    // 50 ms on a quiet machine; a busy one gets ten times that
    assert!(start.elapsed().as_millis() < 500, "{:?}", start.elapsed());
}

#[test]
fn an_output_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    std::fs::write(
        folder.path().join("s.rhai"),
        "tensor::save(\"a.npz\", #{ a: tensor::ones([1]) });",
    )
    .unwrap();
    let o = seglab(folder.path(), &["run", "s.rhai", "--out", "file/below"], "");
    assert_eq!(code(&o), 1);
    assert!(
        err(&o).contains("file/below") && err(&o).contains("--out"),
        "{}",
        err(&o)
    );
    let o = seglab(folder.path(), &["run", "s.rhai"], "");
    assert_eq!(code(&o), 0, "{}", err(&o));
    let runs: Vec<_> = std::fs::read_dir(folder.path().join("runs")).unwrap().collect();
    assert_eq!(runs.len(), 1);
}

#[test]
#[cfg(unix)]
fn an_interrupted_script_exits_with_130() {
    interrupted("print(\"on\"); let i = 0; loop { i += 1; }");
}

#[test]
#[cfg(unix)]
fn an_interrupted_training_says_how_to_go_on() {
    let (folder, text) = interrupted(
        "let d = data::scenes(#{ count: 2, size: [32, 48] });
        let net = model::deeplabv3plus(#{ encoder: \"resnet18\", classes: d.classes, decoder_channels: 16 });
        train::finetune(net, d, #{ steps: 100000, batch_size: 2, on_step: |i| { if i.step == 0 { print(\"on\"); } } });",
    );
    let call = text.split("; ").find(|part| part.contains("train::load(")).unwrap();
    let call = call.split(" goes on").next().unwrap();
    let call = call.replace("data: ..", "data: data::scenes(#{ count: 2, size: [32, 48] })");
    let call = call.replace(".resume()", ".advance(1)");
    std::fs::write(folder.path().join("on.rhai"), format!("print({call});")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_seglab"))
        .args(["run", "on.rhai", "--out", "second"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{call}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Run a script that prints a line, interrupt it then; its folder, and what it printed after.
#[cfg(unix)]
fn interrupted(script: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("loop.rhai"), script).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_seglab"))
        .args(["run", "loop.rhai", "--out", "first"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut output, &mut text).unwrap();
    (folder, text)
}
