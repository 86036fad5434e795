//! Label files to memory: PNG, TIFF and BMP; grey, indexed or in colour.

use std::io::Cursor;
use std::path::Path;

use image::DynamicImage;

use super::map::{LabelMap, Raw};
use super::{LARGEST, decoded};
use crate::error::{Error, Result};
use crate::fail_at;
use crate::session::Place;

/// How the names of label files end, in lower case.
pub const LABELS: [&str; 4] = ["png", "tif", "tiff", "bmp"];

/// A label map in memory.
pub struct Labels {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// One class per pixel.
    pub labels: Vec<u8>,
}

/// Read a label map: PNG, TIFF or BMP of 1 to 16 bits, translated by `map`. Of an indexed PNG the index counts, or, where `map`
/// goes by colour, the colour; transparency is dropped.
pub fn labels_from_file(place: &Place, map: &LabelMap) -> Result<Labels> {
    let bytes = place.bytes("the label map", LARGEST)?;
    let path = place.path();
    let (size, raw) = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => from_png(path, &bytes, map.by_colour())?,
        [0xFF, 0xD8, ..] => {
            fail_at!(
                path,
                "the label map is a JPEG, which changes labels where it compresses; save label maps as PNG"
            );
        }
        _ => from_image(path, bytes)?,
    };
    let [height, width] = size;
    let labels = map.translate(path, width, raw)?;
    Ok(Labels { height, width, labels })
}

/// The values, or the colours, of a PNG.
fn from_png(path: &Path, bytes: &[u8], by_colour: bool) -> Result<([usize; 2], Raw)> {
    let damaged =
        |e: png::DecodingError| Error::file(path, format!("the label map is damaged ({e}); copy the file again"));
    let limits = png::Limits {
        bytes: LARGEST as usize,
    };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let info = reader.info();
    let (height, width) = (info.height as usize, info.width as usize);
    let (channels, depth) = (info.color_type.samples(), info.bit_depth);
    let indexed = info.color_type == png::ColorType::Indexed;
    let palette = info.palette.as_deref().map(<[u8]>::to_vec).unwrap_or_default();
    let fits = |size: &usize| *size as u64 <= LARGEST;
    let Some(size) = reader.output_buffer_size().filter(fits) else {
        fail_at!(
            path,
            "the label map says it has {height} x {width} pixels, more than can be read"
        );
    };
    let mut bytes = vec![0; size];
    let frame = reader.next_frame(&mut bytes).map_err(damaged)?;
    let rows = bytes.chunks_exact(frame.line_size).take(height);
    let mut values = match depth {
        png::BitDepth::Eight => {
            bytes.truncate(height * width * channels);
            bytes
        }
        png::BitDepth::Sixteen => {
            let wide = rows.flat_map(|row| row[..2 * width * channels].chunks_exact(2));
            let wide: Vec<u16> = wide.map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            return Ok(([height, width], wide_values(path, wide, channels)?));
        }
        packed => {
            let bits = packed as usize;
            let unpack = |row: &[u8], x: usize| (row[x * bits / 8] >> (8 - bits - x * bits % 8)) & ((1 << bits) - 1);
            let values = rows.flat_map(|row| (0..width).map(move |x| unpack(row, x)));
            match by_colour && !indexed {
                true => values.map(|v| v * (255 / ((1u16 << bits) - 1) as u8)).collect(), // to 0..=255
                false => values.collect(),
            }
        }
    };
    if indexed && by_colour {
        let entry = |&index: &u8| palette.get(3 * usize::from(index)..3 * usize::from(index) + 3);
        let Some(colours) = values.iter().map(entry).collect::<Option<Vec<_>>>() else {
            fail_at!(
                path,
                "the label map is damaged: it uses a colour that its palette lacks"
            );
        };
        return Ok(([height, width], Raw::Colours(colours.concat())));
    }
    let raw = match channels {
        1 => Raw::Bytes(values),
        2 => Raw::Bytes(every(&values, 2, 1)),
        3 => Raw::Colours(values),
        _ => {
            values = every(&values, channels, 3);
            Raw::Colours(values)
        }
    };
    Ok(([height, width], raw))
}

/// The values, or the colours, of another kind of file.
fn from_image(path: &Path, bytes: Vec<u8>) -> Result<([usize; 2], Raw)> {
    let (image, _) = decoded(path, "the label map", bytes)?;
    let size = [image.height() as usize, image.width() as usize];
    let raw = match image {
        DynamicImage::ImageLuma8(image) => Raw::Bytes(image.into_raw()),
        DynamicImage::ImageLumaA8(image) => Raw::Bytes(every(image.as_raw(), 2, 1)),
        DynamicImage::ImageRgb8(image) => Raw::Colours(image.into_raw()),
        DynamicImage::ImageRgba8(image) => Raw::Colours(every(image.as_raw(), 4, 3)),
        DynamicImage::ImageLuma16(image) => Raw::Wide(image.into_raw()),
        other => {
            fail_at!(
                path,
                "found a label map in {:?}, expected whole numbers of 8 or 16 bits, grey, indexed or in colour",
                other.color()
            );
        }
    };
    Ok((size, raw))
}

/// The first `kept` of each `channels` values.
fn every<T: Copy>(values: &[T], channels: usize, kept: usize) -> Vec<T> {
    values
        .chunks_exact(channels)
        .flat_map(|pixel| pixel[..kept].to_vec())
        .collect()
}

/// 16-bit values; of grey with transparency the grey.
fn wide_values(path: &Path, values: Vec<u16>, channels: usize) -> Result<Raw> {
    match channels {
        1 => Ok(Raw::Wide(values)),
        2 => Ok(Raw::Wide(every(&values, 2, 1))),
        _ => Err(Error::file(
            path,
            "found a label map of colours with 16 bits per channel, expected 8 bits per channel, or class numbers",
        )),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs::File;
    use std::path::PathBuf;

    use super::*;
    use crate::data::IGNORED;
    use crate::data::decode::map::LabelRule;

    pub fn write_png(path: &Path, [height, width]: [u32; 2], kind: (png::ColorType, png::BitDepth), data: &[u8]) {
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
            let found = labels_from_file(&(&path).into(), &map).unwrap();
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
        let text = labels_from_file(&(&path).into(), &LabelMap::identity(11, &[]))
            .err()
            .unwrap()
            .to_string();
        for part in ["labels.png", "label 57", "row 1, column 1", "0 to 10", "255"] {
            assert!(text.contains(part), "{text}");
        }
        write_png(&path, [1, 1], (png::ColorType::Rgb, png::BitDepth::Eight), &[1, 2, 3]);
        let text = labels_from_file(&(&path).into(), &LabelMap::identity(11, &[]))
            .err()
            .unwrap()
            .to_string();
        for part in ["[1, 2, 3]", "row 0, column 0", "class numbers", "label_map"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn grey_in_other_clothes_is_read_as_grey() {
        let folder = tempfile::tempdir().unwrap();
        let map = LabelMap::identity(9, &[]);
        use png::{BitDepth::Eight, ColorType};
        let cases: [(ColorType, &[u8]); 3] = [
            (ColorType::GrayscaleAlpha, &[7, 255, 0, 0, 255, 9]),
            (ColorType::Rgb, &[7, 7, 7, 0, 0, 0, 255, 255, 255]),
            (ColorType::Rgba, &[7, 7, 7, 0, 0, 0, 0, 255, 255, 255, 255, 3]),
        ];
        for (kind, data) in cases {
            write_png(&file(&folder), [1, 3], (kind, Eight), data);
            let found = labels_from_file(&file(&folder).into(), &map).unwrap();
            assert_eq!(
                (found.height, found.width, found.labels),
                (1, 3, vec![7, 0, 255]),
                "{kind:?}"
            );
        }
        for name in ["labels.tif", "labels.bmp"] {
            let path = folder.path().join(name);
            image::GrayImage::from_raw(3, 1, vec![7, 0, 255])
                .unwrap()
                .save(&path)
                .unwrap();
            assert_eq!(
                labels_from_file(&(&path).into(), &map).unwrap().labels,
                [7, 0, 255],
                "{name}"
            );
        }
        let path = folder.path().join("labels.jpg");
        image::GrayImage::new(3, 1).save(&path).unwrap();
        assert!(
            labels_from_file(&(&path).into(), &map)
                .err()
                .unwrap()
                .to_string()
                .contains("JPEG")
        );
    }

    #[test]
    fn values_and_colours_mean_what_the_rule_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder);
        use png::{BitDepth, ColorType};
        let read = |rule: &LabelRule, classes| {
            let found = labels_from_file(&(&path).into(), &LabelMap::ruled(rule, classes, IGNORED)?)?;
            Ok::<_, Error>(found.labels)
        };
        let binary = LabelRule::Values(vec![(0, 0), (255, 1)]);
        write_png(&path, [1, 2], (ColorType::Grayscale, BitDepth::Eight), &[255, 0]);
        assert_eq!(read(&binary, 2).unwrap(), [1, 0]);
        let colours = LabelRule::Colours(vec![([0, 0, 0], 0), ([255, 255, 255], 1)]);
        assert_eq!(read(&colours, 2).unwrap(), [1, 0]);
        write_png(&path, [1, 2], (ColorType::Grayscale, BitDepth::One), &[0b1000_0000]);
        assert_eq!(read(&colours, 2).unwrap(), [1, 0]);
        // 16 bits: 24001 and 26002, as instance maps have them
        write_png(
            &path,
            [1, 2],
            (ColorType::Grayscale, BitDepth::Sixteen),
            &[0x5D, 0xC1, 0x65, 0x92],
        );
        assert_eq!(
            read(&LabelRule::Values(vec![(24001, 0), (26002, 255)]), 1).unwrap(),
            [0, 255]
        );
        write_png(&path, [1, 3], (ColorType::Grayscale, BitDepth::Eight), &[0, 1, 150]);
        assert_eq!(read(&LabelRule::Shift, 150).unwrap(), [255, 0, 149]);
        assert!(
            read(&LabelRule::Shift, 149)
                .unwrap_err()
                .to_string()
                .contains("label 150")
        );
        // Indexed: by colour the palette counts; entry i is [i, 0, 255 - i].
        write_png(&path, [1, 2], (ColorType::Indexed, BitDepth::Eight), &[5, 6]);
        let rule = LabelRule::Colours(vec![([6, 0, 249], 0), ([5, 0, 250], 1)]);
        assert_eq!(read(&rule, 2).unwrap(), [1, 0]);
        let text = read(&LabelRule::Colours(vec![([5, 0, 250], 0)]), 1)
            .unwrap_err()
            .to_string();
        assert!(text.contains("[6, 0, 249] at row 0, column 1"), "{text}");
        assert!(
            LabelMap::ruled(&rule, 1, IGNORED)
                .err()
                .unwrap()
                .to_string()
                .contains("class 1")
        );
    }

    #[test]
    fn a_size_that_cannot_be_is_refused_before_memory_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        write_png(
            &file(&folder),
            [1, 1],
            (png::ColorType::Grayscale, png::BitDepth::Eight),
            &[0],
        );
        let mut bytes = std::fs::read(file(&folder)).unwrap();
        bytes[16..24].copy_from_slice(&[0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]);
        let crc = crc(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        std::fs::write(file(&folder), bytes).unwrap();
        assert!(labels_from_file(&file(&folder).into(), &LabelMap::identity(2, &[])).is_err());
    }

    /// PNG's check sum, the slow way.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |sum, &byte| {
            (0..8).fold(sum ^ u32::from(byte), |s, _| {
                (s >> 1) ^ if s & 1 == 1 { 0xEDB8_8320 } else { 0 }
            })
        })
    }
}
