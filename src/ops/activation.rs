//! Activations that candle has not, or whose gradients differ from PyTorch's.

use candle_core::{Device, Tensor, WithDType};

use super::kernel::cpu::fill_by;
use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::tape::Graph;
use crate::error::{POSITIVE, Result, in_range};

/// `x` where it is above 0, else `slope x`; the gradient at 0 is `slope`, as PyTorch's. Any shape.
pub fn leaky_relu(x: &Tensor, slope: f64) -> Result<Tensor> {
    let value = x.detach();
    let one = value.ones_like()?;
    let factor = value.gt(0f64)?.where_cond(&one, &(&one * slope)?)?;
    Ok((x * factor)?)
}

/// `log(1 + exp(beta x)) / beta`, and `x` where `beta x` is above `threshold`. Any shape.
///
/// # Errors
/// `beta` that is not above 0.
pub fn softplus(x: &Tensor, beta: f64, threshold: f64) -> Result<Tensor> {
    in_range("softplus", "beta", beta, POSITIVE)?;
    if on_gpu(x.device()) {
        return Ok(softplus(&x.to_device(&Device::Cpu)?, beta, threshold)?.to_device(x.device())?);
    }
    let x = x.contiguous()?;
    Ok(by_dtype!(x, "softplus", T => {
        let result = {
            let x = View::<T>::of(&x)?;
            fill_by(x.len(), |at, out| {
                for (o, x) in out.iter_mut().zip(&x[at..]) {
                    let z = x.to_f64() * beta;
                    o.write(if z > threshold { *x } else { (z.exp().ln_1p() / beta) as T });
                }
            })
        };
        Graph::default().record("softplus", &[&x], output(result, x.shape()), move |arguments, _, gradient| {
            let (x, dy) = (View::<T>::of(arguments[0])?, View::<T>::of(gradient)?);
            let dx = fill_by(x.len(), |at, out| {
                for ((o, x), d) in out.iter_mut().zip(&x[at..]).zip(&dy[at..]) {
                    let z = x.to_f64() * beta;
                    o.write(if z > threshold { *d } else { *d * (1.0 / (1.0 + (-z).exp())) as T });
                }
            });
            Ok(vec![Some(plain(dx, gradient.shape()))])
        })
    })?)
}
