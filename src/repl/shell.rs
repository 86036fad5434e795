//! `!command`, `%cd` and `%pwd`.

use std::path::PathBuf;
use std::process::Command;

use crate::script::Interpreter;

/// Run a command of the shell, its input and output those of the terminal.
pub fn run(interpreter: &Interpreter, command: &str) -> Result<(), String> {
    refuse_in_sandbox(interpreter)?;
    if command.trim().is_empty() {
        return Err("a command of the shell follows `!`, as !ls".into());
    }
    if command.split_whitespace().next() == Some("cd") {
        return Err("`!cd` would end with its shell; %cd FOLDER changes the folder".into());
    }
    let status = Command::new("sh").arg("-c").arg(command).status();
    // Ctrl-C was meant for the command
    interpreter.session().clear_cancel();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("!{}: ended with {status}", command.trim())),
        Err(e) => Err(format!("!{}: no shell can be started ({e})", command.trim())),
    }
}

/// Change the folder that relative paths start from; without one, to the home folder.
pub fn change_folder(interpreter: &Interpreter, folder: &str) -> Result<String, String> {
    refuse_in_sandbox(interpreter)?;
    let home = || dirs::home_dir().ok_or("the home folder is not known".to_string());
    let path = match folder.strip_prefix('~') {
        None if folder.is_empty() => home()?,
        Some(rest) if rest.is_empty() || rest.starts_with('/') => home()?.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(folder),
    };
    std::env::set_current_dir(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => format!("there is no folder {}", path.display()),
        _ => format!("{} cannot be entered ({e})", path.display()),
    })?;
    current_folder()
}

/// The folder that relative paths start from.
pub fn current_folder() -> Result<String, String> {
    match std::env::current_dir() {
        Ok(folder) => Ok(folder.display().to_string()),
        Err(e) => Err(format!("the folder cannot be told ({e})")),
    }
}

fn refuse_in_sandbox(interpreter: &Interpreter) -> Result<(), String> {
    match interpreter.session().sandbox() {
        Some(_) => Err("the shell would run outside of the sandbox".into()),
        None => Ok(()),
    }
}
