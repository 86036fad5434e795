//! Element by element, in vectors.

use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::{fill_by, wide};

wide! {
/// `x Phi(x)`.
pub(super) fn forward<T: Element>(x: &[T]) -> Vec<T> {
    fill_by(x.len(), |at, out| {
        for (o, v) in out.iter_mut().zip(&x[at..]) {
            let (below, _) = v.gauss();
            o.write(*v * below);
        }
    })
}
}

wide! {
/// `dy (Phi(x) + x phi(x))`.
pub(super) fn backward<T: Element>(x: &[T], dy: &[T]) -> Vec<T> {
    fill_by(x.len(), |at, out| {
        for ((o, v), d) in out.iter_mut().zip(&x[at..]).zip(&dy[at..]) {
            let (below, density) = v.gauss();
            o.write(*d * (below + *v * density));
        }
    })
}
}
