//! Rows as a table: on the screen, and for papers.

use std::collections::BTreeMap;

use crate::script::Context;
use crate::script::prelude::*;
use crate::script::show::show;
use crate::script::values::{describe, unless_empty};

/// Digits behind the point: of all columns, or of each by name.
#[derive(Clone)]
pub struct Digits {
    others: usize,
    by_column: BTreeMap<String, usize>,
}

impl Default for Digits {
    fn default() -> Self {
        Digits {
            others: 4,
            by_column: BTreeMap::new(),
        }
    }
}

impl Digits {
    /// More than a float has are not asked for.
    fn of(&self, column: &str) -> usize {
        self.by_column.get(column).copied().unwrap_or(self.others).min(17)
    }
}

impl Arg for Digits {
    const KIND: &'static str = "int or map";
    const WANTED: &'static str = "an integer >= 0, or a map of them by column";
    fn literal(&self) -> Option<String> {
        Some(self.others.to_string())
    }
    fn convert(value: &dyn Source) -> Option<Self> {
        if let Some(map) = dynamic(value).and_then(|value| value.read_lock::<Map>()) {
            let each = map
                .iter()
                .map(|(name, digits)| Some((name.to_string(), usize::convert(digits)?)));
            return Some(Digits {
                by_column: each.collect::<Option<_>>()?,
                ..Digits::default()
            });
        }
        Some(Digits {
            others: usize::convert(value)?,
            ..Digits::default()
        })
    }
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.global(entries! {
        /// Print rows as a table: an array of maps (their keys are the columns) or of arrays.
        /// ```
        /// table([#{ name: "a", miou: 0.51234 }, #{ name: "b", miou: 0.6 }], #{ columns: ["name", "miou"], digits: #{ miou: 3 } });
        /// assert(true);
        /// ```
        fn table(ctx, rows: Vec<Dynamic>,
            /// The columns, in this order; all of them in alphabetical order if not given. Titles if the rows are arrays.
            columns: Vec<String> = Vec::new(),
            /// Digits after the point, of all columns or as a map by column.
            digits: Digits = Digits::default(),
        ) {
            let text = aligned(ctx, "table", &rows, columns, &digits)?;
            ctx.session().print(&text);
            Ok(())
        }
        /// Rows as the text of a LaTeX table with the rules of the package booktabs.
        /// ```
        /// let rows = [#{ name: "50%", miou: 0.5 }, #{ name: "ours", miou: 0.61 }];
        /// let text = latex(rows, #{ columns: ["name", "miou"], digits: 2, bold: "max" });
        /// assert(text.contains("50\\% & 0.50") && text.contains("ours & \\textbf{0.61}"));
        /// ```
        fn latex(ctx, rows: Vec<Dynamic>,
            /// The columns, in this order; all of them in alphabetical order if not given.
            columns: Vec<String> = Vec::new(),
            /// Digits after the point, of all columns or as a map by column.
            digits: Digits = Digits::default(),
            /// Which number of each column is bold, `"max"` or `"min"`, or a map of these by column.
            bold: Option<Dynamic> = None,
            /// The caption; with it or a label the table floats.
            caption: String = String::new(),
            /// The label to refer to.
            label: String = String::new(),
        ) -> String {
            let table = Cells::read(ctx, "latex", &rows, columns, &digits)?;
            let bold = (0..table.columns.len()).map(|c| bold_of(bold.as_ref(), &table.columns[c]));
            let bold = bold.collect::<Result<Vec<_>>>()?;
            Ok(latex(&table, &bold, &caption, &label))
        }
    });
}

/// The columns of rows that are maps: all keys in alphabetical order.
pub fn columns_of(rows: &[Map]) -> Vec<String> {
    let names: std::collections::BTreeSet<&str> = rows.iter().flat_map(|r| r.keys().map(|k| k.as_str())).collect();
    names.into_iter().map(str::to_string).collect()
}

/// One cell: its text, and its value if it is a number.
#[derive(Clone, Default)]
struct Cell {
    text: String,
    number: Option<f64>,
}

/// The cells of a table with the titles of its columns.
struct Cells {
    columns: Vec<String>,
    titled: bool,
    rows: Vec<Vec<Cell>>,
}

impl Cells {
    fn read(ctx: &Context, function: &str, rows: &[Dynamic], columns: Vec<String>, digits: &Digits) -> Result<Self> {
        let cell = |column: &str, value: &Dynamic| Cell {
            text: match value.as_float() {
                Ok(f) => format!("{f:.*}", digits.of(column)),
                Err(_) => show(ctx.table(), value, false).replace('\n', " "),
            },
            number: f64::convert(value),
        };
        let maps: Vec<Map> = rows
            .iter()
            .filter_map(|row| row.read_lock::<Map>().map(|m| m.clone()))
            .collect();
        let mut columns = if columns.is_empty() { columns_of(&maps) } else { columns };
        let titled = !columns.is_empty();
        let mut cells: Vec<Vec<Cell>> = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            if let Some(map) = row.read_lock::<Map>() {
                let of = |c: &String| map.get(c.as_str()).map_or_else(Cell::default, |v| cell(c, v));
                cells.push(columns.iter().map(of).collect());
            } else if let Some(array) = row.read_lock::<Array>() {
                let of = |(c, v): (usize, &Dynamic)| cell(columns.get(c).map_or("", String::as_str), v);
                cells.push(array.iter().enumerate().map(of).collect());
            } else {
                fail!("{function}: row {i} must be a map or an array, found {}", describe(row));
            }
        }
        let count = cells.iter().map(Vec::len).chain([columns.len()]).max().unwrap_or(0);
        columns.resize(count, String::new());
        for row in &mut cells {
            row.resize(count, Cell::default());
        }
        Ok(Cells {
            columns,
            titled,
            rows: cells,
        })
    }

    /// Whether a column holds numbers.
    fn is_number(&self, column: usize) -> bool {
        self.rows.iter().any(|row| row[column].number.is_some())
    }
}

/// Rows as aligned text: numbers to the right, words to the left.
pub fn aligned(
    ctx: &Context,
    function: &str,
    rows: &[Dynamic],
    columns: Vec<String>,
    digits: &Digits,
) -> Result<String> {
    let table = Cells::read(ctx, function, rows, columns, digits)?;
    let length = |text: &str| text.chars().count();
    let width = |c: usize| {
        let cells = table.rows.iter().map(|r| length(&r[c].text));
        cells.chain([length(&table.columns[c])]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
    let line = |texts: Vec<&str>| {
        let parts = texts.iter().zip(&widths).enumerate().map(|(c, (text, width))| {
            let pad = " ".repeat(width.saturating_sub(length(text)));
            if table.is_number(c) {
                format!("{pad}{text}")
            } else {
                format!("{text}{pad}")
            }
        });
        parts.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    let mut lines = Vec::new();
    if table.titled {
        lines.push(line(table.columns.iter().map(String::as_str).collect()));
        lines.push(widths.iter().map(|w| "-".repeat(*w)).collect::<Vec<_>>().join("  "));
    }
    lines.extend(
        table
            .rows
            .iter()
            .map(|row| line(row.iter().map(|c| c.text.as_str()).collect())),
    );
    Ok(lines.join("\n"))
}

/// Whether the largest (`true`) or the smallest number of a column is bold, if any.
fn bold_of(bold: Option<&Dynamic>, column: &str) -> Result<Option<bool>> {
    let wanted = match bold.map(|b| b.read_lock::<Map>()) {
        Some(Some(map)) => map.get(column).cloned(),
        _ => bold.cloned(),
    };
    match wanted {
        Some(name) if !name.is_unit() => {
            let choices = [("max", true), ("min", false)];
            crate::error::choose("latex: bold", &name.to_string(), &choices).map(Some)
        }
        _ => Ok(None),
    }
}

fn latex(table: &Cells, bold: &[Option<bool>], caption: &str, label: &str) -> String {
    let best = |c: usize| {
        let numbers = table
            .rows
            .iter()
            .filter_map(|row| row[c].number)
            .filter(|x| !x.is_nan());
        match bold[c]? {
            true => numbers.reduce(f64::max),
            false => numbers.reduce(f64::min),
        }
    };
    let best: Vec<Option<f64>> = (0..table.columns.len()).map(best).collect();
    // LaTeX would read a bracket or a star behind `\\` as an argument of it.
    let line = |texts: Vec<String>| {
        let guard = if texts.first().is_some_and(|t| t.starts_with(['[', '*'])) {
            "{}"
        } else {
            ""
        };
        format!("{guard}{} \\\\\n", texts.join(" & "))
    };
    let alignment = (0..table.columns.len()).map(|c| if table.is_number(c) { 'r' } else { 'l' });
    let mut out = format!("\\begin{{tabular}}{{{}}}\n\\toprule\n", alignment.collect::<String>());
    if table.titled {
        out += &line(table.columns.iter().map(|c| escaped(c)).collect());
        out += "\\midrule\n";
    }
    for row in &table.rows {
        let cells = row.iter().zip(&best).map(|(cell, best)| match (cell.number, best) {
            (Some(number), Some(best)) if number == *best => format!("\\textbf{{{}}}", escaped(&cell.text)),
            _ => escaped(&cell.text),
        });
        out += &line(cells.collect());
    }
    out += "\\bottomrule\n\\end{tabular}\n";
    if caption.is_empty() && label.is_empty() {
        return out;
    }
    let caption = unless_empty(caption, |caption| format!("\\caption{{{}}}\n", escaped(caption)));
    let label = unless_empty(label, |label| format!("\\label{{{label}}}\n"));
    format!("\\begin{{table}}[t]\n\\centering\n{caption}{label}{out}\\end{{table}}\n")
}

/// The text with LaTeX's special characters as themselves; what is between dollars stays mathematics.
fn escaped(text: &str) -> String {
    let mathematics = text.matches('$').count().is_multiple_of(2);
    let mut inside = false;
    let mut out = String::new();
    for c in text.chars() {
        if c == '$' && mathematics {
            inside = !inside;
            out.push(c);
            continue;
        }
        match c {
            _ if inside => out.push(c),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '\\' => out.push_str("\\textbackslash{}"),
            '±' => out.push_str("$\\pm$"),
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn special_characters_are_themselves() {
        assert_eq!(escaped("a_b & 5%"), "a\\_b \\& 5\\%");
        assert_eq!(escaped("$\\tau_0$ ~"), "$\\tau_0$ \\textasciitilde{}");
        assert_eq!(escaped("5$"), "5\\$");
        assert_eq!(escaped("a < b"), "a \\textless{} b");
    }
}
