//! Numbers, texts and lists as options.

use super::{Given, Inside, OptionValue, Problem, Reading, wrong};
use crate::error::not_known;

macro_rules! integers {
    ($($type:ty, $wanted:literal);*) => {$(
        impl OptionValue for $type {
            fn kind() -> String { "int".into() }
            fn wanted() -> String { $wanted.into() }
            fn read(given: &Given) -> Reading<Self> {
                let integer = match given {
                    Given::Int(i) => Some(*i),
                    Given::Float(f) if f.fract() == 0.0 && f.abs() < 9.0e15 => Some(*f as i64),
                    _ => None,
                };
                integer.and_then(|i| i.try_into().ok()).ok_or_else(|| wrong($wanted, given))
            }
            fn literal(&self) -> String { self.to_string() }
        }
    )*};
}
integers!(i64, "an integer"; usize, "an integer >= 0"; u64, "an integer >= 0"; u8, "an integer from 0 to 255");

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl OptionValue for $type {
            fn kind() -> String { "float".into() }
            fn wanted() -> String { "a number".into() }
            fn read(given: &Given) -> Reading<Self> {
                match given {
                    Given::Int(i) => Ok(*i as $type),
                    Given::Float(f) if f.is_finite() => Ok(*f as $type),
                    Given::Float(_) => Err(wrong("finite", given)),
                    _ => Err(wrong("a number", given)),
                }
            }
            fn literal(&self) -> String { format!("{self:?}") }
        }
    )*};
}
numbers!(f64, f32);

impl OptionValue for bool {
    fn kind() -> String {
        "bool".into()
    }
    fn wanted() -> String {
        "true or false".into()
    }
    fn read(given: &Given) -> Reading<Self> {
        match given {
            Given::Bool(b) => Ok(*b),
            _ => Err(wrong("true or false", given)),
        }
    }
    fn literal(&self) -> String {
        self.to_string()
    }
}

impl OptionValue for String {
    fn kind() -> String {
        "string".into()
    }
    fn wanted() -> String {
        "a string".into()
    }
    fn read(given: &Given) -> Reading<Self> {
        match given {
            Given::Text(text) => Ok(text.clone()),
            _ => Err(wrong("a string", given)),
        }
    }
    fn literal(&self) -> String {
        format!("{self:?}")
    }
}

impl<T: OptionValue> OptionValue for Option<T> {
    fn kind() -> String {
        T::kind()
    }
    fn wanted() -> String {
        T::wanted()
    }
    fn choices() -> Vec<&'static str> {
        T::choices()
    }
    fn inside() -> Inside {
        T::inside()
    }
    fn read(given: &Given) -> Reading<Self> {
        match given {
            Given::Nothing => Ok(None),
            _ => T::read(given).map(Some),
        }
    }
    fn literal(&self) -> String {
        self.as_ref().map_or("()".into(), T::literal)
    }
}

impl<T: OptionValue> OptionValue for Vec<T> {
    fn kind() -> String {
        format!("[{}]", T::kind())
    }
    fn wanted() -> String {
        format!("an array of {}", plural(&T::wanted()))
    }
    fn choices() -> Vec<&'static str> {
        T::choices()
    }
    fn inside() -> Inside {
        T::inside().listed()
    }
    fn read(given: &Given) -> Reading<Self> {
        let Given::List(items) = given else {
            return Err(wrong(&Self::wanted(), given));
        };
        let item = |(i, item): (usize, &Given)| T::read(item).map_err(|problem| problem.at(i, &Self::wanted()));
        items.iter().enumerate().map(item).collect()
    }
    fn literal(&self) -> String {
        let items: Vec<String> = self.iter().map(T::literal).collect();
        format!("[{}]", items.join(", "))
    }
}

impl<T: OptionValue + Copy, const N: usize> OptionValue for [T; N] {
    fn kind() -> String {
        format!("[{}]", vec![T::kind(); N].join(", "))
    }
    fn wanted() -> String {
        format!("an array of {N} ({})", plural(&T::wanted()))
    }
    fn read(given: &Given) -> Reading<Self> {
        match given {
            Given::List(items) if items.len() == N => {
                let items = Vec::<T>::read(given)?;
                items.try_into().map_err(|_| wrong(&Self::wanted(), given))
            }
            _ => Err(wrong(&Self::wanted(), given)),
        }
    }
    fn literal(&self) -> String {
        self.to_vec().literal()
    }
}

/// A handle that only scripts have, such as a network: who reads the option takes it from what was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Handle;

impl OptionValue for Handle {
    fn kind() -> String {
        "any".into()
    }
    fn wanted() -> String {
        "a value that a function gave".into()
    }
    fn read(given: &Given) -> Reading<Self> {
        match given {
            Given::Other(_) => Ok(Handle),
            _ => Err(wrong(&Self::wanted(), given)),
        }
    }
    fn literal(&self) -> String {
        "()".into()
    }
}

/// The choice that was named.
pub fn pick<T: Clone>(given: &Given, choices: &[(&str, T)]) -> Reading<T> {
    let Given::Text(name) = given else {
        return Err(wrong("a string", given));
    };
    let found = choices.iter().find(|(n, _)| n == name);
    found
        .map(|(_, value)| value.clone())
        .ok_or_else(|| Problem::Inside(String::new(), not_known(name, choices.iter().map(|(n, _)| *n))))
}

/// `a number` -> `numbers`.
pub fn plural(wanted: &str) -> String {
    let word = wanted.trim_start_matches("an ").trim_start_matches("a ");
    match word.split_once(' ') {
        Some((noun, rest)) => format!("{noun}s {rest}"),
        None => format!("{word}s"),
    }
}
