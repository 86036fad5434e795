//! Plane by plane: the numbers of one channel of one image share their factor.

use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{by_maps, wide};

/// Numbers that are added side by side.
const LANES: usize = 16;

wide! {
/// `x + factors branch`, one factor for each plane of `area` numbers.
pub(super) fn forward<T: Element>(x: &[T], branch: &[T], factors: &[T], area: usize) -> Vec<T> {
    by_maps(factors.len(), area, area, |plane, to| {
        let (at, factor) = (plane * area, factors[plane]);
        for ((t, x), b) in to.iter_mut().zip(&x[at..]).zip(&branch[at..]) {
            t.write(*x + factor * *b);
        }
    })
}
}

wide! {
/// `factors dy`: the gradient of the branch.
pub(super) fn scaled<T: Element>(dy: &[T], factors: &[T], area: usize) -> Vec<T> {
    by_maps(factors.len(), area, area, |plane, to| {
        let factor = factors[plane];
        for (t, d) in to.iter_mut().zip(&dy[plane * area..]) {
            t.write(factor * *d);
        }
    })
}
}

wide! {
/// The sum of `dy branch` over each plane.
pub(super) fn products<T: Element>(dy: &[T], branch: &[T], area: usize) -> Vec<T> {
    by_maps(dy.len() / area.max(1), 1, area, |plane, sum| {
        let (dy, b) = (&dy[plane * area..][..area], &branch[plane * area..][..area]);
        let mut lanes = [T::zero(); LANES];
        let (ds, bs) = (dy.chunks_exact(LANES), b.chunks_exact(LANES));
        let rest: T = ds.remainder().iter().zip(bs.remainder()).map(|(d, b)| *d * *b).sum();
        for (d, b) in ds.zip(bs) {
            for ((l, d), b) in lanes.iter_mut().zip(d).zip(b) {
                *l += *d * *b;
            }
        }
        sum[0].write(lanes.into_iter().fold(rest, |s, l| s + l));
    })
}
}
