//! Sorting arrays, by the order of their items or by a closure.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::truth;
use crate::script::prelude::*;
use crate::script::values::describe;

/// Comparisons between two looks at Ctrl-C.
const PATIENCE: usize = 1 << 14;

/// The items in order; items of the same rank stay in theirs.
pub(super) fn sorted(call: &Call, items: &Array, by: Option<&FnPtr>) -> Result<Array> {
    let mut sorted = items.clone();
    let failure: RefCell<Option<Error>> = RefCell::default();
    let count = Cell::new(0_usize);
    let compare = |a: &Dynamic, b: &Dynamic| {
        if failure.borrow().is_some() {
            return Ordering::Equal;
        }
        count.set(count.get() + 1);
        let ordering = match by {
            Some(closure) => by_closure(call, closure, a, b),
            None if count.get().is_multiple_of(PATIENCE) => call.session().check_cancel().and_then(|()| natural(a, b)),
            None => natural(a, b),
        };
        ordering.unwrap_or_else(|e| {
            *failure.borrow_mut() = Some(e);
            Ordering::Equal
        })
    };
    // the standard library's sort panics on a comparison that contradicts itself
    let in_order = catch_unwind(AssertUnwindSafe(|| sorted.sort_by(compare))).is_ok()
        && (by.is_none()
            || sorted
                .windows(2)
                .all(|pair| compare(&pair[0], &pair[1]) != Ordering::Greater));
    if let Some(error) = failure.take() {
        return Err(error);
    }
    ensure!(
        in_order,
        "{}: the answers of the closure contradict each other; |a, b| a - b sorts up, |a, b| b - a down",
        call.function()
    );
    Ok(sorted)
}

/// What a closure says of two items: a number below, at or above 0, or whether the first belongs before the second.
fn by_closure(call: &Call, closure: &FnPtr, a: &Dynamic, b: &Dynamic) -> Result<Ordering> {
    let ask = |a: &Dynamic, b: &Dynamic| call.call(closure, (a.clone(), b.clone()));
    let answer = ask(a, b)?;
    if let Ok(first) = answer.as_bool() {
        let second = truth(call, &ask(b, a)?)?;
        return Ok(second.cmp(&first));
    }
    match f64::convert(&answer).and_then(|number| number.partial_cmp(&0.0)) {
        Some(ordering) => Ok(ordering),
        None => fail!(
            "{}: its closure must answer a number (below 0: a comes first) or true and false, found {}",
            call.function(),
            describe(&answer)
        ),
    }
}

/// The order of two numbers, texts or truths; NaN comes last.
pub fn natural(a: &Dynamic, b: &Dynamic) -> Result<Ordering> {
    if let (Ok(a), Ok(b)) = (a.as_int(), b.as_int()) {
        return Ok(a.cmp(&b));
    }
    if let (Some(a), Some(b)) = (f64::convert(a), f64::convert(b)) {
        return Ok(a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())));
    }
    if let (Some(a), Some(b)) = (text(a), text(b)) {
        return Ok(a.cmp(&b));
    }
    if let (Ok(a), Ok(b)) = (a.as_bool(), b.as_bool()) {
        return Ok(a.cmp(&b));
    }
    fail!(
        "there is no order between {} and {}; give a closure, as list.sort(|a, b| a.step - b.step)",
        describe(a),
        describe(b)
    )
}

fn text(value: &Dynamic) -> Option<String> {
    (value.is_string() || value.is_char()).then(|| value.to_string())
}
