//! A REPL in a pseudo-terminal, for the tests.
#![allow(dead_code, reason = "not every test file needs all of it")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use expectrl::process::unix::UnixProcess;
use expectrl::session::OsStream;
use expectrl::{Expect, Session};

pub type Terminal = Session<UnixProcess, OsStream>;

/// A REPL in `folder`, past its first prompt.
pub fn start(folder: &Path) -> Terminal {
    start_with(folder, &[], &[("NO_COLOR", "1")])
}

/// The same with arguments and variables of the environment.
pub fn start_with(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Terminal {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seglab"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .env_remove("COLORTERM")
        .env("TERM", "xterm")
        .env("XDG_STATE_HOME", folder.join("state"))
        .envs(environment.iter().copied());
    let mut terminal = Session::spawn(command).unwrap();
    terminal.set_expect_timeout(Some(Duration::from_secs(60)));
    terminal.expect("Ctrl-D ends").unwrap();
    terminal.expect("[1]>").unwrap();
    terminal
}

/// A shell in `folder` that shows `shell$`.
pub fn shell(folder: &Path) -> Terminal {
    let mut command = Command::new("sh");
    command
        .current_dir(folder)
        .env("TERM", "xterm")
        .env("PS1", "shell$ ")
        .env("XDG_STATE_HOME", folder.join("state"));
    let mut terminal = Session::spawn(command).unwrap();
    terminal.set_expect_timeout(Some(Duration::from_secs(60)));
    terminal.expect("shell$").unwrap();
    terminal
}

/// Bracketed paste, which the REPL asks for while it reads a line.
pub const READING: &str = "\x1b[?2004h";
/// Its end, when a line is read.
pub const READ: &str = "\x1b[?2004l";

/// Type a line, wait for this output, then for the next prompt.
pub fn enter(terminal: &mut Terminal, line: &str, output: &str) {
    terminal.send_line(line).unwrap();
    for mark in [READ, output, READING, "]>"] {
        if let Err(e) = terminal.expect(mark) {
            panic!("{line}: no {mark:?} ({e})");
        }
    }
}

/// What a line prints, with `\n` at the ends of its lines.
pub fn output(terminal: &mut Terminal, line: &str) -> String {
    terminal.send_line(line).unwrap();
    let mut until = |mark: &str| match terminal.expect(mark) {
        Ok(seen) => String::from_utf8_lossy(seen.before()).into_owned(),
        Err(e) => panic!("{line}: no {mark:?} ({e})"),
    };
    let _ = until(READ);
    let printed = until(READING);
    let _ = until("]>");
    printed.replace("\r\n", "\n").trim().to_string()
}

/// A small data set `data`, and a network `net` for it.
pub fn network(terminal: &mut Terminal) {
    enter(terminal, "let data = data::scenes(#{ count: 4, size: [32, 48] });", "");
    enter(
        terminal,
        "let net = model::deeplabv3plus(#{ encoder: \"resnet18\", classes: data.classes, decoder_channels: 16 });",
        "",
    );
}

/// A folder of its own.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}
