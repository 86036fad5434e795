//! The sizes of a convolution.

use candle_core::Tensor;

use super::Conv2dOptions;
use crate::ensure;
use crate::error::Result;

/// The largest stride, padding and dilation: sizes worked out from them stay far from overflow.
const FARTHEST: usize = 1 << 20;

/// Every size of one convolution.
#[derive(Clone, Debug)]
pub(crate) struct Geometry {
    pub(crate) images: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) size: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) out_size: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) groups: usize,
}

impl Geometry {
    /// Check the shapes against one another and work out the sizes.
    /// `x`: images, channels, height, width of the input.
    pub(crate) fn new(x: &[usize], weight: &Tensor, bias: Option<&Tensor>, o: &Conv2dOptions) -> Result<Self> {
        let w = weight.dims();
        ensure!(
            x.len() == 4,
            "conv2d: the input has shape {x:?}, expected [images, channels, height, width]"
        );
        ensure!(
            w.len() == 4 && w.iter().all(|&d| d > 0),
            "conv2d: the weight has shape {w:?}, expected [outputs, channels / groups, kernel height, kernel width]"
        );
        ensure!(
            o.groups > 0 && x[1].is_multiple_of(o.groups) && w[0].is_multiple_of(o.groups),
            "conv2d: groups {} must divide the channels of the input {x:?} and the outputs of the weight {w:?}",
            o.groups
        );
        ensure!(
            w[1] == x[1] / o.groups,
            "conv2d: input {x:?} and weight {w:?} do not fit with groups {}: the weight takes {} channels, the input has {}; \
             give an input of {} channels or a weight of shape [{}, {}, {}, {}]",
            o.groups,
            w[1] * o.groups,
            x[1],
            w[1] * o.groups,
            w[0],
            x[1] / o.groups,
            w[2],
            w[3]
        );
        if let Some(bias) = bias {
            ensure!(
                bias.dims() == [w[0]],
                "conv2d: the bias has shape {:?}, expected [{}] for weight {w:?}",
                bias.dims(),
                w[0]
            );
        }
        ensure!(
            o.stride.iter().chain(&o.dilation).all(|&v| v > 0),
            "conv2d: stride {:?} and dilation {:?} must be at least 1",
            o.stride,
            o.dilation
        );
        for (option, values) in [("stride", o.stride), ("padding", o.padding), ("dilation", o.dilation)] {
            ensure!(
                values.iter().all(|&v| v <= FARTHEST),
                "conv2d: {option} {values:?} is too large, expected at most {FARTHEST}"
            );
        }
        let mut out_size = [0; 2];
        for axis in 0..2 {
            let padded = x[2 + axis] + 2 * o.padding[axis];
            let reach = o.dilation[axis] * (w[2 + axis] - 1) + 1;
            ensure!(
                padded >= reach,
                "conv2d: the kernel of weight {w:?} with dilation {:?} covers {reach} pixels, input {x:?} with padding {:?} has only \
                 {padded}; enlarge the input or the padding",
                o.dilation,
                o.padding
            );
            out_size[axis] = (padded - reach) / o.stride[axis] + 1;
        }
        Ok(Geometry {
            images: x[0],
            inputs: x[1],
            outputs: w[0],
            size: [x[2], x[3]],
            kernel: [w[2], w[3]],
            out_size,
            stride: o.stride,
            padding: o.padding,
            dilation: o.dilation,
            groups: o.groups,
        })
    }

    /// Pixels of one input map.
    pub(crate) fn area(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Pixels of one output map.
    pub(crate) fn out_area(&self) -> usize {
        self.out_size[0] * self.out_size[1]
    }

    /// Input channels of one group.
    pub(crate) fn group_inputs(&self) -> usize {
        self.inputs / self.groups
    }

    /// Output channels of one group.
    pub(crate) fn group_outputs(&self) -> usize {
        self.outputs / self.groups
    }

    /// Rows of the column matrix of one group: channels x taps.
    pub(crate) fn depth(&self) -> usize {
        self.group_inputs() * self.kernel[0] * self.kernel[1]
    }

    /// Whether each output pixel is made of exactly the input pixel at its place.
    pub(crate) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    /// The outputs `low..high` along `axis` whose tap `tap` falls inside the map, and the input coordinate of output `low`.
    pub(crate) fn inside(&self, axis: usize, tap: usize) -> (usize, usize, usize) {
        let (stride, reach) = (self.stride[axis], tap * self.dilation[axis]);
        let (size, padding) = (self.size[axis], self.padding[axis]);
        let low = padding.saturating_sub(reach).div_ceil(stride);
        let high = (size + padding)
            .saturating_sub(reach)
            .div_ceil(stride)
            .min(self.out_size[axis]);
        if low >= high {
            return (0, 0, 0);
        }
        (low, high, low * stride + reach - padding)
    }
}
