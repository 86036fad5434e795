//! 3x3 convolutions at stride 1 by Winograd's minimal filtering F(4x4, 3x3). Called by `conv2d`.
//!
//! A tile of 4x4 outputs needs 36 multiplications per pair of channels instead of 144: `out = A' [(G w G') . (B' d B)] A`, where `d` is the
//! 6x6 patch that the tile sees. The products over channels are 36 matrix products. The gradients are those of the same
//! formula: `dd` is the same convolution with the kernel turned round, `dw = G' [sum_tiles (A dy A') . (B' d B)] G`. A dilated
//! convolution is one on every `dilation`-th row and column. In f32 the error is a few times that of the direct sum (below 1e-6 of
//! the largest value). Source: Lavin, Gray, "Fast algorithms for convolutional neural networks", 2016.

mod cpu;
mod transforms;

use super::conv2d::Geometry;

/// By Winograd's filtering.
pub(super) struct Winograd;

/// Whether the tiles fit: a 3x3 kernel that keeps the size, enough channels, and not too many outputs beyond the map.
fn suits(g: &Geometry) -> bool {
    let shape = g.kernel == [3, 3] && g.stride == [1, 1] && g.padding == g.dilation && g.dilation[0] == g.dilation[1];
    if !shape
        || g.groups != 1
        || !g.inputs.is_multiple_of(16)
        || !g.outputs.is_multiple_of(16)
        || g.inputs.min(g.outputs) < 32
    {
        return false;
    }
    let covered = tiles(g).len() * 16;
    covered >= 256 && covered * 2 <= g.images * g.area() * 3
}

/// One tile: its image and the place of its first output.
#[derive(Clone, Copy)]
struct Tile {
    image: usize,
    row: usize,
    column: usize,
}

/// All tiles of the batch, image by image; with dilation, those of every sub-grid.
fn tiles(g: &Geometry) -> Vec<Tile> {
    let step = g.dilation[0];
    let starts = |size: usize| -> Vec<usize> {
        (0..step.min(size))
            .flat_map(|phase| (phase..size).step_by(4 * step))
            .collect()
    };
    let (rows, columns) = (starts(g.size[0]), starts(g.size[1]));
    let mut list = Vec::with_capacity(g.images * rows.len() * columns.len());
    for image in 0..g.images {
        for &row in &rows {
            list.extend(columns.iter().map(|&column| Tile { image, row, column }));
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::conv2d::Convolution;
    use crate::ops::{Conv2dOptions, Precision};
    use candle_core::{Device, Tensor};

    #[test]
    fn equals_the_sum_over_taps() {
        for (n, ci, co, h, w, d) in [(2, 32, 48, 12, 13, 1), (3, 48, 32, 16, 15, 2), (1, 32, 32, 19, 24, 1)] {
            let device = &Device::Cpu;
            let x = Tensor::randn(0f32, 1.0, (n, ci, h, w), device).unwrap();
            let weight = Tensor::randn(0f32, 0.1, (co, ci, 3, 3), device).unwrap();
            let dy = Tensor::randn(0f32, 1.0, (n, co, h, w), device).unwrap();
            let g = Geometry::new(x.dims(), &weight, None, &Conv2dOptions::same(3, 1, d)).unwrap();
            assert!(suits(&g), "{n} {ci} {co} {h} {w} {d}");
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
            let (x, weight, dy) = (flat(&x), flat(&weight), flat(&dy));
            let (x64, weight64, dy64) = (wide(&x), wide(&weight), wide(&dy));
            let bias = vec![0.5f32; co];
            let close = |found: &[f32], expected: &[f64]| {
                assert_eq!(found.len(), expected.len());
                let scale = expected.iter().fold(0f64, |m, v| m.max(v.abs()));
                let error = found
                    .iter()
                    .zip(expected)
                    .fold(0f64, |m, (a, b)| m.max((f64::from(*a) - b).abs()));
                assert!(error < 3e-6 * scale, "{error} of {scale}");
            };
            let oracle = crate::ops::conv2d::by_columns::<f64>(&g, &x64, &weight64, &dy64);
            let with_bias: Vec<f64> = oracle.0.iter().map(|v| v + 0.5).collect();
            close(
                &Winograd.forward(&g, &x, &weight, Some(&bias), Precision::F32),
                &with_bias,
            );
            close(&Winograd.input_gradient(&g, &weight, &dy, Precision::F32), &oracle.1);
            close(&Winograd.weight_gradient(&g, &x, &dy, Precision::F32), &oracle.2);
        }
    }
}
