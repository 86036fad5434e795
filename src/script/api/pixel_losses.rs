//! `loss::`: losses of chosen pixels, of the Jaccard index, and of two maps.

use super::tensor::in_single;
use crate::loss::{self, Hardest};
use crate::ops::{self, Reduction};
use crate::script::prelude::*;

/// Declare the functions.
pub fn declare(table: &mut Table) {
    let functions = entries! {
        /// The mean cross-entropy of the hardest pixels (online hard example mining).
        ///
        /// `keep` is their share of the valid pixels; with `threshold` they are those whose class has less than this probability.
        /// ```
        /// let logits = tensor::from([[[[9.0, 0.0]], [[0.0, 0.0]]]]);
        /// let labels = tensor::from([[[0, 1]]]);
        /// assert_close(loss::ohem(logits, labels, #{ keep: 0.5 }).item(), log(2.0));
        /// assert_close(loss::ohem(logits, labels, #{ threshold: 0.7 }).item(), log(2.0));
        /// ```
        fn ohem(ctx, logits: Tensor, labels: Tensor,
            /// The share of the pixels that is kept; 0.25 if neither this nor `threshold` is given.
            keep: Option<f64> = None,
            /// Keep the pixels whose class has less than this probability.
            threshold: Option<f64> = None,
            /// With `threshold`: keep at least so many pixels.
            min_kept: usize = 0,
            /// Pixels with this label do not count.
            ignore_label: i64 = 255
        ) -> Tensor {
            let kept = match (keep, threshold) {
                (Some(_), Some(_)) => fail!("loss::ohem: give `keep` or `threshold`, not both"),
                (_, Some(threshold)) => Hardest::Below(threshold, min_kept),
                (keep, None) => Hardest::Share(keep.unwrap_or(0.25)),
            };
            ops::in_single(&logits, |logits| loss::ohem(ctx.graph(&[logits]), logits, &labels, kept, ignore_label))
        }

        /// The Lovasz-softmax loss of logits `[n, c, h, w]` and labels `[n, h, w]`: the Jaccard index (mIoU) as a loss.
        /// ```
        /// let logits = tensor::from([[[[50.0, 0.0]], [[0.0, 50.0]]]]);
        /// assert_close(loss::lovasz(logits, tensor::from([[[0, 1]]])).item(), 0.0);
        /// assert_close(loss::lovasz(logits, tensor::from([[[1, 0]]])).item(), 1.0);
        /// ```
        fn lovasz(ctx, logits: Tensor, labels: Tensor,
            /// Pixels with this label do not count.
            ignore_label: i64 = 255
        ) -> Tensor {
            ops::in_single(&logits, |logits| loss::lovasz(logits, &labels, ignore_label))
        }

        /// The squared difference of two tensors of one shape.
        /// ```
        /// assert_close(loss::mse(tensor::from([1.0, 4.0]), tensor::from([0.0, 2.0])).item(), 2.5);
        /// ```
        fn mse(ctx, a: Tensor, b: Tensor,
            /// How the numbers become one.
            reduction: Reduction = Reduction::Mean
        ) -> Tensor {
            of_one_type(&a, &b, |a, b| loss::mse(a, b, reduction))
        }

        /// The Kullback-Leibler divergence of the softmax of `target` from that of `logits`, both `[n, c, ..]`, mean over the pixels.
        ///
        /// A student's logits first, its teacher's second; times the square of the temperature.
        /// ```
        /// let x = tensor::randn([1, 3, 2, 2]);
        /// assert_close(loss::kl(x, x).item(), 0.0);
        /// assert(loss::kl(x, x * 2.0, #{ temperature: 2.0 }).item() > 0.0);
        /// ```
        fn kl(ctx, logits: Tensor, target: Tensor,
            /// Both logits are divided by this.
            temperature: f64 = 1.0,
            /// How the numbers become one.
            reduction: Reduction = Reduction::Mean
        ) -> Tensor {
            of_one_type(&logits, &target, |logits, target| loss::kl(logits, target, temperature, reduction))
        }

        /// The binary cross-entropy of logits and targets between 0 and 1, of one shape.
        /// ```
        /// assert_close(loss::bce(tensor::zeros([2]), tensor::from([0.0, 1.0])).item(), log(2.0));
        /// ```
        fn bce(ctx, logits: Tensor, targets: Tensor,
            /// How the numbers become one.
            reduction: Reduction = Reduction::Mean
        ) -> Tensor {
            of_one_type(&logits, &targets, |logits, targets| loss::bce(logits, targets, reduction))
        }
    };
    table.namespace("loss", "Segmentation losses.", functions);
}

/// A loss of two maps, computed in the first one's type of floats, single precision at least.
fn of_one_type(a: &Tensor, b: &Tensor, loss: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
    in_single(a, |a| loss(a, &b.to_dtype(a.dtype())?))
}
