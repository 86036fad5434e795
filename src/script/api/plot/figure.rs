//! `plot::figure` and what can be added to a figure.

use super::Figure;
use super::arguments::{Ends, Matrix, Name, Numbers, Palette, labels_from, picture_from};
use crate::plot::{self, BarOptions, ColourMap, Dash, FigureOptions, HeatmapOptions, LineOptions, Log, Marker, Preset};
use crate::script::prelude::*;
use crate::script::table::Entry;

pub(super) fn constructors() -> Vec<Entry> {
    entries! {
        /// Begin a figure; add to it with `.line`, `.bars`, `.scatter`, `.heatmap`, `.image`, `.masks`, then `.save` it.
        ///
        /// In every text `_{..}` lowers and `^{..}` raises: `"L_{NCE}"`, `"10^{-3}"`.
        /// ```
        /// let f = plot::figure(#{ title: "Two lines", x: "step", y: "loss", log: "y" });
        /// f.line([1, 2, 3], [1.0, 0.1, 0.01], #{ label: "ours", band: [0.1, 0.02, 0.001] })
        ///     .line([1, 2, 3], tensor::randn([3]).exp(), #{ label: "random" });
        /// assert(f.save("two_lines.svg").ends_with("two_lines.svg"));
        /// ```
        fn figure(
            ctx,
            /// `"paper"` (3.5 x 2.6 in, 8 pt), `"ieee"` (3.3 x 2.5 in, 8 pt, 600 dpi), `"nature"` (7 pt) or `"slides"` (8 x 4.5 in).
            preset: String = "paper".into(),
            /// Width and height in inches; by default the preset's, more for several panels, as high as pictures need.
            size: Option<[f64; 2]> = None,
            /// Above the figure.
            title: String = String::new(),
            /// Below the x axis.
            x: String = String::new(),
            /// Beside the y axis.
            y: String = String::new(),
            /// Rows of panels, see `.panel`.
            rows: usize = 1,
            /// Columns of panels.
            columns: usize = 1,
            /// Logarithmic axes: `"none"`, `"x"`, `"y"` or `"xy"`.
            log: String = "none".into(),
        ) -> Figure {
            let (preset, log) = (Preset::parse(&preset)?, Log::parse(&log)?);
            let options = FigureOptions { preset, size, title, x, y, rows, columns, log };
            Ok(Figure::new(plot::Figure::new(options)?))
        }
    }
}

pub(super) fn methods() -> Vec<Entry> {
    entries! {
        /// Go to a panel (counted from 0); what follows is drawn there.
        /// ```
        /// let f = plot::figure(#{ columns: 2, x: "step" });
        /// f.panel(0, 0, #{ y: "loss" }).line([1, 2], [3, 2]);
        /// f.panel(0, 1, #{ y: "mIoU" }).line([1, 2], [0.1, 0.4]);
        /// assert(f.save("panels.svg").ends_with("panels.svg"));
        /// ```
        fn panel(
            ctx,
            figure: Figure,
            row: usize,
            column: usize,
            /// Above the panel.
            title: String = String::new(),
            /// Below its x axis, in place of the figure's.
            x: String = String::new(),
            /// Beside its y axis, in place of the figure's.
            y: String = String::new(),
            /// Its logarithmic axes, in place of the figure's.
            log: Option<String> = None,
        ) -> Figure {
            let log = log.map(|name| Log::parse(&name)).transpose()?;
            figure.with(|f| f.panel(row, column, &title, &x, &y, log).map(drop))
        }

        /// Draw a line through the points; it is interrupted where a value is NaN, infinite or `()`.
        /// ```
        /// let f = plot::figure(#{ x: "step", y: "mIoU" });
        /// f.line([0, 100, 200], [0.1, 0.3, 0.4], #{ label: "ours", error: [0.02, 0.02, 0.01] });
        /// f.line([0, 100, 200], [0.1, (), 0.2], #{ label: "baseline", dash: "dotted", marker: "square" });
        /// let text = "";
        /// try { f.line([1, 2], [1]); } catch (e) { text = e; }
        /// assert(text.contains("x has 2 values, y has 1"));
        /// f.save("line.svg");
        /// ```
        fn line(
            ctx,
            figure: Figure,
            x: Numbers,
            y: Numbers,
            /// Name in the legend.
            label: String = String::new(),
            /// A shaded band: half widths, or `[low, high]`.
            band: Option<Ends> = None,
            /// Error bars: half widths, or `[low, high]`.
            error: Option<Ends> = None,
            /// `"solid"`, `"dashed"`, `"dotted"`, `"dashdot"` or `"long"`; by default each line has its own.
            dash: Option<String> = None,
            /// `"none"`, `"circle"`, `"square"`, `"triangle"`, `"diamond"`, `"down"`, `"plus"` or `"cross"`; by default each line
            /// has its own, shown where there are few points.
            marker: Option<String> = None,
        ) -> Figure {
            let dash = dash.map(|name| Dash::parse(&name)).transpose()?;
            let marker = marker.map(|name| Marker::parse(&name)).transpose()?;
            let (band, error) = (band.map(|b| b.0), error.map(|e| e.0));
            let options = LineOptions { label, band, error, dash, marker, ..LineOptions::default() };
            figure.with(|f| f.line(&x.0, &y.0, options).map(drop))
        }

        /// Draw points without a line.
        /// ```
        /// let f = plot::figure(#{ x: "confidence", y: "accuracy" });
        /// f.scatter(tensor::randn([50]), tensor::randn([50]), #{ label: "pixels", marker: "cross" });
        /// assert(f.save("scatter.svg").ends_with("scatter.svg"));
        /// ```
        fn scatter(
            ctx,
            figure: Figure,
            x: Numbers,
            y: Numbers,
            /// Name in the legend.
            label: String = String::new(),
            /// Error bars: half widths, or `[low, high]`.
            error: Option<Ends> = None,
            /// As for `line`.
            marker: Option<String> = None,
        ) -> Figure {
            let marker = marker.map(|name| Marker::parse(&name)).transpose()?;
            let options = LineOptions { label, error: error.map(|e| e.0), marker, ..LineOptions::default() };
            figure.with(|f| f.scatter(&x.0, &y.0, options).map(drop))
        }

        /// Draw bars over named categories; those of a second call stand beside those of the first.
        /// ```
        /// let f = plot::figure(#{ y: "IoU (%)" });
        /// f.bars(["sky", "road"], [92, 88], #{ label: "scratch" });
        /// f.bars(["sky", "road"], [94, 91], #{ label: "pretrained", error: [1, 2] });
        /// assert(f.save("bars.svg").ends_with("bars.svg"));
        /// ```
        fn bars(
            ctx,
            figure: Figure,
            /// The categories.
            names: Vec<Name>,
            values: Numbers,
            /// Name in the legend.
            label: String = String::new(),
            /// Error bars: half widths, or `[low, high]`.
            error: Option<Ends> = None,
        ) -> Figure {
            let options = BarOptions { label, error: error.map(|e| e.0), colour: None };
            let names: Vec<String> = names.into_iter().map(|name| name.0).collect();
            figure.with(|f| f.bars(&names, &values.0, options).map(drop))
        }

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
            /// Beside the rows.
            row_names: Vec<String> = Vec::new(),
            /// Below the columns.
            column_names: Vec<String> = Vec::new(),
            /// Write the numbers into the cells where they fit.
            numbers: bool = true,
            /// `"viridis"`, `"blues"` or `"diverging"` (blue below zero, red above).
            colors: String = "viridis".into(),
            /// The values of the first and the last colour; by default those of the data.
            range: Option<[f64; 2]> = None,
            /// Beside the colour bar.
            label: String = String::new(),
            /// Make the cells square.
            square: bool = false,
        ) -> Figure {
            let options = HeatmapOptions {
                rows: row_names,
                columns: column_names,
                numbers,
                texts: None,
                colours: ColourMap::parse(&colors)?,
                range,
                label,
                square,
            };
            figure.with(|f| f.heatmap(&values.values, values.rows, values.columns, options).map(drop))
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
            figure.with(|f| f.image(picture).map(drop))
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
                    f.masks(picture, &labels, &palette.0).map(drop)
                }
                None => f.labels(width, height, &labels, &palette.0).map(drop),
            })
        }

        /// Write the figure below the run folder, as its name ends in `.png`, `.svg` or `.pdf`, and its data as `NAME.data.csv`.
        ///
        /// The file also records the seed, the hash of the script and the runs shown. Gives the path.
        /// ```
        /// let f = plot::figure(#{ size: [2, 1.5] }).line([1, 2], [3, 4]);
        /// f.save("f.pdf");
        /// f.save("f.png", #{ dpi: 100, data: false });
        /// let text = "";
        /// try { f.save("f.jpg"); } catch (e) { text = e; }
        /// assert(text.contains("png"));
        /// ```
        fn save(
            ctx,
            figure: Figure,
            path: String,
            /// Dots per inch of a PNG and of pictures in the others; by default the preset's.
            dpi: Option<f64> = None,
            /// Whether the data is written too; by default it is, but not for pictures nor for heat maps of more than 10,000 numbers.
            data: Option<bool> = None,
        ) -> String {
            figure.save(ctx.session(), &path, dpi, data)
        }
    }
}
