//! Option maps inside option maps whose names are known: what they fill, and what help and completion say of them.

use std::marker::PhantomData;

use rhai::{Dynamic, Map};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::options::Options;
use super::values::Arg;
use crate::error::Result;

/// A struct that a nested option map fills.
pub trait Known: Default + Serialize + DeserializeOwned {
    /// Its options with their defaults, maps inside it as objects. Where an option is absent by default or takes several
    /// forms, put the map that a person may write there.
    fn options() -> Value {
        json(&Self::default())
    }
}

/// An option map for a `T`: `augment: Option<Nested<Augment>> = None` declares the names of the options inside as well.
#[derive(Clone)]
pub struct Nested<T> {
    map: Options,
    fills: PhantomData<T>,
}

impl<T> Default for Nested<T> {
    fn default() -> Self {
        Nested {
            map: Options::default(),
            fills: PhantomData,
        }
    }
}

impl<T: Known> Nested<T> {
    /// The defaults of `T` with the given options put over them; see [`Options::fill`].
    pub fn fill(self, path: &str) -> Result<T> {
        self.map.fill(path, &T::default())
    }

    /// The map itself, where some options are to be taken out by hand.
    pub fn options(self) -> Options {
        self.map
    }
}

impl<T: Known> Arg for Nested<T> {
    const TAKES_MAP: bool = true;
    fn kind() -> String {
        "map".into()
    }
    fn wanted() -> String {
        Options::wanted()
    }
    fn options() -> Value {
        T::options()
    }
    fn convert(value: &Dynamic) -> Option<Self> {
        let map = Options::new(value.clone().try_cast::<Map>()?);
        Some(Nested {
            map,
            fills: PhantomData,
        })
    }
}

/// A struct as the JSON of its fields.
pub fn json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// `base` with these fields put over it.
pub fn with(mut base: Value, fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    if let Value::Object(all) = &mut base {
        all.extend(fields.into_iter().map(|(name, value)| (name.to_string(), value)));
    }
    base
}

/// The key of [`or`] for the default; no option is called so.
const PLAIN: &str = "";

/// A default that is no map, of an option that may also be given as this map.
pub fn or(default: Value, map: Value) -> Value {
    with(map, [(PLAIN, default)])
}

/// The names of the options in a map, with what is inside each.
pub fn names(options: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let all = options.as_object().into_iter().flatten();
    all.map(|(name, inside)| (name.as_str(), inside))
        .filter(|(name, _)| *name != PLAIN)
}

/// `temperature: 0.07, resize: ()`: the options of a map with their defaults.
pub fn signature(options: &Value) -> String {
    let all: Vec<String> = names(options)
        .map(|(name, inside)| format!("{name}: {}", literal(inside)))
        .collect();
    all.join(", ")
}

/// What the map of the option `name` holds; of a list of maps, what each of them holds.
pub fn inside<'o>(options: &'o Value, name: &str) -> Option<&'o Value> {
    names(options)
        .find(|(n, _)| *n == name)
        .map(|(_, inside)| inside.get(0).unwrap_or(inside))
}

/// A default as a script writes it: `0.07`, `"all"`, `()`, `#{..}`.
pub fn literal(value: &Value) -> String {
    match value {
        Value::Null => "()".into(),
        Value::Object(fields) => fields.get(PLAIN).map_or("#{..}".into(), literal),
        Value::Array(items) if items.first().is_some_and(Value::is_object) => "[]".into(),
        other => other.to_string().replace(',', ", "),
    }
}
