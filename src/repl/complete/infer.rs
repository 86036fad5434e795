//! What an expression is without running it: variables, calls, properties, keys, indices, and chains of these.

use std::rc::Rc;

use super::{Assistant, last_word};
use crate::script::pieces::{partner, signs};
use crate::script::table::{Entry, Kind as EntryKind};

/// A variable as completion sees it.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The name of its type.
    pub kind: String,
    /// What is in it if it is a map.
    pub keys: Vec<Variable>,
    /// Its first item if it is an array.
    pub item: Option<Box<Variable>>,
}

impl Variable {
    /// A value of this kind of which no more is known.
    pub fn of(kind: &str) -> Self {
        Variable {
            name: String::new(),
            kind: kind.to_string(),
            keys: Vec::new(),
            item: None,
        }
    }

    /// What a function of the table gives.
    fn given_by(entry: &Entry) -> Self {
        let named = |name: &str| Variable {
            name: name.to_string(),
            ..Variable::of("")
        };
        Variable {
            keys: entry.keys().into_iter().map(named).collect(),
            ..Variable::of(&entry.returns)
        }
    }
}

impl Assistant {
    /// Methods, properties and keys of what stands before the dot; nothing where that is unknown.
    pub(super) fn members(&self, owner: &str) -> Vec<String> {
        let Some(value) = self.value_of(owner) else {
            return Vec::new();
        };
        let mut names: Vec<String> = value.keys.iter().map(|v| v.name.clone()).collect();
        names.extend(self.table.methods_of(receiver(&value.kind)).map(|e| e.name.to_string()));
        names
    }

    /// What the expression at the end of `text` is, as far as variables and the table tell without running it: a variable, a
    /// call, a property, a key, an index, and chains of these.
    fn value_of(&self, text: &str) -> Option<Variable> {
        let text = text.trim_end();
        let of = |kind: &str| Some(Variable::of(kind));
        match text.chars().last()? {
            ')' => {
                let open = partner(text, text.len())?;
                match self.called(&text[..open]) {
                    Some(entry) => Some(Variable::given_by(entry)),
                    // brackets around an expression
                    None if !text[..open].ends_with(|c: char| c.is_alphanumeric() || c == '_') => {
                        self.value_of(&text[open + 1..text.len() - 1])
                    }
                    None => None,
                }
            }
            ']' => {
                let open = partner(text, text.len())?;
                let Some(owner) = self.value_of(&text[..open]) else {
                    let literal = !text[..open].ends_with(|c: char| c.is_alphanumeric() || ")]_".contains(c));
                    return if literal { of("array") } else { None };
                };
                match owner.kind.strip_prefix('[').and_then(|k| k.strip_suffix(']')) {
                    Some(item) => of(item),
                    None if owner.kind == "array" => owner.item.map(|item| *item),
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
                    let entry = self.table.methods_of(receiver(&owner.kind)).find(|e| e.name == name);
                    let key = owner.keys.into_iter().find(|v| v.name == name);
                    return key.or_else(|| Some(Variable::given_by(entry?)));
                }
                let known = self.known.borrow().variables.iter().find(|v| v.name == name).cloned();
                known.or_else(|| self.value_of(bound_here(head, name)?))
            }
        }
    }

    /// The function named at the end of `text`: `tensor::zeros`, `t.softmax`, `print`.
    pub(super) fn called(&self, text: &str) -> Option<&Entry> {
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
            let fits = |e: &&Rc<Entry>| {
                e.name == name
                    && kind
                        .as_ref()
                        .map_or(!e.receiver.is_empty(), |k| e.receiver == receiver(k))
            };
            return entries.iter().find(fits).map(AsRef::as_ref);
        }
        entries
            .iter()
            .find(|e| {
                e.namespace.is_empty() && e.receiver.is_empty() && e.name == name && e.kind == EntryKind::Function
            })
            .map(AsRef::as_ref)
    }
}

/// The type whose methods a value of this kind has: `[string]` is an array.
fn receiver(kind: &str) -> &str {
    if kind.starts_with('[') { "array" } else { kind }
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
    let (end, ..) = signs(value).find(|(_, sign, depth)| *sign == ";" && *depth == 0)?;
    Some(&value[..end])
}
