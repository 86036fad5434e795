//! `loss::`: the segmentation losses.

use super::ScriptMemory;
use crate::loss::pixel_contrast::{PixelContrastInput, PixelContrastOptions, ProbeInput, ProbeRow};
use crate::loss::{self, CrossEntropyOptions, DiceOptions, FocalOptions};
use crate::ops;
use crate::random::Random;
use crate::script::prelude::*;

/// The temperature of one loss: a number, or a tensor that may be learnt.
enum Temperature {
    Number(f64),
    Tensor(Tensor),
}

impl Arg for Temperature {
    const FINITE: bool = true;
    const KIND: &'static str = "float or Tensor";
    const WANTED: &'static str = "a number or a scalar tensor";
    fn convert(value: &dyn Source) -> Option<Self> {
        let number = f64::convert(value).map(Temperature::Number);
        number.or_else(|| Tensor::convert(value).map(Temperature::Tensor))
    }
    fn literal(&self) -> Option<String> {
        match self {
            Temperature::Number(number) => Some(number.to_string()),
            Temperature::Tensor(_) => None,
        }
    }
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.namespace("loss", "Segmentation losses.", entries! {
        /// The cross-entropy of logits `[n, c, h, w]` and labels `[n, h, w]`, mean over the pixels that count.
        ///
        /// With class weights the mean is the weighted one: the sum divided by the sum of the pixels' weights, as in PyTorch.
        /// ```
        /// let logits = tensor::zeros([1, 4, 2, 2]);
        /// let labels = tensor::from([[[0, 1], [3, 255]]]);
        /// assert_close(loss::cross_entropy(logits, labels).item(), log(4.0));
        /// ```
        fn cross_entropy(
            ctx,
            logits: Tensor,
            labels: Tensor,
            ..options: CrossEntropyOptions,
            /// A weight for each pixel, `[n, h, w]`; the mean is divided by their sum.
            weights: Option<Tensor> = None,
        ) -> Tensor {
            ops::in_single(&logits, |logits| match &weights {
                Some(weights) => loss::weighted_cross_entropy(ctx.graph(&[logits]), logits, &labels, weights, &options),
                None => ctx.graph(&[logits]).cross_entropy(logits, &labels, &options),
            })
        }

        /// The dice loss: one minus the overlap of prediction and truth, mean over the classes present.
        /// ```
        /// let logits = tensor::from([[[[50.0, 0.0]], [[0.0, 50.0]]]]);
        /// let labels = tensor::from([[[0, 1]]]);
        /// assert_close(loss::dice(logits, labels).item(), 0.0);
        /// assert(loss::dice(logits, tensor::from([[[1, 0]]])).item() > 0.6);
        /// ```
        fn dice(
            ctx,
            logits: Tensor,
            labels: Tensor,
            ..options: DiceOptions,
        ) -> Tensor {
            ops::in_single(&logits, |logits| loss::dice(logits, &labels, &options))
        }

        /// The focal loss: cross-entropy in which pixels that are right already count little.
        ///
        /// With `gamma: 0` it is `loss::cross_entropy`, class weights and reduction included.
        /// ```
        /// let logits = tensor::zeros([1, 2, 1, 1]);
        /// let labels = tensor::from([[[0]]]);
        /// assert_close(loss::focal(logits, labels).item(), 0.25 * log(2.0));
        /// assert_close(loss::focal(logits, labels, #{ gamma: 0 }).item(), log(2.0));
        /// ```
        fn focal(
            ctx,
            logits: Tensor,
            labels: Tensor,
            ..options: FocalOptions,
        ) -> Tensor {
            ops::in_single(&logits, |logits| loss::focal(logits, &labels, &options))
        }

        /// The pixel contrastive loss: features `[n, d, h, w]` of pixels of one class attract, those of other classes repel.
        ///
        /// Exact over all pairs of pixels, in memory that grows with the pixels, not with their square. Features may have any
        /// norm; labels `[n, h', w']` are brought to their size by nearest neighbour. Variants: `"within_image"`, `"cross_image"`,
        /// `"batch"` (the paper's), `"released_within_image"`, `"released_cross_image"` (its code's), `"own_positive"`
        /// (ContrastiveSeg), `"supcon"`; the last two take the pixels of both views into one bag, or of one view (`()` for the distorted).
        /// ```
        /// let z = tensor::variable(tensor::from([[[[1.0, 0.9, 0.0, 0.1]], [[0.0, 0.1, 1.0, 0.9]]]]));
        /// let right = loss::pixel_contrast(z, z, tensor::from([[[0, 0, 1, 1]]]), #{ temperature: 0.5 });
        /// let wrong = loss::pixel_contrast(z, z, tensor::from([[[0, 1, 1, 0]]]), #{ temperature: 0.5 });
        /// assert(right.item() < wrong.item());
        /// let tau = tensor::variable(tensor::from(0.5));
        /// let g = loss::pixel_contrast(z, (), tensor::from([[[0, 0, 1, 1]]]), #{ variant: "supcon", temperature: tau }).backward();
        /// assert_eq(g.of(z).shape, z.shape);
        /// assert(g.of(tau).item() > 0.0);
        /// ```
        fn pixel_contrast(
            ctx,
            features: Tensor,
            /// The features of the distorted images, or `()`.
            distorted: Option<Tensor>,
            labels: Tensor,
            ..options: PixelContrastOptions,
            /// A number, or a scalar tensor (a variable is learnt); small: only the nearest keys matter.
            temperature: Temperature = Temperature::Number(PixelContrastOptions::default().temperature),
            /// Past keys as further keys, made by `loss::memory`; used once its warm-up is over.
            memory: Option<ScriptMemory> = None,
            /// Predicted labels, for sampling `"hard"`.
            predictions: Option<Tensor> = None,
            /// Where samples and partners come from; the session's random state if not given.
            seed: Option<u64> = None,
        ) -> Tensor {
            let (temperature, tensor) = match temperature {
                Temperature::Number(number) => (number, None),
                Temperature::Tensor(tensor) => (1.0, Some(tensor)),
            };
            let options = PixelContrastOptions { temperature, ..options };
            warn_of_single(ctx, &features, &options);
            let mut random = seed.map_or_else(|| ctx.session().random(), Random::new);
            let memory = memory.as_ref().map(ScriptMemory::get);
            let input = PixelContrastInput {
                features: &features,
                distorted: distorted.as_ref(),
                labels: &labels,
                predictions: predictions.as_ref(),
                temperature: tensor.as_ref(),
                memory: memory.as_deref(),
                random: &mut random,
            };
            let out = loss::pixel_contrast_until(input, &options, &|| ctx.session().check_cancel())?;
            out.warnings.iter().for_each(|warning| ctx.session().warn(warning));
            Ok(out.loss)
        }

        /// Many settings of the pixel contrastive loss on one frozen batch: a row of facts for each.
        ///
        /// A row holds `variant`, `temperature`, `sampling`, `value`, `gradient_norm`, `gradient_norm_distorted`, `temperature_slope`,
        /// `anchors`, `anchors_without_positive`, `positive_logit`, `negative_logit`, `alignment` and `milliseconds`; `table(rows)` prints them.
        /// ```
        /// let z = tensor::randn([2, 8, 6, 6]);
        /// let labels = tensor::from([0, 1, 2]).reshape([1, 1, 3]).broadcast([2, 6, 3]);
        /// let labels = tensor::cat([labels, labels], 2);
        /// let rows = loss::probe(z, z, labels, [#{ temperature: 0.07 }, #{ temperature: 0.5 }, #{ variant: "supcon" }]);
        /// assert_eq(rows.len, 3);
        /// assert(rows[0].gradient_norm > rows[1].gradient_norm);
        /// ```
        fn probe(
            ctx,
            features: Tensor,
            /// The features of the distorted images, or `()`.
            distorted: Option<Tensor>,
            labels: Tensor,
            /// The sets of options, each as for `loss::pixel_contrast`.
            options: Vec<Nested<PixelContrastOptions>>,
            /// Predicted labels, for sampling `"hard"`.
            predictions: Option<Tensor> = None,
            /// Where samples and partners come from, the same for every row.
            seed: u64 = 0,
        ) -> Array {
            let list = options.into_iter().enumerate();
            let list = list.map(|(i, mut options)| {
                let path = format!("loss::probe: options {i}");
                let memory = options.take::<ScriptMemory>(&path, "memory")?;
                Ok((options.read(&path)?, memory))
            });
            let list: Vec<(PixelContrastOptions, Option<ScriptMemory>)> = list.collect::<Result<_>>()?;
            let mut table = Array::new();
            for (options, memory) in &list {
                ctx.session().check_cancel()?;
                warn_of_single(ctx, &features, options);
                let memory = memory.as_ref().map(ScriptMemory::get);
                let input = ProbeInput {
                    features: &features,
                    distorted: distorted.as_ref(),
                    labels: &labels,
                    predictions: predictions.as_ref(),
                    memory: memory.as_deref(),
                    seed,
                };
                for found in loss::probe(&input, std::slice::from_ref(options))? {
                    found.warnings.iter().for_each(|warning| ctx.session().warn(warning));
                    table.push(row(options, &found).into());
                }
            }
            Ok(table)
        }
    });
}

/// Say, once, that the variant contrasts images with partners and there is only one.
fn warn_of_single(ctx: &Call, features: &Tensor, options: &PixelContrastOptions) {
    let images = features.dims().first().copied().unwrap_or(0);
    if let Some(text) = options.variant.without_partner(images) {
        ctx.session().warn_once(&text);
    }
}

/// One row of the probe as a script's map.
fn row(options: &PixelContrastOptions, found: &ProbeRow) -> Map {
    let optional = |value: Option<f64>| value.map_or(Dynamic::UNIT, Dynamic::from_float);
    named([
        ("variant", options.variant.name().into()),
        ("temperature", options.temperature.into()),
        ("sampling", options.sampling.name().into()),
        ("value", found.value.into()),
        ("gradient_norm", found.gradient_norm.into()),
        ("gradient_norm_distorted", found.gradient_norm_distorted.into()),
        ("temperature_slope", found.temperature_slope.into()),
        ("anchors", (found.anchors as i64).into()),
        (
            "anchors_without_positive",
            (found.anchors_without_positive as i64).into(),
        ),
        ("positive_logit", optional(found.positive_logit)),
        ("negative_logit", optional(found.negative_logit)),
        ("alignment", optional(found.alignment)),
        ("milliseconds", found.milliseconds.into()),
    ])
}
