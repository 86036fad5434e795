//! Values that cross the border: arguments in ([`Arg`]), results out ([`Reply`]), types of ours ([`ScriptType`]).

use rhai::{Array, Dynamic, FnPtr, ImmutableString, Map};

pub use super::bind::Values;
use super::context::{Call, Context};
use super::options::given;
use super::table::Param;
use crate::error::Result;
use crate::options::{Given, Inside, Problem, Reading, plural};

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

/// A Rust type that an argument or option is converted to.
pub trait Arg: Sized {
    /// Whether a map is a value of this type (else a map in its place holds the options).
    const TAKES_MAP: bool = false;
    /// Whether NaN and infinity, which are numbers, are none for an option of this type.
    const FINITE: bool = false;
    /// Its name in signatures: `float`, `[int]`, `Tensor`.
    fn kind() -> String;
    /// What is wanted, for messages: `a number`, `a tensor`.
    fn wanted() -> String;
    /// The names that a string may have, where only some make sense.
    fn choices() -> Vec<&'static str> {
        Vec::new()
    }
    /// The options of the map that may stand in its place.
    fn inside() -> Inside {
        Inside::Nothing
    }
    /// The value as a script writes it, where its type knows how.
    fn literal(&self) -> Option<String> {
        None
    }
    /// Convert; `None` if it does not fit.
    fn convert(value: &Dynamic) -> Option<Self>;
    /// Convert, or say what was wanted and found: `must be a number, found the string "x"`.
    fn read(value: Dynamic) -> Reading<Self> {
        Self::convert(&value).ok_or_else(|| must_be(&Self::wanted(), &value))
    }
}

/// A Rust type that a function returns to a script.
pub trait Reply {
    /// Its name in signatures; empty for nothing.
    fn kind() -> String;
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

/// Run a declaration's body and hand its result to the script.
pub fn answer<T: Reply>(call: &Call<'_>, body: impl FnOnce() -> Result<T>) -> Result<Dynamic> {
    body().map(|value| value.reply(call))
}

/// [`Arg::read`], for an `option` of finite numbers where those are what the type holds.
pub(super) fn read<T: Arg>(value: Dynamic, option: bool) -> Reading<T> {
    if option && T::FINITE {
        finite(&value).map_err(Problem::Value)?;
    }
    T::read(value)
}

/// Refuse a value in which some number, in arrays and maps as well, is NaN or infinite: what it must be, and was.
pub(super) fn finite(value: &Dynamic) -> std::result::Result<(), String> {
    fn wrong(value: &Dynamic) -> Option<String> {
        if let Ok(number) = value.as_float() {
            (!number.is_finite()).then(|| format!("the number {number}"))
        } else if let Some(array) = value.read_lock::<Array>() {
            array.iter().find_map(wrong).map(|found| format!("{found} in an array"))
        } else {
            let map = value.read_lock::<Map>()?;
            map.iter()
                .find_map(|(name, inside)| Some(format!("{} as `{name}`", wrong(inside)?)))
        }
    }
    wrong(value).map_or(Ok(()), |found| Err(format!("must be finite, found {found}")))
}

/// What a value is, for messages: `the string "abc"`, `the number 3`, `Tensor f32 [2, 3]`.
pub fn describe(value: &Dynamic) -> String {
    // not as the list that it stands for, which may be long
    match basic_type_name(value.type_name()) {
        "range" => "a range".into(),
        _ => given(value).to_string(),
    }
}

/// A value of the wrong kind.
fn must_be(wanted: &str, value: &Dynamic) -> Problem {
    Problem::Value(format!("must be {wanted}, found {}", describe(value)))
}

/// The script's word for a Rust or Rhai type name; the last part of the path where there is none.
pub fn basic_type_name(rust: &str) -> &str {
    match rust {
        "i64" => "int",
        "f64" => "float",
        "&str | ImmutableString | String" | "&str" | "string" | "alloc::string::String" => "string",
        "array" | "alloc::vec::Vec<rhai::types::dynamic::Dynamic>" => "array",
        "map" => "map",
        "Fn" | "FnPtr" => "closure",
        "range" | "range=" | "core::ops::range::Range<i64>" | "core::ops::range::RangeInclusive<i64>" => "range",
        path if path.contains("::") => {
            let name = path.split('<').next().unwrap_or(path);
            name.rsplit("::").next().unwrap_or(name)
        }
        plain => plain,
    }
}

/// An integral value, from an integer or a float without fraction.
fn integer(value: &Dynamic) -> Option<i64> {
    if let Ok(i) = value.as_int() {
        return Some(i);
    }
    let f = value.as_float().ok()?;
    (f.fract() == 0.0 && f.abs() < 9.0e15).then_some(f as i64)
}

macro_rules! integers {
    ($($type:ty, $wanted:literal);*) => {$(
        impl Arg for $type {
            fn kind() -> String { "int".into() }
            fn wanted() -> String { $wanted.into() }
            fn convert(value: &Dynamic) -> Option<Self> { integer(value)?.try_into().ok() }
            fn literal(&self) -> Option<String> {
                // the end of whatever is counted
                let text = self.to_string();
                Some(if text == i64::MAX.to_string() { "max".into() } else { text })
            }
        }
        impl Reply for $type {
            fn kind() -> String { "int".into() }
            fn reply(self, _: &Context) -> Dynamic { Dynamic::from_int(i64::try_from(self).unwrap_or(i64::MAX)) }
        }
    )*};
}
integers!(i64, "an integer"; usize, "an integer >= 0"; u64, "an integer >= 0"; u32, "an integer >= 0"; i32, "an integer");

impl Arg for f64 {
    const FINITE: bool = true;
    fn kind() -> String {
        "float".into()
    }
    fn wanted() -> String {
        "a number".into()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        value.as_float().ok().or_else(|| value.as_int().ok().map(|i| i as f64))
    }
    fn literal(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl Reply for f64 {
    fn kind() -> String {
        "float".into()
    }
    fn reply(self, _: &Context) -> Dynamic {
        Dynamic::from_float(self)
    }
}

impl Arg for f32 {
    const FINITE: bool = true;
    fn kind() -> String {
        "float".into()
    }
    fn wanted() -> String {
        "a number".into()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        f64::convert(value).map(|f| f as f32)
    }
}

impl Reply for f32 {
    fn kind() -> String {
        "float".into()
    }
    fn reply(self, _: &Context) -> Dynamic {
        Dynamic::from_float(f64::from(self))
    }
}

impl Arg for bool {
    fn kind() -> String {
        "bool".into()
    }
    fn wanted() -> String {
        "true or false".into()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        value.as_bool().ok()
    }
    fn literal(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Reply for bool {
    fn kind() -> String {
        "bool".into()
    }
    fn reply(self, _: &Context) -> Dynamic {
        Dynamic::from_bool(self)
    }
}

impl Arg for String {
    fn kind() -> String {
        "string".into()
    }
    fn wanted() -> String {
        "a string".into()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        value.clone().into_immutable_string().ok().map(|s| s.to_string())
    }
    fn literal(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl Reply for String {
    fn kind() -> String {
        "string".into()
    }
    fn reply(self, _: &Context) -> Dynamic {
        Dynamic::from(ImmutableString::from(self))
    }
}

impl Reply for &'static str {
    fn kind() -> String {
        "string".into()
    }
    fn reply(self, _: &Context) -> Dynamic {
        Dynamic::from(ImmutableString::from(self))
    }
}

impl Arg for Dynamic {
    const TAKES_MAP: bool = true;
    fn kind() -> String {
        "any".into()
    }
    fn wanted() -> String {
        "a value".into()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        Some(value.clone())
    }
    fn literal(&self) -> Option<String> {
        match given(self) {
            Given::Nothing => Some("()".into()),
            Given::Int(i) => i.literal(),
            Given::Float(f) => f.literal(),
            Given::Bool(b) => b.literal(),
            Given::Text(text) => text.literal(),
            _ => None,
        }
    }
}

impl Reply for Dynamic {
    fn kind() -> String {
        "any".into()
    }
    fn reply(self, _: &Context) -> Dynamic {
        self
    }
}

impl Reply for () {
    fn kind() -> String {
        String::new()
    }
    fn reply(self, _: &Context) -> Dynamic {
        Dynamic::UNIT
    }
}

impl Arg for Map {
    const TAKES_MAP: bool = true;
    fn kind() -> String {
        "map".into()
    }
    fn wanted() -> String {
        "a map #{ .. }".into()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        value.clone().try_cast()
    }
    fn literal(&self) -> Option<String> {
        self.is_empty().then(|| "#{}".into())
    }
}

impl Reply for Map {
    fn kind() -> String {
        "map".into()
    }
    fn reply(self, _: &Context) -> Dynamic {
        Dynamic::from_map(self)
    }
}

impl Arg for FnPtr {
    fn kind() -> String {
        "closure".into()
    }
    fn wanted() -> String {
        "a closure |..| ..".into()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        value.clone().try_cast()
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
    fn convert(value: &Dynamic) -> Option<Self> {
        if value.is_unit() {
            Some(None)
        } else {
            T::convert(value).map(Some)
        }
    }
    fn read(value: Dynamic) -> Reading<Self> {
        if value.is_unit() {
            Ok(None)
        } else {
            T::read(value).map(Some)
        }
    }
    fn literal(&self) -> Option<String> {
        self.as_ref().map_or(Some("()".into()), T::literal)
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

impl<T: Arg> Arg for Vec<T> {
    const FINITE: bool = T::FINITE;
    fn kind() -> String {
        if T::kind() == "any" {
            "array".into()
        } else {
            format!("[{}]", T::kind())
        }
    }
    fn wanted() -> String {
        if T::kind() == "any" {
            "an array".into()
        } else {
            format!("an array of {}", plural(&T::wanted()))
        }
    }
    fn choices() -> Vec<&'static str> {
        T::choices()
    }
    fn inside() -> Inside {
        T::inside().listed()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        items(value)?.iter().map(T::convert).collect()
    }
    fn read(value: Dynamic) -> Reading<Self> {
        let Some(array) = items(&value) else {
            return Err(must_be(&Self::wanted(), &value));
        };
        let item = |(i, item): (usize, &Dynamic)| {
            T::read(item.clone().flatten()).map_err(|problem| problem.at(i, &Self::wanted()))
        };
        array.iter().enumerate().map(item).collect()
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
    fn convert(value: &Dynamic) -> Option<Self> {
        Vec::<T>::convert(value)?.try_into().ok()
    }
    fn literal(&self) -> Option<String> {
        self.to_vec().literal()
    }
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
    fn kind() -> String {
        T::NAME.into()
    }
    fn wanted() -> String {
        let article = if "AEIOU".contains(&T::NAME[..1]) { "an" } else { "a" };
        format!("{article} {}", T::NAME)
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        value.read_lock::<T>().map(|t| t.clone())
    }
}

impl<T: ScriptType> Reply for T {
    fn kind() -> String {
        T::NAME.into()
    }
    fn reply(self, context: &Context) -> Dynamic {
        Dynamic::from(if context.tracking() { self } else { self.detached() })
    }
}
