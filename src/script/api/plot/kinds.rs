//! The figures of one call.

use super::Figure;
use super::arguments::Frame;
use crate::plot::kinds::{
    CurveData, CurvesOptions, EfficiencyRow, Example, Labels, confusion, curves, examples, label_efficiency,
};
use crate::plot::{FigureOptions, Log, Picture};
use crate::script::api::{Data, Model, ScriptRun, ScriptScore};
use crate::script::options::take;
use crate::script::prelude::*;
use crate::script::table::Entry;
use crate::train::evaluate::{EvalOptions, predict};

pub(super) fn entries() -> Vec<Entry> {
    entries! {
        /// Show how runs went: the loss, pale as measured and smoothed; below it validation mIoU and learning rate.
        /// ```
        /// let scenes = data::scenes(#{ count: 2, size: [32, 32] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: scenes.classes, decoder_channels: 16 });
        /// let run = train::finetune(net, scenes, #{ steps: 3, batch_size: 2 });
        /// assert(plot::curves([run]).save("curves.png", #{ dpi: 100 }).ends_with("curves.png"));
        /// ```
        fn curves(
            ctx,
            /// What `train::pretrain`, `train::finetune` and `train::fit` give.
            runs: Several<ScriptRun>,
            /// Names in the legend; by default those of the runs.
            labels: Vec<String> = Vec::new(),
            /// One line for all runs of the same label (of no labels: for all): their mean, with a band of one standard deviation.
            mean: bool = false,
            /// `"y"` for a logarithmic loss, `"none"`; by default as the loss falls.
            log: Option<Log> = None,
            ..frame: Frame
        ) -> Figure {
            ensure!(
                labels.is_empty() || labels.len() == runs.0.len(),
                "plot::curves: {} labels for {} runs",
                labels.len(),
                runs.0.len()
            );
            let (mut data, mut names) = (Vec::new(), Vec::new());
            for (i, run) in runs.0.iter().enumerate() {
                let run = run.get()?;
                let own = if mean { "mean" } else { run.name() };
                let label = labels.get(i).cloned().unwrap_or_else(|| own.to_string());
                data.push(CurveData { label, columns: run.history().columns().to_vec() });
                names.push(run.name().to_string());
            }
            let mut figure = curves(&data, &CurvesOptions { frame: frame.0, mean, log })?;
            figure.metadata.push(("runs".to_string(), names.join(", ")));
            Ok(Figure::new(figure))
        }

        /// Show the curves of all runs below a folder: that of a sweep (`seglab sweep`), or one with run folders that hold a `result.json`.
        /// ```
        /// let scenes = data::scenes(#{ count: 2, size: [32, 32] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: scenes.classes, decoder_channels: 16 });
        /// let run = train::finetune(net, scenes, #{ steps: 3, batch_size: 2 });
        /// result(#{ loss: run.loss });
        /// assert(plot::runs(run_folder(), #{ run: run.name }).save("runs.svg").ends_with("runs.svg"));
        /// ```
        fn runs(
            ctx,
            folder: String,
            /// Only the training runs of this name, such as `"finetune"`.
            run: Option<String> = None,
            /// One line for all: their mean, with a band of one standard deviation.
            mean: bool = false,
            /// `"y"` for a logarithmic loss, `"none"`; by default as the loss falls.
            log: Option<Log> = None,
            ..frame: Frame
        ) -> Figure {
            let place = ctx.session().input_path(&folder)?;
            let found = crate::study::histories(&crate::study::rows(place.path())?, run.as_deref())?;
            ensure!(!found.is_empty(), "plot::runs: no training run{} below {folder} has a history yet", match &run {
                Some(name) => format!(" called {name}"),
                None => String::new(),
            });
            let curve = |(label, history): (String, crate::train::History)| CurveData {
                label: if mean { "mean".into() } else { label },
                columns: history.columns().to_vec(),
            };
            let data: Vec<CurveData> = found.into_iter().map(curve).collect();
            Ok(Figure::new(curves(&data, &CurvesOptions { frame: frame.0, mean, log })?))
        }

        /// Show a score's confusion matrix: each row in percent of the true pixels of its class.
        /// ```
        /// let truth = tensor::from([0, 0, 1, 1]).to_dtype("i64");
        /// let score = eval::compare(truth, tensor::from([0, 1, 1, 1]).to_dtype("i64"), 2, #{ class_names: ["sky", "road"] });
        /// assert(plot::confusion(score).save("confusion.svg").ends_with("confusion.svg"));
        /// ```
        fn confusion(
            ctx,
            /// What `eval::segmentation` gives.
            score: ScriptScore,
            /// Above the figure.
            title: String = String::new(),
            ..frame: Frame
        ) -> Figure {
            let matrix = &score.0.confusion;
            let class_names: Vec<String> = (0..matrix.classes()).map(|c| score.0.class_name(c)).collect();
            let frame = FigureOptions { title, ..frame.0 };
            let mut figure = confusion(&matrix.rows().concat(), &class_names, &frame)?;
            figure.metadata.push(("protocol".to_string(), score.0.protocol.to_string()));
            Ok(Figure::new(figure))
        }

        /// Show images with their truth and the model's prediction, one row each, and the classes' colours below.
        /// ```
        /// let scenes = data::scenes(#{ count: 4, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: scenes.classes });
        /// let path = plot::examples(net, scenes, [0, 2], #{ overlay: true }).save("examples.png", #{ dpi: 100 });
        /// assert(path.ends_with("examples.png"));
        /// ```
        fn examples(
            ctx,
            model: Model,
            data: Data,
            /// Which images.
            indices: Vec<usize>,
            /// A further column: the prediction over the image.
            overlay: bool = false,
            /// Above the figure.
            title: String = String::new(),
            ..frame: Frame
        ) -> Figure {
            let set = data.set();
            let mut rows = Vec::new();
            for index in indices {
                ctx.session().check_cancel()?;
                let sample = set.get(index)?;
                let image = crate::data::image_tensor(&sample)?;
                let predicted = predict(ctx.session(), &model.0.borrow(), &image, &EvalOptions::default())?;
                rows.push(Example {
                    name: String::new(),
                    image: Picture::new(sample.width, sample.height, sample.pixels.to_vec())?,
                    truth: sample.labels.clone(),
                    prediction: predicted.flatten_all()?.to_vec1::<u8>()?,
                });
            }
            let frame = FigureOptions { title, ..frame.0 };
            Ok(Figure::new(examples(&rows, set.class_names(), set.palette(), overlay, &frame)?))
        }

        /// Show mIoU against the share or the number of labelled images, one line per method.
        ///
        /// Each point is the mean over the runs (seeds) with that many labels, with a band of one standard deviation. The
        /// legend says over how many; runs whose `miou` is NaN are left out with a warning.
        /// ```
        /// let table = [];
        /// for seed in 0..3 {
        ///     for fraction in [0.125, 0.25, 1] {
        ///         table.push(#{ method: "scratch", fraction: fraction, miou: 0.3 + 0.2 * fraction + 0.01 * seed });
        ///     }
        /// }
        /// let path = plot::label_efficiency(table).save("label_efficiency.svg");
        /// assert(path.ends_with("label_efficiency.svg"));
        /// ```
        fn label_efficiency(
            ctx,
            /// One map per run: `#{ method, fraction, miou }` or `#{ method, labelled, miou }` (a number of images); what else is in it
            /// is passed over.
            table: Vec<Map>,
            ..frame: Frame
        ) -> Figure {
            let rows = table.into_iter().enumerate().map(|(i, mut row)| {
                let path = format!("plot::label_efficiency: row {i}");
                let missing = |name: &str| Error::usage(format!("{path}: `{name}` is missing, expected #{{ method, fraction, miou }} or #{{ method, labelled, miou }}"));
                let labels = match (take(&mut row, &path, "fraction")?, take(&mut row, &path, "labelled")?) {
                    (Some(share), _) => Labels::Share(share),
                    (None, Some(images)) => Labels::Images(images),
                    (None, None) => return Err(missing("fraction")),
                };
                Ok(EfficiencyRow {
                    method: take(&mut row, &path, "method")?.ok_or_else(|| missing("method"))?,
                    labels,
                    miou: take(&mut row, &path, "miou")?.ok_or_else(|| missing("miou"))?,
                })
            });
            let rows: Vec<EfficiencyRow> = rows.collect::<Result<_>>()?;
            Ok(Figure::new(label_efficiency(&rows, &frame.0)?))
        }
    }
}
