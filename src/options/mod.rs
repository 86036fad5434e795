//! Options: what can be chosen, declared once, on the struct that owns it.
//!
//! [`options!`](crate::options!) makes a struct of options with names, types, defaults and texts, [`choices!`](crate::choices!) a closed set of
//! names. What follows from a declaration: its `Default`, its record (serde), reading what a script gave ([`Arg::read`],
//! [`OptionSet::put`]), and what help, hints, completion and the reference say ([`Field`]). The layers above name the struct and nothing more.
//!
//! | file | holds |
//! |---|---|
//! | here | the traits |
//! | `given` | what a script gave |
//! | `declare` | the macros |
//! | `values` | numbers, texts, lists |
//! | `names` | names that are not known, and what was meant |

mod declare;
mod given;
mod names;
mod values;

pub use given::{Given, Source, finite, wrong};
pub use names::{unknown, unknown_but};
pub use values::{Handle, pick, plural};

use crate::error::Error;

/// Why a value cannot be an option.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// What it must be and was: `must be a number, found ()`.
    Value(String),
    /// What is wrong at a place inside it (an empty one is the value itself), as a sentence of its own.
    Inside(String, String),
}

impl Problem {
    /// The problem with the option `name` that holds the value.
    pub fn of(self, name: &str) -> Self {
        match self {
            Problem::Value(text) => Problem::Inside(String::new(), format!("`{name}` {text}")),
            Problem::Inside(at, text) => match at.as_str() {
                "" => Problem::Inside(name.into(), text),
                at if at.starts_with('[') => Problem::Inside(format!("{name}{at}"), text),
                at => Problem::Inside(format!("{name}: {at}"), text),
            },
        }
    }

    /// The problem with element `i` of a list that must be `wanted`.
    pub fn at(self, i: usize, wanted: &str) -> Self {
        match self {
            Problem::Value(text) => Problem::Value(format!("must be {wanted}, but element {i} {text}")),
            inside => inside.of(&format!("[{i}]")),
        }
    }

    /// As the error of `path`, the function or the map that the option belongs to.
    pub fn error(self, path: &str) -> Error {
        Error::Usage(match self {
            Problem::Value(text) => format!("{path}: {text}"),
            Problem::Inside(at, text) if at.is_empty() => format!("{path}: {text}"),
            Problem::Inside(at, text) => format!("{path}: {at}: {text}"),
        })
    }
}

/// What reading an option gives.
pub type Reading<T> = std::result::Result<T, Problem>;

/// The type of an argument of a script function, or of an option. It says how to [`convert`](Arg::convert) or how to [`read`](Arg::read); the
/// other follows.
pub trait Arg: Sized {
    /// Whether a map is a value of this type (else a map in its place holds the options).
    const TAKES_MAP: bool = false;
    /// Whether NaN and infinity, which are numbers, are none for an option of this type.
    const FINITE: bool = false;
    /// Its name in signatures: `float`, `Tensor`. Types that are made of others say it by [`Arg::kind`].
    const KIND: &'static str = "";
    /// What is wanted, for messages: `a number`, `a tensor`. Types that are made of others say it by [`Arg::wanted`].
    const WANTED: &'static str = "";
    /// Its name in signatures.
    fn kind() -> String {
        Self::KIND.into()
    }
    /// What is wanted, for messages.
    fn wanted() -> String {
        Self::WANTED.into()
    }
    /// The names that a string may have, where only some make sense.
    fn choices() -> Vec<&'static str> {
        Vec::new()
    }
    /// The options of the map that may stand in its place.
    fn inside() -> Inside {
        Inside::Nothing
    }
    /// The value as a script writes it, where its type knows how: `0.07`, `"all"`, `()`.
    fn literal(&self) -> Option<String> {
        None
    }
    /// Convert; `None` if it does not fit.
    fn convert(value: &dyn Source) -> Option<Self> {
        Self::read(value).ok()
    }
    /// Convert, or say what was wanted and found: `must be a number, found the string "x"`.
    fn read(value: &dyn Source) -> Reading<Self> {
        Self::convert(value).ok_or_else(|| wrong(&Self::wanted(), value))
    }
    /// The same for an option, whose numbers are finite.
    fn read_option(value: &dyn Source) -> Reading<Self> {
        if Self::FINITE {
            finite(&value.given()).map_err(Problem::Value)?;
        }
        Self::read(value)
    }
    /// The options that a field of this type adds to those of its struct: itself, under the field's name.
    fn fields_as(&self, field: Field) -> Vec<Field> {
        vec![Field {
            kind: Self::kind(),
            choices: Self::choices(),
            inside: Self::inside,
            default: field.default.or_else(|| self.literal()),
            ..field
        }]
    }
    /// Take the value of the option `name` if it is one of those that the field `own` adds. `()` leaves what is there.
    fn offer(&mut self, own: &str, name: &str, given: &Given) -> Option<Reading<()>> {
        (own == name).then(|| {
            if *given != Given::Nothing {
                *self = Self::read_option(given).map_err(|problem| problem.of(name))?;
            }
            Ok(())
        })
    }
}

/// The options of the maps that may be a value, or stand in it.
#[derive(Clone, Debug)]
pub enum Inside {
    /// No map, or one with names of the user's.
    Nothing,
    /// A map with these.
    Map(Vec<Field>),
    /// A list of maps, each with these.
    List(Vec<Field>),
}

impl Inside {
    /// The options, wherever their map stands.
    pub fn fields(self) -> Vec<Field> {
        match self {
            Inside::Nothing => Vec::new(),
            Inside::Map(fields) | Inside::List(fields) => fields,
        }
    }

    /// In a list of such values.
    pub fn listed(self) -> Self {
        match self {
            Inside::Map(fields) => Inside::List(fields),
            other => other,
        }
    }
}

/// What is known of one option.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// The struct that declares it; empty for an argument of a script function.
    pub owner: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// The name of its type in signatures.
    pub kind: String,
    /// The names that may be chosen from.
    pub choices: Vec<&'static str>,
    /// The options of the map in its place.
    pub inside: fn() -> Inside,
    /// Its default as a script writes it; one without must be given.
    pub default: Option<String>,
}

/// A struct of options, made by [`options!`](crate::options!).
pub trait OptionSet: Sized + Default {
    /// The struct's name: where its options live.
    const OWNER: &'static str;
    /// Its options, with the values at hand as their defaults.
    fn fields(&self) -> Vec<Field>;
    /// Take the value of one option; nothing where there is no option of this name. `()` leaves what is there.
    fn offer_all(&mut self, name: &str, given: &Given) -> Option<Reading<()>>;

    /// Take the value of one option.
    fn put(&mut self, name: &str, given: &Given) -> Reading<()> {
        match self.offer_all(name, given) {
            Some(done) => done,
            None => {
                let fields = self.fields();
                let valid: Vec<&str> = fields.iter().map(|f| f.name).collect();
                Err(Problem::Inside(String::new(), unknown(name, &valid)))
            }
        }
    }

    /// These options, with what a map holds put over them.
    fn over(mut self, given: &Given) -> Reading<Self> {
        match given {
            Given::Map(map) => map.iter().try_for_each(|(name, value)| self.put(name, value))?,
            other => return Err(wrong("a map #{ .. }", other)),
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{choices, options};

    choices! {
        /// How.
        pub enum Way {
            /// So.
            Plain = "plain",
            /// Or so.
            Other = "other",
        }
    }

    options! {
        /// Inside.
        #[derive(PartialEq)]
        pub struct Inner {
            /// How many.
            layers: usize = 3,
            /// Whether.
            norm: bool = false,
        }
    }

    options! {
        /// Beside.
        #[derive(PartialEq)]
        pub struct Joined {
            /// Decay.
            decay: Option<f64> = None,
        }
        flat
    }

    options! {
        /// Outside.
        #[derive(PartialEq)]
        pub struct Outer {
            /// The rate.
            lr: f64 = 0.1,
            /// Which.
            way: Way = Way::Plain,
            /// Its own options.
            inner: Inner = Inner::default(),
            /// A list of maps.
            views: Vec<Inner> = Vec::new(),
            /// Smallest and largest.
            scale: Option<[f64; 2]> = None,
            /// Further ones.
            joined: Joined = Joined::default(),
            /// The session's if not given.
            seed: u64 = 7 => "()",
        }
        beside {
            /// No option.
            task: String = String::new(),
        }
    }

    fn map(pairs: &[(&str, Given)]) -> Given {
        Given::Map(pairs.iter().map(|(n, v)| (n.to_string(), v.clone())).collect())
    }

    fn error(pairs: &[(&str, Given)]) -> String {
        Outer::default().over(&map(pairs)).unwrap_err().error("f").to_string()
    }

    #[test]
    fn an_empty_map_is_the_default_and_what_is_given_goes_over_it() {
        assert_eq!(Outer::read(&map(&[])).unwrap(), Outer::default());
        let given = map(&[
            ("lr", Given::Int(1)),
            ("way", Given::Text("other".into())),
            ("inner", map(&[("layers", Given::Float(2.0))])),
            ("views", Given::List(vec![map(&[("norm", Given::Bool(true))])])),
            ("scale", Given::List(vec![Given::Int(1), Given::Float(2.5)])),
            ("decay", Given::Float(0.5)),
            ("seed", Given::Nothing),
        ]);
        let expected = Outer {
            lr: 1.0,
            way: Way::Other,
            inner: Inner { layers: 2, norm: false },
            views: vec![Inner { layers: 3, norm: true }],
            scale: Some([1.0, 2.5]),
            joined: Joined { decay: Some(0.5) },
            ..Outer::default()
        };
        assert_eq!(Outer::read(&given).unwrap(), expected);
    }

    #[test]
    fn the_record_reads_back_with_and_without_all_fields() {
        let text = serde_json::to_string(&Outer::default()).unwrap();
        assert!(text.starts_with(r#"{"task":"","lr":0.1,"way":"plain","#), "{text}");
        assert_eq!(serde_json::from_str::<Outer>(&text).unwrap(), Outer::default());
        assert_eq!(serde_json::from_str::<Outer>("{}").unwrap(), Outer::default());
        assert!(serde_json::from_str::<Outer>(r#"{"rl": 1}"#).is_err());
    }

    #[test]
    fn errors_name_the_place_what_was_found_and_what_is_expected() {
        let text = |t: &str| Given::Text(t.into());
        assert_eq!(
            error(&[("lr", text("x"))]),
            "f: `lr` must be a number, found the string \"x\""
        );
        assert_eq!(
            error(&[("lr", Given::Float(f64::NAN))]),
            "f: `lr` must be finite, found the number NaN"
        );
        assert_eq!(
            error(&[("way", text("othr"))]),
            "f: way: \"othr\" is not known, expected one of \"plain\", \"other\"; did you mean \"other\"?"
        );
        assert_eq!(
            error(&[("inner", map(&[("layer", Given::Int(3))]))]),
            "f: inner: unknown option `layer`; valid options: layers, norm; did you mean `layers`?"
        );
        assert_eq!(
            error(&[("views", Given::List(vec![map(&[]), map(&[("norm", Given::Int(3))])]))]),
            "f: views[1]: `norm` must be true or false, found the number 3"
        );
        assert_eq!(
            error(&[("scale", Given::List(vec![Given::Int(3)]))]),
            "f: `scale` must be an array of 2 (numbers), found an array holding the number 3"
        );
        assert!(error(&[("task", text("x"))]).contains("unknown option `task`"));
    }

    #[test]
    fn help_knows_names_types_defaults_texts_and_where_an_option_lives() {
        let shown: Vec<String> = Outer::default()
            .fields()
            .iter()
            .map(|f| format!("{} {} {} {}", f.owner, f.name, f.kind, f.default.clone().unwrap()))
            .collect();
        assert_eq!(
            shown,
            [
                "Outer lr float 0.1",
                "Outer way string \"plain\"",
                "Outer inner map #{}",
                "Outer views [map] []",
                "Outer scale [float, float] ()",
                "Joined decay float ()",
                "Outer seed int ()",
            ]
        );
        let fields = Outer::default().fields();
        assert_eq!(fields[1].choices, ["plain", "other"]);
        assert_eq!((fields[3].inside)().fields()[0].name, "layers");
    }
}
