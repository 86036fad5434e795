//! What can go wrong: one enum for the whole crate, its `Result`, and `ensure!`/`fail!` to raise a usage error.
//!
//! A message says what was found, what was expected and what to do; it starts with the name of the function the
//! user called where that is known, in lower case, without a full stop at the end.

use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};

/// Every error of the library.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's mistake: an argument, an option, a shape.
    #[error("{0}")]
    Usage(String),
    /// A file or folder that is missing, unreadable, corrupt or cannot be written.
    #[error("{}: {what}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        what: String,
    },
    /// Training cannot go on (a loss that is not finite, say); what was trained before is kept.
    #[error("{0}")]
    Training(String),
    /// A closure of the script failed; the script layer keeps its error and shows it in place of this one.
    #[error("a closure failed")]
    Closure,
    /// The user pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The tensor engine refused: shapes, devices, memory.
    #[error("{0}")]
    Engine(candle_core::Error),
}

impl From<candle_core::Error> for Error {
    /// The engine's error without the backtrace that candle puts into its text; a full GPU in words.
    fn from(error: candle_core::Error) -> Self {
        match error {
            candle_core::Error::WithBacktrace { inner, .. } => Error::from(*inner),
            other if other.to_string().contains("CUDA_ERROR_OUT_OF_MEMORY") => Error::Usage(
                "the GPU has no memory left; a smaller batch, smaller images or precision: \"bf16\" need less, and `nvidia-smi` shows \
                 what else runs there"
                    .into(),
            ),
            other => Error::Engine(other),
        }
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A usage error with this text.
    pub fn usage(text: impl Into<String>) -> Self {
        Error::Usage(text.into())
    }

    /// A file error: `path`, and what is wrong with it.
    pub fn file(path: impl AsRef<Path>, what: impl std::fmt::Display) -> Self {
        Error::File {
            path: path.as_ref().to_path_buf(),
            what: what.to_string(),
        }
    }
}

/// Return a usage error built by `format!`.
#[macro_export]
macro_rules! fail {
    ($($text:tt)*) => { return Err($crate::error::Error::Usage(format!($($text)*))) };
}

/// Return an error of the file at a path, built by `format!`.
#[macro_export]
macro_rules! fail_at {
    ($path:expr, $($text:tt)*) => { return Err($crate::error::Error::file($path, format!($($text)*))) };
}

/// Return a usage error built by `format!` unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($text:tt)*) => {{
        let holds: bool = $condition;
        if !holds {
            $crate::fail!($($text)*)
        }
    }};
}

/// All numbers above 0, for [`in_range`].
pub const POSITIVE: (Bound<f64>, Bound<f64>) = (Bound::Excluded(0.0), Bound::Unbounded);

/// Refuse the number of an option that is NaN, infinite or outside `range`: `focal: gamma -1, expected a number from 0 up`.
pub fn in_range(owner: &str, option: &str, value: f64, range: impl RangeBounds<f64>) -> Result<()> {
    if value.is_finite() && range.contains(&value) {
        return Ok(());
    }
    let wanted = match (range.start_bound(), range.end_bound()) {
        (Bound::Unbounded, Bound::Unbounded) => "a finite number".to_string(),
        (Bound::Unbounded, Bound::Included(most)) => format!("a number up to {most}"),
        (Bound::Unbounded, Bound::Excluded(most)) => format!("a number below {most}"),
        (Bound::Included(least), Bound::Unbounded) => format!("a number from {least} up"),
        (Bound::Excluded(least), Bound::Unbounded) => format!("a number above {least}"),
        (Bound::Included(least), Bound::Included(most)) => format!("a number from {least} to {most}"),
        (Bound::Included(least), Bound::Excluded(most)) => format!("a number from {least} to below {most}"),
        (Bound::Excluded(least), Bound::Included(most)) => format!("a number above {least}, at most {most}"),
        (Bound::Excluded(least), Bound::Excluded(most)) => format!("a number above {least} and below {most}"),
    };
    fail!("{owner}: {option} {value}, expected {wanted}")
}

/// The name in `known` nearest to `name`, for "did you mean": edit distance, letters of either case alike, at most a third of
/// the length and at least one; else the one name that begins with these three letters or more.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let limit = (length / 3).max(1);
    let lower = name.to_lowercase();
    let known: Vec<&str> = known.into_iter().filter(|k| *k != name).collect();
    let near = known
        .iter()
        .map(|k| (strsim::osa_distance(&lower, &k.to_lowercase()), *k))
        .filter(|(d, _)| *d <= limit && *d < length)
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k);
    let longer = || {
        let mut longer = known.iter().copied().filter(|k| length >= 3 && k.starts_with(name));
        longer.next().filter(|first| longer.all(|other| other == *first))
    };
    near.or_else(longer)
}

/// "did you mean ..?" of the nearest of the names, written between `before` and `behind`.
pub fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, before: &str, behind: &str) -> Option<String> {
    nearest(name, known).map(|n| format!("did you mean {before}{n}{behind}?"))
}

/// The same as the end of a message; empty if no name is near.
pub fn or_meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, before: &str, behind: &str) -> String {
    meant(name, known, before, behind).map_or_else(String::new, |hint| format!("; {hint}"))
}

/// Parse one name of a closed set; the error lists the valid names and suggests the nearest.
pub fn choose<T: Copy>(what: &str, name: &str, choices: &[(&str, T)]) -> Result<T> {
    if let Some((_, value)) = choices.iter().find(|(n, _)| *n == name) {
        return Ok(*value);
    }
    fail!("{what}: {}", not_known(name, choices.iter().map(|(n, _)| *n)))
}

/// What is said of a name that a closed set of names lacks.
pub fn not_known<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = known.collect();
    let hint = or_meant(name, names.iter().copied(), "\"", "\"");
    format!(
        "\"{name}\" is not known, expected one of \"{}\"{hint}",
        names.join("\", \"")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_a_typing_error_and_refuses_a_stranger() {
        let known = ["temperature", "variant", "steps"];
        assert_eq!(nearest("temprature", known), Some("temperature")); // one letter dropped
        assert_eq!(nearest("setps", known), Some("steps")); // one swap
        assert_eq!(nearest("colour", known), None);
    }

    #[test]
    fn no_range_holds_nan_or_infinity() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(in_range("f", "x", value, ..).is_err());
            assert!(in_range("f", "x", value, 0.0..).is_err());
            assert!(in_range("f", "x", value, POSITIVE).is_err());
        }
        assert!(in_range("f", "x", 0.0, 0.0..1.0).is_ok() && in_range("f", "x", 1.0, 0.0..=1.0).is_ok());
        let text = |r: Result<()>| r.unwrap_err().to_string();
        assert_eq!(
            text(in_range("f", "x", 1.0, 0.0..1.0)),
            "f: x 1, expected a number from 0 to below 1"
        );
        assert_eq!(
            text(in_range("f", "x", 0.0, POSITIVE)),
            "f: x 0, expected a number above 0"
        );
    }

    #[test]
    fn choose_lists_the_valid_names() {
        let e = choose("variant", "supcn", &[("supcon", 1), ("batch", 2)]).unwrap_err();
        let text = e.to_string();
        assert!(text.contains("\"supcon\", \"batch\"") && text.contains("did you mean \"supcon\""));
    }
}
