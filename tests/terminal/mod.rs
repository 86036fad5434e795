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

/// Type a line, wait for this output, then for the next prompt.
pub fn enter(terminal: &mut Terminal, line: &str, output: &str) {
    terminal.send_line(line).unwrap();
    if let Err(e) = terminal.expect(output) {
        panic!("{line}: no {output:?} ({e})");
    }
    terminal.expect("]>").unwrap();
}

/// A folder of its own.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}
