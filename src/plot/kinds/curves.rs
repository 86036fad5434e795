//! The course of training runs.

use std::collections::BTreeMap;

use super::mean_sd;
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
            if let Some(v) = y.iter().find(|v| name == "val_miou" && !(0.0..=1.0).contains(*v)) {
                fail!(
                    "curves: val_miou of run \"{}\" is {v} somewhere, which is not between 0 and 1",
                    run.label
                );
            }
            if name == "val_miou" {
                y.iter_mut().for_each(|v| *v *= 100.0);
            }
            let raw = (name == "loss").then(|| y.clone());
            let y = if name == "loss" { smoothed(&y) } else { y };
            all.push(Course {
                label: run.label.clone(),
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
    let mut labels: Vec<&str> = Vec::new();
    for run in &runs {
        if !labels.contains(&run.label.as_str()) {
            labels.push(&run.label);
        }
    }
    let one = |label: &str| {
        let of: Vec<&Course> = runs.iter().filter(|r| r.label == label).collect();
        let mut at: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (x, y) in of.iter().flat_map(|r| r.x.iter().zip(&r.y)) {
            // positive numbers are in the order of their bits
            at.entry(x.max(0.0).to_bits()).or_default().push(*y);
        }
        let x = at.keys().map(|bits| f64::from_bits(*bits)).collect();
        let (y, sd) = at.values().map(|values| mean_sd(values)).unzip();
        let band = (of.len() > 1).then_some(Spread::Around(sd));
        Course {
            label: format!("{label} (n = {})", of.len()),
            x,
            y,
            raw: None,
            band,
        }
    };
    labels.into_iter().map(one).collect()
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
        let svg = curves(&[run("a", 50), run("b", 40)], &CurvesOptions::default())
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
        let text = curves(&[bad], &CurvesOptions::default()).unwrap_err().to_string();
        assert!(text.contains("20 steps but 19 values of loss"), "{text}");
        assert!(curves(&[], &CurvesOptions::default()).is_err());
        let empty = CurveData {
            label: String::new(),
            columns: vec![("loss".into(), vec![f64::NAN])],
        };
        assert!(curves(&[empty], &CurvesOptions::default()).is_err());
    }

    #[test]
    fn runs_of_one_label_are_averaged() {
        let course = |x: &[f64], y: &[f64]| Course {
            label: "a".into(),
            x: x.to_vec(),
            y: y.to_vec(),
            raw: None,
            band: None,
        };
        let mean = averaged(vec![
            course(&[1.0, 2.0], &[2.0, 4.0]),
            course(&[1.0, 2.0, 3.0], &[4.0, 8.0, 1.0]),
        ]);
        assert_eq!(
            (mean.len(), mean[0].label.as_str(), &mean[0].y),
            (1, "a (n = 2)", &vec![3.0, 6.0, 1.0])
        );
        // the standard deviation of 2 and 4 is sqrt(2), of 4 and 8 twice that
        assert_eq!(mean[0].band, Some(Spread::Around(vec![2f64.sqrt(), 8f64.sqrt(), 0.0])));
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
