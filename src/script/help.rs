//! The table as text: `help`, `apropos`, the generated reference.

use std::fmt::Write;
use std::rc::Rc;

use super::context::Context;
use super::table::{Entry, Kind, Param, TOPICS, Table};
use crate::error::meant;

/// What `help(name)` shows in a session: a function of its own, else [`help`].
pub fn about(context: &Context, name: &str) -> String {
    let name = name.trim().trim_end_matches("()");
    let own = match name.rsplit_once("::") {
        Some((space, _)) if context.table().namespaces.iter().any(|(n, _)| *n == space) => None,
        Some((_, bare)) => context.definition(bare),
        None => context.definition(name),
    };
    match own {
        Some(own) => format!("{}\n  {}", own.signature(), own.comment.replace('\n', "\n  "))
            .trim_end()
            .to_string(),
        None => help(context.table(), name),
    }
}

/// What `help(name)` shows; an empty name gives the overview.
pub fn help(table: &Table, name: &str) -> String {
    found(table, name).unwrap_or_else(|| nothing(table, name.trim().trim_end_matches("::")))
}

/// The help on `name`, if there is any.
pub fn found(table: &Table, name: &str) -> Option<String> {
    let name = name.trim().trim_end_matches("::");
    if name.is_empty() {
        return Some(overview(table));
    }
    if let Some((space, doc)) = table.namespaces.iter().find(|(n, _)| *n == name) {
        return Some(list(
            &format!("{space}:: {doc}"),
            table.functions_of(space).map(AsRef::as_ref),
        ));
    }
    if let Some(t) = table.types.iter().find(|t| t.name.eq_ignore_ascii_case(name)) {
        let own = table.entries.iter().filter(|e| e.receiver == t.name);
        return Some(list(&format!("{}: {}", t.name, t.doc), own.map(AsRef::as_ref)));
    }
    let found = table.find(name);
    let mut texts: Vec<String> = found.iter().map(|e| describe(e)).collect();
    texts.extend(basic(table, &found, name));
    texts.extend(options(table, name, !found.is_empty()));
    (!texts.is_empty()).then(|| texts.join("\n\n"))
}

/// What is said where there is no help.
fn nothing(table: &Table, name: &str) -> String {
    let names: Vec<String> = table
        .entries
        .iter()
        .flat_map(|e| match e.kind {
            Kind::Topic => e.name.split(' ').map(str::to_string).collect(),
            _ => vec![e.full_name(), e.name.to_string()],
        })
        .collect();
    let spaces = table.namespaces.iter().map(|(n, _)| *n);
    let hint = meant(name, names.iter().map(String::as_str).chain(spaces), "`", "`");
    let hint = hint.map(|hint| hint + " ").unwrap_or_default();
    format!("there is no help on `{name}`; {hint}apropos(\"{name}\") searches the texts")
}

/// The methods of a type of the language, by its name or that of the topic on it.
fn basic(table: &Table, found: &[&Rc<Entry>], name: &str) -> Option<String> {
    let topic = found.iter().find(|e| e.kind == Kind::Topic);
    let is = |receiver: &str| receiver == name || topic.is_some_and(|t| t.name.split(' ').any(|n| n == receiver));
    let receiver = table
        .entries
        .iter()
        .map(|e| e.receiver)
        .find(|r| !r.is_empty() && is(r))?;
    Some(list(
        &format!("methods of {receiver}:"),
        table.methods_of(receiver).map(AsRef::as_ref),
    ))
}

/// The options called `name`, with the functions that take them; beside functions of that name only those that are maps.
fn options(table: &Table, name: &str, only_maps: bool) -> Vec<String> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for entry in &table.entries {
        let arguments = entry
            .arguments()
            .iter()
            .filter(|p| p.name == name && p.default.is_some());
        for p in arguments.filter(|p| !only_maps || !(p.inside)().fields().is_empty()) {
            let mut text = format!("\n  {}", argument(p));
            for field in (p.inside)().fields() {
                let p = Param::from(field);
                let default = p.default.as_deref().unwrap_or("()");
                let _ = write!(text, "\n    {}: {default}  {}", p.name, p.text().replace("\n ", " "));
            }
            match found.iter_mut().find(|(t, _)| *t == text) {
                Some((_, functions)) => functions.push(called(entry)),
                None => found.push((text, vec![called(entry)])),
            }
        }
    }
    let text = |(text, functions): (String, Vec<String>)| format!("an option of {}{text}", functions.join(", "));
    found.into_iter().map(text).collect()
}

/// Names and summaries that contain `text`.
pub fn apropos(table: &Table, text: &str) -> String {
    let wanted = text.to_lowercase();
    let hits = table
        .entries
        .iter()
        .filter(|e| e.full_name().to_lowercase().contains(&wanted) || e.doc.to_lowercase().contains(&wanted));
    let lines: Vec<String> = hits.map(|e| line(e)).collect();
    if lines.is_empty() {
        format!("nothing mentions `{text}`")
    } else {
        lines.join("\n")
    }
}

/// One function: signature, text, arguments, example.
fn describe(entry: &Entry) -> String {
    let mut out = entry.signature();
    let _ = write!(out, "\n  {}", entry.text().replace('\n', "\n  "));
    for p in entry.arguments() {
        let _ = write!(out, "\n    {}", argument(p));
    }
    for example in entry.examples() {
        let _ = write!(out, "\n  example:\n    {}", example.trim().replace('\n', "\n    "));
    }
    out
}

/// `dim: int = -1  Which dimension.`
fn argument(p: &Param) -> String {
    let text = p.text();
    format!("{}{}{text}", p.signature(), if text.is_empty() { "" } else { "  " })
}

/// `tensor::zeros`, or `tensor.softmax` for a method.
fn called(entry: &Entry) -> String {
    match (entry.kind, entry.receiver) {
        (Kind::Topic, _) => entry.signature(),
        (_, "") => entry.full_name(),
        (_, receiver) => format!("{}.{}", receiver.to_lowercase(), entry.full_name()),
    }
}

fn line(entry: &Entry) -> String {
    format!("  {:<28} {}", called(entry), entry.summary())
}

fn list<'a>(title: &str, entries: impl Iterator<Item = &'a Entry>) -> String {
    let mut out = title.to_string();
    for entry in entries {
        let _ = write!(out, "\n{}", line(entry));
    }
    out
}

fn overview(table: &Table) -> String {
    let mut out = String::from(
        "help(\"name\") explains a function, a namespace or a type; apropos(\"text\") searches.\n\nnamespaces:",
    );
    for (name, doc) in &table.namespaces {
        let _ = write!(out, "\n  {:<12} {doc}", format!("{name}::"));
    }
    out.push_str("\n\ntypes:");
    for t in &table.types {
        let _ = write!(out, "\n  {:<12} {}", t.name, t.doc);
    }
    out.push_str("\n\nthe language:");
    for topic in table.functions_of(TOPICS) {
        let _ = write!(out, "\n{}", line(topic));
    }
    out.push_str("\n\nfunctions without namespace:");
    for entry in table.functions_of("") {
        let _ = write!(out, "\n{}", line(entry));
    }
    out
}

/// The whole table as Markdown.
pub fn reference(table: &Table) -> String {
    let mut out = String::from(
        "# Reference\n\nGenerated from the function table by `seglab reference`; do not edit. Options go into a last argument `#{ name: value }`, or by position.\n",
    );
    let mut section = |title: &str, doc: &str, entries: Vec<&Entry>| {
        if entries.is_empty() {
            return;
        }
        let _ = write!(out, "\n## {title}\n\n{doc}\n");
        for entry in entries {
            let signature = entry.signature();
            let _ = match entry.kind {
                Kind::Operator => write!(out, "\n### operators {}\n\n`{signature}`\n", entry.name),
                Kind::Topic => write!(out, "\n### {signature}\n"),
                _ => write!(out, "\n### {}\n\n`{signature}`\n", entry.full_name()),
            };
            let _ = write!(out, "\n{}\n", entry.text());
            let documented: Vec<_> = entry.arguments().iter().filter(|p| !p.text().is_empty()).collect();
            if !documented.is_empty() {
                out.push('\n');
            }
            for p in documented {
                let _ = writeln!(out, "- `{}`: {}", p.signature(), p.text().replace('\n', " "));
            }
            for example in entry.examples() {
                let _ = write!(out, "\n```rust\n{}\n```\n", example.trim());
            }
        }
    };
    section(
        "The language",
        "Rhai, with what is different from Python.",
        table.functions_of(TOPICS).map(AsRef::as_ref).collect(),
    );
    section(
        "Session",
        "Functions without a namespace.",
        table.functions_of("").map(AsRef::as_ref).collect(),
    );
    for (name, doc) in &table.namespaces {
        section(
            &format!("{name}::"),
            doc,
            table.functions_of(name).map(AsRef::as_ref).collect(),
        );
    }
    let mut receivers: Vec<&str> = Vec::new();
    for entry in table.entries.iter().filter(|e| !e.receiver.is_empty()) {
        if !receivers.contains(&entry.receiver) {
            receivers.push(entry.receiver);
        }
    }
    for receiver in receivers {
        let doc = table.types.iter().find(|t| t.name == receiver).map_or("", |t| t.doc);
        let own = table.entries.iter().filter(|e| e.receiver == receiver);
        section(receiver, doc, own.map(AsRef::as_ref).collect());
    }
    out
}
