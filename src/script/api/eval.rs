//! `eval::` and the methods of scores.

use std::rc::Rc;

use super::tensor::integers;
use super::{Data, Model};
use crate::data::encode::label_png;
use crate::data::{IGNORED, classes};
use crate::metrics::{Confusion, Protocol, Score};
use crate::script::prelude::*;
use crate::train::EvalOptions;
use crate::train::evaluate;

/// A score in scripts: a handle.
#[derive(Clone)]
pub struct ScriptScore(pub Rc<Score>);

impl ScriptType for ScriptScore {
    const NAME: &'static str = "Score";
    const DOC: &'static str =
        "The result of an evaluation: the confusion matrix, what follows from it, and the protocol.";
    fn display(&self) -> String {
        self.0.table()
    }
    fn brief(&self) -> String {
        format!("Score mIoU {:.4}", self.0.miou())
    }
}

/// A label map as bytes.
fn bytes(function: &str, what: &str, labels: &Tensor) -> Result<Vec<u8>> {
    ensure!(
        labels.dtype().is_int(),
        "{function}: `{what}` must hold integers, found {}",
        labels.dtype().as_str()
    );
    let byte = |l: i64| match u8::try_from(l) {
        Ok(b) => Ok(b),
        Err(_) => fail!("{function}: `{what}` holds label {l}, expected 0 to 255"),
    };
    integers(labels)?.into_iter().map(byte).collect()
}

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.namespace("eval", "Evaluate networks: one confusion matrix over a whole data set.", entries! {
        /// Evaluate a network on a data set: one confusion matrix over all images, at the size of their labels.
        ///
        /// The logits are upsampled bilinearly, then the largest counts. Pixels with label 255 are left out. Classes that occur in
        /// neither truth nor prediction are left out of the means and listed in `absent`; so is a class that no pixel can have because
        /// its number is the files' `ignore_label` (predicting it is an error of the pixel's true class).
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 40] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let score = eval::segmentation(net, data, #{ flip: true });
        /// assert(score.miou < 1.0 && score.protocol.contains("flip yes"));
        /// ```
        fn segmentation(ctx, model: Model, data: Data,
            ..options: EvalOptions,
            window: Option<Pair> = None
        ) -> ScriptScore {
            let options = EvalOptions { window: window.map(|w| w.0), ..options };
            let score = evaluate::segmentation(ctx.session(), &model.0.borrow(), data.set(), &options)?;
            Ok(ScriptScore(Rc::new(score)))
        }

        /// Predict the labels `[h, w]` of one image `[3, h, w]` with colours from 0 to 1.
        /// ```
        /// let data = data::scenes(#{ count: 1, size: [32, 40] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let labels = eval::predict(net, data.get(0).image);
        /// assert_eq(labels.shape, [32, 40]);
        /// let p = eval::predict(net, data.get(0).image, #{ probabilities: true });
        /// assert_close(p.sum(0).mean().item(), 1.0);
        /// ```
        fn predict(ctx, model: Model,
            /// `[3, h, w]`, colours 0 to 1, as `data.get(i).image`; colours are normalised here.
            image: Tensor,
            ..options without(batch_size): EvalOptions,
            window: Option<Pair> = None,
            /// Give the probability of every class, `[classes, h, w]`, in place of the labels.
            probabilities: bool = false
        ) -> Tensor {
            let options = EvalOptions { window: window.map(|w| w.0), ..options };
            if probabilities {
                return evaluate::probabilities(ctx.session(), &model.0.borrow(), &image, &options);
            }
            evaluate::predict(ctx.session(), &model.0.borrow(), &image, &options)
        }

        /// Label images with the network's own predictions: a data set of the same images with these labels.
        ///
        /// A pixel gets the most probable class where its probability reaches `threshold`; the others are ignored (255). The labels are
        /// kept in memory; with `folder` they are written as indexed PNGs too, which `data::folder` reads as `labels`.
        /// ```
        /// let data = data::scenes(#{ count: 2, size: [32, 40] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let labelled = eval::pseudo_labels(net, data.without_labels(), #{ threshold: 0.0 });
        /// assert_eq(labelled.get(1).labels, eval::predict(net, data.get(1).image));
        /// ```
        fn pseudo_labels(ctx, model: Model, data: Data,
            /// The least probability of a label.
            threshold: f64 = 0.95,
            ..options without(window, batch_size): EvalOptions,
            /// Write the label maps to this folder, `NAME.png` each; relative to the run folder.
            folder: Option<String> = None
        ) -> Data {
            let (model, set) = (model.0.borrow(), data.set());
            let found = evaluate::pseudo_labels(ctx.session(), &model, set, threshold, &options)?;
            let count = model.classes();
            let (names, palette) = match set.classes() == count {
                true => (set.class_names().to_vec(), set.palette().to_vec()),
                false => (classes::numbered(count), classes::voc_palette(count)),
            };
            if let Some(folder) = folder {
                for (i, (labels, size)) in found.labels.iter().zip(&found.sizes).enumerate() {
                    let path = ctx.session().output_path(format!("{folder}/{}.png", set.sample_name(i)?))?;
                    path.write(label_png(labels, *size, &palette)?)?;
                }
            }
            Ok(Data::of(set.with_labels(found.labels, names, palette)?))
        }

        /// Compare label maps: what was predicted with the truth, any shape, integers.
        /// ```
        /// let truth = tensor::from([0, 0, 1, 1]).to_dtype("i64");
        /// let found = tensor::from([0, 1, 1, 1]).to_dtype("i64");
        /// let score = eval::compare(truth, found, 2);
        /// assert_eq(score.confusion, [[1, 1], [0, 2]]);
        /// assert_close(score.miou, (1.0 / 2 + 2.0 / 3) / 2);
        /// ```
        fn compare(ctx,
            /// The true labels; 255 is left out.
            truth: Tensor,
            /// The predicted labels, of the same shape.
            prediction: Tensor,
            /// Number of classes.
            classes: usize,
            /// Names of the classes.
            class_names: Vec<String> = Vec::new()
        ) -> ScriptScore {
            let function = ctx.function();
            ensure!(
                truth.dims() == prediction.dims(),
                "{function}: the truth has shape {:?}, the prediction {:?}",
                truth.dims(),
                prediction.dims()
            );
            ensure!((1..=255).contains(&classes), "{function}: classes is {classes}, expected 1 to 255");
            let mut confusion = Confusion::new(classes);
            confusion.add(&bytes(function, "truth", &truth)?, &bytes(function, "prediction", &prediction)?, IGNORED)?;
            let names = (0..classes).map(|c| class_names.get(c).cloned().unwrap_or_else(|| c.to_string()));
            let protocol = Protocol {
                data: "label maps".into(),
                split_hash: "none".into(),
                images: 1,
                size: match truth.dims() {
                    [h, w] => Some([*h, *w]),
                    _ => None,
                },
                scales: vec![1.0],
                flip: false,
                window: None,
                ignore_label: IGNORED,
                classes: names.collect(),
            };
            Ok(ScriptScore(Rc::new(Score { confusion, protocol, doubts: Vec::new() })))
        }
    });
    table.script_type::<ScriptScore>();
    table.methods::<ScriptScore>(entries! {
        /// Mean intersection over union of the classes present in truth or prediction, 0 to 1, higher is better.
        /// ```
        /// let t = tensor::from([0, 0, 1, 1]).to_dtype("i64");
        /// assert_eq(eval::compare(t, t, 3).miou, 1.0);
        /// ```
        get miou(ctx, score: ScriptScore) -> f64 {
            Ok(score.0.miou())
        }

        /// Intersection over union of each class; NaN for a class of `absent`.
        /// ```
        /// let score = eval::compare(tensor::from([0, 1]).to_dtype("i64"), tensor::from([0, 0]).to_dtype("i64"), 2);
        /// assert_eq(score.iou, [0.5, 0.0]);
        /// ```
        get iou(ctx, score: ScriptScore) -> Vec<f64> {
            Ok(score.0.iou())
        }

        /// Share of the pixels that are right, higher is better.
        /// ```
        /// let score = eval::compare(tensor::from([0, 1]).to_dtype("i64"), tensor::from([0, 0]).to_dtype("i64"), 2);
        /// assert_eq(score.pixel_accuracy, 0.5);
        /// ```
        get pixel_accuracy(ctx, score: ScriptScore) -> f64 {
            Ok(score.0.pixel_accuracy())
        }

        /// Mean share of the right pixels of each class of the truth, higher is better.
        /// ```
        /// let score = eval::compare(tensor::from([0, 0, 0, 1]).to_dtype("i64"), tensor::from([0, 0, 0, 0]).to_dtype("i64"), 2);
        /// assert_eq(score.mean_accuracy, 0.5);
        /// ```
        get mean_accuracy(ctx, score: ScriptScore) -> f64 {
            Ok(score.0.mean_accuracy())
        }

        /// Pixels counted: one row per true class, one column per predicted class.
        /// ```
        /// let t = tensor::from([0, 1, 255]).to_dtype("i64");
        /// assert_eq(eval::compare(t, tensor::from([0, 0, 0]).to_dtype("i64"), 2).confusion, [[1, 0], [1, 0]]);
        /// ```
        get confusion(ctx, score: ScriptScore) -> Vec<Vec<u64>> {
            Ok(score.0.confusion.rows())
        }

        /// How the score was obtained: data, size, scales, flip, window, ignore label, classes.
        /// ```
        /// let t = tensor::from([0, 1]).to_dtype("i64");
        /// assert(eval::compare(t, t, 2).protocol.contains("ignore label 255"));
        /// ```
        get protocol(ctx, score: ScriptScore) -> String {
            Ok(score.0.protocol.to_string())
        }

        /// Names of the classes in neither truth nor prediction, or that the data's labels cannot hold; left out of the means.
        /// ```
        /// let t = tensor::from([0, 1]).to_dtype("i64");
        /// assert_eq(eval::compare(t, t, 3, #{ class_names: ["sky", "road", "car"] }).absent, ["car"]);
        /// ```
        get absent(ctx, score: ScriptScore) -> Vec<String> {
            Ok(score.0.absent())
        }

        /// What is doubtful about the true labels, in sentences: classes without a pixel, most pixels without class.
        /// ```
        /// let data = data::scenes(#{ count: 1, size: [32, 40] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: data.classes, decoder_channels: 16 });
        /// let black = data::from([#{ image: data.get(0).image, labels: tensor::zeros([32, 40]).to_dtype("i64") }], #{ class_names: data.class_names });
        /// assert(eval::segmentation(net, black).doubts[0].contains("no pixel has the classes building"));
        /// ```
        get doubts(ctx, score: ScriptScore) -> Vec<String> {
            Ok(score.0.doubts.clone())
        }

        /// A table for reading: IoU, recall and share of each class, the means, the protocol.
        /// ```
        /// let t = tensor::from([0, 1]).to_dtype("i64");
        /// assert(eval::compare(t, t, 2).table().contains("mIoU"));
        /// ```
        fn table(ctx, score: ScriptScore) -> String {
            Ok(score.0.table())
        }
    });
}
