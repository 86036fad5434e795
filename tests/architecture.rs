//! The rules of the layout: no import points up, a package is named only in its bracket, files stay short, the library
//! neither prints nor unwraps. All findings are collected, then reported at once.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};

/// The layers from the lowest to the highest; a module may import only from lower ones.
const LAYERS: [&[&str]; 13] = [
    &["allocator"],
    &["error"],
    &["options"],
    &["random"],
    &["device"],
    &["session"],
    &["ops"],
    &["nn", "loss", "data", "metrics", "plot"],
    &["train", "teacher"],
    &["study"],
    &["script"],
    &["repl"],
    &["main"],
];

/// A package and the only modules whose code may name it.
const BRACKETS: [(&str, &[&str]); 13] = [
    ("libmimalloc_sys", &["allocator"]),
    ("rand_chacha", &["random"]),
    ("indicatif", &["session"]),
    ("gemm", &["ops"]),
    ("image", &["data"]),
    ("candle_transformers", &["teacher"]),
    ("tokenizers", &["teacher"]),
    ("resvg", &["plot"]),
    ("krilla", &["plot"]),
    ("plotters", &["plot"]),
    ("rhai", &["script", "repl", "main"]),
    ("rustyline", &["repl"]),
    ("clap", &["main"]),
];

/// Ways to a file past `session::Place`, which knows the sandbox and how to write, and the only files that may go them.
const PAST_THE_GATE: [&str; 12] = [
    "fs::write(",
    "fs::rename(",
    "fs::read(",
    "fs::read_to_string(",
    "fs::read_dir(",
    "fs::create_dir",
    "fs::copy(",
    "fs::hard_link(",
    "File::create",
    "File::open(",
    "File::options(",
    "OpenOptions",
];
const GATES: [&str; 4] = [
    "session/place.rs",
    "session/write.rs",
    "session/sandbox.rs",
    "session/lock.rs",
];

/// Reading of what is no file of anybody's: facts about the machine, names offered while typing, the libraries of CUDA.
const SYSTEM_FILES: [&str; 6] = [
    "session/memory.rs",
    "session/signals.rs",
    "ops/kernel/cpu.rs",
    "ops/kernel/cuda/emulated.rs",
    "repl/complete/mod.rs",
    "device/libraries.rs",
];

const LONGEST_FILE: usize = 600;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The module of a file: the first part of its path below `src`.
fn module(path: &Path, root: &Path) -> String {
    let first = path.strip_prefix(root).unwrap().iter().next().unwrap();
    Path::new(first).file_stem().unwrap().to_string_lossy().into_owned()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&module))
}

/// The lines of a file that are code: no comments, and nothing from the `#[cfg(test)]` module at its end (or that of the whole file).
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .take_while(|line| !["#[cfg(test)]", "#![cfg(test)]"].contains(line))
        .enumerate()
        .map(|(i, line)| (i + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The names that follow `crate::` in lines of code, each with the number of its line; those in braces too, which may go on over lines.
fn imports<'t>(lines: impl Iterator<Item = (usize, &'t str)>) -> Vec<(usize, String)> {
    let word = |text: &str| -> String {
        let letters = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_');
        letters.collect()
    };
    let mut names = Vec::new();
    let mut open = 0; // braces since `crate::{`
    let mut wanted = false; // behind the first brace or a comma stands a name
    for (number, line) in lines {
        let mut rest = line;
        while let Some(next) = rest.chars().next() {
            if open == 0 {
                let Some((_, after)) = rest.split_once("crate::") else {
                    break;
                };
                rest = after;
                match after.strip_prefix('{') {
                    Some(inside) => (open, wanted, rest) = (1, true, inside),
                    None => names.push((number, word(after))),
                }
                continue;
            }
            let name = word(rest);
            match next {
                '{' => open += 1,
                '}' => open -= 1,
                ',' => wanted = open == 1,
                _ if wanted && !name.is_empty() => {
                    names.push((number, name.clone()));
                    wanted = false;
                }
                _ => {}
            }
            rest = &rest[name.len().max(next.len_utf8())..];
        }
    }
    names
}

fn names_package(line: &str, package: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(&format!("{package}::")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| is_word(c) || c == ':')
    })
}

#[test]
fn the_layout_is_kept() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut findings = Vec::new();
    for path in sources(&root) {
        let text = std::fs::read_to_string(&path).unwrap();
        let shown = path.strip_prefix(&root).unwrap().display().to_string();
        let own = module(&path, &root);
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            findings.push(format!("{shown}: {lines} lines, more than {LONGEST_FILE}: split it"));
        }
        if own == "lib" {
            continue;
        }
        let Some(own_layer) = layer(&own) else {
            findings.push(format!("{shown}: module `{own}` stands in no layer"));
            continue;
        };
        for (number, name) in imports(code(&text)) {
            if let Some(other) = layer(&name)
                && name != own
                && other >= own_layer
            {
                findings.push(format!(
                    "{shown}:{number}: `{own}` imports from `{name}`, which is not below it"
                ));
            }
        }
        for (number, line) in code(&text) {
            for (package, allowed) in BRACKETS {
                if names_package(line, package) && !allowed.contains(&own.as_str()) {
                    findings.push(format!(
                        "{shown}:{number}: `{package}` may be named only in {allowed:?}"
                    ));
                }
            }
            let kernel = ["ops", "device"].contains(&own.as_str())
                && (shown.ends_with("cpu.rs") || shown.ends_with("cuda.rs") || shown.contains("kernel/cuda/"));
            let system = own == "allocator" || shown == "session/signals.rs";
            if line.contains("unsafe ") && !line.contains("unsafe_") && !kernel && !system {
                findings.push(format!(
                    "{shown}:{number}: `unsafe` outside ops/*/cpu.rs, ops/*/cuda.rs, ops/kernel/cuda/, allocator.rs and session/signals.rs"
                ));
            }
            if line.contains("feature = \"cuda\"") && !kernel && own != "main" {
                findings.push(format!(
                    "{shown}:{number}: the feature `cuda` outside ops/*/cuda.rs and device/cuda.rs"
                ));
            }
            for way in PAST_THE_GATE {
                let system = SYSTEM_FILES.contains(&shown.as_str()) || line.contains("\"/proc/");
                if line.contains(way) && !GATES.contains(&shown.as_str()) && !system {
                    findings.push(format!("{shown}:{number}: `{way}` past session::Place"));
                }
            }
            for forbidden in [
                ".unwrap()",
                ".expect(",
                "println!",
                "eprintln!",
                "thread_local!",
                "static mut",
            ] {
                if line.contains(forbidden) {
                    findings.push(format!("{shown}:{number}: `{forbidden}` in the library"));
                }
            }
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

/// Whether a line asks what the text of an error says, or cuts it.
fn reads_an_error(line: &str) -> bool {
    const READERS: [&str; 7] = [
        "contains",
        "starts_with",
        "ends_with",
        "split",
        "split_once",
        "strip_prefix",
        "replacen",
    ];
    let errors = ["e", "err", "error", "problem", "message", "inner", "other", "cause"];
    READERS.iter().any(|reader| {
        line.match_indices(&format!(".{reader}(")).any(|(at, _)| {
            let before = line[..at]
                .trim_end_matches(".to_string()")
                .trim_end_matches(".as_str()");
            let owner = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next();
            owner.is_some_and(|owner| errors.contains(&owner))
        })
    })
}

#[test]
fn errors_are_told_by_their_kind() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut findings = Vec::new();
    for path in sources(&root) {
        let shown = path.strip_prefix(&root).unwrap().display().to_string();
        // errors of Rhai and serde are translated in the one, those of candle in the other
        if shown.starts_with("script/translate/") || shown == "error.rs" {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = code(&text).filter(|(_, line)| reads_an_error(line));
        findings.extend(
            lines.map(|(number, line)| format!("{shown}:{number}: the text of an error is read: {}", line.trim())),
        );
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn the_checks_can_fail() {
    assert!(reads_an_error("if e.to_string().contains(\"x\") {"));
    assert!(reads_an_error("Some(d) if problem.ends_with(\"found ()\") => Ok(d()),"));
    assert!(!reads_an_error("if name.contains(\"x\") {"));
    let found = |text: &str| -> Vec<String> {
        let all = imports(code(text)).into_iter();
        all.map(|(number, name)| format!("{number} {name}")).collect()
    };
    assert_eq!(found("use crate::{nn::Segmenter, train};"), ["1 nn", "1 train"]);
    assert_eq!(found("let x = crate::ops::conv2d(a, crate::nn::B);"), ["1 ops", "1 nn"]);
    let several = "use crate::{\n    data::{Dataset, Splits},\n    // crate::script\n    train,\n};\nuse crate::script::{\n    table,\n};";
    assert_eq!(found(several), ["2 data", "4 train", "6 script"]);
    assert!(names_package("use rhai::Engine;", "rhai") && !names_package("use crate::rhai::x;", "rhai"));
    assert!(layer("train") > layer("nn") && layer("nowhere").is_none());
}
