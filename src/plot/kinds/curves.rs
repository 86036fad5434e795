//! The course of training runs.

use crate::error::Result;
use crate::plot::palette;
use crate::plot::{Figure, FigureOptions, LineOptions, Log, Preset};
use crate::{ensure, fail};

/// The history of one run.
#[derive(Clone, Debug)]
pub struct CurveData {
    /// Name of the run; may be empty where there is only one.
    pub label: String,
    /// Columns of its history by name: `step` and `loss`, if there are `val_miou` and `lr`; NaN where nothing was measured.
    pub columns: Vec<(String, Vec<f64>)>,
}

impl CurveData {
    fn column(&self, name: &str) -> Option<&[f64]> {
        self.columns.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_slice())
    }

    /// The step and value of each row in which the column has a finite value.
    fn measured(&self, name: &str) -> Result<Option<(Vec<f64>, Vec<f64>)>> {
        let Some(values) = self.column(name) else {
            return Ok(None);
        };
        let counted: Vec<f64>;
        let steps = match self.column("step") {
            Some(steps) => steps,
            None => {
                counted = (1..=values.len()).map(|i| i as f64).collect();
                &counted
            }
        };
        ensure!(
            steps.len() == values.len(),
            "curves: run \"{}\" has {} steps but {} values of {name}",
            self.label,
            steps.len(),
            values.len()
        );
        let finite = steps
            .iter()
            .zip(values)
            .filter(|(_, v)| v.is_finite())
            .map(|(s, v)| (*s, *v));
        let (x, y): (Vec<f64>, Vec<f64>) = finite.unzip();
        Ok((!x.is_empty()).then_some((x, y)))
    }
}

/// Loss (as measured, pale, and smoothed), below it validation mIoU and learning rate where a run has them.
///
/// The loss axis is logarithmic where the smoothed loss falls to less than a twentieth. Smoothing is the mean over a
/// window centred on each step, a fiftieth of the run wide.
pub fn curves(runs: &[CurveData], preset: Preset) -> Result<Figure> {
    ensure!(!runs.is_empty(), "curves: there is no run to show");
    let mut panels = Vec::new();
    for (name, label) in [("loss", "loss"), ("val_miou", "val mIoU (%)"), ("lr", "learning rate")] {
        let lines: Vec<_> = runs.iter().map(|r| r.measured(name)).collect::<Result<_>>()?;
        if let Some(v) = lines
            .iter()
            .flatten()
            .flat_map(|l| &l.1)
            .find(|v| name == "val_miou" && !(0.0..=1.0).contains(*v))
        {
            fail!("curves: val_miou is {v} somewhere, which is not between 0 and 1");
        }
        if lines.iter().any(Option::is_some) {
            panels.push((name, label, lines));
        }
    }
    ensure!(
        panels.first().is_some_and(|p| p.0 == "loss"),
        "curves: no run has a finite value in a column named loss"
    );
    let mut figure = Figure::new(FigureOptions {
        preset,
        x: "step".to_string(),
        rows: panels.len(),
        ..FigureOptions::default()
    })?;
    figure.heights = panels.iter().map(|p| if p.0 == "loss" { 1.0 } else { 0.6 }).collect();
    figure.shared_x = true;
    for (row, (name, label, lines)) in panels.into_iter().enumerate() {
        let smooth: Vec<_> = lines.iter().map(|l| l.as_ref().map(|(_, y)| smoothed(y))).collect();
        let log = if name == "loss" && falls_far(&smooth) {
            Log::Y
        } else {
            Log::None
        };
        figure.panel(row, 0, "", "", label, Some(log))?;
        for (i, run) in runs.iter().enumerate() {
            let (Some((x, y)), Some(smooth)) = (&lines[i], &smooth[i]) else {
                continue;
            };
            let colour = Some(palette::series(i));
            let dash = Some(palette::Dash::of_series(i));
            let label = if runs.len() > 1 {
                run.label.clone()
            } else {
                String::new()
            };
            let options = LineOptions {
                label,
                colour,
                dash,
                ..LineOptions::default()
            };
            let y: Vec<f64> = if name == "val_miou" {
                y.iter().map(|v| 100.0 * v).collect()
            } else {
                y.clone()
            };
            if name != "loss" {
                let marker = Some(if name == "lr" {
                    palette::Marker::None
                } else {
                    palette::Marker::of_series(i)
                });
                figure.line(x, &y, LineOptions { marker, ..options })?;
                continue;
            }
            figure.line(
                x,
                &y,
                LineOptions {
                    colour,
                    faint: true,
                    ..LineOptions::default()
                },
            )?;
            figure.line(
                x,
                smooth,
                LineOptions {
                    marker: Some(palette::Marker::None),
                    ..options
                },
            )?;
        }
    }
    Ok(figure)
}

/// The mean over a centred window of a fiftieth of the values, cut off at the ends.
fn smoothed(values: &[f64]) -> Vec<f64> {
    let half = values.len() / 100;
    let mut sums = vec![0.0];
    for v in values {
        sums.push(sums[sums.len() - 1] + v);
    }
    let mean = |i: usize| {
        let (from, to) = (i.saturating_sub(half), (i + half + 1).min(values.len()));
        (sums[to] - sums[from]) / (to - from) as f64
    };
    (0..values.len()).map(mean).collect()
}

fn falls_far(lines: &[Option<Vec<f64>>]) -> bool {
    let all = || lines.iter().flatten().flatten().copied();
    let low = all().fold(f64::INFINITY, f64::min);
    low > 0.0 && all().fold(0.0, f64::max) > 20.0 * low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(label: &str, n: usize) -> CurveData {
        let steps: Vec<f64> = (1..=n).map(|i| i as f64).collect();
        let loss = steps.iter().map(|s| 2.0 / s.sqrt()).collect();
        let val = (1..=n)
            .map(|i| if i % 10 == 0 { i as f64 / n as f64 } else { f64::NAN })
            .collect();
        let columns = vec![("step".into(), steps), ("loss".into(), loss), ("val_miou".into(), val)];
        CurveData {
            label: label.into(),
            columns,
        }
    }

    #[test]
    fn panels_follow_the_columns() {
        let svg = curves(&[run("a", 50), run("b", 40)], Preset::Paper)
            .unwrap()
            .svg(None)
            .unwrap();
        assert!(svg.contains(">loss<") && svg.contains(">val mIoU (%)<") && !svg.contains("learning rate"));
        assert_eq!(svg.matches(">step<").count(), 1);
        // one legend for both panels
        assert_eq!(svg.matches(">a</text>").count(), 1);
        // raw and smoothed loss and mIoU of two runs
        assert_eq!(svg.matches("<polyline ").count(), 6);
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut bad = run("a", 20);
        bad.columns[1].1.pop();
        let text = curves(&[bad], Preset::Paper).unwrap_err().to_string();
        assert!(text.contains("20 steps but 19 values of loss"), "{text}");
        assert!(curves(&[], Preset::Paper).is_err());
        let empty = CurveData {
            label: String::new(),
            columns: vec![("loss".into(), vec![f64::NAN])],
        };
        assert!(curves(&[empty], Preset::Paper).is_err());
    }

    #[test]
    fn smoothing_is_a_centred_mean() {
        let mut values = vec![0.0; 200];
        values[100] = 5.0;
        // half = 2: five values wide
        let smooth = smoothed(&values);
        assert_eq!((smooth[98], smooth[102], smooth[103]), (1.0, 1.0, 0.0));
        assert_eq!(smoothed(&[3.0, 4.0]), [3.0, 4.0]);
    }
}
