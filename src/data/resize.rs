//! Resizing of 8-bit images and label maps with Pillow's sampling positions and arithmetic, so that a set prepared here equals
//! one prepared with `Image.resize` (`Image.BILINEAR` for images, `Image.NEAREST` for labels).

/// Binary digits of a filter weight after the point; Pillow's number for 8-bit images.
const PRECISION: u32 = 32 - 8 - 2;

/// For each output position: the first input position and the fixed-point weights from there on.
struct Filter {
    first: Vec<usize>,
    weights: Vec<i32>,
    taps: usize,
}

impl Filter {
    /// A triangle of half-width `max(from / to, 1)` input pixels around each output pixel's centre, normalised to sum 1.
    fn triangle(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let support = scale.max(1.0);
        let taps = support.ceil() as usize * 2 + 1;
        let mut filter = Filter {
            first: Vec::with_capacity(to),
            weights: vec![0; taps * to],
            taps,
        };
        for (i, weights) in filter.weights.chunks_exact_mut(taps).enumerate() {
            let centre = (i as f64 + 0.5) * scale;
            let low = (centre - support + 0.5).max(0.0) as usize;
            let high = ((centre + support + 0.5) as usize).min(from);
            let raw: Vec<f64> = (low..high)
                .map(|x| (1.0 - ((x as f64 - centre + 0.5) / support).abs()).max(0.0))
                .collect();
            let sum: f64 = raw.iter().sum();
            for (weight, value) in weights.iter_mut().zip(raw) {
                *weight = (0.5 + value / sum * f64::from(1u32 << PRECISION)) as i32;
            }
            filter.first.push(low);
        }
        filter
    }

    /// The input positions and weights of output position `i`.
    fn at(&self, i: usize) -> (usize, &[i32]) {
        let weights = &self.weights[i * self.taps..(i + 1) * self.taps];
        let used = weights.iter().rposition(|&w| w != 0).map_or(0, |last| last + 1);
        (self.first[i], &weights[..used])
    }
}

/// Round a fixed-point sum to a byte.
fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Resize interleaved RGB `pixels` of size `from` (`[height, width]`) to size `to`: antialiased bilinear (a triangle filter that
/// widens with the reduction), first along rows, then along columns, rounding to a byte in between as Pillow does.
/// Cost: `3 (h_from w_to taps_x + h_to w_to taps_y)` multiplications.
pub fn bilinear_rgb(pixels: &[u8], from: [usize; 2], to: [usize; 2]) -> Vec<u8> {
    let narrowed = if from[1] == to[1] {
        pixels.to_vec()
    } else {
        along_rows(pixels, from, to[1])
    };
    if from[0] == to[0] {
        narrowed
    } else {
        along_columns(&narrowed, [from[0], to[1]], to[0])
    }
}

fn along_rows(pixels: &[u8], [_, width]: [usize; 2], to: usize) -> Vec<u8> {
    let filter = Filter::triangle(width, to);
    let mut out = Vec::with_capacity(pixels.len() / width * to);
    for row in pixels.chunks_exact(3 * width) {
        for x in 0..to {
            let (first, weights) = filter.at(x);
            let mut sum = [1i32 << (PRECISION - 1); 3];
            for (pixel, weight) in row[3 * first..].chunks_exact(3).zip(weights) {
                for (s, &p) in sum.iter_mut().zip(pixel) {
                    *s += i32::from(p) * weight;
                }
            }
            out.extend(sum.map(byte));
        }
    }
    out
}

fn along_columns(pixels: &[u8], [height, width]: [usize; 2], to: usize) -> Vec<u8> {
    let filter = Filter::triangle(height, to);
    let stride = 3 * width;
    let mut out = Vec::with_capacity(stride * to);
    let mut sums = vec![0i32; stride];
    for y in 0..to {
        let (first, weights) = filter.at(y);
        sums.fill(1 << (PRECISION - 1));
        for (row, &weight) in pixels[first * stride..].chunks_exact(stride).zip(weights) {
            for (s, &p) in sums.iter_mut().zip(row) {
                *s += i32::from(p) * weight;
            }
        }
        out.extend(sums.iter().map(|&s| byte(s)));
    }
    out
}

/// Resize a label map of size `from` (`[height, width]`) to size `to`: each output pixel takes the label of the input pixel that
/// its centre falls in.
pub fn nearest(labels: &[u8], from: [usize; 2], to: [usize; 2]) -> Vec<u8> {
    let columns = nearest_positions(from[1], to[1]);
    nearest_positions(from[0], to[0])
        .into_iter()
        .flat_map(|y| {
            let row = &labels[y * from[1]..(y + 1) * from[1]];
            columns.iter().map(move |&x| row[x])
        })
        .collect()
}

/// `floor((i + 0.5) * from / to)`, added up step by step as Pillow does so that ties fall the same way.
fn nearest_positions(from: usize, to: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    let mut at = step * 0.5;
    (0..to)
        .map(|_| {
            let position = (at as usize).min(from - 1);
            at += step;
            position
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_stays_and_the_same_size_copies() {
        let pixels = vec![77u8; 3 * 7 * 5];
        assert!(bilinear_rgb(&pixels, [7, 5], [3, 11]).iter().all(|&p| p == 77));
        let ramp: Vec<u8> = (0..3 * 4 * 4).map(|i| i as u8).collect();
        assert_eq!(bilinear_rgb(&ramp, [4, 4], [4, 4]), ramp);
    }

    #[test]
    fn values_equal_pillow() {
        // python: np.array(Image.fromarray(((np.arange(5*7*3)*37)%256).astype('uint8').reshape(5,7,3)).resize((4,3), 2)).ravel()
        let pixels: Vec<u8> = (0..5 * 7 * 3).map(|i| ((i * 37) % 256) as u8).collect();
        let expected: [u8; 36] = [
            62, 87, 124, 163, 67, 104, 132, 169, 73, 112, 149, 174, 76, 101, 138, 177, 81, 118, 146, 183, 87, 126, 163,
            188, 83, 115, 152, 115, 95, 132, 160, 121, 101, 140, 170, 126,
        ];
        assert_eq!(bilinear_rgb(&pixels, [5, 7], [3, 4]), expected);
        // the same picture, resize((9, 6), 2), the first row
        let expected: [u8; 27] = [
            0, 37, 74, 74, 111, 148, 160, 84, 121, 190, 28, 65, 77, 114, 151, 163, 200, 38, 107, 144, 68, 80, 117, 154,
            154, 191, 228,
        ];
        assert_eq!(bilinear_rgb(&pixels, [5, 7], [6, 9])[..27], expected);
    }

    #[test]
    fn nearest_equals_pillow() {
        // python: np.array(Image.fromarray(np.arange(35, dtype='uint8').reshape(5,7)).resize((4,3), 0)).ravel()
        let labels: Vec<u8> = (0..35).collect();
        assert_eq!(
            nearest(&labels, [5, 7], [3, 4]),
            [0, 2, 4, 6, 14, 16, 18, 20, 28, 30, 32, 34]
        );
    }
}
