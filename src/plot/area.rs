//! Rectangles on the page.

use super::clip;

/// Distance between the lines across a bar, in points, along the horizontal.
const HATCH: f64 = 4.0;

/// A rectangle: left, top, width, height.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) w: f64,
    pub(super) h: f64,
}

impl Area {
    pub(super) fn new(x: f64, y: f64, w: f64, h: f64) -> Self {
        Area { x, y, w, h }
    }
    pub(super) fn right(&self) -> f64 {
        self.x + self.w
    }
    pub(super) fn bottom(&self) -> f64 {
        self.y + self.h
    }
    pub(super) fn contains(&self, p: [f64; 2]) -> bool {
        p[0] >= self.x && p[0] <= self.right() && p[1] >= self.y && p[1] <= self.bottom()
    }
    /// The place in it that is nearest to this one.
    pub(super) fn nearest(&self, p: [f64; 2]) -> [f64; 2] {
        [p[0].clamp(self.x, self.right()), p[1].clamp(self.y, self.bottom())]
    }
    pub(super) fn grown(&self, by: f64) -> Area {
        Area::new(self.x - by, self.y - by, self.w + 2.0 * by, self.h + 2.0 * by)
    }
    /// The largest rectangle of this height over width in the middle of this one.
    pub(super) fn fitted(&self, aspect: f64) -> Area {
        let w = self.w.min(self.h / aspect);
        let h = w * aspect;
        Area::new(self.x + (self.w - w) / 2.0, self.y + (self.h - h) / 2.0, w, h)
    }
    /// Where something of this size begins that stands in a corner of this rectangle, `gap` away from its edges.
    pub(super) fn corner(&self, right: bool, low: bool, [w, h]: [f64; 2], gap: f64) -> [f64; 2] {
        let x = if right { self.right() - w - gap } else { self.x + gap };
        let y = if low { self.bottom() - h - gap } else { self.y + gap };
        [x, y]
    }
    pub(super) fn corners(&self) -> [[f64; 2]; 4] {
        [
            [self.x, self.y],
            [self.right(), self.y],
            [self.right(), self.bottom()],
            [self.x, self.bottom()],
        ]
    }

    /// From the page to shares of the width and the height.
    fn share(&self, p: [f64; 2]) -> [f64; 2] {
        [(p[0] - self.x) / self.w, (p[1] - self.y) / self.h]
    }

    fn at(&self, share: [f64; 2]) -> [f64; 2] {
        [self.x + share[0] * self.w, self.y + share[1] * self.h]
    }

    /// What of a line lies inside, without points that nobody can see.
    pub(super) fn cut_line(&self, points: &[[f64; 2]]) -> Vec<Vec<[f64; 2]>> {
        let shares: Vec<_> = points.iter().map(|p| self.share(*p)).collect();
        let pieces = clip::line(&shares).into_iter().filter(|piece| piece.len() > 1);
        let on_page = |piece| clip::thinned(piece, self.w).into_iter().map(|p| self.at(p)).collect();
        pieces.map(on_page).collect()
    }

    /// What of a filled shape lies inside, without points that nobody can see.
    pub(super) fn cut_polygon(&self, corners: &[[f64; 2]]) -> Vec<[f64; 2]> {
        let shares = corners.iter().map(|p| self.share(*p)).collect();
        let inside = clip::thinned(clip::polygon(shares), self.w);
        inside.into_iter().map(|p| self.at(p)).collect()
    }

    /// What both have in common; nothing where they do not touch.
    pub(super) fn common(&self, other: &Area) -> Option<Area> {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let (w, h) = (
            self.right().min(other.right()) - x,
            self.bottom().min(other.bottom()) - y,
        );
        (w >= 0.0 && h >= 0.0).then(|| Area::new(x, y, w, h))
    }

    /// Lines across the bars of the n-th series: none, rising, level, falling, upright. They are cut to the rectangle here, since
    /// patterns and clip paths do not look the same everywhere.
    pub(super) fn hatch(&self, series: usize) -> Vec<[[f64; 2]; 2]> {
        let (w, h) = (self.w, self.h);
        let step = HATCH * if matches!(series % 5, 1 | 3) { 1.0 } else { 0.75 };
        let line = |k: usize| {
            let (middle, next) = (step * (k as f64 + 0.5), step * (k as f64 + 1.0));
            let ends = match series % 5 {
                1 => [[middle, 0.0], [middle - h, h]],
                2 => [[0.0, h - next], [w, h - next]],
                3 => [[w - middle, 0.0], [w - middle + h, h]],
                _ => [[next, 0.0], [next, h]],
            };
            ends.map(|p| [p[0] / w, p[1] / h])
        };
        let count = match series % 5 {
            0 => 0,
            _ if w <= 0.0 || h <= 0.0 => 0,
            _ => ((w + h) / step).ceil() as usize,
        };
        let pieces = (0..count).flat_map(|k| clip::line(&line(k)));
        pieces
            .filter_map(|piece| Some([self.at(*piece.first()?), self.at(*piece.last()?)]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_across_a_bar_stay_inside() {
        let a = Area::new(10.0, 20.0, 7.0, 30.0);
        assert!(a.hatch(0).is_empty());
        for series in 1..5 {
            let lines = a.hatch(series);
            assert!(!lines.is_empty());
            for p in lines.iter().flatten() {
                assert!(a.grown(1e-9).contains(*p), "{series}: {p:?}");
            }
        }
    }
}
