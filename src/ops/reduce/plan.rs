//! Which elements of a tensor meet in which result.

/// A contiguous tensor seen as blocks `[rows, width]` of neighbours: the rows of all blocks that belong to one position of the
/// dimensions that stay are put together, column by column, into `width` results.
pub(super) struct Plan {
    /// All dimensions but those of size 1, neighbours of one fate joined: size, and whether it is reduced.
    groups: Vec<(usize, bool)>,
    /// Size and step of the dimensions around the blocks that stay.
    kept: Vec<[usize; 2]>,
    /// Size and step of the dimensions around the blocks that are reduced.
    reduced: Vec<[usize; 2]>,
    pub(super) rows: usize,
    pub(super) width: usize,
}

impl Plan {
    /// For a tensor of these sizes whose `axes` are reduced.
    pub(super) fn new(dims: &[usize], axes: &[usize]) -> Self {
        let mut groups: Vec<(usize, bool)> = Vec::new();
        for (d, &size) in dims.iter().enumerate().filter(|(_, size)| **size != 1) {
            match groups.last_mut() {
                Some((joined, fate)) if *fate == axes.contains(&d) => *joined *= size,
                _ => groups.push((size, axes.contains(&d))),
            }
        }
        let mut outer = groups.clone();
        let width = outer.pop_if(|(_, reduced)| !*reduced).map_or(1, |g| g.0);
        let rows = outer.pop_if(|(_, reduced)| *reduced).map_or(1, |g| g.0);
        let (mut kept, mut reduced) = (Vec::new(), Vec::new());
        let mut step = rows * width;
        for (size, is_reduced) in outer.into_iter().rev() {
            let list = if is_reduced { &mut reduced } else { &mut kept };
            list.push([size, step]);
            step *= size;
        }
        Plan {
            groups,
            kept,
            reduced,
            rows,
            width,
        }
    }

    /// How many elements become one result.
    pub(super) fn length(&self) -> usize {
        size(&self.reduced) * self.rows
    }

    /// How many groups of `width` results there are.
    pub(super) fn groups_of_results(&self) -> usize {
        size(&self.kept)
    }

    /// How many results there are.
    pub(super) fn results(&self) -> usize {
        self.groups_of_results() * self.width
    }

    /// The first element of the first block of a group of results.
    pub(super) fn start(&self, group: usize) -> usize {
        offset(&self.kept, group)
    }

    /// The elements between the first block of a group of results and its block `i`.
    pub(super) fn block(&self, i: usize) -> usize {
        offset(&self.reduced, i)
    }

    /// The lines of neighbours that have one result together (`false`) or one each (`true`), their length, and the first result of
    /// every line from the one of element `at` on.
    pub(super) fn lines(&self, at: usize) -> (usize, bool, impl Iterator<Item = usize> + use<>) {
        let (length, each) = match self.groups.last() {
            Some((size, reduced)) => (*size, !*reduced),
            None => (1, true),
        };
        // size and step in the results of the dimensions around a line, the innermost first
        let mut step = if each { length } else { 1 };
        let mut around: Vec<[usize; 3]> = Vec::new();
        let mut rest = at / length.max(1);
        for &(size, reduced) in self.groups.iter().rev().skip(1) {
            around.push([size, if reduced { 0 } else { step }, rest % size.max(1)]);
            rest /= size.max(1);
            step *= if reduced { 1 } else { size };
        }
        let mut result: usize = around.iter().map(|[_, step, at]| step * at).sum();
        let next = move || {
            let now = result;
            for [size, step, at] in &mut around {
                *at += 1;
                result += *step;
                if *at < *size {
                    break;
                }
                result -= *step * *size;
                *at = 0;
            }
            Some(now)
        };
        (length, each, std::iter::from_fn(next))
    }
}

fn size(dims: &[[usize; 2]]) -> usize {
    dims.iter().map(|[size, _]| size).product()
}

/// Where position `index` of these dimensions, the innermost first, begins.
fn offset(dims: &[[usize; 2]], index: usize) -> usize {
    let mut rest = index;
    let place = |[size, step]: &[usize; 2]| {
        let at = rest % size;
        rest /= size;
        at * step
    };
    dims.iter().map(place).sum()
}
