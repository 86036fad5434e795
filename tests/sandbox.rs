//! `--sandbox`: each limit holds, and its error names it and the option that raises it.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::path::Path;
use std::process::Command;

/// Run `script` in `home/script.rhai` from the folder `home` lies in: exit code and both outputs.
fn run(home: &Path, script: &str, arguments: &[&str]) -> (i32, String) {
    std::fs::create_dir_all(home).unwrap();
    std::fs::write(home.join("script.rhai"), script).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_seglab"))
        .args(["run", "script.rhai", "--sandbox"])
        .args(arguments)
        .current_dir(home)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn refused(home: &Path, script: &str, arguments: &[&str], expected: &[&str]) {
    let (code, text) = run(home, script, arguments);
    assert_eq!(code, 1, "{script}: {text}");
    for expected in expected {
        assert!(text.contains(expected), "{script}: no {expected:?} in {text}");
    }
}

#[test]
fn what_stays_within_the_limits_runs() {
    let folder = tempfile::tempdir().unwrap();
    let script = "
        let t = tensor::randn([3]);
        tensor::save(\"t.safetensors\", #{ t: t });
        assert_eq(tensor::load(\"t.safetensors\").t, t);
        plot::figure().line([1, 2], [1, 2]).save(\"deep/figure.png\");
        let data = data::scenes(#{ count: 2, size: [32, 48] });
        let net = model::deeplabv3plus(#{ encoder: \"resnet18\", classes: data.classes, decoder_channels: 16 });
        print(train::finetune(net, data, #{ steps: 1, batch_size: 2 }).status);
    ";
    let (code, text) = run(folder.path(), script, &[]);
    assert!(code == 0 && text.contains("done"), "{text}");
}

#[test]
fn operations_closures_included() {
    let folder = tempfile::tempdir().unwrap();
    let limit = ["--max-operations", "20000"];
    let named = ["limit of 20000 operations", "--max-operations"];
    refused(folder.path(), "loop { }", &limit, &named);
    refused(folder.path(), "try { loop { } } catch { } print(1)", &limit, &named);
    // each call of the closure is short, all of them together are not
    refused(
        folder.path(),
        "for i in 0..4000 { time(|| { let a = 1; a + 1; a + 2; a + 3 }); }",
        &limit,
        &named,
    );
}

#[test]
fn time_also_of_long_kernels() {
    let folder = tempfile::tempdir().unwrap();
    let limit = ["--max-seconds", "0.5"];
    let named = ["limit of 0.5 s", "--max-seconds"];
    refused(folder.path(), "loop { }", &limit, &named);
    refused(
        folder.path(),
        "let a = tensor::ones([9000, 9000]); for i in 0..100 { a.matmul(a); }",
        &limit,
        &named,
    );
    let training = "
        let data = data::scenes(#{ count: 2, size: [32, 48] });
        let net = model::deeplabv3plus(#{ encoder: \"resnet18\", classes: data.classes, decoder_channels: 16 });
        train::finetune(net, data, #{ steps: 100000, batch_size: 2 });
    ";
    refused(folder.path(), training, &limit, &named);
}

#[test]
fn memory_of_tensors_and_of_all_else() {
    let folder = tempfile::tempdir().unwrap();
    let limit = ["--max-memory", "0.3"];
    let named = ["limit of 0.300 GB", "--max-memory"];
    refused(folder.path(), "tensor::zeros([20000, 20000])", &limit, &named);
    refused(
        folder.path(),
        "let kept = []; loop { kept.push(tensor::ones([1000, 1000])); }",
        &limit,
        &named,
    );
    refused(folder.path(), "let s = \"x\"; loop { s += s; }", &limit, &named);
    refused(
        folder.path(),
        "let a = tensor::ones([30000, 1]); a.matmul(a.transpose())",
        &limit,
        &named,
    );
}

#[test]
fn files_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let outside = folder.path().join("outside");
    for part in ["images", "labels"] {
        std::fs::create_dir_all(outside.join(part)).unwrap();
    }
    std::fs::create_dir_all(home.join("data/images")).unwrap();
    std::fs::create_dir_all(home.join("data/labels")).unwrap();
    std::fs::write(outside.join("secret.npy"), "x").unwrap();
    std::fs::write(outside.join("helper.rhai"), "fn f() { 1 }").unwrap();
    std::fs::write(outside.join("images/a.png"), "x").unwrap();
    std::fs::write(home.join("data/images/a.png"), "x").unwrap();
    std::os::unix::fs::symlink(outside.join("images/a.png"), home.join("data/labels/a.png")).unwrap();
    std::os::unix::fs::symlink(&outside, home.join("link")).unwrap();
    std::os::unix::fs::symlink(outside.join("helper.rhai"), home.join("helper.rhai")).unwrap();
    std::fs::create_dir_all(home.join("camvid")).unwrap();
    std::fs::write(
        home.join("camvid/train.txt"),
        "../../outside/images/a.png ../../outside/images/a.png\n",
    )
    .unwrap();
    std::fs::write(
        home.join("camvid/val.txt"),
        "../../outside/images/a.png ../../outside/images/a.png\n",
    )
    .unwrap();
    let secret = outside.join("secret.npy").display().to_string();
    let net = "let net = model::unet(#{ encoder: \"resnet18\", classes: 2 });";
    for script in [
        format!("tensor::load(\"{secret}\")"),
        "tensor::load(\"../outside/secret.npy\")".into(),
        "tensor::load(\"link/secret.npy\")".into(),
        "tensor::save(\"../../../../stolen.npy\", #{ a: tensor::ones([1]) })".into(),
        format!("tensor::save(\"{secret}\", #{{ a: tensor::ones([1]) }})"),
        format!("model::load(\"{secret}\")"),
        format!("{net} net.save(\"{secret}\")"),
        format!("{net} net.load_weights(\"{secret}\")"),
        format!("train::load(\"{secret}\")"),
        format!(
            "plot::figure().line([1, 2], [1, 2]).save(\"{}\")",
            outside.join("a.png").display()
        ),
        format!("data::folder(\"{}\", #{{ classes: 2 }})", outside.display()),
        "data::folder(\"link\", #{ classes: 2 })".into(),
        "data::folder(\"data\", #{ classes: 2 })".into(),
        "data::camvid(\"camvid\")".into(),
        format!("data::scenes(#{{ count: 2 }}).subset(\"{secret}\")"),
    ] {
        refused(&home, &script, &[], &["limit for files", "--allow"]);
    }
    refused(&home, "import \"helper\" as h; h::f()", &[], &["outside"]);
    refused(&home, "import \"../outside/helper\" as h; h::f()", &[], &["outside"]);
    assert_eq!(std::fs::read_to_string(outside.join("secret.npy")).unwrap(), "x");
    // what is allowed by name is read, and fails for what is in it
    let allowed = ["--allow", outside.to_str().unwrap()];
    refused(
        &home,
        &format!("tensor::load(\"{secret}\")"),
        &allowed,
        &["cannot be read as tensors"],
    );
}

#[test]
fn text_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), "eval(\"1 + 1\")", &[], &["eval"]);
    let (code, text) = run(folder.path(), "print(1)", &["--max-seconds", "5"]);
    assert!(code == 0 && text == "1\n", "{text}");
    let output = Command::new(env!("CARGO_BIN_EXE_seglab"))
        .args(["run", "script.rhai", "--max-seconds", "5"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("--sandbox"),
        "a limit without its sandbox is refused"
    );
}
