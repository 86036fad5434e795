//! What the values or colours of a label file mean.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::IGNORED;
use crate::error::{Error, Result};
use crate::options::{Arg, Given, Source};
use crate::{ensure, fail_at};

/// What a person says of the values in their label files, where these are not the class numbers themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelRule {
    /// These values mean these classes ([`IGNORED`]: none); other values must not occur.
    Values(Vec<(u16, u8)>),
    /// These colours mean these classes; other colours must not occur.
    Colours(Vec<([u8; 3], u8)>),
    /// Value 1 is class 0, value 2 class 1, ...; 0 means no class (ADE20K).
    Shift,
}

impl Arg for LabelRule {
    const KIND: &'static str = "map, array or string";
    const WANTED: &'static str =
        "#{ \"value\": class, .. } (a colour: \"red,green,blue\"), [[red, green, blue], ..] or \"shift\"";
    fn convert(value: &dyn Source) -> Option<Self> {
        match &value.given() {
            Given::Map(map) if !map.is_empty() => Self::of_map(map),
            Given::List(colours) if !colours.is_empty() => {
                let numbered = (0..=u8::MAX).zip(colours);
                let read = numbered.map(|(class, colour)| Some((<[u8; 3]>::read(colour).ok()?, class)));
                let all = colours.len() <= usize::from(u8::MAX) + 1;
                read.collect::<Option<_>>().filter(|_| all).map(LabelRule::Colours)
            }
            Given::Text(name) if name == "shift" => Some(LabelRule::Shift),
            _ => None,
        }
    }
    fn literal(&self) -> Option<String> {
        Some(match self {
            LabelRule::Shift => "\"shift\"".into(),
            LabelRule::Values(_) | LabelRule::Colours(_) => "#{}".into(),
        })
    }
}

impl LabelRule {
    /// All keys values, or all colours.
    fn of_map(map: &[(String, Given)]) -> Option<Self> {
        let class = |given: &Given| u8::read(given).ok();
        let colour = |key: &str| -> Option<[u8; 3]> {
            let parts: Option<Vec<u8>> = key.split(',').map(|part| part.trim().parse().ok()).collect();
            parts?.try_into().ok()
        };
        if map.iter().any(|(key, _)| key.contains(',')) {
            let pairs = map.iter().map(|(key, given)| Some((colour(key)?, class(given)?)));
            return Some(LabelRule::Colours(pairs.collect::<Option<_>>()?));
        }
        let pairs = map
            .iter()
            .map(|(key, given)| Some((key.trim().parse().ok()?, class(given)?)));
        Some(LabelRule::Values(pairs.collect::<Option<_>>()?))
    }

    /// The number of classes that the rule names.
    pub fn classes(&self) -> Option<usize> {
        let largest = |all: &mut dyn Iterator<Item = u8>| all.filter(|c| *c != IGNORED).max();
        let largest = match self {
            LabelRule::Values(values) => largest(&mut values.iter().map(|v| v.1)),
            LabelRule::Colours(colours) => largest(&mut colours.iter().map(|c| c.1)),
            LabelRule::Shift => None,
        };
        largest.map(|class| usize::from(class) + 1)
    }

    /// The colours of the classes, where the rule gives every class exactly one.
    pub fn palette(&self, classes: usize) -> Option<Vec<[u8; 3]>> {
        let LabelRule::Colours(colours) = self else { return None };
        let of = |class: usize| {
            let mut found = colours.iter().filter(|c| usize::from(c.1) == class);
            found.next().filter(|_| found.next().is_none()).map(|c| c.0)
        };
        (0..classes).map(of).collect()
    }
}

/// What each value or colour in a label file means.
#[derive(Clone)]
pub struct LabelMap {
    meaning: Meaning,
    /// The valid values in words, for the error.
    expected: String,
    /// What may be wrong when another value occurs.
    hint: &'static str,
}

#[derive(Clone)]
enum Meaning {
    /// By value: class, [`IGNORED`], or nothing for a value that must not occur.
    Values(Vec<Option<u8>>),
    Colours(BTreeMap<[u8; 3], u8>),
}

/// What a label file holds before it is translated.
pub(super) enum Raw {
    Bytes(Vec<u8>),
    Wide(Vec<u16>),
    /// Red, green, blue interleaved.
    Colours(Vec<u8>),
}

impl LabelMap {
    /// The values `0..classes` mean themselves; `ignored` (255 is always one of them) mean no class.
    pub fn identity(classes: usize, ignored: &[u8]) -> Self {
        let mut class_of: Vec<Option<u8>> = (0..256).map(|v| (v < classes).then_some(v as u8)).collect();
        let mut void: Vec<u8> = ignored.iter().copied().chain([IGNORED]).collect();
        void.dedup();
        for &value in &void {
            class_of[value as usize] = Some(IGNORED);
        }
        let void: Vec<String> = void.iter().map(u8::to_string).collect();
        LabelMap {
            meaning: Meaning::Values(class_of),
            expected: format!(
                "0 to {} ({classes} classes) or {} (ignored)",
                classes.saturating_sub(1),
                void.join(" or ")
            ),
            hint: "is the number of classes right, and do the files use another ignore label? label_map says what other values mean",
        }
    }

    /// Each value means what `table` says; values beyond it must not occur, except 255.
    pub fn table(table: &[u8], expected: &str, hint: &'static str) -> Self {
        let mut class_of: Vec<Option<u8>> = table.iter().map(|&class| Some(class)).collect();
        class_of.resize(256, None);
        class_of[IGNORED as usize] = Some(IGNORED);
        LabelMap {
            meaning: Meaning::Values(class_of),
            expected: expected.to_string(),
            hint,
        }
    }

    /// What `rule` says, for so many classes; the value `ignored` (or the grey of that value) means no class unless the rule names
    /// it.
    pub fn ruled(rule: &LabelRule, classes: usize, ignored: u8) -> Result<Self> {
        let fits = |class: u8| -> Result<()> {
            ensure!(
                class == IGNORED || usize::from(class) < classes,
                "label_map: found class {class}, expected 0 to {} ({classes} classes) or 255 (ignored)",
                classes.saturating_sub(1)
            );
            Ok(())
        };
        let listed = "every value or colour of the files must be named in label_map; 255 means no class";
        Ok(match rule {
            LabelRule::Shift => {
                let mut class_of = vec![Some(IGNORED)];
                class_of.extend((0..classes).map(|class| Some(class as u8)));
                class_of.resize(256, None);
                class_of[255].get_or_insert(IGNORED);
                class_of[usize::from(ignored)].get_or_insert(IGNORED);
                LabelMap {
                    meaning: Meaning::Values(class_of),
                    expected: format!("0 (ignored) or 1 to {classes} ({classes} classes)"),
                    hint: "is the number of classes right?",
                }
            }
            LabelRule::Values(values) => {
                let most = values.iter().map(|v| v.0).max().unwrap_or(0).max(255);
                let mut class_of = vec![None; usize::from(most) + 1];
                for &(value, class) in values {
                    fits(class)?;
                    class_of[usize::from(value)] = Some(class);
                }
                class_of[usize::from(ignored)].get_or_insert(IGNORED);
                let names: Vec<String> = values.iter().map(|v| v.0.to_string()).collect();
                LabelMap {
                    meaning: Meaning::Values(class_of),
                    expected: format!("{} (label_map) or {ignored} (ignored)", some(&names)),
                    hint: listed,
                }
            }
            LabelRule::Colours(colours) => {
                let mut class_of = BTreeMap::new();
                for &(colour, class) in colours {
                    fits(class)?;
                    let twice = class_of.insert(colour, class).is_some();
                    ensure!(
                        !twice,
                        "label_map: found the colour {colour:?} twice, expected each colour once"
                    );
                }
                let names: Vec<String> = colours.iter().map(|c| format!("{:?}", c.0)).collect();
                LabelMap {
                    meaning: Meaning::Colours(class_of),
                    expected: format!("one of {}", some(&names)),
                    hint: listed,
                }
            }
        })
    }

    /// Whether some value means this class.
    pub fn reaches(&self, class: u8) -> bool {
        match &self.meaning {
            Meaning::Values(class_of) => class_of.contains(&Some(class)),
            Meaning::Colours(class_of) => class_of.values().any(|c| *c == class),
        }
    }

    /// Whether the colours of the files count, also of indexed ones.
    pub(super) fn by_colour(&self) -> bool {
        matches!(self.meaning, Meaning::Colours(_))
    }

    /// Translate what a label file holds; the error names the first wrong pixel.
    pub(super) fn translate(&self, path: &Path, width: usize, raw: Raw) -> Result<Vec<u8>> {
        let unknown = |at: usize, found: String| {
            let (row, column) = (at / width.max(1), at % width.max(1));
            let (expected, hint) = (&self.expected, self.hint);
            Error::file(
                path,
                format!("found {found} at row {row}, column {column}, expected {expected}; {hint}"),
            )
        };
        match (&self.meaning, raw) {
            (Meaning::Values(class_of), Raw::Bytes(mut values)) => {
                for (at, value) in values.iter_mut().enumerate() {
                    *value = class_of[usize::from(*value)].ok_or_else(|| unknown(at, format!("label {value}")))?;
                }
                Ok(values)
            }
            (Meaning::Values(class_of), Raw::Wide(values)) => {
                let class = |(at, value): (usize, u16)| {
                    let class = class_of.get(usize::from(value)).copied().flatten();
                    class.ok_or_else(|| unknown(at, format!("label {value}")))
                };
                values.into_iter().enumerate().map(class).collect()
            }
            (Meaning::Values(_), Raw::Colours(pixels)) => {
                // Some programs write grey as three equal channels.
                let coloured = pixels.chunks_exact(3).position(|p| p[0] != p[1] || p[1] != p[2]);
                if let Some(at) = coloured {
                    let colour = &pixels[3 * at..3 * at + 3];
                    fail_at!(
                        path,
                        "found the colour {colour:?} at row {}, column {}, expected class numbers (grey or indexed); \
                             label_map: [[red, green, blue], ..] gives each colour its class",
                        at / width.max(1),
                        at % width.max(1)
                    );
                }
                let grey = pixels.chunks_exact(3).map(|p| p[0]).collect();
                self.translate(path, width, Raw::Bytes(grey))
            }
            (Meaning::Colours(class_of), Raw::Colours(pixels)) => {
                let mut last = None; // neighbours mostly have the same colour
                let class = |(at, pixel): (usize, &[u8])| {
                    let colour = [pixel[0], pixel[1], pixel[2]];
                    if let Some((known, class)) = last
                        && known == colour
                    {
                        return Ok(class);
                    }
                    let class = class_of.get(&colour).copied();
                    let class = class.ok_or_else(|| unknown(at, format!("the colour {colour:?}")))?;
                    last = Some((colour, class));
                    Ok(class)
                };
                pixels.chunks_exact(3).enumerate().map(class).collect()
            }
            (Meaning::Colours(_), Raw::Bytes(values)) => {
                let colours = values.into_iter().flat_map(|v| [v; 3]).collect();
                self.translate(path, width, Raw::Colours(colours))
            }
            (Meaning::Colours(_), Raw::Wide(_)) => Err(Error::file(
                path,
                "found a label map of 16 bits per value, expected colours of 8 bits, which label_map names",
            )),
        }
    }
}

/// The first names of a list.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 12;
    match names.len() > SHOWN {
        true => format!("{}, ..", names[..SHOWN].join(", ")),
        false => names.join(", "),
    }
}
