//! The macros that declare options.

/// A struct of options: `name: type = default` with a text each, also where scripts and help read it. See [`mod@crate::options`].
///
/// - `=> "()"` behind a default: what help shows in its place, where the function that takes the option fills it in.
/// - `beside { .. }` behind the struct: fields that are no options.
/// - `or "kind", "wanted", read`: besides a map, the value has other forms; `read(given)` gives nothing for what is to be read as a map. Names
///   that a string may have stand behind.
/// - `flat`: in another struct its options stand among those of that struct.
#[macro_export]
macro_rules! options {
    (@shown) => { None };
    (@shown $shown:literal) => { Some($shown.to_string()) };
    (@struct [$($meta:tt)*] $vis:vis $name:ident
        { $( $(#[doc = $doc:literal])* $field:ident : $type:ty = $default:expr $(=> $shown:literal)? ),* $(,)? }
        { $( $(#[doc = $beside_doc:literal])* $beside:ident : $beside_type:ty = $beside_default:expr ),* $(,)? }
    ) => {
        $($meta)*
        #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        $vis struct $name {
            $( $(#[doc = $beside_doc])* $vis $beside: $beside_type, )*
            $( $(#[doc = $doc])* $vis $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                $name {
                    $( $beside: $beside_default, )*
                    $( $field: $default, )*
                }
            }
        }

        impl $crate::options::OptionSet for $name {
            const OWNER: &'static str = stringify!($name);
            fn fields(&self) -> Vec<$crate::options::Field> {
                let mut all = Vec::new();
                $(
                    all.extend($crate::options::Arg::fields_as(&self.$field, $crate::options::Field {
                        name: stringify!($field),
                        owner: stringify!($name),
                        doc: concat!($($doc, "\n",)* ""),
                        kind: String::new(),
                        choices: Vec::new(),
                        inside: || $crate::options::Inside::Nothing,
                        default: $crate::options!(@shown $($shown)?),
                    }));
                )*
                all
            }
            fn offer_all(&mut self, name: &str, given: &$crate::options::Given) -> Option<$crate::options::Reading<()>> {
                $(
                    let done = $crate::options::Arg::offer(&mut self.$field, stringify!($field), name, given);
                    if done.is_some() {
                        return done;
                    }
                )*
                None
            }
        }
    };
    (@value $name:ident $kind:literal, $wanted:literal, $form:expr, [$($more:tt)*]) => {
        impl $crate::options::Arg for $name {
            const KIND: &'static str = $kind;
            const WANTED: &'static str = $wanted;
            fn inside() -> $crate::options::Inside {
                $crate::options::Inside::Map($crate::options::OptionSet::fields(&Self::default()))
            }
            fn read(value: &dyn $crate::options::Source) -> $crate::options::Reading<Self> {
                let given = &value.given();
                let form: fn(&$crate::options::Given) -> Option<$crate::options::Reading<Self>> = $form;
                match (form(given), given) {
                    (Some(read), _) => read,
                    (None, $crate::options::Given::Map(_)) => $crate::options::OptionSet::over(Self::default(), given),
                    (None, _) => Err($crate::options::wrong($wanted, given)),
                }
            }
            fn literal(&self) -> Option<String> {
                Some("#{}".into())
            }
            $($more)*
        }
    };
    (@map $name:ident) => {
        $crate::options!(@value $name "map", "a map #{ .. }", |_| None, []);
    };
    (@flat $name:ident) => {
        $crate::options!(@value $name "map", "a map #{ .. }", |_| None, [
            fn fields_as(&self, _: $crate::options::Field) -> Vec<$crate::options::Field> {
                $crate::options::OptionSet::fields(self)
            }
            fn offer(&mut self, _: &str, name: &str, given: &$crate::options::Given) -> Option<$crate::options::Reading<()>> {
                $crate::options::OptionSet::offer_all(self, name, given)
            }
        ]);
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($body:tt)* }) => {
        $crate::options!(@struct [$(#[$meta])*] $vis $name { $($body)* } {});
        $crate::options!(@map $name);
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($body:tt)* } beside { $($beside:tt)* }) => {
        $crate::options!(@struct [$(#[$meta])*] $vis $name { $($body)* } { $($beside)* });
        $crate::options!(@map $name);
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($body:tt)* } or $kind:literal, $wanted:literal, $form:expr $(, $names:expr)?) => {
        $crate::options!(@struct [$(#[$meta])*] $vis $name { $($body)* } {});
        $crate::options!(@value $name $kind, $wanted, $form, [$(
            fn choices() -> Vec<&'static str> {
                $names
            }
        )?]);
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($body:tt)* } flat) => {
        $crate::options!(@struct [$(#[$meta])*] $vis $name { $($body)* } {});
        $crate::options!(@flat $name);
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($body:tt)* } beside { $($beside:tt)* } flat) => {
        $crate::options!(@struct [$(#[$meta])*] $vis $name { $($body)* } { $($beside)* });
        $crate::options!(@flat $name);
    };
}

/// A closed set of names, `Variant = "name"`, the default first; behind `beside` stand variants that no script can name.
#[macro_export]
macro_rules! choices {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $( $(#[$note:meta])* $variant:ident = $text:literal ),* $(,)?
        }
        $(beside { $( $(#[$hidden_note:meta])* $hidden:ident = $hidden_text:literal ),* $(,)? })?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        $vis enum $name {
            $( $(#[$note])* #[serde(rename = $text)] $variant, )*
            $($( $(#[$hidden_note])* #[serde(rename = $hidden_text)] $hidden, )*)?
        }

        impl $name {
            /// All that can be chosen, with their names.
            pub const ALL: [(&'static str, $name); [$($text),*].len()] = [$( ($text, $name::$variant) ),*];

            /// Its name in scripts and records.
            pub fn name(self) -> &'static str {
                match self {
                    $( $name::$variant => $text, )*
                    $($( $name::$hidden => $hidden_text, )*)?
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::ALL[0].1
            }
        }

        impl $crate::options::Arg for $name {
            const KIND: &'static str = "string";
            const WANTED: &'static str = "a string";
            fn choices() -> Vec<&'static str> {
                Self::ALL.map(|(name, _)| name).to_vec()
            }
            fn read(value: &dyn $crate::options::Source) -> $crate::options::Reading<Self> {
                $crate::options::pick(value, &Self::ALL)
            }
            fn literal(&self) -> Option<String> {
                Some(format!("\"{}\"", self.name()))
            }
        }
    };
}
