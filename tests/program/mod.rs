//! The program as a process, for the tests.
#![allow(dead_code, reason = "not every test file needs all of it")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// A small data set and a network for it, as the first lines of a script.
pub const START: &str = "let d = data::scenes(#{ count: 4, size: [16, 24] });
let net = model::deeplabv3plus(#{ encoder: \"resnet18\", classes: d.classes, decoder_channels: 8 });\n";

/// The program in `folder`.
pub fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seglab"));
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Run it to its end.
pub fn seglab(folder: &Path, arguments: &[&str]) -> Output {
    program(folder, arguments).output().unwrap()
}

/// Write a script, run it to its end.
pub fn script(folder: &Path, text: &str, arguments: &[&str]) -> Output {
    std::fs::write(folder.join("script.rhai"), text).unwrap();
    seglab(folder, &[&["run", "script.rhai"], arguments].concat())
}

pub fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// A script at work, past the first line that it prints.
pub struct Running {
    pub child: Child,
    output: Option<BufReader<ChildStdout>>,
}

/// Start a script that prints a line when it is at work, and wait for the line.
pub fn start(folder: &Path, text: &str, arguments: &[&str]) -> Running {
    std::fs::write(folder.join("running.rhai"), text).unwrap();
    started(program(folder, &[&["run", "running.rhai"], arguments].concat()))
}

/// Start a program that prints a line when it is at work, and wait for the line.
pub fn started(mut command: Command) -> Running {
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(!line.is_empty(), "it ended before it was at work");
    let output = Some(output);
    Running { child, output }
}

impl Running {
    /// Send a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Close its output.
    pub fn close(&mut self) {
        self.output = None;
    }

    /// Its status, what it printed after the first line, and its errors.
    pub fn end(mut self) -> (Option<i32>, String, String) {
        let (mut text, mut errors) = (String::new(), String::new());
        if let Some(mut output) = self.output {
            output.read_to_string(&mut text).unwrap();
        }
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code(), text, errors)
    }
}

/// Send a signal to a process.
pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(process.to_string())
        .status();
    assert!(sent.unwrap().success());
}
