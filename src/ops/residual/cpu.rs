//! Plane by plane: the numbers of one channel of one image share their factor.

use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{Shared, buffer, for_ranges, per_task, wide};

/// Numbers that are added side by side.
const LANES: usize = 16;

wide! {
/// `x + factors branch`, one factor for each plane of `area` numbers.
pub(super) fn forward<T: Element>(x: &[T], branch: &[T], factors: &[T], area: usize) -> Vec<T> {
    buffer(x.len(), |out| {
        let out = Shared::fresh(out);
        for_ranges(factors.len(), per_task(area), |range| {
            for plane in range {
                let (at, factor) = (plane * area, factors[plane]);
                // SAFETY: this task alone handles this plane.
                let to = unsafe { out.new_part(at, area) };
                for ((t, x), b) in to.iter_mut().zip(&x[at..]).zip(&branch[at..]) {
                    t.write(*x + factor * *b);
                }
            }
        });
    })
}
}

wide! {
/// `factors dy`: the gradient of the branch.
pub(super) fn scaled<T: Element>(dy: &[T], factors: &[T], area: usize) -> Vec<T> {
    buffer(dy.len(), |out| {
        let out = Shared::fresh(out);
        for_ranges(factors.len(), per_task(area), |range| {
            for plane in range {
                let (at, factor) = (plane * area, factors[plane]);
                // SAFETY: this task alone handles this plane.
                let to = unsafe { out.new_part(at, area) };
                for (t, d) in to.iter_mut().zip(&dy[at..]) {
                    t.write(factor * *d);
                }
            }
        });
    })
}
}

wide! {
/// The sum of `dy branch` over each plane.
pub(super) fn products<T: Element>(dy: &[T], branch: &[T], area: usize) -> Vec<T> {
    let mut sums = vec![T::zero(); dy.len() / area.max(1)];
    let all = Shared::new(&mut sums);
    for_ranges(all.len(), per_task(area), |range| {
        for plane in range {
            let (dy, b) = (&dy[plane * area..][..area], &branch[plane * area..][..area]);
            let mut lanes = [T::zero(); LANES];
            let (ds, bs) = (dy.chunks_exact(LANES), b.chunks_exact(LANES));
            let rest: T = ds.remainder().iter().zip(bs.remainder()).map(|(d, b)| *d * *b).sum();
            for (d, b) in ds.zip(bs) {
                for ((l, d), b) in lanes.iter_mut().zip(d).zip(b) {
                    *l += *d * *b;
                }
            }
            let sum = lanes.into_iter().fold(rest, |s, l| s + l);
            // SAFETY: this task alone handles this plane.
            unsafe { all.part(plane, 1)[0] = sum };
        }
    });
    sums
}
}
