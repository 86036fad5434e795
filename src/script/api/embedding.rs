//! `eval::embedding`, `plot::embedding`: what the projection head has learnt.

use super::plot::Figure;
use super::plot::arguments::{Frame, Matrix, Numbers, Palette};
use super::{Data, Model};
use crate::metrics::embedding::{EmbeddingDiagnostics, Projection, project};
use crate::plot::kinds::{self, EmbeddingData};
use crate::script::options::take;
use crate::script::prelude::*;
use crate::train::embedding::embedded_pixels;

/// Declare the functions.
pub fn declare(table: &mut Table) {
    let functions = entries! {
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

        /// The pixels that `plot::embedding` shows, for figures of one's own: `points` `[n, 2]` and the class of each, `labels` `[n]`.
        /// ```
        /// let net = model::deeplabv3plus(#{ encoder: "resnet18", classes: 9, decoder_channels: 16, projection: #{ channels: 8 } });
        /// let found = eval::embedding_points(net, data::scenes(#{ count: 2, size: [32, 32] }), #{ method: "pca", pixels: 60 });
        /// assert_eq([found.points.shape, found.labels.shape], [[60, 2], [60]]);
        /// let figure = plot::embeddings([found], #{ titles: ["at the start"] });
        /// ```
        fn embedding_points(
            ctx,
            model: Model,
            data: Data,
            /// How features become points.
            method: Projection = Projection::Pca,
            /// How many pixels, the same number from every image.
            pixels: usize = 1500,
            /// Which pixels.
            seed: u64 = 0,
        ) -> Map {
            let (points, labels) = plane(ctx, &model, &data, method, pixels, seed)?;
            let (device, n) = (ctx.session().device(), labels.len());
            let points: Vec<f32> = points.iter().flatten().map(|x| *x as f32).collect();
            let points = Tensor::from_vec(points, (n, 2), device)?.reply(ctx);
            Ok(named([("points", points), ("labels", Tensor::from_vec(labels, n, device)?.reply(ctx))]))
        }
    };
    table.namespace("eval", "Scores, predictions, diagnostics.", functions);
    let functions = entries! {
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
            /// How features become points.
            method: Projection = Projection::Pca,
            /// How many pixels, the same number from every image.
            pixels: usize = 1500,
            /// Which pixels.
            seed: u64 = 0,
            /// Above the figure.
            title: String = String::new(),
            ..frame: Frame
        ) -> Figure {
            let set = data.set();
            let (points, labels) = plane(ctx, &model, &data, method, pixels, seed)?;
            let axes = match method {
                Projection::Pca => ["first principal component", "second principal component"],
                Projection::Tsne => ["t-SNE 1", "t-SNE 2"],
            };
            let shown = EmbeddingData {
                points,
                labels: labels.iter().filter_map(|&label| usize::try_from(label).ok()).collect(),
                class_names: set.class_names().to_vec(),
                palette: set.palette().to_vec(),
                title,
                axes: axes.map(String::from),
            };
            Ok(Figure::new(kinds::embedding(&[shown], &frame.0)?))
        }

        /// Show several sets of points in the plane side by side, coloured by class, with one legend.
        /// ```
        /// let before = #{ points: [[0.0, 0.1], [1.0, 0.9]], labels: [0, 1] };
        /// let after = #{ points: tensor::randn([2, 2]), labels: tensor::from([0, 1]) };
        /// let f = plot::embeddings([before, after], #{ titles: ["before", "after"], class_names: ["sky", "car"] });
        /// assert(f.save("embeddings.svg").ends_with(".svg"));
        /// ```
        fn embeddings(
            ctx,
            /// `#{ points, labels }` each: two numbers a point, and the class of each.
            sets: Vec<Map>,
            /// Above the panels.
            titles: Vec<String> = Vec::new(),
            /// Names of the classes; by default their numbers.
            class_names: Vec<String> = Vec::new(),
            /// Their colours (data.palette is one); by default those of series.
            class_colors: Option<Palette> = None,
            ..frame: Frame
        ) -> Figure {
            ensure!(
                titles.is_empty() || titles.len() == sets.len(),
                "plot::embeddings: {} titles for {} sets of points",
                titles.len(),
                sets.len()
            );
            let palette = class_colors.map_or(Vec::new(), |p| p.0);
            let mut shown = Vec::new();
            for (i, set) in sets.into_iter().enumerate() {
                let (points, labels) = points_of(i, set)?;
                let classes = labels.iter().copied().max().map_or(1, |most| most + 1);
                let numbered = || (0..classes).map(|c| c.to_string()).collect();
                shown.push(EmbeddingData {
                    points,
                    labels,
                    class_names: if class_names.is_empty() { numbered() } else { class_names.clone() },
                    palette: palette.clone(),
                    title: titles.get(i).cloned().unwrap_or_default(),
                    axes: Default::default(),
                });
            }
            Ok(Figure::new(kinds::embedding(&shown, &frame.0)?))
        }
    };
    table.namespace("plot", "Figures.", functions);
}

/// Embedded pixels as points in the plane, and the label of each.
fn plane(
    ctx: &Call,
    model: &Model,
    data: &Data,
    projection: Projection,
    pixels: usize,
    seed: u64,
) -> Result<(Vec<[f64; 2]>, Vec<i64>)> {
    let found = embedded_pixels(ctx.session(), &model.0.borrow(), data.set(), pixels, seed)?;
    let points = project(&found.features, found.dim, projection, &ctx.session().cancel_flag())?;
    Ok((points, found.labels))
}

/// The points of one set and the class of each.
fn points_of(i: usize, mut set: Map) -> Result<(Vec<[f64; 2]>, Vec<usize>)> {
    let path = format!("plot::embeddings: set {i}");
    let wanted = |name: &str| Error::usage(format!("{path}: `{name}` is missing, expected #{{ points, labels }}"));
    let points: Matrix = take(&mut set, &path, "points")?.ok_or_else(|| wanted("points"))?;
    let labels: Numbers = take(&mut set, &path, "labels")?.ok_or_else(|| wanted("labels"))?;
    ensure!(
        points.columns == 2,
        "{path}: points have {} numbers each, expected 2",
        points.columns
    );
    let label = |v: f64| {
        ensure!(v >= 0.0 && v.fract() == 0.0, "{path}: label {v} is not a class number");
        Ok(v as usize)
    };
    let labels = labels.0.into_iter().map(label).collect::<Result<_>>()?;
    Ok((points.values.chunks(2).map(|p| [p[0], p[1]]).collect(), labels))
}

/// The diagnostics as a script's map.
fn facts(found: &EmbeddingDiagnostics, names: &[String]) -> Map {
    let optional = |value: Option<f64>| value.map_or(Dynamic::UNIT, Dynamic::from_float);
    let classes = found.classes.iter().map(|class| {
        let name = usize::try_from(class.label).ok().and_then(|label| names.get(label));
        Dynamic::from_map(named([
            ("name", name.cloned().unwrap_or_else(|| class.label.to_string()).into()),
            ("pixels", (class.pixels as i64).into()),
            ("intra", class.intra.into()),
        ]))
    });
    named([
        ("pixels", (found.pixels as i64).into()),
        ("alignment", optional(found.alignment)),
        ("uniformity", optional(found.uniformity)),
        ("intra", found.intra.into()),
        ("inter", optional(found.inter)),
        ("inter_largest", optional(found.inter_largest)),
        ("effective_rank", found.effective_rank.into()),
        ("classes", Dynamic::from_array(classes.collect())),
    ])
}
