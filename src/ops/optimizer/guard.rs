//! Steps on a GPU that nobody waits for: judged by a kernel, not made if they came to nothing; copies put back; averages.

use candle_core::{Device, Tensor, Var};

use super::cuda::{SOURCE, TYPES, Tables};
use crate::error::Result;
use crate::ops::kernel::cuda::{Buffer, Launch, THREADS, address};

/// What the updates ask on the device before they change anything: whether a step was not finite, and the factor of the gradients.
pub(crate) struct Guard(Tensor);

impl Guard {
    /// The flag and the factor, f64.
    pub(super) fn tensor(&self) -> &Tensor {
        &self.0
    }

    /// Nothing was wrong so far; gradients count `scale` times.
    pub(crate) fn new(scale: f64, device: &Device) -> Result<Self> {
        Ok(Guard(Tensor::new(&[0.0, scale], device)?))
    }

    /// Judge a step by its loss (an f64 scalar) and the sums of the squares of its gradients, on the device: if one is not finite, no
    /// update that asks this guard is made from here on; if the norm is above `most`, gradients are scaled down to it. The norm, an
    /// f64 scalar.
    pub(crate) fn judge(&self, squares: &Tensor, loss: &Tensor, most: Option<f64>) -> Result<Tensor> {
        let loss = loss.to_device(squares.device())?; // a script's loss may lie in main memory
        let mut norm = Buffer::like(squares, 1)?;
        Launch::of(&SOURCE, "optimizer_judge", squares)
            .read(squares)
            .read(&loss)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::kernel::cuda::emulated::available;
    use crate::ops::optimizer::cuda::tests::{apart, side};
    use crate::ops::optimizer::cuda::{Item, adamw, sgd, squares};
    use crate::ops::optimizer::{AdamwStep, SgdStep};

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
        let expected: f64 = tensors
            .iter()
            .map(|t| crate::ops::optimizer::sum_of_squares(t).unwrap())
            .sum();
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
            crate::ops::optimizer::average_all(&[(theirs, source.clone())], 0.75).unwrap();
            assert!(apart(ours, theirs) < 1e-6 && apart(ours, source) > 0.1);
        }
    }
}
