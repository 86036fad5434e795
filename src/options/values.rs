//! Numbers, texts and lists as arguments and options.

use super::{Arg, Given, Inside, Problem, Reading, Source, wrong};
use crate::error::not_known;

macro_rules! integers {
    ($($type:ty, $wanted:literal);*) => {$(
        impl Arg for $type {
            const KIND: &'static str = "int";
            const WANTED: &'static str = $wanted;
            fn convert(value: &dyn Source) -> Option<Self> { integer(value)?.try_into().ok() }
            fn literal(&self) -> Option<String> {
                // the largest number stands for "no limit"
                let text = self.to_string();
                Some(if text == i64::MAX.to_string() { "max".into() } else { text })
            }
        }
    )*};
}
integers!(i64, "an integer"; usize, "an integer >= 0"; u64, "an integer >= 0"; u32, "an integer >= 0"; i32, "an integer";
    u8, "an integer from 0 to 255");

/// An integral value, from an integer or a float without fraction.
fn integer(value: &dyn Source) -> Option<i64> {
    match value.scalar()? {
        Given::Int(i) => Some(i),
        Given::Float(f) if f.fract() == 0.0 && f.abs() < 9.0e15 => Some(f as i64),
        _ => None,
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Arg for $type {
            const FINITE: bool = true;
            const KIND: &'static str = "float";
            const WANTED: &'static str = "a number";
            fn convert(value: &dyn Source) -> Option<Self> {
                match value.scalar()? {
                    Given::Int(i) => Some(i as $type),
                    Given::Float(f) => Some(f as $type),
                    _ => None,
                }
            }
            fn literal(&self) -> Option<String> { Some(format!("{self:?}")) }
        }
    )*};
}
numbers!(f64, f32);

impl Arg for bool {
    const KIND: &'static str = "bool";
    const WANTED: &'static str = "true or false";
    fn convert(value: &dyn Source) -> Option<Self> {
        match value.scalar()? {
            Given::Bool(b) => Some(b),
            _ => None,
        }
    }
    fn literal(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Arg for String {
    const KIND: &'static str = "string";
    const WANTED: &'static str = "a string";
    fn convert(value: &dyn Source) -> Option<Self> {
        match value.scalar()? {
            Given::Text(text) => Some(text),
            _ => None,
        }
    }
    fn literal(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl<T: Arg> Arg for Option<T> {
    const TAKES_MAP: bool = T::TAKES_MAP;
    const FINITE: bool = T::FINITE;
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
    fn convert(value: &dyn Source) -> Option<Self> {
        match value.scalar() {
            Some(Given::Nothing) => Some(None),
            _ => T::convert(value).map(Some),
        }
    }
    fn read(value: &dyn Source) -> Reading<Self> {
        match value.scalar() {
            Some(Given::Nothing) => Ok(None),
            _ => T::read(value).map(Some),
        }
    }
    fn literal(&self) -> Option<String> {
        self.as_ref().map_or(Some("()".into()), T::literal)
    }
}

impl<T: Arg> Arg for Vec<T> {
    const FINITE: bool = T::FINITE;
    fn kind() -> String {
        match T::kind().as_str() {
            "any" => "array".into(),
            kind => format!("[{kind}]"),
        }
    }
    fn wanted() -> String {
        match T::kind().as_str() {
            "any" => "an array".into(),
            _ => format!("an array of {}", plural(&T::wanted())),
        }
    }
    fn choices() -> Vec<&'static str> {
        T::choices()
    }
    fn inside() -> Inside {
        T::inside().listed()
    }
    fn read(value: &dyn Source) -> Reading<Self> {
        let mut all = Vec::new();
        let read = value.each(&mut |item| {
            let item = T::read(item).map_err(|problem| problem.at(all.len(), &Self::wanted()))?;
            all.push(item);
            Ok(())
        });
        match read {
            Some(done) => done.map(|()| all),
            None => Err(wrong(&Self::wanted(), value)),
        }
    }
    fn literal(&self) -> Option<String> {
        let items = self.iter().map(T::literal).collect::<Option<Vec<_>>>()?;
        Some(format!("[{}]", items.join(", ")))
    }
}

impl<T: Arg + Copy, const N: usize> Arg for [T; N] {
    const FINITE: bool = T::FINITE;
    fn kind() -> String {
        format!("[{}]", vec![T::kind(); N].join(", "))
    }
    fn wanted() -> String {
        format!("an array of {N} ({})", plural(&T::wanted()))
    }
    fn read(value: &dyn Source) -> Reading<Self> {
        let mut count = 0;
        value.each(&mut |_| {
            count += 1;
            Ok(())
        });
        let items = if count == N { Vec::read(value)? } else { Vec::new() };
        items.try_into().map_err(|_| wrong(&Self::wanted(), value))
    }
    fn literal(&self) -> Option<String> {
        self.to_vec().literal()
    }
}

/// A handle that only scripts have, such as a network: who reads the option takes it from what was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Handle;

impl Arg for Handle {
    const KIND: &'static str = "any";
    const WANTED: &'static str = "a value that a function gave";
    fn convert(value: &dyn Source) -> Option<Self> {
        matches!(value.given(), Given::Other(_)).then_some(Handle)
    }
    fn literal(&self) -> Option<String> {
        Some("()".into())
    }
}

/// The choice that was named.
pub fn pick<T: Clone>(value: &dyn Source, choices: &[(&str, T)]) -> Reading<T> {
    let name = String::read(value)?;
    let found = choices.iter().find(|(n, _)| *n == name);
    found
        .map(|(_, choice)| choice.clone())
        .ok_or_else(|| Problem::Inside(String::new(), not_known(&name, choices.iter().map(|(n, _)| *n))))
}

/// `a number` -> `numbers`.
pub fn plural(wanted: &str) -> String {
    let word = wanted.trim_start_matches("an ").trim_start_matches("a ");
    match word.split_once(' ') {
        Some((noun, rest)) => format!("{noun}s {rest}"),
        None => format!("{word}s"),
    }
}
