//! Scripts run as they should or fail with the text they announce.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::path::{Path, PathBuf};

use seglab::script::{Interpreter, Scope, check};
use seglab::session::Session;

fn root(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn scripts(folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(root(folder))
        .into_iter()
        .flatten()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "rhai"))
        .collect();
    found.sort();
    found
}

/// Run on a thread with a large stack, as the program does.
fn on_large_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1 << 29).spawn(work).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn test_scripts_run() {
    on_large_stack(|| {
        let folder = tempfile::tempdir().unwrap();
        for path in scripts("tests/scripts")
            .iter()
            .filter(|p| !p.ends_with("errors.rhai") && !p.ends_with("habits.rhai"))
        {
            let interpreter = Interpreter::new(Session::quiet(folder.path()));
            if let Err(report) = interpreter.run_file(path) {
                panic!("{}", report.render(false));
            }
        }
    });
}

#[test]
fn lessons_run() {
    on_large_stack(|| {
        let lessons = scripts("examples");
        assert!(lessons.len() >= 6, "{lessons:?}");
        for path in lessons {
            let folder = tempfile::tempdir().unwrap();
            let interpreter = Interpreter::new(Session::quiet(folder.path()));
            if let Err(report) = interpreter.run_file(&path) {
                panic!("{}", report.render(false));
            }
        }
    });
}

#[test]
fn announced_errors_come() {
    on_large_stack(|| {
        let folder = tempfile::tempdir().unwrap();
        let mut failures = Vec::new();
        for (file, mark) in [("errors.rhai", "// Error: "), ("habits.rhai", "// Hint: ")] {
            let text = std::fs::read_to_string(root("tests/scripts").join(file)).unwrap();
            for block in text.split(mark).skip(1) {
                let (expected, script) = block.split_once('\n').unwrap();
                let interpreter = Interpreter::new(Session::quiet(folder.path()));
                match interpreter.run(file, script, &mut Scope::new()) {
                    Ok(_) => failures.push(format!("no error: {script}")),
                    Err(report) => {
                        let said = match file {
                            "errors.rhai" => Some(&report.message),
                            _ => report.hint.as_ref(),
                        };
                        if !said.is_some_and(|text| text.contains(expected)) {
                            failures.push(format!("expected: {expected}\nfound: {}", report.render(false)));
                        }
                    }
                }
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    });
}

#[test]
fn scripts_and_examples_are_sound() {
    let interpreter = Interpreter::new(Session::quiet("unused"));
    let mut findings = Vec::new();
    for path in scripts("scripts")
        .into_iter()
        .chain(scripts("examples"))
        .chain(scripts("tests/scripts"))
    {
        if path.ends_with("errors.rhai") || path.ends_with("habits.rhai") {
            continue;
        }
        let text = seglab::script::engine::read_script(&path).unwrap();
        findings.extend(check::check(&interpreter, &path.display().to_string(), &text));
    }
    let lines: Vec<String> = findings.iter().map(|f| f.one_line()).collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

#[test]
fn modules_are_found_beside_the_script_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("helper.rhai", "fn double(x) { 2 * x }\nfn broken() { missing + 1 }");
    write("outside.rhai", "fn f() { 1 }");
    write("circle.rhai", "import \"circle\" as c;");
    write("main.rhai", "import \"helper\" as h; h::double(4)");
    write("main2.rhai", "import \"helper\" as h;\nh::broken()");
    write("main3.rhai", "import \"circle\" as c;");
    write("inner/main.rhai", "import \"../outside\" as o; o::f()");
    let run = |name: &str| Interpreter::new(Session::quiet("unused")).run_file(&folder.path().join(name));
    assert_eq!(run("main.rhai").unwrap().as_int().unwrap(), 8);
    let report = run("main2.rhai").unwrap_err();
    let place = report.place.clone().unwrap();
    assert!(
        place.source.ends_with("helper.rhai") && place.line == 2,
        "{}",
        report.render(false)
    );
    assert!(run("main3.rhai").unwrap_err().message.contains("circle"));
    assert!(
        run("inner/main.rhai")
            .unwrap_err()
            .message
            .contains("outside the script's folder")
    );
}

#[test]
fn the_unpredictable_ends_in_a_value_or_an_error() {
    on_large_stack(|| {
        let folder = tempfile::tempdir().unwrap();
        let interpreter = Interpreter::new(Session::quiet(folder.path()));
        let mut random = seglab::random::Random::new(5);
        let table = seglab::script::api::table();
        let values = [
            "()",
            "0",
            "-1",
            "3",
            "1e6",
            "-0.5",
            "\"\"",
            "\"f32\"",
            "\"x\"",
            "[]",
            "[2, 3]",
            "[-1]",
            "[[1, 2], [3]]",
            "#{}",
            "#{ dim: 1 }",
            "true",
            "|x| x",
            "tensor::ones([2, 3])",
            "tensor::arange(6)",
            "tensor::zeros([0])",
            "tensor::from(1.5)",
            "tensor::ones([1, 2, 4, 4])",
            "tensor::from([1, 2]).to_dtype(\"u8\")",
            "0..3",
            "tensor::ones([2, 2]).to_dtype(\"f16\")",
        ];
        let pick = |random: &mut seglab::random::Random| values[random.below(values.len())];
        // the vocabulary of tensors and numbers; longer work has its own tests
        let entries: Vec<_> = table
            .entries
            .iter()
            .filter(|e| {
                e.body.is_some()
                    && (e.namespace == "tensor"
                        || e.receiver == "Tensor"
                        || e.receiver == "array"
                        || e.namespace.is_empty() && e.receiver.is_empty())
            })
            .collect();
        for _ in 0..10_000 {
            let entry = entries[random.below(entries.len())];
            let count = random.below(4);
            let arguments: Vec<&str> = (0..count).map(|_| pick(&mut random)).collect();
            let call = match entry.receiver {
                "" => format!("{}({})", entry.full_name(), arguments.join(", ")),
                _ => format!("({}).{}({})", pick(&mut random), entry.name, arguments.join(", ")),
            };
            if let Err(report) = interpreter.run("fuzz", &call, &mut Scope::new()) {
                assert!(
                    !report.message.contains("internal error"),
                    "{call}: {}",
                    report.render(false)
                );
            }
        }
    });
}
