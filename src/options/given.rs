//! What a script gave, before it is read as an argument or an option.

use std::any::Any;
use std::fmt;

use serde_json::Value;

use super::{Problem, Reading};

/// A value that is read as an argument or an option: plain data, or a value of a script as it is.
pub trait Source {
    /// As plain data.
    fn given(&self) -> Given;
    /// The same of what is neither array nor map nor what only scripts have.
    fn scalar(&self) -> Option<Given>;
    /// What it is, for messages: `the number 3`.
    fn describe(&self) -> String;
    /// Show `see` the items of an array one by one, up to the first problem; nothing if it is none.
    fn each(&self, see: &mut dyn FnMut(&dyn Source) -> Reading<()>) -> Option<Reading<()>>;
    /// The value itself.
    fn any(&self) -> &dyn Any;
}

impl Source for Given {
    fn given(&self) -> Given {
        self.clone()
    }
    fn scalar(&self) -> Option<Given> {
        match self {
            Given::List(_) | Given::Map(_) | Given::Function | Given::Other(_) => None,
            scalar => Some(scalar.clone()),
        }
    }
    fn describe(&self) -> String {
        self.to_string()
    }
    fn each(&self, see: &mut dyn FnMut(&dyn Source) -> Reading<()>) -> Option<Reading<()>> {
        match self {
            Given::List(items) => Some(items.iter().try_for_each(|item| see(item))),
            _ => None,
        }
    }
    fn any(&self) -> &dyn Any {
        self
    }
}

/// A value as plain data.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// `()`.
    Nothing,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Given>),
    /// A map.
    Map(Vec<(String, Given)>),
    /// A closure: who reads it keeps it, an option only remembers that there is one.
    Function,
    /// What is no plain value, in words: `Tensor f32 [2, 3]`.
    Other(String),
}

impl Given {
    /// As JSON, if it is plain data throughout.
    pub fn json(self) -> Option<Value> {
        Some(match self {
            Given::Nothing => Value::Null,
            Given::Bool(b) => b.into(),
            Given::Int(i) => i.into(),
            Given::Float(x) => x.into(),
            Given::Text(text) => text.into(),
            Given::List(items) => Value::Array(items.into_iter().map(Given::json).collect::<Option<_>>()?),
            Given::Map(map) => {
                let entries = map.into_iter().map(|(name, value)| Some((name, value.json()?)));
                Value::Object(entries.collect::<Option<_>>()?)
            }
            Given::Function | Given::Other(_) => return None,
        })
    }
}

impl From<&Value> for Given {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Given::Nothing,
            Value::Bool(b) => Given::Bool(*b),
            Value::Number(n) => n
                .as_i64()
                .map_or(Given::Float(n.as_f64().unwrap_or(f64::NAN)), Given::Int),
            Value::String(text) => Given::Text(text.clone()),
            Value::Array(items) => Given::List(items.iter().map(Given::from).collect()),
            Value::Object(map) => Given::Map(map.iter().map(|(name, value)| (name.clone(), value.into())).collect()),
        }
    }
}

impl fmt::Display for Given {
    /// What it is, for messages: `the string "abc"`, `the number 3`, `an array of 4 (first: ..)`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Given::Nothing => write!(f, "()"),
            Given::Bool(b) => write!(f, "{b}"),
            Given::Int(i) => write!(f, "the number {i}"),
            Given::Float(x) if x.fract() == 0.0 && x.abs() < 1e15 => write!(f, "the number {x:.1}"),
            Given::Float(x) => write!(f, "the number {x}"),
            Given::Text(text) => match text.char_indices().nth(40) {
                Some((end, _)) => write!(f, "the string \"{}...\"", &text[..end]),
                None => write!(f, "the string \"{text}\""),
            },
            Given::List(items) => match items.first() {
                Some(first) if items.len() == 1 => write!(f, "an array holding {first}"),
                Some(first) => write!(f, "an array of {} (first: {first})", items.len()),
                None => write!(f, "an empty array"),
            },
            Given::Map(map) => {
                let keys: Vec<&str> = map.iter().take(4).map(|(key, _)| key.as_str()).collect();
                match map.len() {
                    0 => write!(f, "an empty map"),
                    1..=4 => write!(f, "a map of {}", keys.join(", ")),
                    _ => write!(f, "a map of {}, ..", keys.join(", ")),
                }
            }
            Given::Function => write!(f, "a closure"),
            Given::Other(text) => write!(f, "{text}"),
        }
    }
}

/// A value of the wrong kind.
pub fn wrong(wanted: &str, found: &dyn Source) -> Problem {
    Problem::Value(format!("must be {wanted}, found {}", found.describe()))
}

/// Refuse a value in which some number, in arrays and maps as well, is NaN or infinite: what it must be, and was.
pub fn finite(given: &Given) -> std::result::Result<(), String> {
    fn infinite(given: &Given) -> Option<String> {
        match given {
            Given::Float(number) if !number.is_finite() => Some(format!("the number {number}")),
            Given::List(items) => items
                .iter()
                .find_map(infinite)
                .map(|found| format!("{found} in an array")),
            Given::Map(map) => map
                .iter()
                .find_map(|(name, inside)| Some(format!("{} as `{name}`", infinite(inside)?))),
            _ => None,
        }
    }
    infinite(given).map_or(Ok(()), |found| Err(format!("must be finite, found {found}")))
}
