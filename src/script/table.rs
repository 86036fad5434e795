//! The function table: what every script function is called, takes, gives and says about itself.

use std::any::TypeId;
use std::rc::Rc;

use rhai::{Dynamic, EvalAltResult};

use super::call::Call;
use super::values::{ScriptType, Values, unless_empty};
use crate::error::Result;
use crate::options::{Field, Inside};

/// How a function is reached from a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// `name(..)`, `namespace::name(..)` or, in a table of methods, `value.name(..)`.
    #[default]
    Function,
    /// `value.name`, and `value.name()` as well.
    Getter,
    /// `value.name = ..`.
    Setter,
    /// An operator or indexer that is registered with Rhai directly and listed for help only.
    Operator,
    /// A part of the language that `help` explains.
    Topic,
}

/// Where the topics stand.
pub const TOPICS: &str = "language";

impl Kind {
    /// The kind that the keyword of a declaration stands for: `fn`, `get` or `set`.
    pub fn of(keyword: &str) -> Self {
        match keyword {
            "get" => Kind::Getter,
            "set" => Kind::Setter,
            _ => Kind::Function,
        }
    }
}

/// One parameter of a script function.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name, which is also the name of the option.
    pub name: &'static str,
    /// What it means (may be empty).
    pub doc: &'static str,
    /// The name of its type in signatures.
    pub kind: String,
    /// Whether a map in its place is the value itself rather than the options.
    pub takes_map: bool,
    /// The struct that declares it as an option; empty for an argument of this function alone.
    pub owner: &'static str,
    /// The names that a string in its place may have, where only some make sense.
    pub choices: Vec<&'static str>,
    /// The options inside a map in its place.
    pub inside: fn() -> Inside,
    /// The text of its default; a parameter without one must be given.
    pub default: Option<String>,
}

/// What a declaration's body became.
pub type Body = fn(&Call<'_>, &mut Values<'_>) -> Result<Dynamic>;

/// One declared function.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// How it is reached.
    pub kind: Kind,
    /// Its name without namespace.
    pub name: &'static str,
    /// `tensor` for `tensor::zeros`; empty for methods and global functions.
    pub namespace: &'static str,
    /// The name of the receiver's type; empty for functions.
    pub receiver: &'static str,
    /// The documentation as written: a summary sentence, text, examples in fences.
    pub doc: &'static str,
    /// Parameters, the receiver first for methods.
    pub params: Vec<Param>,
    /// The name of what it returns; empty for nothing.
    pub returns: String,
    /// What runs; absent for operators and for what the language brings itself.
    pub body: Option<Body>,
    /// The Rust type of the receiver.
    pub receiver_type: Option<TypeId>,
}

impl From<Field> for Param {
    fn from(field: Field) -> Self {
        Param {
            name: field.name,
            doc: field.doc,
            kind: field.kind,
            owner: field.owner,
            choices: field.choices,
            inside: field.inside,
            takes_map: false,
            default: field.default,
        }
    }
}

/// `params` with `more` behind them, but for those that are left out. One that is there already is replaced where it stands by what the function
/// itself declares; it keeps its text if the function has none.
pub fn joined(mut params: Vec<Param>, more: Vec<Param>, left_out: &[&str]) -> Vec<Param> {
    for mut param in more.into_iter().filter(|p| !left_out.contains(&p.name)) {
        match params.iter_mut().find(|p| p.name == param.name) {
            Some(there) if !param.owner.is_empty() => debug_assert!(there.owner.is_empty()),
            Some(there) => {
                if param.doc.is_empty() {
                    param.doc = there.doc;
                }
                *there = param;
            }
            None => params.push(param),
        }
    }
    params
}

impl Entry {
    /// `tensor::zeros`, or the bare name.
    pub fn full_name(&self) -> String {
        if self.namespace.is_empty() {
            self.name.to_string()
        } else {
            format!("{}::{}", self.namespace, self.name)
        }
    }

    /// The parameters a caller writes between the brackets.
    pub fn arguments(&self) -> &[Param] {
        let skip = usize::from(!self.receiver.is_empty() && self.kind != Kind::Operator);
        self.params.get(skip..).unwrap_or_default()
    }

    /// `tensor.softmax(temperature: float = 1.0, dim: int = -1) -> Tensor`.
    pub fn signature(&self) -> String {
        let owner = self.receiver.to_lowercase();
        match self.kind {
            Kind::Operator => return self.name.to_string(),
            Kind::Topic => return self.name.split(' ').next().unwrap_or_default().to_string(),
            Kind::Getter => return format!("{owner}.{} -> {}", self.name, self.returns),
            Kind::Setter => {
                let kind = self.arguments().first().map_or("", |p| p.kind.as_str());
                return format!("{owner}.{} = {kind}", self.name);
            }
            Kind::Function => {}
        }
        let arguments: Vec<String> = self.arguments().iter().map(Param::signature).collect();
        let prefix = unless_empty(&owner, |owner| format!("{owner}."));
        let returns = unless_empty(&self.returns, |returns| format!(" -> {returns}"));
        format!("{prefix}{}({}){returns}", self.full_name(), arguments.join(", "))
    }

    /// The first sentence of the documentation.
    pub fn summary(&self) -> &'static str {
        let text = self.doc.trim();
        let line_end = text.find("\n").unwrap_or(text.len());
        text[..line_end].trim()
    }

    /// The keys of the map it gives, as its summary lists them: a map of `image`, `labels` and `name`.
    pub fn keys(&self) -> Vec<&'static str> {
        let listed = self.summary().split_once("a map of ").map_or("", |(_, rest)| rest);
        let is_name = |word: &&str| word.chars().all(|c| c.is_alphanumeric() || c == '_');
        listed.split('`').skip(1).step_by(2).filter(is_name).collect()
    }

    /// The scripts between ``` fences.
    pub fn examples(&self) -> Vec<String> {
        self.doc.split("```").skip(1).step_by(2).map(unindent).collect()
    }

    /// The text outside the fences.
    pub fn text(&self) -> String {
        let parts: Vec<String> = self.doc.split("```").step_by(2).map(unindent).collect();
        parts.join("\n").trim().to_string()
    }
}

impl Param {
    /// `dim: int = -1`.
    pub fn signature(&self) -> String {
        match &self.default {
            Some(default) => format!("{}: {} = {default}", self.name, self.kind),
            None => format!("{}: {}", self.name, self.kind),
        }
    }

    /// What it means, and what can be chosen.
    pub fn text(&self) -> String {
        let doc = self.doc.trim();
        match self.choices.join("\"`, `\"") {
            names if names.is_empty() => doc.to_string(),
            names => format!("{doc} One of `\"{names}\"`.").trim_start().to_string(),
        }
    }
}

/// Doc comments keep one space in front of every line.
fn unindent(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(|l| l.strip_prefix(' ').unwrap_or(l)).collect();
    lines.join("\n").trim_matches('\n').to_string()
}

/// How a value of a script type is shown.
pub type Show = fn(&Dynamic) -> Option<String>;

/// A Rust type that scripts handle.
#[derive(Clone)]
pub struct TypeEntry {
    /// Its name in scripts.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub doc: &'static str,
    /// Rust's name, replaced by ours in messages.
    pub rust_name: &'static str,
    /// The full text that `print` writes.
    pub display: Show,
    /// The short text inside arrays and messages.
    pub brief: Show,
    /// Tells Rhai about it.
    pub register: fn(&mut rhai::Engine),
}

/// A change to the engine that no declaration can express: operators, indexers.
pub type Hook = fn(&mut rhai::Engine);
/// What iterating over a value gives: an item, or the error that ends the loop.
pub type Item = std::result::Result<Dynamic, Box<EvalAltResult>>;
/// All that iterating over a value gives.
pub type Items = Box<dyn Iterator<Item = Item>>;

/// Makes the items that a `for` loop over a value of some type sees.
pub type MakeItems = fn(Dynamic) -> Items;

/// All functions and types of the script language.
#[derive(Clone, Default)]
pub struct Table {
    /// Every declared function.
    pub entries: Vec<Rc<Entry>>,
    /// Every declared type.
    pub types: Vec<TypeEntry>,
    /// The namespaces with one sentence each.
    pub namespaces: Vec<(&'static str, &'static str)>,
    /// Direct registrations.
    pub hooks: Vec<Hook>,
    /// Types a `for` loop runs over.
    pub iterators: Vec<(TypeId, MakeItems)>,
}

impl Table {
    /// Declare functions called as `name::function(..)`.
    pub fn namespace(&mut self, name: &'static str, doc: &'static str, entries: Vec<Entry>) {
        if !self.namespaces.iter().any(|(n, _)| *n == name) {
            self.namespaces.push((name, doc));
        }
        self.entries
            .extend(entries.into_iter().map(|e| Rc::new(Entry { namespace: name, ..e })));
    }

    /// Declare functions called without a namespace.
    pub fn global(&mut self, entries: Vec<Entry>) {
        self.entries.extend(entries.into_iter().map(Rc::new));
    }

    /// Declare methods and properties of `T`, which is declared before; their first parameter is the receiver.
    pub fn methods<T: 'static>(&mut self, entries: Vec<Entry>) {
        let receiver = self.type_name(std::any::type_name::<T>());
        let receiver_type = Some(TypeId::of::<T>());
        self.entries.extend(entries.into_iter().map(|e| {
            Rc::new(Entry {
                receiver,
                receiver_type,
                ..e
            })
        }));
    }

    /// Describe an operator of `receiver` that a hook registers.
    pub fn operator(&mut self, receiver: &'static str, name: &'static str, doc: &'static str) {
        self.explain(Kind::Operator, "", receiver, name, doc);
    }

    /// Explain a part of the language, found under any of these names.
    pub fn topic(&mut self, names: &'static str, doc: &'static str) {
        self.explain(Kind::Topic, TOPICS, "", names, doc);
    }

    fn explain(
        &mut self,
        kind: Kind,
        namespace: &'static str,
        receiver: &'static str,
        name: &'static str,
        doc: &'static str,
    ) {
        self.entries.push(Rc::new(Entry {
            kind,
            name,
            namespace,
            receiver,
            doc,
            ..Entry::default()
        }));
    }

    /// Declare a type.
    pub fn script_type<T: ScriptType>(&mut self) {
        self.types.push(TypeEntry {
            name: T::NAME,
            doc: T::DOC,
            rust_name: std::any::type_name::<T>(),
            display: |v| v.read_lock::<T>().map(|t| t.display()),
            brief: |v| v.read_lock::<T>().map(|t| t.brief()),
            register: |engine| {
                engine.register_type_with_name::<T>(T::NAME);
                engine.register_fn("to_string", |t: &mut T| t.display());
                engine.register_fn("to_debug", |t: &mut T| t.brief());
            },
        });
    }

    /// Let `for item in value` run over the items of a `T`.
    pub fn iterable<T: ScriptType + Iterable>(&mut self) {
        self.iterators
            .push((TypeId::of::<T>(), |value| match value.try_cast::<T>() {
                Some(value) => Box::new(value.items().map(|item| item.map_err(super::context::script_error))),
                None => Box::new(std::iter::empty()),
            }));
    }

    /// Declare a direct registration with the engine.
    pub fn hook(&mut self, hook: Hook) {
        self.hooks.push(hook);
    }

    /// Entries called `name`: `softmax`, `tensor::zeros` or `Tensor.softmax`, or a namespace's bare function name.
    pub fn find(&self, name: &str) -> Vec<&Rc<Entry>> {
        let name = name.trim().trim_end_matches("()");
        let (owner, bare) = match name.split_once('.') {
            Some((owner, bare)) => (owner.to_lowercase(), bare),
            None => (String::new(), name),
        };
        let exact = |e: &&Rc<Entry>| {
            (e.full_name() == bare
                || e.name == bare
                || ([Kind::Operator, Kind::Topic].contains(&e.kind)
                    && e.name.split(' ').any(|n| n.trim_end_matches("()") == bare)))
                && (owner.is_empty() || e.receiver.to_lowercase() == owner)
        };
        self.entries.iter().filter(exact).collect()
    }

    /// The methods and properties of a receiver type.
    pub fn methods_of<'a>(&'a self, receiver: &'a str) -> impl Iterator<Item = &'a Rc<Entry>> {
        self.entries
            .iter()
            .filter(move |e| e.receiver == receiver && e.kind != Kind::Operator)
    }

    /// The functions of a namespace (`""` for the global ones).
    pub fn functions_of<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Rc<Entry>> {
        self.entries
            .iter()
            .filter(move |e| e.receiver.is_empty() && e.namespace == namespace)
    }

    /// The script's name for a Rust type name.
    pub fn type_name<'a>(&self, rust: &'a str) -> &'a str {
        match self.types.iter().find(|t| t.rust_name == rust || t.name == rust) {
            Some(t) => t.name,
            None => super::values::basic_type_name(rust),
        }
    }
}

/// What a `for` loop gets from a value of a script type.
pub trait Iterable {
    /// The items; an error ends the loop with that error.
    fn items(self) -> impl Iterator<Item = Result<Dynamic>> + 'static;
}
