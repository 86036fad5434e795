//! What the line editor asks an [`Assistant`] for.

use std::borrow::Cow;

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::super::highlight::paint;
use super::super::typing::question;
use super::Assistant;
use crate::script::pieces::{Kind, Piece, partner, pieces};
use crate::script::report::{is_incomplete, painted};

/// Characters of a signature that are shown while typing; `name?` shows all.
const LONGEST_HINT: usize = 200;

impl Assistant {
    /// Whether what follows on the line is typed already; hints and colours come behind it.
    fn typed_ahead(&self, line: &str) -> bool {
        line.len() < self.ahead.get()
    }

    /// Whether the input wants more lines.
    pub fn incomplete(&self, text: &str) -> bool {
        let trimmed = text.trim();
        if trimmed.is_empty()
            || trimmed.starts_with(['%', '!'])
            || question(trimmed).is_some()
            || text.ends_with("\n\n")
        {
            return false;
        }
        // a name alone is a whole input, although the parser would take more
        if trimmed
            .trim_end_matches("::")
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_')
        {
            return false;
        }
        let unclosed = |p: &Piece| p.open && (p.kind == Kind::Comment || text[p.start..].starts_with(['`', '}']));
        if pieces(text).last().is_some_and(unclosed) {
            return true;
        }
        match self.parser.compile(text) {
            Ok(_) => false,
            Err(e) => is_incomplete(text, &e),
        }
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, names) = self.candidates(line, pos);
        let pair = |name: String| Pair {
            display: name.clone(),
            replacement: name,
        };
        Ok((start, names.into_iter().map(pair).collect()))
    }
}

/// A signature shown behind the cursor.
pub struct Signature(String);

impl Hint for Signature {
    fn display(&self) -> &str {
        &self.0
    }
    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Hinter for Assistant {
    type Hint = Signature;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<Signature> {
        if pos < line.len() || line.contains('\n') || self.typed_ahead(line) {
            return None;
        }
        let text = self.signature(line)?;
        Some(Signature(match text.char_indices().nth(LONGEST_HINT) {
            Some((end, _)) => format!("    {} ..", &text[..end]),
            None => format!("    {text}"),
        }))
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        if self.colour {
            Cow::Owned(paint(line, partner(line, pos)))
        } else {
            Cow::Borrowed(line)
        }
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(painted(self.colour, "1;32", prompt))
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(painted(self.colour, "2", hint))
    }

    /// Whether the line must be drawn anew for its colours. A letter at the end that changes no colour is only written.
    fn highlight_char(&self, line: &str, pos: usize, kind: CmdKind) -> bool {
        if !self.colour || kind == CmdKind::ForcedRefresh || self.typed_ahead(line) {
            return false;
        }
        let bracket = partner(line, pos);
        let marked = self.marked.replace(bracket);
        let Some((at, last)) = line
            .char_indices()
            .next_back()
            .filter(|_| pos == line.len() && marked.is_none())
        else {
            return bracket != marked || kind == CmdKind::Other;
        };
        bracket.is_some()
            || kind == CmdKind::Other && paint(line, None) != format!("{}{last}", paint(&line[..at], None))
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        Ok(if self.incomplete(context.input()) {
            ValidationResult::Incomplete
        } else {
            ValidationResult::Valid(None)
        })
    }
}

impl Helper for Assistant {}

#[cfg(test)]
mod tests {
    use super::super::tests::assistant;
    use super::*;

    #[test]
    fn only_what_changes_colour_is_drawn_anew() {
        let a = Assistant {
            colour: true,
            ..assistant()
        };
        let drawn = |line: &str| a.highlight_char(line, line.len(), CmdKind::Other);
        for (line, anew) in [
            ("w", false),
            ("we", false),
            ("le", false),
            ("let", true),
            ("lets", true),
            ("a =", false),
            ("a(", true),
        ] {
            assert_eq!(drawn(line), anew, "{line}");
        }
        a.ahead.set(10);
        assert!(!drawn("let"));
    }

    #[test]
    fn open_input_continues() {
        let a = assistant();
        for open in [
            "let a = [1,",
            "fn f(x) {",
            "f(|x| {",
            "1 +",
            "/* comment",
            "`text",
            "if true {\n 1",
            "let m = #{ a: 1,",
        ] {
            assert!(a.incomplete(open), "{open}");
        }
        for closed in [
            "let a = 1",
            "f(1)",
            "1 + ) 2",
            "let = 3",
            "\"a",
            "%help",
            "zeros?",
            "zeros??",
            "help for",
            "!ls (",
            "fn f(x) { x }",
            "let a = [1,\n\n",
            "whos()",
            "whos",
            "train::",
        ] {
            assert!(!a.incomplete(closed), "{closed}");
        }
    }
}
