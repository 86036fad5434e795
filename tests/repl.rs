//! The REPL through a real pseudo-terminal.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod terminal;

use expectrl::{Eof, Expect};
use terminal::{READ, READING, enter, folder, start};

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
fn an_error_is_reported_and_changes_nothing() {
    let folder = folder();
    let mut t = start(folder.path());
    enter(&mut t, "let a = 5", "");
    enter(&mut t, "a = 6; tensor::zeroes([2])", "did you mean `tensor::zeros`?");
    enter(&mut t, "a", "\n5");
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
    t.expect("value: float").unwrap();
}

/// What stands on the screen after Ctrl-C on a half-typed call is what was typed, without the hint behind it.
#[test]
fn an_interrupted_line_keeps_no_hint() {
    let folder = folder();
    let mut t = start(folder.path());
    t.send("tensor::full(").unwrap();
    t.expect("value: float").unwrap();
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
    assert!(saved.contains("let a = 7;") && !saved.contains("missing"), "{saved}");
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
