//! How threads share out maps with the channels last.

use candle_core::{Result, Tensor};

use super::{BLOCKS, THREADS, address};

/// Channels that a thread takes of maps with the channels last, and whether that is a whole pack of 16 bytes.
pub(crate) fn lanes(channels: usize, maps: &[&Tensor]) -> Result<(usize, bool)> {
    let Some(first) = maps.first() else {
        return Ok((1, false));
    };
    let lanes = 16 / first.dtype().size_in_bytes();
    let mut wide = channels.is_multiple_of(lanes);
    for t in maps {
        wide &= address(t)?.is_multiple_of(16);
    }
    Ok((if wide { lanes } else { 1 }, wide))
}

/// How kernels share out maps with the channels last, matrices of rows (pixels) and channels: `Share` in `prelude.cuh`.
#[derive(Clone, Copy)]
pub(crate) struct Columns {
    rows: usize,
    channels: usize,
    across: usize,
    wide: bool,
    /// Blocks that stand side by side.
    sets: usize,
}

impl Columns {
    /// For all of these maps `[.., channels]`, of one shape and type: 16 bytes a thread where they may be read so.
    pub(crate) fn of(maps: &[&Tensor]) -> Result<Self> {
        let [first, ..] = maps else {
            candle_core::bail!("internal: no maps")
        };
        let channels = first.dims().last().copied().unwrap_or(1).max(1);
        let lanes = 16 / first.dtype().size_in_bytes();
        Self::with(lanes, [first.elem_count() / channels, channels], maps)
    }

    /// With `lanes` channels a thread, where these maps may be read so, else one; fresh buffers always may.
    pub(crate) fn with(lanes: usize, [rows, channels]: [usize; 2], maps: &[&Tensor]) -> Result<Self> {
        let mut wide = channels.is_multiple_of(lanes);
        for t in maps {
            wide &= address(t)?.is_multiple_of((lanes * t.dtype().size_in_bytes()) as u64);
        }
        let columns = if wide { channels / lanes } else { channels };
        let across = columns.next_power_of_two().min(32);
        Ok(Columns {
            rows,
            channels,
            across,
            wide,
            sets: columns.div_ceil(across),
        })
    }

    /// Rows that a block reads at a time.
    fn at_once(&self) -> usize {
        THREADS / self.across
    }

    /// The kernels' integers: rows, channels, across, wide.
    pub(crate) fn ints(&self) -> [usize; 4] {
        [self.rows, self.channels, self.across, usize::from(self.wide)]
    }

    /// Shares of the rows where every channel is summed: enough blocks to fill the GPU, each with some work for every thread.
    pub(crate) fn splits(&self) -> usize {
        (BLOCKS / self.sets).clamp(1, self.rows.div_ceil(8 * self.at_once()).max(1))
    }

    /// The grid for `splits` shares of the rows.
    pub(crate) fn grid(&self, splits: usize) -> [usize; 3] {
        [splits, self.sets, 1]
    }

    /// The grid where every element is changed: a thread keeps its channels for some rows.
    pub(crate) fn all(&self) -> [usize; 3] {
        let shares = self.rows.div_ceil(8 * self.at_once()).max(1);
        self.grid((16 * BLOCKS / self.sets).clamp(1, shares))
    }
}
