//! What `arg(name, default)` makes of `name=value` on the command line.

use crate::script::Context;
use crate::script::prelude::*;
use crate::script::show::show;
use crate::script::values::describe;

/// The argument `name`, converted to the type of the default.
pub(super) fn argument(ctx: &Context, name: &str, default: Option<Dynamic>) -> Result<Dynamic> {
    let Some(argument) = ctx.argument(name) else {
        return match default {
            Some(default) => Ok(default),
            None => fail!("arg: the script needs {name}=.. on the command line"),
        };
    };
    let value = argument.value.clone();
    let Some(default) = default else { return Ok(value) };
    let as_default = |wanted: &str| {
        let (found, example) = (describe(&value), show(ctx.table(), &default, true).replace(' ', ""));
        Error::usage(format!(
            "arg: {name}={}: found {found}, expected {wanted}; write {name}={example}",
            argument.text
        ))
    };
    if default.is_string() {
        Ok(argument.text.clone().into())
    } else if default.is_float() {
        let number = f64::convert(&value).map(Dynamic::from);
        number.ok_or_else(|| as_default("a number"))
    } else if default.is_int() {
        match value.as_float() {
            Ok(f) if f.fract() != 0.0 => Ok(value),
            _ => i64::convert(&value)
                .map(Dynamic::from)
                .ok_or_else(|| as_default("an integer")),
        }
    } else if default.is_bool() {
        match (value.as_bool(), value.as_int()) {
            (Ok(b), _) => Ok(b.into()),
            (_, Ok(i @ 0..=1)) => Ok((i == 1).into()),
            _ => Err(as_default("true or false")),
        }
    } else if default.is_array() && !value.is_array() {
        let integers = Vec::<i64>::convert(&default).is_some();
        let sides = size_of(&argument.text).filter(|_| integers);
        let wanted = ["an array", "integers in the form [64, 96] or 64x96"][usize::from(integers)];
        sides.map(Dynamic::from).ok_or_else(|| as_default(wanted))
    } else {
        Ok(value)
    }
}

/// The integers of a size written `64x96`.
fn size_of(text: &str) -> Option<Array> {
    let sides = text.split('x').map(|side| side.parse().ok().map(Dynamic::from_int));
    sides.collect::<Option<Array>>().filter(|sides| sides.len() > 1)
}
