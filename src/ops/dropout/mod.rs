//! Dropout.

mod cuda;

use candle_core::Tensor;

use super::kernel::cpu::buffer;
use super::kernel::{View, by_dtype, on_gpu, output, plain};
use super::operation;
use crate::ensure;
use crate::error::Result;
use crate::random::Random;
use rayon::prelude::*;

/// Elements that share one derived stream of draws.
const CHUNK: usize = 16_384;

operation! {
/// Set each element to 0 with probability `p` and divide the others by `1 - p`, so that the expectation stays.
///
/// The mask is drawn from streams derived from one draw of `random`, a stream for every 16384 elements: the same for any
/// number of threads, and on every device (a GPU gets the mask from the host). `p = 0` returns the input itself. The gradient passes where the element passed, with the same factor.
///
/// # Errors
/// `p` outside 0..=1.
pub fn dropout(graph, input: &Tensor, p: f64, random: &mut Random) -> Result<Tensor> {
    ensure!(
        (0.0..=1.0).contains(&p),
        "dropout: the probability is {p}, expected 0 to 1"
    );
    if p == 0.0 {
        return Ok(input.clone());
    }
    let input = input.contiguous()?;
    let (kept, scale) = (mask(input.elem_count(), p, random), scale(p));
    if on_gpu(input.device()) {
        return Ok(cuda::dropout(graph, &input, kept, scale)?);
    }
    Ok(by_dtype!(input, "dropout", T => {
        let masked = move |values: &[T], kept: &[u8]| {
            let factors = [0.0, scale as T];
            super::kernel::cpu::fill_by(values.len(), |at, out| {
                for ((o, v), k) in out.iter_mut().zip(&values[at..]).zip(&kept[at..]) {
                    o.write(*v * factors[*k as usize & 1]);
                }
            })
        };
        let result = masked(&View::<T>::of(&input)?, &kept);
        graph.record_light("dropout", &[&input], output(result, input.shape()), move |gradient| {
            let dx = masked(&View::<T>::of(gradient)?, &kept);
            Ok(vec![Some(plain(dx, gradient.shape()))])
        })
    })?)
}
}

/// Which of `n` elements are kept.
fn mask(n: usize, p: f64, random: &mut Random) -> Vec<u8> {
    let seed = random.bits();
    let limit = (p * 2f64.powi(32)) as u64;
    buffer(n, |mask| {
        mask.par_chunks_mut(CHUNK).enumerate().for_each(|(i, chunk)| {
            let mut draws = Random::derived(seed, &[i as u64]);
            for pair in chunk.chunks_mut(2) {
                let bits = draws.bits();
                for (m, half) in pair.iter_mut().zip([bits & 0xFFFF_FFFF, bits >> 32]) {
                    m.write(u8::from(half >= limit));
                }
            }
        });
    })
}

/// The factor of the kept elements.
fn scale(p: f64) -> f64 {
    if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn keeps_the_expected_share_and_the_mean() {
        let ones = Tensor::ones((4, 100, 50), candle_core::DType::F32, &Device::Cpu).unwrap();
        let out = dropout(&ones, 0.25, &mut Random::new(1)).unwrap();
        let values = out.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let zeros = values.iter().filter(|v| **v == 0.0).count() as f64 / values.len() as f64;
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!(
            (zeros - 0.25).abs() < 0.01 && (mean - 1.0).abs() < 0.02,
            "{zeros} {mean}"
        );
        let again = dropout(&ones, 0.25, &mut Random::new(1)).unwrap();
        assert_eq!(values, again.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        assert!(dropout(&ones, 1.5, &mut Random::new(1)).is_err());
    }
}
