//! The points of a sweep: every combination of the values given for the arguments of a script.

use std::path::Path;

use crate::ensure;
use crate::error::{Error, Result};
use crate::fail;
use crate::session::Place;

/// The arguments of one point, each `name` and value as written, in the order given.
pub type Arguments = Vec<(String, String)>;

/// More points than this are a slip of the keyboard.
const MOST: usize = 100_000;

/// The points that `words` describe: `name=1,2,3`, `name=0..4` (0, 1, 2, 3), `name=0..=4`, and `@points.csv` (a row is a point, the
/// header names its arguments). Several words are combined, the last one varying fastest.
///
/// # Errors
/// A word of another form, a name or a value given twice, a range without end, a file that is no table.
pub fn points(words: &[String]) -> Result<Vec<Arguments>> {
    let mut points: Vec<Arguments> = vec![Vec::new()];
    for word in words {
        let axis = axis(word)?;
        if let (Some(first), Some(point)) = (axis.first(), points.first()) {
            let twice = first.iter().find(|(name, _)| point.iter().any(|(n, _)| n == name));
            if let Some((name, _)) = twice {
                fail!("sweep: the argument `{name}` is given twice; write all its values in one list, {name}=a,b");
            }
        }
        ensure!(
            points.len().saturating_mul(axis.len()) <= MOST,
            "sweep: these are over {MOST} points, found with {word}"
        );
        let join = |point: &Arguments| -> Vec<Arguments> {
            axis.iter().map(|more| [point.clone(), more.clone()].concat()).collect()
        };
        points = points.iter().flat_map(join).collect();
    }
    Ok(points)
}

/// What one word adds to a point, for each of its values.
fn axis(word: &str) -> Result<Vec<Arguments>> {
    if let Some(file) = word.strip_prefix('@') {
        return rows(Path::new(file));
    }
    let Some((name, text)) = word.split_once('=') else {
        fail!("sweep: {word}: expected name=values or @points.csv");
    };
    ensure!(!name.is_empty(), "sweep: {word}: the name before = is missing");
    ensure!(
        !text.starts_with('@'),
        "sweep: {word}: a file of points stands without a name, as its columns have theirs: {text}"
    );
    let mut values = Vec::new();
    for part in split(text) {
        match range(name, part)? {
            Some(numbers) => values.extend(numbers),
            None => values.push(part.to_string()),
        }
    }
    for (i, value) in values.iter().enumerate() {
        ensure!(!value.is_empty(), "sweep: {word}: a value is empty");
        ensure!(
            !values[..i].contains(value),
            "sweep: {word}: the value {value} is given twice"
        );
    }
    Ok(values
        .into_iter()
        .map(|value| vec![(name.to_string(), value)])
        .collect())
}

/// The parts between commas; those inside brackets or quotes separate nothing.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth, mut quoted) = (Vec::new(), 0, 0_i32, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '[' | '{' | '(' if !quoted => depth += 1,
            ']' | '}' | ')' if !quoted => depth -= 1,
            ',' if !quoted && depth <= 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// The whole numbers of `a..b` (without b) or `a..=b`; nothing for text that is no range of numbers.
fn range(name: &str, text: &str) -> Result<Option<Vec<String>>> {
    let Some((a, b)) = text.split_once("..") else {
        return Ok(None);
    };
    let (b, closed) = b.strip_prefix('=').map_or((b, 0), |b| (b, 1));
    let number = |t: &str| t.parse::<i64>().ok();
    let (Some(a), Some(b)) = (number(a), number(b)) else {
        let numeric = |t: &str| t.is_empty() || t.parse::<f64>().is_ok();
        ensure!(
            !numeric(a) || !numeric(b) || (a.is_empty() && b.is_empty()),
            "sweep: {name}={text}: a range is written between whole numbers, 0..4 for 0, 1, 2, 3; list other numbers, 0.1,0.2"
        );
        return Ok(None);
    };
    let end = b.saturating_add(closed);
    ensure!(
        a < end,
        "sweep: {name}={text}: the range is empty; it runs from the smaller number up"
    );
    ensure!(
        end.abs_diff(a) <= MOST as u64,
        "sweep: {name}={text}: these are over {MOST} points"
    );
    Ok(Some((a..end).map(|n| n.to_string()).collect()))
}

/// The rows of a table with a header.
fn rows(path: &Path) -> Result<Vec<Arguments>> {
    let text = Place::from(path).text("the table of points")?;
    let bad = |e: csv::Error| Error::file(path, format!("cannot be read as a table of points ({e})"));
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(bad)?.clone();
    let names: Vec<String> = header.iter().map(str::to_string).collect();
    ensure!(
        !names.iter().any(String::is_empty),
        "{}: a column has no name; the first line names the arguments",
        path.display()
    );
    let mut points: Vec<Arguments> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(bad)?;
        let values = record.iter().map(str::to_string);
        let point: Arguments = names
            .iter()
            .cloned()
            .zip(values)
            .filter(|(_, v)| !v.is_empty())
            .collect();
        ensure!(
            !points.contains(&point),
            "{}: line {} repeats a point",
            path.display(),
            points.len() + 2
        );
        points.push(point);
    }
    ensure!(!points.is_empty(), "{}: holds no points", path.display());
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(words: &[&str]) -> Result<Vec<String>> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let show = |p: Arguments| p.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ");
        Ok(points(&words)?.into_iter().map(show).collect())
    }

    #[test]
    fn words_are_combined_the_last_one_fastest() {
        assert_eq!(
            all(&["t=0.05,0.1", "seed=0..2"]).unwrap(),
            ["t=0.05 seed=0", "t=0.05 seed=1", "t=0.1 seed=0", "t=0.1 seed=1"]
        );
        assert_eq!(all(&["n=1,5..=7"]).unwrap(), ["n=1", "n=5", "n=6", "n=7"]);
        assert_eq!(
            all(&["size=[96,128],[64, 64]"]).unwrap(),
            ["size=[96,128]", "size=[64, 64]"]
        );
        assert_eq!(all(&["data=../camvid"]).unwrap(), ["data=../camvid"]);
        assert_eq!(all(&[]).unwrap(), [""]);
    }

    #[test]
    fn rows_of_a_table_are_points_and_combine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.csv");
        std::fs::write(&path, "\u{feff}method,lr\na, 0.1\nb,\n").unwrap();
        let word = format!("@{}", path.display());
        assert_eq!(
            all(&[&word, "seed=0..2"]).unwrap(),
            [
                "method=a lr=0.1 seed=0",
                "method=a lr=0.1 seed=1",
                "method=b seed=0",
                "method=b seed=1"
            ]
        );
        std::fs::write(&path, "method,lr\na\n").unwrap();
        assert!(all(&[&word]).unwrap_err().to_string().contains("p.csv"));
    }

    #[test]
    fn slips_are_named() {
        for (words, part) in [
            (&["seed"][..], "name=values"),
            (&["=1"], "name before ="),
            (&["a=1,,2"], "empty"),
            (&["a=1,1"], "given twice"),
            (&["a=1", "a=2"], "one list"),
            (&["a=4..0"], "smaller number"),
            (&["a=0.1..0.5"], "whole numbers"),
            (&["a=0.."], "whole numbers"),
            (&["a=0..999999999"], "points"),
            (&["a=0..1000", "b=0..1000"], "points"),
            (&["@nowhere.csv"], "nowhere.csv"),
        ] {
            let text = all(words).unwrap_err().to_string();
            assert!(text.contains(part), "{words:?}: {text}");
        }
    }
}
