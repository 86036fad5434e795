//! Column by column, several side by side.

use candle_core::WithDType;

use crate::ops::kernel::cpu::{STRIP, Shared, buffer, for_strips};

/// What `add` makes of the elements of a line up to each, or from each on.
pub(super) fn running<T: WithDType, S: Copy + Send + Sync>(
    around: [usize; 3],
    x: &[T],
    backwards: bool,
    start: S,
    add: impl Fn(S, T) -> S + Sync + Send,
    rounded: impl Fn(S) -> T + Sync + Send,
) -> Vec<T> {
    let [_, length, inner] = around;
    buffer(x.len(), |out| {
        let out = Shared::fresh(out);
        for_strips(around, |o, from, count| {
            let mut sums = [start; STRIP];
            for i in 0..length {
                let row = if backwards { length - 1 - i } else { i };
                let at = (o * length + row) * inner + from;
                // SAFETY: this task alone writes these columns.
                let to = unsafe { out.new_part(at, count) };
                for ((to, sum), x) in to.iter_mut().zip(&mut sums).zip(&x[at..]) {
                    *sum = add(*sum, *x);
                    to.write(rounded(*sum));
                }
            }
        });
    })
}
