//! Strings.

use std::ops::{Range, RangeInclusive};

use rhai::{Engine, ImmutableString, NativeCallContext, Variant};

use super::{Answer, change_and_give, existing, length, places, room, span};
use crate::described;
use crate::script::prelude::*;
use crate::script::show::show;

/// Describe the methods, and replace those that Rhai has otherwise.
pub fn declare(table: &mut Table) {
    table.hook(changes);
    table.methods::<ImmutableString>(described! {
        /// The number of characters.
        /// ```
        /// assert_eq("größe".len, 5);
        /// ```
        get len(text: String) -> i64;
        /// Whether there are no characters.
        /// ```
        /// assert("".is_empty());
        /// ```
        get is_empty(text: String) -> bool;
        /// The text without white space at both ends.
        ///
        /// In place as a statement of its own; inside an expression the string stays and the new one is given.
        /// ```
        /// let name = "  road ";
        /// assert_eq(name.trim(), "road");
        /// assert_eq(name.len, 7);
        /// name.trim();
        /// assert_eq(name, "road");
        /// ```
        fn trim(text: String) -> String;
        /// The text with `new` in every place of `old`; in place as a statement of its own, as `trim`.
        /// ```
        /// let file = "a.png".replace(".png", ".jpg");
        /// assert_eq(file, "a.jpg");
        /// ```
        fn replace(text: String, old: String, new: String) -> String;
        /// The text without every `part`; in place as a statement of its own, as `trim`.
        /// ```
        /// assert_eq("a-b-c".remove("-"), "abc");
        /// ```
        fn remove(text: String, part: String) -> String;
        /// The first `count` characters; in place as a statement of its own, as `trim`.
        /// ```
        /// assert_eq("street".truncate(3), "str");
        /// ```
        fn truncate(text: String, count: i64) -> String;
        /// The characters from `start` on, or `count` of them, in place as a statement of its own, as `trim`; `text.crop(1..3)` takes a range.
        /// ```
        /// assert_eq("street".crop(2), "reet");
        /// assert_eq("street".crop(1..3), "tr");
        /// ```
        fn crop(text: String, start: i64, count: Option<i64> = None) -> String;
        /// The text with something at its end, in place as a statement of its own, as `trim`; `a + b` gives a new one.
        /// ```
        /// assert_eq("run ".append(3), "run 3");
        /// ```
        fn append(text: String, end: Dynamic) -> String;
        /// The text filled up with `filler` at its end to `count` characters; in place as a statement of its own, as `trim`.
        /// ```
        /// assert_eq("ab".pad(4, "."), "ab..");
        /// ```
        fn pad(text: String, count: i64, filler: String) -> String;
        /// The text in capitals.
        /// ```
        /// assert_eq("road".to_upper(), "ROAD");
        /// ```
        fn to_upper(text: String) -> String;
        /// The text in small letters.
        /// ```
        /// assert_eq("Road".to_lower(), "road");
        /// ```
        fn to_lower(text: String) -> String;
        /// The parts between the separators, or the words between white space.
        /// ```
        /// assert_eq("a,b".split(","), ["a", "b"]);
        /// assert_eq("a  b".split(), ["a", "b"]);
        /// ```
        fn split(text: String, separator: String = String::new()) -> Array;
        /// Whether a part is in the text, as `part in text`.
        /// ```
        /// assert("street".contains("tree") && "tree" in "street");
        /// ```
        fn contains(text: String, part: String) -> bool;
        /// Whether the text begins so.
        /// ```
        /// assert("street".starts_with("st"));
        /// ```
        fn starts_with(text: String, part: String) -> bool;
        /// Whether the text ends so.
        /// ```
        /// assert("a.png".ends_with(".png"));
        /// ```
        fn ends_with(text: String, part: String) -> bool;
        /// The place of a part, counted in characters; -1 if it is not in the text.
        /// ```
        /// assert_eq("street".index_of("ee"), 3);
        /// ```
        fn index_of(text: String, part: String, start: i64 = 0) -> i64;
        /// The characters from `start` on, or `count` of them; `text.sub_string(1..3)` takes a range.
        /// ```
        /// assert_eq("street".sub_string(2), "reet");
        /// assert_eq("street".sub_string(1..3), "tr");
        /// ```
        fn sub_string(text: String, start: i64, count: Option<i64> = None) -> String;
        /// The characters, one by one.
        /// ```
        /// assert_eq("ab".to_chars().len, 2);
        /// ```
        fn to_chars(text: String) -> Array;
    });
}

type Native<'a> = NativeCallContext<'a>;
type Text = ImmutableString;

fn changed(n: &Native, text: &mut Text, make: impl FnOnce(&str) -> String) -> Answer {
    change_and_give(n, text, |_, text| Ok(make(text).into()))
}

/// Filled up to so many characters.
fn padded(n: &Native, text: &mut Text, count: i64, filler: &str) -> Answer {
    change_and_give(n, text, |call, text| {
        ensure!(!filler.is_empty(), "pad: the filler is empty");
        room(call, count, 1)?;
        let mut out = text.to_string();
        let missing = length(count).saturating_sub(out.chars().count());
        for (i, c) in filler.chars().cycle().take(missing).enumerate() {
            if i % (1 << 16) == 0 {
                call.session().check_cancel()?;
            }
            out.push(c);
        }
        Ok(out.into())
    })
}

/// What changes a string.
fn changes(engine: &mut Engine) {
    fn cropped(n: &Native, text: &mut Text, (start, count): (i64, i64)) -> Answer {
        changed(n, text, |t| {
            let places = places(start, count, t.chars().count());
            t.chars().skip(places.start).take(places.len()).collect()
        })
    }
    engine.register_fn("crop", |n: Native, text: &mut Text, start: i64| {
        cropped(&n, text, (start, i64::MAX))
    });
    engine.register_fn("crop", |n: Native, text: &mut Text, start: i64, count: i64| {
        cropped(&n, text, (start, count))
    });
    engine.register_fn("crop", |n: Native, text: &mut Text, range: Range<i64>| {
        cropped(&n, text, span(range))
    });
    engine.register_fn("crop", |n: Native, text: &mut Text, range: RangeInclusive<i64>| {
        cropped(&n, text, span(range))
    });
    engine.register_fn("append", |n: Native, text: &mut Text, end: Dynamic| {
        change_and_give(&n, text, |call, text| {
            Ok(format!("{text}{}", show(call.table(), &end, false)).into())
        })
    });
    engine.register_fn("set", |n: Native, text: &mut Text, index: i64, character: char| {
        change_and_give(&n, text, |_, text| {
            let at = existing(index, text.chars().count(), "string")?;
            let one = |(i, old)| if i == at { character } else { old };
            Ok(text.chars().enumerate().map(one).collect::<String>().into())
        })
    });
    engine.register_fn("clear", |n: Native, text: &mut Text| {
        changed(&n, text, |_| String::new())
    });
    engine.register_fn("trim", |n: Native, text: &mut Text| {
        changed(&n, text, |t| t.trim().to_string())
    });
    engine.register_fn("make_upper", |n: Native, text: &mut Text| {
        changed(&n, text, str::to_uppercase)
    });
    engine.register_fn("make_lower", |n: Native, text: &mut Text| {
        changed(&n, text, str::to_lowercase)
    });
    engine.register_fn("truncate", |n: Native, text: &mut Text, count: i64| {
        changed(&n, text, |t| t.chars().take(length(count)).collect())
    });
    of_parts::<Text>(engine);
    of_parts::<char>(engine);
}

/// A part of a string: a string, or a character.
trait Part: Variant + Clone + Into<String> {}
impl Part for Text {}
impl Part for char {}

/// What takes parts.
fn of_parts<P: Part>(engine: &mut Engine) {
    engine.register_fn("append", |n: Native, text: &mut Text, end: P| {
        let end: String = end.into();
        changed(&n, text, |t| t.to_string() + end.as_str())
    });
    engine.register_fn("remove", |n: Native, text: &mut Text, part: P| {
        changed(&n, text, |t| t.replace(&part.into(), ""))
    });
    engine.register_fn("pad", |n: Native, text: &mut Text, count: i64, filler: P| {
        padded(&n, text, count, &filler.into())
    });
    fn replace<P: Part, Q: Part>(engine: &mut Engine) {
        engine.register_fn("replace", |n: Native, text: &mut Text, old: P, new: Q| {
            changed(&n, text, |t| t.replace(&old.into(), &new.into()))
        });
    }
    replace::<P, Text>(engine);
    replace::<P, char>(engine);
}
