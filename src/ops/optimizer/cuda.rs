//! The optimisers on a GPU: one launch over all parameters, whose addresses are uploaded with each step (gradients move).

use candle_core::{DType, Device, Tensor, Var};

use super::guard::Guard;
use super::{AdamwStep, SgdStep, adamw_corrections};
use crate::error::Result;
use crate::ops::kernel::cuda::{Buffer, Launch, Source, THREADS, address, upload};

pub(super) const SOURCE: Source = Source::new("optimizer", include_str!("optimizer.cu"));

/// Elements of a block, as in the kernels.
const PIECE: usize = 16_384;

/// A parameter to update.
pub(crate) struct Item<'a> {
    pub(crate) parameter: &'a Var,
    pub(crate) gradient: &'a Tensor,
    /// SGD: the velocity or nothing; AdamW: mean and mean square.
    pub(crate) state: Vec<&'a Tensor>,
    pub(crate) lr: f64,
    pub(crate) weight_decay: f64,
}

/// The tables of a launch over some tensors of one element type.
pub(super) struct Tables {
    pub(super) table: Tensor,
    pub(super) pieces: Tensor,
    pub(super) blocks: usize,
}

impl Tables {
    /// `rows`: the addresses of up to four tensors, and the length.
    pub(super) fn new(rows: &[([u64; 4], usize)], device: &Device) -> Result<Self> {
        let (mut table, mut pieces) = (Vec::new(), Vec::new());
        for (index, (addresses, len)) in rows.iter().enumerate() {
            table.extend(addresses.iter().map(|a| *a as i64));
            table.push(*len as i64);
            for first in (0..*len).step_by(PIECE) {
                pieces.extend([index as i64, first as i64]);
            }
        }
        let blocks = pieces.len() / 2;
        if pieces.is_empty() {
            pieces.push(0); // an empty tensor has no address
        }
        Ok(Tables {
            table: upload(&Tensor::new(table, &Device::Cpu)?, device)?,
            pieces: upload(&Tensor::new(pieces, &Device::Cpu)?, device)?,
            blocks,
        })
    }
}

/// The element types of gradients.
pub(super) const TYPES: [DType; 3] = [DType::F32, DType::F64, DType::BF16];

/// The sums of the squares of all elements of these tensors (one device), f64 `[3]`, by element type; nothing is read back.
pub(crate) fn squares(tensors: &[&Tensor], device: &Device) -> Result<Tensor> {
    let totals = Tensor::zeros(TYPES.len(), DType::F64, device)?;
    for (slot, dtype) in TYPES.into_iter().enumerate() {
        let tensors: Vec<Tensor> = tensors
            .iter()
            .filter(|t| t.dtype() == dtype)
            .map(|t| t.contiguous())
            .collect::<candle_core::Result<_>>()?;
        let Some(first) = tensors.first() else { continue };
        let rows = tensors.iter().map(|t| Ok(([0, address(t)?, 0, 0], t.elem_count())));
        let tables = Tables::new(&rows.collect::<Result<Vec<_>>>()?, device)?;
        let mut parts = Buffer::new(device, DType::F64, tables.blocks)?;
        let launch = Launch::of(&SOURCE, "optimizer_squares", first).read(&tables.table);
        let launch = launch.read(&tables.pieces).write(&mut parts);
        launch.run([tables.blocks, 1, 1], THREADS)?;
        let parts = parts.tensor(tables.blocks.max(1));
        let launch = Launch::of(&SOURCE, "optimizer_sum", first).read(&parts).update(&totals);
        launch.ints(&[tables.blocks, slot]).run([1, 1, 1], THREADS)?;
    }
    Ok(totals)
}

/// One SGD step on all of `items`, unless the guard has stopped; `o`'s learning rate, decay and scale are replaced by theirs.
pub(crate) fn sgd(items: &[Item], o: &SgdStep, guard: &Guard) -> Result<()> {
    by_type(
        items,
        |tables, numbers, first| {
            Launch::of(&SOURCE, "optimizer_sgd", first)
                .read(&tables.table)
                .read(&tables.pieces)
                .read(numbers)
                .read(guard.tensor())
                .int(usize::from(o.nesterov))
                .real(o.momentum)
                .run([tables.blocks, 1, 1], THREADS)
        },
        |item| (item.lr, item.weight_decay),
    )
}

/// One AdamW step on all of `items`, unless the guard has stopped; `o`'s learning rate, decay and scale are replaced by theirs.
pub(crate) fn adamw(items: &[Item], o: &AdamwStep, guard: &Guard) -> Result<()> {
    let (_, root) = adamw_corrections(o);
    by_type(
        items,
        |tables, numbers, first| {
            let launch = Launch::of(&SOURCE, "optimizer_adamw", first).read(&tables.table);
            [1.0 - o.beta1, o.beta2, 1.0 - o.beta2, o.eps, root]
                .into_iter()
                .fold(
                    launch.read(&tables.pieces).read(numbers).read(guard.tensor()),
                    |launch, v| launch.real(v),
                )
                .run([tables.blocks, 1, 1], THREADS)
        },
        |item| {
            let (size, _) = adamw_corrections(&AdamwStep { lr: item.lr, ..*o });
            (size, 1.0 - item.lr * item.weight_decay)
        },
    )
}

/// Call `launch` once for each element type among the parameters, with the tables and each parameter's two `numbers`.
fn by_type(
    items: &[Item],
    launch: impl Fn(&Tables, &Tensor, &Tensor) -> candle_core::Result<()>,
    numbers: impl Fn(&Item) -> (f64, f64),
) -> Result<()> {
    for dtype in [DType::F32, DType::F64] {
        let items: Vec<&Item> = items.iter().filter(|i| i.parameter.dtype() == dtype).collect();
        let Some(first) = items.first() else { continue };
        let device = first.parameter.device();
        let (mut rows, mut kept, mut list) = (Vec::new(), Vec::new(), Vec::new());
        for item in &items {
            let gradient = item.gradient.to_dtype(dtype)?.contiguous()?;
            let on_device = |t: &Tensor| t.device().same_device(device);
            crate::ensure!(
                on_device(&gradient) && on_device(item.parameter) && item.state.iter().all(|t| on_device(t)),
                "optimizer: the parameters, their gradients and the state kept for them must be on one device"
            );
            let mut addresses = [address(item.parameter)?, address(&gradient)?, 0, 0];
            for (to, state) in addresses[2..].iter_mut().zip(&item.state) {
                *to = address(state)?;
            }
            rows.push((addresses, gradient.elem_count()));
            kept.push(gradient); // until the launch
            let (a, b) = numbers(item);
            list.extend([a, b]);
        }
        launch(
            &Tables::new(&rows, device)?,
            &Tensor::new(list, device)?,
            first.parameter,
        )?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{available, random};
    use crate::ops::optimizer::{adamw_step, sgd_step};

    pub(in crate::ops::optimizer) fn apart(a: &Tensor, b: &Tensor) -> f64 {
        let difference = (a - b).unwrap().to_dtype(DType::F64).unwrap();
        difference.abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    /// Parameters of both element types, one of several blocks, with two copies of everything.
    pub(in crate::ops::optimizer) type Side = Vec<(Var, Vec<Tensor>)>;

    pub(in crate::ops::optimizer) fn side() -> Side {
        let shapes = [
            (vec![3, 5], DType::F32),
            (vec![PIECE * 2 + 3], DType::F32),
            (vec![7], DType::F64),
        ];
        let of = |(i, (shape, dtype)): (usize, (Vec<usize>, DType))| {
            let var = Var::from_tensor(&random(&shape, i as u64).to_dtype(dtype).unwrap()).unwrap();
            let state = [0; 2].map(|_| Tensor::zeros(shape.clone(), dtype, &Device::Cpu).unwrap());
            (var, state.to_vec())
        };
        shapes.into_iter().enumerate().map(of).collect()
    }

    #[test]
    fn one_launch_moves_all_parameters_as_the_processor_does() {
        if !available() {
            return;
        }
        for (rule, states) in [("sgd", 0), ("sgd", 1), ("nesterov", 1), ("adamw", 2)] {
            let (ours, theirs) = (side(), side());
            let start = side();
            for step in 1..4u64 {
                let gradients: Vec<Tensor> = ours
                    .iter()
                    .enumerate()
                    .map(|(i, (v, _))| random(v.dims(), step * 10 + i as u64).to_dtype(v.dtype()).unwrap())
                    .collect();
                let numbers = |i: usize| (0.1 * (i + 1) as f64, 0.01 * i as f64);
                let items: Vec<Item> = ours
                    .iter()
                    .zip(&gradients)
                    .enumerate()
                    .map(|(i, ((parameter, state), gradient))| Item {
                        parameter,
                        gradient,
                        state: state.iter().take(states).collect(),
                        lr: numbers(i).0,
                        weight_decay: numbers(i).1,
                    })
                    .collect();
                let sgd_of = |(lr, weight_decay): (f64, f64)| SgdStep {
                    lr,
                    momentum: 0.9,
                    nesterov: rule == "nesterov",
                    weight_decay,
                    scale: 0.5,
                };
                let adamw_of = |(lr, weight_decay): (f64, f64)| AdamwStep {
                    lr,
                    beta1: 0.9,
                    beta2: 0.99,
                    eps: 1e-8,
                    weight_decay,
                    scale: 0.5,
                    step,
                };
                let guard = Guard::new(0.5, &Device::Cpu).unwrap();
                match rule {
                    "adamw" => adamw(&items, &adamw_of((0.0, 0.0)), &guard).unwrap(),
                    _ => sgd(&items, &sgd_of((0.0, 0.0)), &guard).unwrap(),
                }
                for (i, ((v, s), g)) in theirs.iter().zip(&gradients).enumerate() {
                    match rule {
                        "adamw" => adamw_step(v, g, &s[0], &s[1], &adamw_of(numbers(i))).unwrap(),
                        _ => sgd_step(v, g, (states > 0).then_some(&s[0]), &sgd_of(numbers(i))).unwrap(),
                    }
                }
            }
            for (((a, s), (b, t)), (old, _)) in ours.iter().zip(&theirs).zip(&start) {
                assert!(apart(a, old) > 1e-3, "{rule}: nothing moved");
                assert!(apart(a, b) < 1e-5, "{rule} {states}: {}", apart(a, b));
                for (s, t) in s.iter().zip(t) {
                    assert!(apart(s, t) < 1e-5);
                }
            }
        }
    }
}
