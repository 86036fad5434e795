//! mIoU against the share or the number of labelled images.

use super::mean_sd;
use crate::ensure;
use crate::error::Result;
use crate::plot::text;
use crate::plot::{Figure, FigureOptions, LineOptions, Look, Spread};

/// How much was labelled; one figure shows either shares or numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Labels {
    /// Share of the training images, above 0 to 1.
    Share(f64),
    /// Number of images, at least 1.
    Images(f64),
}

impl Labels {
    fn value(self) -> f64 {
        match self {
            Labels::Share(value) | Labels::Images(value) => value,
        }
    }

    fn is_share(self) -> bool {
        matches!(self, Labels::Share(_))
    }
}

/// The result of one run.
#[derive(Clone, Debug)]
pub struct EfficiencyRow {
    /// The line it belongs to.
    pub method: String,
    /// How much was labelled.
    pub labels: Labels,
    /// Mean intersection over union, 0..1.
    pub miou: f64,
}

/// One line per method: the mean over the runs (seeds) of an amount of labels, a band of one standard deviation (n - 1) around
/// it where there are several; the amounts of labels on a log2 axis. The legend says over how many runs each mean is; runs
/// without a result (NaN) are left out, which is said there and in the figure's warnings.
pub fn label_efficiency(rows: &[EfficiencyRow], frame: &FigureOptions) -> Result<Figure> {
    ensure!(
        !rows.is_empty(),
        "label_efficiency: the table is empty; it needs method, fraction and miou of each run"
    );
    let shares = rows[0].labels.is_share();
    for row in rows {
        let value = row.labels.value();
        ensure!(
            row.labels.is_share() == shares,
            "label_efficiency: some runs have `fraction`, others only `labelled`; give the same for all"
        );
        ensure!(
            !shares || (value > 0.0 && value <= 1.0),
            "label_efficiency: fraction {value} of \"{}\" is not above 0 and at most 1",
            row.method
        );
        ensure!(
            shares || (value >= 1.0 && value.is_finite()),
            "label_efficiency: labelled {value} of \"{}\" is not a number of images, at least 1",
            row.method
        );
        ensure!(
            row.miou.is_nan() || (0.0..=1.0).contains(&row.miou),
            "label_efficiency: miou {} of \"{}\" is not between 0 and 1; divide a percentage by 100",
            row.miou,
            row.method
        );
    }
    let mut methods: Vec<&str> = Vec::new();
    let mut amounts: Vec<f64> = Vec::new();
    for row in rows {
        if !methods.contains(&row.method.as_str()) {
            methods.push(&row.method);
        }
        if !amounts.contains(&row.labels.value()) {
            amounts.push(row.labels.value());
        }
    }
    amounts.sort_by(f64::total_cmp);
    let mut figure = Figure::new(FigureOptions {
        x: if shares {
            "share of labelled images"
        } else {
            "labelled images"
        }
        .to_string(),
        y: "mIoU (%)".to_string(),
        ..frame.clone()
    })?;
    figure.here().log2 = true;
    figure.here().ticks[0] = Some(if shares {
        ticks(&amounts)
    } else {
        amounts.iter().map(|n| (*n, text::number(*n, 6))).collect()
    });
    for method in methods {
        let (mut x, mut y, mut sd, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let all = || rows.iter().filter(|r| r.method == method);
        let dropped = all().filter(|r| r.miou.is_nan()).count();
        for amount in &amounts {
            let of: Vec<_> = all().filter(|r| r.labels.value() == *amount).collect();
            let values: Vec<f64> = of.iter().map(|r| 100.0 * r.miou).filter(|v| v.is_finite()).collect();
            if values.len() < of.len() {
                figure.warnings.push(format!(
                    "label_efficiency: {} of the {} runs of \"{method}\" with {} {} have no miou (NaN) and are left out of the mean",
                    of.len() - values.len(),
                    of.len(),
                    if shares { "fraction" } else { "labelled" },
                    text::number(*amount, 6)
                ));
            }
            if !values.is_empty() {
                counts.push(values.len());
                let (mean, deviation) = mean_sd(&values);
                x.push(*amount);
                y.push(mean);
                sd.push(deviation);
            }
        }
        ensure!(
            !x.is_empty(),
            "label_efficiency: no run of \"{method}\" has a miou, all are NaN"
        );
        let runs = match (counts.iter().min(), counts.iter().max()) {
            (Some(low), Some(high)) if low < high => format!("{low}–{high}"),
            (_, high) => high.map_or(String::new(), usize::to_string),
        };
        let left_out = match dropped {
            0 => String::new(),
            n => format!(", {n} left out"),
        };
        let options = LineOptions {
            band: sd.iter().any(|s| *s > 0.0).then_some(Spread::Around(sd)),
            ..Look::named(format!("{method} (n = {runs}{left_out})")).into()
        };
        figure.line(&x, &y, options)?;
    }
    Ok(figure)
}

/// Fractions as 1/8, 1/4, or in percent where one of them is not one over a whole number.
fn ticks(fractions: &[f64]) -> Vec<(f64, String)> {
    let parts = |f: f64| (1.0 / f).round();
    let simple = fractions
        .iter()
        .all(|f| (1.0 / f - parts(*f)).abs() < 0.02 * parts(*f).sqrt());
    let label = |f: f64| match (simple, parts(f)) {
        (true, 1.0) => "1".to_string(),
        (true, n) => format!("1/{n}"),
        _ => format!("{}%", text::number(100.0 * f, 2)),
    };
    fractions.iter().map(|f| (*f, label(*f))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_averaged_over_seeds() {
        let row = |method: &str, fraction, miou| EfficiencyRow {
            method: method.into(),
            labels: Labels::Share(fraction),
            miou,
        };
        let rows = [
            row("ours", 0.125, 0.4),
            row("ours", 0.125, 0.5),
            row("ours", 1.0, 0.7),
            row("scratch", 1.0, 0.6),
        ];
        let figure = label_efficiency(&rows, &FigureOptions::default()).unwrap();
        let svg = figure.svg(None).unwrap();
        assert!(svg.contains(">1/8<") && svg.contains(">1<") && svg.contains(">scratch (n = 1)<"));
        assert!(svg.contains(">ours (n = 1–2)<") && figure.warnings.is_empty());
        // a band is a polygon that is not opaque, as markers are
        let bands = svg
            .lines()
            .filter(|l| l.starts_with("<polygon ") && l.contains("fill-opacity"));
        assert_eq!(bands.count(), 1);
        let text = label_efficiency(&[row("ours", 0.0, 0.4)], &FigureOptions::default())
            .unwrap_err()
            .to_string();
        assert!(text.contains("fraction 0 of \"ours\""), "{text}");
    }

    #[test]
    fn runs_without_a_result_are_counted_and_named() {
        let row = |method: &str, labels, miou| EfficiencyRow {
            method: method.into(),
            labels: Labels::Images(labels),
            miou,
        };
        let mut rows = vec![
            row("ours", 8.0, 0.4),
            row("ours", 8.0, f64::NAN),
            row("ours", 8.0, 0.5),
            row("ours", 16.0, 0.5),
        ];
        let figure = label_efficiency(&rows, &FigureOptions::default()).unwrap();
        assert!(figure.svg(None).unwrap().contains(">ours (n = 1–2, 1 left out)<"));
        assert!(
            figure.warnings.len() == 1
                && figure.warnings[0].contains("1 of the 3 runs of \"ours\" with labelled 8 have no miou"),
            "{:?}",
            figure.warnings
        );
        for wrong in [45.3, -0.1, f64::INFINITY] {
            rows[0].miou = wrong;
            let text = label_efficiency(&rows, &FigureOptions::default())
                .unwrap_err()
                .to_string();
            assert!(text.contains("of \"ours\" is not between 0 and 1"), "{text}");
        }
        let text = label_efficiency(&[row("b", 8.0, f64::NAN)], &FigureOptions::default())
            .unwrap_err()
            .to_string();
        assert!(text.contains("no run of \"b\""), "{text}");
    }

    #[test]
    fn numbers_of_images_are_shown_as_they_are() {
        let row = |labels, miou| EfficiencyRow {
            method: "ours".into(),
            labels,
            miou,
        };
        let rows = [row(Labels::Images(18.0), 0.4), row(Labels::Images(72.0), 0.5)];
        let svg = label_efficiency(&rows, &FigureOptions::default())
            .unwrap()
            .svg(None)
            .unwrap();
        assert!(svg.contains(">18<") && svg.contains(">72<") && svg.contains(">labelled images<"));
        let mixed = [rows[0].clone(), row(Labels::Share(0.5), 0.4)];
        assert!(label_efficiency(&mixed, &FigureOptions::default()).is_err());
    }

    #[test]
    fn fractions_are_named_as_people_do() {
        let names = |f: &[f64]| ticks(f).into_iter().map(|t| t.1).collect::<Vec<_>>();
        assert_eq!(names(&[0.0625, 0.25, 1.0]), ["1/16", "1/4", "1"]);
        assert_eq!(names(&[0.05, 0.3]), ["5%", "30%"]);
        assert_eq!(mean_sd(&[1.0, 3.0]), (2.0, 2f64.sqrt()));
    }
}
