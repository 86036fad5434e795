//! The softmax over the rows of a matrix and its gradient.

use rayon::prelude::*;

use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{buffer, per_task, wide};

wide! {
/// `softmax(scale x)` of each row of `columns` elements.
pub(super) fn softmax<T: Element>(x: &[T], columns: usize, scale: f64) -> Vec<T> {
    let scale = T::from_f64(scale);
    let piece = columns * per_task(columns);
    buffer(x.len(), |out| {
        out.par_chunks_mut(piece).zip(x.par_chunks(piece)).for_each(|(out, x)| {
            for (to, row) in out.chunks_mut(columns).zip(x.chunks(columns)) {
                let most = row.iter().fold(row[0], |m, v| m.larger(*v));
                let mut sum = T::zero();
                for (t, v) in to.iter_mut().zip(row) {
                    sum += *t.write(((*v - most) * scale).exp());
                }
                let factor = T::one() / sum;
                for t in to {
                    // SAFETY: written above.
                    *unsafe { t.assume_init_mut() } *= factor;
                }
            }
        });
    })
}
}

wide! {
/// The gradient of `x` from the softmax `p` and its gradient: `scale p (dp - sum p dp)`, row by row.
pub(super) fn softmax_backward<T: Element>(p: &[T], dp: &[T], columns: usize, scale: f64) -> Vec<T> {
    let scale = T::from_f64(scale);
    let piece = columns * per_task(columns);
    buffer(p.len(), |out| {
        let rows = out.par_chunks_mut(piece).zip(p.par_chunks(piece)).zip(dp.par_chunks(piece));
        rows.for_each(|((out, p), dp)| {
            for ((to, p), dp) in out.chunks_mut(columns).zip(p.chunks(columns)).zip(dp.chunks(columns)) {
                let mean: T = p.iter().zip(dp).map(|(p, d)| *p * *d).sum();
                for ((t, p), d) in to.iter_mut().zip(p).zip(dp) {
                    t.write(scale * *p * (*d - mean));
                }
            }
        });
    })
}
}
