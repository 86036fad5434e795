//! The pixel contrastive loss on a GPU: products by cuBLAS over panels of logits, all else by the kernels of `pixel_contrast.cu`.
//!
//! As on the processor, the logits of a block of anchors with all their keys are one panel, turned in place into their gradient
//! and multiplied by both sides. The panel is small enough to stay in the second-level cache of a large GPU. Nothing is read back here;
//! what the host knows (who sees whom) goes up in one piece. Sums have a fixed order, so that one seed gives the same bits.

use candle_core::{DType, Device, Result, Tensor};

use super::plan::{Block, Plan, Room};
use super::{Contrast, Denominator, Pairs, Source as Rows};
use crate::ops::graph::record;
use crate::ops::kernel::cuda::product::{Matrix, multiply};
use crate::ops::kernel::cuda::{Buffer, Launch, Source, arithmetic, upload};
use crate::ops::pieces::Check;

const SOURCE: Source = Source::new("pixel_contrast", include_str!("pixel_contrast.cu"));

/// Pixels, and channels, that one block of the kernels that read and write maps takes.
const TILE: usize = 32;
/// Warps of a block where a warp takes a row.
const WARPS: usize = 8;

/// 24 MiB of f32: with rows, their gradients and the maps' gradients the peak stays below 64 MiB beyond inputs and gradients at
/// 16384 pixels of 256 channels.
const ROOM: Room = Room {
    panel: 6 << 20,
    smallest: 256,
    largest: 4096,
};

/// The loss as documented for [`pixel_contrast`](super::pixel_contrast()); the features may be bf16 as well (computed in f32, gradients
/// in bf16). `check` is asked between blocks of anchors, which the GPU may be far behind. A feature that is not finite makes the loss
/// NaN, and so does a temperature that is not above 0.
pub(super) fn contrast(
    first: &Tensor,
    second: &Tensor,
    temperature: &Tensor,
    base: Option<f64>,
    pairs: &Pairs,
    check: Check,
) -> crate::error::Result<Contrast> {
    in_room(ROOM, [first, second], temperature, base, pairs, check)
}

/// As [`contrast`] on tensors in main memory, by the emulator, with blocks so small that several are needed.
#[cfg(test)]
pub(crate) fn emulated(
    views: [&Tensor; 2],
    temperature: &Tensor,
    base: Option<f64>,
    pairs: &Pairs,
) -> crate::error::Result<Contrast> {
    let room = Room {
        panel: 300,
        smallest: 3,
        largest: 20,
    };
    in_room(room, views, temperature, base, pairs, &|| Ok(()))
}

/// A pool's unit rows, 1 / norm of its features, and the gradient with respect to the rows where it is wanted.
struct Side {
    rows: Tensor,
    inverse: Option<Tensor>,
    gradient: Option<Tensor>,
}

fn in_room(
    room: Room,
    [first, second]: [&Tensor; 2],
    temperature: &Tensor,
    base: Option<f64>,
    pairs: &Pairs,
    check: Check,
) -> crate::error::Result<Contrast> {
    let (device, wide) = (first.device(), arithmetic(first.dtype()));
    let (_, dim, height, width) = first.dims4()?;
    let area = height * width;
    let views = [first.contiguous()?, second.contiguous()?];
    let tracked = [first.track_op(), second.track_op(), temperature.track_op()];
    let slopes = tracked.contains(&true);
    let tau = temperature.detach().to_device(device)?;
    // a copy: a temperature that is learnt changes before anybody reads what it was
    let (tau, exact) = (tau.to_dtype(wide)?, tau.to_dtype(DType::F64)?.copy()?);

    let plan = Plan::new(pairs, room);
    let numbers = if plan.numbers.is_empty() {
        &[0]
    } else {
        plan.numbers.as_slice()
    };
    let numbers = upload(&Tensor::from_slice(numbers, numbers.len(), &Device::Cpu)?, device)?;
    let weights = Tensor::from_slice(&plan.weights, plan.weights.len(), &Device::Cpu)?;
    let weights = upload(&weights.to_dtype(wide)?, device)?;

    let mut sides = Vec::with_capacity(pairs.pools.len());
    for (pool, &pixels_at) in pairs.pools.iter().zip(&plan.pixels_at) {
        let n = pool.classes.len();
        let v = match &pool.source {
            Rows::First => 0,
            Rows::Second => 1,
            Rows::Fixed(given) => {
                let rows = Tensor::from_slice(given, given.len(), &Device::Cpu)?;
                sides.push(Side {
                    rows: upload(&rows.to_dtype(wide)?, device)?,
                    inverse: None,
                    gradient: None,
                });
                continue;
            }
        };
        let (mut rows, mut inverse) = (Buffer::new(device, wide, n * dim)?, Buffer::new(device, wide, n)?);
        let launch = Launch::of(&SOURCE, "contrast_norms", &views[v])
            .read(&views[v])
            .read(&numbers);
        launch
            .write(&mut inverse)
            .ints(&[pixels_at, n, dim, area])
            .run([n.div_ceil(TILE), 1, 1], TILE * WARPS)?;
        let inverse = inverse.tensor(n);
        Launch::of(&SOURCE, "contrast_rows", &views[v])
            .read(&views[v])
            .read(&numbers)
            .read(&inverse)
            .write(&mut rows)
            .ints(&[pixels_at, n, dim, area])
            .run([n.div_ceil(TILE), dim.div_ceil(TILE), 1], TILE * WARPS)?;
        let gradient = tracked[v].then(|| Tensor::zeros(n * dim, wide, device)).transpose()?;
        sides.push(Side {
            rows: rows.tensor(n * dim),
            inverse: Some(inverse),
            gradient,
        });
    }

    let sums = Tensor::zeros(plan.weights.len() * 4, DType::F64, device)?;
    let job = Job {
        map: &views[0],
        dim,
        tau: &tau,
        own_positive: pairs.denominator == Denominator::OwnPositive,
        slopes,
        numbers: &numbers,
        weights: &weights,
        sums: &sums,
    };
    job.run(&plan.blocks, &sides, check)?;

    let (mut value, mut facts) = (Buffer::new(device, wide, 1)?, Buffer::new(device, DType::F64, 3)?);
    Launch::of(&SOURCE, "contrast_finish", &views[0])
        .read(&sums)
        .read(&tau)
        .write(&mut value)
        .write(&mut facts)
        .ints(&[plan.weights.len(), plan.positives, plan.negatives])
        .real(base.unwrap_or(0.0))
        .run([1, 1, 1], 256)?;
    let facts = facts.tensor(3);

    let mut maps: [Option<Tensor>; 2] = [None, None];
    for v in (0..2).filter(|&v| tracked[v]) {
        let map = Tensor::zeros(first.shape(), first.dtype(), device)?;
        for ((pool, side), &pixels_at) in pairs.pools.iter().zip(&mut sides).zip(&plan.pixels_at) {
            if pool.source.view() == Some(v) {
                side.add_to(&map, &numbers, pixels_at, [pool.classes.len(), dim, area], (&tau, base))?;
            }
        }
        maps[v] = Some(map);
    }

    let fact = |i: usize| facts.get(i);
    let positive_logit = (plan.positives > 0).then(|| fact(0)).transpose()?;
    let negative_logit = (plan.negatives > 0).then(|| fact(1)).transpose()?;
    let slope = fact(2)?;
    let arguments = [first, second, temperature];
    let loss = record(
        "pixel_contrast",
        &arguments,
        value.output(()),
        move |arguments, _, gradient| {
            let scaled = |map: &Tensor| map.broadcast_mul(&gradient.to_dtype(map.dtype())?);
            let [da, db] = maps.each_ref().map(|map| map.as_ref().map(scaled).transpose());
            let (slope, third) = ((&slope * gradient.to_dtype(DType::F64)?)?, arguments[2]);
            let slope = tracked[2].then(|| slope.to_dtype(third.dtype())?.reshape(third.shape()));
            Ok(vec![da?, db?, slope.transpose()?])
        },
    )?;
    Ok(Contrast {
        loss,
        temperature: exact,
        positive_logit,
        negative_logit,
    })
}

impl Side {
    /// Add this pool's gradient to the map's, and let go of all it holds: the peak of memory is here.
    fn add_to(
        &mut self,
        map: &Tensor,
        numbers: &Tensor,
        pixels_at: usize,
        [n, dim, area]: [usize; 3],
        (tau, base): (&Tensor, Option<f64>),
    ) -> Result<()> {
        let (Some(gradient), Some(inverse)) = (self.gradient.take(), self.inverse.take()) else {
            return Ok(());
        };
        let rows = std::mem::replace(&mut self.rows, inverse.clone());
        let mut along = Buffer::like(&rows, n)?;
        Launch::of(&SOURCE, "contrast_along", map)
            .read(&gradient)
            .read(&rows)
            .write(&mut along)
            .ints(&[n, dim])
            .run([n.div_ceil(WARPS), 1, 1], TILE * WARPS)?;
        let along = along.tensor(n.max(1));
        Launch::of(&SOURCE, "contrast_to_map", map)
            .read(&gradient)
            .read(&rows)
            .read(&along)
            .read(&inverse)
            .read(numbers)
            .read(tau)
            .update(map)
            .ints(&[pixels_at, n, dim, area])
            .real(base.unwrap_or(0.0))
            .run([n.div_ceil(TILE), dim.div_ceil(TILE), 1], TILE * WARPS)
    }
}

/// What all blocks share.
struct Job<'a> {
    /// Says for which element type the kernels are compiled.
    map: &'a Tensor,
    dim: usize,
    tau: &'a Tensor,
    own_positive: bool,
    slopes: bool,
    numbers: &'a Tensor,
    weights: &'a Tensor,
    sums: &'a Tensor,
}

impl Job<'_> {
    fn run(&self, blocks: &[Block], sides: &[Side], check: Check) -> crate::error::Result<()> {
        let (device, wide) = (self.map.device(), arithmetic(self.map.dtype()));
        let fresh = |len: usize| -> Result<Tensor> { Ok(Buffer::new(device, wide, len)?.tensor(len.max(1))) };
        let most = |of: fn(&Block) -> usize| blocks.iter().map(of).max().unwrap_or(0);
        let panel = fresh(most(|b| b.count * b.width))?;
        let rows = most(|b| b.count);
        let (factors, scaled, slopes) = (fresh(rows)?, fresh(rows * self.dim)?, fresh(rows * self.dim)?);
        for block in blocks.iter().filter(|block| block.width > 0) {
            check()?;
            let (n, dim, width) = (block.count, self.dim, block.width);
            let side = &sides[block.pool];
            let anchors = Matrix::new(&side.rows, block.row * dim, [n, dim], dim);
            let parts: Vec<_> = block
                .strips
                .iter()
                .filter(|strip| !strip.rows.is_empty())
                .map(|strip| {
                    let (from, count) = (strip.rows.start * dim, strip.rows.len());
                    let columns = Matrix::new(&panel, strip.at, [n, count], width);
                    (
                        strip,
                        columns,
                        Matrix::new(&sides[strip.pool].rows, from, [count, dim], dim),
                    )
                })
                .collect();
            for (_, columns, keys) in &parts {
                multiply(*columns, false, 1.0, anchors, keys.transposed())?;
            }
            Launch::of(&SOURCE, "contrast_panel", self.map)
                .update(&panel)
                .read(self.numbers)
                .read(self.weights)
                .update(&factors)
                .update(self.sums)
                .read(self.tau)
                .ints(&[block.anchor, block.classes_at, block.own_at, block.strips_at])
                .ints(&[block.strips.len(), width, usize::from(self.own_positive)])
                .real(super::panel::SAFE_RANGE)
                .run([n, 1, 1], width.next_power_of_two().clamp(64, 512))?;
            if !self.slopes {
                continue;
            }
            let own = Matrix::new(&slopes, 0, [n, dim], dim);
            for (i, (_, columns, keys)) in parts.iter().enumerate() {
                multiply(own, i > 0, 1.0, *columns, *keys)?;
            }
            Launch::of(&SOURCE, "contrast_scale", self.map)
                .read(&side.rows)
                .read(&factors)
                .read(&slopes)
                .update(&scaled)
                .read_or_null(side.gradient.as_ref())
                .update(self.sums)
                .ints(&[block.anchor, block.row, n, dim])
                .run([n.div_ceil(WARPS), 1, 1], TILE * WARPS)?;
            let scaled = Matrix::new(&scaled, 0, [n, dim], dim);
            for (strip, columns, _) in &parts {
                if let Some(gradient) = &sides[strip.pool].gradient {
                    let target = Matrix::new(gradient, strip.rows.start * dim, [strip.rows.len(), dim], dim);
                    multiply(target, true, 1.0, columns.transposed(), scaled)?;
                }
            }
        }
        Ok(())
    }
}
