//! Byte arrays (`blob`): Rhai's, but that one of any length asked for is refused where the memory cannot hold it.

use rhai::{Blob, Engine, NativeCallContext as Native};

use super::{answer, change, room};
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
