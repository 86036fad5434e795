//! Values that cross the border: arguments in ([`Arg`]), results out ([`Reply`]), types of ours ([`ScriptType`]).

use rhai::{Array, Dynamic, FnPtr, ImmutableString, Map};

use serde_json::Value;

use super::context::{Call, Context};
use super::nested;
use super::options::Options;
use super::table::Param;
use crate::error::{Error, Result};
use crate::fail;

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
    /// The names and defaults of the options that a map in its place may hold; null where none are known.
    fn options() -> Value {
        Value::Null
    }
    /// Convert; `None` if it does not fit.
    fn convert(value: &Dynamic) -> Option<Self>;
    /// Convert, or say what was wanted and found: `must be a number, found the string "x"`.
    fn read(value: Dynamic) -> std::result::Result<Self, String> {
        Self::convert(&value).ok_or_else(|| format!("must be {}, found {}", Self::wanted(), describe(&value)))
    }
}

/// A Rust type that a function returns to a script.
pub trait Reply {
    /// Its name in signatures; empty for nothing.
    fn kind() -> String;
    /// As Rhai's value.
    fn reply(self, context: &Context) -> Dynamic;
}

/// Options that several functions share, made by [`shared_options!`](crate::shared_options).
pub trait Shared: Sized {
    /// Their parameters.
    fn params() -> Vec<Param>;
    /// Their values, in the same order.
    fn take(values: &mut Values<'_>) -> Result<Self>;
}

/// Run a declaration's body and hand its result to the script.
pub fn answer<T: Reply>(call: &Call<'_>, body: impl FnOnce() -> Result<T>) -> Result<Dynamic> {
    body().map(|value| value.reply(call))
}

/// The arguments of one call in the order of the parameters.
pub struct Values<'a> {
    function: &'a str,
    params: &'a [Param],
    slots: Vec<Option<Dynamic>>,
    next: usize,
}

impl<'a> Values<'a> {
    /// Sort positional arguments and a final option map into the parameters' slots; `skip` is 1 for methods.
    pub fn bind(
        function: &'a str,
        signature: &dyn Fn() -> String,
        params: &'a [Param],
        skip: usize,
        mut given: Vec<Dynamic>,
    ) -> Result<Self> {
        let last = given.len().saturating_sub(1);
        let mut options: Option<Map> = None;
        let position_takes_map = |i: usize| params.get(i).is_some_and(|p| p.takes_map && p.default.is_none());
        if last >= skip && given.len() > skip && given[last].is_map() && !position_takes_map(last) {
            options = given.pop().and_then(|map| map.try_cast::<Map>());
        }
        if given.len() > params.len() {
            fail!(
                "{function}: takes {}, {} given; {}",
                match params.len() - skip.min(params.len()) {
                    0 => "no arguments".to_string(),
                    n => format!("at most {}", super::context::count(n, "argument")),
                },
                given.len() - skip,
                signature()
            );
        }
        let mut slots: Vec<Option<Dynamic>> = given.into_iter().map(Some).collect();
        slots.resize(params.len(), None);
        for (name, value) in options.unwrap_or_default() {
            match params.iter().skip(skip).position(|p| p.name == name.as_str()) {
                Some(i) if slots[i + skip].is_some() => {
                    fail!("{function}: `{name}` is given twice, by position and as an option")
                }
                Some(i) => slots[i + skip] = Some(value),
                None => return Err(unknown_option(function, &name, &params[skip.min(params.len())..])),
            }
        }
        if let Some(missing) = params
            .iter()
            .zip(&slots)
            .find(|(p, s)| p.default.is_none() && s.is_none())
        {
            fail!(
                "{function}: the argument `{}` is missing; {}",
                missing.0.name,
                signature()
            );
        }
        Ok(Values {
            function,
            params,
            slots,
            next: 0,
        })
    }

    /// The next parameter's value, or its default.
    pub fn take<T: Arg>(&mut self, default: Option<fn() -> T>) -> Result<T> {
        let index = self.next;
        self.next += 1;
        let name = self.params.get(index).map_or("", |p| p.name);
        match (self.slots.get_mut(index).and_then(Option::take), default) {
            (Some(value), default) => {
                let asks_for_default = value.is_unit();
                match (read::<T>(value.flatten(), default.is_some()), default) {
                    (Ok(value), _) => Ok(value),
                    (Err(_), Some(default)) if asks_for_default => Ok(default()),
                    (Err(problem), None) if asks_for_default => {
                        fail!("{}: `{name}` {problem}{}", self.function, super::options::absent(name))
                    }
                    (Err(problem), _) => fail!("{}: `{name}` {problem}", self.function),
                }
            }
            (None, Some(default)) => Ok(default()),
            (None, None) => fail!("{}: the argument `{name}` is missing", self.function),
        }
    }
}

/// The error for an option that a function does not take; one that belongs into a map inside the options is told so.
pub(super) fn unknown_option(function: &str, name: &str, params: &[Param]) -> Error {
    let inside = |p: &&Param| nested::names(&(p.options)()).any(|(n, _)| n == name);
    let valid: Vec<&str> = params.iter().map(|p| p.name).collect();
    match params.iter().find(inside) {
        Some(map) => {
            let meant = format!("{}: #{{ {name}: .. }}", map.name);
            Error::Usage(format!(
                "{function}: {}",
                crate::options::unknown_but(name, &valid, Some(meant))
            ))
        }
        None => super::options::unknown(function, name, valid.into_iter()),
    }
}

/// [`Arg::read`], for an `option` of finite numbers where those are what the type holds.
pub(super) fn read<T: Arg>(value: Dynamic, option: bool) -> std::result::Result<T, String> {
    if option && T::FINITE {
        finite(&value)?;
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
    if let Some(t) = value.read_lock::<candle_core::Tensor>() {
        return t.brief();
    }
    if value.is_unit() {
        "()".into()
    } else if value.is_string() {
        let text = value.to_string();
        match text.char_indices().nth(40) {
            Some((end, _)) => format!("the string \"{}...\"", &text[..end]),
            None => format!("the string \"{text}\""),
        }
    } else if value.is_int() || value.is_float() {
        format!("the number {value}")
    } else if value.is_bool() {
        format!("{value}")
    } else if let Some(array) = value.read_lock::<Array>() {
        match array.first() {
            Some(first) if array.len() == 1 => format!("an array holding {}", describe(first)),
            Some(first) => format!("an array of {} (first: {})", array.len(), describe(first)),
            None => "an empty array".into(),
        }
    } else if let Some(map) = value.read_lock::<Map>() {
        let keys: Vec<&str> = map.keys().take(4).map(|k| k.as_str()).collect();
        match (map.len(), keys.join(", ")) {
            (0, _) => "an empty map".into(),
            (1..=4, keys) => format!("a map of {keys}"),
            (_, keys) => format!("a map of {keys}, .."),
        }
    } else if value.is_fnptr() {
        "a closure".into()
    } else {
        // `Table::plain` puts the script's name in place of Rust's
        match value.type_name() {
            rust if rust.contains("::") => format!("a {rust}"),
            other => format!("a {}", basic_type_name(other)),
        }
    }
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

impl Arg for Options {
    const TAKES_MAP: bool = true;
    fn kind() -> String {
        "map".into()
    }
    fn wanted() -> String {
        "a map #{ .. }".into()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        value.clone().try_cast::<Map>().map(Options::new)
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
    fn options() -> Value {
        T::options()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        if value.is_unit() {
            Some(None)
        } else {
            T::convert(value).map(Some)
        }
    }
    fn read(value: Dynamic) -> std::result::Result<Self, String> {
        if value.is_unit() {
            Ok(None)
        } else {
            T::read(value).map(Some)
        }
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
fn items(value: &Dynamic) -> Option<Array> {
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
    fn options() -> Value {
        T::options()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        items(value)?.iter().map(T::convert).collect()
    }
    fn read(value: Dynamic) -> std::result::Result<Self, String> {
        let Some(array) = items(&value) else {
            return Err(format!("must be {}, found {}", Self::wanted(), describe(&value)));
        };
        let item = |(i, item): (usize, &Dynamic)| {
            T::read(item.clone().flatten())
                .map_err(|problem| format!("must be {}, but element {i} {problem}", Self::wanted()))
        };
        array.iter().enumerate().map(item).collect()
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

/// `a number` -> `numbers`.
fn plural(wanted: &str) -> String {
    let word = wanted.trim_start_matches("an ").trim_start_matches("a ");
    match word.split_once(' ') {
        Some((noun, rest)) => format!("{noun}s {rest}"),
        None => format!("{word}s"),
    }
}
