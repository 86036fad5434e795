//! The course of training runs.

use super::{Means, unique};
use crate::error::Result;
use crate::plot::{Dash, Figure, FigureOptions, LineOptions, Log, Look, Marker, Spread};
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
        let counted: Vec<f64> = (1..=values.len()).map(|i| i as f64).collect();
        let steps = self.column("step").unwrap_or(&counted);
        let (label, n, m) = (&self.label, steps.len(), values.len());
        ensure!(n == m, "curves: run \"{label}\" has {n} steps but {m} values of {name}");
        let finite = steps.iter().zip(values).filter(|(_, v)| v.is_finite());
        let (x, y): (Vec<f64>, Vec<f64>) = finite.map(|(s, v)| (*s, *v)).unzip();
        Ok((!x.is_empty()).then_some((x, y)))
    }
}

/// What [`curves`] shows of the runs.
#[derive(Clone, Debug, Default)]
pub struct CurvesOptions {
    /// Size and letters.
    pub frame: FigureOptions,
    /// One line for all runs of the same label: their mean, with a band of one standard deviation (n - 1).
    pub mean: bool,
    /// The axes of the loss; by default logarithmic where the smoothed loss falls to less than a twentieth.
    pub log: Option<Log>,
}

/// One line of a panel.
struct Course {
    label: String,
    x: Vec<f64>,
    y: Vec<f64>,
    /// Raw values behind the line.
    raw: Option<Vec<f64>>,
    band: Option<Spread>,
}

/// Loss (as measured, pale, and smoothed), below it validation mIoU and learning rate where a run has them. Smoothing is
/// the mean over a window centred on each step, a fiftieth of the run wide.
pub fn curves(runs: &[CurveData], options: &CurvesOptions) -> Result<Figure> {
    ensure!(!runs.is_empty(), "curves: there is no run to show");
    let mut panels = Vec::new();
    for (name, title) in [("loss", "loss"), ("val_miou", "val mIoU (%)"), ("lr", "learning rate")] {
        let mut all = Vec::new();
        for run in runs {
            let Some((x, mut y)) = run.measured(name)? else {
                continue;
            };
            let mut raw = None;
            if name == "val_miou" {
                if let Some(v) = y.iter().find(|v| !(0.0..=1.0).contains(*v)) {
                    let label = &run.label;
                    fail!("curves: val_miou of run \"{label}\" is {v} somewhere, which is not between 0 and 1");
                }
                y.iter_mut().for_each(|v| *v *= 100.0);
            }
            if name == "loss" {
                let smooth = smoothed(&y);
                raw = Some(std::mem::replace(&mut y, smooth));
            }
            let label = run.label.clone();
            all.push(Course {
                label,
                x,
                y,
                raw,
                band: None,
            });
        }
        if !all.is_empty() {
            panels.push((name, title, if options.mean { averaged(all) } else { all }));
        }
    }
    ensure!(
        panels.first().is_some_and(|p| p.0 == "loss"),
        "curves: no run has a finite value in a column named loss"
    );
    let mut figure = Figure::new(FigureOptions {
        x: "step".to_string(),
        rows: panels.len(),
        heights: panels.iter().map(|p| if p.0 == "loss" { 1.0 } else { 0.6 }).collect(),
        share_x: true,
        ..options.frame.clone()
    })?;
    for (row, (name, title, lines)) in panels.into_iter().enumerate() {
        let own = if falls_far(&lines) { Log::Y } else { Log::None };
        let log = if name == "loss" {
            options.log.unwrap_or(own)
        } else {
            Log::None
        };
        figure.panel(row, 0, "", "", title, Some(log))?;
        for line in lines {
            // one run needs no name
            let label = if runs.len() > 1 { line.label } else { String::new() };
            if let Some(raw) = &line.raw {
                let look = Look {
                    faint: true,
                    dash: Some(Dash::Solid),
                    ..Look::named(&label)
                };
                figure.line(&line.x, raw, look)?;
            }
            let look = Look {
                marker: (name != "val_miou").then_some(Marker::None),
                ..Look::named(label)
            };
            let options = LineOptions {
                band: line.band,
                ..look.into()
            };
            figure.line(&line.x, &line.y, options)?;
        }
    }
    Ok(figure)
}

/// One line per label: at each step the mean of the runs that have a value there, and where there are several a band.
fn averaged(runs: Vec<Course>) -> Vec<Course> {
    let one = |label: &str| {
        let of = || runs.iter().filter(|r| r.label == label);
        let means = Means::of(of().flat_map(|r| r.x.iter().copied().zip(r.y.iter().copied())));
        let n = of().count();
        Course {
            label: format!("{label} (n = {n})"),
            x: means.x,
            y: means.y,
            raw: None,
            band: (n > 1).then_some(Spread::Around(means.sd)),
        }
    };
    unique(runs.iter().map(|run| run.label.as_str()))
        .into_iter()
        .map(one)
        .collect()
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

fn falls_far(lines: &[Course]) -> bool {
    let all = || lines.iter().flat_map(|l| &l.y).copied();
    let low = all().fold(f64::INFINITY, f64::min);
    low > 0.0 && all().fold(0.0, f64::max) > 20.0 * low
}
