//! Label maps as files that [`super::folder`] reads back.

use super::classes::voc_colour;
use crate::ensure;
use crate::error::{Error, Result};

/// A label map of `[height, width]` as an indexed PNG: the index of a pixel is its label, whatever the colours.
pub fn label_png(labels: &[u8], [height, width]: [usize; 2], palette: &[[u8; 3]]) -> Result<Vec<u8>> {
    ensure!(
        labels.len() == height * width && !labels.is_empty(),
        "save: found {} labels for {height} x {width} pixels",
        labels.len()
    );
    let colours = (0..=255u8).flat_map(|i| palette.get(usize::from(i)).copied().unwrap_or_else(|| voc_colour(i)));
    encoded(
        labels,
        [height, width],
        png::ColorType::Indexed,
        Some(colours.collect()),
    )
}

/// Colours, red green blue interleaved, as a PNG.
pub fn image_png(pixels: &[u8], [height, width]: [usize; 2]) -> Result<Vec<u8>> {
    ensure!(
        pixels.len() == 3 * height * width && !pixels.is_empty(),
        "save: found {} bytes for {height} x {width} pixels of three colours",
        pixels.len()
    );
    encoded(pixels, [height, width], png::ColorType::Rgb, None)
}

fn encoded(
    bytes: &[u8],
    [height, width]: [usize; 2],
    colour: png::ColorType,
    palette: Option<Vec<u8>>,
) -> Result<Vec<u8>> {
    let failed = |e: png::EncodingError| Error::usage(format!("save: the PNG cannot be written ({e})"));
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    if let Some(palette) = palette {
        encoder.set_palette(palette);
    }
    let software = format!("seglab {}", env!("CARGO_PKG_VERSION")); // by which seglab knows its files
    encoder.add_text_chunk("Software".into(), software).map_err(failed)?;
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(bytes).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(out)
}
