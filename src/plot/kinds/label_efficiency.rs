//! mIoU against the share or the number of labelled images.

use super::{Means, unique};
use crate::error::Result;
use crate::plot::text;
use crate::plot::{Figure, FigureOptions, LineOptions, Look, Spread};
use crate::{ensure, fail};

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
    let shares = matches!(rows[0].labels, Labels::Share(_));
    for row in rows {
        let (method, miou) = (&row.method, row.miou);
        match row.labels {
            Labels::Share(share) if shares => ensure!(
                share > 0.0 && share <= 1.0,
                "label_efficiency: fraction {share} of \"{method}\" is not above 0 and at most 1"
            ),
            Labels::Images(n) if !shares => ensure!(
                n >= 1.0 && n.is_finite(),
                "label_efficiency: labelled {n} of \"{method}\" is not a number of images, at least 1"
            ),
            _ => fail!("label_efficiency: some runs have `fraction`, others only `labelled`; give the same for all"),
        }
        ensure!(
            miou.is_nan() || (0.0..=1.0).contains(&miou),
            "label_efficiency: miou {miou} of \"{method}\" is not between 0 and 1; divide a percentage by 100"
        );
    }
    let mut amounts = unique(rows.iter().map(|row| row.labels.value()));
    amounts.sort_by(f64::total_cmp);
    let (x, option) = match shares {
        true => ("share of labelled images", "fraction"),
        false => ("labelled images", "labelled"),
    };
    let mut figure = Figure::new(FigureOptions {
        x: x.to_string(),
        y: "mIoU (%)".to_string(),
        ..frame.clone()
    })?;
    let side = &mut figure.here().sides[0];
    side.log = true;
    side.ticks = Some(match shares {
        true => ticks(&amounts),
        false => amounts.iter().map(|n| (*n, text::number(*n, 6))).collect(),
    });
    for method in unique(rows.iter().map(|row| row.method.as_str())) {
        let all: Vec<&EfficiencyRow> = rows.iter().filter(|r| r.method == method).collect();
        let (lost, found): (Vec<&EfficiencyRow>, Vec<_>) = all.iter().partition(|r| r.miou.is_nan());
        for amount in unique(lost.iter().map(|r| r.labels.value())) {
            let count = |of: &[&EfficiencyRow]| of.iter().filter(|r| r.labels.value() == amount).count();
            let (missing, runs, amount) = (count(&lost), count(&all), text::number(amount, 6));
            figure.warnings.push(format!(
                "label_efficiency: {missing} of the {runs} runs of \"{method}\" with {option} {amount} have no miou (NaN) and are left \
                 out of the mean"
            ));
        }
        let Means { x, y, sd, counts } = Means::of(found.iter().map(|r| (r.labels.value(), 100.0 * r.miou)));
        let (Some(fewest), Some(most)) = (counts.iter().min(), counts.iter().max()) else {
            fail!("label_efficiency: no run of \"{method}\" has a miou, all are NaN");
        };
        let mut over = most.to_string();
        if fewest < most {
            over = format!("{fewest}–{most}");
        }
        if !lost.is_empty() {
            over += &format!(", {} left out", lost.len());
        }
        let options = LineOptions {
            band: sd.iter().any(|s| *s > 0.0).then_some(Spread::Around(sd)),
            ..Look::named(format!("{method} (n = {over})")).into()
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
