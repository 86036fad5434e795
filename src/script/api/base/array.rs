//! Arrays: their methods described; `items` replaces those that Rhai has otherwise.

use super::items;
use crate::described;
use crate::script::prelude::*;

/// Describe the methods, and replace those that Rhai has otherwise.
pub fn declare(table: &mut Table) {
    table.hook(items::changes);
    table.hook(items::questions);
    table.methods::<Array>(described! {
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
        /// Give the place `index` another item, in place as `push`; `list[index] = item` does the same.
        /// ```
        /// let list = [1, 2, 3];
        /// list.set(-1, 9);
        /// assert_eq(list, [1, 2, 9]);
        /// ```
        fn set(list: Array, index: i64, item: Dynamic);
        /// Put other items in the place of `count` items from `start` on, in place as `push`; `list.splice(1..3, items)` takes a range.
        /// ```
        /// let list = [1, 2, 3, 4];
        /// list.splice(1, 2, [9]);
        /// assert_eq(list, [1, 9, 4]);
        /// ```
        fn splice(list: Array, start: i64, count: i64, items: Array);
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
    });
}
