//! Which pixels are contrasted with which: the table of variants as data for the kernel. And the reduction: what each
//! anchor's loss weighs. A new variant is a line in [`build`] and its entries in [`Variant`](super::options::Variant).

use super::memory::Memory;
use super::options::{Reduction, Variant};
use super::sampling::{Chosen, ClassMap};
use crate::ensure;
use crate::error::Result;
use crate::ops::pixel_contrast::{Keys, Pairs, Pool, Source, Term};

/// The pairs of a variant, with the group of each term (an image, say) for the reduction.
pub(super) struct Grouped {
    pub pairs: Pairs,
    pub groups: Vec<usize>,
}

/// Collects pools; one that exists already is used again (keys and anchors of the same view, if nothing is sampled).
struct Pools<'a> {
    map: &'a ClassMap,
    pools: Vec<Pool>,
    spans: Vec<Vec<std::ops::Range<usize>>>,
}

/// A pool, and its rows by image (or, as one bag, all rows).
#[derive(Clone)]
struct Rows {
    pool: usize,
    spans: Vec<std::ops::Range<usize>>,
}

impl Pools<'_> {
    /// The chosen pixels of a view, image by image or `bag`ged together; sorted by class in each.
    fn rows(&mut self, source: Source, chosen: &Chosen, bag: bool) -> Rows {
        let mut pixels: Vec<u32> = chosen.iter().flatten().copied().collect();
        let spans: Vec<std::ops::Range<usize>> = if bag {
            pixels.sort_by_key(|&pixel| self.map.classes[pixel as usize]);
            std::iter::once(0..pixels.len()).collect()
        } else {
            let mut from = 0;
            let ends = chosen.iter().map(|image| {
                from += image.len();
                from - image.len()..from
            });
            ends.collect()
        };
        let same = |pool: &Pool| pool.source == source && pool.pixels == pixels;
        if let Some(pool) = self.pools.iter().position(same) {
            return Rows {
                pool,
                spans: self.spans[pool].clone(),
            };
        }
        let classes = pixels.iter().map(|&pixel| self.map.classes[pixel as usize]).collect();
        self.pools.push(Pool {
            source,
            pixels,
            classes,
        });
        self.spans.push(spans.clone());
        Rows {
            pool: self.pools.len() - 1,
            spans,
        }
    }

    fn keys(&self, rows: &Rows, group: usize, others: bool) -> Keys {
        let span = rows.spans[group].clone();
        Keys::new(
            rows.pool,
            span,
            others,
            &self.pools[rows.pool].classes,
            self.map.labels.len(),
        )
    }

    /// For each anchor its own row among the keys, if it is one (both sorted by class, then by pixel).
    fn own(&self, anchors: &Rows, keys: &Rows) -> Vec<Option<usize>> {
        if anchors.pool == keys.pool {
            return (0..self.pools[anchors.pool].pixels.len()).map(Some).collect();
        }
        let order = |pool: usize, row: usize| (self.pools[pool].classes[row], self.pools[pool].pixels[row]);
        let count = self.pools[keys.pool].pixels.len();
        let mut at = 0;
        let rows = 0..self.pools[anchors.pool].pixels.len();
        rows.map(|row| {
            let wanted = order(anchors.pool, row);
            while at < count && order(keys.pool, at) < wanted {
                at += 1;
            }
            (at < count && order(keys.pool, at) == wanted).then_some(at)
        })
        .collect()
    }
}

/// The pairs of `variant`; `two` says whether there is a second view. `partners[b]` is the partner of image b.
pub(super) fn build(
    variant: Variant,
    two: bool,
    map: &ClassMap,
    anchors: &Chosen,
    keys: &Chosen,
    partners: &[usize],
    memory: Option<&Memory>,
) -> Grouped {
    let mut pools = Pools {
        map,
        pools: Vec::new(),
        spans: Vec::new(),
    };
    let mut terms: Vec<(usize, Term)> = Vec::new();
    let bag = matches!(variant, Variant::Batch | Variant::OwnPositive | Variant::Supcon);
    let mut term = |pools: &Pools, group: usize, anchors: &Rows, span: usize, keys: Vec<Keys>, own| {
        let rows = anchors.spans[span].clone();
        let mut keys = keys;
        keys.extend(memory_keys(memory, pools));
        terms.push((
            group,
            Term {
                pool: anchors.pool,
                weights: vec![1.0; rows.len()],
                rows,
                keys,
                own,
            },
        ));
    };
    if let Some(memory) = memory {
        pools.pools.push(memory.pool(&map.labels));
        pools.spans.push(Vec::new());
    }
    let mut views = |source: Source| (pools.rows(source.clone(), anchors, bag), pools.rows(source, keys, bag));
    let images = 0..map.images;
    match variant {
        Variant::WithinImage | Variant::CrossImage => {
            let ((f, _), (_, k)) = (views(Source::First), views(Source::Second));
            for b in images {
                let mut seen = vec![pools.keys(&k, b, true)];
                if variant == Variant::CrossImage && partners[b] != b {
                    seen.push(pools.keys(&k, partners[b], false));
                }
                term(&pools, b, &f, b, seen, None);
            }
        }
        Variant::Batch => {
            let ((f, _), (_, k)) = (views(Source::First), views(Source::Second));
            let seen = vec![pools.keys(&k, 0, true)];
            term(&pools, 0, &f, 0, seen, None);
        }
        Variant::ReleasedWithinImage => {
            for (view, source) in [Source::First, Source::Second].into_iter().enumerate() {
                let (f, k) = (pools.rows(source.clone(), anchors, bag), pools.rows(source, keys, bag));
                for b in images.clone() {
                    let seen = vec![pools.keys(&k, b, true)];
                    term(&pools, view * map.images + b, &f, b, seen, None);
                }
            }
        }
        Variant::ReleasedCrossImage => {
            let ((f, f_keys), (k, k_keys)) = (views(Source::First), views(Source::Second));
            for b in images {
                let j = partners[b];
                let seen = vec![pools.keys(&f_keys, b, true), pools.keys(&k_keys, j, false)];
                term(&pools, b, &f, b, seen, None);
                let seen = vec![pools.keys(&k_keys, j, true), pools.keys(&f_keys, b, false)];
                term(&pools, b, &k, j, seen, None);
            }
        }
        Variant::OwnPositive | Variant::Supcon => {
            let mut all = vec![views(Source::First)];
            all.extend(two.then(|| views(Source::Second)));
            for (view, (anchors, keys)) in all.iter().enumerate() {
                // the anchor's own row is looked for among the first keys
                let mut seen = vec![pools.keys(keys, 0, true)];
                let others = all.iter().enumerate().filter(|(other, _)| *other != view);
                seen.extend(others.map(|(_, (_, keys))| pools.keys(keys, 0, true)));
                let own = pools.own(anchors, keys);
                term(&pools, 0, anchors, 0, seen, Some(own));
            }
        }
    }
    let (groups, terms) = terms.into_iter().unzip();
    let pairs = Pairs {
        pools: pools.pools,
        terms,
        denominator: variant.denominator(),
        classes: map.labels.len(),
    };
    Grouped { pairs, groups }
}

/// The keys remembered from earlier batches: pool 0, if there is a memory.
fn memory_keys(memory: Option<&Memory>, pools: &Pools) -> Option<Keys> {
    memory.map(|_| {
        let classes = &pools.pools[0].classes;
        Keys::new(0, 0..classes.len(), true, classes, pools.map.labels.len())
    })
}

/// Set the anchors' weights so that the weighted sum of their losses is the variant's mean. `class_weights` are by label.
/// Returns the number of anchors with and without a positive.
///
/// # Errors
/// A label without a class weight.
pub(super) fn weigh(
    grouped: &mut Grouped,
    reduction: Reduction,
    map: &ClassMap,
    class_weights: Option<&[f64]>,
) -> Result<(usize, usize)> {
    let by_class = match class_weights {
        None => vec![1.0; map.labels.len()],
        Some(weights) => {
            let of = |label: &i64| usize::try_from(*label).ok().and_then(|l| weights.get(l)).copied();
            let missing = map.labels.iter().find(|label| of(label).is_none());
            ensure!(
                missing.is_none(),
                "pixel_contrast: label {} has no weight among the {} of class_weights, expected one per class",
                missing.unwrap_or(&0),
                weights.len()
            );
            map.labels.iter().filter_map(of).collect()
        }
    };
    let Grouped { pairs, groups } = grouped;
    let mut totals = vec![0.0; groups.iter().max().map_or(0, |g| g + 1)];
    let (mut with, mut without) = (0, 0);
    for (term, &group) in pairs.terms.iter_mut().zip(groups.iter()) {
        let classes = &pairs.pools[term.pool].classes[term.rows.clone()];
        for (i, &class) in classes.iter().enumerate() {
            if term.positives(i, class) == 0 {
                term.weights[i] = 0.0;
                without += 1;
            } else {
                term.weights[i] = by_class[class as usize];
                totals[group] += term.weights[i];
                with += 1;
            }
        }
    }
    let groups_that_count = match reduction {
        Reduction::Images | Reduction::Anchors => totals.iter().filter(|t| **t > 0.0).count(),
        Reduction::AllImages => map.images,
    };
    for (term, &group) in pairs.terms.iter_mut().zip(groups.iter()) {
        let total = totals[group] * groups_that_count as f64;
        term.weights
            .iter_mut()
            .for_each(|w| *w = if total > 0.0 { *w / total } else { 0.0 });
    }
    Ok((with, without))
}
