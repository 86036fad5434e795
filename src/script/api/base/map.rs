//! Maps.

use rhai::{Engine, NativeCallContext};

use super::items::{Parted, parting};
use super::{edit, truth};
use crate::described;
use crate::script::prelude::*;

/// Describe the methods, and replace those that Rhai has otherwise.
pub fn declare(table: &mut Table) {
    table.hook(register);
    table.methods::<Map>(described! {
        /// The number of entries.
        /// ```
        /// assert_eq(#{ a: 1, b: 2 }.len(), 2);
        /// ```
        fn len(map: Map) -> i64;
        /// Whether there are no entries.
        /// ```
        /// assert(#{}.is_empty());
        /// ```
        fn is_empty(map: Map) -> bool;
        /// The names of the entries, in alphabetical order.
        /// ```
        /// let map = #{ b: 2, a: 1 };
        /// let sum = 0;
        /// for name in map.keys() { sum += map[name]; }
        /// assert_eq([map.keys(), sum], [["a", "b"], 3]);
        /// ```
        fn keys(map: Map) -> Array;
        /// The values, in the order of their names.
        /// ```
        /// assert_eq(#{ b: 2, a: 1 }.values(), [1, 2]);
        /// ```
        fn values(map: Map) -> Array;
        /// Whether there is an entry of this name, as `name in map`.
        /// ```
        /// assert(#{ a: 1 }.contains("a") && "a" in #{ a: 1 });
        /// ```
        fn contains(map: Map, name: String) -> bool;
        /// The value of an entry, `()` if there is none; `map.get(name) ?? 0` gives a default.
        /// ```
        /// assert_eq(#{ a: 1 }.get("b") ?? 0, 0);
        /// ```
        fn get(map: Map, name: String) -> Dynamic;
        /// Give an entry a value, in place; `map.name = value` and `map["name"] = value` do the same.
        /// ```
        /// let map = #{};
        /// map.set("a", 1);
        /// assert_eq(map.a, 1);
        /// ```
        fn set(map: Map, name: String, value: Dynamic);
        /// Take an entry out and give its value, `()` if there is none.
        /// ```
        /// let map = #{ a: 1 };
        /// assert_eq(map.remove("a"), 1);
        /// ```
        fn remove(map: Map, name: String) -> Dynamic;
        /// Take all entries out.
        /// ```
        /// let map = #{ a: 1 };
        /// map.clear();
        /// assert(map.is_empty());
        /// ```
        fn clear(map: Map);
        /// Put the entries of another map over those of this one; `a + b` gives a new map.
        ///
        /// In place as a statement of its own; inside an expression the map stays and the joined one is given.
        /// ```
        /// let settings = #{ lr: 0.1, steps: 10 };
        /// let longer = settings.mixin(#{ steps: 20 });
        /// assert_eq([settings.steps, longer.steps], [10, 20]);
        /// ```
        fn mixin(map: Map, other: Map);
        /// Add the entries of another map that this one lacks, in place as `mixin`.
        /// ```
        /// let settings = #{ lr: 0.5 };
        /// settings.fill_with(#{ lr: 0.1, steps: 10 });
        /// assert_eq(settings, #{ lr: 0.5, steps: 10 });
        /// ```
        fn fill_with(map: Map, other: Map);
        /// A new map of what the closure makes of each name and value.
        /// ```
        /// assert_eq(#{ a: 1, b: 2 }.map(|name, value| value * 10), #{ a: 10, b: 20 });
        /// ```
        fn map(map: Map, closure: FnPtr) -> Map;
        /// A new map of the entries for which the closure is true of name and value.
        /// ```
        /// assert_eq(#{ a: 1, b: 2 }.filter(|name, value| value > 1), #{ b: 2 });
        /// ```
        fn filter(map: Map, closure: FnPtr) -> Map;
        /// Take the entries out for which the closure is true, and give them.
        /// ```
        /// let map = #{ a: 1, b: 2 };
        /// assert_eq(map.drain(|name, value| value > 1), #{ b: 2 });
        /// ```
        fn drain(map: Map, closure: FnPtr) -> Map;
        /// Take the entries out for which the closure is not true, and give them.
        /// ```
        /// let map = #{ a: 1, b: 2 };
        /// map.retain(|name, value| value > 1);
        /// assert_eq(map, #{ b: 2 });
        /// ```
        fn retain(map: Map, closure: FnPtr) -> Map;
    });
}

fn register(engine: &mut Engine) {
    type Native<'a> = NativeCallContext<'a>;
    engine.register_fn("set", |n: Native, map: &mut Map, name: &str, value: Dynamic| {
        edit(&n, map, |map| drop(map.insert(name.into(), value)))
    });
    engine.register_fn("clear", |n: Native, map: &mut Map| edit(&n, map, Map::clear));
    engine.register_fn("mixin", |n: Native, map: &mut Map, other: Map| {
        edit(&n, map, |map| map.extend(other))
    });
    engine.register_fn("fill_with", |n: Native, map: &mut Map, other: Map| {
        edit(&n, map, |map| {
            for (name, value) in other {
                let _ = map.entry(name).or_insert(value);
            }
        })
    });
    parting::<Map>(engine);
}

impl Parted for Map {
    fn parted(self, call: &Call, closure: &FnPtr) -> Result<(Self, Self)> {
        let (mut yes, mut no) = (Map::new(), Map::new());
        for (name, value) in self {
            let holds = truth(call, &call.call_on_entry(closure, &name, value.clone())?)?;
            let _ = if holds { &mut yes } else { &mut no }.insert(name, value);
        }
        Ok((yes, no))
    }
}
