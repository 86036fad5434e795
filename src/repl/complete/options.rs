//! The options of the call that is being typed, in its own option map and in the maps inside it.

use super::{Assistant, last_word};
use crate::options::Field;
use crate::script::nested;
use crate::script::pieces::signs;
use crate::script::table::Entry;

/// The options that the map at the end of a text may hold.
pub(super) enum Options<'a> {
    /// Those of a function behind so many arguments given by position.
    Of(&'a Entry, usize),
    /// Those of this option, a map inside the options of a function.
    Inside(String, Vec<Field>),
}

impl Options<'_> {
    fn names(&self) -> Vec<String> {
        match self {
            Options::Of(entry, given) => {
                let rest = entry.arguments().iter().skip(*given);
                rest.map(|p| p.name.to_string()).collect()
            }
            Options::Inside(_, fields) => fields.iter().map(|field| field.name.to_string()).collect(),
        }
    }
}

impl Assistant {
    /// The names that may follow if `text` ends where a key of an option map is expected.
    pub(super) fn options(&self, text: &str) -> Option<Vec<String>> {
        let open = open_brackets(text);
        let (brace, '{') = *open.last()? else { return None };
        let map = &text[brace..];
        if !matches!(map.trim_end().chars().last(), Some('{' | ',')) {
            return None;
        }
        let names = self.open_map(text, &open)?.names();
        let given = keys(map);
        Some(names.into_iter().filter(|n| !given.contains(&n.as_str())).collect())
    }

    /// The names that may stand in a string that opens where `text` ends, as the value of an option.
    pub(super) fn choices(&self, text: &str) -> Vec<&'static str> {
        let Some(before) = text.trim_end().strip_suffix(':') else {
            return Vec::new();
        };
        let option = last_word(before.trim_end());
        match self.open_map(text, &open_brackets(text)) {
            Some(Options::Of(entry, _)) => {
                let param = entry.arguments().iter().find(|p| p.name == option);
                param.map(|param| param.choices.clone()).unwrap_or_default()
            }
            Some(Options::Inside(_, fields)) => {
                let field = fields.into_iter().find(|field| field.name == option);
                field.map(|field| field.choices).unwrap_or_default()
            }
            None => Vec::new(),
        }
    }

    /// The signature of the innermost open call, or the options of the innermost open map inside its options.
    pub(super) fn signature(&self, line: &str) -> Option<String> {
        let open = open_brackets(line);
        match self.open_map(line, &open) {
            Some(Options::Inside(name, fields)) => Some(format!("{name}: #{{ {} }}", nested::signature(&fields))),
            Some(Options::Of(entry, _)) => Some(entry.signature()),
            None => {
                let (call, _) = open.iter().rev().find(|(_, c)| *c == '(')?;
                self.called(&line[..*call]).map(Entry::signature)
            }
        }
    }

    /// What may stand in the innermost open map, where it belongs to a call.
    fn open_map(&self, text: &str, open: &[(usize, char)]) -> Option<Options<'_>> {
        let call = open.iter().rposition(|(_, c)| *c == '(')?;
        let (at, _) = open[call];
        let entry = self.called(&text[..at])?;
        let mut found: Option<Options> = None;
        for (bracket, sign) in &open[call + 1..] {
            let before = text[..*bracket].trim_end();
            let key = before.trim_end_matches('#').trim_end().strip_suffix(':').map(last_word);
            found = match (found, key, sign) {
                // a list of maps: `groups: [#{`, or an argument `[#{`
                (found, None, '[') => found,
                (found, None, '{') if before.ends_with('#') => {
                    found.or_else(|| self.argument(entry, &text[at..*bracket]))
                }
                (Some(Options::Of(..)), Some(key), _) => {
                    let param = entry.arguments().iter().find(|p| p.name == key)?;
                    Some(inside(key, (param.inside)().fields())?)
                }
                (Some(Options::Inside(_, fields)), Some(key), _) => {
                    let field = fields.iter().find(|field| field.name == key)?;
                    Some(inside(key, (field.inside)().fields())?)
                }
                _ => return None,
            };
        }
        found
    }

    /// What a map may hold that stands at the end of `arguments`, a call from its bracket on.
    fn argument<'e>(&self, entry: &'e Entry, arguments: &str) -> Option<Options<'e>> {
        let (mut depth, mut position) = (0, 0);
        for (_, sign, now) in signs(arguments) {
            depth = now;
            position += usize::from(sign == "," && depth == 1);
        }
        match entry.arguments().get(position) {
            // a map in the place of an argument that must be given is that argument, in a list always
            Some(p) if depth > 1 || (p.takes_map && p.default.is_none()) => inside(p.name, (p.inside)().fields()),
            _ => Some(Options::Of(entry, position)),
        }
    }
}

/// The options of the map that the option `name` takes.
fn inside<'a>(name: &str, fields: Vec<Field>) -> Option<Options<'a>> {
    (!fields.is_empty()).then(|| Options::Inside(name.to_string(), fields))
}

/// The brackets open at the end of `text`, outermost first: byte and character.
fn open_brackets(text: &str) -> Vec<(usize, char)> {
    let mut open: Vec<(usize, char)> = Vec::new();
    for (at, sign, _) in signs(text) {
        match sign.chars().next() {
            Some(c @ ('(' | '[' | '{')) => open.push((at, c)),
            Some(')' | ']' | '}') => {
                open.pop();
            }
            _ => {}
        }
    }
    open
}

/// The keys of the map that begins with `map`, without those of the maps inside it.
fn keys(map: &str) -> Vec<&str> {
    let colons = signs(map).filter(|(_, sign, depth)| *sign == ":" && *depth == 1);
    colons.map(|(at, ..)| last_word(map[..at].trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::assistant;

    #[test]
    fn a_signature_is_shown_inside_a_call() {
        let a = assistant();
        assert!(
            a.signature("weights.softmax(")
                .unwrap()
                .contains("temperature: float = 1.0")
        );
        assert!(
            a.signature("tensor::zeros([2, 3")
                .unwrap()
                .starts_with("tensor::zeros(shape")
        );
        assert!(a.signature("weights.softmax()").is_none());
    }

    #[test]
    fn the_options_of_a_map_inside_are_shown_with_their_defaults() {
        let shown = assistant()
            .signature("train::pretrain(net, scenes, #{ loss: #{ temperature: 0.1, ")
            .unwrap();
        assert!(
            shown.starts_with("loss: #{ variant: \"within_image\", temperature: 0.07, "),
            "{shown}"
        );
        let shown = assistant().signature("scenes.batches(#{ augment: #{ ").unwrap();
        assert_eq!(shown, "augment: #{ scale: (), crop: (), flip: 0.0 }");
        let shown = assistant()
            .signature("train::pretrain(net, scenes, #{ steps: ")
            .unwrap();
        assert!(shown.starts_with("train::pretrain(model: Model"), "{shown}");
    }
}
