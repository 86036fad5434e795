//! What `latex` writes is LaTeX: a document with such tables compiles, where pdflatex is there.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise and says why it skips"
)]

use std::process::Command;

use seglab::script::{Interpreter, Scope};
use seglab::session::Session;

const TABLES: &str = r#"
let rows = [
    #{ method: "50 % & more_of #1 {a} ~ ^ \\ $ < > |", miou: 0.5, seed: () },
    #{ method: "ours [1] \"q\"", miou: 0.0 / 0.0, seed: 3 },
    #{ method: "[1] first", miou: -1e-7, seed: 0 },
    #{ method: "* second", miou: 2, seed: 0 },
];
let text = latex(rows) + "\n\n" + latex(rows, #{ columns: ["seed", "miou", "method"], digits: #{ miou: 2 }, bold: "max", caption: "5 % & _", label: "t:a_b" })
    + latex(stats::summary(rows.filter(|row| row.seed != ()), #{ by: "method", value: "seed" }), #{ digits: 3, bold: #{ mean: "min" } });
text
"#;

#[test]
fn tables_compile() {
    if Command::new("pdflatex").arg("--version").output().is_err() {
        eprintln!("skipped: pdflatex is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let interpreter = Interpreter::new(Session::quiet(folder.path()));
    let tables = match interpreter.run("test", TABLES, &mut Scope::new()) {
        Ok(text) => text.to_string(),
        Err(report) => panic!("{}", report.render(false)),
    };
    let document = format!(
        "\\documentclass{{article}}\n\\usepackage{{booktabs}}\n\\begin{{document}}\n{tables}\n\\end{{document}}\n"
    );
    std::fs::write(folder.path().join("table.tex"), document).unwrap();
    let compiled = Command::new("pdflatex")
        .args(["-interaction=nonstopmode", "-halt-on-error", "table.tex"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stdout)
    );
    assert!(folder.path().join("table.pdf").exists());
}
