//! What histograms, densities, boxes and violins show of a sample.

/// Most points of a density.
const POINTS: usize = 200;
/// Cells into which a sample is counted before it is smoothed.
const CELLS: usize = 1024;

/// Edges of `bins` bins over the values; without a number as many as Sturges and Freedman and Diaconis want, at most 100.
pub(super) fn edges(values: &[f64], bins: Option<usize>) -> Vec<f64> {
    let (mut low, mut high) = limits(values);
    let n = bins.unwrap_or_else(|| {
        let sturges = (values.len() as f64).log2().ceil() + 1.0;
        let [q1, _, q3] = quartiles(values);
        let width = 2.0 * (q3 - q1) / (values.len() as f64).cbrt();
        let wanted = if width > 0.0 { (high - low) / width } else { 0.0 };
        wanted.ceil().max(sturges).min(100.0) as usize
    });
    if high - low <= low.abs().max(high.abs()) * 1e-12 {
        (low, high) = (low - 0.5 * low.abs().max(1.0), high + 0.5 * high.abs().max(1.0));
    }
    (0..=n)
        .map(|i| low + (high - low) * (i as f64 / n.max(1) as f64))
        .collect()
}

/// How many values lie between neighbouring edges (the last bin has both of its ends), or their density.
pub(super) fn counts(values: &[f64], edges: &[f64], density: bool) -> Vec<f64> {
    let last = edges.len() - 2;
    let mut out = vec![0.0; last + 1];
    for v in values {
        let bin = edges.partition_point(|e| e <= v);
        if bin > 0 && (bin <= last + 1 || *v == edges[last + 1]) {
            out[(bin - 1).min(last)] += 1.0;
        }
    }
    if density {
        let total: f64 = out.iter().sum::<f64>().max(1.0);
        let width = |i: usize| edges[i + 1] - edges[i];
        out.iter_mut().enumerate().for_each(|(i, c)| *c /= total * width(i));
    }
    out
}

/// The density of the values at evenly spaced places, smoothed with a Gaussian kernel of this width, else Scott's.
pub(super) fn density(values: &[f64], bandwidth: Option<f64>) -> (Vec<f64>, Vec<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0)).sqrt();
    let own = sd * n.powf(-0.2);
    let flat = if mean == 0.0 { 1.0 } else { mean.abs() * 0.05 };
    let width = bandwidth.unwrap_or(if own > 0.0 { own } else { flat });
    let (low, high) = limits(values);
    let (low, high) = (low - 3.0 * width, high + 3.0 * width);
    // counting first makes the time independent of the number of values
    let step = (high - low) / CELLS as f64;
    let mut cells = vec![0.0; CELLS];
    values
        .iter()
        .for_each(|v| cells[(((v - low) / step) as usize).min(CELLS - 1)] += 1.0);
    let x: Vec<f64> = (0..POINTS)
        .map(|i| low + (high - low) * i as f64 / (POINTS - 1) as f64)
        .collect();
    let factor = 1.0 / (n * width * std::f64::consts::TAU.sqrt());
    let at = |x: &f64| {
        let kernel = |(i, c): (usize, &f64)| c * (-0.5 * ((x - low - (i as f64 + 0.5) * step) / width).powi(2)).exp();
        let filled = cells.iter().enumerate().filter(|(_, c)| **c > 0.0);
        factor * filled.map(kernel).sum::<f64>()
    };
    let y = x.iter().map(at).collect();
    (x, y)
}

/// What a box shows: quartiles, the ends of the whiskers (the outermost values within 1.5 times the box from it), outliers.
pub(super) struct BoxStats {
    pub(super) quartiles: [f64; 3],
    pub(super) whiskers: [f64; 2],
    pub(super) outliers: Vec<f64>,
}

pub(super) fn box_stats(values: &[f64]) -> BoxStats {
    let quartiles = quartiles(values);
    let [q1, _, q3] = quartiles;
    let reach = 1.5 * (q3 - q1);
    let (inside, outliers): (Vec<f64>, Vec<f64>) = values.iter().partition(|v| **v >= q1 - reach && **v <= q3 + reach);
    let (low, high) = limits(&inside);
    BoxStats {
        quartiles,
        whiskers: [low.min(q1), high.max(q3)],
        outliers,
    }
}

/// The lower quartile, the median and the upper one, between neighbours as numpy does.
fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|q| {
        let place = q * (sorted.len() - 1) as f64;
        let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
        low + (high - low) * place.fract()
    })
}

fn limits(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_counted_and_summed_up() {
        // numpy.histogram([0, 1, 1, 2, 4], bins=[0, 1, 2, 4]) -> [1, 2, 2]
        let values = [0.0, 1.0, 1.0, 2.0, 4.0];
        assert_eq!(counts(&values, &[0.0, 1.0, 2.0, 4.0], false), [1.0, 2.0, 2.0]);
        assert_eq!(counts(&values, &[0.0, 2.0, 4.0], true), [0.3, 0.2]);
        assert_eq!(edges(&values, Some(4)), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert!(edges(&[3.0], None).len() >= 2 && edges(&[1e300, 1e300], None)[0].is_finite());
        // numpy.percentile([1, 2, 3, 4, 100], [25, 50, 75]) -> 2, 3, 4; 100 is beyond 4 + 1.5 * 2
        let b = box_stats(&[4.0, 1.0, 100.0, 3.0, 2.0]);
        assert_eq!(
            (b.quartiles, b.whiskers, b.outliers),
            ([2.0, 3.0, 4.0], [1.0, 4.0], vec![100.0])
        );
    }

    #[test]
    fn the_area_of_a_density_is_one() {
        for values in [
            vec![0.0, 1.0, 1.5, 4.0],
            vec![2.0; 3],
            (0..5000).map(|i| f64::from(i % 97)).collect(),
        ] {
            let (x, y) = density(&values, None);
            let area: f64 = y.iter().sum::<f64>() * (x[1] - x[0]);
            assert!((area - 1.0).abs() < 0.01, "{area}");
        }
        // two points a width apart: the mean of two normal densities at 0 and 1
        let (x, y) = density(&[0.0, 1.0], Some(1.0));
        let normal = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        let i = 100;
        assert!((y[i] - (normal(x[i]) + normal(x[i] - 1.0)) / 2.0).abs() < 1e-3);
    }
}
