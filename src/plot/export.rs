//! Figures as files: SVG as written, PNG through resvg, PDF through krilla, the data as CSV beside them.

use std::time::Duration;

use krilla::SerializeSettings;
use krilla::configure::{ConfigurationBuilder, PdfVersion};
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla_svg::{SurfaceExt, SvgSettings};
use resvg::{tiny_skia, usvg};

use super::figure::Figure;
use super::font::Font;
use super::picture::Picture;
use super::{csv, layout, png};
use crate::error::{Error, Result, choose, in_range};
use crate::session::Place;
use crate::{ensure, options};

/// Resolution of the pictures inside a PDF or SVG unless the caller wants another.
const PICTURE_DPI: f64 = 300.0;

options! {
    /// How a figure is written.
    #[derive(Copy)]
    pub struct SaveOptions {
        /// Dots per inch of a PNG and of pictures in the others; by default the preset's, and 300.
        dpi: Option<f64> = None,
        /// Write the data: by default all but pictures and matrices of more than 10,000 numbers; `true` writes these matrices too, `false`
        /// nothing.
        data: Option<bool> = None,
        /// In an SVG, draw letters as shapes, which look the same where the font is not installed; by default those of all fonts but
        /// `"sans"`, for which most viewers have one of the same width or narrower.
        outlines: Option<bool> = None,
    }
}

/// Kind of file, from the name's ending.
#[derive(Clone, Copy)]
enum Format {
    Png,
    Svg,
    Pdf,
}

impl Figure {
    /// Write the figure in the format of its name's ending (`.png`, `.svg`, `.pdf`) and its data beside it, to the same name with
    /// `.data.csv`. Returns the files written.
    ///
    /// # Errors
    /// The ending is another one; a file cannot be written; a file of the data's name is there that seglab did not write.
    pub fn save(&self, place: impl Into<Place>, options: &SaveOptions) -> Result<Vec<Place>> {
        let SaveOptions { dpi, data, outlines } = *options;
        let place = place.into();
        let formats = [("png", Format::Png), ("svg", Format::Svg), ("pdf", Format::Pdf)];
        let format = choose("save: the ending of the file name", &place.ending(), &formats)?;
        let beside = place.at(place.path().with_extension("data.csv"));
        let table = match data.unwrap_or(!csv::is_large(self)) {
            true => csv::table(self)?,
            false => None,
        };
        if table.is_some() && !beside.is_replaceable()? {
            return Err(Error::file(
                beside.path(),
                "the figure's data goes here, but this file was there before and seglab did not write it; move it away, or save the \
                 figure alone: save(name, #{ data: false })",
            ));
        }
        let bytes = match format {
            Format::Png => self.png(dpi)?,
            Format::Svg if outlines.unwrap_or(self.options.font != "sans") => self.svg_outlines(dpi)?.into_bytes(),
            Format::Svg => self.svg(dpi)?.into_bytes(),
            Format::Pdf => self.pdf(dpi)?,
        };
        place.write(bytes)?;
        let mut written = vec![place];
        if let Some(table) = table {
            beside.write(table)?;
            written.push(beside);
        }
        Ok(written)
    }

    /// The document, its size in points and its fonts.
    fn drawn(&self, dpi: Option<f64>) -> Result<(String, [f64; 2], Font)> {
        let dpi = dpi.unwrap_or(PICTURE_DPI);
        in_range("figure", "dpi", dpi, 20.0..=2400.0)?;
        layout::render(self, dpi)
    }

    /// The figure as an SVG document; text stays text.
    pub fn svg(&self, dpi: Option<f64>) -> Result<String> {
        Ok(self.drawn(dpi)?.0)
    }

    /// The figure as an SVG document without text: letters are shapes, which look the same where the font is not installed.
    pub fn svg_outlines(&self, dpi: Option<f64>) -> Result<String> {
        let (svg, size, font) = self.drawn(dpi)?;
        let options = usvg::WriteOptions {
            preserve_text: false,
            ..usvg::WriteOptions::default()
        };
        let tree = parse(&svg, &font)?;
        let shapes = tree.to_string(&options);
        // our own head, which has the size in points, title and metadata, around what usvg drew in its pixels
        let head = &svg[..svg.find("<rect ").unwrap_or(0)];
        let body = shapes.split_once('>').map_or("", |(_, body)| body);
        let scale = size[0] / f64::from(tree.size().width());
        Ok(format!(
            "{head}<g xmlns:xlink=\"http://www.w3.org/1999/xlink\" transform=\"scale({scale:.6})\">{}</g></svg>\n",
            body.trim_end().trim_end_matches("</svg>")
        ))
    }

    /// The figure as a PNG file with its resolution and metadata.
    pub fn png(&self, dpi: Option<f64>) -> Result<Vec<u8>> {
        let dpi = dpi.unwrap_or(self.options.preset.measures().2);
        let Picture { width, height, pixels } = self.picture(dpi)?;
        png::encode([width, height], &pixels, Some(dpi), &self.metadata)
    }

    /// The figure as pixels.
    pub fn picture(&self, dpi: f64) -> Result<Picture> {
        let (svg, size, font) = self.drawn(Some(dpi))?;
        self.waited(move || raster(&svg, &font, size, dpi))
    }

    /// The figure as a PDF of one page, version 1.5, which pdflatex takes; the fonts are embedded, text can be selected.
    pub fn pdf(&self, dpi: Option<f64>) -> Result<Vec<u8>> {
        let (svg, size, font) = self.drawn(dpi)?;
        let title = font.plain(&self.options.title);
        let facts = self.metadata.iter().map(|(key, value)| format!("{key}: {value}"));
        let facts = facts.collect();
        self.waited(move || page(&svg, &font, size, title, facts))
    }

    /// What `work` gives, unless the user interrupts: then it is left to end by itself.
    fn waited<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let worker = std::thread::spawn(work);
        while !worker.is_finished() {
            self.check_cancel()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        worker
            .join()
            .unwrap_or_else(|_| Err(Error::usage("figure: the drawing cannot be turned into a file")))
    }
}

/// The document as a PDF of one page.
fn page(svg: &str, font: &Font, [width, height]: [f64; 2], title: String, facts: Vec<String>) -> Result<Vec<u8>> {
    let tree = parse(svg, font)?;
    let failed = |what: &str| Error::usage(format!("figure: the PDF cannot be written ({what})"));
    let size = krilla::geom::Size::from_wh(width as f32, height as f32);
    let size = size.ok_or_else(|| failed("its page has no size"))?;
    let version = ConfigurationBuilder::new().with_version(PdfVersion::Pdf15);
    let mut document = krilla::Document::new_with(SerializeSettings {
        configuration: version.finish().map_err(|e| failed(&format!("{e:?}")))?,
        ..SerializeSettings::default()
    });
    let mut page = document.start_page_with(PageSettings::new(size));
    let mut surface = page.surface();
    surface
        .draw_svg(&tree, size, SvgSettings::default())
        .ok_or_else(|| failed("a part cannot be drawn"))?;
    surface.finish();
    page.finish();
    let metadata = Metadata::new()
        .title(title)
        .description(facts.join("\n"))
        .keywords(facts)
        .creator(format!("seglab {}", env!("CARGO_PKG_VERSION")));
    document.set_metadata(metadata);
    document.finish().map_err(|e| failed(&format!("{e:?}")))
}

/// The document with its text laid out; the only fonts it knows are those of the figure.
fn parse(svg: &str, font: &Font) -> Result<usvg::Tree> {
    let options = usvg::Options {
        font_family: font.family(0).to_string(),
        fontdb: font.db.clone(),
        ..usvg::Options::default()
    };
    usvg::Tree::from_str(svg, &options).map_err(|e| Error::usage(format!("figure: the drawing is not valid ({e})")))
}

/// The document of this size (in points) as pixels on white.
fn raster(svg: &str, font: &Font, size: [f64; 2], dpi: f64) -> Result<Picture> {
    let tree = parse(svg, font)?;
    let [width, height] = size.map(|s| (s / 72.0 * dpi).round().max(1.0) as u32);
    ensure!(
        u64::from(width) * u64::from(height) <= 200_000_000,
        "figure: {width} x {height} pixels are too many; make dpi or size smaller"
    );
    let mut pixels = tiny_skia::Pixmap::new(width, height)
        .ok_or_else(|| Error::usage(format!("figure: {width} x {height} pixels do not fit into memory")))?;
    let (sx, sy) = (width as f32 / tree.size().width(), height as f32 / tree.size().height());
    resvg::render(&tree, tiny_skia::Transform::from_scale(sx, sy), &mut pixels.as_mut());
    let rgb = pixels.data().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
    Picture::new(width as usize, height as usize, rgb)
}
