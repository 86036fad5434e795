//! Structs of options at the border: as a map in the place of an argument, and as arguments of a function; and what help says of the options
//! inside a map.

use std::marker::PhantomData;

use rhai::{FnPtr, Map};

use super::options::{given, take};
use super::table::Param;
use super::values::{Shared, Values};
use crate::error::Result;
use crate::options::{Arg, Field, Inside, OptionSet, Source};

/// The options of a `T` as a script gave them: `augment: Option<Nested<Augment>> = None` is a map of them, `..settings: Nested<TrainConfig>`
/// makes them options of the function itself.
#[derive(Clone)]
pub struct Nested<T> {
    map: Map,
    fills: PhantomData<T>,
}

impl<T> Default for Nested<T> {
    fn default() -> Self {
        Nested::of(Map::new())
    }
}

impl<T> Nested<T> {
    fn of(map: Map) -> Self {
        Nested {
            map,
            fills: PhantomData,
        }
    }

    /// Take one out that only a script can give: a value with a gradient, a handle. `()` counts as not given.
    pub fn take<A: Arg>(&mut self, path: &str, name: &str) -> Result<Option<A>> {
        take(&mut self.map, path, name)
    }

    /// The closure that was given as this option.
    pub fn closure(&self, name: &str) -> Option<FnPtr> {
        self.map.get(name)?.clone().flatten().try_cast()
    }
}

impl<T: OptionSet> Nested<T> {
    /// `base` with the given options put over it; `path` stands in front of messages: `train::finetune: loss`.
    ///
    /// # Errors
    /// A name that is not known at any depth, a value that does not fit.
    pub fn over(self, path: &str, base: T) -> Result<T> {
        base.over(&given(&self.map.into()))
            .map_err(|problem| problem.error(path))
    }

    /// The defaults with the given options put over them.
    pub fn read(self, path: &str) -> Result<T> {
        self.over(path, T::default())
    }
}

impl<T: OptionSet> Arg for Nested<T> {
    const TAKES_MAP: bool = true;
    const KIND: &'static str = "map";
    fn wanted() -> String {
        Map::wanted()
    }
    fn inside() -> Inside {
        Inside::Map(T::default().fields())
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        Map::convert(value).map(Nested::of)
    }
    fn literal(&self) -> Option<String> {
        Some("#{}".into())
    }
}

impl<T: OptionSet> Shared for Nested<T> {
    type Base = T;
    fn params(base: &T) -> Vec<Param> {
        base.fields().into_iter().map(Param::from).collect()
    }
    fn take(values: &mut Values<'_>) -> Result<Self> {
        let fields = T::default().fields();
        Ok(Nested::of(values.those_of(&fields)))
    }
}

impl<T: OptionSet> Shared for T {
    type Base = T;
    fn params(base: &T) -> Vec<Param> {
        <Nested<T> as Shared>::params(base)
    }
    fn take(values: &mut Values<'_>) -> Result<Self> {
        let function = values.function().to_string();
        let given = <Nested<T> as Shared>::take(values)?;
        // a function may draw several things: the label in the message tells which
        let label = given
            .map
            .get("label")
            .and_then(|label| label.clone().into_string().ok());
        let path = label
            .filter(|l| !l.is_empty())
            .map_or(function.clone(), |l| format!("{function} \"{l}\""));
        given.read(&path)
    }
}

/// `temperature: 0.07, resize: ()`: options with their defaults.
pub fn signature(fields: &[Field]) -> String {
    let all: Vec<String> = fields.iter().map(|f| format!("{}: {}", f.name, literal(f))).collect();
    all.join(", ")
}

/// The default of an option.
pub fn literal(field: &Field) -> &str {
    field.default.as_deref().unwrap_or("()")
}
