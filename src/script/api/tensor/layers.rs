//! Convolution, pooling and resizing of maps `[n, c, h, w]`.

use super::in_single;
use crate::choices;
use crate::ops::{self, Conv2dOptions};
use crate::script::prelude::*;
use crate::session::memory::affordable;

choices! {
    /// How pixels between the old ones are found.
    pub enum Mode {
        /// From the four around.
        Bilinear = "bilinear",
        /// As the nearest.
        Nearest = "nearest",
    }
}

/// Declare the methods.
pub fn declare(table: &mut Table) {
    table.methods::<Tensor>(entries! {
        /// Convolve `[n, c, h, w]` with a weight `[out, c / groups, kh, kw]`.
        /// ```
        /// let x = tensor::randn([1, 3, 8, 9]);
        /// let y = x.conv2d(tensor::randn([4, 3, 3, 3]), #{ padding: 1, stride: 2 });
        /// assert_eq(y.shape, [1, 4, 4, 5]);
        /// ```
        fn conv2d(ctx, t: Tensor, weight: Tensor,
            /// One number for each output channel.
            bias: Option<Tensor> = None,
            stride: Pair = Pair([1, 1]), padding: Pair = Pair([0, 0]), dilation: Pair = Pair([1, 1]), groups: usize = 1,
        ) -> Tensor {
            let options = Conv2dOptions { stride: stride.0, padding: padding.0, dilation: dilation.0, groups };
            // weight and bias take the element type of the computation
            in_single(&t, |x| {
                let weight = weight.to_dtype(x.dtype())?;
                let bias = bias.as_ref().map(|b| b.to_dtype(x.dtype())).transpose()?;
                ops::pieces::conv2d_in_pieces(x, &weight, bias.as_ref(), &options, &|| ctx.session().check_cancel())
            })
        }
        /// The maximum of each window; the stride is the kernel unless given.
        /// ```
        /// assert_eq(tensor::randn([1, 2, 8, 8]).max_pool2d(#{ kernel: 3, stride: 2, padding: 1 }).shape, [1, 2, 4, 4]);
        /// ```
        fn max_pool2d(ctx, t: Tensor, kernel: Pair = Pair([2, 2]), stride: Option<Pair> = None, padding: Pair = Pair([0, 0])) -> Tensor {
            in_single(&t, |x| ctx.graph(&[x]).max_pool2d(x, kernel.0, stride.unwrap_or(kernel).0, padding.0))
        }
        /// The mean of each window; the stride is the kernel unless given.
        /// ```
        /// assert_eq(tensor::ones([1, 2, 8, 8]).avg_pool2d(#{ kernel: 2 }), tensor::ones([1, 2, 4, 4]));
        /// ```
        fn avg_pool2d(ctx, t: Tensor, kernel: Pair = Pair([2, 2]), stride: Option<Pair> = None, padding: Pair = Pair([0, 0])) -> Tensor {
            in_single(&t, |x| ctx.graph(&[x]).avg_pool2d(x, kernel.0, stride.unwrap_or(kernel).0, padding.0))
        }
        /// Resize maps `[n, c, h, w]` to `[height, width]` as torch's `interpolate`; integer labels `[n, h, w]` by the nearest.
        /// ```
        /// assert_eq(tensor::randn([1, 3, 4, 4]).resize([8, 6]).shape, [1, 3, 8, 6]);
        /// assert_eq(tensor::zeros([1, 4, 4], "i64").resize([2, 2]).dtype, "i64");
        /// ```
        fn resize(ctx, t: Tensor, size: [usize; 2],
            /// How pixels between the old ones are found.
            mode: Mode = Mode::Bilinear,
            align_corners: bool = false,
        ) -> Tensor {
            affordable(&[t.elem_count(), size[0], size[1]], candle_core::DType::U8)?;
            if t.dtype().is_int() && t.rank() == 3 {
                return ops::resize_labels(&t, size);
            }
            match mode {
                Mode::Bilinear => in_single(&t, |x| ctx.graph(&[x]).resize_bilinear(x, size, align_corners)),
                Mode::Nearest => in_single(&t, |x| ctx.graph(&[x]).resize_nearest(x, size)),
            }
        }
    });
}
