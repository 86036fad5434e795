//! No message names a Rust type, a source file or the inner name of a closure, whatever is called with whatever.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::process::Command;

use seglab::script::{Interpreter, Scope};
use seglab::session::Session;

/// What betrays Rust in a message; `None` if nothing does.
fn rust_in(text: &str) -> Option<&str> {
    let signs = [
        "core::",
        "alloc::",
        "std::",
        "rhai::",
        "candle_",
        "candle-core",
        "seglab::",
        "Dynamic",
        "ImmutableString",
        "FnPtr",
        "RangeInclusive",
        "ChunkType",
        "anon$",
        ".rs:",
        "/src/",
        "Some(",
        "None)",
        "Err(",
        "Ok(",
        "unwrap",
        "panicked",
    ];
    // a Rust structure: a word in capitals and small letters, then fields
    let structure = text
        .match_indices(" { ")
        .map(|(at, _)| {
            text[..at]
                .split(|c: char| !c.is_alphanumeric())
                .next_back()
                .unwrap_or("")
        })
        .find(|word| word.starts_with(char::is_uppercase) && word.contains(char::is_lowercase));
    signs.into_iter().find(|sign| text.contains(sign)).or(structure)
}

#[test]
fn the_check_can_fail() {
    assert_eq!(rust_in("found a core::ops::range::Range<i64>"), Some("core::"));
    assert_eq!(rust_in("while decoding ChunkKind { type: IDAT }"), Some("ChunkKind"));
    assert_eq!(rust_in("`for x in list { }` needs a list, found #{ a: 1 }"), None);
}

/// Every function of the table, with values that few functions take, one by one and in the place of each argument.
#[test]
fn wrong_values_are_told_in_the_words_of_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(folder.path()));
    let values = [
        "1..3",
        "1..=3",
        "|x| x",
        "Fn(\"f\")",
        "blob(2)",
        "timestamp()",
        "'c'",
        "[1..3]",
        "#{ a: |x| x }",
        "()",
    ];
    let (mut tried, mut wrong) = (0, Vec::new());
    let mut receivers = Scope::new();
    let script = "
        let tensor = tensor::ones([2]); let dataset = data::scenes(#{ count: 1, size: [16, 16] });
        let model = model::fcn(#{ encoder: \"resnet18\", classes: 2 }); let figure = plot::figure(); let memory = loss::memory();
        let clipteacher = teacher::clip(\"random\"); let samteacher = teacher::segment_anything(\"random\");
        let segformerteacher = teacher::segformer(\"random\");
    ";
    let _ = interpreter.run("test", script, &mut receivers).unwrap();
    for entry in &seglab::script::api::table().entries {
        let receiver = entry.receiver.to_lowercase();
        if entry.body.is_none() || (!receiver.is_empty() && !receivers.contains(&receiver)) || entry.name == "exit" {
            continue;
        }
        let prefix = if receiver.is_empty() {
            String::new()
        } else {
            format!("{receiver}.")
        };
        let needed = entry.arguments().iter().filter(|p| p.default.is_none()).count().max(1);
        for value in values {
            for place in 0..needed {
                let mut arguments = vec!["1"; needed];
                arguments[place] = value;
                let script = format!("{prefix}{}({})", entry.full_name(), arguments.join(", "));
                tried += 1;
                if let Err(report) = interpreter.run("test", &script, &mut receivers) {
                    let text = report.render(false).replace(&script, "");
                    if let Some(sign) = rust_in(&text) {
                        wrong.push(format!("{script}: {sign} in {text}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried > 1000, "{tried}");
}

#[test]
fn the_language_speaks_plainly_too() {
    let folder = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(folder.path()));
    let mut wrong = Vec::new();
    for script in [
        "(1..3).foo()",
        "(1..3) + 1",
        "(1..=3)[0]",
        "let r = 1..3; r.x = 1",
        "for i in timestamp() { }",
        "timestamp() * 2",
        "let f = |x| x; f + 1",
        "let f = |x| x; f.bar",
        "(|x| y).call(1)",
        "Fn(\"nothing\").call(1)",
        "[1, 2].map(1..3)",
        "[1, 2].sort(blob(2))",
        "throw 1..3",
        "throw |x| x",
        "assert_eq(1..3, |x| x)",
        "let x = 5; x[1..3] = 2.0",
        "tensor::from([1..3, 2])",
        "tensor::ones([2]) + (1..3)",
        "let t = tensor::ones([2]); t[|x| x]",
        "blob(2) + 'c'",
        "if 1..3 { }",
        "switch 1 { |x| x => 2 }",
    ] {
        if let Err(report) = interpreter.run("test", script, &mut Scope::new())
            && let Some(sign) = rust_in(&report.message)
        {
            wrong.push(format!("{script}: {sign} in {}", report.message));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Images and files of tensors that are damaged in every way: bytes flipped, cut, exchanged.
#[test]
fn damaged_files_are_told_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(folder.path()));
    let make = "
        show(tensor::rand([3, 6, 5]));
        for name in [\"t.npy\", \"t.npz\", \"t.safetensors\"] { tensor::save(name, #{ t: tensor::rand([3, 2]) }); }
    ";
    let _ = interpreter.run("test", make, &mut Scope::new()).unwrap();
    for part in ["images", "labels"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
    }
    let root = folder.path().display();
    let (mut failed, mut wrong) = (0, Vec::new());
    for name in ["show.png", "t.npy", "t.npz", "t.safetensors"] {
        let whole = std::fs::read(folder.path().join(name)).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            match at % 3 {
                0 => damaged[at] ^= 0x55,
                1 => damaged.truncate(at),
                _ => damaged.swap(at, whole.len() / 2),
            }
            let script = if name == "show.png" {
                std::fs::write(folder.path().join("images/a.png"), &damaged).unwrap();
                std::fs::write(
                    folder.path().join("labels/a.png"),
                    if at % 2 == 0 { &damaged } else { &whole },
                )
                .unwrap();
                format!("data::folder(\"{root}\", #{{ classes: 3, val: 0.0 }}).get(0)")
            } else {
                std::fs::write(folder.path().join(format!("damaged-{name}")), &damaged).unwrap();
                format!("tensor::load(\"{root}/damaged-{name}\")")
            };
            if let Err(report) = interpreter.run("test", &script, &mut Scope::new()) {
                failed += 1;
                if let Some(sign) = rust_in(&report.message) {
                    wrong.push(format!("{name} damaged at {at}: {sign} in {}", report.message));
                }
            }
        }
    }
    wrong.sort();
    assert!(
        wrong.is_empty(),
        "{} of {failed}:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    assert!(failed > 500, "{failed}");
}

/// Lengths that no memory holds are errors, which a script can catch.
#[test]
fn lengths_beyond_the_memory_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(folder.path()));
    for script in [
        "blob(1000000000000000)",
        "blob(1000000000000000, 7)",
        "let b = blob(); b.pad(1000000000000000, 7);",
        "let a = []; a.pad(100000000000000, 1);",
        "let s = \"\"; s.pad(1000000000000000, 'x');",
        "let s = \"\"; s.pad(1000000000000000, \"xy\");",
        "nn::conv2d(1048576, 1048576, #{ kernel: 4 })",
        "nn::linear(4194304, 4194304)",
        "nn::batch_norm(1099511627776)",
        "nn::group_norm(1, 1099511627776)",
        "nn::layer_norm(1099511627776)",
        "nn::conv2d(3, 8, #{ padding: 1000000 }).forward(tensor::zeros([1, 3, 4, 4]))",
        "nn::upsample(64).forward(tensor::zeros([1, 3, 1000, 1000]).broadcast([8, 3, 1000, 1000]))",
    ] {
        let caught = format!("let text = \"\"; try {{ {script} }} catch (e) {{ text = `${{e}}`; }} text");
        let text = interpreter.run("test", &caught, &mut Scope::new()).unwrap().to_string();
        assert!(text.contains("more than the memory that is free"), "{script}: {text}");
        assert!(rust_in(&text).is_none(), "{text}");
    }
    for script in [
        "nn::conv2d(4611686018427387904, 1)",
        "nn::conv2d(1, 4611686018427387904, #{ kernel: 3 })",
        "nn::conv2d(3, 8, #{ padding: 4611686018427387904 }).forward(tensor::zeros([1, 3, 4, 4]))",
        "nn::conv2d(3, 8, #{ dilation: 9223372036854775807 }).forward(tensor::zeros([1, 3, 4, 4]))",
        "nn::conv2d(3, 8, #{ stride: 9223372036854775807 }).forward(tensor::zeros([1, 3, 4, 4]))",
        "nn::max_pool(2, #{ padding: 9223372036854775807 }).forward(tensor::zeros([1, 3, 4, 4]))",
        "data::generate(9223372036854775807, |i| 1)",
        "data::generate(1000000000000, |i| 1)",
        "loss::pixel_contrast(tensor::zeros([1, 0, 2, 3]), (), tensor::zeros([1, 2, 3]).to_dtype(\"i64\"), #{ variant: \"supcon\" })",
        "loss::memory().store(tensor::zeros([1, 0, 2, 3]), tensor::zeros([1, 2, 3]).to_dtype(\"i64\"))",
    ] {
        let caught = format!("let text = \"\"; try {{ {script}; }} catch (e) {{ text = `${{e}}`; }} text");
        let text = interpreter.run("test", &caught, &mut Scope::new()).unwrap().to_string();
        assert!(
            !text.is_empty() && rust_in(&text).is_none() && !text.contains("internal"),
            "{script}: {text}"
        );
    }
    let small = "let b = blob(2, 257); b.pad(4, 3); assert_eq(b.len, 4); assert_eq(b[1], 1); assert_eq(b[3], 3);";
    let _ = interpreter.run("test", small, &mut Scope::new()).unwrap();
}

/// Memory that nobody checked for ends the program with a sentence, also where traces are wanted.
#[cfg(target_os = "linux")]
#[test]
fn an_end_for_want_of_memory_is_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("script.rhai"),
        "let s = \"xxxxxxxxxxxxxxxx\"; loop { s += s; }",
    )
    .unwrap();
    // 6 GB of addresses: more than the start takes, less than the text soon wants
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -v 6000000; exec \"$0\" run script.rhai --threads 1 --out out",
        ])
        .arg(env!("CARGO_BIN_EXE_seglab"))
        .env("RUST_BACKTRACE", "full")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("error: the memory is full"), "{text}");
    assert!(rust_in(&text).is_none(), "{text}");
}
