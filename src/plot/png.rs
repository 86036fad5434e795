//! PNG: RGB, eight bits, with the resolution and the metadata in their own chunks.

use resvg::tiny_skia::Pixmap;

use super::picture::Picture;
use crate::error::{Error, Result};

/// `picture` as the bytes of a PNG file, with `dpi` as its `pHYs` chunk and `metadata` as text chunks. The program's name is always
/// among them: by it seglab knows its files.
pub(super) fn encode(picture: &Picture, dpi: Option<f64>, metadata: &[(String, String)]) -> Result<Vec<u8>> {
    let failed = |e: png::EncodingError| Error::usage(format!("figure: the PNG cannot be written ({e})"));
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, picture.width as u32, picture.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    if let Some(dpi) = dpi {
        let per_metre = (dpi / 0.0254).round() as u32;
        let unit = png::Unit::Meter;
        encoder.set_pixel_dims(Some(png::PixelDimensions {
            xppu: per_metre,
            yppu: per_metre,
            unit,
        }));
    }
    let software = ("software".to_string(), format!("seglab {}", env!("CARGO_PKG_VERSION")));
    let unnamed = !metadata.iter().any(|(key, _)| *key == software.0);
    for (key, value) in unnamed.then_some(&software).into_iter().chain(metadata) {
        // tEXt is Latin-1 only; its key has at most 79 characters
        let key: String = key
            .chars()
            .filter(|c| c.is_ascii_graphic() || *c == ' ')
            .take(79)
            .collect();
        if value.is_ascii() {
            encoder.add_text_chunk(key, value.clone()).map_err(failed)?;
        } else {
            encoder.add_itxt_chunk(key, value.clone()).map_err(failed)?;
        }
    }
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&picture.pixels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(out)
}

/// Pixels of which some let the ground shine through, as the bytes of a PNG file. The fast method makes scattered points smaller too.
pub(super) fn encode_transparent(pixels: &Pixmap) -> Result<Vec<u8>> {
    let failed = |e: png::EncodingError| Error::usage(format!("figure: the PNG cannot be written ({e})"));
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, pixels.width(), pixels.height());
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_compression(png::Compression::Fast);
    let plain = pixels.pixels().iter().map(|p| p.demultiply());
    let bytes: Vec<u8> = plain.flat_map(|p| [p.red(), p.green(), p.blue(), p.alpha()]).collect();
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&bytes).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(out)
}
