//! `name=value` of the command line, and of `%run`.

use std::collections::BTreeMap;

use rhai::Dynamic;

/// One `name=value` of the command line.
#[derive(Clone, Debug)]
pub struct Argument {
    /// As written.
    pub text: String,
    /// The Rhai literal it parses to, else the text as a string.
    pub value: Dynamic,
    /// Whether `arg(name, ..)` asked for it.
    pub read: bool,
}

impl Argument {
    /// What `name=value` words say; a word of another form is complained about.
    pub fn all<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> Result<BTreeMap<String, Self>, String> {
        let argument = |word: S| match word.as_ref().split_once('=') {
            Some((name, text)) => Ok((name.to_string(), Argument::new(text))),
            None => Err(format!(
                "{}: arguments of a script are written name=value",
                word.as_ref()
            )),
        };
        words.into_iter().map(argument).collect()
    }

    /// The argument written `text`: a number, `true`, `false`, `[..]`, `#{..}` or `"..."` is that value, all else is a string.
    pub fn new(text: &str) -> Self {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        let literal = text.starts_with(['[', '"']) || text.starts_with("#{");
        let value = match text {
            "true" => Some(true.into()),
            "false" => Some(false.into()),
            _ if number => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(i), _) => Some(i.into()),
                (_, Ok(f)) => Some(f.into()),
                _ => None,
            },
            _ if literal => rhai::Engine::new_raw().eval::<Dynamic>(text).ok(),
            _ => None,
        };
        Argument {
            text: text.to_string(),
            value: value.unwrap_or_else(|| text.to_string().into()),
            read: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_literals_where_they_parse() {
        let kind = |text: &str| Argument::new(text).value.type_name().to_string();
        for (text, expected) in [
            ("18", "i64"),
            ("-3", "i64"),
            ("0.5", "f64"),
            ("1e-4", "f64"),
            ("true", "bool"),
            ("[96,128]", "array"),
            ("#{a: 1}", "map"),
            ("96x128", "string"),
            ("2024-01-01", "string"),
            ("../data", "string"),
            ("[1,", "string"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }
}
