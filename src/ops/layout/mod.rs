//! How the maps of a network lie in memory.

pub(super) mod cuda;

use candle_core::{DType, Tensor};

use super::kernel::on_gpu;
use super::precision::Precision;
use super::tape::Graph;
use crate::ensure;
use crate::error::Result;

/// The order of a map's dimensions. The tensor cores of a GPU want the channels of a pixel side by side: where they compute (bf16, TF32)
/// networks of convolutions have the channels last, from the images to the heads; everything else, and the processor, has them first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    /// `[images, channels, height, width]`.
    #[default]
    ChannelsFirst,
    /// `[images, height, width, channels]`; on a GPU, inside a network.
    ChannelsLast,
}

impl Layout {
    /// The shape of maps of these sizes.
    pub(crate) fn shape(self, [n, c, h, w]: [usize; 4]) -> [usize; 4] {
        match self {
            Layout::ChannelsFirst => [n, c, h, w],
            Layout::ChannelsLast => [n, h, w, c],
        }
    }

    /// The kernel for this layout: `[channels first, channels last]`.
    pub(crate) fn kernel(self, [first, last]: [&'static str; 2]) -> &'static str {
        match self {
            Layout::ChannelsFirst => first,
            Layout::ChannelsLast => last,
        }
    }

    /// The dimensions of `maps` in the order images, channels, height, width.
    pub(crate) fn dims(self, maps: &Tensor) -> Vec<usize> {
        match (self, maps.dims()) {
            (Layout::ChannelsLast, [n, h, w, c]) => vec![*n, *c, *h, *w],
            (_, dims) => dims.to_vec(),
        }
    }
}

impl Graph<'_> {
    /// The dimensions of `maps`, an argument of `name`, in the order images, channels, height, width.
    pub(super) fn dims(self, name: &str, maps: &Tensor) -> Result<Vec<usize>> {
        ensure!(
            self.layout == Layout::ChannelsFirst || on_gpu(maps.device()),
            "internal: {name} was given maps with the channels last, which only a GPU has"
        );
        Ok(self.layout.dims(maps))
    }

    /// Height and width of maps.
    pub(crate) fn size(self, maps: &Tensor) -> Result<[usize; 2]> {
        let (_, second, third, fourth) = maps.dims4()?;
        Ok(match self.layout {
            Layout::ChannelsFirst => [third, fourth],
            Layout::ChannelsLast => [second, third],
        })
    }

    /// [`concat`](super::concat()) of the channels of maps.
    pub(crate) fn concat_channels(self, maps: &[&Tensor]) -> Result<Tensor> {
        self.concat(maps, if self.layout == Layout::ChannelsLast { 3 } else { 1 })
    }

    /// Maps with the channels first as this graph has them, in the type that products are computed of.
    pub(crate) fn enter(self, maps: &Tensor) -> Result<Tensor> {
        match self.layout {
            Layout::ChannelsFirst => self.rounded(maps),
            Layout::ChannelsLast => Ok(cuda::enter(self, &maps.contiguous()?, self.product_type(maps))?),
        }
    }

    /// Maps of this graph with the channels first, in the parameters' element type.
    pub(crate) fn leave(self, maps: &Tensor, dtype: DType) -> Result<Tensor> {
        match self.layout {
            Layout::ChannelsFirst => self.cast(maps, dtype),
            Layout::ChannelsLast => Ok(cuda::leave(self, &maps.contiguous()?)?.to_dtype(dtype)?),
        }
    }

    /// `x` in the type that products are computed of: bf16 on a GPU in that precision, else its own (the processor rounds the factors of
    /// its products, and stores f32).
    pub(crate) fn rounded(self, x: &Tensor) -> Result<Tensor> {
        self.cast(x, self.product_type(x))
    }

    /// `x` in the type that sums are computed in: f32 for bf16, else its own.
    pub(crate) fn widened(self, x: &Tensor) -> Result<Tensor> {
        let dtype = if x.dtype() == DType::BF16 {
            DType::F32
        } else {
            x.dtype()
        };
        self.cast(x, dtype)
    }

    fn product_type(self, x: &Tensor) -> DType {
        match self.precision {
            Precision::Bf16 if on_gpu(x.device()) && x.dtype() == DType::F32 => DType::BF16,
            _ => x.dtype(),
        }
    }

    fn cast(self, x: &Tensor, dtype: DType) -> Result<Tensor> {
        if x.dtype() == dtype {
            return Ok(x.clone());
        }
        if on_gpu(x.device()) {
            return Ok(cuda::cast(self, &x.contiguous()?, dtype)?);
        }
        Ok(x.to_dtype(dtype)?)
    }
}
