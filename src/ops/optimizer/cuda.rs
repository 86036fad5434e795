//! The optimisers on a GPU: one launch over all parameters, whose addresses are uploaded with each step (gradients move).

use candle_core::{DType, Device, Tensor, Var};

use super::{AdamwStep, SgdStep, adamw_corrections};
use crate::error::Result;
use crate::ops::kernel::cuda::{Buffer, Launch, Source, THREADS, address};

const SOURCE: Source = Source {
    name: "optimizer",
    text: include_str!("optimizer.cu"),
};

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
struct Tables {
    table: Tensor,
    pieces: Tensor,
    blocks: usize,
    device: Device,
}

impl Tables {
    /// `rows`: the addresses of up to four tensors, and the length.
    fn new(rows: &[([u64; 4], usize)], device: &Device) -> Result<Self> {
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
            table: Tensor::new(table, device)?,
            pieces: Tensor::new(pieces, device)?,
            blocks,
            device: device.clone(),
        })
    }
}

/// The sum of the squares of all elements of these tensors (one device), read back once for each element type among them.
pub(crate) fn sum_of_squares(tensors: &[&Tensor]) -> Result<f64> {
    let mut total = 0.0;
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let tensors: Vec<Tensor> = tensors
            .iter()
            .filter(|t| t.dtype() == dtype)
            .map(|t| t.contiguous())
            .collect::<candle_core::Result<_>>()?;
        let Some(first) = tensors.first() else { continue };
        let rows = tensors.iter().map(|t| Ok(([0, address(t)?, 0, 0], t.elem_count())));
        let tables = Tables::new(&rows.collect::<Result<Vec<_>>>()?, first.device())?;
        let mut parts = Buffer::new(&tables.device, DType::F64, tables.blocks)?;
        let launch = Launch::of(&SOURCE, "optimizer_squares", first).read(&tables.table);
        let launch = launch.read(&tables.pieces).write(&mut parts);
        launch.run([tables.blocks, 1, 1], THREADS)?;
        let parts = parts.tensor(tables.blocks.max(1));
        let mut sum = Buffer::new(&tables.device, DType::F64, 1)?;
        let launch = Launch::of(&SOURCE, "optimizer_sum", first).read(&parts).write(&mut sum);
        launch.int(tables.blocks).run([1, 1, 1], THREADS)?;
        total += sum.tensor(()).to_scalar::<f64>()?;
    }
    Ok(total)
}

/// One SGD step on all of `items`; `o`'s learning rate and decay are replaced by theirs.
pub(crate) fn sgd(items: &[Item], o: &SgdStep) -> Result<()> {
    by_type(
        items,
        |tables, numbers, first| {
            Launch::of(&SOURCE, "optimizer_sgd", first)
                .read(&tables.table)
                .read(&tables.pieces)
                .read(numbers)
                .int(usize::from(o.nesterov))
                .real(o.momentum)
                .real(o.scale)
                .run([tables.blocks, 1, 1], THREADS)
        },
        |item| (item.lr, item.weight_decay),
    )
}

/// One AdamW step on all of `items`; `o`'s learning rate and decay are replaced by theirs.
pub(crate) fn adamw(items: &[Item], o: &AdamwStep) -> Result<()> {
    let (_, root) = adamw_corrections(o);
    by_type(
        items,
        |tables, numbers, first| {
            let launch = Launch::of(&SOURCE, "optimizer_adamw", first).read(&tables.table);
            [1.0 - o.beta1, o.beta2, 1.0 - o.beta2, o.eps, root, o.scale]
                .into_iter()
                .fold(launch.read(&tables.pieces).read(numbers), |launch, v| launch.real(v))
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
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::{available, random};
    use crate::ops::optimizer::{adamw_step, sgd_step};

    fn apart(a: &Tensor, b: &Tensor) -> f64 {
        let difference = (a - b).unwrap().to_dtype(DType::F64).unwrap();
        difference.abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    /// Parameters of both element types, one of several blocks, with two copies of everything.
    type Side = Vec<(Var, Vec<Tensor>)>;

    fn side() -> Side {
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
                match rule {
                    "adamw" => adamw(&items, &adamw_of((0.0, 0.0))).unwrap(),
                    _ => sgd(&items, &sgd_of((0.0, 0.0))).unwrap(),
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

    #[test]
    fn the_norm_is_that_of_the_processor() {
        if !available() {
            return;
        }
        let all = side();
        let tensors: Vec<&Tensor> = all.iter().map(|(v, _)| v.as_tensor()).collect();
        let expected: f64 = tensors.iter().map(|t| super::super::sum_of_squares(t).unwrap()).sum();
        assert!((sum_of_squares(&tensors).unwrap() / expected - 1.0).abs() < 1e-9);
    }
}
