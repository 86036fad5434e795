//! Arrays.

use rhai::{Engine, NativeCallContext};

use super::sort::sorted;
use super::{Answer, answer, change, change_and_give, holds, room, truth};
use crate::described;
use crate::script::prelude::*;
use crate::script::show::show;

/// Describe the methods, and replace those that Rhai has otherwise.
pub fn declare(table: &mut Table) {
    table.hook(changes);
    table.hook(questions);
    table.methods::<Array>(
        "array",
        described! {
            /// The number of items.
            /// ```
            /// assert_eq([3, 4].len, 2);
            /// ```
            get len(list: Array) -> i64;
            /// Whether there are no items.
            /// ```
            /// assert([].is_empty());
            /// ```
            get is_empty(list: Array) -> bool;
            /// Add an item at the end.
            ///
            /// In place as a statement of its own; inside an expression the list stays and the longer one is given.
            /// ```
            /// let list = [1];
            /// list.push(2);
            /// assert_eq(list, [1, 2]);
            /// let longer = list.push(3);
            /// assert_eq([list.len, longer.len], [2, 3]);
            /// ```
            fn push(list: Array, item: Dynamic);
            /// Add all items of another array at the end, in place as `push`; `a + b` gives a new one.
            /// ```
            /// let list = [1];
            /// list.append([2, 3]);
            /// assert_eq(list, [1] + [2, 3]);
            /// ```
            fn append(list: Array, other: Array);
            /// Put an item in front of the one at `index`, in place as `push`; -1 is in front of the last.
            /// ```
            /// let list = [1, 3];
            /// list.insert(1, 2);
            /// assert_eq(list, [1, 2, 3]);
            /// ```
            fn insert(list: Array, index: i64, item: Dynamic);
            /// Take the last item out and give it, `()` if there is none.
            /// ```
            /// let list = [1, 2];
            /// assert_eq(list.pop(), 2);
            /// assert_eq(list, [1]);
            /// ```
            fn pop(list: Array) -> Dynamic;
            /// Take the first item out and give it, `()` if there is none.
            /// ```
            /// let list = [1, 2];
            /// assert_eq(list.shift(), 1);
            /// ```
            fn shift(list: Array) -> Dynamic;
            /// Take the item at `index` out and give it.
            /// ```
            /// let list = [5, 6, 7];
            /// assert_eq(list.remove(1), 6);
            /// assert_eq(list, [5, 7]);
            /// ```
            fn remove(list: Array, index: i64) -> Dynamic;
            /// Take all items out.
            /// ```
            /// let list = [1];
            /// list.clear();
            /// assert_eq(list, []);
            /// ```
            fn clear(list: Array);
            /// Keep the first `count` items, in place as `push`.
            /// ```
            /// let list = [1, 2, 3];
            /// list.truncate(2);
            /// assert_eq(list, [1, 2]);
            /// ```
            fn truncate(list: Array, count: i64);
            /// Keep the last `count` items, in place as `push`.
            /// ```
            /// let list = [1, 2, 3];
            /// list.chop(2);
            /// assert_eq(list, [2, 3]);
            /// ```
            fn chop(list: Array, count: i64);
            /// Add `item` until there are `count` items, in place as `push`.
            /// ```
            /// let list = [1];
            /// list.pad(3, 0);
            /// assert_eq(list, [1, 0, 0]);
            /// ```
            fn pad(list: Array, count: i64, item: Dynamic);
            /// Turn the order around.
            ///
            /// In place as a statement of its own; inside an expression the list stays and the turned one is given.
            /// ```
            /// let list = [1, 2, 3];
            /// assert_eq(list.reverse(), [3, 2, 1]);
            /// assert_eq(list, [1, 2, 3]);
            /// list.reverse();
            /// assert_eq(list, [3, 2, 1]);
            /// ```
            fn reverse(list: Array) -> Array;
            /// Sort numbers, texts or truths upwards, anything else by a closure.
            ///
            /// In place as a statement of its own; inside an expression the list stays and the sorted one is given. The closure answers
            /// with a number (below 0: `a` comes first) or with whether `a` belongs before `b`.
            /// ```
            /// let list = [20.0, 1.0, 3];
            /// assert_eq(list.sort(), [1, 3, 20]);
            /// list.sort(|a, b| b - a);
            /// assert_eq(list, [20, 3, 1]);
            /// let rows = [#{ loss: 0.7 }, #{ loss: 0.2 }];
            /// assert_eq(rows.sort(|a, b| a.loss - b.loss)[0].loss, 0.2);
            /// ```
            fn sort(list: Array, /// Which of two comes first.
                closure: Option<FnPtr> = None) -> Array;
            /// Sort downwards, as `sort` does upwards.
            /// ```
            /// assert_eq([1, 3, 2].sort_desc(), [3, 2, 1]);
            /// ```
            fn sort_desc(list: Array) -> Array;
            /// Leave one of items that are equal and follow each other, in place as `push`.
            /// ```
            /// assert_eq([1, 1, 2, 1].dedup(), [1, 2, 1]);
            /// ```
            fn dedup(list: Array, /// When two are the same.
                closure: Option<FnPtr> = None) -> Array;
            /// A new array of what the closure makes of each item; `|item, index|` gets the place as well.
            /// ```
            /// assert_eq([1, 2].map(|x| x * x), [1, 4]);
            /// assert_eq([7, 8].map(|x, i| x * i), [0, 8]);
            /// ```
            fn map(list: Array, closure: FnPtr) -> Array;
            /// A new array of the items for which the closure is true.
            /// ```
            /// assert_eq([1, 2, 3].filter(|x| x > 1), [2, 3]);
            /// ```
            fn filter(list: Array, closure: FnPtr) -> Array;
            /// All items joined into one value, from the first two on, or from `start`.
            /// ```
            /// assert_eq([1, 2, 3].reduce(|a, b| a + b), 6);
            /// assert_eq([1, 2, 3].reduce(|a, b| a + b, 10), 16);
            /// ```
            fn reduce(list: Array, closure: FnPtr, start: Option<Dynamic> = None) -> Dynamic;
            /// Call the closure with each item; inside it `this` is the item and may be changed.
            /// ```
            /// let list = [1, 2];
            /// list.for_each(|| this *= 10);
            /// assert_eq(list, [10, 20]);
            /// ```
            fn for_each(list: Array, closure: FnPtr);
            /// Whether an item is in the array, as `item in list`.
            /// ```
            /// assert([1, 2].contains(2) && 2 in [1, 2]);
            /// ```
            fn contains(list: Array, item: Dynamic) -> bool;
            /// The place of an item, or of the first for which a closure is true; -1 if there is none.
            /// ```
            /// assert_eq(["a", "b"].index_of("b"), 1);
            /// assert_eq([1, 5].index_of(|x| x > 2), 1);
            /// ```
            fn index_of(list: Array, item: Dynamic, start: i64 = 0) -> i64;
            /// The first item for which the closure is true, `()` if there is none.
            /// ```
            /// assert_eq([1, 5, 7].find(|x| x > 2), 5);
            /// ```
            fn find(list: Array, closure: FnPtr, start: i64 = 0) -> Dynamic;
            /// Whether the closure is true for any item.
            /// ```
            /// assert([1, 5].some(|x| x > 2));
            /// ```
            fn some(list: Array, closure: FnPtr) -> bool;
            /// Whether the closure is true for all items.
            /// ```
            /// assert([3, 5].all(|x| x > 2));
            /// ```
            fn all(list: Array, closure: FnPtr) -> bool;
            /// A new array of the items from `start` to the end, or `count` of them; `list.extract(1..3)` takes a range.
            /// ```
            /// assert_eq([5, 6, 7, 8].extract(1), [6, 7, 8]);
            /// assert_eq([5, 6, 7, 8].extract(1..3), [6, 7]);
            /// assert_eq([5, 6, 7, 8].extract(-2), [7, 8]);
            /// ```
            fn extract(list: Array, start: i64, count: Option<i64> = None) -> Array;
            /// Take the items out for which the closure is true, and give them.
            /// ```
            /// let list = [1, 2, 3];
            /// assert_eq(list.drain(|x| x > 1), [2, 3]);
            /// assert_eq(list, [1]);
            /// ```
            fn drain(list: Array, closure: FnPtr) -> Array;
            /// Take the items out for which the closure is not true, and give them.
            /// ```
            /// let list = [1, 2, 3];
            /// list.retain(|x| x > 1);
            /// assert_eq(list, [2, 3]);
            /// ```
            fn retain(list: Array, closure: FnPtr) -> Array;
            /// A new array of what the closure makes of the pairs of two arrays, as long as the shorter one.
            /// ```
            /// assert_eq([1, 2].zip([10, 20], |a, b| a + b), [11, 22]);
            /// ```
            fn zip(list: Array, other: Array, closure: FnPtr) -> Array;
            /// The items as one text, with `separator` between them.
            /// ```
            /// assert_eq([1, 2.5, "a"].join(", "), "1, 2.5, a");
            /// ```
            fn join(list: Array, separator: String = String::new()) -> String;
        },
    );
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

fn count(n: i64) -> usize {
    usize::try_from(n).unwrap_or(0)
}

/// What changes an array.
fn changes(engine: &mut Engine) {
    type Native<'a> = NativeCallContext<'a>;
    engine.register_fn("push", |n: Native, list: &mut Array, item: Dynamic| {
        change(&n, list, |_, list| {
            list.push(item);
            Ok(())
        })
    });
    engine.register_fn("append", |n: Native, list: &mut Array, other: Array| {
        change(&n, list, |_, list| {
            list.extend(other);
            Ok(())
        })
    });
    engine.register_fn("insert", |n: Native, list: &mut Array, index: i64, item: Dynamic| {
        change(&n, list, |_, list| {
            list.insert(place(index, list.len()), item);
            Ok(())
        })
    });
    engine.register_fn("clear", |n: Native, list: &mut Array| {
        change(&n, list, |_, list| {
            list.clear();
            Ok(())
        })
    });
    engine.register_fn("truncate", |n: Native, list: &mut Array, length: i64| {
        change(&n, list, |_, list| {
            list.truncate(count(length));
            Ok(())
        })
    });
    engine.register_fn("chop", |n: Native, list: &mut Array, length: i64| {
        change(&n, list, |_, list| {
            let _ = list.drain(..list.len().saturating_sub(count(length)));
            Ok(())
        })
    });
    engine.register_fn("pad", |n: Native, list: &mut Array, length: i64, item: Dynamic| {
        change(&n, list, |call, list| {
            room(call, length, size_of::<Dynamic>() as u64)?;
            while list.len() < count(length) {
                list.push(item.clone());
                if list.len() % (1 << 16) == 0 {
                    call.session().check_cancel()?;
                }
            }
            Ok(())
        })
    });
    engine.register_fn("reverse", |n: Native, list: &mut Array| {
        change_and_give(&n, list, |_, list| Ok(list.iter().rev().cloned().collect()))
    });
    engine.register_fn("dedup", |n: Native, list: &mut Array| {
        change_and_give(&n, list, |call, list| {
            unlike(list, |a, b| {
                let same = call.native().call_native_fn::<bool>("==", (a.clone(), b.clone()));
                Ok(same.unwrap_or(false))
            })
        })
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
fn questions(engine: &mut Engine) {
    type Native<'a> = NativeCallContext<'a>;
    engine.register_fn("filter", |n: Native, list: Array, closure: FnPtr| {
        answer(&n, |call| Ok(parted(call, list, &closure)?.0.into()))
    });
    engine.register_fn("drain", |n: Native, list: &mut Array, closure: FnPtr| {
        answer(&n, |call| {
            let (taken, left) = parted(call, list.clone(), &closure)?;
            *list = left;
            Ok(taken.into())
        })
    });
    engine.register_fn("retain", |n: Native, list: &mut Array, closure: FnPtr| {
        answer(&n, |call| {
            let (kept, taken) = parted(call, list.clone(), &closure)?;
            *list = kept;
            Ok(taken.into())
        })
    });
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

/// The items for which the closure is true, and the others.
fn parted(call: &Call, list: Array, closure: &FnPtr) -> Result<(Array, Array)> {
    let (mut yes, mut no) = (Array::new(), Array::new());
    for (i, item) in list.into_iter().enumerate() {
        if holds(call, closure, &item, i)? {
            yes.push(item);
        } else {
            no.push(item);
        }
    }
    Ok((yes, no))
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
