//! From feature maps `[b, d, h, w]` to unit-norm rows `[n, d]` in the order of a pool, and the gradient back.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::ops::kernel::Element;
use crate::ops::kernel::cpu::Shared;

/// Below this norm a feature vector has no direction: its row is zero and it gets no gradient.
const SMALLEST_NORM: f64 = 1e-12;
/// Pixels that are transposed together.
const TILE: usize = 64;
/// Channels that are transposed together on the way back (one cache line).
const CHANNELS: usize = 16;
/// Marks a pixel that is not in the pool.
const NOWHERE: u32 = u32::MAX;

/// Where each pixel of the map goes: its row, or [`NOWHERE`].
fn places(pixels: &[u32], total: usize) -> Vec<u32> {
    let mut places = vec![NOWHERE; total];
    for (row, &pixel) in pixels.iter().enumerate() {
        places[pixel as usize] = row as u32;
    }
    places
}

/// The shape of a feature map: images, channels, pixels of an image.
#[derive(Clone, Copy)]
pub(super) struct MapShape {
    pub images: usize,
    pub dim: usize,
    pub area: usize,
}

/// The rows `[pixels.len(), dim]` of these pixels (numbered through the batch), each divided by its norm; and 1 / norm
/// (0 for a vector without direction). Fails on a feature that is not finite, naming its image and pixel.
pub(super) fn unit_rows<T: Element>(features: &[T], shape: MapShape, pixels: &[u32]) -> Result<(Vec<T>, Vec<T>)> {
    let MapShape { images, dim, area } = shape;
    let places = places(pixels, images * area);
    let mut rows = vec![T::zero(); pixels.len() * dim];
    let mut inverse = vec![T::zero(); pixels.len()];
    let not_finite = AtomicU64::new(u64::MAX);
    {
        let (rows, inverse) = (Shared::new(&mut rows), Shared::new(&mut inverse));
        let tiles = area.div_ceil(TILE);
        (0..images * tiles).into_par_iter().for_each_init(
            || vec![T::zero(); TILE * dim],
            |buffer, tile| {
                let (image, start) = (tile / tiles, tile % tiles * TILE);
                let end = (start + TILE).min(area);
                let places = &places[image * area + start..image * area + end];
                if places.iter().all(|&p| p == NOWHERE) {
                    return;
                }
                let mut squares = [0f64; TILE];
                for d in 0..dim {
                    let from = (image * dim + d) * area;
                    for (i, &x) in features[from + start..from + end].iter().enumerate() {
                        buffer[i * dim + d] = x;
                        squares[i] += x.to_f64() * x.to_f64();
                    }
                }
                for (i, &place) in places.iter().enumerate() {
                    if place == NOWHERE {
                        continue;
                    }
                    if !squares[i].is_finite() {
                        not_finite.fetch_min((image * area + start + i) as u64, Ordering::Relaxed);
                    }
                    let norm = squares[i].sqrt();
                    let scale = T::from_f64(if norm > SMALLEST_NORM { 1.0 / norm } else { 0.0 });
                    // SAFETY: no pixel is named twice, so that this task alone writes its row.
                    let (row, inverse) =
                        unsafe { (rows.part(place as usize * dim, dim), inverse.part(place as usize, 1)) };
                    row.iter_mut()
                        .zip(&buffer[i * dim..])
                        .for_each(|(to, &x)| *to = x * scale);
                    inverse[0] = scale;
                }
            },
        );
    }
    match not_finite.into_inner() {
        u64::MAX => Ok((rows, inverse)),
        pixel => Err(Error::Training(format!(
            "pixel_contrast: the features of image {} are not finite at pixel {} (or their norm overflows); the network \
             has diverged, or its input was not finite: lower the learning rate or look at the data",
            pixel as usize / area,
            pixel as usize % area
        ))),
    }
}

/// Gradient with respect to the unit rows -> with respect to the rows before normalising, times `scale`, in place:
/// `(g - f (f . g)) / norm`.
pub(super) fn before_norm<T: Element>(gradient: &mut [T], rows: &[T], inverse: &[T], dim: usize, scale: f64) {
    gradient
        .par_chunks_mut(dim)
        .zip(rows.par_chunks(dim))
        .zip(inverse)
        .with_min_len(256)
        .for_each(|((gradient, row), &inverse)| {
            let dot: f64 = gradient.iter().zip(row).map(|(g, f)| g.to_f64() * f.to_f64()).sum();
            let (dot, factor) = (T::from_f64(dot), T::from_f64(scale * inverse.to_f64()));
            gradient
                .iter_mut()
                .zip(row)
                .for_each(|(g, &f)| *g = (*g - f * dot) * factor);
        });
}

/// Add the gradient rows of these pixels to the gradient of the map `[b, d, h w]`.
pub(super) fn add_to_map<T: Element>(map: &mut [T], shape: MapShape, rows: &[T], pixels: &[u32]) {
    let MapShape { images, dim, area } = shape;
    let places = places(pixels, images * area);
    let images_of_map = map.par_chunks_mut(dim * area).enumerate();
    images_of_map.for_each(|(image, map)| {
        let places = &places[image * area..(image + 1) * area];
        map.par_chunks_mut(CHANNELS * area)
            .enumerate()
            .for_each(|(group, map)| {
                let first = group * CHANNELS;
                let count = map.len() / area;
                for (pixel, &place) in places.iter().enumerate() {
                    if place == NOWHERE {
                        continue;
                    }
                    let from = place as usize * dim + first;
                    for (d, &g) in rows[from..from + count].iter().enumerate() {
                        let x = &mut map[d * area + pixel];
                        *x += g;
                    }
                }
            });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_unit_and_the_way_back_is_the_transpose() {
        let shape = MapShape {
            images: 2,
            dim: 3,
            area: 70,
        };
        let features: Vec<f64> = (0..420).map(|i| ((i * 31) % 17) as f64 - 8.0).collect();
        let pixels = [5, 139, 70, 0, 69];
        let (rows, inverse) = unit_rows(&features, shape, &pixels).unwrap();
        // pixel 139 is pixel 69 of image 1: channel d at 210 + 70 d + 69
        let x: Vec<f64> = (0..3).map(|d| features[210 + 70 * d + 69]).collect();
        let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!((inverse[1] - 1.0 / norm).abs() < 1e-12);
        (0..3).for_each(|d| assert!((rows[3 + d] - x[d] / norm).abs() < 1e-12));
        let mut map = vec![0.0; 420];
        add_to_map(&mut map, shape, &rows, &pixels);
        (0..3).for_each(|d| assert_eq!(map[210 + 70 * d + 69], rows[3 + d]));
        assert_eq!(
            map.iter().filter(|&&x| x != 0.0).count(),
            rows.iter().filter(|&&x| x != 0.0).count()
        );
    }

    #[test]
    fn a_feature_that_is_not_finite_is_named() {
        let mut features = vec![1f32; 2 * 4 * 6];
        features[4 * 6 + 2] = f32::NAN;
        let shape = MapShape {
            images: 2,
            dim: 4,
            area: 6,
        };
        let text = unit_rows(&features, shape, &[0, 8]).unwrap_err().to_string();
        assert!(text.contains("image 1") && text.contains("pixel 2"), "{text}");
        assert!(unit_rows(&features, shape, &[0, 7]).is_ok()); // an ignored pixel may hold anything
    }
}
