//! Files of text, tables and JSON. What is written goes to the run folder, what is read is looked for in the working folder too.

use serde_json::Value;

use super::table::columns_of;
use crate::script::options::{dynamic_from, json_from};
use crate::script::prelude::*;
use crate::script::show::show;
use crate::script::values::describe;
use crate::session::Place;

/// Declare the functions.
pub fn declare(table: &mut Table) {
    let functions = entries! {
        /// The text of a file in UTF-8.
        /// ```
        /// file::write("note.txt", "two\nlines");
        /// assert_eq(file::read("note.txt").split("\n").len, 2);
        /// ```
        fn read(ctx, path: String) -> String { ctx.session().input_path(&path)?.text("the file") }
        /// Write a text to a file and give its path; a file that seglab did not write is not replaced.
        /// ```
        /// assert(file::write("note.txt", "text").ends_with("note.txt"));
        /// ```
        fn write(ctx, path: String, text: String) -> String {
            written(ctx, &path, text)
        }
        /// Write a text behind what this run has written to the file, and give its path.
        /// ```
        /// file::write("log.txt", "a");
        /// file::append("log.txt", "b");
        /// assert_eq(file::read("log.txt"), "ab");
        /// ```
        fn append(ctx, path: String, text: String) -> String {
            let place = ctx.session().output_path(&path)?;
            let before = if place.exists()? { place.text("the file")? } else { String::new() };
            written(ctx, &path, format!("{before}{text}"))
        }
        /// Whether there is a file or folder.
        /// ```
        /// assert(!file::exists("no/such/file"));
        /// ```
        fn exists(ctx, path: String) -> bool { ctx.session().input_path(&path)?.exists() }
        /// The paths of what lies in a folder, sorted; of names that fit a pattern with `*` and `?`. Hidden files are left out.
        /// ```
        /// file::write("parts/a.txt", "");
        /// file::write("parts/b.csv", "");
        /// assert_eq(file::list("parts", "*.txt").len, 1);
        /// ```
        fn list(ctx, folder: String, pattern: String = "*".into()) -> Vec<String> {
            let places = ctx.session().input_path(&folder)?.list()?;
            let fits = |place: &&Place| !place.name().starts_with('.') && fits(&place.name(), &pattern);
            Ok(places.iter().filter(fits).map(Place::to_string).collect())
        }
        /// Make a folder, and those above it, and give its path.
        /// ```
        /// assert(file::exists(file::make_folder("tables/small")));
        /// ```
        fn make_folder(ctx, path: String) -> String {
            let place = ctx.session().place(ctx.session().folder()?.join(&path));
            place.make_folder()?;
            Ok(place.to_string())
        }
    };
    table.namespace("file", "Files of text, and folders.", functions);
    let functions = entries! {
        /// The rows of a table, maps by the names in its first line: numbers as numbers, empty cells as `()`.
        /// ```
        /// csv::write("results.csv", [#{ method: "a, b", miou: 0.5, seed: () }]);
        /// assert_eq(csv::read("results.csv"), [#{ method: "a, b", miou: 0.5, seed: () }]);
        /// ```
        fn read(ctx, path: String) -> Vec<Map> {
            let place = ctx.session().input_path(&path)?;
            let text = place.text("the table")?;
            rows(&text).map_err(|e| Error::file(place.path(), e))
        }
        /// Write rows, an array of maps, as a table with a line of names, and give the path.
        /// ```
        /// let path = csv::write("results.csv", [#{ seed: 0, miou: 0.5 }], #{ columns: ["seed", "miou"] });
        /// assert_eq(file::read(path), "seed,miou\n0,0.5\n");
        /// ```
        fn write(ctx, path: String, rows: Vec<Map>,
            /// The columns in this order; all in alphabetical order if not given.
            columns: Vec<String> = Vec::new()) -> String {
            let columns = if columns.is_empty() { columns_of(&rows) } else { columns };
            let mut writer = csv::Writer::from_writer(Vec::new());
            let failed = |e: csv::Error| Error::usage(format!("csv::write: {e}"));
            writer.write_record(&columns).map_err(failed)?;
            for (i, row) in rows.iter().enumerate() {
                let cells = columns.iter().map(|c| cell(ctx, i, c, row.get(c.as_str())));
                writer.write_record(cells.collect::<Result<Vec<String>>>()?).map_err(failed)?;
            }
            let bytes = writer.into_inner().map_err(|e| Error::usage(format!("csv::write: {}", e.error())))?;
            written(ctx, &path, bytes)
        }
    };
    table.namespace("csv", "Tables in files.", functions);
    table.namespace("json", "Values in JSON files.", entries! {
        /// The value in a JSON file: maps, arrays, numbers, texts, true and false; null is `()`.
        /// ```
        /// json::write("settings.json", #{ lr: 0.1, sizes: [64, 96], note: () });
        /// assert_eq(json::read("settings.json"), #{ lr: 0.1, sizes: [64, 96], note: () });
        /// ```
        fn read(ctx, path: String) -> Dynamic {
            let place = ctx.session().input_path(&path)?;
            let value = serde_json::from_str::<Value>(&place.text("the JSON")?);
            Ok(dynamic_from(&value.map_err(|e| Error::file(place.path(), format!("is no JSON ({e})")))?))
        }
        /// Write a value of maps, arrays, numbers and texts to a JSON file and give its path.
        /// ```
        /// assert(json::write("settings.json", #{ lr: 0.1 }).ends_with("settings.json"));
        /// ```
        fn write(ctx, path: String, value: Dynamic) -> String {
            let json = json_from(&value).map_err(|problem| Error::usage(format!("json::write: the value {problem}")))?;
            let place = ctx.session().output_path(&path)?;
            place.write_json(&json)?;
            Ok(place.to_string())
        }
    });
}

/// Write a file of the run folder and give its path.
fn written(ctx: &Call, path: &str, content: impl AsRef<[u8]>) -> Result<String> {
    let place = ctx.session().output_path(path)?;
    place.write(content)?;
    Ok(place.to_string())
}

/// Whether a name fits a pattern of `*` (any letters) and `?` (one).
fn fits(name: &str, pattern: &str) -> bool {
    let (name, pattern): (Vec<char>, Vec<char>) = (name.chars().collect(), pattern.chars().collect());
    // which beginnings of the name fit the pattern so far
    let mut fit = vec![false; name.len() + 1];
    fit[0] = true;
    for p in pattern {
        let before = fit.clone();
        for i in 0..=name.len() {
            fit[i] = match p {
                '*' => before[..=i].contains(&true),
                '?' => i > 0 && before[i - 1],
                c => i > 0 && before[i - 1] && name[i - 1] == c,
            };
        }
    }
    fit[name.len()]
}

/// One cell of a table as text.
fn cell(ctx: &Call, row: usize, column: &str, value: Option<&Dynamic>) -> Result<String> {
    let Some(value) = value.map(|v| v.clone().flatten()).filter(|v| !v.is_unit()) else {
        return Ok(String::new());
    };
    ensure!(
        !value.is_array() && !value.is_map() && !value.is_fnptr(),
        "csv::write: a cell holds a number or a text, found {} in `{column}` of row {row}",
        describe(&value)
    );
    match value.as_float() {
        Ok(x) => Ok(format!("{x:?}")),
        Err(_) => Ok(show(ctx.table(), &value, false)),
    }
}

/// The rows of a table's text.
fn rows(text: &str) -> std::result::Result<Vec<Map>, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|e| e.to_string())?.clone();
    let mut seen: Vec<&str> = Vec::new();
    for name in &names {
        if seen.contains(&name) {
            return Err(format!("line 1 names the column `{name}` twice"));
        }
        seen.push(name);
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        if record.len() != names.len() {
            let line = record.position().map_or(0, csv::Position::line);
            return Err(format!(
                "line {line} has {} cells, the first line names {}",
                record.len(),
                names.len()
            ));
        }
        rows.push(names.iter().zip(&record).map(|(n, c)| (n.into(), value(c))).collect());
    }
    Ok(rows)
}

/// What a cell holds.
fn value(cell: &str) -> Dynamic {
    let number = cell.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) || ["NaN", "inf"].contains(&cell);
    match (cell.parse::<i64>(), cell.parse::<f64>()) {
        _ if cell.is_empty() => Dynamic::UNIT,
        (Ok(i), _) => i.into(),
        (_, Ok(x)) if number => x.into(),
        _ => cell.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names() {
        for (name, pattern, expected) in [
            ("a.png", "*.png", true),
            ("a.png", "*", true),
            ("a.png", "?.p*g", true),
            ("a.png.txt", "*.png", false),
            ("ab.png", "?.png", false),
            ("", "*", true),
        ] {
            assert_eq!(fits(name, pattern), expected, "{name} {pattern}");
        }
    }

    #[test]
    fn cells_are_what_they_hold_and_ragged_lines_are_named() {
        let read = rows("a,b,c,d\n1,0.5,,\"x, y\"\n-2,1e3,NaN,007a\n").unwrap();
        assert_eq!(read[0]["a"].as_int().unwrap(), 1);
        assert_eq!(read[0]["b"].as_float().unwrap(), 0.5);
        assert!(read[0]["c"].is_unit());
        assert_eq!(read[0]["d"].to_string(), "x, y");
        assert_eq!(read[1]["b"].as_float().unwrap(), 1000.0);
        assert!(read[1]["c"].as_float().unwrap().is_nan());
        assert_eq!(read[1]["d"].to_string(), "007a");
        assert_eq!(
            rows("a,b\n1,2\n3\n").unwrap_err(),
            "line 3 has 1 cells, the first line names 2"
        );
        assert_eq!(rows("a,a\n").unwrap_err(), "line 1 names the column `a` twice");
    }
}
