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
    let failed = |e: png::EncodingError| Error::usage(format!("save: the PNG cannot be written ({e})"));
    let colours = (0..=255u8).flat_map(|i| palette.get(usize::from(i)).copied().unwrap_or_else(|| voc_colour(i)));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(colours.collect::<Vec<u8>>());
    let software = format!("seglab {}", env!("CARGO_PKG_VERSION")); // by which seglab knows its files
    encoder.add_text_chunk("Software".into(), software).map_err(failed)?;
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(labels).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}
