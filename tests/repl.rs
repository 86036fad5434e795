//! The REPL through a real pseudo-terminal.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod terminal;

use std::time::{Duration, Instant};

use expectrl::{Eof, Expect};
use terminal::{READ, READING, enter, folder, output, start, start_with};

#[test]
fn values_are_echoed_kept_and_silenced() {
    let folder = folder();
    let mut t = start(folder.path());
    enter(&mut t, "40 + 2", "\n42");
    enter(&mut t, "ans * 10", "\n420");
    enter(&mut t, "let m = tensor::ones([2, 3])", "");
    enter(&mut t, "m.shape", "\n[2, 3]");
    enter(&mut t, "m * 2", "Tensor f32 [2, 3] cpu");
    enter(&mut t, "\"quiet\".len;", "");
    enter(&mut t, "whos()", "bytes");
    t.send_line("%quit").unwrap();
    t.expect(Eof).unwrap();
}

#[test]
fn an_error_is_reported() {
    let folder = folder();
    let mut t = start(folder.path());
    enter(&mut t, "let a = 5", "");
    enter(&mut t, "a = 6; tensor::zeroes([2])", "did you mean `tensor::zeros`?");
    enter(&mut t, "a", "\n6");
    enter(&mut t, "%hstory", "did you mean %history?");
}

#[test]
fn open_brackets_continue_on_the_next_line() {
    let folder = folder();
    let mut t = start(folder.path());
    t.send("fn twice(x) {\r").unwrap();
    t.send("    2 * x\r").unwrap();
    t.send("}\r").unwrap();
    t.expect("[2]>").unwrap();
    enter(&mut t, "twice(21)", "\n42");
    enter(&mut t, "let f = |x| twice(x) + 1", "");
    enter(&mut t, "f.call(1)", "\n3");
}

#[test]
fn a_pasted_script_runs_as_one_input() {
    let folder = folder();
    let mut t = start(folder.path());
    t.send("\x1b[200~let a = 1;\nlet b = 2;\na + b\x1b[201~\r").unwrap();
    t.expect("\n3").unwrap();
    t.expect("[2]>").unwrap();
}

#[test]
fn tab_completes_and_hints_show_the_signature() {
    let folder = folder();
    let mut t = start(folder.path());
    t.send("tensor::zer\t").unwrap();
    t.expect("tensor::zeros").unwrap();
    t.send("([2, 3]).sha\t").unwrap();
    t.expect("shape").unwrap();
    t.send("\r").unwrap();
    t.expect("\n[2, 3]").unwrap();
    t.send("tensor::ones([2]).softmax(#{ tempera\t").unwrap();
    t.expect("temperature: ").unwrap();
    t.send("1 }).shape\r").unwrap();
    t.expect("\n[2]").unwrap();
    t.send("tensor::full(").unwrap();
    t.expect("value: Tensor or float").unwrap();
}

/// What stands on the screen after Ctrl-C on a half-typed call is what was typed, without the hint behind it.
#[test]
fn an_interrupted_line_keeps_no_hint() {
    let folder = folder();
    let mut t = start(folder.path());
    t.send("tensor::full(").unwrap();
    t.expect("value: Tensor or float").unwrap();
    t.send("\x03").unwrap();
    // the line is drawn anew, to its end and nothing behind it
    let seen = t.expect(READ).unwrap();
    let drawn = String::from_utf8_lossy(seen.before()).into_owned();
    let last = drawn.rsplit("tensor::full(").next().unwrap();
    assert!(drawn.contains("tensor::full(") && !last.contains("value"), "{drawn:?}");
    t.expect("[1]>").unwrap();
    enter(&mut t, "40 + 2", "\n42");
    // it was not run and is no part of the history
    t.send("\x1b[A\x1b[A\r").unwrap();
    t.expect("\n42").unwrap();
}

#[test]
fn help_is_one_key_away_and_commands_are_listed() {
    let folder = folder();
    let mut t = start(folder.path());
    enter(&mut t, "tensor::zeros?", "Make a tensor of zeros.");
    enter(&mut t, "help(\"softmax\")", "temperature: float = 1.0");
    enter(&mut t, "%help", "%history");
    enter(&mut t, "let a = 7", "");
    t.send("nonsense(\r").unwrap();
    t.expect("nonsense(").unwrap();
    t.send("\x03").unwrap();
    t.expect(READING).unwrap();
    t.expect("]>").unwrap();
    enter(&mut t, "missing + 1", "there is no variable `missing`");
    enter(&mut t, "%save saved.rhai", "in saved.rhai");
    let saved = std::fs::read_to_string(folder.path().join("saved.rhai")).unwrap();
    assert!(
        saved.contains("let a = 7;") && saved.contains("\n// failed: missing + 1"),
        "{saved}"
    );
    enter(&mut t, "%reset", "");
    enter(&mut t, "%run saved.rhai", "");
    enter(&mut t, "a", "\n7");
    enter(&mut t, "%time a + 1", "ms");
}

#[test]
fn history_is_kept_in_the_state_folder() {
    let folder = folder();
    let mut t = start(folder.path());
    enter(&mut t, "1234 + 1", "\n1235");
    t.send("\x04").unwrap();
    t.expect(Eof).unwrap();
    let mut t = start(folder.path());
    t.send("\x12").unwrap();
    t.send("1234").unwrap();
    t.expect("1234 + 1").unwrap();
    t.send("\r").unwrap();
    t.expect("\n1235").unwrap();
    assert!(!folder.path().join("runs").exists());
}

/// As in IPython: variables and changes made before an error or Ctrl-C are there afterwards.
#[test]
fn what_was_made_before_an_error_or_ctrl_c_stays() {
    let folder = folder();
    let mut t = start(folder.path());
    enter(
        &mut t,
        "let rows = []; for i in 0..5 { rows.push(i); if i == 3 { throw \"x\" } }",
        "error: x",
    );
    assert_eq!(output(&mut t, "rows"), "[0, 1, 2, 3]");
    t.send_line("let first = 1; rows.clear(); loop { rows.push(first); sleep(0.01); }")
        .unwrap();
    t.expect(READ).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    t.send("\x03").unwrap();
    t.expect("interrupted").unwrap();
    t.expect("]>").unwrap();
    assert_eq!(output(&mut t, "first + (if rows.len > 3 { 1 } else { 0 })"), "2");
    std::fs::write(
        folder.path().join("half.rhai"),
        "fn twice(x) { 2 * x }\nlet kept = twice(4);\nlet more = kept + 1;\nmissing",
    )
    .unwrap();
    enter(&mut t, "%run half.rhai", "half.rhai:4:1");
    assert_eq!(output(&mut t, "[kept, more, twice(1)]"), "[8, 9, 2]");
    // a text that does not parse does nothing
    enter(&mut t, "kept = 0; )", "error");
    assert_eq!(output(&mut t, "kept"), "8");
}

#[test]
fn waiting_is_interrupted_at_once() {
    let folder = folder();
    let mut t = start(folder.path());
    for wait in ["sleep(20)", "sleep(20.5)", "[1, 2].map(|x| sleep(20))"] {
        t.send_line(wait).unwrap();
        t.expect(READ).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let pressed = Instant::now();
        t.send("\x03").unwrap();
        t.expect("interrupted").unwrap();
        let seconds = pressed.elapsed().as_secs_f64();
        assert!(seconds < 1.0, "{wait}: {seconds} s");
        t.expect("]>").unwrap();
    }
    assert_eq!(output(&mut t, "40 + 2"), "42");
}

#[test]
fn what_ipython_has_is_here() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    std::fs::write(folder.path().join("lesson.rhai"), "let got = arg(\"a\", 1) + 1;").unwrap();
    let mut t = start(folder.path());
    enter(&mut t, "%run lesson.rhai a=7", "");
    assert_eq!(output(&mut t, "got"), "8");
    assert_eq!(output(&mut t, "_ + 1"), "9");
    assert_eq!(output(&mut t, "[_, `${_}`]"), "[9, \"9\"]");
    assert_eq!(output(&mut t, "switch 5 { 1 => 2, _ => 3 }"), "3");
    let shown = output(&mut t, "%run lesson.rhai b=7");
    assert!(
        shown.contains("reads no argument `b`") && shown.contains("it reads a"),
        "{shown}"
    );
    assert!(output(&mut t, "!ls").contains("lesson.rhai"));
    assert!(output(&mut t, "!false").contains("exit status: 1"));
    assert!(output(&mut t, "%pwd").starts_with('/'));
    assert!(output(&mut t, "%cd inner").ends_with("/inner"));
    assert!(output(&mut t, "%run lesson.rhai").contains("there is no such file"));
    assert!(output(&mut t, "%cd nowhere").contains("there is no folder nowhere"));
    let shown = output(&mut t, "%timeit 1 + 1");
    assert!(shown.contains(" us on average") && shown.contains(" runs"), "{shown}");
    assert!(output(&mut t, "%timeit missing").contains("there is no variable `missing`"));
    // Ctrl-C ends the command of the shell, not the session
    t.send_line("!sleep 20").unwrap();
    t.expect(READ).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    t.send("\x03").unwrap();
    t.expect("]>").unwrap();
    assert_eq!(output(&mut t, "40 + 2"), "42");
    let mut t = start_with(folder.path(), &["repl", "--sandbox"], &[("NO_COLOR", "1")]);
    for refused in ["!ls", "%cd inner"] {
        assert!(output(&mut t, refused).contains("outside of the sandbox"), "{refused}");
    }
}

#[test]
fn own_functions_and_the_language_have_help() {
    let folder = folder();
    let mut t = start(folder.path());
    t.send("\x1b[200~/// The mean of two.\n/// Both must be numbers.\nfn mean(a, b) {\n    (a + b) / 2.0 // halves\n}\x1b[201~\r")
        .unwrap();
    t.expect("[2]>").unwrap();
    let shown = output(&mut t, "mean?");
    assert_eq!(shown, "mean(a, b)\n  The mean of two.\n  Both must be numbers.");
    assert_eq!(output(&mut t, "help(\"mean\")"), shown);
    let text = output(&mut t, "mean??");
    assert!(
        text.starts_with(&shown) && text.contains("(a + b) / 2.0 // halves\n}"),
        "{text}"
    );
    for (asked, found) in [
        ("help(\"array\")", "array.filter"),
        ("help sort", "|a, b| b - a"),
        ("help for", "break"),
        ("help(\"string\")", "string.replace"),
        ("help(\"maps\")", "map.keys"),
        ("closure?", ".call("),
        ("math?", "5.0 / 8"),
        ("help(\"try\")", "e.line"),
        ("help", "the language:"),
        ("zip?", "|a, b| a + b"),
    ] {
        let shown = output(&mut t, asked);
        assert!(shown.contains(found), "{asked}:\n{shown}");
    }
}
