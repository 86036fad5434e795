//! The methods that change a list in place: those of arrays, and of byte arrays (`blob`). They are Rhai's, but a list of any length asked
//! for is refused where the memory cannot hold it.

use std::ops::{Range, RangeInclusive};

use rhai::{Blob, Engine, NativeCallContext as Native, Variant};

use super::{Answer, answer, change, edit, existing, length, place, places, room, span};
use crate::script::prelude::*;

/// An item of a list.
trait Item: Clone + 'static {
    /// What a script gives for it.
    type Given: Variant + Clone;
    /// What the list is called.
    const LIST: &'static str;
    fn of(given: Self::Given) -> Self;
}

impl Item for Dynamic {
    type Given = Dynamic;
    const LIST: &'static str = "array";
    fn of(given: Dynamic) -> Self {
        given
    }
}

impl Item for u8 {
    type Given = i64;
    const LIST: &'static str = "blob";
    /// The lowest eight bits, as Rhai takes them.
    fn of(given: i64) -> Self {
        (given & 0xff) as u8
    }
}

/// Register them, and what makes byte arrays.
pub fn register(engine: &mut Engine) {
    changes::<Dynamic>(engine);
    changes::<u8>(engine);
    engine.register_fn("blob", |n: Native, count: i64| filled(&n, count, 0));
    engine.register_fn("blob", |n: Native, count: i64, value: i64| filled(&n, count, value));
    engine.register_fn("reverse", |n: Native, blob: &mut Blob| {
        edit(&n, blob, |blob| blob.reverse())
    });
}

fn changes<T: Item>(engine: &mut Engine) {
    engine.register_fn("push", |n: Native, list: &mut Vec<T>, item: T::Given| {
        edit(&n, list, |list| list.push(T::of(item)))
    });
    engine.register_fn("append", |n: Native, list: &mut Vec<T>, other: Vec<T>| {
        edit(&n, list, |list| list.extend(other))
    });
    engine.register_fn("insert", |n: Native, list: &mut Vec<T>, index: i64, item: T::Given| {
        edit(&n, list, |list| list.insert(place(index, list.len()), T::of(item)))
    });
    engine.register_fn("set", |n: Native, list: &mut Vec<T>, index: i64, item: T::Given| {
        change(&n, list, |_, list| {
            let at = existing(index, list.len(), T::LIST)?;
            list[at] = T::of(item);
            Ok(())
        })
    });
    engine.register_fn("clear", |n: Native, list: &mut Vec<T>| edit(&n, list, Vec::clear));
    engine.register_fn("truncate", |n: Native, list: &mut Vec<T>, count: i64| {
        edit(&n, list, |list| list.truncate(length(count)))
    });
    engine.register_fn("chop", |n: Native, list: &mut Vec<T>, count: i64| {
        edit(&n, list, |list| {
            drop(list.drain(..list.len().saturating_sub(length(count))))
        })
    });
    engine.register_fn("pad", |n: Native, list: &mut Vec<T>, count: i64, item: T::Given| {
        change(&n, list, |call, list| {
            room(call, count, size_of::<T>() as u64)?;
            let item = T::of(item);
            while list.len() < length(count) {
                call.session().check_cancel()?;
                list.resize(length(count).min(list.len() + (1 << 16)), item.clone());
            }
            Ok(())
        })
    });
    fn splice<T: Item>(n: &Native, list: &mut Vec<T>, (start, count): (i64, i64), items: Vec<T>) -> Answer {
        edit(n, list, |list| {
            drop(list.splice(places(start, count, list.len()), items))
        })
    }
    engine.register_fn(
        "splice",
        |n: Native, list: &mut Vec<T>, range: Range<i64>, items: Vec<T>| splice(&n, list, span(range), items),
    );
    engine.register_fn(
        "splice",
        |n: Native, list: &mut Vec<T>, range: RangeInclusive<i64>, items: Vec<T>| splice(&n, list, span(range), items),
    );
    engine.register_fn(
        "splice",
        |n: Native, list: &mut Vec<T>, start: i64, count: i64, items: Vec<T>| splice(&n, list, (start, count), items),
    );
}

/// A byte array of one value.
fn filled(n: &Native, count: i64, value: i64) -> Answer {
    answer(n, |call| {
        room(call, count, 1)?;
        Ok(Dynamic::from_blob(vec![u8::of(value); length(count)]))
    })
}
