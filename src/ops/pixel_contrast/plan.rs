//! What the host knows of a loss that a GPU computes: who sees whom, as numbers for the kernels, and the anchors in blocks.

use std::ops::Range;

use super::{Pairs, Term};

/// What the kernel is given for "no such place".
const NOWHERE: usize = usize::MAX;

/// How anchors are cut into blocks.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// At most this many logits are held at the same time, unless the smallest block has more.
    pub(super) panel: usize,
    /// Fewest anchors of a block: with fewer, the products would wait for memory.
    pub(super) smallest: usize,
    /// Most anchors of a block.
    pub(super) largest: usize,
}

/// Where keys lie in a panel: rows `rows` of pool `pool` are the columns from `at` on.
pub(super) struct Strip {
    pub(super) pool: usize,
    pub(super) rows: Range<usize>,
    pub(super) at: usize,
}

/// Anchors whose logits are held at the same time.
pub(super) struct Block {
    /// The pool of the anchors, and the first one's row in it.
    pub(super) pool: usize,
    pub(super) row: usize,
    pub(super) count: usize,
    /// The first one's place among the anchors of all terms.
    pub(super) anchor: usize,
    /// Columns of the panel.
    pub(super) width: usize,
    pub(super) strips: Vec<Strip>,
    /// Places in the plan: the anchors' classes and own rows, the strips.
    pub(super) classes_at: usize,
    pub(super) own_at: usize,
    pub(super) strips_at: usize,
}

/// All the host knows, in one list of numbers for the device.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) numbers: Vec<i64>,
    /// Where each pool's pixels begin.
    pub(super) pixels_at: Vec<usize>,
    pub(super) weights: Vec<f64>,
    pub(super) blocks: Vec<Block>,
    pub(super) positives: usize,
    pub(super) negatives: usize,
}

impl Plan {
    pub(super) fn new(pairs: &Pairs, room: Room) -> Self {
        let mut plan = Plan::default();
        let mut classes_at = Vec::with_capacity(pairs.pools.len());
        for pool in &pairs.pools {
            let pixels_at = plan.put(pool.pixels.iter().map(|&p| i64::from(p)));
            plan.pixels_at.push(pixels_at);
            classes_at.push(plan.put(pool.classes.iter().map(|&c| i64::from(c))));
        }
        for term in &pairs.terms {
            plan.term(pairs, term, classes_at[term.pool] + term.rows.start, room);
        }
        plan
    }

    fn put(&mut self, numbers: impl Iterator<Item = i64>) -> usize {
        let at = self.numbers.len();
        self.numbers.extend(numbers);
        at
    }

    fn term(&mut self, pairs: &Pairs, term: &Term, classes_at: usize, room: Room) {
        let classes = &pairs.pools[term.pool].classes[term.rows.clone()];
        let own_at = term.own.as_ref().map(|own| {
            let number = |row: &Option<usize>| row.map_or(-1, |row| row as i64);
            self.put(own.iter().map(number))
        });
        let bounds: Vec<usize> = term
            .keys
            .iter()
            .map(|keys| {
                let starts = (0..pairs.classes as u32).map(|class| keys.class(class).start as i64);
                self.put(starts.chain([keys.rows.end as i64]))
            })
            .collect();
        for (i, &class) in classes.iter().enumerate() {
            let positives = term.positives(i, class);
            if positives > 0 {
                self.positives += positives;
                let others = term.keys.iter().filter(|keys| keys.others);
                self.negatives += others.map(|k| k.rows.len() - k.class(class).len()).sum::<usize>();
            }
        }
        let anchor = self.weights.len();
        self.weights.extend(&term.weights);
        let keys: usize = term.keys.iter().map(|keys| keys.rows.len()).sum();
        let step = (room.panel / keys.max(1)).clamp(room.smallest, room.largest);
        for start in (0..classes.len()).step_by(step) {
            let end = (start + step).min(classes.len());
            let (mut strips, mut table, mut width) = (Vec::new(), Vec::new(), 0);
            for (keys, &bounds) in term.keys.iter().zip(&bounds) {
                let rows = keys.seen_by(&classes[start..end]);
                table.extend([width, rows.start, rows.end, usize::from(keys.others), bounds].map(|n| n as i64));
                strips.push(Strip {
                    pool: keys.pool,
                    rows: rows.clone(),
                    at: width,
                });
                width += rows.len();
            }
            let strips_at = self.put(table.into_iter());
            self.blocks.push(Block {
                pool: term.pool,
                row: term.rows.start + start,
                count: end - start,
                anchor: anchor + start,
                width,
                strips,
                classes_at: classes_at + start,
                own_at: own_at.map_or(NOWHERE, |at| at + start),
                strips_at,
            });
        }
    }
}
