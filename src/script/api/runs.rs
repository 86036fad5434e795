//! The record of this run, and the records of many.

use crate::script::Argument;
use crate::script::options::{dynamic_from, json_from};
use crate::script::prelude::*;
use crate::study::{Cell, Outcome, Record, Row, rows};

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.global(entries! {
        /// Keep what came of this run: the names and values go to `result.json` in the run folder.
        ///
        /// Values are numbers, strings, booleans, `()`, arrays and maps of them. Further calls add names and replace those there. The
        /// file also holds status, script, arguments, seed, threads, the program's and the script's hashes, and the data of
        /// each training run; `runs::load` makes rows of many such files.
        /// ```
        /// result(#{ miou: 0.5 });
        /// result(#{ pixel_accuracy: 0.75 });
        /// let row = runs::load(run_folder())[0];
        /// assert_eq([row.miou, row.pixel_accuracy], [0.5, 0.75]);
        /// ```
        fn result(ctx, values: Map) {
            let mut kept = serde_json::Map::new();
            for (name, value) in values {
                let json = record_from(&value).map_err(|what| {
                    Error::usage(format!("result: {name} {what}; take the numbers of it, such as score.miou"))
                })?;
                kept.insert(name.to_string(), json);
            }
            ctx.session().add_results(kept);
            Record::of(ctx.session(), Outcome::Running, None)?.write(ctx.session())
        }
    });
    table.namespace("runs", "Records of runs and sweeps.", entries! {
        /// Read the records below `folder` as rows: arguments, results, `status` and `folder` of each run.
        ///
        /// `folder` is that of a sweep (`seglab sweep`), or holds run folders with a `result.json`. Rows of a sweep stand for all its
        /// points; a warning names those that are not done. A result called as an argument is `result_NAME`.
        /// ```
        /// result(#{ miou: 0.25 });
        /// let rows = runs::load(run_folder());
        /// assert_eq([rows.len(), rows[0].miou], [1, 0.25]);
        /// ```
        fn load(ctx, folder: String) -> Array {
            let place = ctx.session().input_path(&folder)?;
            let rows = rows(place.path())?;
            let open: Vec<&Row> = rows.iter().filter(|row| row.status != "done" && row.status != "running").collect();
            if !open.is_empty() {
                let name = |row: &&Row| format!("{} ({})", row.folder.file_name().unwrap_or_default().to_string_lossy(), row.status);
                let names: Vec<String> = open.iter().take(10).map(name).collect();
                let more = if open.len() > names.len() { ", .." } else { "" };
                let text = format!("runs::load: {} of {} runs are not done: {}{more}", open.len(), rows.len(), names.join(", "));
                ctx.session().warn(&text);
            }
            Ok(rows.iter().map(|row| Dynamic::from_map(row_map(row))).collect())
        }

        /// The history of a training run: its columns, from the folder of the run or of the script.
        ///
        /// A script's run folder with several training runs needs the name of one, `"FOLDER/finetune"`.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let run = train::finetune(net, data, #{ steps: 2, batch_size: 2 });
        /// assert_eq(runs::history(run_folder() + "/" + run.name).loss, run.history.loss);
        /// ```
        fn history(ctx, folder: String) -> Map {
            let place = ctx.session().input_path(&folder)?;
            let mut found: Vec<_> = Vec::new();
            if place.join("history.csv").exists()? {
                found.push(place.join("history.csv"));
            } else {
                for entry in place.list()? {
                    let history = entry.join("history.csv");
                    if entry.is_folder()? && history.exists()? {
                        found.push(history);
                    }
                }
            }
            let [history] = found.as_slice() else {
                let names: Vec<String> = found.iter().filter_map(|p| Some(p.path().parent()?.display().to_string())).collect();
                fail!(
                    "runs::history: {folder} holds {} training runs{}; expected the folder of one, with its history.csv",
                    found.len(),
                    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
                );
            };
            let columns = crate::train::History::from_csv(&history.text("the history")?)
                .map_err(|e| Error::file(history.path(), e))?;
            Ok(columns.columns().iter().map(|(name, values)| (name.as_str().into(), values.clone().reply(ctx))).collect())
        }
    });
}

/// Numbers that JSON has no way to write.
const NAMED: [(&str, f64); 3] = [("NaN", f64::NAN), ("inf", f64::INFINITY), ("-inf", f64::NEG_INFINITY)];

/// A plain value as JSON, NaN and infinities by their names.
fn record_from(value: &Dynamic) -> std::result::Result<serde_json::Value, String> {
    match value.as_float() {
        Ok(f) if !f.is_finite() => Ok(f.to_string().into()),
        _ => json_from(value),
    }
}

/// What [`record_from`] wrote.
fn recorded(value: &serde_json::Value) -> Dynamic {
    let named = NAMED.iter().find(|(name, _)| value.as_str() == Some(name));
    named.map_or_else(|| dynamic_from(value), |(_, number)| (*number).into())
}

fn row_map(row: &Row) -> Map {
    let mut map: Map = row
        .cells
        .iter()
        .map(|(name, cell)| {
            let value = match cell {
                Cell::Text(text) => Argument::new(text).value,
                Cell::Value(value) => recorded(value),
            };
            (name.as_str().into(), value)
        })
        .collect();
    map.insert("status".into(), row.status.into());
    map.insert("folder".into(), row.folder.display().to_string().into());
    map
}
