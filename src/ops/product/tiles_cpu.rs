//! The kernels for AVX-512 with bf16.

use std::arch::x86_64::*;

use super::cpu::Matrix;
use crate::ops::kernel::cpu::{Level, level};

/// Rows of a tile of sums.
const ROWS: usize = 8;
/// Columns of a tile of sums: two registers.
const COLUMNS: usize = 32;
/// Pairs of depths packed at once: a panel of [`COLUMNS`] takes 32 KiB, two thirds of a first-level cache.
const DEPTH: usize = 256;
/// Rows packed at once (128 KiB) and columns packed at once (512 KiB): together within a second-level cache of 1 MiB.
const BLOCK_ROWS: usize = 128;
const BLOCK_COLUMNS: usize = 512;

/// Whether this processor has the instructions.
pub(super) fn available() -> bool {
    level() >= Level::Avx512 && is_x86_feature_detected!("avx512bf16")
}

/// Rows of `a` or columns of `b`: where element (index, depth) lies.
#[derive(Clone, Copy)]
struct Source {
    start: *const f32,
    index: usize,
    depth: usize,
}

impl Source {
    fn at(self, index: usize, depth: usize) -> *const f32 {
        self.start.wrapping_add(index * self.index + depth * self.depth)
    }
}

/// See `by_package` in `cpu.rs`; of rounded factors.
///
/// # Safety
/// As there, and [`available`] said so.
pub(super) unsafe fn product(out: *mut f32, row: usize, add: bool, a: Matrix<f32>, b: Matrix<f32>) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let block = DEPTH.min(k.div_ceil(2).max(1));
    let block_rows = BLOCK_ROWS.min(m.next_multiple_of(ROWS));
    let block_columns = BLOCK_COLUMNS.min(n.next_multiple_of(COLUMNS));
    let a = Source {
        start: a.data.as_ptr(),
        index: a.row_step,
        depth: a.column_step,
    };
    let b = Source {
        start: b.data.as_ptr(),
        index: b.column_step,
        depth: b.row_step,
    };
    let mut left: Vec<u32> = Vec::with_capacity(block * block_rows);
    let mut right: Vec<u32> = Vec::with_capacity(block * block_columns);
    let (left, right) = (left.as_mut_ptr(), right.as_mut_ptr());
    for j in (0..n).step_by(block_columns.max(1)) {
        let columns = block_columns.min(n - j);
        for d in (0..k.max(1)).step_by(block * 2) {
            let depth = (block * 2).min(k - d);
            let pairs = depth.div_ceil(2);
            // SAFETY: the elements are live by the caller's promise; `right` holds `pairs` times whole panels.
            unsafe { pack::<COLUMNS>(b, [j, columns], [d, depth], right) };
            for i in (0..m).step_by(block_rows) {
                let rows = block_rows.min(m - i);
                // SAFETY: as above.
                unsafe { pack::<ROWS>(a, [i, rows], [d, depth], left) };
                for panel in (0..columns).step_by(COLUMNS) {
                    for strip in (0..rows).step_by(ROWS) {
                        let size = [ROWS.min(rows - strip), COLUMNS.min(columns - panel)];
                        let (a, b) = (left.wrapping_add(strip * pairs), right.wrapping_add(panel * pairs));
                        let to = out.wrapping_add((i + strip) * row + j + panel);
                        // SAFETY: the panels are packed, the tile lies within `out`.
                        unsafe { tile(pairs, a, b, to, row, size, add || d > 0) };
                    }
                }
            }
        }
    }
}

/// One tile: `pairs` rank-two updates of 8 x 32 sums, of which `size` are wanted.
///
/// # Safety
/// The processor has the features; `a` holds `pairs` x 8 elements, `b` `pairs` x 32, `out` the wanted tile.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn tile(pairs: usize, a: *const u32, b: *const u32, out: *mut f32, row: usize, size: [usize; 2], add: bool) {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    for d in 0..pairs {
        let (x, y) = (a.wrapping_add(d * ROWS), b.wrapping_add(d * COLUMNS));
        // SAFETY: within the panel.
        let y = unsafe {
            [
                _mm512_loadu_si512(y.cast()),
                _mm512_loadu_si512(y.wrapping_add(16).cast()),
            ]
        };
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: within the panel.
            let x = _mm512_set1_epi32(unsafe { *x.wrapping_add(r) }.cast_signed());
            for (sum, y) in sums.iter_mut().zip(y) {
                *sum = _mm512_dpbf16_ps(*sum, bf16(x), bf16(y));
            }
        }
    }
    for (r, sums) in sums.iter().enumerate().take(size[0]) {
        for (half, sum) in sums.iter().enumerate() {
            let mask = first(size[1].saturating_sub(16 * half));
            let to = out.wrapping_add(r * row + half * 16);
            // SAFETY: the masks keep within the wanted tile.
            unsafe {
                let old = if add {
                    _mm512_maskz_loadu_ps(mask, to)
                } else {
                    _mm512_setzero_ps()
                };
                _mm512_mask_storeu_ps(to, mask, _mm512_add_ps(*sum, old));
            }
        }
    }
}

/// The mask of the first `count` of 16 lanes.
#[inline(always)]
fn first(count: usize) -> __mmask16 {
    ((1u32 << count.min(16)) - 1) as __mmask16
}

#[inline(always)]
fn bf16(pairs: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits without invalid patterns.
    unsafe { std::mem::transmute(pairs) }
}

/// Round and pack `count` indices from `first` on, `depth` elements from `from` on, into panels of `WIDTH` indices: the pair
/// (index, 2 d), (index, 2 d + 1) of a panel lies at `d * WIDTH + index`; what is missing is 0.
///
/// # Safety
/// The elements are live, `out` holds the panels, [`available`] said so.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn pack<const WIDTH: usize>(
    s: Source,
    [first_index, count]: [usize; 2],
    [from, depth]: [usize; 2],
    out: *mut u32,
) {
    let pairs = depth.div_ceil(2);
    let padded = count.next_multiple_of(WIDTH);
    for strip in (0..padded).step_by(16) {
        let lanes = count.saturating_sub(strip).min(16);
        let (panel, offset) = (strip / WIDTH * WIDTH, strip % WIDTH);
        let put = |d: usize, v: __m512i| {
            let to = out.wrapping_add(panel * pairs + d * WIDTH + offset);
            // SAFETY: within the panels.
            unsafe {
                if WIDTH >= 16 {
                    _mm512_storeu_si512(to.cast(), v);
                } else {
                    // the upper half belongs to the next panel of 8
                    _mm256_storeu_si256(to.cast(), _mm512_castsi512_si256(v));
                    if strip + WIDTH < padded {
                        _mm256_storeu_si256(to.wrapping_add(WIDTH * pairs).cast(), _mm512_extracti64x4_epi64::<1>(v));
                    }
                }
            }
        };
        if s.index == 1 {
            let row = |d: usize| {
                let mask = if d < depth { first(lanes) } else { 0 };
                // SAFETY: the mask keeps within the live elements.
                unsafe { _mm512_maskz_loadu_ps(mask, s.at(first_index + strip, from + d)) }
            };
            for d in 0..pairs {
                put(d, join(row(2 * d), row(2 * d + 1)));
            }
            continue;
        }
        for d in (0..pairs).step_by(16) {
            let left = depth - 2 * d;
            let mut rows = [_mm512_setzero_si512(); 16];
            for (lane, row) in rows.iter_mut().enumerate().take(lanes) {
                let start = s.at(first_index + strip + lane, from + 2 * d);
                let mut gathered = [0f32; 32];
                let start = if s.depth == 1 {
                    start
                } else {
                    for (e, v) in gathered.iter_mut().enumerate().take(left) {
                        // SAFETY: one of the `left` live elements.
                        *v = unsafe { *start.wrapping_add(e * s.depth) };
                    }
                    gathered.as_ptr()
                };
                // SAFETY: masked to what is there.
                *row = unsafe {
                    let low = _mm512_maskz_loadu_ps(first(left), start);
                    let high = _mm512_maskz_loadu_ps(first(left.saturating_sub(16)), start.wrapping_add(16));
                    pack_two(low, high)
                };
            }
            transpose(&mut rows);
            for (e, v) in rows.iter().enumerate().take(pairs - d) {
                put(d + e, *v);
            }
        }
    }
}

/// Thirty-two consecutive elements as bfloat16 (nearest, ties to even), in order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_two(low: __m512, high: __m512) -> __m512i {
    // SAFETY: both are 512 bits without invalid patterns.
    unsafe { std::mem::transmute(_mm512_cvtne2ps_pbh(high, low)) }
}

/// The pairs (low, high) as bfloat16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn join(low: __m512, high: __m512) -> __m512i {
    let v = pack_two(low, high);
    let (low, high) = (_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64::<1>(v));
    _mm512_or_si512(
        _mm512_cvtepu16_epi32(low),
        _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(high)),
    )
}

/// Rows and columns of 16 x 16 elements change places.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose(r: &mut [__m512i; 16]) {
    let mut t = [_mm512_setzero_si512(); 16];
    for i in 0..8 {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    // within each quarter of 128 bits: rows 4i..4i+4 of one column
    for i in 0..4 {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    // r[4 i + c], quarter q: rows 4 i.. of column 4 q + c
    for c in 0..4 {
        let (a, b, e, f) = (r[c], r[4 + c], r[8 + c], r[12 + c]);
        let (ab_even, ab_odd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xDD>(a, b));
        let (ef_even, ef_odd) = (_mm512_shuffle_i32x4::<0x88>(e, f), _mm512_shuffle_i32x4::<0xDD>(e, f));
        t[c] = _mm512_shuffle_i32x4::<0x88>(ab_even, ef_even);
        t[8 + c] = _mm512_shuffle_i32x4::<0xDD>(ab_even, ef_even);
        t[4 + c] = _mm512_shuffle_i32x4::<0x88>(ab_odd, ef_odd);
        t[12 + c] = _mm512_shuffle_i32x4::<0xDD>(ab_odd, ef_odd);
    }
    *r = t;
}
