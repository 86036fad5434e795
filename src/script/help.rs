//! The table as text: `help`, `apropos`, the generated reference.

use std::fmt::Write;

use super::table::{Entry, Kind, Table};
use crate::error::nearest;

/// What `help(name)` shows; an empty name gives the overview.
pub fn help(table: &Table, name: &str) -> String {
    let name = name.trim().trim_end_matches("::");
    if name.is_empty() {
        return overview(table);
    }
    if let Some((space, doc)) = table.namespaces.iter().find(|(n, _)| *n == name) {
        return list(
            &format!("{space}:: {doc}"),
            table.functions_of(space).map(AsRef::as_ref),
        );
    }
    if let Some(t) = table.types.iter().find(|t| t.name.eq_ignore_ascii_case(name)) {
        let own = table.entries.iter().filter(|e| e.receiver == t.name);
        return list(&format!("{}: {}", t.name, t.doc), own.map(AsRef::as_ref));
    }
    let found = table.find(name);
    if !found.is_empty() {
        let texts: Vec<String> = found.iter().map(|e| describe(e)).collect();
        return texts.join("\n\n");
    }
    let names: Vec<String> = table
        .entries
        .iter()
        .flat_map(|e| [e.full_name(), e.name.to_string()])
        .collect();
    let near = nearest(
        name,
        names
            .iter()
            .map(String::as_str)
            .chain(table.namespaces.iter().map(|(n, _)| *n)),
    );
    match near {
        Some(near) => {
            format!("there is no help on `{name}`; did you mean `{near}`? apropos(\"{name}\") searches the texts")
        }
        None => format!("there is no help on `{name}`; apropos(\"{name}\") searches the texts"),
    }
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
        let default = p.default.as_ref().map(|d| format!(" = {d}")).unwrap_or_default();
        let doc = p.doc.trim();
        let _ = write!(
            out,
            "\n    {}: {}{default}{}{doc}",
            p.name,
            p.kind,
            if doc.is_empty() { "" } else { "  " }
        );
    }
    for example in entry.examples() {
        let _ = write!(out, "\n  example:\n    {}", example.trim().replace('\n', "\n    "));
    }
    out
}

fn line(entry: &Entry) -> String {
    let owner = if entry.receiver.is_empty() {
        String::new()
    } else {
        format!("{}.", entry.receiver.to_lowercase())
    };
    format!("  {:<28} {}", format!("{owner}{}", entry.full_name()), entry.summary())
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
            let title = match entry.kind {
                Kind::Operator => format!("operators {}", entry.name),
                _ => entry.full_name(),
            };
            let _ = write!(out, "\n### {title}\n\n`{}`\n\n{}\n", entry.signature(), entry.text());
            let documented: Vec<_> = entry.arguments().iter().filter(|p| !p.doc.trim().is_empty()).collect();
            if !documented.is_empty() {
                out.push('\n');
            }
            for p in documented {
                let _ = writeln!(out, "- `{}`: {}", p.signature(), p.doc.trim().replace('\n', " "));
            }
            for example in entry.examples() {
                let _ = write!(out, "\n```rust\n{}\n```\n", example.trim());
            }
        }
    };
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
