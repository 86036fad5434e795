//! The optimisers on a GPU: one launch over all parameters, whose addresses are uploaded with each step (gradients move).

use candle_core::{DType, Device, Tensor, Var};

use super::{AdamwStep, SgdStep, adamw_corrections};
use crate::error::Result;
use crate::ops::kernel::cuda::{Buffer, Launch, Source, THREADS, address, upload};

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
            table: upload(&Tensor::new(table, &Device::Cpu)?, device)?,
            pieces: upload(&Tensor::new(pieces, &Device::Cpu)?, device)?,
            blocks,
        })
    }
}

/// The element types of gradients.
const TYPES: [DType; 3] = [DType::F32, DType::F64, DType::BF16];

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

/// What the updates ask on the device before they change anything: whether a step was not finite, and the factor of the gradients.
pub(crate) struct Guard(Tensor);

impl Guard {
    /// Nothing was wrong so far; gradients count `scale` times.
    pub(crate) fn new(scale: f64, device: &Device) -> Result<Self> {
        Ok(Guard(Tensor::new(&[0.0, scale], device)?))
    }

    /// Judge a step by its loss (an f64 scalar) and the [`squares`] of its gradients, on the device: if one is not finite, no update that asks
    /// this guard is made from here on; if the norm is above `most`, gradients are scaled down to it. The norm, an f64 scalar.
    pub(crate) fn judge(&self, squares: &Tensor, loss: &Tensor, most: Option<f64>) -> Result<Tensor> {
        let mut norm = Buffer::like(squares, 1)?;
        Launch::of(&SOURCE, "optimizer_judge", squares)
            .read(squares)
            .read(loss)
            .write(&mut norm)
            .update(&self.0)
            .int(squares.elem_count())
            .real(most.unwrap_or(0.0))
            .run([1, 1, 1], 32)?;
        Ok(norm.tensor(()))
    }
}

/// Copies of variables, to be put back if a step comes to nothing.
pub(crate) struct Copies(Vec<(Var, Tensor)>);

impl Copies {
    /// Copies of these variables as they stand, made by one launch for each element type.
    pub(crate) fn of(vars: Vec<Var>) -> Result<Self> {
        let empty = |var: Var| -> Result<(Var, Tensor)> {
            let copy = Buffer::like(&var, var.elem_count())?.tensor(var.shape());
            Ok((var, copy))
        };
        let copies = Copies(vars.into_iter().map(empty).collect::<Result<_>>()?);
        copies.copy(|var, copy| [copy.clone(), var.clone()], None)?;
        Ok(copies)
    }

    /// Put the copies back: always, or if the guard has stopped the updates.
    pub(crate) fn put_back(&self, guard: Option<&Guard>) -> Result<()> {
        self.copy(|var, copy| [var.clone(), copy.clone()], guard)
    }

    fn copy(&self, order: impl Fn(&Tensor, &Tensor) -> [Tensor; 2], guard: Option<&Guard>) -> Result<()> {
        let pairs: Vec<[Tensor; 2]> = self.0.iter().map(|(var, copy)| order(var, copy)).collect();
        for (tables, first) in pair_tables(&pairs)? {
            Launch::of(&SOURCE, "optimizer_copy", &first)
                .read(&tables.table)
                .read(&tables.pieces)
                .read_or_null(guard.map(|g| &g.0))
                .run([tables.blocks, 1, 1], THREADS)?;
        }
        Ok(())
    }
}

/// `target = momentum target + (1 - momentum) source` for all pairs (target, source of the same type).
pub(crate) fn average(pairs: &[[Tensor; 2]], momentum: f64) -> Result<()> {
    for (tables, first) in pair_tables(pairs)? {
        Launch::of(&SOURCE, "optimizer_average", &first)
            .read(&tables.table)
            .read(&tables.pieces)
            .real(momentum)
            .real(1.0 - momentum)
            .run([tables.blocks, 1, 1], THREADS)?;
    }
    Ok(())
}

/// The tables of one launch for each element type among the pairs (changed, read), with a tensor of that type.
fn pair_tables(pairs: &[[Tensor; 2]]) -> Result<Vec<(Tables, Tensor)>> {
    let mut all = Vec::new();
    for dtype in TYPES {
        let pairs: Vec<&[Tensor; 2]> = pairs.iter().filter(|p| p[0].dtype() == dtype).collect();
        let Some([first, _]) = pairs.first() else { continue };
        let mut rows = Vec::new();
        for [to, from] in pairs.iter().copied() {
            crate::ensure!(
                from.dtype() == dtype && from.elem_count() == to.elem_count() && from.device().same_device(to.device()),
                "optimizer: a tensor of shape {:?} and its copy of shape {:?} differ in type, length or device",
                to.dims(),
                from.dims()
            );
            rows.push(([address(to)?, address(from)?, 0, 0], to.elem_count()));
        }
        all.push((Tables::new(&rows, first.device())?, first.clone()));
    }
    Ok(all)
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
                .read(&guard.0)
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
                .fold(launch.read(&tables.pieces).read(numbers).read(&guard.0), |launch, v| {
                    launch.real(v)
                })
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

    /// A guard that has judged these gradients and this loss, and the norm.
    fn judged(gradients: &[&Tensor], loss: f64, most: Option<f64>) -> (Guard, f64) {
        let guard = Guard::new(1.0, &Device::Cpu).unwrap();
        let norm = judge(&guard, gradients, loss, most);
        (guard, norm)
    }

    fn judge(guard: &Guard, gradients: &[&Tensor], loss: f64, most: Option<f64>) -> f64 {
        let loss = Tensor::new(loss, &Device::Cpu).unwrap();
        let norm = guard.judge(&squares(gradients, &Device::Cpu).unwrap(), &loss, most);
        norm.unwrap().to_scalar::<f64>().unwrap()
    }

    #[test]
    fn the_norm_is_that_of_the_processor_and_bounds_the_gradients() {
        if !available() {
            return;
        }
        let all = side();
        let tensors: Vec<&Tensor> = all.iter().map(|(v, _)| v.as_tensor()).collect();
        let expected: f64 = tensors.iter().map(|t| super::super::sum_of_squares(t).unwrap()).sum();
        for (most, scale) in [
            (None, 1.0),
            (Some(1e9), 1.0),
            (Some(2.0), 2.0 / (expected.sqrt() + 1e-6)),
        ] {
            let (guard, norm) = judged(&tensors, 0.5, most);
            assert!((norm / expected.sqrt() - 1.0).abs() < 1e-9);
            let found = guard.0.to_vec1::<f64>().unwrap();
            assert!(
                found[0] == 0.0 && (found[1] / scale - 1.0).abs() < 1e-9,
                "{found:?} {scale}"
            );
        }
    }

    #[test]
    fn after_a_loss_or_gradient_that_is_not_finite_nothing_moves_and_copies_come_back() {
        if !available() {
            return;
        }
        let broken = Tensor::new(&[1.0f32, f32::INFINITY], &Device::Cpu).unwrap();
        let fine = Tensor::new(&[1.0f32, 2.0], &Device::Cpu).unwrap();
        for (gradient, loss) in [(&broken, 1.0), (&fine, f64::NAN), (&fine, f64::NEG_INFINITY)] {
            let (guard, _) = judged(&[gradient], loss, None);
            judge(&guard, &[&fine], 1.0, None); // a later step does not make it good again
            let all = side();
            let vars: Vec<Var> = all.iter().map(|(v, _)| v.clone()).collect();
            let copies = Copies::of(vars).unwrap();
            let gradients: Vec<Tensor> = all.iter().map(|(v, _)| (v.as_tensor() * 2.0).unwrap()).collect();
            let items = |states: usize| -> Vec<Item> {
                all.iter()
                    .zip(&gradients)
                    .map(|((parameter, state), gradient)| Item {
                        parameter,
                        gradient,
                        state: state.iter().take(states).collect(),
                        lr: 0.1,
                        weight_decay: 0.1,
                    })
                    .collect()
            };
            let sgd_step = SgdStep {
                lr: 0.1,
                momentum: 0.9,
                nesterov: false,
                weight_decay: 0.1,
                scale: 1.0,
            };
            let adamw_step = AdamwStep {
                lr: 0.1,
                beta1: 0.9,
                beta2: 0.99,
                eps: 1e-8,
                weight_decay: 0.1,
                scale: 1.0,
                step: 1,
            };
            sgd(&items(1), &sgd_step, &guard).unwrap();
            adamw(&items(2), &adamw_step, &guard).unwrap();
            let start = side();
            for ((var, state), (old, _)) in all.iter().zip(&start) {
                assert_eq!(apart(var, old), 0.0);
                assert!(state.iter().all(|s| apart(s, &s.zeros_like().unwrap()) == 0.0));
                var.set(&(old.as_tensor() + 1.0).unwrap()).unwrap();
            }
            let good = Guard::new(1.0, &Device::Cpu).unwrap();
            copies.put_back(Some(&good)).unwrap();
            assert!(all.iter().zip(&start).all(|((v, _), (old, _))| apart(v, old) > 0.9));
            copies.put_back(Some(&guard)).unwrap();
            assert!(all.iter().zip(&start).all(|((v, _), (old, _))| apart(v, old) == 0.0));
        }
    }

    #[test]
    fn one_launch_averages_all_pairs() {
        if !available() {
            return;
        }
        let (ours, theirs, towards) = (side(), side(), side());
        let sources: Vec<Tensor> = towards.iter().map(|(v, _)| (v.as_tensor() * -3.0).unwrap()).collect();
        let pairs: Vec<[Tensor; 2]> = ours
            .iter()
            .zip(&sources)
            .map(|((v, _), s)| [v.as_tensor().clone(), s.clone()])
            .collect();
        average(&pairs, 0.75).unwrap();
        for (((ours, _), (theirs, _)), source) in ours.iter().zip(&theirs).zip(&sources) {
            super::super::average_all(&[(theirs, source.clone())], 0.75).unwrap();
            assert!(apart(ours, theirs) < 1e-6 && apart(ours, source) > 0.1);
        }
    }
}
