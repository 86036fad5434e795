//! The arguments of one call, sorted into the parameters of its function.

use rhai::{Dynamic, Map};

use super::context::count;
use super::options::absent;
use super::table::Param;
use crate::error::{Error, Result};
use crate::fail;
use crate::options::{Arg, Field, Problem, unknown, unknown_but};

/// The arguments of one call in the order of the parameters.
pub struct Values<'a> {
    function: &'a str,
    params: &'a [Param],
    slots: Vec<Option<Dynamic>>,
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
                    n => format!("at most {}", count(n, "argument")),
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
        })
    }

    /// The function that was called.
    pub fn function(&self) -> &str {
        self.function
    }

    /// What was given for the parameters that are these options of a struct.
    pub fn those_of(&mut self, fields: &[Field]) -> Map {
        let ours = |p: &Param| fields.iter().any(|f| (f.owner, f.name) == (p.owner, p.name));
        let slots = self.params.iter().zip(&mut self.slots);
        slots
            .filter(|(p, _)| ours(p))
            .filter_map(|(p, slot)| Some((p.name.into(), slot.take()?)))
            .collect()
    }

    /// The value of the parameter `name`, or its default.
    pub fn take<T: Arg>(&mut self, name: &str, default: Option<fn() -> T>) -> Result<T> {
        let slot = self.params.iter().position(|p| p.name == name);
        match (slot.and_then(|i| self.slots[i].take()), default) {
            (Some(value), default) => {
                let value = value.flatten();
                let asks_for_default = value.is_unit();
                let read = if default.is_some() { T::read_option } else { T::read };
                match (read(&value), default) {
                    (Ok(value), _) => Ok(value),
                    (Err(_), Some(default)) if asks_for_default => Ok(default()),
                    (Err(Problem::Value(text)), None) if asks_for_default => {
                        let text = Problem::Value(text + absent(name));
                        Err(text.of(name).error(self.function))
                    }
                    (Err(problem), _) => Err(problem.of(name).error(self.function)),
                }
            }
            (None, Some(default)) => Ok(default()),
            (None, None) => fail!("{}: the argument `{name}` is missing", self.function),
        }
    }
}

/// The error for an option that a function does not take; one that belongs into a map inside the options is told so.
pub(super) fn unknown_option(function: &str, name: &str, params: &[Param]) -> Error {
    let inside = |p: &&Param| (p.inside)().fields().iter().any(|field| field.name == name);
    let valid: Vec<&str> = params.iter().map(|p| p.name).collect();
    match params.iter().find(inside) {
        Some(map) => {
            let meant = format!("{}: #{{ {name}: .. }}", map.name);
            Error::Usage(format!("{function}: {}", unknown_but(name, &valid, Some(meant))))
        }
        None => Error::Usage(format!("{function}: {}", unknown(name, &valid))),
    }
}
