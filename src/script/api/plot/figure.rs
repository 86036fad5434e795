//! `plot::figure`, its panels, axes and legend, and saving it.

use super::Figure;
use super::arguments::{Name, Numbers, Palette};
use crate::plot::{self, FigureOptions, LegendPlace, Log, SaveOptions};
use crate::script::prelude::*;
use crate::script::table::Entry;

pub(super) fn constructors() -> Vec<Entry> {
    entries! {
        /// Begin a figure; add to it with `.line`, `.bars`, `.scatter`, `.heatmap`, `.image` and so on, then `.save` it.
        ///
        /// Texts hold TeX between dollars: `"$\\tau$"`, `"$\\mathcal{L}_{NCE}^{pix}$"`, `"$10^{-3}$"`; `_{..}` and `^{..}` lower and
        /// raise everywhere.
        /// ```
        /// let f = plot::figure(#{ title: "Two lines", x: "step", y: "$\\mathcal{L}_{NCE}$", log: "y" });
        /// f.line([1, 2, 3], [1.0, 0.1, 0.01], #{ label: "ours", band: [0.1, 0.02, 0.001] })
        ///     .line([1, 2, 3], tensor::randn([3]).exp(), #{ label: "random" });
        /// assert(f.save("two_lines.svg").ends_with("two_lines.svg"));
        /// ```
        fn figure(
            ctx,
            ..options: FigureOptions
        ) -> Figure {
            Ok(Figure::new(plot::Figure::new(options)?))
        }
    }
}

pub(super) fn methods() -> Vec<Entry> {
    entries! {
        /// Go to a panel (counted from 0); what follows is drawn there.
        /// ```
        /// let f = plot::figure(#{ columns: 2, x: "step", widths: [2, 1] });
        /// f.panel(0, 0, #{ y: "loss" }).line([1, 2], [3, 2]);
        /// f.panel(0, 1, #{ y: "mIoU" }).line([1, 2], [0.1, 0.4]);
        /// assert(f.save("panels.svg").ends_with(".svg"));
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
            log: Option<Log> = None,
        ) -> Figure {
            figure.with(|f| f.panel(row, column, &title, &x, &y, log))
        }

        /// Draw what follows in this panel against a second axis on the right; `.left()` goes back.
        /// ```
        /// let f = plot::figure(#{ x: "step", y: "loss" }).line([0, 10], [2.0, 1.0], #{ label: "loss" });
        /// f.right(#{ y: "learning rate" }).line([0, 10], [0.1, 0.0], #{ label: "lr" }).left();
        /// assert(f.save("right.svg").ends_with(".svg"));
        /// ```
        fn right(
            ctx,
            figure: Figure,
            /// Beside the right axis.
            y: String = String::new(),
            /// A logarithmic axis.
            log: bool = false,
        ) -> Figure {
            figure.with(|f| f.right(&y, log))
        }

        /// Draw what follows in this panel against the left axis again.
        /// ```
        /// let f = plot::figure(#{}).line([1, 2], [3, 4]).right(#{ y: "more" }).line([1, 2], [30, 50]).left();
        /// assert(f.line([1, 2], [4, 3]).save("left.svg").ends_with(".svg"));
        /// ```
        fn left(ctx, figure: Figure) -> Figure {
            figure.with(|f| Ok(f.left()))
        }

        /// Set the ends of the panel's axes; what lies outside is cut off.
        /// ```
        /// let f = plot::figure(#{}).bars(["a", "b"], [71.2, 73.9]).limits(#{ y: [70, 75] });
        /// f.save("limits.svg");
        /// let text = "";
        /// try { f.limits(#{ y: [75, 70] }); } catch (e) { text = `${e}`; }
        /// assert(text.contains("wrong way round"));
        /// ```
        fn limits(
            ctx,
            figure: Figure,
            /// `[lowest, highest]`.
            x: Option<[f64; 2]> = None,
            /// `[lowest, highest]`; after `.right` those of the right axis.
            y: Option<[f64; 2]> = None,
        ) -> Figure {
            figure.with(|f| f.limits(x, y))
        }

        /// Put the ticks of the panel's axes at these values, with their names or their numbers.
        /// ```
        /// let f = plot::figure(#{ log: "x" }).line([18, 46, 367], [0.3, 0.4, 0.6]);
        /// f.ticks(#{ x: [18, 46, 367], x_names: ["1/20", "1/8", "1"] });
        /// assert(f.save("ticks.svg").ends_with(".svg"));
        /// ```
        fn ticks(
            ctx,
            figure: Figure,
            x: Option<Numbers> = None,
            /// One for each tick of x.
            x_names: Vec<Name> = Vec::new(),
            /// After `.right` those of the right axis.
            y: Option<Numbers> = None,
            /// One for each tick of y.
            y_names: Vec<Name> = Vec::new(),
        ) -> Figure {
            ensure!(x.is_some() || x_names.is_empty(), "ticks: `x_names` needs `x`, the places of the ticks");
            ensure!(y.is_some() || y_names.is_empty(), "ticks: `y_names` needs `y`, the places of the ticks");
            ensure!(x.is_some() || y.is_some(), "ticks: expected `x` or `y`, as in #{{ x: [1, 10, 100] }}");
            figure.with(|f| {
                for (axis, at, names) in [("x", x, x_names), ("y", y, y_names)] {
                    let names: Vec<String> = names.into_iter().map(|n| n.0).collect();
                    if let Some(at) = at {
                        f.ticks(axis, &at.0, &names)?;
                    }
                }
                Ok(f)
            })
        }

        /// Place the legend, or with `names` and `palette` put one of classes below the figure, or into a corner of the panel's image.
        /// ```
        /// let f = plot::figure(#{}).line([1, 2], [3, 4], #{ label: "ours" }).legend(#{ place: "bottom right" });
        /// f.save("legend.svg");
        /// let scenes = data::scenes(#{ count: 1, size: [24, 32] });
        /// let g = plot::figure(#{}).masks((), scenes.get(0).labels, scenes.palette);
        /// g.legend(#{ names: ["sky"], palette: scenes.palette, place: "top left" });
        /// assert(g.legend(#{ names: scenes.class_names, palette: scenes.palette }).save("classes.svg").ends_with(".svg"));
        /// ```
        fn legend(
            ctx,
            figure: Figure,
            /// Names of classes.
            names: Vec<String> = Vec::new(),
            /// Their colours.
            palette: Option<Palette> = None,
            /// Where the legend of this panel stands; from the first panel of all. Classes stand below, or in a corner of the image.
            place: LegendPlace = LegendPlace::Best,
        ) -> Figure {
            let colours = palette.map_or(Vec::new(), |p| p.0);
            figure.with(|f| f.legend(&names, &colours, place))
        }

        /// List the texts of the figure as it was last saved or shown, with the corners of each in points: to check that nothing overlaps.
        /// ```
        /// let f = plot::figure(#{ title: "Title" }).line([1, 2], [3, 4]);
        /// f.save("texts.svg");
        /// let title = f.texts().filter(|t| t.text == "Title")[0];
        /// assert_eq(title.corners.len(), 4);
        /// ```
        fn texts(ctx, figure: Figure) -> Array {
            let number = |v: f64| Dynamic::from_float(v);
            let corner = |p: [f64; 2]| Dynamic::from_array(p.map(number).to_vec());
            let map = |t: plot::TextBox| {
                let corners = Dynamic::from_array(t.corners.map(corner).to_vec());
                Dynamic::from_map(Map::from([("text".into(), t.text.into()), ("corners".into(), corners)]))
            };
            Ok(figure.0.borrow().text_boxes().into_iter().map(map).collect())
        }

        /// Write the figure below the run folder, as its name ends in `.png`, `.svg` or `.pdf`, and its data as `NAME.data.csv`.
        ///
        /// The file also records the seed, the hash of the script and the runs shown. Gives the path.
        /// ```
        /// let f = plot::figure(#{ size: [2, 1.5] }).line([1, 2], [3, 4]);
        /// f.save("f.pdf");
        /// f.save("f.svg", #{ outlines: true });
        /// f.save("f.png", #{ dpi: 100 });
        /// let text = "";
        /// try { f.save("f.jpg"); } catch (e) { text = `${e}`; }
        /// assert(text.contains("png"));
        /// ```
        fn save(
            ctx,
            figure: Figure,
            path: String,
            ..options: SaveOptions
        ) -> String {
            figure.save(ctx.session(), &path, &options)
        }
    }
}
