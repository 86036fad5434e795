//! `seglab run`, `seglab repl` and a script on standard input.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use seglab::device::{open_device, set_tf32};
use seglab::error::Error;
use seglab::script::{Argument, Interpreter, Report, Scope, check};
use seglab::session::sandbox::{Limits, Sandbox};
use seglab::session::screen::colours;
use seglab::session::signals::{self, INTERRUPTED};
use seglab::session::{Session, Sink};
use seglab::study::{Outcome, Record};

use super::cli::{Common, LimitArgs, Switch};
use super::{DONE, FAILED, USAGE, complain, refuse};

/// A person's inputs, or a script on standard input.
pub(super) fn typed(common: &Common, limits: &LimitArgs) -> u8 {
    if std::io::stdin().is_terminal() {
        repl(common, limits)
    } else {
        piped(common, limits)
    }
}

/// A session as the options ask for, and the handler of signals. `home` is the folder of the script.
fn open(common: &Common, limits: &LimitArgs, script: &str, home: &Path) -> Result<Session, u8> {
    let usage = |e: Error| refuse(USAGE, e);
    let device = open_device(&common.device).map_err(usage)?;
    set_tf32(common.tf32 == Switch::On);
    let folder = common.out.clone().unwrap_or_else(|| default_folder(script));
    let sink = if common.quiet { Sink::Quiet } else { Sink::terminal() };
    let session = Session::new(device, common.seed, folder.clone(), sink);
    if limits.sandbox {
        let mut folders = vec![home.to_path_buf(), folder];
        folders.extend(limits.allow.iter().cloned());
        confine(&session, limits, &folders).map_err(usage)?;
    }
    signals::handle(session.ending()).map_err(usage)?;
    session.set_overwrite(common.overwrite);
    session.set_event_files(common.tensorboard);
    if common.out.is_none() {
        session.number_folder();
    }
    if common.out.as_ref().is_some_and(|out| out.is_dir()) {
        // Who is at work there already is better said at once than after an hour.
        session.folder().map_err(|e| refuse(FAILED, e))?;
    }
    Ok(session)
}

/// Put the session into a sandbox; what does not answer to its limits ends with the process.
fn confine(session: &Session, limits: &LimitArgs, folders: &[PathBuf]) -> seglab::error::Result<()> {
    let numbers = Limits {
        operations: limits.max_operations,
        seconds: limits.max_seconds,
        memory: (limits.max_memory * 1e9) as u64,
        written: (limits.max_written * 1e9) as u64,
        files: limits.max_files,
    };
    let sandbox = Arc::new(Sandbox::new(numbers, folders, session.cancel_flag())?);
    sandbox
        .watch(|text| {
            std::process::exit(refuse(FAILED, text).into());
        })
        .map_err(|e| Error::usage(format!("--sandbox: no thread could be started ({e})")))?;
    session.confine(sandbox);
    Ok(())
}

pub(super) fn run(common: &Common, limits: &LimitArgs, file: &Path, pairs: &[String], go_on: bool) -> u8 {
    let arguments = match Argument::all(pairs) {
        Ok(arguments) => arguments,
        Err(problem) => return refuse(USAGE, problem),
    };
    let name = file
        .file_stem()
        .map_or("script".into(), |s| s.to_string_lossy().into_owned());
    let home = file
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let session = match open(common, limits, &name, home) {
        Ok(session) => session,
        Err(code) => return code,
    };
    let text = match seglab::script::engine::read_script(file) {
        Ok(text) => text,
        Err(e) => return finish(&session, Err(Box::new(Report::plain(e.to_string())))),
    };
    let interpreter = Interpreter::new(session.clone());
    session.set_script(&text);
    session.set_script_path(file);
    session.set_goes_on(go_on);
    let source = file.display().to_string();
    let mut scope = Scope::new();
    let ast = match interpreter.compile(&source, &text, &scope) {
        Ok(ast) => ast,
        Err(report) => return finish(&session, Err(report)),
    };
    let asked = check::arguments(&ast);
    if let Some(problem) = check::unread_argument(&source, &text, arguments.keys()) {
        return refuse(USAGE, problem);
    }
    interpreter.context().set_arguments(arguments);
    if go_on {
        if let Err(e) = session.folder() {
            return finish(&session, Err(Box::new(Report::plain(e.to_string()))));
        }
        record(&session, Outcome::Running, None);
    }
    let result = interpreter.run_ast(&source, &ast, &mut scope);
    if asked.is_none() && result.is_ok() {
        for (name, _) in interpreter.context().arguments().iter().filter(|(_, a)| !a.read) {
            session.warn(&format!("the script never read {name}=.."));
        }
    }
    let status = session.ending().status();
    let error = result.as_ref().err().map(|report| match status {
        Some(status) if report.interrupted => format!("the script ended itself: exit({status})"),
        _ => report.one_line(),
    });
    let code = finish(&session, result.map(|_| ()));
    match code {
        DONE => record(&session, Outcome::Done, None),
        INTERRUPTED | signals::TERMINATED | signals::HUNG_UP => record(&session, Outcome::Interrupted, None),
        _ => record(&session, Outcome::Failed, error),
    }
    code
}

/// Leave the record of a script's run in its folder, if it has one.
fn record(session: &Session, outcome: Outcome, error: Option<String>) {
    let kept = session.has_folder() && !session.script_path().as_os_str().is_empty();
    if kept && let Err(e) = Record::of(session, outcome, error).and_then(|r| r.write(session)) {
        session.warn(&format!("the record of this run could not be written: {e}"));
    }
}

/// A script on standard input.
fn piped(common: &Common, limits: &LimitArgs) -> u8 {
    let mut text = String::new();
    if let Err(e) = std::io::stdin().read_to_string(&mut text) {
        return refuse(FAILED, format!("standard input cannot be read ({e})"));
    }
    let session = match open(common, limits, "stdin", Path::new(".")) {
        Ok(session) => session,
        Err(code) => return code,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text); // a byte order mark
    session.set_script(text);
    let interpreter = Interpreter::new(session.clone());
    finish(
        &session,
        interpreter.run("<stdin>", text, &mut Scope::new()).map(|_| ()),
    )
}

fn repl(common: &Common, limits: &LimitArgs) -> u8 {
    match open(common, limits, "repl", Path::new(".")) {
        Ok(session) => {
            let interpreter = Interpreter::new(session.clone());
            match seglab::repl::run(interpreter) {
                Ok(()) => session.ending().status().unwrap_or(DONE),
                Err(e) => refuse(FAILED, e),
            }
        }
        Err(code) => code,
    }
}

/// Report the end of a script; a script that finished although Ctrl-C was pressed counts as interrupted.
fn finish(session: &Session, result: Result<(), Box<Report>>) -> u8 {
    let asked = session.ending().status();
    match result {
        Ok(()) if session.cancelled() => asked.unwrap_or(INTERRUPTED),
        Ok(()) => DONE,
        // exit(status), a signal or an output that nobody takes: no news for who asked
        Err(report) if report.interrupted && asked.is_some() => asked.unwrap_or(INTERRUPTED),
        Err(report) => {
            complain(&report.render(colours(std::io::stderr().is_terminal())));
            asked.unwrap_or(if report.interrupted { INTERRUPTED } else { FAILED })
        }
    }
}

/// `runs/2026-01-31-153000-name`, in universal time; a number follows if two start in the same second.
fn default_folder(script: &str) -> PathBuf {
    let name = format!("{}-{script}", seglab::session::clock::stamp());
    let runs = Path::new("runs");
    let mut folder = runs.join(&name);
    let mut n = 2;
    while folder.exists() {
        folder = runs.join(format!("{name}-{n}"));
        n += 1;
    }
    folder
}
