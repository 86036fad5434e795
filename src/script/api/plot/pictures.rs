//! Heat maps and images, and what is laid over them.

use super::Figure;
use super::arguments::{Matrix, Palette, labels_from, picture_from};
use crate::plot::{ColourMap, HeatmapOptions, Look};
use crate::script::prelude::*;
use crate::script::table::Entry;

pub(super) fn methods() -> Vec<Entry> {
    entries! {
        /// Draw a matrix in colours, the first row at the top.
        /// ```
        /// let f = plot::figure(#{ x: "prediction", y: "truth" });
        /// f.heatmap([[0.9, 0.1], [0.2, 0.8]], #{ row_names: ["sky", "road"], column_names: ["sky", "road"], square: true });
        /// assert(f.save("matrix.svg").ends_with("matrix.svg"));
        /// ```
        fn heatmap(
            ctx,
            figure: Figure,
            /// A tensor `[rows, columns]` or an array of rows.
            values: Matrix,
            ..options: HeatmapOptions
        ) -> Figure {
            figure.with(|f| f.heatmap(&values.values, values.rows, values.columns, options))
        }

        /// Show an image; where the panel has something already, it takes the next free one.
        /// ```
        /// let f = plot::figure(#{ columns: 2 });
        /// for i in 0..2 { f.image(data::scenes(#{ count: 2, size: [24, 32] }).get(i).image); }
        /// assert(f.save("images.svg").ends_with("images.svg"));
        /// ```
        fn image(
            ctx,
            figure: Figure,
            /// `[3, h, w]` with colours 0 to 1 (bytes 0 to 255 where the type is an integer one).
            image: Tensor,
        ) -> Figure {
            let picture = picture_from(&image)?;
            figure.with(|f| f.image(picture))
        }

        /// Show a label map over an image, half transparent with outlines; without an image (`()`) the label map alone.
        /// ```
        /// let scenes = data::scenes(#{ count: 1, size: [24, 32] });
        /// let sample = scenes.get(0);
        /// let f = plot::figure(#{ columns: 2 });
        /// f.masks(sample.image, sample.labels, scenes.palette).masks((), sample.labels, scenes.palette);
        /// assert(f.save("masks.svg").ends_with("masks.svg"));
        /// ```
        fn masks(
            ctx,
            figure: Figure,
            /// `[3, h, w]` with colours 0 to 1, or `()`.
            image: Option<Tensor>,
            /// `[h, w]`, integers; 255 is ignored.
            labels: Tensor,
            /// One colour `[red, green, blue]` per class.
            palette: Palette,
        ) -> Figure {
            let (labels, [height, width]) = labels_from(&labels)?;
            let picture = image.as_ref().map(picture_from).transpose()?;
            figure.with(|f| match &picture {
                Some(picture) => {
                    ensure!(
                        [picture.height, picture.width] == [height, width],
                        "masks: the image is {} x {} pixels, the label map {height} x {width}",
                        picture.height,
                        picture.width
                    );
                    f.masks(picture, &labels, &palette.0)
                }
                None => f.labels(width, height, &labels, &palette.0),
            })
        }

        /// Lay a heat map of any size over the panel's image; NaN leaves the image as it is.
        /// ```
        /// let image = data::scenes(#{ count: 1, size: [24, 32] }).get(0).image;
        /// let f = plot::figure(#{}).image(image).overlay(tensor::rand([6, 8]), #{ alpha: 0.6 });
        /// assert(f.save("overlay.svg").ends_with(".svg"));
        /// ```
        fn overlay(
            ctx,
            figure: Figure,
            /// A tensor `[rows, columns]` or an array of rows.
            values: Matrix,
            /// Opacity, 0 to 1.
            alpha: f64 = 0.5,
            /// The colours of small to large numbers.
            colors: ColourMap = ColourMap::Viridis,
            /// The values of the first and the last colour; by default those of the data.
            range: Option<[f64; 2]> = None,
        ) -> Figure {
            figure.with(|f| f.overlay(&values.values, values.rows, values.columns, alpha, colors, range))
        }

        /// Mark a point on the panel's image, in pixels from its left upper corner; `label` is written beside it.
        /// ```
        /// let image = data::scenes(#{ count: 1, size: [24, 32] }).get(0).image;
        /// let f = plot::figure(#{}).image(image).point(16, 12, #{ label: "anchor", marker: "cross" });
        /// assert(f.save("point.svg").ends_with(".svg"));
        /// ```
        fn point(ctx, figure: Figure, x: f64, y: f64, ..look: Look) -> Figure {
            figure.with(|f| f.point(x, y, look))
        }
    }
}
