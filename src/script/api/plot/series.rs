//! What is drawn into panels with axes: lines, areas, bars, distributions, notes.

use super::Figure;
use super::arguments::{Base, Groups, Name, Numbers};
use crate::plot::{BarOptions, Bins, GroupKind, Joint, LineOptions, Look, Note, Spread};
use crate::script::prelude::*;
use crate::script::table::Entry;

shared_options! {
    /// The groups of boxes and violins.
    struct Grouped {
        /// `#{ name: [values] }`, or `[[values], ..]` with `names`.
        groups: Groups,
        /// Names of the groups of an array, in their order; by default their numbers.
        names: Vec<Name> = Vec::new(),
        /// Let them lie.
        horizontal: bool = false,
    }
}

impl Grouped {
    fn draw(self, ctx: &Call, figure: Figure, kind: GroupKind, look: Look) -> Result<Figure> {
        let Groups { mut names, samples } = self.groups;
        ensure!(
            names.is_empty() || self.names.is_empty(),
            "{}: the groups have names already, those of the map; leave out `names`",
            ctx.function()
        );
        names.extend(self.names.into_iter().map(|name| name.0));
        if names.is_empty() {
            names = (1..=samples.len()).map(|i| i.to_string()).collect();
        }
        figure.with(|f| f.groups(kind, &names, &samples, self.horizontal, look))
    }
}

pub(super) fn methods() -> Vec<Entry> {
    entries! {
        /// Draw a line through the points; it is interrupted where a value is NaN, infinite or `()`.
        /// ```
        /// let f = plot::figure(#{ x: "step", y: "mIoU" });
        /// f.line([0, 100, 200], [0.1, 0.3, 0.4], #{ label: "ours", error: [0.02, 0.02, 0.01], color: "#AA3377", width: 2 });
        /// f.line([0, 100, 200], [0.1, (), 0.2], #{ label: "baseline", dash: "dotted", marker: "square" });
        /// let text = "";
        /// try { f.line([1, 2], [1]); } catch (e) { text = `${e}`; }
        /// assert(text.contains("x has 2 values, y has 1"));
        /// f.save("line.svg");
        /// ```
        fn line(
            ctx,
            figure: Figure,
            x: Numbers,
            y: Numbers,
            /// A shaded band: half widths, or `[low, high]`.
            band: Option<Spread> = None,
            /// Error bars: half widths, or `[low, high]`.
            error: Option<Spread> = None,
            ..look: Look
        ) -> Figure {
            let options = LineOptions { band, error, ..look.into() };
            figure.with(|f| f.line(&x.0, &y.0, options))
        }

        /// Draw a line that keeps each value until the next x.
        /// ```
        /// let f = plot::figure(#{ x: "step", y: "learning rate" }).step([0, 100, 200], [0.1, 0.01, 0.001]);
        /// assert(f.save("step.svg").ends_with(".svg"));
        /// ```
        fn step(ctx, figure: Figure, x: Numbers, y: Numbers, ..look: Look) -> Figure {
            figure.with(|f| f.curve(Joint::Step, &x.0, &y.0, look))
        }

        /// Fill the area between a base and a line.
        /// ```
        /// let f = plot::figure(#{}).area([1, 2, 3], [1, 3, 2], #{ label: "below" });
        /// f.area([1, 2, 3], [2, 5, 3], #{ base: [1, 3, 2], label: "on it" });
        /// assert(f.save("area.svg").ends_with(".svg"));
        /// ```
        fn area(
            ctx,
            figure: Figure,
            x: Numbers,
            y: Numbers,
            /// Where the area begins: a number, or one for each point.
            base: Base = Base(vec![0.0]),
            ..look: Look
        ) -> Figure {
            figure.with(|f| f.area(&x.0, &y.0, &base.0, look))
        }

        /// Draw points without a line; `values` colours them, with a bar that says how, `sizes` makes them larger and smaller.
        ///
        /// More than 5,000 points become a picture inside an SVG or PDF, which keeps the file small.
        /// ```
        /// let f = plot::figure(#{ x: "confidence", y: "accuracy" });
        /// f.scatter(tensor::randn([50]), tensor::randn([50]), #{ label: "pixels", marker: "cross" }).save("scatter.svg");
        /// let g = plot::figure(#{}).scatter([1, 2, 3], [3, 1, 2], #{ values: [0.1, 0.5, 0.9], sizes: [1, 2, 4], bar: "IoU" });
        /// assert(g.save("mapped.svg").ends_with(".svg"));
        /// ```
        fn scatter(
            ctx,
            figure: Figure,
            x: Numbers,
            y: Numbers,
            /// Error bars: half widths, or `[low, high]`.
            error: Option<Spread> = None,
            /// A number for each point, shown as its colour.
            values: Option<Numbers> = None,
            /// A number for each point, shown as its area.
            sizes: Option<Numbers> = None,
            ..options: LineOptions
        ) -> Figure {
            let (values, sizes) = (values.map(|v| v.0), sizes.map(|s| s.0));
            let options = LineOptions { error, values, sizes, ..options };
            figure.with(|f| f.scatter(&x.0, &y.0, options))
        }

        /// Draw bars over named categories; those of a second call stand beside those of the first, or on them.
        /// ```
        /// let f = plot::figure(#{ y: "IoU (%)" });
        /// f.bars(["sky", "road"], [92, 88], #{ label: "scratch" });
        /// f.bars(["sky", "road"], [94, 91], #{ label: "pretrained", error: [1, 2], values: true });
        /// f.save("bars.svg");
        /// let g = plot::figure(#{}).bars(["sky", "road"], [92, 88], #{ horizontal: true });
        /// assert(g.save("lying.svg").ends_with(".svg"));
        /// ```
        fn bars(
            ctx,
            figure: Figure,
            /// The categories.
            names: Vec<Name>,
            heights: Numbers,
            /// Error bars: half widths, or `[low, high]`.
            error: Option<Spread> = None,
            ..options: BarOptions
        ) -> Figure {
            let options = BarOptions { error, ..options };
            let names: Vec<String> = names.into_iter().map(|name| name.0).collect();
            figure.with(|f| f.bars(&names, &heights.0, options))
        }

        /// Show how often values occur.
        /// ```
        /// let f = plot::figure(#{ x: "similarity" }).histogram(tensor::randn([200]), #{ bins: 20, label: "positives" });
        /// f.histogram([0.1, 0.2, 0.9], #{ bins: [0, 0.5, 1], density: true });
        /// assert(f.save("histogram.svg").ends_with(".svg"));
        /// ```
        fn histogram(
            ctx,
            figure: Figure,
            values: Numbers,
            /// How many bins, or their edges; by default as many as the values want.
            bins: Option<Bins> = None,
            /// Scale to an area of one.
            density: bool = false,
            ..look: Look
        ) -> Figure {
            figure.with(|f| f.histogram(&values.0, bins, density, look))
        }

        /// Show the density of values, smoothed with a Gaussian kernel.
        /// ```
        /// let f = plot::figure(#{ x: "similarity" }).density(tensor::randn([200]), #{ label: "positives" });
        /// assert(f.save("density.svg").ends_with(".svg"));
        /// ```
        fn density(
            ctx,
            figure: Figure,
            values: Numbers,
            /// The kernel's standard deviation; by default Scott's rule.
            bandwidth: Option<f64> = None,
            ..look: Look
        ) -> Figure {
            figure.with(|f| f.density(&values.0, bandwidth, look))
        }

        /// Draw a box for each group: quartiles, whiskers to the outermost values within 1.5 times the box, outliers.
        /// ```
        /// let f = plot::figure(#{ y: "mIoU" }).box(#{ ours: [0.4, 0.5, 0.45], scratch: [0.3, 0.35, 0.36] });
        /// assert(f.save("box.svg").ends_with(".svg"));
        /// ```
        fn box(ctx, figure: Figure, ..groups: Grouped, ..look: Look) -> Figure {
            groups.draw(ctx, figure, GroupKind::Box, look)
        }

        /// Draw the density of each group to both sides, with its quartiles.
        /// ```
        /// let f = plot::figure(#{ y: "mIoU" }).violin([[0.4, 0.5, 0.45], [0.3, 0.35, 0.36]], #{ names: ["ours", "scratch"] });
        /// assert(f.save("violin.svg").ends_with(".svg"));
        /// ```
        fn violin(ctx, figure: Figure, ..groups: Grouped, ..look: Look) -> Figure {
            groups.draw(ctx, figure, GroupKind::Violin, look)
        }

        /// Write a text into the panel, with an arrow to a point if wanted.
        /// ```
        /// let f = plot::figure(#{}).line([1, 2], [3, 4]).text(1.2, 3.8, "steep", #{ to: [1.5, 3.5], color: "red" });
        /// assert(f.save("text.svg").ends_with(".svg"));
        /// ```
        fn text(
            ctx,
            figure: Figure,
            x: f64,
            y: f64,
            text: String,
            /// Where an arrow ends.
            to: Option<[f64; 2]> = None,
            ..look: Look
        ) -> Figure {
            figure.with(|f| f.note(Note::Text { at: [x, y], text, to }, look))
        }

        /// Draw a horizontal line over the whole panel.
        /// ```
        /// let f = plot::figure(#{}).line([1, 2], [3, 4]).hline(3.5, #{ label: "supervised", dash: "dotted" });
        /// assert(f.save("hline.svg").ends_with(".svg"));
        /// ```
        fn hline(ctx, figure: Figure, y: f64, ..look: Look) -> Figure {
            figure.with(|f| f.note(Note::HLine(y), look))
        }

        /// Draw a vertical line over the whole panel.
        /// ```
        /// let f = plot::figure(#{}).line([1, 2], [3, 4]).vline(1.5);
        /// assert(f.save("vline.svg").ends_with(".svg"));
        /// ```
        fn vline(ctx, figure: Figure, x: f64, ..look: Look) -> Figure {
            figure.with(|f| f.note(Note::VLine(x), look))
        }

        /// Shade a span of x, of y or of both.
        /// ```
        /// let f = plot::figure(#{}).line([1, 2], [3, 4]).span(#{ x: [1.2, 1.4], label: "warm-up" });
        /// assert(f.save("span.svg").ends_with(".svg"));
        /// ```
        fn span(
            ctx,
            figure: Figure,
            /// `[from, to]`.
            x: Option<[f64; 2]> = None,
            /// `[from, to]`.
            y: Option<[f64; 2]> = None,
            ..look: Look
        ) -> Figure {
            figure.with(|f| f.note(Note::Span { x, y }, look))
        }
    }
}
