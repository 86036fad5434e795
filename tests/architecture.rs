//! The rules of the layout: no import points up, a package is named only in its bracket, files stay short, the library
//! neither prints nor unwraps. All findings are collected, then reported at once.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};

/// The layers from the lowest to the highest; a module may import only from lower ones.
const LAYERS: [&[&str]; 12] = [
    &["allocator"],
    &["error"],
    &["random"],
    &["device"],
    &["session"],
    &["ops"],
    &["nn", "loss", "data", "metrics", "plot"],
    &["train"],
    &["study"],
    &["script"],
    &["repl"],
    &["main"],
];

/// A package and the only modules whose code may name it.
const BRACKETS: [(&str, &[&str]); 11] = [
    ("libmimalloc_sys", &["allocator"]),
    ("rand_chacha", &["random"]),
    ("indicatif", &["session"]),
    ("gemm", &["ops"]),
    ("image", &["data"]),
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

/// The names that follow `crate::` in a line, those in braces included.
fn imports(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for after in line.split("crate::").skip(1) {
        let list = after
            .strip_prefix('{')
            .and_then(|l| l.split('}').next())
            .unwrap_or(after);
        let parts: Vec<&str> = if after.starts_with('{') {
            list.split(',').collect()
        } else {
            vec![list]
        };
        for part in parts {
            let name: String = part
                .trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            names.push(name);
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
        for (number, line) in code(&text) {
            for name in imports(line) {
                if let Some(other) = layer(&name)
                    && name != own
                    && other >= own_layer
                {
                    findings.push(format!(
                        "{shown}:{number}: `{own}` imports from `{name}`, which is not below it"
                    ));
                }
            }
            for (package, allowed) in BRACKETS {
                if names_package(line, package) && !allowed.contains(&own.as_str()) {
                    findings.push(format!(
                        "{shown}:{number}: `{package}` may be named only in {allowed:?}"
                    ));
                }
            }
            let kernel = ["ops", "device"].contains(&own.as_str())
                && (shown.ends_with("cpu.rs") || shown.ends_with("cuda.rs") || shown.contains("kernel/cuda/"));
            if line.contains("unsafe ") && !line.contains("unsafe_") && !kernel && own != "allocator" {
                findings.push(format!(
                    "{shown}:{number}: `unsafe` outside ops/*/cpu.rs, ops/*/cuda.rs, ops/kernel/cuda/ and allocator.rs"
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
    assert_eq!(imports("use crate::{nn::Segmenter, train};"), ["nn", "train"]);
    assert_eq!(imports("let x = crate::ops::conv2d(a);"), ["ops"]);
    assert!(names_package("use rhai::Engine;", "rhai") && !names_package("use crate::rhai::x;", "rhai"));
    assert!(layer("train") > layer("nn") && layer("nowhere").is_none());
}
