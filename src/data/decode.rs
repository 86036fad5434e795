//! Image and label files to memory. Every error names the file; a wrong label also its pixel.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

use image::ImageReader;

use super::IGNORED;
use crate::error::{Error, Result};

/// What each value in a label file means.
#[derive(Clone)]
pub struct LabelMap {
    /// Class, [`IGNORED`], or nothing for a value that must not occur.
    class_of: [Option<u8>; 256],
    /// The valid values in words, for the error.
    expected: String,
    /// What may be wrong when another value occurs.
    hint: &'static str,
}

/// A label map in memory.
pub struct Labels {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// One class per pixel.
    pub labels: Vec<u8>,
}

impl LabelMap {
    /// The values `0..classes` mean themselves; `ignored` (255 is always one of them) mean no class.
    pub fn identity(classes: usize, ignored: &[u8]) -> Self {
        let mut class_of = [None; 256];
        for (value, class) in class_of.iter_mut().enumerate().take(classes) {
            *class = Some(value as u8);
        }
        let mut void: Vec<u8> = ignored.iter().copied().chain([IGNORED]).collect();
        void.dedup();
        for &value in &void {
            class_of[value as usize] = Some(IGNORED);
        }
        let void: Vec<String> = void.iter().map(u8::to_string).collect();
        LabelMap {
            class_of,
            expected: format!(
                "0 to {} ({classes} classes) or {} (ignored)",
                classes - 1,
                void.join(" or ")
            ),
            hint: "is the number of classes right, and do the files use another ignore label?",
        }
    }

    /// Each value means what `table` says; values beyond it must not occur, except 255.
    pub fn table(table: &[u8], expected: &str, hint: &'static str) -> Self {
        let mut class_of = [None; 256];
        for (slot, &class) in class_of.iter_mut().zip(table) {
            *slot = Some(class);
        }
        class_of[IGNORED as usize] = Some(IGNORED);
        LabelMap {
            class_of,
            expected: expected.to_string(),
            hint,
        }
    }

    /// Whether some value means this class.
    pub fn reaches(&self, class: u8) -> bool {
        self.class_of.contains(&Some(class))
    }

    /// Translate the values of a label file in place; the error names the first wrong pixel.
    fn apply(&self, path: &Path, width: usize, values: &mut [u8]) -> Result<()> {
        for (at, value) in values.iter_mut().enumerate() {
            *value = self.class_of[*value as usize].ok_or_else(|| self.stranger(path, width, at, u16::from(*value)))?;
        }
        Ok(())
    }

    fn stranger(&self, path: &Path, width: usize, at: usize, value: u16) -> Error {
        Error::file(
            path,
            format!(
                "found label {value} at row {}, column {}, expected {}; {}",
                at / width,
                at % width,
                self.expected,
                self.hint
            ),
        )
    }
}

/// Read a PNG or JPEG (8 or 16 bit, grey or colour, with or without transparency, which is dropped) as interleaved RGB bytes:
/// height, width, pixels.
pub fn image_from_file(path: &Path) -> Result<(usize, usize, Vec<u8>)> {
    let bytes = std::fs::read(path).map_err(|e| Error::file(path, format!("the image cannot be read ({e})")))?;
    if cut_off(&bytes) {
        return Err(Error::file(
            path,
            "the JPEG image is cut off (its end mark is missing); copy the file again",
        ));
    }
    let corrupt = |e: &dyn std::fmt::Display| {
        Error::file(
            path,
            format!("the image is damaged or of an unknown kind, expected PNG or JPEG ({e}); copy the file again"),
        )
    };
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| corrupt(&e))?;
    let image = reader.decode().map_err(|e| corrupt(&e))?.into_rgb8();
    Ok((image.height() as usize, image.width() as usize, image.into_raw()))
}

/// Whether a JPEG has no end mark after the last start of a scan: decoders fill up such images with grey without a word.
fn cut_off(bytes: &[u8]) -> bool {
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return false;
    }
    let last = |mark: u8| bytes.windows(2).rposition(|pair| pair == [0xFF, mark]);
    match (last(0xD9), last(0xDA)) {
        (Some(end), Some(scan)) => end < scan,
        _ => true,
    }
}

/// Read a label map: a PNG of 1 to 16 bits, grey or indexed (the index counts, not its colour), translated by `map`.
pub fn labels_from_file(path: &Path, map: &LabelMap) -> Result<Labels> {
    let damaged = |e: png::DecodingError| match e {
        png::DecodingError::Format(e) => Error::file(
            path,
            format!("the label map is damaged or no PNG ({e}); label maps must be PNG, grey or indexed"),
        ),
        e => Error::file(path, format!("the label map is damaged ({e}); copy the file again")),
    };
    let file = File::open(path).map_err(|e| Error::file(path, format!("the label map cannot be read ({e})")))?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let info = reader.info();
    let (height, width) = (info.height as usize, info.width as usize);
    let (colour, depth) = (info.color_type, info.bit_depth);
    if !matches!(colour, png::ColorType::Grayscale | png::ColorType::Indexed) {
        return Err(Error::file(
            path,
            format!(
                "found a label map in {colour:?}, expected grey or indexed, one class number per pixel; convert coloured maps to \
                 class numbers first"
            ),
        ));
    }
    let too_large = || Error::file(path, "the label map is too large");
    let mut bytes = vec![0; reader.output_buffer_size().ok_or_else(too_large)?];
    let frame = reader.next_frame(&mut bytes).map_err(damaged)?;
    let rows = bytes.chunks_exact(frame.line_size).take(height);
    let mut labels = match depth {
        png::BitDepth::Eight => {
            bytes.truncate(height * width);
            bytes
        }
        png::BitDepth::Sixteen => narrowed(path, map, width, rows)?,
        packed => {
            let bits = packed as usize;
            let unpack = |row: &[u8], x: usize| (row[x * bits / 8] >> (8 - bits - x * bits % 8)) & ((1 << bits) - 1);
            rows.flat_map(|row| (0..width).map(move |x| unpack(row, x))).collect()
        }
    };
    map.apply(path, width, &mut labels)?;
    Ok(Labels { height, width, labels })
}

/// 16-bit labels as bytes; a value above 255 is an error like any other wrong label.
fn narrowed<'a>(path: &Path, map: &LabelMap, width: usize, rows: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>> {
    rows.flat_map(|row| row[..2 * width].chunks_exact(2))
        .enumerate()
        .map(|(at, pair)| {
            let value = u16::from_be_bytes([pair[0], pair[1]]);
            u8::try_from(value).map_err(|_| map.stranger(path, width, at, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn write_png(path: &Path, [height, width]: [u32; 2], kind: (png::ColorType, png::BitDepth), data: &[u8]) {
        let mut encoder = png::Encoder::new(File::create(path).unwrap(), width, height);
        encoder.set_color(kind.0);
        encoder.set_depth(kind.1);
        if kind.0 == png::ColorType::Indexed {
            encoder.set_palette(
                (0..=255u8)
                    .flat_map(|i| [i, 0, 255 - i])
                    .take(if kind.1 == png::BitDepth::Four { 48 } else { 768 })
                    .collect::<Vec<_>>(),
            );
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
    }

    fn file(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("labels.png")
    }

    #[test]
    fn index_and_grey_of_any_depth_are_class_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder);
        let map = LabelMap::identity(11, &[11]);
        use png::{BitDepth, ColorType};
        let cases: [(ColorType, BitDepth, &[u8]); 4] = [
            (ColorType::Indexed, BitDepth::Eight, &[0, 10, 11, 255, 3, 4]),
            (ColorType::Grayscale, BitDepth::Eight, &[0, 10, 11, 255, 3, 4]),
            (
                ColorType::Grayscale,
                BitDepth::Sixteen,
                &[0, 0, 0, 10, 0, 11, 0, 255, 0, 3, 0, 4],
            ),
            (ColorType::Indexed, BitDepth::Four, &[0x0A, 0xB0, 0xB3, 0x40]),
        ];
        for (colour, depth, data) in cases {
            write_png(&path, [2, 3], (colour, depth), data);
            let found = labels_from_file(&path, &map).unwrap();
            assert_eq!((found.height, found.width), (2, 3));
            assert_eq!(found.labels, [0, 10, 255, 255, 3, 4], "{colour:?} {depth:?}");
        }
    }

    #[test]
    fn a_wrong_label_is_named_with_its_pixel() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder);
        let grey = (png::ColorType::Grayscale, png::BitDepth::Eight);
        write_png(&path, [2, 3], grey, &[0, 1, 2, 3, 57, 5]);
        let text = labels_from_file(&path, &LabelMap::identity(11, &[]))
            .err()
            .unwrap()
            .to_string();
        for part in ["labels.png", "label 57", "row 1, column 1", "0 to 10", "255"] {
            assert!(text.contains(part), "{text}");
        }
        write_png(&path, [1, 1], (png::ColorType::Rgb, png::BitDepth::Eight), &[1, 2, 3]);
        let text = labels_from_file(&path, &LabelMap::identity(11, &[]))
            .err()
            .unwrap()
            .to_string();
        assert!(text.contains("Rgb") && text.contains("class numbers"), "{text}");
    }

    #[test]
    fn images_of_every_kind_become_rgb_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.png");
        use png::{BitDepth, ColorType};
        write_png(
            &path,
            [1, 2],
            (ColorType::Grayscale, BitDepth::Sixteen),
            &[0x80, 0x80, 0xFF, 0xFF],
        );
        assert_eq!(
            image_from_file(&path).unwrap(),
            (1, 2, vec![128, 128, 128, 255, 255, 255])
        );
        write_png(&path, [1, 1], (ColorType::Rgba, BitDepth::Eight), &[9, 8, 7, 0]);
        assert_eq!(image_from_file(&path).unwrap(), (1, 1, vec![9, 8, 7]));
        write_png(&path, [1, 2], (ColorType::Indexed, BitDepth::Eight), &[5, 6]);
        assert_eq!(image_from_file(&path).unwrap().2, [5, 0, 250, 6, 0, 249]);
    }

    #[test]
    fn truncated_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let image = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8 * 4, y as u8 * 5, (x * y) as u8]));
        for name in ["whole.png", "whole.jpg"] {
            let whole = folder.path().join(name);
            image.save(&whole).unwrap();
            assert!(image_from_file(&whole).is_ok());
            let bytes = std::fs::read(&whole).unwrap();
            let cut = folder.path().join(name.replace("whole", "cut"));
            std::fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
            let text = image_from_file(&cut).unwrap_err().to_string();
            assert!(text.contains("cut.") && text.contains("copy the file again"), "{text}");
            let text = labels_from_file(&cut, &LabelMap::identity(2, &[]))
                .err()
                .unwrap()
                .to_string();
            assert!(text.contains("cut."), "{text}");
        }
        std::fs::write(folder.path().join("empty.png"), b"").unwrap();
        assert!(image_from_file(&folder.path().join("empty.png")).is_err());
        assert!(
            image_from_file(&folder.path().join("absent.png"))
                .unwrap_err()
                .to_string()
                .contains("absent.png")
        );
    }
}
