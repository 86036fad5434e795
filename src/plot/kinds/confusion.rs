//! The confusion matrix of a segmentation.

use super::check_names;
use crate::ensure;
use crate::error::Result;
use crate::plot::{ColourMap, Figure, FigureOptions, HeatmapOptions, Preset};

/// The pixels of each class by what they were predicted to be, `counts[truth * classes + prediction]`: each row in percent of the true
/// pixels of its class, which are written beside the name; a class that does not occur has an empty row. Wider for more than eight
/// classes, at most about two columns, unless the frame has a size.
pub fn confusion(counts: &[u64], class_names: &[String], frame: &FigureOptions) -> Result<Figure> {
    let (n, found) = (class_names.len(), counts.len());
    check_names("confusion", class_names)?;
    ensure!(
        found == n * n,
        "confusion: {n} class names need {} counts, found {found}",
        n * n
    );
    ensure!(
        counts.iter().any(|c| *c > 0),
        "confusion: no pixel was counted; evaluate on images with labels first"
    );
    let totals: Vec<u64> = counts.chunks(n).map(|row| row.iter().sum()).collect();
    let share = |(i, count): (usize, &u64)| 100.0 * *count as f64 / totals[i / n] as f64;
    let shares: Vec<f64> = counts.iter().enumerate().map(share).collect();
    let rows = class_names.iter().zip(&totals);
    let texts = |decimals: usize| shares.iter().map(|s| percent(*s, decimals)).collect();
    let wider = match frame.preset {
        Preset::Slides => 1.0,
        _ => (1.0 + 0.08 * (n as f64 - 8.0)).clamp(1.0, 2.05),
    };
    let mut figure = Figure::new(FigureOptions {
        x: "prediction".to_string(),
        y: "truth (pixels)".to_string(),
        ..frame.clone()
    })?;
    figure.width = Some(frame.preset.measures().0[0] * wider);
    let options = HeatmapOptions {
        row_names: rows
            .map(|(name, total)| format!("{name} ({})", pixels(*total)))
            .collect(),
        column_names: class_names.to_vec(),
        numbers: Some(true),
        texts: vec![texts(1), texts(0)],
        colors: ColourMap::Blues,
        range: Some([0.0, 100.0]),
        label: "% of the true pixels".to_string(),
        square: true,
    };
    figure.heatmap(&shares, n, n, options)?;
    Ok(figure)
}

/// A share for a cell: nothing where nothing was counted, a decimal only below ten.
fn percent(share: f64, decimals: usize) -> String {
    match share {
        s if s.is_nan() || s == 0.0 => String::new(),
        s if s < 0.05 && decimals > 0 => "<.1".to_string(),
        s if s < 0.5 && decimals == 0 => "<1".to_string(),
        s if s < 9.95 => format!("{s:.decimals$}"),
        s => format!("{s:.0}"),
    }
}

/// A count in at most four characters: 950, 12k, 3.4M.
fn pixels(count: u64) -> String {
    let (value, unit) = match count {
        0..1_000 => return count.to_string(),
        1_000..1_000_000 => (count as f64 / 1e3, "k"),
        1_000_000..1_000_000_000 => (count as f64 / 1e6, "M"),
        _ => (count as f64 / 1e9, "G"),
    };
    format!("{value:.*}{unit}", usize::from(value < 9.95))
}
