//! Lines and areas in the unit square: cut at its edges, freed of what nobody can see.

/// Corners and sides of the square: which coordinate, its limit, and on which side of it points are kept.
const SIDES: [(usize, f64, f64); 4] = [(0, 0.0, 1.0), (0, 1.0, -1.0), (1, 0.0, 1.0), (1, 1.0, -1.0)];

/// Slack for points that lie on an edge but for rounding.
const SLACK: f64 = 1e-9;

fn inside(p: &[f64; 2]) -> bool {
    p.iter().all(|v| (-SLACK..=1.0 + SLACK).contains(v))
}

/// The pieces of a line that lie in the square.
pub(super) fn line(points: &[[f64; 2]]) -> Vec<Vec<[f64; 2]>> {
    if points.iter().all(inside) {
        return vec![points.to_vec()];
    }
    let mut out: Vec<Vec<[f64; 2]>> = Vec::new();
    for w in points.windows(2) {
        let Some([a, b]) = segment(w[0], w[1]) else { continue };
        match out.last_mut() {
            Some(piece) if piece.last() == Some(&a) => piece.push(b),
            _ => out.push(vec![a, b]),
        }
    }
    out
}

/// The part of a segment in the square (Liang and Barsky).
fn segment(a: [f64; 2], b: [f64; 2]) -> Option<[[f64; 2]; 2]> {
    let (mut from, mut to) = (0.0f64, 1.0f64);
    for (i, limit, sign) in SIDES {
        let (start, change) = (sign * (a[i] - limit), sign * (b[i] - a[i]));
        if change == 0.0 {
            if start < 0.0 {
                return None;
            }
        } else if change > 0.0 {
            from = from.max(-start / change);
        } else {
            to = to.min(-start / change);
        }
    }
    let at = |t: f64| [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])];
    (from <= to).then(|| {
        [
            if from == 0.0 { a } else { at(from) },
            if to == 1.0 { b } else { at(to) },
        ]
    })
}

/// The part of a polygon in the square (Sutherland and Hodgman).
pub(super) fn polygon(mut points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    if points.iter().all(inside) {
        return points;
    }
    for (i, limit, sign) in SIDES {
        let depth = |p: &[f64; 2]| sign * (p[i] - limit);
        let mut out = Vec::with_capacity(points.len() + 4);
        for (k, p) in points.iter().enumerate() {
            let last = points[(k + points.len() - 1) % points.len()];
            if (depth(p) < 0.0) != (depth(&last) < 0.0) {
                let t = depth(&last) / (depth(&last) - depth(p));
                out.push([last[0] + t * (p[0] - last[0]), last[1] + t * (p[1] - last[1])]);
            }
            if depth(p) >= 0.0 {
                out.push(*p);
            }
        }
        points = out;
    }
    points
}

/// A long line without what nobody can see: per third of a point in x the first, lowest, highest and last value. `width` is
/// that of the square in points.
pub(super) fn thinned(points: Vec<[f64; 2]>, width: f64) -> Vec<[f64; 2]> {
    if points.len() < 1000 || points.windows(2).any(|w| w[1][0] < w[0][0]) {
        return points;
    }
    let column = |p: &[f64; 2]| (p[0] * width * 3.0) as i64;
    let mut out = Vec::new();
    for group in points.chunk_by(|a, b| column(a) == column(b)) {
        let pick = |better: fn(f64, f64) -> bool| {
            (1..group.len()).fold(0, |best, i| if better(group[i][1], group[best][1]) { i } else { best })
        };
        let mut keep = vec![0, pick(|a, b| a < b), pick(|a, b| a > b), group.len() - 1];
        keep.sort_unstable();
        keep.dedup();
        out.extend(keep.into_iter().map(|i| group[i]));
    }
    out
}

/// The corners of a line that keeps each value until the next x.
pub(super) fn steps(x: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut out_x, mut out_y) = (Vec::with_capacity(2 * x.len()), Vec::with_capacity(2 * x.len()));
    for i in 0..x.len() {
        if i > 0 {
            out_x.push(x[i]);
            out_y.push(y[i - 1]);
        }
        out_x.push(x[i]);
        out_y.push(y[i]);
    }
    (out_x, out_y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_square_is_cut_at_its_edge() {
        assert_eq!(line(&[[0.5, 0.5], [0.5, 2.0], [0.75, 0.5]]).len(), 2);
        assert_eq!(line(&[[-1.0, -1.0], [2.0, 2.0]]), [[[0.0, 0.0], [1.0, 1.0]]]);
        assert!(line(&[[-1.0, 0.5], [-0.5, 3.0]]).is_empty());
        let square = polygon(vec![[-1.0, -1.0], [2.0, -1.0], [2.0, 0.5], [-1.0, 0.5]]);
        assert!(
            square.iter().all(inside) && square.contains(&[1.0, 0.5]) && square.contains(&[0.0, 0.0]),
            "{square:?}"
        );
    }

    #[test]
    fn thinning_keeps_the_extremes() {
        let mut points: Vec<[f64; 2]> = (0..50_000).map(|i| [f64::from(i) / 49_999.0, 0.0]).collect();
        points[777][1] = 0.9;
        points[778][1] = -0.9;
        let thin = thinned(points, 200.0);
        assert!(thin.len() < 3000, "{}", thin.len());
        assert!(
            thin.iter().any(|p| p[1] == 0.9) && thin.iter().any(|p| p[1] == -0.9) && thin[thin.len() - 1][0] == 1.0
        );
    }
}
