//! The pixel contrastive loss over any set of pairs, exact, without ever holding a matrix of all pairs.
//!
//! What is contrasted with what is data ([`Pairs`], made by `loss::pixel_contrast`); this operation knows rows sorted by
//! class, so that "same class" is a range of rows, and the two forms of the denominator. Value and gradients are computed in
//! one go when a gradient will be asked for (the loss is a scalar: the backward only scales): three products of
//! `2 N^2 D` operations, `O(N D)` numbers kept until the backward, one block of logits in between.

mod cpu;
mod cuda;
mod panel;
mod plan;
mod rows;

use std::ops::Range;

use candle_core::{DType, Tensor};

use super::graph::record;
use super::kernel::{Element, View, on_gpu, output};
use super::pieces::Check;
use crate::allocator;
use crate::error::Result;
use crate::{ensure, fail};
use cpu::MapShape;
#[cfg(test)]
pub(crate) use cuda::emulated;

/// From this many operations on (half a second) the working memory goes back to the system at the end.
const LONG: f64 = 2e11;

/// Where the rows of a pool come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The first feature map (the images).
    First,
    /// The second feature map (the distorted images).
    Second,
    /// Given unit rows, row by row, without gradient (a memory of past keys).
    Fixed(Vec<f32>),
}

impl Source {
    /// Which of the two feature maps, if one.
    fn view(&self) -> Option<usize> {
        match self {
            Source::First => Some(0),
            Source::Second => Some(1),
            Source::Fixed(_) => None,
        }
    }
}

/// Rows of features: some pixels of one view in some order.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Where the features come from.
    pub source: Source,
    /// The pixel of each row, numbered through the batch (`image * height * width + y * width + x`); none is named twice.
    /// Empty for [`Source::Fixed`].
    pub pixels: Vec<u32>,
    /// The class of each row, in `0..classes` of [`Pairs`]; sorted within every range that a [`Term`] or [`Keys`] names.
    pub classes: Vec<u32>,
}

/// A run of keys that all anchors of a term see.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Which pool.
    pub pool: usize,
    /// Which of its rows; sorted by class.
    pub rows: Range<usize>,
    /// Whether keys of other classes than the anchor's count (in the denominator); if not, only its positives are seen.
    pub others: bool,
    offsets: Vec<u32>,
}

impl Keys {
    /// The keys `rows` of pool `pool`, whose classes are `classes` (of the whole pool), out of `count` classes.
    pub fn new(pool: usize, rows: Range<usize>, others: bool, classes: &[u32], count: usize) -> Self {
        let mut offsets = vec![0u32; count + 1];
        for &class in &classes[rows.clone()] {
            offsets[class as usize + 1] += 1;
        }
        for class in 0..count {
            offsets[class + 1] += offsets[class];
        }
        Keys {
            pool,
            rows,
            others,
            offsets,
        }
    }

    /// The rows of this class.
    pub fn class(&self, class: u32) -> Range<usize> {
        let at = |c: usize| self.rows.start + self.offsets[c] as usize;
        at(class as usize)..at(class as usize + 1)
    }

    /// What anchors of these classes, sorted, look at: all keys where other classes count, else only those of the anchors' classes.
    fn seen_by(&self, classes: &[u32]) -> Range<usize> {
        match classes {
            [low, .., high] if !self.others => self.class(*low).start..self.class(*high).end,
            [only] if !self.others => self.class(*only),
            _ => self.rows.clone(),
        }
    }
}

/// Anchors that see the same keys.
#[derive(Clone, Debug)]
pub struct Term {
    /// The pool of the anchors.
    pub pool: usize,
    /// Which of its rows; sorted by class.
    pub rows: Range<usize>,
    /// What they see.
    pub keys: Vec<Keys>,
    /// Where an anchor must not see itself: its own row in the pool of `keys[0]`, for each anchor.
    pub own: Option<Vec<Option<usize>>>,
    /// What the reduction multiplies each anchor's loss by.
    pub weights: Vec<f64>,
}

impl Term {
    /// How many positives anchor `i` of this term has; `class` is its class.
    pub fn positives(&self, i: usize, class: u32) -> usize {
        let own = self.own.as_ref().and_then(|own| own[i]);
        let itself = own.is_some_and(|own| self.keys.first().is_some_and(|keys| keys.class(class).contains(&own)));
        self.keys.iter().map(|keys| keys.class(class).len()).sum::<usize>() - usize::from(itself)
    }
}

/// What stands below the fraction bar for a pair (anchor, positive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denominator {
    /// All keys the anchor sees.
    AllKeys,
    /// This positive and the negatives: positives do not compete with each other.
    OwnPositive,
}

/// All pairs of one loss.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// The rows.
    pub pools: Vec<Pool>,
    /// Who sees whom.
    pub terms: Vec<Term>,
    /// Which form.
    pub denominator: Denominator,
    /// How many classes there are.
    pub classes: usize,
}

/// The loss and what was seen on the way.
#[derive(Debug)]
pub struct Contrast {
    /// The loss, a scalar of the features' type (f32 for bf16).
    pub loss: Tensor,
    /// The temperature, a scalar f64 on the features' device.
    pub temperature: Tensor,
    /// Mean logit (cosine / temperature) of the positive pairs; `None` if there is none. A scalar f64 on the features' device:
    /// reading it waits for a GPU.
    pub positive_logit: Option<Tensor>,
    /// Mean logit of the negative pairs, likewise.
    pub negative_logit: Option<Tensor>,
}

/// `sum over anchors of weight * loss(anchor)`, with `s = cosine / temperature` and, over the anchor's positives P,
///
/// - [`Denominator::AllKeys`]: `mean over P of (logsumexp over all keys - s)`,
/// - [`Denominator::OwnPositive`]: `mean over P of log(1 + e^(S - s))`, `S = logsumexp over the negatives`;
///
/// all of it times `temperature / base` if `base` is given. `first`, `second`: features `[b, d, h, w]` of any norm, f32 or f64 (on a GPU
/// also bf16); `temperature`: a scalar tensor, on a GPU never read back. Differentiable in all three, once. An anchor without positives
/// counts nothing; no pairs at all: 0 with zero gradients. Cost: `2 A K D` operations for the value, three times that with gradients (A
/// anchors, K keys); `check` is asked between blocks of anchors. Source: the form of the backward follows FlashAttention (Dao et al. 2022).
///
/// # Errors
/// Maps of different shape, more than 2^32 pixels, a temperature that is not positive, features that are not finite (where these two
/// lie on a GPU they make the loss NaN instead: to look would be to wait).
pub fn pixel_contrast(
    first: &Tensor,
    second: Option<&Tensor>,
    temperature: &Tensor,
    base: Option<f64>,
    pairs: &Pairs,
    check: Check,
) -> Result<Contrast> {
    let second = match second {
        Some(second) => second.clone(),
        None => first.detach(),
    };
    ensure!(
        first.shape() == second.shape(),
        "pixel_contrast: the two feature maps differ in shape, {:?} and {:?}; both views must have the same",
        first.dims(),
        second.dims()
    );
    let (images, _, height, width) = first.dims4()?;
    if temperature.device().is_cpu() {
        checked(temperature)?;
    }
    let pixels = images * height * width;
    ensure!(
        pixels < u32::MAX as usize,
        "pixel_contrast: {pixels} pixels are more than can be numbered; use smaller crops or `max_anchors`"
    );
    if on_gpu(first.device()) {
        return cuda::contrast(first, &second, temperature, base, pairs, check);
    }
    let tau = checked(temperature)?;
    match first.dtype() {
        DType::F32 => contrast::<f32>(first, &second, temperature, tau, base, pairs, check),
        DType::F64 => contrast::<f64>(first, &second, temperature, tau, base, pairs, check),
        other => fail!("pixel_contrast: features of type {other:?}, expected f32 or f64"),
    }
}

/// The temperature's value, if it can be one.
fn checked(temperature: &Tensor) -> Result<f64> {
    let tau = temperature.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    ensure!(
        tau > 0.0 && tau.is_finite(),
        "pixel_contrast: the temperature is {tau}, expected a number above 0 (0.07 is usual)"
    );
    Ok(tau)
}

fn contrast<T: Element>(
    first: &Tensor,
    second: &Tensor,
    temperature: &Tensor,
    tau: f64,
    base: Option<f64>,
    pairs: &Pairs,
    check: Check,
) -> Result<Contrast> {
    let (images, dim, height, width) = first.dims4()?;
    let shape = MapShape {
        images,
        dim,
        area: height * width,
    };
    let views = [first.contiguous()?, second.contiguous()?];
    let tracked = [first.track_op(), second.track_op(), temperature.track_op()];
    let (mut rows, mut inverse): (Vec<Vec<T>>, Vec<Vec<T>>) = Default::default();
    for pool in &pairs.pools {
        let (r, i) = match &pool.source {
            Source::Fixed(given) => (given.iter().map(|&x| T::from_f64(f64::from(x))).collect(), Vec::new()),
            source => {
                let features = View::<T>::of(&views[source.view().unwrap_or(0)])?;
                cpu::unit_rows(&features, shape, &pool.pixels)?
            }
        };
        rows.push(r);
        inverse.push(i);
    }
    let mut gradients: Vec<Vec<T>> = Vec::new();
    for (pool, rows) in pairs.pools.iter().zip(&rows) {
        let wanted = pool.source.view().is_some_and(|v| tracked[v]);
        gradients.push(if wanted {
            vec![T::zero(); rows.len()]
        } else {
            Vec::new()
        });
    }
    let sums = panel::run(pairs, dim, tau, &rows, &mut gradients, tracked.contains(&true), check)?;

    let factor = base.map_or(1.0, |base| tau / base);
    let mut maps: [Option<Tensor>; 2] = [None, None];
    for v in (0..2).filter(|&v| tracked[v]) {
        let mut map = vec![T::zero(); images * dim * shape.area];
        for (i, pool) in pairs.pools.iter().enumerate() {
            if pool.source.view() != Some(v) {
                continue;
            }
            cpu::before_norm(&mut gradients[i], &rows[i], &inverse[i], dim, factor);
            rows[i] = Vec::new(); // no longer needed: the peak of memory is here
            cpu::add_to_map(&mut map, shape, &gradients[i], &pool.pixels);
            gradients[i] = Vec::new();
        }
        maps[v] = Some(Tensor::from_vec(map, first.shape(), first.device())?);
    }
    if panel::operations(pairs, dim) > LONG {
        allocator::give_back(); // the backward pass is to find room among what the products used
    }
    let slope = -factor * sums.gradient_logit / tau + base.map_or(0.0, |base| sums.loss / base);
    let value = output(vec![T::from_f64(factor * sums.loss)], ());
    let loss = record(
        "pixel_contrast",
        &[first, second, temperature],
        value,
        move |arguments, _, gradient| {
            let scale = gradient.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            let mut all = Vec::with_capacity(3);
            for map in &maps {
                all.push(match map {
                    Some(map) if scale != 1.0 => Some(map.affine(scale, 0.0)?),
                    map => map.clone(),
                });
            }
            let slope = Tensor::new(slope * scale, gradient.device())?.to_dtype(arguments[2].dtype())?;
            all.push(Some(slope.reshape(arguments[2].shape())?));
            Ok(all)
        },
    )?;
    let mean = |(sum, count): (f64, f64)| {
        (count > 0.0)
            .then(|| Tensor::new(sum / count, first.device()))
            .transpose()
    };
    Ok(Contrast {
        loss,
        temperature: Tensor::new(tau, first.device())?,
        positive_logit: mean(sums.positive)?,
        negative_logit: mean(sums.negative)?,
    })
}
