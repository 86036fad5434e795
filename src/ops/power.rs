//! Powers.

use candle_core::{Device, Tensor};

use super::kernel::cpu::{fill_by, filled};
use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::tape::Graph;
use crate::ensure;
use crate::error::Result;

/// `x^exponent`, element by element; the gradient is `exponent x^(exponent - 1)`, and 0 for the exponent 0. Any shape.
pub fn power(x: &Tensor, exponent: f64) -> Result<Tensor> {
    if on_gpu(x.device()) {
        return Ok(match exponent {
            0.0 => x.ne(f64::INFINITY)?.where_cond(x, &x.zeros_like()?)?.affine(0.0, 1.0)?,
            1.0 => x.clone(),
            2.0 => x.sqr()?,
            _ => x.powf(exponent)?,
        });
    }
    let x = x.contiguous()?;
    Ok(by_dtype!(x, "power", T => {
        // the usual exponents cost what they must
        let raise = |x: T, exponent: f64| match exponent {
            1.0 => x,
            2.0 => x * x,
            3.0 => x * x * x,
            0.5 => x.sqrt(),
            _ => x.powf(exponent as T),
        };
        let result = {
            let x = View::<T>::of(&x)?;
            fill_by(x.len(), |at, out| {
                for (o, x) in out.iter_mut().zip(&x[at..]) {
                    o.write(raise(*x, exponent));
                }
            })
        };
        Graph::default().record("power", &[&x], output(result, x.shape()), move |arguments, _, gradient| {
            let (x, dy) = (View::<T>::of(arguments[0])?, View::<T>::of(gradient)?);
            let dx = fill_by(x.len(), |at, out| {
                if exponent == 0.0 {
                    filled(out, 0.0);
                    return;
                }
                for ((o, x), d) in out.iter_mut().zip(&x[at..]).zip(&dy[at..]) {
                    o.write(*d * (exponent as T * raise(*x, exponent - 1.0)));
                }
            });
            Ok(vec![Some(plain(dx, gradient.shape()))])
        })
    })?)
}

/// `base^exponent`, element by element, of one shape. The gradients are PyTorch's: that of the base is 0 for the exponent 0, that of
/// the exponent is 0 for the base 0 (of exponents that are not negative).
///
/// # Errors
/// Shapes that differ.
pub fn power_of(base: &Tensor, exponent: &Tensor) -> Result<Tensor> {
    ensure!(
        base.dims() == exponent.dims(),
        "power: {:?} and {:?} must have one shape",
        base.dims(),
        exponent.dims()
    );
    if on_gpu(base.device()) {
        let result = power_of(&base.to_device(&Device::Cpu)?, &exponent.to_device(&Device::Cpu)?)?;
        return Ok(result.to_device(base.device())?);
    }
    let (base, exponent) = (base.contiguous()?, exponent.contiguous()?);
    Ok(by_dtype!(base, "power", T => {
        let result = {
            let (x, e) = (View::<T>::of(&base)?, View::<T>::of(&exponent)?);
            fill_by(x.len(), |at, out| {
                for ((o, x), e) in out.iter_mut().zip(&x[at..]).zip(&e[at..]) {
                    o.write(x.powf(*e));
                }
            })
        };
        Graph::default().record("power", &[&base, &exponent], output(result, base.shape()), |arguments, result, gradient| {
            let (x, e) = (View::<T>::of(arguments[0])?, View::<T>::of(arguments[1])?);
            let (y, dy) = (View::<T>::of(result)?, View::<T>::of(gradient)?);
            let by = |slope: &(dyn Fn(usize) -> T + Sync)| {
                let dx = fill_by(x.len(), |at, out| {
                    for (i, o) in out.iter_mut().enumerate() {
                        o.write(slope(at + i));
                    }
                });
                Some(plain(dx, gradient.shape()))
            };
            let of_base = by(&|i| if e[i] == 0.0 { 0.0 } else { dy[i] * (e[i] * x[i].powf(e[i] - 1.0)) });
            let of_exponent = by(&|i| if x[i] == 0.0 && e[i] >= 0.0 { 0.0 } else { dy[i] * (y[i] * x[i].ln()) });
            Ok(vec![of_base, of_exponent])
        })
    })?)
}
