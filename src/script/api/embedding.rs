//! `eval::embedding`, `plot::embedding`: what the projection head has learnt.

use super::plot::Figure;
use super::{Data, Model};
use crate::metrics::embedding::{EmbeddingDiagnostics, Projection, project};
use crate::plot::Preset;
use crate::plot::kinds::{self, EmbeddingData};
use crate::script::prelude::*;
use crate::train::embedding::embedded_pixels;

/// Declare the functions.
pub fn declare(table: &mut Table) {
    table.namespace("eval", "Scores, predictions, diagnostics.", diagnostics());
    table.namespace("plot", "Figures.", pictures());
}

fn pictures() -> Vec<crate::script::table::Entry> {
    entries! {
        /// Show embedded pixels as points in the plane, coloured by class.
        ///
        /// `"pca"` shows the two directions of largest variance; `"tsne"` keeps neighbours together, its distances mean nothing.
        /// ```
        /// let scenes = data::scenes(#{ count: 2, size: [32, 32] });
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 9, decoder_channels: 16, projection: #{ channels: 8 } });
        /// let path = plot::embedding(net, scenes, #{ pixels: 60 }).save("embedding.svg");
        /// assert(path.ends_with("embedding.svg"));
        /// ```
        fn embedding(
            ctx,
            model: Model,
            data: Data,
            /// `"pca"` or `"tsne"`.
            method: String = "pca".into(),
            /// How many pixels, the same number from every image.
            pixels: usize = 1500,
            /// Which pixels.
            seed: u64 = 0,
            /// Above the figure.
            title: String = String::new(),
            /// As for `plot::figure`.
            preset: String = "paper".into(),
        ) -> Figure {
            let projection = Projection::parse(&method)?;
            let set = data.set();
            let found = embedded_pixels(ctx.session(), &model.0.borrow(), set, pixels, seed)?;
            let axes = match projection {
                Projection::Pca => ["first principal component", "second principal component"],
                Projection::Tsne => ["t-SNE 1", "t-SNE 2"],
            };
            let shown = EmbeddingData {
                points: project(&found.features, found.dim, projection, &ctx.session().cancel_flag())?,
                labels: found.labels.iter().filter_map(|&label| usize::try_from(label).ok()).collect(),
                class_names: set.class_names().to_vec(),
                palette: set.palette().to_vec(),
                title,
                axes: axes.map(String::from),
            };
            Ok(Figure::new(kinds::embedding(&shown, Preset::parse(&preset)?)?))
        }
    }
}

fn diagnostics() -> Vec<crate::script::table::Entry> {
    entries! {
        /// Judge by the embedding of a model's pixels whether the classes form tight, separate groups.
        ///
        /// The result holds `alignment` (mean squared distance within a class, lower is better), `uniformity` (log mean
        /// e^(-2 d^2), lower is more even), `intra` (mean cosine to the class mean, higher is tighter), `inter` and `inter_largest`
        /// (cosines between class means, lower is better), `effective_rank` (directions in use), `pixels`, and `classes`:
        /// for each its `name`, `pixels`, `intra`.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 9, decoder_channels: 16, projection: #{ channels: 8 } });
        /// let found = eval::embedding(net, data::scenes(#{ count: 2, size: [32, 32] }), #{ pixels: 60 });
        /// assert(found.effective_rank >= 1.0 && found.effective_rank <= 8.0);
        /// assert(found.alignment >= 0.0 && found.alignment <= 4.0);
        /// ```
        fn embedding(
            ctx,
            model: Model,
            data: Data,
            /// How many pixels to look at, the same number from every image.
            pixels: usize = 2000,
            /// Which pixels.
            seed: u64 = 0,
        ) -> Map {
            let set = data.set();
            let found = embedded_pixels(ctx.session(), &model.0.borrow(), set, pixels, seed)?;
            Ok(facts(&found.diagnose()?, set.class_names()))
        }
    }
}

/// The diagnostics as a script's map.
fn facts(found: &EmbeddingDiagnostics, names: &[String]) -> Map {
    let optional = |value: Option<f64>| value.map_or(Dynamic::UNIT, Dynamic::from_float);
    let classes = found.classes.iter().map(|class| {
        let name = usize::try_from(class.label).ok().and_then(|label| names.get(label));
        let facts: [(&str, Dynamic); 3] = [
            ("name", name.cloned().unwrap_or_else(|| class.label.to_string()).into()),
            ("pixels", (class.pixels as i64).into()),
            ("intra", class.intra.into()),
        ];
        let map: Map = facts.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Dynamic::from_map(map)
    });
    let classes: Array = classes.collect();
    let facts: [(&str, Dynamic); 8] = [
        ("pixels", (found.pixels as i64).into()),
        ("alignment", optional(found.alignment)),
        ("uniformity", optional(found.uniformity)),
        ("intra", found.intra.into()),
        ("inter", optional(found.inter)),
        ("inter_largest", optional(found.inter_largest)),
        ("effective_rank", found.effective_rank.into()),
        ("classes", classes.into()),
    ];
    facts.into_iter().map(|(name, value)| (name.into(), value)).collect()
}
