//! Lines and areas in the unit square: cut at its edges, freed of what nobody can see.

/// The sides of the square: which coordinate, its limit, and on which side of it points are kept.
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
    let cut = |pieces: Vec<Vec<_>>, side| pieces.iter().flat_map(|piece| kept(None, piece, side)).collect();
    SIDES.into_iter().fold(vec![points.to_vec()], cut)
}

/// The part of a polygon in the square (Sutherland and Hodgman).
pub(super) fn polygon(mut points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    if points.iter().all(inside) {
        return points;
    }
    for side in SIDES {
        points = kept(points.last().copied(), &points, side).concat();
    }
    points
}

/// The pieces of a line on one side of an edge; the line comes from the point `last` if there is one.
fn kept(mut last: Option<[f64; 2]>, points: &[[f64; 2]], side: (usize, f64, f64)) -> Vec<Vec<[f64; 2]>> {
    let (i, limit, sign) = side;
    let depth = |p: &[f64; 2]| sign * (p[i] - limit);
    let (mut out, mut piece) = (Vec::new(), Vec::new());
    for p in points {
        if let Some(from) = last.filter(|from| (depth(from) < 0.0) != (depth(p) < 0.0)) {
            let t = depth(&from) / (depth(&from) - depth(p));
            piece.push([0, 1].map(|k| from[k] + t * (p[k] - from[k])));
        }
        if depth(p) >= 0.0 {
            piece.push(*p);
        } else if !piece.is_empty() {
            out.push(std::mem::take(&mut piece));
        }
        last = Some(*p);
    }
    out.extend(Some(piece).filter(|piece| !piece.is_empty()));
    out
}

/// A long line without what nobody can see: per third of a point in x the first, lowest, highest and last value. `width` is
/// that of the square in points.
pub(super) fn thinned(points: Vec<[f64; 2]>, width: f64) -> Vec<[f64; 2]> {
    if points.len() < 1000 {
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
