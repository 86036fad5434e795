//! The methods of arrays that Rhai has otherwise: what changes the order of the items, and what asks a closure about them.

use rhai::{Engine, NativeCallContext};

use super::sort::sorted;
use super::{Answer, answer, change_and_give, equal, holds, place, truth};
use crate::script::prelude::*;
use crate::script::show::show;

/// What changes an array as a whole.
pub fn changes(engine: &mut Engine) {
    type Native<'a> = NativeCallContext<'a>;
    engine.register_fn("reverse", |n: Native, list: &mut Array| {
        change_and_give(&n, list, |_, list| Ok(list.iter().rev().cloned().collect()))
    });
    engine.register_fn("dedup", |n: Native, list: &mut Array| {
        change_and_give(&n, list, |call, list| unlike(list, |a, b| Ok(equal(call, a, b))))
    });
    engine.register_fn("dedup", |n: Native, list: &mut Array, same: FnPtr| {
        change_and_give(&n, list, |call, list| {
            unlike(list, |a, b| truth(call, &call.call(&same, (a.clone(), b.clone()))?))
        })
    });
    for name in ["sort", "sort_by"] {
        engine.register_fn(name, |n: Native, list: &mut Array, by: FnPtr| {
            change_and_give(&n, list, |call, list| sorted(call, list, Some(&by)))
        });
    }
    for name in ["order", "order_by"] {
        engine.register_fn(name, |n: Native, list: Array, by: FnPtr| {
            answer(&n, |call| Ok(sorted(call, &list, Some(&by))?.into()))
        });
    }
    engine.register_fn("sort", |n: Native, list: &mut Array| {
        change_and_give(&n, list, |call, list| sorted(call, list, None))
    });
    engine.register_fn("sort_desc", |n: Native, list: &mut Array| {
        change_and_give(&n, list, descending)
    });
    engine.register_fn("order", |n: Native, list: Array| {
        answer(&n, |call| Ok(sorted(call, &list, None)?.into()))
    });
    engine.register_fn("order_desc", |n: Native, list: Array| {
        answer(&n, |call| Ok(descending(call, &list)?.into()))
    });
}

fn descending(call: &Call, list: &Array) -> Result<Array> {
    let turned: Array = list.iter().rev().cloned().collect();
    let mut sorted = sorted(call, &turned, None)?;
    sorted.reverse();
    Ok(sorted)
}

/// The items without those that are the same as the one kept before them.
fn unlike(list: &Array, same: impl Fn(&Dynamic, &Dynamic) -> Result<bool>) -> Result<Array> {
    let mut kept: Array = Vec::new();
    for item in list {
        let again = match kept.last() {
            Some(last) => same(last, item)?,
            None => false,
        };
        if !again {
            kept.push(item.clone());
        }
    }
    Ok(kept)
}

/// What asks a closure about the items. Rhai takes any other answer than `true` for false.
pub fn questions(engine: &mut Engine) {
    type Native<'a> = NativeCallContext<'a>;
    parting::<Array>(engine);
    engine.register_fn("some", |n: Native, list: Array, closure: FnPtr| {
        answer(&n, |call| Ok(first(call, &list, &closure, 0)?.is_some().into()))
    });
    engine.register_fn("all", |n: Native, list: Array, closure: FnPtr| {
        answer(&n, |call| {
            for (i, item) in list.iter().enumerate() {
                if !holds(call, &closure, item, i)? {
                    return Ok(false.into());
                }
            }
            Ok(true.into())
        })
    });
    fn find(n: &Native, list: &Array, closure: &FnPtr, start: i64) -> Answer {
        answer(n, |call| {
            let found = first(call, list, closure, start)?;
            Ok(found.map_or(Dynamic::UNIT, |i| list[i].clone()))
        })
    }
    engine.register_fn("find", |n: Native, list: Array, closure: FnPtr| {
        find(&n, &list, &closure, 0)
    });
    engine.register_fn("find", |n: Native, list: Array, closure: FnPtr, start: i64| {
        find(&n, &list, &closure, start)
    });
    fn index(n: &Native, list: &Array, closure: &FnPtr, start: i64) -> Answer {
        answer(n, |call| {
            let found = first(call, list, closure, start)?;
            Ok(found.map_or(-1, |i| i as i64).into())
        })
    }
    engine.register_fn("index_of", |n: Native, list: Array, closure: FnPtr| {
        index(&n, &list, &closure, 0)
    });
    engine.register_fn("index_of", |n: Native, list: Array, closure: FnPtr, start: i64| {
        index(&n, &list, &closure, start)
    });
    engine.register_fn("reduce", |n: Native, list: Array, closure: FnPtr| {
        answer(&n, |call| reduced(call, list, &closure))
    });
    engine.register_fn("reduce_rev", |n: Native, mut list: Array, closure: FnPtr| {
        list.reverse();
        answer(&n, |call| reduced(call, list, &closure))
    });
    fn join(n: &Native, list: &Array, separator: &str) -> Answer {
        answer(n, |call| {
            let texts: Vec<String> = list.iter().map(|item| show(call.table(), item, false)).collect();
            Ok(texts.join(separator).into())
        })
    }
    engine.register_fn("join", |n: Native, list: Array, separator: &str| {
        join(&n, &list, separator)
    });
    engine.register_fn("join", |n: Native, list: Array| join(&n, &list, ""));
}

/// All items joined into one value by a closure, from the first two on.
fn reduced(call: &Call, list: Array, closure: &FnPtr) -> Result<Dynamic> {
    let mut items = list.into_iter();
    let Some(start) = items.next() else {
        fail!(
            "{}: the array is empty; give a start, as list.reduce(|a, b| a + b, 0)",
            call.function()
        )
    };
    items.try_fold(start, |so_far, item| call.call(closure, (so_far, item)))
}

/// What a closure can part in two.
pub(super) trait Parted: rhai::Variant + Clone + Into<Dynamic> {
    /// The items for which the closure is true, and the others.
    fn parted(self, call: &Call, closure: &FnPtr) -> Result<(Self, Self)>;
}

impl Parted for Array {
    fn parted(self, call: &Call, closure: &FnPtr) -> Result<(Self, Self)> {
        let (mut yes, mut no) = (Array::new(), Array::new());
        for (i, item) in self.into_iter().enumerate() {
            let part = if holds(call, closure, &item, i)? {
                &mut yes
            } else {
                &mut no
            };
            part.push(item);
        }
        Ok((yes, no))
    }
}

/// The methods that choose items by a closure.
pub(super) fn parting<T: Parted>(engine: &mut Engine) {
    type Native<'a> = NativeCallContext<'a>;
    engine.register_fn("filter", |n: Native, all: T, closure: FnPtr| {
        answer(&n, |call| Ok(all.parted(call, &closure)?.0.into()))
    });
    engine.register_fn("drain", |n: Native, all: &mut T, closure: FnPtr| {
        answer(&n, |call| {
            let (taken, left) = all.clone().parted(call, &closure)?;
            *all = left;
            Ok(taken.into())
        })
    });
    engine.register_fn("retain", |n: Native, all: &mut T, closure: FnPtr| {
        answer(&n, |call| {
            let (kept, taken) = all.clone().parted(call, &closure)?;
            *all = kept;
            Ok(taken.into())
        })
    });
}

/// The first place from `start` on for which the closure is true.
fn first(call: &Call, list: &Array, closure: &FnPtr, start: i64) -> Result<Option<usize>> {
    for (i, item) in list.iter().enumerate().skip(place(start, list.len())) {
        if holds(call, closure, item, i)? {
            return Ok(Some(i));
        }
    }
    Ok(None)
}
