//! `try { .. } catch (e) { .. }`: one form for all errors.
//!
//! Rhai gives `e` the thrown value for some errors and a map for others. Here `e` is what was thrown, else the message as text, with
//! `e.message` and `e.line` in either case. For that the block of every `try` is wrapped in a syntax of our own, which turns any
//! error into a thrown value before Rhai sees it; positions are told as they are in the text that was written.

use rhai::{Dynamic, Engine, EvalAltResult, FuncRegistration, Map, Module, NativeCallContext, Position, RhaiFunc};
use std::any::TypeId;
use std::rc::Rc;

use super::context::Context;
use super::pieces::{Kind, pieces};
use super::report::explain;
use super::show::show;

/// The syntax that wraps the block of a `try`.
const GUARD: &str = "guard_";

/// The tag of a caught value whose line is not known.
const NOWHERE: i32 = -1;

/// Characters put into a script: line and column in the original text in front of which they stand, and how many.
pub type Insertion = (usize, usize, usize);

/// The script with the block of every `try` guarded, and what was put in.
pub fn guarded(text: &str) -> (String, Vec<Insertion>) {
    let mut out = String::with_capacity(text.len());
    let mut insertions = Vec::new();
    let (mut line, mut column) = (1, 1);
    // for each open brace whether it is that of a `try`
    let mut braces: Vec<bool> = Vec::new();
    let mut after_try = false;
    for piece in pieces(text) {
        let part = &text[piece.start..piece.end];
        let mut insert = |out: &mut String, added: &str, column: usize| {
            out.push_str(added);
            insertions.push((line, column, added.chars().count()));
        };
        match part {
            "{" if piece.kind == Kind::Other => {
                braces.push(after_try);
                out.push_str(part);
                if after_try {
                    insert(&mut out, &format!("{GUARD}{{"), column + 1);
                }
            }
            "}" if piece.kind == Kind::Other => {
                if braces.pop() == Some(true) {
                    insert(&mut out, "}", column);
                }
                out.push_str(part);
            }
            _ => out.push_str(part),
        }
        let blank = piece.kind == Kind::Comment || part.trim().is_empty();
        after_try = part == "try" && piece.kind == Kind::Keyword || after_try && blank;
        match part.rsplit_once('\n') {
            Some((before, last)) => {
                line += before.matches('\n').count() + 1;
                column = last.chars().count() + 1;
            }
            None => column += part.chars().count(),
        }
    }
    (out, insertions)
}

/// The position in the text as it was written of one in the guarded text.
pub fn original(insertions: &[Insertion], position: Position) -> Position {
    let (Some(line), Some(column)) = (position.line(), position.position()) else {
        return position;
    };
    let mut shift = 0;
    for (_, at, width) in insertions.iter().filter(|(l, _, _)| *l == line) {
        if column >= at + shift + width {
            shift += width;
        } else if column > at + shift {
            shift = column - at;
        }
    }
    match (u16::try_from(line), u16::try_from(column - shift)) {
        (Ok(line), Ok(column)) => Position::new(line, column),
        _ => position,
    }
}

/// Teach an engine the guard, and the two properties of a caught value.
pub fn register(engine: &mut Engine) {
    guard(engine);
    let mut module = Module::new();
    property(&mut module, "message", |value| {
        let text = value.clone().into_immutable_string();
        text.map_or_else(|_| value.to_string().into(), Dynamic::from)
    });
    property(&mut module, "line", |value| {
        Dynamic::from_int(value.tag().max(0).into())
    });
    engine.register_global_module(module.into());
}

/// The guard alone, all that a parser needs.
pub fn guard(engine: &mut Engine) {
    let registered = engine.register_custom_syntax([GUARD, "$block$"], false, |eval, inputs| {
        let Some(block) = inputs.first() else {
            return Ok(Dynamic::UNIT);
        };
        match eval.eval_expression_tree(block) {
            Err(error) if error.is_catchable() => {
                let Some(context) = eval.tag().clone().try_cast::<Context>() else {
                    return Err(error);
                };
                let source = eval.source().unwrap_or_default().to_string();
                Err(caught(&context, &source, eval.scope(), *error))
            }
            other => other,
        }
    });
    debug_assert!(registered.is_ok());
}

/// Any error as a thrown value that knows its line; the whole report is kept for the case that it is thrown again.
fn caught(context: &Context, source: &str, scope: &rhai::Scope, error: EvalAltResult) -> Box<EvalAltResult> {
    let thrown = match innermost(&error) {
        EvalAltResult::ErrorRuntime(value, _) => Some(value.clone()),
        _ => None,
    };
    let position = error.position();
    let report = explain(context, source, scope, error);
    let line = report.place.as_ref().map_or(0, |p| p.line);
    let mut value = thrown.unwrap_or_else(|| report.message.clone().into());
    if value.tag() == 0 {
        // 0 is the tag of values that were not caught
        value.set_tag(i32::try_from(line).ok().filter(|line| *line > 0).unwrap_or(NOWHERE));
    }
    if let Some(mut map) = value.write_lock::<Map>() {
        let message = show(context.table(), &Dynamic::from_map(map.clone()), false);
        map.entry("message".into()).or_insert_with(|| message.into());
        map.entry("line".into()).or_insert(Dynamic::from_int(line as i64));
    }
    context.set_caught(report);
    EvalAltResult::ErrorRuntime(value, position).into()
}

/// The error below the calls and imports that led to it.
fn innermost(error: &EvalAltResult) -> &EvalAltResult {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
            innermost(inner)
        }
        other => other,
    }
}

/// A property of values that were caught; others have none of this name.
fn property(module: &mut Module, name: &'static str, of: fn(&Dynamic) -> Dynamic) {
    let function = RhaiFunc::Method {
        func: Rc::new(
            move |_: Option<NativeCallContext>, args: &mut [&mut Dynamic]| match args {
                [value, ..] if value.tag() != 0 => Ok(of(value)),
                [value, ..] => {
                    let signature = format!("get${name} ({})", value.type_name());
                    Err(EvalAltResult::ErrorFunctionNotFound(signature, Position::NONE).into())
                }
                [] => Ok(Dynamic::UNIT),
            },
        ),
        has_context: true,
        is_pure: true,
        is_volatile: false,
    };
    let registration = FuncRegistration::new_getter(name).in_global_namespace();
    registration.set_into_module_raw(module, [TypeId::of::<Dynamic>()], function);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_the_text_as_written() {
        let text = "let a = 1; try { f(`${try { g }  catch {}}`) } catch (e) { h }\ntry // {\n{ i } catch { j }";
        let (guarded, insertions) = guarded(text);
        assert_eq!(guarded.matches("guard_{").count(), 3, "{guarded}");
        for word in ["f", "g", "h", "i", "j"] {
            let place = |text: &str| {
                let piece = pieces(text)
                    .into_iter()
                    .find(|p| p.kind == Kind::Word && &text[p.start..p.end] == word)
                    .unwrap();
                let before = &text[..piece.start];
                let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
                Position::new(before.matches('\n').count() as u16 + 1, column as u16)
            };
            assert_eq!(original(&insertions, place(&guarded)), place(text), "{word}");
        }
    }
}
