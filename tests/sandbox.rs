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
        "data::folder(\".\", #{ images: \"../outside\", labels: \"../outside\", classes: 2 })".into(),
        "data::folder(\"data\", #{ images: \"../link/images\", classes: 2 })".into(),
        "loss::memory().restore(\"../outside/secret.npy\")".into(),
        "loss::memory().save(\"../outside/secret.npy\")".into(),
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
        &["is no NumPy array"],
    );
}

/// Words in the name of a parameter that takes a path.
const PATHS: [&str; 7] = ["path", "file", "folder", "list_file", "images", "labels", "masks"];

/// An expression for an argument of this kind that is not the one under test; `home` is a folder within the sandbox.
fn expression(kind: &str, home: &str) -> String {
    match kind.trim_start_matches("Option<").trim_end_matches('>') {
        "string" => format!("\"{home}\""),
        "int" | "float" => "1".into(),
        "bool" => "true".into(),
        "map" => "#{}".into(),
        "closure" => "|x| x".into(),
        "Tensor" => "tensor::ones([3, 2, 2])".into(),
        "Dataset" => "data::scenes(#{ count: 1, size: [16, 16] })".into(),
        "Model" => "model::fcn(#{ encoder: \"resnet18\", classes: 2 })".into(),
        "Figure" => "plot::figure().line([1, 2], [1, 2])".into(),
        "Memory" => "loss::memory()".into(),
        "Run" => "train::finetune(model::fcn(#{ encoder: \"resnet18\", classes: 9 }), data::scenes(#{ count: 1, size: [32, 32] }), \
                  #{ steps: 1, batch_size: 1 })"
            .into(),
        other if other.starts_with('[') || other.starts_with("array") => "[]".into(),
        _ => "()".into(),
    }
}

/// Every function of the table that takes a path refuses one that leads outside, given by position or as an option, absolute,
/// relative or through a link; nothing outside is changed or shown.
#[test]
fn every_argument_that_takes_a_path_passes_the_gate() {
    use seglab::script::{Interpreter, Scope};
    use seglab::session::Session;
    use seglab::session::sandbox::{Limits, Sandbox};
    let folder = tempfile::tempdir().unwrap();
    let (home, outside) = (folder.path().join("home"), folder.path().join("outside"));
    for part in ["images", "labels", "JPEGImages"] {
        std::fs::create_dir_all(home.join(part)).unwrap();
        std::fs::create_dir_all(outside.join(part)).unwrap();
    }
    let endings = ["", ".safetensors", ".npz", ".npy", ".png", ".txt", ".csv", ".json"];
    for ending in endings {
        std::fs::write(outside.join(format!("secret{ending}")), "the secret").unwrap();
    }
    std::os::unix::fs::symlink(&outside, home.join("link")).unwrap();
    let session = Session::quiet(home.join("run"));
    let limits = Limits {
        operations: u64::MAX,
        seconds: 1e9,
        memory: u64::MAX,
        written: u64::MAX,
        files: u64::MAX,
    };
    let sandbox = Sandbox::new(limits, std::slice::from_ref(&home), session.cancel_flag()).unwrap();
    session.confine(std::sync::Arc::new(sandbox));
    let interpreter = Interpreter::new(session);
    let (home, outside) = (home.display().to_string(), outside.display().to_string());
    let table = seglab::script::api::table();
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for entry in &table.entries {
        for (at, param) in entry.arguments().iter().enumerate() {
            if !PATHS.contains(&param.name) || !param.kind.contains("string") || param.kind.starts_with('[') {
                continue;
            }
            found.push(format!("{} {}", entry.full_name(), param.name));
            let mut refusals = 0;
            let mut scope = Scope::new();
            let receiver = match entry.receiver {
                "" => "",
                kind => {
                    let script = format!("let receiver = {};", expression(kind, &home));
                    let made = interpreter.run("test", &script, &mut scope);
                    assert!(made.is_ok(), "{script}: {made:?}");
                    "receiver."
                }
            };
            let ways = endings.iter().map(|ending| format!("{outside}/secret{ending}")).chain([
                outside.clone(),
                format!("{home}/../outside/new.npz"),
                format!("{home}/link/secret.safetensors"),
                format!("{home}/link/images"),
            ]);
            for way in ways {
                let before: Vec<String> = entry.arguments()[..at]
                    .iter()
                    .filter(|p| p.default.is_none())
                    .map(|p| expression(&p.kind, &home))
                    .collect();
                let after = entry.arguments()[at + 1..].iter().filter(|p| p.default.is_none());
                let mut arguments = before;
                match param.default {
                    None => arguments.push(format!("\"{way}\"")),
                    Some(_) => {
                        // what a reader wants to know before it looks at any file
                        let classes = entry.arguments().iter().any(|p| p.name == "classes");
                        let more = if classes { ", classes: 2" } else { "" };
                        arguments.push(format!("#{{ {}: \"{way}\"{more} }}", param.name));
                    }
                }
                arguments.extend(after.map(|p| expression(&p.kind, &home)));
                let script = format!("{receiver}{}({})", entry.full_name(), arguments.join(", "));
                let text = match interpreter.run("test", &script, &mut scope) {
                    Ok(_) => "it ran".to_string(),
                    Err(report) => report.message,
                };
                let name_alone = text.contains("expected one that ends in");
                refusals += usize::from(text.contains("limit for files"));
                if !(text.contains("limit for files") || name_alone) || text.contains("the secret") {
                    wrong.push(format!("{script}: {text}"));
                }
            }
            if refusals == 0 {
                wrong.push(format!("{} {}: never refused", entry.full_name(), param.name));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    for known in [
        "tensor::load path",
        "tensor::save path",
        "model::load path",
        "load_weights path",
        "restore path",
        "data::folder path",
        "data::folder images",
        "data::folder labels",
        "data::voc2012 masks",
        "subset list_file",
        "train::load path",
    ] {
        assert!(found.iter().any(|f| f == known), "{known} is not among {found:?}");
    }
    for ending in endings {
        let text = std::fs::read_to_string(format!("{outside}/secret{ending}")).unwrap();
        assert_eq!(text, "the secret");
    }
}

/// A parameter whose text speaks of a file or folder is named like one, so that the test above sees it.
#[test]
fn parameters_that_take_a_path_are_named_so() {
    let spoken = ["the file", "a file", "the folder", "a folder"];
    let mut strangers = Vec::new();
    for entry in &seglab::script::api::table().entries {
        for param in entry.arguments() {
            let doc = param.doc.to_lowercase();
            let path = param.kind.contains("string") && spoken.iter().any(|words| doc.starts_with(words));
            if path && !PATHS.contains(&param.name) {
                strangers.push(format!("{} {}: {}", entry.full_name(), param.name, param.doc));
            }
        }
    }
    assert!(strangers.is_empty(), "add them to PATHS:\n{}", strangers.join("\n"));
}

#[test]
fn bytes_files_and_folders_written() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    refused(
        &home,
        "let t = tensor::ones([250000]); for i in 0..100 { tensor::save(`${i}.npy`, #{ t: t }); }",
        &["--max-written", "0.0101", "--out", "bytes"],
        &["10.npy", "limit of 0.010 GB written", "--max-written"],
    );
    let sizes = std::fs::read_dir(home.join("bytes")).unwrap();
    let total: u64 = sizes.map(|f| f.unwrap().metadata().unwrap().len()).sum();
    assert!((9_000_000..=10_100_000).contains(&total), "{total}");
    // the same file again and again counts too
    refused(
        &home,
        "let t = tensor::ones([250000]); loop { tensor::save(\"a.npz\", #{ t: t }); }",
        &["--max-written", "0.01", "--out", "again"],
        &["a.npz", "--max-written"],
    );
    refused(
        &home,
        "for i in 0..100 { tensor::save(`${i}/a.npy`, #{ t: tensor::ones([1]) }); }",
        &["--max-files", "12", "--out", "files"],
        &["limit of 12 new files and folders", "--max-files"],
    );
    // the run folder, then pairs of a folder and its file
    assert!(home.join("files/4/a.npy").exists() && !home.join("files/6").exists());
    // by default too
    refused(
        &home,
        "for i in 0..6000 { tensor::save(`${i}/a.npy`, #{ t: tensor::ones([1]) }); }",
        &["--out", "many"],
        &["limit of 1000 new files and folders"],
    );
}

#[test]
fn limits_that_limit_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for option in [
        "--max-seconds",
        "--max-memory",
        "--max-written",
        "--max-files",
        "--max-operations",
    ] {
        for value in ["nan", "NaN", "inf", "-inf", "0", "-1", "-0.0", "1e999", "", "x"] {
            let (code, text) = run(folder.path(), "print(1)", &[option, value]);
            assert_eq!(code, 2, "{option} {value}: {text}");
            assert!(
                text.contains(option) && text.contains("above 0"),
                "{option} {value}: {text}"
            );
        }
    }
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
