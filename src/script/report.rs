//! Error reports: message, place, source line, caret, the chain of calls, a hint.

use std::fmt::Write;

use rhai::{EvalAltResult, ParseError, ParseErrorType, Position, Scope};

use super::context::Context;
use super::translate;

/// Why a script ended, ready to be shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// What went wrong, one sentence.
    pub message: String,
    /// Where.
    pub place: Option<Location>,
    /// The calls that led there, innermost first: name and place.
    pub chain: Vec<(String, Location)>,
    /// What to do.
    pub hint: Option<String>,
    /// Whether Ctrl-C ended it rather than an error.
    pub interrupted: bool,
}

/// A position in a script.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Location {
    /// The file, or `in[3]` in the REPL.
    pub source: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// The text of the line.
    pub text: String,
}

impl Location {
    /// The place of `position` in the script called `source`, whose text `context` remembers.
    pub fn new(context: &Context, source: &str, position: Position) -> Option<Location> {
        let line = position.line()?;
        let text = context.sources().text(source);
        Some(Location {
            source: source.to_string(),
            line,
            column: position.position().unwrap_or(1),
            text: text.lines().nth(line - 1).unwrap_or_default().to_string(),
        })
    }

    /// What to write where a name is assigned to that stands here without having been declared.
    pub(super) fn undeclared(&self, name: &str) -> Option<String> {
        self.assigns_to(name)
            .then(|| format!("a variable is declared first: let {name} = .."))
    }

    /// Whether the name that stands here is assigned to.
    fn assigns_to(&self, name: &str) -> bool {
        let here: String = self.text.chars().skip(self.column.saturating_sub(1)).collect();
        let rest = here.strip_prefix(name).map(str::trim_start).unwrap_or_default();
        let rest = rest.trim_start_matches(['+', '-', '*', '/', '%']);
        rest.starts_with('=') && !rest.starts_with("==")
    }

    /// Whether a dot stands here or just before: what failed is a method.
    fn behind_a_dot(&self) -> bool {
        let before: String = self.text.chars().take(self.column.saturating_sub(1)).collect();
        before.trim_end().ends_with('.') || self.text.chars().nth(self.column.saturating_sub(1)) == Some('.')
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.source, self.line, self.column)
    }
}

/// The text in an ANSI colour, if asked.
pub fn painted(colour: bool, code: &str, text: &str) -> String {
    match colour {
        true => format!("\x1b[{code}m{text}\x1b[0m"),
        false => text.to_string(),
    }
}

impl Report {
    /// A report without a place.
    pub fn plain(message: impl Into<String>) -> Self {
        Report {
            message: message.into(),
            ..Report::default()
        }
    }

    /// The report as text, with ANSI colours if asked.
    pub fn render(&self, colour: bool) -> String {
        let paint = |code: &str, text: &str| painted(colour, code, text);
        let mut out = match self.interrupted {
            true => paint("1;33", "interrupted"),
            false => format!("{}: {}", paint("1;31", "error"), self.message),
        };
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            let gutter = " ".repeat(number.len());
            let _ = write!(out, "\n{gutter}{} {place}", paint("34", "-->"));
            if !place.text.trim().is_empty() {
                let text = place.text.replace('\t', " ");
                let before: String = text.chars().take(place.column.saturating_sub(1)).collect();
                let bar = paint("34", "|");
                let _ = write!(
                    out,
                    "\n{gutter} {bar}\n{} {bar} {text}\n{gutter} {bar} {}{}",
                    paint("34", &number),
                    " ".repeat(before.chars().count()),
                    paint("1;31", "^")
                );
            }
        }
        for (name, place) in &self.chain {
            let _ = write!(out, "\n  in {name}, called at {place}");
            if !place.text.trim().is_empty() {
                let _ = write!(out, ": {}", place.text.trim());
            }
        }
        if let Some(hint) = &self.hint {
            let _ = write!(out, "\n{}: {hint}", paint("1;36", "hint"));
        }
        out
    }

    /// `file:line:column: message`, for `seglab check`.
    pub fn one_line(&self) -> String {
        let hint = self.hint.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
        match &self.place {
            Some(place) => format!("{place}: {}{hint}", self.message),
            None => format!("{}{hint}", self.message),
        }
    }
}

/// The report of a run-time error in the script called `source`.
pub fn explain(context: &Context, source: &str, scope: &Scope, error: EvalAltResult) -> Report {
    let mut chain = Vec::new();
    let mut error = error;
    let mut source = source.to_string();
    let at = |source: &str, position| Location::new(context, source, context.sources().original(source, position));
    loop {
        error = match error {
            EvalAltResult::ErrorInFunctionCall(name, inner_source, inner, position) => {
                let name = if name.starts_with("anon$") {
                    "a closure".to_string()
                } else {
                    format!("`{name}`")
                };
                chain.extend(at(&source, position).map(|place| (name, place)));
                if !inner_source.is_empty() {
                    source = inner_source;
                }
                *inner
            }
            EvalAltResult::ErrorInModule(path, inner, position) => {
                chain.extend(at(&source, position).map(|p| (format!("the import of \"{path}\""), p)));
                source = path;
                *inner
            }
            other => {
                error = other;
                break;
            }
        };
    }
    chain.reverse();
    // a closure and the native function that calls it share their place
    let mut calls: Vec<(String, Location)> = Vec::new();
    for (name, place) in chain {
        match calls.last_mut() {
            Some((last, at)) if last == "a closure" && *at == place => *last = format!("a closure of {name}"),
            _ => calls.push((name, place)),
        }
    }
    let chain = calls;
    let position = error.position();
    let place = at(&source, position);
    let method = place.as_ref().is_some_and(Location::behind_a_dot);
    let (message, mut hint) = translate::runtime::explain(context, scope, &mut error, method);
    // thrown again, it is reported as it was at first
    if let EvalAltResult::ErrorRuntime(value, _) = &error
        && value.tag() != 0
        && let Some(first) = context.caught(&message)
    {
        return first;
    }
    if let EvalAltResult::ErrorVariableNotFound(name, _) = &error
        && let Some(undeclared) = place.as_ref().and_then(|p| p.undeclared(name))
    {
        hint = Some(undeclared);
    }
    if hint.is_none() && !chain.is_empty() && matches!(error, EvalAltResult::ErrorVariableNotFound(..)) {
        hint = Some("functions see no outer variables; pass them as arguments".into());
    }
    Report {
        message: super::plain::words(&message),
        place,
        chain,
        hint,
        interrupted: matches!(error, EvalAltResult::ErrorTerminated(..)),
    }
}

/// The report of a parse error.
pub fn explain_syntax(context: &Context, source: &str, error: &ParseError) -> Report {
    let text = context.sources().text(source);
    let position = context.sources().original(source, error.position());
    let mut place = Location::new(context, source, position).or_else(|| {
        let line = text.lines().count().max(1);
        let last = text.lines().last().unwrap_or_default();
        Location::new(
            context,
            source,
            Position::new(line.min(65535) as u16, (last.chars().count() + 1).min(65535) as u16),
        )
    });
    let (message, hint) = translate::syntax::explain(error.err_type(), &text, &mut place);
    Report {
        message,
        place,
        hint,
        ..Report::default()
    }
}

/// Whether a parse error only says that the text ends too early.
pub fn is_incomplete(text: &str, error: &ParseError) -> bool {
    if matches!(error.err_type(), ParseErrorType::UnexpectedEOF) || error.position().is_none() {
        return true;
    }
    let (Some(line), Some(column)) = (error.position().line(), error.position().position()) else {
        return true;
    };
    let trimmed = text.trim_end();
    let last_line = trimmed.lines().count().max(1);
    let last_column = trimmed.lines().last().unwrap_or_default().chars().count();
    line > last_line || (line == last_line && column > last_column)
}
