//! The figures of one call.

use super::Figure;
use crate::plot::Picture;
use crate::plot::Preset;
use crate::plot::kinds::{EfficiencyRow, Example, ExamplesOptions, examples, label_efficiency};
use crate::script::api::{Data, Model};
use crate::script::prelude::*;
use crate::script::table::Entry;
use crate::train::evaluate::{EvalOptions, predict};

pub(super) fn entries() -> Vec<Entry> {
    entries! {
        /// Show images with their truth and the model's prediction, one row each, and the classes' colours below.
        /// ```
        /// let scenes = data::scenes(#{ count: 4, size: [32, 48] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: scenes.classes });
        /// plot::examples(net, scenes, [0, 2], #{ overlay: true }).save("examples.png", #{ dpi: 100 });
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
            /// As for `plot::figure`.
            preset: String = "paper".into(),
        ) -> Figure {
            let set = data.set()?;
            let mut rows = Vec::new();
            for index in indices {
                ctx.session().check_cancel()?;
                let sample = set.get(index)?;
                let image = crate::data::image_tensor(&sample)?;
                let predicted = predict(&model.0.borrow(), &image, &EvalOptions::default())?;
                rows.push(Example {
                    name: String::new(),
                    image: Picture::new(sample.width, sample.height, sample.pixels.clone())?,
                    truth: sample.labels.clone(),
                    prediction: predicted.flatten_all()?.to_vec1::<u8>()?,
                });
            }
            let options = ExamplesOptions { preset: Preset::parse(&preset)?, title, overlay };
            Ok(Figure::new(examples(&rows, set.class_names(), set.palette(), &options)?))
        }

        /// Show mIoU against the share of labelled images, one line per method.
        ///
        /// Each point is the mean over the runs (seeds) of that share, with a band of one standard deviation.
        /// ```
        /// let table = [];
        /// for seed in 0..3 {
        ///     for fraction in [0.125, 0.25, 1] {
        ///         table.push(#{ method: "scratch", fraction: fraction, miou: 0.3 + 0.2 * fraction + 0.01 * seed });
        ///     }
        /// }
        /// plot::label_efficiency(table).save("label_efficiency.svg");
        /// ```
        fn label_efficiency(
            ctx,
            /// One map per run: `#{ method, fraction, miou }`; what else is in it is passed over.
            table: Vec<Map>,
            /// As for `plot::figure`.
            preset: String = "paper".into(),
        ) -> Figure {
            let rows = table.into_iter().enumerate().map(|(i, row)| {
                let mut row = Options::new(row);
                let path = format!("plot::label_efficiency: row {i}");
                let missing = |name: &str| Error::usage(format!("{path}: `{name}` is missing, expected #{{ method, fraction, miou }}"));
                Ok(EfficiencyRow {
                    method: row.take(&path, "method")?.ok_or_else(|| missing("method"))?,
                    fraction: row.take(&path, "fraction")?.ok_or_else(|| missing("fraction"))?,
                    miou: row.take(&path, "miou")?.ok_or_else(|| missing("miou"))?,
                })
            });
            let rows: Vec<EfficiencyRow> = rows.collect::<Result<_>>()?;
            Ok(Figure::new(label_efficiency(&rows, Preset::parse(&preset)?)?))
        }
    }
}
