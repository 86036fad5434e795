//! The kernel: anchors in blocks, all their keys at once, three products per block.
//!
//! The logits of a block of anchors are one panel, `anchors x keys`: the only thing here larger than the features, and still
//! linear in the pixels. The panel is turned in place into the gradient with respect to the logits (up to one factor per
//! anchor, see [`rows`](super::rows)), and both products with it follow, without a second look at the similarities. Work is
//! divided by anchors in the first half and by keys in the second, so that no two tasks write the same number; the
//! sums have a fixed order.

use std::ops::Range;

use rayon::prelude::*;

use super::rows::{Part, all_keys, own_positive};
use super::{Denominator, Keys, Pairs, Term};
use crate::error::Result;
use crate::ops::kernel::Element;
use crate::ops::pieces::Check;
use crate::ops::product::Matrix;

/// Anchors whose logits are held at the same time.
const BLOCK: usize = 256;
/// Fewest anchors of a block.
const SMALLEST_BLOCK: usize = 128;
/// At most this many logits are held at the same time (16 MiB in f32), unless the smallest block has more.
const PANEL: usize = 4 << 20;
/// Anchors of one task of the first half.
const TASK_ANCHORS: usize = 128;
/// Keys of one task of the second half.
const TASK_KEYS: usize = 1024;
/// Largest range of logits for which their bound `1 / temperature` serves as the shift, instead of the row's maximum.
pub(super) const SAFE_RANGE: f64 = 60.0;

/// What the kernel adds up over all anchors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// The loss: weighted sum over the anchors.
    pub loss: f64,
    /// Sum over all pairs of gradient times logit; the gradient of the temperature follows from it.
    pub gradient_logit: f64,
    /// Sum of the logits of all positive pairs, and their number.
    pub positive: (f64, f64),
    /// Sum of the logits of all negative pairs, and their number.
    pub negative: (f64, f64),
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.loss += other.loss;
        self.gradient_logit += other.gradient_logit;
        self.positive = (self.positive.0 + other.positive.0, self.positive.1 + other.positive.1);
        self.negative = (self.negative.0 + other.negative.0, self.negative.1 + other.negative.1);
    }
}

/// The buffers of a block, kept from block to block, of the size that the largest needs.
struct Buffers<T> {
    panel: Vec<T>,
    scaled: Vec<T>,
    gradient: Vec<T>,
}

/// Run all terms. `rows[i]` is the matrix `[n, dim]` of pool i, `gradients[i]` its gradient, added to (empty: not wanted).
/// `slopes`: whether the gradient of the anchors is wanted, for the features or for the temperature.
pub(super) fn run<T: Element>(
    pairs: &Pairs,
    dim: usize,
    temperature: f64,
    rows: &[Vec<T>],
    gradients: &mut [Vec<T>],
    slopes: bool,
    check: Check,
) -> Result<Sums> {
    let wide = BLOCK.max(TASK_ANCHORS / 2 * rayon::current_num_threads());
    let mut blocks = Vec::new();
    let (mut panel, mut anchors) = (0, 0);
    for term in &pairs.terms {
        let classes = &pairs.pools[term.pool].classes[term.rows.clone()];
        let mut start = 0;
        while start < classes.len() {
            let mut block = Block {
                term,
                anchors: start..(start + wide).min(classes.len()),
                classes,
                dim,
                rate: 1.0 / temperature,
                denominator: pairs.denominator,
                slopes,
            };
            let room = (PANEL / block.strips().1.max(1)).max(SMALLEST_BLOCK);
            block.anchors.end = block.anchors.end.min(start + room);
            start = block.anchors.end;
            panel = panel.max(block.anchors.len() * block.strips().1);
            anchors = anchors.max(block.anchors.len());
            blocks.push(block);
        }
    }
    let mut buffers = Buffers {
        panel: vec![T::zero(); panel],
        scaled: vec![T::zero(); anchors * dim],
        gradient: vec![T::zero(); anchors * dim],
    };
    let mut sums = Sums::default();
    for block in &blocks {
        check()?;
        sums.add(block.run(rows, gradients, &mut buffers));
    }
    Ok(sums)
}

/// Operations of all products, at most (multiplications and additions; keys of which only the positives count are counted in full).
pub(super) fn operations(pairs: &Pairs, dim: usize) -> f64 {
    let seen = |term: &Term| term.rows.len() as f64 * term.keys.iter().map(|k| k.rows.len() as f64).sum::<f64>();
    6.0 * dim as f64 * pairs.terms.iter().map(seen).sum::<f64>()
}

/// One block of anchors of a term.
struct Block<'a> {
    term: &'a Term,
    /// Places in the term.
    anchors: Range<usize>,
    /// The classes of the whole term's anchors.
    classes: &'a [u32],
    dim: usize,
    /// 1 / temperature.
    rate: f64,
    denominator: Denominator,
    slopes: bool,
}

/// Where keys lie in the panel: rows `rows` of their pool are the columns from `at` on.
struct Strip<'a> {
    keys: &'a Keys,
    rows: Range<usize>,
    at: usize,
}

/// A task's share of the buffers.
struct Share<'a, T> {
    /// Place of the first anchor in the term.
    first: usize,
    anchors: &'a [T],
    panel: &'a mut [T],
    scaled: &'a mut [T],
    gradient: &'a mut [T],
}

impl Block<'_> {
    fn run<T: Element>(&self, rows: &[Vec<T>], gradients: &mut [Vec<T>], buffers: &mut Buffers<T>) -> Sums {
        let (dim, count) = (self.dim, self.anchors.len());
        let (strips, width) = self.strips();
        if width == 0 {
            return Sums::default();
        }
        let panel = &mut buffers.panel[..count * width];
        let scaled = &mut buffers.scaled[..count * dim];
        let gradient = &mut buffers.gradient[..count * dim];
        let place = (self.term.rows.start + self.anchors.start) * dim;
        let place = place..place + count * dim;

        let share = TASK_ANCHORS.min(count.div_ceil(rayon::current_num_threads()));
        let parts: Vec<Sums> = panel
            .par_chunks_mut(share * width)
            .zip(scaled.par_chunks_mut(share * dim))
            .zip(gradient.par_chunks_mut(share * dim))
            .zip(rows[self.term.pool][place.clone()].par_chunks(share * dim))
            .enumerate()
            .map(|(i, (((panel, scaled), gradient), anchors))| {
                let first = self.anchors.start + i * share;
                self.anchors_task(
                    &strips,
                    width,
                    rows,
                    Share {
                        first,
                        anchors,
                        panel,
                        scaled,
                        gradient,
                    },
                )
            })
            .collect();
        let mut sums = Sums::default();
        parts.into_iter().for_each(|part| sums.add(part));

        if !gradients[self.term.pool].is_empty() {
            let target = &mut gradients[self.term.pool][place];
            target.iter_mut().zip(gradient.iter()).for_each(|(t, g)| *t += *g);
        }
        let (panel, scaled) = (&*panel, Matrix::new(&*scaled, count, dim, dim));
        for strip in &strips {
            let target = &mut gradients[strip.keys.pool];
            if target.is_empty() {
                continue;
            }
            let target = &mut target[strip.rows.start * dim..strip.rows.end * dim];
            target
                .par_chunks_mut(TASK_KEYS * dim)
                .enumerate()
                .for_each(|(i, target)| {
                    let columns = Matrix::new(&panel[strip.at + i * share..], count, target.len() / dim, width);
                    columns.transposed().times(scaled).store(target, dim, true);
                });
        }
        sums
    }

    /// The columns of the panel.
    fn strips(&self) -> (Vec<Strip<'_>>, usize) {
        let mut at = 0;
        let mut strips = Vec::with_capacity(self.term.keys.len());
        for keys in &self.term.keys {
            let rows = keys.seen_by(&self.classes[self.anchors.clone()]);
            if !rows.is_empty() {
                strips.push(Strip {
                    keys,
                    rows: rows.clone(),
                    at,
                });
                at += rows.len();
            }
        }
        (strips, at)
    }

    /// Logits, their gradient up to a factor, and the gradient of some anchors.
    fn anchors_task<T: Element>(&self, strips: &[Strip], width: usize, rows: &[Vec<T>], share: Share<T>) -> Sums {
        let dim = self.dim;
        let count = share.anchors.len() / dim;
        let keys = |strip: &Strip| {
            let n = strip.rows.len();
            (&rows[strip.keys.pool][strip.rows.start * dim..strip.rows.end * dim], n)
        };
        let anchors = Matrix::new(share.anchors, count, dim, dim);
        for strip in strips {
            let (keys, n) = keys(strip);
            let keys = Matrix::new(keys, n, dim, dim).transposed();
            let logits = anchors.times(keys).scaled(T::from_f64(self.rate));
            logits.store(&mut share.panel[strip.at..], width, false);
        }
        let mut sums = Sums::default();
        let mut factors = Vec::with_capacity(count);
        for (i, row) in share.panel.chunks_exact_mut(width).enumerate() {
            let factor = self.row(share.first + i, row, strips, &mut sums);
            factors.push(T::from_f64(factor));
        }
        for ((scaled, anchor), &factor) in share
            .scaled
            .chunks_exact_mut(dim)
            .zip(share.anchors.chunks_exact(dim))
            .zip(&factors)
        {
            scaled.iter_mut().zip(anchor).for_each(|(s, a)| *s = *a * factor);
        }
        if self.slopes {
            for (i, strip) in strips.iter().enumerate() {
                let (keys, n) = keys(strip);
                let slopes = Matrix::new(&share.panel[strip.at..], count, n, width);
                slopes
                    .times(Matrix::new(keys, n, dim, dim))
                    .store(share.gradient, dim, i > 0);
            }
            for ((gradient, anchor), &factor) in share
                .gradient
                .chunks_exact_mut(dim)
                .zip(share.anchors.chunks_exact(dim))
                .zip(&factors)
            {
                gradient.iter_mut().for_each(|g| *g *= factor);
                sums.gradient_logit += gradient
                    .iter()
                    .zip(anchor)
                    .map(|(g, a)| g.to_f64() * a.to_f64())
                    .sum::<f64>();
            }
        }
        sums
    }

    /// One anchor's row of the panel; returns what it (and the anchor, for the keys' gradient) is to be multiplied by.
    fn row<T: Element>(&self, anchor: usize, row: &mut [T], strips: &[Strip], sums: &mut Sums) -> f64 {
        let (class, weight) = (self.classes[anchor], self.term.weights[anchor]);
        let column = |strip: &Strip, r: usize| strip.at + r.clamp(strip.rows.start, strip.rows.end) - strip.rows.start;
        let parts: Vec<Part> = strips
            .iter()
            .map(|strip| {
                let same = strip.keys.class(class);
                Part {
                    all: strip.at..strip.at + strip.rows.len(),
                    same: column(strip, same.start)..column(strip, same.end),
                    others: strip.keys.others,
                }
            })
            .collect();
        let own = self.term.own.as_ref().and_then(|own| own[anchor]).and_then(|own| {
            let strip = strips.first()?;
            strip.rows.contains(&own).then(|| column(strip, own))
        });
        let bound = (2.0 * self.rate <= SAFE_RANGE).then_some(self.rate);
        let result = match self.denominator {
            Denominator::AllKeys => all_keys(row, &parts, own, bound),
            Denominator::OwnPositive => own_positive(row, &parts, own, bound),
        };
        sums.add(Sums {
            loss: weight * result.loss,
            gradient_logit: 0.0,
            positive: result.positive,
            negative: result.negative,
        });
        weight * result.factor * self.rate
    }
}
