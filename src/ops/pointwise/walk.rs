//! In which order two contiguous tensors are read when they are repeated to one shape.

use std::ops::Range;

/// Neighbouring dimensions along which both tensors do the same.
struct Group {
    size: usize,
    /// Elements from one position to the next; 0 where the tensor is repeated.
    steps: [usize; 2],
}

/// The way through both, in the order of the result's memory.
pub(super) struct Walk {
    /// The innermost first; at least one.
    groups: Vec<Group>,
}

impl Walk {
    /// To `shape`, which tensors of the sizes `dims` can be repeated to.
    pub(super) fn new(shape: &[usize], dims: [&[usize]; 2]) -> Self {
        let (mut groups, mut next): (Vec<Group>, _) = (Vec::new(), [1; 2]);
        let mut before = None;
        for (d, &size) in shape.iter().enumerate().rev().filter(|(_, size)| **size != 1) {
            let repeated = dims.map(|own| (d + own.len()).checked_sub(shape.len()).is_none_or(|d| own[d] == 1));
            match groups.last_mut() {
                Some(group) if before == Some(repeated) => group.size *= size,
                _ => groups.push(Group {
                    size,
                    steps: [0, 1].map(|k| if repeated[k] { 0 } else { next[k] }),
                }),
            }
            for k in 0..2 {
                next[k] *= if repeated[k] { 1 } else { size };
            }
            before = Some(repeated);
        }
        if groups.is_empty() {
            groups.push(Group { size: 1, steps: [1; 2] });
        }
        Walk { groups }
    }

    /// `run` for every stretch of the results `at .. at + count` over which each tensor is read in order or stays at one element: the
    /// stretch, counted from `at`, where it begins in both tensors, and which of them stay.
    #[inline(always)]
    pub(super) fn runs(&self, at: usize, count: usize, mut run: impl FnMut(Range<usize>, [usize; 2], [bool; 2])) {
        let (line, around) = (&self.groups[0], &self.groups[1..]);
        if line.size == 0 {
            return;
        }
        let mut starts = [0; 2];
        let mut rest = at / line.size;
        let mut places: Vec<usize> = Vec::with_capacity(around.len());
        for group in around {
            let place = rest % group.size.max(1);
            rest /= group.size.max(1);
            (0..2).for_each(|k| starts[k] += place * group.steps[k]);
            places.push(place);
        }
        let repeated = line.steps.map(|step| step == 0);
        let (mut within, mut done) = (at % line.size, 0);
        while done < count {
            let length = (line.size - within).min(count - done);
            run(
                done..done + length,
                [0, 1].map(|k| starts[k] + within * line.steps[k]),
                repeated,
            );
            (done, within) = (done + length, 0);
            for (group, place) in around.iter().zip(&mut places) {
                *place += 1;
                (0..2).for_each(|k| starts[k] += group.steps[k]);
                if *place < group.size {
                    break;
                }
                (0..2).for_each(|k| starts[k] -= group.size * group.steps[k]);
                *place = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// The place in a contiguous tensor of these sizes of element `at` of the shape it is repeated to.
    fn place(shape: &[usize], own: &[usize], at: usize) -> usize {
        let (mut rest, mut step, mut place) = (at, 1, 0);
        for d in (0..shape.len()).rev() {
            let index = rest % shape[d];
            rest /= shape[d];
            if let Some(d) = (d + own.len()).checked_sub(shape.len())
                && own[d] != 1
            {
                place += index * step;
                step *= own[d];
            }
        }
        place
    }

    #[test]
    fn every_element_is_read_where_the_definition_says() {
        let random = &mut Random::new(3);
        for _ in 0..300 {
            let rank = random.below(5);
            let shape: Vec<usize> = (0..rank).map(|_| 1 + random.below(4)).collect();
            let mut own = || -> Vec<usize> {
                let kept = random.below(rank + 1);
                let dims = shape[rank - kept..].iter();
                dims.map(|size| if random.below(2) == 0 { 1 } else { *size }).collect()
            };
            let (a, b) = (own(), own());
            // at every place one of them is read in order
            let size = |own: &[usize], d: usize| (d + own.len()).checked_sub(rank).map_or(1, |d| own[d]);
            let shape: Vec<usize> = (0..rank).map(|d| size(&a, d).max(size(&b, d))).collect();
            let elements: usize = shape.iter().product();
            let from = random.below(elements);
            let walk = Walk::new(&shape, [&a, &b]);
            let mut found = Vec::new();
            walk.runs(from, elements - from, |range, starts, repeated| {
                assert_eq!(range.start, found.len());
                for i in 0..range.len() {
                    found.push([0, 1].map(|k| starts[k] + if repeated[k] { 0 } else { i }));
                }
            });
            let wanted: Vec<[usize; 2]> = (from..elements)
                .map(|at| [place(&shape, &a, at), place(&shape, &b, at)])
                .collect();
            assert_eq!(found, wanted, "{shape:?} {a:?} {b:?}");
        }
    }
}
