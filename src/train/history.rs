//! The columns recorded while training.

use std::fmt::Write;

use crate::error::Result;
use crate::session::Place;

/// One row per step; a value that was not measured at a step (a validation score, say) is NaN.
#[derive(Clone, Debug, Default)]
pub struct History {
    columns: Vec<(String, Vec<f64>)>,
    rows: usize,
}

impl History {
    /// Add a row. A name seen for the first time opens a column, NaN in the rows before.
    pub fn push(&mut self, row: &[(String, f64)]) {
        for (name, value) in row {
            self.column_mut(name).push(*value);
        }
        self.rows += 1;
        for (_, values) in &mut self.columns {
            values.resize(self.rows, f64::NAN);
        }
    }

    /// Write a value into the newest row (a score measured after its step).
    pub fn amend(&mut self, name: &str, value: f64) {
        if self.rows > 0 {
            let rows = self.rows;
            let column = self.column_mut(name);
            column.resize(rows, f64::NAN);
            column[rows - 1] = value;
        }
    }

    /// The column of this name, opened if need be; all rows but the newest are there.
    fn column_mut(&mut self, name: &str) -> &mut Vec<f64> {
        let at = self.columns.iter().position(|(n, _)| n == name).unwrap_or_else(|| {
            self.columns.push((name.to_string(), vec![f64::NAN; self.rows]));
            self.columns.len() - 1
        });
        &mut self.columns[at].1
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether nothing was recorded yet.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The columns in the order in which they appeared: `step`, `epoch`, `loss`, `lr`, then the metrics.
    pub fn columns(&self) -> &[(String, Vec<f64>)] {
        &self.columns
    }

    /// One column.
    pub fn column(&self, name: &str) -> Option<&[f64]> {
        self.columns.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_slice())
    }

    /// The last value of a column that is not NaN.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.column(name)?.iter().rev().copied().find(|v| !v.is_nan())
    }

    /// A history made of whole columns of equal length (from a checkpoint).
    pub fn from_columns(columns: Vec<(String, Vec<f64>)>) -> Self {
        let rows = columns.iter().map(|(_, v)| v.len()).max().unwrap_or(0);
        let mut history = History { columns, rows };
        for (_, values) in &mut history.columns {
            values.resize(rows, f64::NAN);
        }
        history
    }

    /// The history as CSV: a header, one line per step, an empty field for NaN, the shortest decimal that reads back exactly.
    pub fn csv(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(n, _)| n.as_str()).collect();
        let mut text = names.join(",");
        for row in 0..self.rows {
            for (i, (_, values)) in self.columns.iter().enumerate() {
                text.push(if i == 0 { '\n' } else { ',' });
                if !values[row].is_nan() {
                    let _ = write!(text, "{}", values[row]);
                }
            }
        }
        text.push('\n');
        text
    }

    /// Read what [`History::csv`] wrote.
    ///
    /// # Errors
    /// A field that is no number, a line with another number of fields than the header.
    pub fn from_csv(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let mut columns: Vec<(String, Vec<f64>)> = names.iter().map(|n| (n.to_string(), Vec::new())).collect();
        for (at, line) in lines.enumerate() {
            let fields: Vec<&str> = line.split(',').collect();
            let number = at + 2;
            crate::ensure!(
                fields.len() == names.len(),
                "line {number} has {} fields, the header {}",
                fields.len(),
                names.len()
            );
            for ((name, values), field) in columns.iter_mut().zip(fields) {
                values.push(match field.is_empty() {
                    true => f64::NAN,
                    false => field.parse().map_err(|_| {
                        crate::error::Error::usage(format!("line {number}: {name} is {field:?}, expected a number"))
                    })?,
                });
            }
        }
        Ok(History::from_columns(columns))
    }

    /// Write [`History::csv`] to a file.
    pub fn write_csv(&self, place: impl Into<Place>) -> Result<()> {
        place.into().write(self.csv())
    }
}

/// Equal bit for bit, NaN included.
impl PartialEq for History {
    fn eq(&self, other: &Self) -> bool {
        let bits = |h: &History| -> Vec<(String, Vec<u64>)> {
            let column = |v: &Vec<f64>| v.iter().map(|v| v.to_bits()).collect();
            h.columns.iter().map(|(n, v)| (n.clone(), column(v))).collect()
        };
        bits(self) == bits(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_columns_and_missing_values_are_empty_fields() {
        let row = |pairs: &[(&str, f64)]| pairs.iter().map(|(n, v)| (n.to_string(), *v)).collect::<Vec<_>>();
        let mut h = History::default();
        h.push(&row(&[("step", 0.0), ("loss", 0.1)]));
        h.push(&row(&[("step", 1.0), ("loss", 2.5), ("grad_norm", 3.0)]));
        h.amend("val_miou", 0.25);
        h.push(&row(&[("step", 2.0), ("loss", 1.0)]));
        assert_eq!(h.csv(), "step,loss,grad_norm,val_miou\n0,0.1,,\n1,2.5,3,0.25\n2,1,,\n");
        assert_eq!(h.last("val_miou"), Some(0.25));
        assert_eq!(History::from_columns(h.columns().to_vec()), h);
        assert_eq!(History::from_csv(&h.csv()).unwrap(), h);
        for (text, part) in [
            ("step,loss\n0\n", "line 2 has 1 fields"),
            ("step\nx\n", "line 2: step is"),
        ] {
            assert!(History::from_csv(text).unwrap_err().to_string().contains(part));
        }
    }
}
