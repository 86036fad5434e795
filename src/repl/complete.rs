//! While typing: completion, the signature hint, colours, and whether an input is complete.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::commands::COMMANDS;
use super::highlight::{KEYWORDS, Kind, pieces};
use crate::script::report::is_incomplete;
use crate::script::table::Entry;
use crate::script::{Engine, Table};

/// Characters of a signature that are shown while typing; `name?` shows all.
const LONGEST_HINT: usize = 200;

/// A variable as completion sees it.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The name of its type.
    pub kind: String,
    /// What is in it if it is a map.
    pub keys: Vec<Variable>,
}

/// Methods of Rhai's own types.
const OWN_METHODS: &[(&str, &[&str])] = &[
    (
        "array",
        &[
            "len", "push", "pop", "insert", "remove", "map", "filter", "reduce", "sort", "reverse", "contains", "some",
            "all", "extract", "index_of", "is_empty",
        ],
    ),
    (
        "map",
        &["keys", "values", "len", "contains", "remove", "mixin", "is_empty"],
    ),
    (
        "string",
        &[
            "len",
            "split",
            "trim",
            "replace",
            "contains",
            "starts_with",
            "ends_with",
            "sub_string",
            "to_upper",
            "to_lower",
            "index_of",
            "is_empty",
        ],
    ),
    ("int", &["abs", "to_float", "to_string"]),
    (
        "float",
        &["abs", "to_int", "round", "floor", "ceiling", "to_string", "is_nan"],
    ),
    ("closure", &["call", "curry", "name"]),
];

/// What helps while typing.
pub struct Assistant {
    table: Rc<Table>,
    variables: Rc<RefCell<Vec<Variable>>>,
    parser: Engine,
    colour: bool,
}

impl Assistant {
    /// An assistant that knows `table`.
    pub fn new(table: Rc<Table>, colour: bool) -> Self {
        Assistant {
            table,
            variables: Rc::default(),
            parser: crate::script::engine::parser(),
            colour,
        }
    }

    /// The variables, to be kept up to date by the owner.
    pub fn variables(&self) -> &Rc<RefCell<Vec<Variable>>> {
        &self.variables
    }

    /// Where the word before `pos` starts, and what could stand there.
    pub fn candidates(&self, line: &str, pos: usize) -> (usize, Vec<String>) {
        let before = &line[..pos];
        if let Some(open) = pieces(before).last().filter(|p| p.kind == Kind::Text && (p.open)) {
            return files(before, open.start + 1);
        }
        if before.trim_start().starts_with('%') && !before.trim_start().contains(' ') {
            let start = before.find('%').unwrap_or(0);
            return (
                start,
                matching(COMMANDS.iter().map(|c| format!("%{}", c.name)), &before[start..]),
            );
        }
        if let Some(rest) = before.trim_start().strip_prefix('%')
            && ["run", "save"].iter().any(|c| rest.starts_with(c))
        {
            return files(before, before.rfind(' ').map_or(0, |i| i + 1));
        }
        let start = before
            .rfind(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
        let (head, word) = before.split_at(start);
        if let Some(space) = head.strip_suffix("::") {
            let space = last_word(space);
            return (
                start,
                matching(self.table.functions_of(space).map(|e| e.name.to_string()), word),
            );
        }
        if let Some(owner) = head.strip_suffix('.') {
            return (start, matching(self.members(owner).into_iter(), word));
        }
        if let Some(options) = self.options(head) {
            return (start, matching(options.into_iter().map(|o| format!("{o}: ")), word));
        }
        if word.is_empty() {
            return (start, Vec::new());
        }
        let variables = self.variables.borrow();
        let names = variables.iter().map(|v| v.name.clone());
        let functions = self.table.functions_of("").map(|e| e.name.to_string());
        let spaces = self.table.namespaces.iter().map(|(n, _)| format!("{n}::"));
        let words = KEYWORDS.iter().map(ToString::to_string);
        let own = ["print", "PI"].map(str::to_string);
        let mut found = matching(names.chain(functions).chain(spaces).chain(words).chain(own), word);
        found.dedup();
        (start, found)
    }

    /// Methods, properties and keys of what stands before the dot; nothing where that is unknown.
    fn members(&self, owner: &str) -> Vec<String> {
        let Some(value) = self.value_of(owner) else {
            return Vec::new();
        };
        let mut names: Vec<String> = value.keys.iter().map(|v| v.name.clone()).collect();
        let declared = self.table.methods_of(&value.kind);
        names.extend(declared.map(|e| e.name.to_string()));
        let key = if value.kind.starts_with('[') {
            "array"
        } else {
            value.kind.as_str()
        };
        if let Some((_, own)) = OWN_METHODS.iter().find(|(k, _)| *k == key) {
            names.extend(own.iter().map(ToString::to_string));
        }
        names
    }

    /// What the expression at the end of `text` is, as far as variables and the table tell without running it: a variable, a
    /// call, a property, a key, an index, and chains of these.
    fn value_of(&self, text: &str) -> Option<Variable> {
        let text = text.trim_end();
        let of = |kind: &str| {
            Some(Variable {
                name: String::new(),
                kind: kind.to_string(),
                keys: Vec::new(),
            })
        };
        match text.chars().last()? {
            ')' => {
                let open = super::highlight::partner(text, text.len())?;
                match self.called(&text[..open]) {
                    Some(entry) => of(&entry.returns),
                    // brackets around an expression
                    None if !text[..open].ends_with(|c: char| c.is_alphanumeric() || c == '_') => {
                        self.value_of(&text[open + 1..text.len() - 1])
                    }
                    None => None,
                }
            }
            ']' => {
                let open = super::highlight::partner(text, text.len())?;
                let Some(owner) = self.value_of(&text[..open]) else {
                    let literal = !text[..open].ends_with(|c: char| c.is_alphanumeric() || ")]_".contains(c));
                    return if literal { of("array") } else { None };
                };
                match owner.kind.strip_prefix('[').and_then(|k| k.strip_suffix(']')) {
                    Some(item) => of(item),
                    None if owner.kind == "Tensor" => of("Tensor"),
                    None => {
                        let key = text[open + 1..text.len() - 1].trim().trim_matches('"');
                        owner.keys.into_iter().find(|v| v.name == key)
                    }
                }
            }
            '"' | '`' => of("string"),
            _ => {
                let name = last_word(text);
                let head = &text[..text.len() - name.len()];
                if name.starts_with(|c: char| c.is_ascii_digit()) || head.ends_with("::") {
                    return None;
                }
                if let Some(owner) = head.strip_suffix('.') {
                    let owner = self.value_of(owner)?;
                    let entry = self.table.methods_of(&owner.kind).find(|e| e.name == name);
                    let key = owner.keys.into_iter().find(|v| v.name == name);
                    return key.or_else(|| of(&entry?.returns));
                }
                let known = self.variables.borrow().iter().find(|v| v.name == name).cloned();
                known.or_else(|| self.value_of(bound_here(head, name)?))
            }
        }
    }

    /// The function named at the end of `text`: `tensor::zeros`, `t.softmax`, `print`.
    fn called(&self, text: &str) -> Option<&Entry> {
        let text = text.trim_end();
        let name = last_word(text);
        if name.is_empty() {
            return None;
        }
        let head = &text[..text.len() - name.len()];
        let entries = &self.table.entries;
        if let Some(space) = head.strip_suffix("::") {
            let space = last_word(space);
            return entries
                .iter()
                .find(|e| e.namespace == space && e.name == name)
                .map(AsRef::as_ref);
        }
        if let Some(owner) = head.strip_suffix('.') {
            let kind = self.value_of(owner).map(|v| v.kind);
            let fits =
                |e: &&Rc<Entry>| e.name == name && kind.as_ref().map_or(!e.receiver.is_empty(), |k| e.receiver == *k);
            return entries.iter().find(fits).map(AsRef::as_ref);
        }
        entries
            .iter()
            .find(|e| e.namespace.is_empty() && e.receiver.is_empty() && e.name == name && e.body.is_some())
            .map(AsRef::as_ref)
    }

    /// The brackets open at the end of `text`, outermost first: byte and character.
    fn open_brackets(text: &str) -> Vec<(usize, char)> {
        let mut open: Vec<(usize, char)> = Vec::new();
        for piece in pieces(text).into_iter().filter(|p| p.kind == Kind::Other) {
            match text[piece.start..].chars().next() {
                Some(c @ ('(' | '[' | '{')) => open.push((piece.start, c)),
                Some(')' | ']' | '}') => {
                    open.pop();
                }
                _ => {}
            }
        }
        open
    }

    /// The option names if `text` ends where a key of a call's option map is expected.
    fn options(&self, text: &str) -> Option<Vec<String>> {
        let open = Self::open_brackets(text);
        let [.., (call, '('), (brace, '{')] = open.as_slice() else {
            return None;
        };
        if !text[..*brace].ends_with('#') {
            return None;
        }
        let at_key = matches!(text[*brace..].trim_end().chars().last(), Some('{' | ','));
        let entry = self.called(&text[..*call]).filter(|_| at_key)?;
        let given = &text[*brace..];
        let names = entry.arguments().iter().map(|p| p.name.to_string());
        Some(names.filter(|n| !given.contains(&format!("{n}:"))).collect())
    }

    /// The signature of the innermost open call.
    fn signature(&self, line: &str) -> Option<String> {
        let open = Self::open_brackets(line);
        let (call, _) = open.iter().rev().find(|(_, c)| *c == '(')?;
        self.called(&line[..*call]).map(Entry::signature)
    }

    /// Whether the input wants more lines.
    pub fn incomplete(&self, text: &str) -> bool {
        let trimmed = text.trim();
        if trimmed.is_empty() || trimmed.starts_with('%') || trimmed.ends_with('?') || text.ends_with("\n\n") {
            return false;
        }
        let unclosed =
            |p: &super::highlight::Piece| p.open && (p.kind == Kind::Comment || text[p.start..].starts_with('`'));
        if pieces(text).last().is_some_and(unclosed) {
            return true;
        }
        match self.parser.compile(text) {
            Ok(_) => false,
            Err(e) => is_incomplete(text, &e),
        }
    }
}

/// The expression that `let name = ..;` binds in `text`, the last one.
fn bound_here<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (at, _) = text
        .match_indices("let ")
        .filter(|(at, word)| {
            let rest = text[at + word.len()..].trim_start();
            rest.strip_prefix(name).is_some_and(|r| r.trim_start().starts_with('='))
        })
        .last()?;
    let value = text[at..].split_once('=')?.1;
    let mut depth = 0_i32;
    for piece in pieces(value).into_iter().filter(|p| p.kind == Kind::Other) {
        match &value[piece.start..piece.end] {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            ";" if depth == 0 => return Some(&value[..piece.start]),
            _ => {}
        }
    }
    None
}

/// The names that begin with `word`, sorted.
fn matching(names: impl Iterator<Item = String>, word: &str) -> Vec<String> {
    let mut found: Vec<String> = names.filter(|n| n.starts_with(word) && !n.contains("$")).collect();
    found.sort();
    found.dedup();
    found
}

/// The name at the end of the text.
fn last_word(text: &str) -> &str {
    let start = text.rfind(|c: char| !c.is_alphanumeric() && c != '_');
    match start {
        Some(i) => &text[i + text[i..].chars().next().map_or(1, char::len_utf8)..],
        None => text,
    }
}

/// Files and folders that continue the path beginning at `start`.
fn files(before: &str, start: usize) -> (usize, Vec<String>) {
    let path = &before[start..];
    let (folder, word) = match path.rfind('/') {
        Some(i) => path.split_at(i + 1),
        None => ("", path),
    };
    let listed = std::fs::read_dir(if folder.is_empty() { "." } else { folder });
    let names = listed.into_iter().flatten().flatten().map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            format!("{name}/")
        } else {
            name
        }
    });
    let found = matching(names.filter(|n| word.starts_with('.') || !n.starts_with('.')), word);
    (start, found.into_iter().map(|n| format!("{folder}{n}")).collect())
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
        if pos < line.len() || line.contains('\n') {
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
            Cow::Owned(super::highlight::paint(line, super::highlight::partner(line, pos)))
        } else {
            Cow::Borrowed(line)
        }
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.colour {
            Cow::Owned(format!("\x1b[1;32m{prompt}\x1b[0m"))
        } else {
            Cow::Borrowed(prompt)
        }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.colour {
            Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
        } else {
            Cow::Borrowed(hint)
        }
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.colour && kind != CmdKind::ForcedRefresh
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
    use super::*;

    fn assistant() -> Assistant {
        let a = Assistant::new(Rc::new(crate::script::api::table()), false);
        a.variables.borrow_mut().extend([
            Variable {
                name: "weights".into(),
                kind: "Tensor".into(),
                keys: vec![],
            },
            Variable {
                name: "batch".into(),
                kind: "map".into(),
                keys: ["images", "labels"]
                    .map(|name| Variable {
                        name: name.into(),
                        kind: "Tensor".into(),
                        keys: vec![],
                    })
                    .to_vec(),
            },
            Variable {
                name: "scenes".into(),
                kind: "Dataset".into(),
                keys: vec![],
            },
        ]);
        a
    }

    fn complete(line: &str) -> Vec<String> {
        assistant().candidates(line, line.len()).1
    }

    #[test]
    fn names_methods_keys_options_and_files_are_completed() {
        assert_eq!(complete("tensor::zer"), ["zeros"]);
        assert_eq!(complete("tens"), ["tensor::"]);
        assert_eq!(complete("let x = weigh"), ["weights"]);
        assert_eq!(complete("weights.softm"), ["softmax"]);
        assert_eq!(complete("batch.im"), ["images"]);
        assert_eq!(complete("tensor::zeros([2]).resh"), ["reshape"]);
        assert_eq!(complete("weights.softmax(#{ temp"), ["temperature: "]);
        assert_eq!(complete("weights.softmax(#{ temperature: 1, "), ["dim: "]);
        assert_eq!(complete("tensor::load(\"Cargo.to"), ["Cargo.toml"]);
        assert_eq!(complete("%hi"), ["%history"]);
        // through properties, calls, keys, indices and what the same input defines
        assert_eq!(complete("scenes.train.class_na"), ["class_names"]);
        assert_eq!(complete("scenes.train.take(3).class_na"), ["class_names"]);
        assert_eq!(complete("batch.images.softm"), ["softmax"]);
        assert_eq!(complete("batch[\"images\"].softm"), ["softmax"]);
        assert_eq!(complete("weights[0].softm"), ["softmax"]);
        assert_eq!(complete("(weights).softm"), ["softmax"]);
        assert_eq!(complete("let w = tensor::zeros([2]); w.softm"), ["softmax"]);
        assert_eq!(complete("scenes.class_names.le"), ["len"]);
        assert_eq!(complete("batch.images.class_na"), [""; 0]);
        assert_eq!(complete("unknown.so"), [""; 0]);
        assert!(complete("weights.softmax(#{ temperature: tem").is_empty());
    }

    #[test]
    fn a_signature_is_shown_inside_a_call() {
        let a = assistant();
        assert!(
            a.signature("weights.softmax(")
                .unwrap()
                .contains("temperature: float = 1.0")
        );
        assert!(
            a.signature("tensor::zeros([2, 3")
                .unwrap()
                .starts_with("tensor::zeros(shape")
        );
        assert!(a.signature("weights.softmax()").is_none());
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
            "fn f(x) { x }",
            "let a = [1,\n\n",
            "whos()",
        ] {
            assert!(!a.incomplete(closed), "{closed}");
        }
    }
}
