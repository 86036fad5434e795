//! Line editor, completion, commands: what a researcher types into.
//!
//! `mod.rs` reads and prints, `evaluate` runs an input and keeps its variables and functions, `complete` and `highlight`
//! help while typing, `typing` reads `name?` and `_`, `record` makes a script of a session, `commands` holds the table of
//! `%commands` (a new one is one line there), `shell` runs `!commands`.

mod commands;
mod complete;
mod evaluate;
mod highlight;
mod record;
mod shell;
mod typing;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustyline::config::{CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::{
    Cmd, ConditionalEventHandler, Editor, Event, EventContext, EventHandler, KeyEvent, RepeatCount,
    history::FileHistory,
};

use crate::error::{Error, Result};
use crate::script::report::painted;
use crate::script::{Dynamic, Interpreter, Report};
use crate::session::Place;
use crate::session::memory::memory_in_use;
use crate::session::screen::colours;
use crate::session::signals;

use complete::Assistant;
use evaluate::Evaluator;

/// Seconds from which on time and memory are shown after an input.
const WORTH_SAYING: f64 = 1.0;
/// A line that takes longer was not typed before its prompt came.
const TYPED_AHEAD: Duration = Duration::from_millis(200);
/// Characters of a value that are shown.
const LONGEST_VALUE: usize = 4000;

/// Read, evaluate, print until `%quit` or Ctrl-D.
pub fn run(interpreter: Interpreter) -> Result<()> {
    interpreter.context().set_interactive(true);
    let colour = colours(std::io::stdout().is_terminal());
    let mut repl = Repl {
        evaluator: Evaluator::new(interpreter),
        colour,
    };
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .history_ignore_space(true)
        .max_history_size(10_000)
        .map_err(line_error)?
        .build();
    let mut editor: Editor<Assistant, FileHistory> = Editor::with_config(config).map_err(line_error)?;
    let assistant = Assistant::new(repl.evaluator.interpreter().context().table().clone(), colour);
    let known = Rc::clone(assistant.known());
    let ahead = Rc::clone(assistant.ahead());
    editor.set_helper(Some(assistant));
    let left = Arc::new(AtomicBool::new(false));
    let leave = EventHandler::Conditional(Box::new(Leave(left.clone())));
    editor.bind_sequence(KeyEvent::ctrl('C'), leave);
    let history = history_file();
    if let Some(path) = &history {
        // no history yet is no error
        let _ = editor.load_history(path);
    }
    repl.say(&format!(
        "seglab {}; help() lists the functions, %help the commands, Ctrl-D ends",
        env!("CARGO_PKG_VERSION")
    ));
    loop {
        *known.borrow_mut() = repl.evaluator.known();
        let prompt = format!("[{}]> ", repl.evaluator.next_number());
        ahead.set(ahead.get() + waiting());
        let asked = Instant::now();
        let ending = repl.evaluator.interpreter().session().ending().clone();
        let line = ending.idle(|| editor.readline(&prompt));
        if ending.status().is_some() {
            break;
        }
        ahead.set(match &line {
            Ok(line) if asked.elapsed() < TYPED_AHEAD => ahead.get().saturating_sub(line.len() + 1),
            _ => 0,
        });
        match line {
            Ok(_) if left.swap(false, Ordering::Relaxed) => {}
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => {
                editor.add_history_entry(&line).map_err(line_error)?;
                let go_on = repl.input(&line);
                if let Some(path) = &history {
                    let _ = editor.append_history(path);
                }
                if !go_on || ending.status().is_some() {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            // a terminal that was closed looks like Ctrl-D; its SIGHUP is under way
            Err(_) if !signals::terminal_is_there() => {
                ending.signal(signals::HANG_UP);
                break;
            }
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(line_error(e)),
        }
    }
    Ok(())
}

/// Bytes typed that nobody has read.
fn waiting() -> usize {
    let waiting = rustix::io::ioctl_fionread(std::io::stdin()).unwrap_or(0);
    usize::try_from(waiting).unwrap_or(usize::MAX)
}

/// Ctrl-C on a line with a hint: the line is taken as it is, for then the editor wipes the hint away, and thrown away.
struct Leave(Arc<AtomicBool>);

impl ConditionalEventHandler for Leave {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        self.0.store(context.has_hint(), Ordering::Relaxed);
        context.has_hint().then_some(Cmd::AcceptLine)
    }
}

/// One running REPL.
struct Repl {
    evaluator: Evaluator,
    colour: bool,
}

impl Repl {
    /// Deal with one input; false ends the REPL.
    fn input(&mut self, text: &str) -> bool {
        let trimmed = text.trim();
        if let Some(command) = trimmed.strip_prefix('%') {
            return commands::run(self, command);
        }
        if let Some(command) = trimmed.strip_prefix('!') {
            if let Err(problem) = shell::run(self.evaluator.interpreter(), command) {
                self.say(&format!("error: {problem}"));
            }
            return true;
        }
        if let Some(question) = typing::question(trimmed) {
            self.describe(question.name, question.text);
            return true;
        }
        self.evaluate(&typing::last_value(text));
        true
    }

    /// Run an input and show what came of it.
    fn evaluate(&mut self, text: &str) {
        let start = Instant::now();
        let outcome = self.evaluator.input(text);
        self.show(outcome, text);
        if self.evaluator.interpreter().session().ending().status().is_some() {
            return;
        }
        let seconds = start.elapsed().as_secs_f64();
        if seconds >= WORTH_SAYING {
            let memory = memory_in_use()
                .map(|m| format!(", {:.2} GB in use", m as f64 / 1e9))
                .unwrap_or_default();
            self.say(&painted(self.colour, "2", &format!("({seconds:.1} s{memory})")));
        }
    }

    /// Show what came of an input: its value unless a `;` ends it.
    fn show(&self, outcome: std::result::Result<Dynamic, Box<Report>>, text: &str) {
        match outcome {
            Ok(value) if !value.is_unit() && !text.trim_end().ends_with(';') => self.echo(&value),
            Ok(_) => {}
            Err(report) => self.complain(&report),
        }
    }

    /// Show a value, a long one shortened.
    fn echo(&self, value: &Dynamic) {
        let text = self.evaluator.interpreter().display(value);
        let text = if value.is_string() && !text.contains('\n') {
            format!("{text:?}")
        } else {
            text
        };
        match text.char_indices().nth(LONGEST_VALUE) {
            Some((end, _)) => self.say(&format!("{} ... ({} characters)", &text[..end], text.chars().count())),
            None => self.say(&text),
        }
    }

    /// `name?`: the help on it, or what the variable holds. `name??`: the text of a function of one's own as well.
    fn describe(&self, name: &str, with_text: bool) {
        let context = self.evaluator.interpreter().context();
        if let Some(value) = self.evaluator.value(name) {
            let type_name = context.table().type_name(value.type_name()).to_string();
            self.say(&format!("{name}: {type_name}"));
            self.echo(&value);
            return;
        }
        self.say(&crate::script::help::about(context, name));
        if with_text && let Some(own) = context.definition(name.rsplit("::").next().unwrap_or(name)) {
            self.say(&format!("\n{}", own.text));
        }
    }

    fn complain(&self, report: &Report) {
        let ends = self.evaluator.interpreter().session().ending().status().is_some();
        if ends && report.interrupted {
            return;
        }
        let _ = writeln!(std::io::stderr().lock(), "{}", report.render(self.colour));
    }

    fn say(&self, text: &str) {
        self.evaluator.interpreter().session().print(text);
    }

    /// A script that called exit(status) ends, not the session that ran it.
    fn stay(&self) {
        let session = self.evaluator.interpreter().session();
        if let Some(status) = session.ending().withdraw() {
            session.clear_cancel();
            self.say(&format!("the script ended with exit({status})"));
        }
    }
}

/// Where the inputs of all sessions are kept: the user's state folder.
fn history_file() -> Option<PathBuf> {
    let folder = dirs::state_dir().or_else(dirs::data_local_dir)?.join("seglab");
    Place::from(&folder).make_folder().ok()?;
    Some(folder.join("history.txt"))
}

fn line_error(e: ReadlineError) -> Error {
    Error::usage(format!("the line editor failed ({e})"))
}
