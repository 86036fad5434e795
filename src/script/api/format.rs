//! `format`: Python's format language for numbers and text.

use std::any::TypeId;

use rhai::{Engine, ImmutableString, NativeCallContext};

use crate::described;
use crate::script::api::tensor::number;
use crate::script::prelude::*;
use crate::script::show::show;
use crate::script::values::describe;

/// Values that `format` takes; with its text the most arguments for which Rhai looks for a function of any types.
const MOST: usize = 15;

/// Declare the function.
pub fn declare(table: &mut Table) {
    table.hook(register);
    table.global(described! {
        /// A text with values in the places of `{}`, in Python's format language.
        ///
        /// `{}` takes the next value, `{1}` the one of this number from 0, `{name}` an entry of a map. Behind a colon stand fill and
        /// align (`<` `>` `^`), sign, width, `,` and digits with a letter: `f` fixed, `e` exponent, `g` short, `%` per cent, `d` integer.
        /// At most 15 values; more of them as a map.
        /// ```
        /// assert_eq(format("{:.3f} ± {:>8.2e}", 0.51234, 0.00123), "0.512 ± 1.23e-03");
        /// assert_eq(format("{name:<6}|{miou:6.1%}", #{ name: "ours", miou: 0.4567 }), "ours  | 45.7%");
        /// ```
        fn format(text: String, values: Dynamic) -> String;
    });
}

fn register(engine: &mut Engine) {
    for count in 0..=MOST {
        let mut types = vec![TypeId::of::<Dynamic>(); count + 1];
        types[0] = TypeId::of::<ImmutableString>();
        let body = |native: NativeCallContext, args: &mut [&mut Dynamic]| {
            Call::run(&native, "format", |call| {
                let values: Vec<Dynamic> = args[1..].iter().map(|v| (**v).clone().flatten()).collect();
                formatted(call, &args[0].to_string(), &values)
            })
        };
        engine.register_raw_fn("format", types, body);
    }
}

/// The text with its fields filled in.
fn formatted(call: &Call, text: &str, values: &[Dynamic]) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    let mut next = 0;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        let Some(end) = rest.find('}').filter(|_| brace == "{") else {
            fail!("a `{brace}` stands alone in \"{text}\"; braces of the text are written {{{{ and }}}}")
        };
        let (field, spec) = rest[..end].split_once(':').unwrap_or((&rest[..end], ""));
        let value = value_of(field.trim(), values, &mut next)?;
        out.push_str(&one(call, &value, spec)?);
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The value that a field names.
fn value_of(field: &str, values: &[Dynamic], next: &mut usize) -> Result<Dynamic> {
    let index = if field.is_empty() {
        *next += 1;
        *next - 1
    } else if let Ok(index) = field.parse() {
        index
    } else {
        let found = values.iter().find_map(|v| v.read_lock::<Map>()?.get(field).cloned());
        let Some(value) = found else {
            fail!("there is no value for {{{field}}}; give a map with that key")
        };
        return Ok(value.flatten());
    };
    match values.get(index) {
        Some(value) => Ok(value.clone()),
        None => fail!("the text has a field for value {}, {} given", index + 1, values.len()),
    }
}

/// What stands behind the colon of a field.
#[derive(Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    width: usize,
    group: Option<char>,
    digits: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    fn read(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage(format!(
                "`:{text}` is no format; examples: {{:.3f}} {{:>8}} {{:+.2e}} {{:,}} {{:.1%}}"
            ))
        };
        let chars: Vec<char> = text.chars().collect();
        let mut spec = Spec::default();
        let mut at = 0;
        let is_align = |c: Option<&char>| c.is_some_and(|c| "<>^=".contains(*c));
        if is_align(chars.get(1)) {
            (spec.fill, spec.align) = (chars.first().copied(), chars.get(1).copied());
            at = 2;
        } else if is_align(chars.first()) {
            spec.align = chars.first().copied();
            at = 1;
        }
        spec.sign = chars.get(at).copied().filter(|c| "+- ".contains(*c));
        at += usize::from(spec.sign.is_some());
        if chars.get(at) == Some(&'0') {
            at += 1;
            spec.fill = spec.fill.or(Some('0'));
            spec.align = spec.align.or(Some('='));
        }
        let number = |at: &mut usize| -> Result<Option<usize>> {
            let digits: String = chars[(*at).min(chars.len())..]
                .iter()
                .take_while(|c| c.is_ascii_digit())
                .collect();
            *at += digits.len();
            match digits.as_str() {
                "" => Ok(None),
                digits => digits.parse().ok().filter(|n| *n <= 10_000).map(Some).ok_or_else(wrong),
            }
        };
        spec.width = number(&mut at)?.unwrap_or(0);
        spec.group = chars.get(at).copied().filter(|c| ",_".contains(*c));
        at += usize::from(spec.group.is_some());
        if chars.get(at) == Some(&'.') {
            at += 1;
            spec.digits = Some(number(&mut at)?.ok_or_else(wrong)?);
        }
        spec.kind = chars.get(at).copied();
        at += usize::from(spec.kind.is_some());
        let known = spec.kind.is_none_or(|k| "dfFeEgG%sxXob".contains(k));
        if at == chars.len() && known {
            Ok(spec)
        } else {
            Err(wrong())
        }
    }

    /// Filled up to the width.
    fn pad(&self, sign: &str, body: &str, to_the_right: bool) -> String {
        let missing = self.width.saturating_sub(sign.chars().count() + body.chars().count());
        let fill = |n: usize| self.fill.unwrap_or(' ').to_string().repeat(n);
        match self.align.unwrap_or(if to_the_right { '>' } else { '<' }) {
            '<' => format!("{sign}{body}{}", fill(missing)),
            '^' => format!("{}{sign}{body}{}", fill(missing / 2), fill(missing - missing / 2)),
            '=' => format!("{sign}{}{body}", fill(missing)),
            _ => format!("{}{sign}{body}", fill(missing)),
        }
    }
}

/// One value by what stands behind the colon.
fn one(call: &Call, value: &Dynamic, spec: &str) -> Result<String> {
    let spec = Spec::read(spec)?;
    let number = number(value)?;
    let kind = spec.kind;
    let whole = value.as_int().ok();
    if let (Some(i), None | Some('d' | 'x' | 'X' | 'o' | 'b')) = (whole, kind) {
        let size = i.unsigned_abs();
        let body = match kind {
            Some('x') => format!("{size:x}"),
            Some('X') => format!("{size:X}"),
            Some('o') => format!("{size:o}"),
            Some('b') => format!("{size:b}"),
            _ => grouped(&size.to_string(), spec.group),
        };
        return Ok(spec.pad(sign(i < 0, spec.sign), &body, true));
    }
    let Some(x) = number.filter(|_| kind != Some('s')) else {
        ensure!(
            matches!(kind, None | Some('s')) && spec.sign.is_none() && spec.group.is_none() && spec.align != Some('='),
            "this format wants a number, found {}",
            describe(value)
        );
        let text = show(call.table(), value, false);
        let text: String = text.chars().take(spec.digits.unwrap_or(usize::MAX)).collect();
        return Ok(spec.pad("", &text, false));
    };
    ensure!(
        !matches!(kind, Some('d' | 'x' | 'X' | 'o' | 'b')),
        "`{}` wants an integer, found {}",
        kind.unwrap_or('d'),
        describe(value)
    );
    let body = grouped(&float(x.abs(), kind, spec.digits), spec.group);
    Ok(spec.pad(sign(x.is_sign_negative() && !x.is_nan(), spec.sign), &body, true))
}

fn sign(negative: bool, wanted: Option<char>) -> &'static str {
    match (negative, wanted) {
        (true, _) => "-",
        (_, Some('+')) => "+",
        (_, Some(' ')) => " ",
        _ => "",
    }
}

/// A number of 0 or more in the letters of Python.
fn float(x: f64, kind: Option<char>, digits: Option<usize>) -> String {
    if !x.is_finite() {
        let text = if x.is_nan() { "nan" } else { "inf" };
        let percent = if kind == Some('%') { "%" } else { "" };
        return format!("{text}{percent}");
    }
    let text = match kind {
        Some('f' | 'F') => format!("{x:.*}", digits.unwrap_or(6)),
        Some('%') => format!("{:.*}%", digits.unwrap_or(6), 100.0 * x),
        Some('e' | 'E') => exponent(x, digits.unwrap_or(6)),
        Some(_) => short(x, digits.unwrap_or(6)),
        None => match digits {
            Some(digits) => {
                let text = short(x, digits);
                if text.contains(['.', 'e']) {
                    text
                } else {
                    format!("{text}.0")
                }
            }
            None if x == 0.0 || (1e-4..1e16).contains(&x) => format!("{x:?}"),
            None => exponent_of_python(&format!("{x:e}")),
        },
    };
    if matches!(kind, Some('E' | 'G')) {
        text.to_uppercase()
    } else {
        text
    }
}

/// `1.23e-04`.
fn exponent(x: f64, digits: usize) -> String {
    exponent_of_python(&format!("{x:.digits$e}"))
}

/// Rust's `1e-4` as Python's `1e-04`.
fn exponent_of_python(text: &str) -> String {
    let (mantissa, power) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, power) = power.strip_prefix('-').map_or(("+", power), |p| ("-", p));
    format!("{mantissa}e{sign}{power:0>2}")
}

/// So many digits in all, without zeros at the end; with an exponent where the number is very small or large.
fn short(x: f64, digits: usize) -> String {
    let digits = digits.max(1);
    let scientific = format!("{x:.*e}", digits - 1);
    let power: i64 = scientific
        .split_once('e')
        .and_then(|(_, p)| p.parse().ok())
        .unwrap_or(0);
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text.to_string(),
    };
    if power < -4 || power >= digits as i64 {
        let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        return exponent_of_python(&format!("{}e{power}", without_zeros(mantissa)));
    }
    let behind = usize::try_from(digits as i64 - 1 - power).unwrap_or(0);
    without_zeros(&format!("{x:.behind$}"))
}

/// The digits in front of the point in groups of three.
fn grouped(text: &str, mark: Option<char>) -> String {
    let Some(mark) = mark else { return text.to_string() };
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut out = String::new();
    for (i, c) in text[..end].chars().enumerate() {
        if i > 0 && (end - i).is_multiple_of(3) {
            out.push(mark);
        }
        out.push(c);
    }
    out + &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python 3.11 prints for these.
    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (x, kind, digits, expected) in [
            (1234.5678, Some('f'), Some(1), "1234.6"),
            (0.000_123_4, Some('e'), Some(2), "1.23e-04"),
            (12_345_678.0, Some('g'), None, "1.23457e+07"),
            (0.0001, Some('g'), None, "0.0001"),
            (0.000_01, Some('g'), None, "1e-05"),
            (100_000.0, Some('g'), None, "100000"),
            (0.4567, Some('%'), Some(1), "45.7%"),
            (3.0, None, None, "3.0"),
            (3.0, None, Some(3), "3.0"),
            (1e16, None, None, "1e+16"),
            (1.5e-7, None, None, "1.5e-07"),
            (999_999.5, Some('g'), None, "1e+06"),
            (f64::NAN, Some('f'), Some(2), "nan"),
            (2.5, Some('f'), Some(0), "2"),
        ] {
            assert_eq!(float(x, kind, digits), expected, "{x} {kind:?} {digits:?}");
        }
        assert_eq!(grouped("1234567.5", Some(',')), "1,234,567.5");
        assert_eq!(grouped("123", Some(',')), "123");
    }

    #[test]
    fn what_stands_behind_the_colon_is_read() {
        let spec = Spec::read("*^+12,.3f").unwrap();
        assert_eq!(spec.pad("+", "1.000", true), "***+1.000***");
        assert_eq!(Spec::read("08.3f").unwrap().pad("-", "1.500", true), "-001.500");
        for wrong in [".f", "5y", "..3f", "99999999d"] {
            assert!(Spec::read(wrong).is_err(), "{wrong}");
        }
    }
}
