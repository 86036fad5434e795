//! The base language: what Rhai brings is described here, for help and completion; what people expect otherwise is replaced.
//!
//! A method that changes its value does so in place where it stands as a statement of its own. Inside an expression it leaves the
//! value alone and gives the changed copy: `list.sort();` and `let sorted = list.sort();` both mean what they say.

mod array;
mod items;
mod lists;
mod map;
mod number;
mod sort;
mod text;
mod topics;

pub(super) use sort::natural as natural_order;

use rhai::{EvalAltResult, NativeCallContext};

use crate::script::api::nth;
use crate::script::context::count;
use crate::script::prelude::*;
use crate::script::values::describe;
use crate::session::memory::available_memory;

/// Declare everything.
pub fn declare(table: &mut Table) {
    topics::declare(table);
    array::declare(table);
    table.hook(lists::register);
    text::declare(table);
    map::declare(table);
    number::declare(table);
}

/// Bytes that are there without asking.
const SMALL: u64 = 1 << 20;

type Answer = std::result::Result<Dynamic, Box<EvalAltResult>>;

/// What a method of Rhai's kind answers, with our errors.
fn answer(native: &NativeCallContext, body: impl FnOnce(&Call) -> Result<Dynamic>) -> Answer {
    Call::run(native, native.fn_name(), body)
}

/// Change a value in place and give nothing, or, where a value is asked for, give the changed copy.
fn change<T: Clone + 'static>(
    native: &NativeCallContext,
    value: &mut T,
    change: impl FnOnce(&Call, &mut T) -> Result<()>,
) -> Answer {
    answer(native, |call| {
        if !asked(call) {
            return change(call, value).map(|()| Dynamic::UNIT);
        }
        let mut copy = value.clone();
        change(call, &mut copy)?;
        Ok(Dynamic::from(copy))
    })
}

/// [`change`] that cannot fail.
fn edit<T: Clone + 'static>(native: &NativeCallContext, value: &mut T, edit: impl FnOnce(&mut T)) -> Answer {
    change(native, value, |_, value| {
        edit(value);
        Ok(())
    })
}

/// [`change`] for what takes as long as a copy: the value is given in either case, so that a closure may end with it.
fn change_and_give<T: Clone + 'static>(
    native: &NativeCallContext,
    value: &mut T,
    change: impl FnOnce(&Call, &T) -> Result<T>,
) -> Answer {
    answer(native, |call| {
        let changed = change(call, value)?;
        if !asked(call) {
            *value = changed.clone();
        }
        Ok(Dynamic::from(changed))
    })
}

/// The start and the length of a range of places.
fn span(range: impl std::ops::RangeBounds<i64>) -> (i64, i64) {
    let start = match range.start_bound() {
        std::ops::Bound::Included(start) => (*start).max(0),
        _ => 0,
    };
    let end = match range.end_bound() {
        std::ops::Bound::Included(end) => end.saturating_add(1),
        std::ops::Bound::Excluded(end) => *end,
        std::ops::Bound::Unbounded => i64::MAX,
    };
    (start, end.saturating_sub(start).max(0))
}

/// The places from `start` on, counted from the end if it is negative, `count` of them or to the end of the `length`.
fn places(start: i64, count: i64, length: usize) -> std::ops::Range<usize> {
    let start = place(start, length);
    start..start.saturating_add(self::length(count)).min(length)
}

/// How many items a script asks for; none if the number is negative.
fn length(count: i64) -> usize {
    usize::try_from(count).unwrap_or(0)
}

/// A place counted from the end if it is negative, at most the length.
fn place(index: i64, length: usize) -> usize {
    let from_end = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
    if index < 0 {
        length.saturating_sub(from_end)
    } else {
        from_end.min(length)
    }
}

/// The place of something that is there.
fn existing(index: i64, length: usize, what: &str) -> Result<usize> {
    match nth(index, length) {
        Some(at) => Ok(at),
        None => fail!(
            "index {index} is outside of the {what}, which has {}",
            count(length, "item")
        ),
    }
}

/// Refuse to make so many items of so many bytes where the memory, or the sandbox's part of it, cannot hold them.
fn room(call: &Call, items: i64, bytes: u64) -> Result<()> {
    let wanted = u64::try_from(items).unwrap_or(0).saturating_mul(bytes);
    if wanted < SMALL {
        return Ok(());
    }
    ensure!(
        available_memory().is_none_or(|free| wanted <= free),
        "a length of {items} needs {:.1} GB, more than the memory that is free",
        wanted as f64 / 1e9
    );
    match call.session().sandbox() {
        Some(sandbox) => sandbox.check_memory(wanted),
        None => Ok(()),
    }
}

/// Whether the call stands inside an expression.
fn asked(call: &Call) -> bool {
    let native = call.native();
    call.sources()
        .asked(native.call_source().unwrap_or_default(), native.call_position())
}

/// What a closure says of an item: true or false.
fn holds(call: &Call, closure: &FnPtr, item: &Dynamic, index: usize) -> Result<bool> {
    truth(call, &call.call_on(closure, item.clone(), index)?)
}

/// The answer of a closure that must say true or false.
fn truth(call: &Call, answer: &Dynamic) -> Result<bool> {
    match answer.as_bool() {
        Ok(answer) => Ok(answer),
        Err(_) => fail!(
            "{}: its closure must answer true or false, found {}",
            call.function(),
            describe(answer)
        ),
    }
}

/// Whether two values are equal, as `==` says.
pub(super) fn equal(call: &Call, a: &Dynamic, b: &Dynamic) -> bool {
    match (a.as_int(), b.as_int()) {
        (Ok(a), Ok(b)) => a == b,
        _ => call
            .native()
            .call_native_fn("==", (a.clone(), b.clone()))
            .unwrap_or(false),
    }
}
