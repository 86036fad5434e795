//! Division by a number and of a number, rounded once.

use candle_core::{Tensor, WithDType};

use super::kernel::cpu::fill_by;
use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::tape::Graph;
use crate::error::Result;

/// `x / number`, element by element.
pub fn divide_by(x: &Tensor, number: f64) -> Result<Tensor> {
    if on_gpu(x.device()) {
        return Ok(x.broadcast_div(&Tensor::new(number, x.device())?.to_dtype(x.dtype())?)?);
    }
    let x = x.contiguous()?;
    Ok(by_dtype!(x, "/", T => {
        let result = each(&View::<T>::of(&x)?, |x| x / number as T);
        Graph::default().record_light("divide_by", &[&x], output(result, x.shape()), move |gradient| {
            let dx = each(&View::<T>::of(gradient)?, |d| d / number as T);
            Ok(vec![Some(plain(dx, gradient.shape()))])
        })
    })?)
}

/// `number / x`, element by element.
pub fn divide(number: f64, x: &Tensor) -> Result<Tensor> {
    if on_gpu(x.device()) {
        return Ok(Tensor::new(number, x.device())?.to_dtype(x.dtype())?.broadcast_div(x)?);
    }
    let x = x.contiguous()?;
    Ok(by_dtype!(x, "/", T => {
        let result = each(&View::<T>::of(&x)?, |x| number as T / x);
        Graph::default().record("divide", &[&x], output(result, x.shape()), |arguments, result, gradient| {
            let (x, y, dy) = (View::<T>::of(arguments[0])?, View::<T>::of(result)?, View::<T>::of(gradient)?);
            let dx = fill_by(x.len(), |at, out| {
                for (((o, x), y), d) in out.iter_mut().zip(&x[at..]).zip(&y[at..]).zip(&dy[at..]) {
                    o.write(-d * y / x);
                }
            });
            Ok(vec![Some(plain(dx, gradient.shape()))])
        })
    })?)
}

fn each<T: WithDType>(x: &[T], f: impl Fn(T) -> T + Sync + Send) -> Vec<T> {
    fill_by(x.len(), |at, out| {
        for (o, x) in out.iter_mut().zip(&x[at..]) {
            o.write(f(*x));
        }
    })
}
