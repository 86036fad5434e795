//! Figures as files: SVG as written, PNG through resvg, PDF through krilla, the data as CSV beside them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use krilla_svg::{SurfaceExt, SvgSettings};
use resvg::{tiny_skia, usvg};

use super::figure::Figure;
use super::picture::Picture;
use super::text::{FAMILY, font_data};
use super::{csv, layout, png, text};
use crate::ensure;
use crate::error::{Error, Result, choose};

/// Resolution of the pictures inside a PDF or SVG unless the caller wants another.
const PICTURE_DPI: f64 = 300.0;

/// Kind of file, from the name's ending.
#[derive(Clone, Copy)]
enum Format {
    Png,
    Svg,
    Pdf,
}

impl Figure {
    /// Write the figure to `path`, in the format of its ending (`.png`, `.svg`, `.pdf`), and its data to the same name
    /// with `.csv` (nothing where there are only pictures). `dpi` is the resolution of a PNG (the preset's by default) and
    /// of the pictures inside the others (300 by default). Returns the files written.
    pub fn save(&self, path: impl AsRef<Path>, dpi: Option<f64>) -> Result<Vec<PathBuf>> {
        let path = path.as_ref();
        let ending = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let formats = [("png", Format::Png), ("svg", Format::Svg), ("pdf", Format::Pdf)];
        let format = choose("save: the ending of the file name", &ending, &formats)?;
        let bytes = match format {
            Format::Png => self.png(dpi)?,
            Format::Svg => self.svg(dpi)?.into_bytes(),
            Format::Pdf => self.pdf(dpi)?,
        };
        let mut written = vec![write(path, &bytes)?];
        if let Some(table) = csv::table(self) {
            written.push(write(&path.with_extension("csv"), table.as_bytes())?);
        }
        Ok(written)
    }

    /// The figure as an SVG document; text stays text, in DejaVu Sans.
    pub fn svg(&self, dpi: Option<f64>) -> Result<String> {
        let dpi = check_dpi(dpi.unwrap_or(PICTURE_DPI))?;
        Ok(layout::render(self, dpi)?.0)
    }

    /// The figure as a PNG file with its resolution and metadata.
    pub fn png(&self, dpi: Option<f64>) -> Result<Vec<u8>> {
        let dpi = check_dpi(dpi.unwrap_or(self.options.preset.dpi()))?;
        let (svg, size) = layout::render(self, dpi)?;
        png::encode(&raster(&svg, size, dpi)?, Some(dpi), &self.metadata)
    }

    /// The figure as pixels.
    pub fn picture(&self, dpi: f64) -> Result<Picture> {
        let dpi = check_dpi(dpi)?;
        let (svg, size) = layout::render(self, dpi)?;
        raster(&svg, size, dpi)
    }

    /// The figure as a PDF of one page; the font is embedded, text can be selected.
    pub fn pdf(&self, dpi: Option<f64>) -> Result<Vec<u8>> {
        let dpi = check_dpi(dpi.unwrap_or(PICTURE_DPI))?;
        let (svg, [width, height]) = layout::render(self, dpi)?;
        let tree = parse(&svg)?;
        let failed = |what: &str| Error::usage(format!("figure: the PDF cannot be written ({what})"));
        let settings = krilla::page::PageSettings::from_wh(width as f32, height as f32);
        let size = krilla::geom::Size::from_wh(width as f32, height as f32);
        let (Some(settings), Some(size)) = (settings, size) else {
            return Err(failed("its page has no size"));
        };
        let mut document = krilla::Document::new();
        let mut page = document.start_page_with(settings);
        let mut surface = page.surface();
        surface
            .draw_svg(&tree, size, SvgSettings::default())
            .ok_or_else(|| failed("a part cannot be drawn"))?;
        surface.finish();
        page.finish();
        let facts: Vec<String> = self
            .metadata
            .iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        let metadata = krilla::metadata::Metadata::new()
            .title(text::plain(&self.options.title))
            .description(facts.join("\n"))
            .keywords(facts)
            .creator(format!("seglab {}", env!("CARGO_PKG_VERSION")));
        document.set_metadata(metadata);
        document.finish().map_err(|e| failed(&format!("{e:?}")))
    }
}

fn check_dpi(dpi: f64) -> Result<f64> {
    ensure!(
        (20.0..=2400.0).contains(&dpi),
        "figure: dpi {dpi} is not between 20 and 2400"
    );
    Ok(dpi)
}

fn write(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    std::fs::write(path, bytes).map_err(|e| Error::file(path, format!("the figure cannot be written ({e})")))?;
    Ok(path.to_path_buf())
}

/// The document with its text laid out; the only font it knows is the embedded one.
fn parse(svg: &str) -> Result<usvg::Tree> {
    let mut options = usvg::Options {
        font_family: FAMILY.to_string(),
        ..usvg::Options::default()
    };
    options
        .fontdb_mut()
        .load_font_source(usvg::fontdb::Source::Binary(Arc::new(font_data())));
    usvg::Tree::from_str(svg, &options).map_err(|e| Error::usage(format!("figure: the drawing is not valid ({e})")))
}

/// The document of this size (in points) as pixels on white.
fn raster(svg: &str, size: [f64; 2], dpi: f64) -> Result<Picture> {
    let tree = parse(svg)?;
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
