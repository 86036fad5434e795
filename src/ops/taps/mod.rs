//! Convolutions whose taps mostly fall outside the map (dilation near the map's size), tap by tap. Called by `conv2d`.
//!
//! Each tap joins a rectangle of the output with a rectangle of the input: one matrix product over exactly these pixels, so that
//! nothing is multiplied by the zeros around the map.

mod cpu;

/// Tap by tap.
pub(super) struct Taps;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv2d::{Convolution, Geometry};
    use crate::ops::{Conv2dOptions, Precision};
    use candle_core::{Device, Tensor};

    #[test]
    fn equals_the_product_over_columns() {
        for (h, w, d) in [(7, 9, 6), (5, 5, 4), (4, 6, 9)] {
            let draw = |shape: &[usize]| Tensor::randn(0f64, 1.0, shape, &Device::Cpu).unwrap();
            let (x, weight, dy) = (draw(&[2, 5, h, w]), draw(&[3, 5, 3, 3]), draw(&[2, 3, h, w]));
            let g = Geometry::new(x.dims(), &weight, None, &Conv2dOptions::same(3, 1, d)).unwrap();
            assert!(Convolution::<f64>::suits(&Taps, &g), "{h} {w} {d}");
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let (x, weight, dy) = (flat(&x), flat(&weight), flat(&dy));
            let oracle = crate::ops::conv2d::by_columns(&g, &x, &weight, &dy);
            let close = |found: Vec<f64>, expected: Vec<f64>| {
                assert!(
                    found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12)
                );
            };
            close(Taps.forward(&g, &x, &weight, Some(&[1.0, 2.0, 3.0]), Precision::F32), {
                let bias = |i: usize| (i / (h * w) % 3 + 1) as f64;
                oracle.0.iter().enumerate().map(|(i, v)| v + bias(i)).collect()
            });
            close(Taps.input_gradient(&g, &weight, &dy, Precision::F32), oracle.1);
            close(Taps.weight_gradient(&g, &x, &dy, Precision::F32), oracle.2);
        }
    }
}
