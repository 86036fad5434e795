//! How threads share out maps with the channels last.

use candle_core::{Result, Tensor};

use super::{BLOCKS, THREADS, address};

/// Channels that a thread takes of maps with the channels last, and whether that is a whole pack of 16 bytes.
pub(crate) fn lanes(channels: usize, maps: &[&Tensor]) -> Result<(usize, bool)> {
    let lanes = maps.first().map_or(1, |t| 16 / t.dtype().size_in_bytes());
    let wide = fits(lanes, channels, maps)?;
    Ok((if wide { lanes } else { 1 }, wide))
}

/// Whether a thread may take so many channels of these maps at once.
fn fits(lanes: usize, channels: usize, maps: &[&Tensor]) -> Result<bool> {
    let mut fits = channels.is_multiple_of(lanes);
    for t in maps {
        fits &= address(t)?.is_multiple_of((lanes * t.dtype().size_in_bytes()) as u64);
    }
    Ok(fits)
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
        let wide = fits(lanes, channels, maps)?;
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

    /// Shares of the rows for this many blocks: some rows for every thread, unless that leaves a GPU idle.
    fn shares(&self, blocks: usize, rows: usize) -> usize {
        let some = self.rows.div_ceil(rows * self.at_once());
        let fill = self.rows.div_ceil(self.at_once()).min(BLOCKS / 4 / self.sets);
        (blocks / self.sets).clamp(1, some.max(fill).max(1))
    }

    /// Shares of the rows where every channel is summed.
    pub(crate) fn splits(&self) -> usize {
        self.shares(BLOCKS, 4)
    }

    /// The grid for `splits` shares of the rows.
    pub(crate) fn grid(&self, splits: usize) -> [usize; 3] {
        [splits, self.sets, 1]
    }

    /// The grid where every element is changed: a thread keeps its channels' numbers for some rows.
    pub(crate) fn all(&self) -> [usize; 3] {
        self.grid(self.shares(2 * BLOCKS, 8))
    }
}
