//! The `%commands`, one table.

use std::process::Command as Process;
use std::time::Instant;

use super::typing::last_value;
use super::{Repl, shell};
use crate::error::or_meant;
use crate::script::engine::read_script;
use crate::script::{Argument, check};
use crate::session::Place;

/// One command.
pub struct Command {
    /// Its name without `%`.
    pub name: &'static str,
    /// What follows the name.
    arguments: &'static str,
    /// What it does.
    doc: &'static str,
    run: fn(&mut Repl, &str) -> Result<(), String>,
}

/// All commands.
pub const COMMANDS: &[Command] = &[
    command("help", "", "list these commands", list),
    command("whos", "", "list the variables", whos),
    command("history", "", "list the inputs of this session", history),
    command("save", "FILE", "write the inputs as a script", save),
    command(
        "run",
        "FILE [name=value ..]",
        "run a script here; its variables stay",
        run_file,
    ),
    command("time", "EXPR", "run an input and show how long it takes", time),
    command(
        "timeit",
        "EXPR",
        "run an input many times and show how long it takes once",
        timeit,
    ),
    command(
        "cd",
        "FOLDER",
        "change the folder that relative paths start from",
        change_folder,
    ),
    command("pwd", "", "show that folder", show_folder),
    command("reset", "", "forget all variables", reset),
    command("edit", "", "edit the last input in $EDITOR, then run it", edit),
    command("quit", "", "end (as Ctrl-D)", |_, _| Ok(())),
];

const fn command(
    name: &'static str,
    arguments: &'static str,
    doc: &'static str,
    run: fn(&mut Repl, &str) -> Result<(), String>,
) -> Command {
    Command {
        name,
        arguments,
        doc,
        run,
    }
}

/// Run a command line without its `%`; false ends the REPL.
pub fn run(repl: &mut Repl, line: &str) -> bool {
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let Some(command) = COMMANDS.iter().find(|c| c.name == name) else {
        let hint = or_meant(name, COMMANDS.iter().map(|c| c.name), "%", "");
        repl.say(&format!("error: there is no command %{name}{hint}; %help lists them"));
        return true;
    };
    if let Err(text) = (command.run)(repl, argument.trim()) {
        repl.say(&format!("error: %{name}: {text}"));
    }
    name != "quit"
}

fn list(repl: &mut Repl, _: &str) -> Result<(), String> {
    for c in COMMANDS {
        repl.say(&format!("  {:<26} {}", format!("%{} {}", c.name, c.arguments), c.doc));
    }
    for (key, doc) in [
        (
            "name?",
            "the help on a function, or what a variable holds; also `help name`",
        ),
        ("name??", "the text of a function of your own as well"),
        ("ans, _", "the last value"),
        ("!command", "run a command of the shell"),
        (";", "at the end of an input: do not show its value"),
        ("TAB", "complete names, methods, options, files"),
        ("Ctrl-C", "stop what runs; training pauses at its next step"),
        ("Ctrl-R", "search the inputs of all sessions"),
    ] {
        repl.say(&format!("  {key:<26} {doc}"));
    }
    Ok(())
}

fn whos(repl: &mut Repl, _: &str) -> Result<(), String> {
    repl.say(&repl.evaluator.whos());
    Ok(())
}

fn history(repl: &mut Repl, _: &str) -> Result<(), String> {
    for (i, input) in repl.evaluator.inputs().iter().enumerate() {
        let mark = if input.worked { "" } else { "   // failed" };
        repl.say(&format!(
            "[{}] {}{mark}",
            i + 1,
            input.text.trim_end().replace('\n', "\n    ")
        ));
    }
    Ok(())
}

fn save(repl: &mut Repl, file: &str) -> Result<(), String> {
    if file.is_empty() {
        return Err("needs the name of a file".into());
    }
    let text = super::record::script(repl.evaluator.inputs());
    let place = repl.evaluator.interpreter().session().output_here(file);
    place
        .and_then(|place| place.write(format!("// saved by seglab\n{text}")))
        .map_err(|e| e.to_string())?;
    repl.say(&format!("{} lines in {file}", text.lines().count()));
    Ok(())
}

fn run_file(repl: &mut Repl, argument: &str) -> Result<(), String> {
    let mut words = words(argument).into_iter();
    let Some(file) = words.next() else {
        return Err("needs the name of a script".into());
    };
    let arguments = Argument::all(words)?;
    let place = repl.evaluator.interpreter().session().place(&file);
    let text = read_script(&place).map_err(|e| e.to_string())?;
    check::unread_argument(&file, &text, arguments.keys()).map_or(Ok(()), Err)?;
    let context = repl.evaluator.interpreter().context();
    let before = context.arguments();
    context.set_arguments(arguments);
    let result = repl.evaluator.run_file(&file, &text);
    repl.evaluator.interpreter().context().set_arguments(before);
    repl.show(result, "");
    repl.stay();
    Ok(())
}

/// The words of a command line; white space inside quotes or brackets belongs to its word, the quotes around a file's name do not.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut depth, mut quote, mut between) = (0_usize, None, true);
    for c in line.chars() {
        match c {
            c if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            '[' | '{' | '(' if quote.is_none() => depth += 1,
            ']' | '}' | ')' if quote.is_none() => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c.is_whitespace() && depth == 0 && quote.is_none() {
            between = true;
        } else if std::mem::take(&mut between) {
            words.push(c.to_string());
        } else if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    if let Some(file) = words.first_mut() {
        *file = file.trim_matches(['"', '\'']).to_string();
    }
    words
}

/// Seconds that `%timeit` takes.
const TIMEIT: f64 = 1.0;

fn timeit(repl: &mut Repl, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("needs something to run".into());
    }
    match repl.evaluator.timed(&last_value(text), TIMEIT) {
        Ok(times) => {
            let mean = times.iter().sum::<f64>() / times.len() as f64;
            let best = times.iter().copied().fold(f64::INFINITY, f64::min);
            repl.say(&format!(
                "{} on average, {} at best, {} runs",
                span(mean),
                span(best),
                times.len()
            ));
        }
        Err(report) => repl.complain(&report),
    }
    Ok(())
}

/// Seconds in a fitting unit.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.3} us", s * 1e6),
        s if s < 1.0 => format!("{:.3} ms", s * 1e3),
        s => format!("{s:.3} s"),
    }
}

fn time(repl: &mut Repl, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("needs something to run".into());
    }
    let start = Instant::now();
    let outcome = repl.evaluator.input(&last_value(text));
    repl.show(outcome, text);
    let seconds = start.elapsed().as_secs_f64();
    repl.say(&if seconds < 1.0 {
        format!("{:.3} ms", seconds * 1e3)
    } else {
        span(seconds)
    });
    Ok(())
}

fn change_folder(repl: &mut Repl, folder: &str) -> Result<(), String> {
    let folder = shell::change_folder(repl.evaluator.interpreter(), folder)?;
    repl.say(&folder);
    Ok(())
}

fn show_folder(repl: &mut Repl, _: &str) -> Result<(), String> {
    repl.say(&shell::current_folder()?);
    Ok(())
}

fn reset(repl: &mut Repl, _: &str) -> Result<(), String> {
    repl.evaluator.reset();
    Ok(())
}

fn edit(repl: &mut Repl, _: &str) -> Result<(), String> {
    if repl.evaluator.interpreter().session().sandbox().is_some() {
        return Err("an editor would run outside of the sandbox".into());
    }
    let editor = std::env::var("EDITOR")
        .or_else(|_| std::env::var("VISUAL"))
        .unwrap_or_else(|_| "vi".into());
    let last = repl.evaluator.inputs().last().map_or(String::new(), |i| i.text.clone());
    let path = std::env::temp_dir().join(format!("seglab-edit-{}.rhai", std::process::id()));
    let place = Place::from(&path);
    place.write(last).map_err(|e| e.to_string())?;
    let mut words = editor.split_whitespace();
    let status = Process::new(words.next().unwrap_or("vi"))
        .args(words)
        .arg(&path)
        .status();
    let text = place.text("the edited input");
    let _ = std::fs::remove_file(&path);
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(format!("{editor} ended with {status}")),
        Err(e) => return Err(format!("{editor} cannot be started ({e}); set EDITOR")),
    }
    let text = text.map_err(|e| e.to_string())?;
    repl.say(text.trim_end());
    repl.evaluate(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_what_is_in_quotes_and_brackets() {
        assert_eq!(
            words("'my script.rhai' size=[64, 96]  name=\"a b\" k=3"),
            ["my script.rhai", "size=[64, 96]", "name=\"a b\"", "k=3"]
        );
        assert!(words("  ").is_empty());
    }
}
