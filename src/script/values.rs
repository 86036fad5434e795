//! Values that cross the border: arguments in ([`Source`]), results out ([`Reply`]), types of ours ([`ScriptType`]).

use std::any::Any;

use rhai::{Array, Dynamic, FnPtr, Map};

pub use super::bind::Values;
use super::call::Call;
use super::context::Context;
use super::options::{given, scalar};
use super::table::Param;
use crate::error::Result;
use crate::options::{Arg, Given, Reading, Source};

/// A Rust type that scripts handle as one value. `Clone` must be cheap (a handle); the value may be shared.
pub trait ScriptType: Clone + 'static {
    /// Its name in scripts, help and messages.
    const NAME: &'static str;
    /// What it is, in one sentence.
    const DOC: &'static str;
    /// The text that `print` and the REPL show, several lines if useful.
    fn display(&self) -> String;
    /// The text inside arrays and in messages, one line: `Tensor f32 [2, 3]`.
    fn brief(&self) -> String {
        Self::NAME.to_string()
    }
    /// The value without its gradient graph, for results inside `tensor::no_grad`.
    fn detached(self) -> Self {
        self
    }
}

/// A Rust type that a function returns to a script.
pub trait Reply {
    /// Its name in signatures; empty for nothing. Types that are made of others say it by [`Reply::kind`].
    const KIND: &'static str = "";
    /// Its name in signatures.
    fn kind() -> String {
        Self::KIND.into()
    }
    /// As Rhai's value.
    fn reply(self, context: &Context) -> Dynamic;
}

/// Options that a function takes with `..name: Type`: a struct of options, or what [`shared_options!`](crate::shared_options) made.
pub trait Shared: Sized {
    /// What tells their defaults.
    type Base: Default;
    /// Their parameters.
    fn params(base: &Self::Base) -> Vec<Param>;
    /// Their values.
    fn take(values: &mut Values<'_>) -> Result<Self>;
}

/// What `with` makes of a text; of an empty one nothing.
pub fn unless_empty(text: &str, with: impl FnOnce(&str) -> String) -> String {
    if text.is_empty() { String::new() } else { with(text) }
}

/// A map of these names and values.
pub fn named<const N: usize>(pairs: [(&str, Dynamic); N]) -> Map {
    pairs.map(|(name, value)| (name.into(), value)).into()
}

/// Run a declaration's body and hand its result to the script.
pub fn answer<T: Reply>(call: &Call<'_>, body: impl FnOnce() -> Result<T>) -> Result<Dynamic> {
    body().map(|value| value.reply(call))
}

/// What a value is, for messages: `the string "abc"`, `the number 3`, `Tensor f32 [2, 3]`.
pub fn describe(value: &Dynamic) -> String {
    // a range is not written out as the list of its numbers, which may be long
    match basic_type_name(value.type_name()) {
        "range" => "a range".into(),
        _ => given(value).to_string(),
    }
}

/// `a Tensor`, `an array`.
pub fn with_article(name: &str) -> String {
    let article = if name.to_lowercase().starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {name}")
}

/// The script's word for a Rust or Rhai type name; the last part of the path where there is none.
pub fn basic_type_name(rust: &str) -> &str {
    match rust {
        "i64" => "int",
        "f64" => "float",
        "&str | ImmutableString | String" | "&str" | "ImmutableString" | "String" => "string",
        "alloc::vec::Vec<rhai::types::dynamic::Dynamic>" => "array",
        "BTreeMap" => "map",
        "Fn" | "FnPtr" => "closure",
        "range" | "range=" | "core::ops::range::Range<i64>" | "core::ops::range::RangeInclusive<i64>" => "range",
        path if path.contains("::") => {
            let name = path.split('<').next().unwrap_or(path);
            basic_type_name(name.rsplit("::").next().unwrap_or(name))
        }
        plain => plain,
    }
}

/// A script's value as arguments and options are read from it.
impl Source for Dynamic {
    fn given(&self) -> Given {
        given(self)
    }
    fn scalar(&self) -> Option<Given> {
        scalar(self)
    }
    fn describe(&self) -> String {
        describe(self)
    }
    fn each(&self, see: &mut dyn FnMut(&dyn Source) -> Reading<()>) -> Option<Reading<()>> {
        let mut flat = |item: &Dynamic| match item.is_shared() {
            true => see(&item.clone().flatten()),
            false => see(item),
        };
        match self.read_lock::<Array>() {
            Some(array) => Some(array.iter().try_for_each(flat)),
            None => Some(items(self)?.iter().try_for_each(&mut flat)),
        }
    }
    fn any(&self) -> &dyn Any {
        self
    }
}

/// The script's value that is read, which may be one that only scripts have.
pub fn dynamic(value: &dyn Source) -> Option<&Dynamic> {
    value.any().downcast_ref()
}

/// Plain values: their names, and how they become Rhai's.
macro_rules! replies {
    ($($type:ty, $kind:literal, $reply:expr;)*) => {$(
        impl Reply for $type {
            const KIND: &'static str = $kind;
            fn reply(self, _: &Context) -> Dynamic {
                let reply: fn($type) -> Dynamic = $reply;
                reply(self)
            }
        }
    )*};
}
replies! {
    (), "", |()| Dynamic::UNIT;
    bool, "bool", Dynamic::from_bool;
    i64, "int", integer;
    usize, "int", integer;
    u64, "int", integer;
    u32, "int", integer;
    i32, "int", integer;
    f64, "float", Dynamic::from_float;
    f32, "float", |number| Dynamic::from_float(f64::from(number));
    String, "string", |text| text.into();
    &'static str, "string", |text| text.into();
    Map, "map", Dynamic::from_map;
    Dynamic, "any", |value| value;
}

fn integer(number: impl TryInto<i64>) -> Dynamic {
    Dynamic::from_int(number.try_into().unwrap_or(i64::MAX))
}

impl Arg for Dynamic {
    const TAKES_MAP: bool = true;
    const KIND: &'static str = "any";
    const WANTED: &'static str = "a value";
    fn convert(value: &dyn Source) -> Option<Self> {
        dynamic(value).cloned()
    }
    fn literal(&self) -> Option<String> {
        match scalar(self)? {
            Given::Int(i) => i.literal(),
            Given::Float(f) => f.literal(),
            Given::Bool(b) => b.literal(),
            Given::Text(text) => text.literal(),
            _ => Some("()".into()),
        }
    }
}

impl Arg for Map {
    const TAKES_MAP: bool = true;
    const KIND: &'static str = "map";
    const WANTED: &'static str = "a map #{ .. }";
    fn convert(value: &dyn Source) -> Option<Self> {
        dynamic(value)?.clone().try_cast()
    }
    fn literal(&self) -> Option<String> {
        self.is_empty().then(|| "#{}".into())
    }
}

impl Arg for FnPtr {
    const KIND: &'static str = "closure";
    const WANTED: &'static str = "a closure |..| ..";
    fn convert(value: &dyn Source) -> Option<Self> {
        dynamic(value)?.clone().try_cast()
    }
}

impl<T: Reply> Reply for Option<T> {
    fn kind() -> String {
        format!("{} or ()", T::kind())
    }
    fn reply(self, context: &Context) -> Dynamic {
        self.map_or(Dynamic::UNIT, |value| value.reply(context))
    }
}

/// The items of an array, or the numbers of a range.
pub(super) fn items(value: &Dynamic) -> Option<Array> {
    /// A longer range is a mistake, or should have been a tensor.
    const LONGEST: i64 = 1 << 24;
    let numbers = |from: i64, to: i64| -> Option<Array> {
        (to.checked_sub(from)? <= LONGEST).then(|| (from..to).map(Dynamic::from_int).collect())
    };
    if let Some(range) = value.read_lock::<std::ops::Range<i64>>() {
        return numbers(range.start, range.end);
    }
    if let Some(range) = value.read_lock::<std::ops::RangeInclusive<i64>>() {
        return numbers(*range.start(), range.end().checked_add(1)?);
    }
    value.read_lock::<Array>().map(|array| array.clone())
}

impl<T: Reply> Reply for Vec<T> {
    fn kind() -> String {
        format!("[{}]", T::kind())
    }
    fn reply(self, context: &Context) -> Dynamic {
        Dynamic::from_array(self.into_iter().map(|item| item.reply(context)).collect())
    }
}

impl<T: ScriptType> Arg for T {
    const KIND: &'static str = T::NAME;
    fn wanted() -> String {
        with_article(T::NAME)
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        dynamic(value)?.read_lock::<T>().map(|t| t.clone())
    }
}

impl<T: ScriptType> Reply for T {
    const KIND: &'static str = T::NAME;
    fn reply(self, context: &Context) -> Dynamic {
        Dynamic::from(if context.tracking() { self } else { self.detached() })
    }
}
