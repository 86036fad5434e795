//! The confusion matrix of a segmentation.

use super::check_names;
use crate::ensure;
use crate::error::Result;
use crate::plot::{ColourMap, Figure, FigureOptions, HeatmapOptions, Preset};

/// What a confusion matrix shows.
#[derive(Clone, Debug)]
pub struct ConfusionData {
    /// Pixels, row by row: `counts[truth * classes + prediction]`.
    pub counts: Vec<u64>,
    /// One name per class.
    pub class_names: Vec<String>,
    /// Above the figure; may be empty.
    pub title: String,
}

/// Each row in percent of the true pixels of its class, which are written beside the name; a class that does not occur
/// has an empty row. Wider for more than eight classes, at most about two columns, unless the frame has a size.
pub fn confusion(data: &ConfusionData, frame: &FigureOptions) -> Result<Figure> {
    let n = data.class_names.len();
    check_names("confusion", &data.class_names)?;
    ensure!(
        data.counts.len() == n * n,
        "confusion: {n} class names need {} counts, found {}",
        n * n,
        data.counts.len()
    );
    ensure!(
        data.counts.iter().any(|c| *c > 0),
        "confusion: no pixel was counted; evaluate on images with labels first"
    );
    let totals: Vec<u64> = data.counts.chunks(n).map(|row| row.iter().sum()).collect();
    let share = |(i, count): (usize, &u64)| 100.0 * *count as f64 / totals[i / n] as f64;
    let shares: Vec<f64> = data.counts.iter().enumerate().map(share).collect();
    let rows = data
        .class_names
        .iter()
        .zip(&totals)
        .map(|(name, total)| format!("{name} ({})", pixels(*total)));
    let wider = if frame.preset == Preset::Slides {
        1.0
    } else {
        (1.0 + 0.08 * (n as f64 - 8.0)).clamp(1.0, 2.05)
    };
    let mut figure = Figure::new(FigureOptions {
        title: data.title.clone(),
        x: "prediction".to_string(),
        y: "truth (pixels)".to_string(),
        ..frame.clone()
    })?;
    figure.width = Some(frame.preset.measures().0[0] * wider);
    let options = HeatmapOptions {
        row_names: rows.collect(),
        column_names: data.class_names.clone(),
        numbers: Some(true),
        texts: [1, 0]
            .map(|decimals| shares.iter().map(|s| percent(*s, decimals)).collect())
            .into(),
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
    if value < 9.95 {
        format!("{value:.1}{unit}")
    } else {
        format!("{value:.0}{unit}")
    }
}
