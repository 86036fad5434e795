//! PNG: eight bits, with the resolution and the metadata in their own chunks.

use png::{Compression, Encoder, EncodingError, PixelDimensions, Unit};

use crate::error::{Error, Result};

/// Pixels (three bytes each, or four where the ground shines through) as the bytes of a PNG file, with `dpi` as its `pHYs` chunk and
/// `metadata` as text chunks. The program's name is always among them: by it seglab knows its files.
pub(super) fn encode(
    [width, height]: [usize; 2],
    pixels: &[u8],
    dpi: Option<f64>,
    metadata: &[(String, String)],
) -> Result<Vec<u8>> {
    let failed = |e: EncodingError| Error::usage(format!("figure: the PNG cannot be written ({e})"));
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, width as u32, height as u32);
    if pixels.len() == 3 * width * height {
        encoder.set_color(png::ColorType::Rgb);
    } else {
        encoder.set_color(png::ColorType::Rgba);
        // makes scattered points smaller too
        encoder.set_compression(Compression::Fast);
    }
    if let Some(dpi) = dpi {
        let (xppu, unit) = ((dpi / 0.0254).round() as u32, Unit::Meter);
        encoder.set_pixel_dims(Some(PixelDimensions { xppu, yppu: xppu, unit }));
    }
    let software = ("software".to_string(), format!("seglab {}", env!("CARGO_PKG_VERSION")));
    let unnamed = !metadata.iter().any(|(key, _)| *key == software.0);
    for (key, value) in unnamed.then_some(&software).into_iter().chain(metadata) {
        // tEXt is Latin-1 only; its key has at most 79 characters
        let letters = key.chars().filter(|c| c.is_ascii_graphic() || *c == ' ');
        let (key, value) = (letters.take(79).collect(), value.clone());
        match value.is_ascii() {
            true => encoder.add_text_chunk(key, value),
            false => encoder.add_itxt_chunk(key, value),
        }
        .map_err(failed)?;
    }
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(pixels).map_err(failed)?;
    drop(writer);
    Ok(out)
}
