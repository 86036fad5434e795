//! Byte arrays (`blob`): Rhai's, but that one of any length asked for is refused where the memory cannot hold it.

use std::ops::{Range, RangeInclusive};

use rhai::{Blob, Engine, NativeCallContext as Native};

use super::{Answer, answer, change, existing, place, places, room, span};
use crate::script::prelude::*;

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.hook(register);
}

fn register(engine: &mut Engine) {
    engine.register_fn("blob", |n: Native, length: i64| {
        answer(&n, |call| filled(call, length, 0))
    });
    engine.register_fn("blob", |n: Native, length: i64, value: i64| {
        answer(&n, |call| filled(call, length, value))
    });
    engine.register_fn("pad", |n: Native, blob: &mut Blob, length: i64, value: i64| {
        change(&n, blob, |call, blob| {
            room(call, length, 1)?;
            let length = usize::try_from(length).unwrap_or(0);
            blob.resize(length.max(blob.len()), byte(value));
            Ok(())
        })
    });
    engine.register_fn("push", |n: Native, blob: &mut Blob, value: i64| {
        change(&n, blob, |_, blob| {
            blob.push(byte(value));
            Ok(())
        })
    });
    engine.register_fn("append", |n: Native, blob: &mut Blob, other: Blob| {
        change(&n, blob, |_, blob| {
            blob.extend(other);
            Ok(())
        })
    });
    engine.register_fn("insert", |n: Native, blob: &mut Blob, index: i64, value: i64| {
        change(&n, blob, |_, blob| {
            blob.insert(place(index, blob.len()), byte(value));
            Ok(())
        })
    });
    engine.register_fn("set", |n: Native, blob: &mut Blob, index: i64, value: i64| {
        change(&n, blob, |_, blob| {
            let at = existing(index, blob.len(), "blob")?;
            blob[at] = byte(value);
            Ok(())
        })
    });
    engine.register_fn("clear", |n: Native, blob: &mut Blob| {
        change(&n, blob, |_, blob| {
            blob.clear();
            Ok(())
        })
    });
    engine.register_fn("reverse", |n: Native, blob: &mut Blob| {
        change(&n, blob, |_, blob| {
            blob.reverse();
            Ok(())
        })
    });
    for (name, from_end) in [("truncate", false), ("chop", true)] {
        engine.register_fn(name, move |n: Native, blob: &mut Blob, length: i64| {
            change(&n, blob, |_, blob| {
                let length = usize::try_from(length).unwrap_or(0).min(blob.len());
                let start = if from_end { blob.len() - length } else { 0 };
                *blob = blob[start..start + length].to_vec();
                Ok(())
            })
        });
    }
    fn splice(n: &Native, blob: &mut Blob, (start, count): (i64, i64), other: Blob) -> Answer {
        change(n, blob, |_, blob| {
            let _ = blob.splice(places(start, count, blob.len()), other);
            Ok(())
        })
    }
    engine.register_fn(
        "splice",
        |n: Native, blob: &mut Blob, range: Range<i64>, other: Blob| splice(&n, blob, span(range), other),
    );
    engine.register_fn(
        "splice",
        |n: Native, blob: &mut Blob, range: RangeInclusive<i64>, other: Blob| splice(&n, blob, span(range), other),
    );
    engine.register_fn(
        "splice",
        |n: Native, blob: &mut Blob, start: i64, count: i64, other: Blob| splice(&n, blob, (start, count), other),
    );
}

fn filled(call: &Call, length: i64, value: i64) -> Result<Dynamic> {
    room(call, length, 1)?;
    Ok(Dynamic::from_blob(vec![
        byte(value);
        usize::try_from(length).unwrap_or(0)
    ]))
}

/// The lowest eight bits, as Rhai takes them.
fn byte(value: i64) -> u8 {
    (value & 0xff) as u8
}
