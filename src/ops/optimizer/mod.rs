//! The arithmetic of one optimiser step on one parameter: a single threaded pass over parameter, gradient and state, in place.
//!
//! On the CPU nothing is allocated. On a GPU one launch takes all parameters (`cuda.rs`).

pub(crate) mod cuda;
pub(crate) mod guard;

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Tensor, Var, WithDType};
use rayon::prelude::*;

use super::kernel::{Element, View, on_gpu};
use crate::error::Result;

/// Elements per task: large enough to pay for handing it out, and fixed, so that sums do not depend on the thread count.
const CHUNK: usize = 1 << 14;

/// The constants of one SGD step, as in `torch.optim.SGD` (dampening 0).
#[derive(Clone, Copy, Debug)]
pub struct SgdStep {
    /// Learning rate.
    pub lr: f64,
    /// Weight of the velocity kept from the step before.
    pub momentum: f64,
    /// Look ahead along the velocity.
    pub nesterov: bool,
    /// L2 penalty, added to the gradient.
    pub weight_decay: f64,
    /// The gradient is multiplied by this first (clipping).
    pub scale: f64,
}

/// The constants of one AdamW step, as in `torch.optim.AdamW`.
#[derive(Clone, Copy, Debug)]
pub struct AdamwStep {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean gradient.
    pub beta1: f64,
    /// Decay of the mean squared gradient.
    pub beta2: f64,
    /// Added to the root of the mean square.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// The gradient is multiplied by this first (clipping).
    pub scale: f64,
    /// The number of this step, from 1 (bias correction).
    pub step: u64,
}

/// `g = scale grad + weight_decay p; v = momentum v + g; p -= lr (nesterov: g + momentum v, else v)`.
///
/// `velocity` starts as zeros of the parameter's shape; without it (momentum 0) `p -= lr g`. Cost: one pass.
/// Source: PyTorch, `torch.optim.SGD`.
pub fn sgd_step(parameter: &Var, gradient: &Tensor, velocity: Option<&Tensor>, o: &SgdStep) -> Result<()> {
    if on_gpu(parameter.device()) {
        let item = cuda::Item {
            parameter,
            gradient,
            state: velocity.into_iter().collect(),
            lr: o.lr,
            weight_decay: o.weight_decay,
        };
        return cuda::sgd(&[item], o, &guard::Guard::new(o.scale, parameter.device())?);
    }
    match parameter.dtype() {
        f64::DTYPE => sgd_elements::<f64>(parameter, gradient, velocity, o),
        _ => sgd_elements::<f32>(parameter, gradient, velocity, o),
    }
}

/// `p *= 1 - lr weight_decay; m += (1 - beta1)(g - m); s = beta2 s + (1 - beta2) g^2;
/// p -= lr / (1 - beta1^t) m / (sqrt(s / (1 - beta2^t)) + eps)` with `g = scale grad`.
///
/// `mean` and `square` start as zeros of the parameter's shape. Cost: one pass. Source: PyTorch, `torch.optim.AdamW`.
pub fn adamw_step(parameter: &Var, gradient: &Tensor, mean: &Tensor, square: &Tensor, o: &AdamwStep) -> Result<()> {
    if on_gpu(parameter.device()) {
        let item = cuda::Item {
            parameter,
            gradient,
            state: vec![mean, square],
            lr: o.lr,
            weight_decay: o.weight_decay,
        };
        return cuda::adamw(&[item], o, &guard::Guard::new(o.scale, parameter.device())?);
    }
    match parameter.dtype() {
        f64::DTYPE => adamw_elements::<f64>(parameter, gradient, mean, square, o),
        _ => adamw_elements::<f32>(parameter, gradient, mean, square, o),
    }
}

/// `target = momentum target + (1 - momentum) source` for all pairs (target, source): running averages of parameters. Cost: one pass;
/// on a GPU one launch for all.
pub fn average_all(pairs: &[(&Var, Tensor)], momentum: f64) -> Result<()> {
    fn elements<T: Element>(target: &Var, source: &Tensor, momentum: f64) -> Result<()> {
        let [keep, new] = [momentum, 1.0 - momentum].map(T::from_f64);
        let source = source.contiguous()?;
        let s = View::<T>::of(&source)?;
        write(target, |t: &mut [T]| {
            t.par_chunks_mut(CHUNK).zip(s.par_chunks(CHUNK)).for_each(|(t, s)| {
                t.iter_mut().zip(s).for_each(|(t, s)| *t = keep * *t + new * *s);
            });
            Ok(())
        })
    }
    if pairs.first().is_some_and(|(target, _)| on_gpu(target.device())) {
        let pairs = pairs.iter().map(|(target, source)| {
            let source = source.to_dtype(target.dtype())?.contiguous()?;
            Ok([target.as_detached_tensor(), source])
        });
        return guard::average(&pairs.collect::<Result<Vec<_>>>()?, momentum);
    }
    pairs.iter().try_for_each(|(target, source)| match target.dtype() {
        f64::DTYPE => elements::<f64>(target, source, momentum),
        _ => elements::<f32>(target, source, momentum),
    })
}

/// The sum of the squares of all elements, in f64; the same for every number of threads.
pub fn sum_of_squares(t: &Tensor) -> Result<f64> {
    fn chunks<T: Element>(t: &Tensor) -> Result<f64> {
        let t = t.contiguous()?;
        let parts: Vec<f64> = View::<T>::of(&t)?
            .par_chunks(CHUNK)
            .map(|chunk| {
                // Sixteen running sums: a single one would wait for every addition.
                let mut lanes = [0f64; 16];
                for part in chunk.chunks(16) {
                    for (lane, v) in lanes.iter_mut().zip(part) {
                        let v = v.to_f64();
                        *lane += v * v;
                    }
                }
                lanes.iter().sum()
            })
            .collect();
        Ok(parts.iter().sum())
    }
    match (t.device().is_cpu(), t.dtype()) {
        (true, f32::DTYPE) => chunks::<f32>(t),
        (true, f64::DTYPE) => chunks::<f64>(t),
        _ => Ok(t.to_dtype(f64::DTYPE)?.sqr()?.sum_all()?.to_scalar()?),
    }
}

/// Multiply every element of a contiguous tensor by `factor`, in place: every tensor that shares its memory sees it.
pub fn scale_in_place(t: &Tensor, factor: f64) -> Result<()> {
    fn scale<T: Element>(t: &Tensor, factor: f64) -> Result<()> {
        let factor = T::from_f64(factor);
        write(t, |values: &mut [T]| {
            values
                .par_chunks_mut(CHUNK)
                .for_each(|chunk| chunk.iter_mut().for_each(|v| *v *= factor));
            Ok(())
        })
    }
    match (t.device().is_cpu(), t.dtype() == f64::DTYPE) {
        (true, true) => scale::<f64>(t, factor),
        (true, false) => scale::<f32>(t, factor),
        (false, _) => set(t, &(t * factor)?),
    }
}

/// An in-place operation made of a closure, so that calls can be nested and several tensors changed in one pass.
struct InPlace<F>(RefCell<F>);

impl<F: FnMut(&mut CpuStorage, &Layout) -> candle_core::Result<()>> InplaceOp1 for InPlace<F> {
    fn name(&self) -> &'static str {
        "optimizer-step"
    }
    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        (self.0.borrow_mut())(storage, layout)
    }
}

/// Run `f` on the elements of a contiguous tensor.
fn write<T: Element>(t: &Tensor, mut f: impl FnMut(&mut [T]) -> Result<()>) -> Result<()> {
    let mut outcome = Ok(());
    t.inplace_op1(&InPlace(RefCell::new(|storage: &mut CpuStorage, layout: &Layout| {
        let range = layout.contiguous_offsets();
        match (T::elements_mut(storage), range) {
            (Some(values), Some((from, to))) => outcome = f(&mut values[from..to]),
            _ => candle_core::bail!("expected a contiguous {:?} tensor", T::DTYPE),
        }
        Ok(())
    })))?;
    outcome
}

fn sgd_elements<T: Element>(parameter: &Var, gradient: &Tensor, velocity: Option<&Tensor>, o: &SgdStep) -> Result<()> {
    let [lr, momentum, decay, scale] = [o.lr, o.momentum, o.weight_decay, o.scale].map(T::from_f64);
    let gradient = gradient.contiguous()?;
    let g = View::<T>::of(&gradient)?;
    write(parameter, |p: &mut [T]| {
        let Some(velocity) = velocity else {
            p.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK)).for_each(|(p, g)| {
                for (p, g) in p.iter_mut().zip(g) {
                    *p -= lr * (*g * scale + decay * *p);
                }
            });
            return Ok(());
        };
        write(velocity, |v: &mut [T]| {
            let state = p.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
            state.zip(g.par_chunks(CHUNK)).for_each(|((p, v), g)| {
                for ((p, v), g) in p.iter_mut().zip(v).zip(g) {
                    let g = *g * scale + decay * *p;
                    *v = momentum * *v + g;
                    *p -= lr * if o.nesterov { g + momentum * *v } else { *v };
                }
            });
            Ok(())
        })
    })
}

fn adamw_elements<T: Element>(
    parameter: &Var,
    gradient: &Tensor,
    mean: &Tensor,
    square: &Tensor,
    o: &AdamwStep,
) -> Result<()> {
    let (size, root) = adamw_corrections(o);
    let keep = T::from_f64(1.0 - o.lr * o.weight_decay);
    let [new1, beta2, new2, eps] = [1.0 - o.beta1, o.beta2, 1.0 - o.beta2, o.eps].map(T::from_f64);
    let [size, root, scale] = [size, root, o.scale].map(T::from_f64);
    let gradient = gradient.contiguous()?;
    let g = View::<T>::of(&gradient)?;
    write(parameter, |p: &mut [T]| {
        write(mean, |m: &mut [T]| {
            write(square, |s: &mut [T]| {
                let state = m.par_chunks_mut(CHUNK).zip(s.par_chunks_mut(CHUNK));
                let chunks = p.par_chunks_mut(CHUNK).zip(state).zip(g.par_chunks(CHUNK));
                chunks.for_each(|((p, (m, s)), g)| {
                    for (((p, m), s), g) in p.iter_mut().zip(m).zip(s).zip(g) {
                        let g = *g * scale;
                        *m += new1 * (g - *m);
                        *s = beta2 * *s + new2 * g * g;
                        *p = *p * keep - size * *m / (s.sqrt() / root + eps);
                    }
                });
                Ok(())
            })
        })
    })
}

/// `lr / (1 - beta1^t)` and `sqrt(1 - beta2^t)`.
fn adamw_corrections(o: &AdamwStep) -> (f64, f64) {
    let t = o.step as f64;
    (o.lr / (1.0 - o.beta1.powf(t)), (1.0 - o.beta2.powf(t)).sqrt())
}

/// Overwrite the contents of a tensor that is used as a buffer.
fn set(buffer: &Tensor, value: &Tensor) -> Result<()> {
    Ok(buffer.slice_set(&value.contiguous()?, 0, 0)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn numbers(n: usize, seed: u64, dtype: DType) -> Tensor {
        let mut random = crate::random::Random::new(seed);
        let values: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        Tensor::new(values, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    }

    fn apart(a: &Tensor, b: &Tensor) -> f64 {
        let difference = (a - b).unwrap().to_dtype(DType::F64).unwrap();
        difference.abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap()
    }

    fn sgd_composed(parameter: &Var, gradient: &Tensor, velocity: Option<&Tensor>, o: &SgdStep) -> Result<()> {
        let p = parameter.as_detached_tensor();
        let g = ((gradient * o.scale)? + (&p * o.weight_decay)?)?;
        let direction = match velocity {
            None => g,
            Some(velocity) => {
                let v = ((velocity * o.momentum)? + &g)?;
                set(velocity, &v)?;
                if o.nesterov { (g + (v * o.momentum)?)? } else { v }
            }
        };
        Ok(parameter.set(&(p - (direction * o.lr)?)?)?)
    }

    fn adamw_composed(parameter: &Var, gradient: &Tensor, mean: &Tensor, square: &Tensor, o: &AdamwStep) -> Result<()> {
        let p = parameter.as_detached_tensor();
        let g = (gradient * o.scale)?;
        let m = (mean + ((&g - mean)? * (1.0 - o.beta1))?)?;
        let s = ((square * o.beta2)? + (g.sqr()? * (1.0 - o.beta2))?)?;
        set(mean, &m)?;
        set(square, &s)?;
        let (size, root) = adamw_corrections(o);
        let change = ((m * size)? / ((s.sqrt()? / root)? + o.eps)?)?;
        Ok(parameter.set(&((p * (1.0 - o.lr * o.weight_decay))? - change)?)?)
    }

    #[test]
    fn the_fused_pass_equals_the_composition() {
        for (dtype, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-13)] {
            let n = CHUNK * 2 + 5;
            let [a, b] = [0; 2].map(|_| Var::from_tensor(&numbers(n, 1, dtype)).unwrap());
            let [va, vb, sa, sb] = [0; 4].map(|_| Tensor::zeros(n, dtype, &Device::Cpu).unwrap());
            let adamw = AdamwStep {
                lr: 0.1,
                beta1: 0.9,
                beta2: 0.99,
                eps: 1e-8,
                weight_decay: 0.1,
                scale: 0.5,
                step: 1,
            };
            for step in 1..4 {
                let g = numbers(n, 1 + step, dtype);
                for nesterov in [false, true] {
                    let o = SgdStep {
                        lr: 0.1,
                        momentum: 0.9,
                        nesterov,
                        weight_decay: 0.01,
                        scale: 0.5,
                    };
                    sgd_step(&a, &g, Some(&va), &o).unwrap();
                    sgd_composed(&b, &g, Some(&vb), &o).unwrap();
                    sgd_step(&a, &g, None, &o).unwrap();
                    sgd_composed(&b, &g, None, &o).unwrap();
                }
                assert!(apart(&a, &b) < tolerance * 10.0, "sgd {dtype:?} {}", apart(&a, &b));
                let o = AdamwStep { step, ..adamw };
                adamw_step(&a, &g, &va, &sa, &o).unwrap();
                adamw_composed(&b, &g, &vb, &sb, &o).unwrap();
                assert!(apart(&a, &b) < tolerance * 100.0, "adamw {dtype:?} {}", apart(&a, &b));
            }
        }
    }

    #[test]
    fn the_sum_of_squares_reads_every_element_once() {
        let t = Tensor::arange(0f32, 40_001.0, &Device::Cpu).unwrap();
        let expected = 40_000.0 * 40_001.0 * 80_001.0 / 6.0; // sum of i^2 up to n: n (n + 1)(2 n + 1) / 6
        assert!((sum_of_squares(&t).unwrap() / expected - 1.0).abs() < 1e-9);
        assert_eq!(sum_of_squares(&t.narrow(0, 2, 3).unwrap()).unwrap(), 4.0 + 9.0 + 16.0);
    }
}
