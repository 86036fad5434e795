//! Image and label files to memory. Every error names the file; a wrong label also its pixel.
//!
//! | file | what |
//! |---|---|
//! | here | images: PNG, JPEG, TIFF, WebP and BMP, turned as their EXIF data say |
//! | `labels` | label maps: PNG, TIFF and BMP; grey, indexed or in colour |
//! | `map` | what the values or colours of a label map mean |

pub mod labels;
pub mod map;

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use crate::error::{Error, Result};
use crate::session::Place;
use crate::{choices, fail_at};

/// How the names of image files end, in lower case.
pub const IMAGES: [&str; 8] = ["png", "jpg", "jpeg", "tif", "tiff", "webp", "bmp", "jfif"];

/// The kinds of files behind [`IMAGES`], in words.
pub const IMAGE_KINDS: &str = "PNG, JPEG, TIFF, WebP or BMP";

/// The largest file that is read as an image or a label map.
const LARGEST: u64 = 512 << 20;

choices! {
    /// What to do with an image whose EXIF data say that it is to be turned or mirrored when shown.
    pub enum Exif {
        /// Turn it, as OpenCV and every viewer do.
        Apply = "apply",
        /// Refuse the file by name.
        Refuse = "refuse",
    }
}

/// An image in memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Red, green and blue of each pixel, row by row.
    pub pixels: Vec<u8>,
    /// Whether it was turned or mirrored as its EXIF data say.
    pub turned: bool,
}

/// Read an image (8 or 16 bit, grey or colour, with or without transparency, which is dropped) as interleaved RGB bytes.
pub fn image_from_file(place: &Place, exif: Exif) -> Result<Picture> {
    let bytes = place.bytes("the image", LARGEST)?;
    let path = place.path();
    if cut_off(&bytes) {
        fail_at!(
            path,
            "the JPEG image is cut off (its end mark is missing); copy the file again"
        );
    }
    let (image, orientation) = decoded(path, "the image", bytes)?;
    let turned = orientation != Orientation::NoTransforms;
    if turned && exif == Exif::Refuse {
        fail_at!(
            path,
            "the EXIF data ask for orientation {} ({orientation:?}), which exif: \"refuse\" does not allow; exif: \"apply\" \
                 turns the image",
            orientation.to_exif()
        );
    }
    let mut image = image;
    image.apply_orientation(orientation);
    let image = image.into_rgb8();
    Ok(Picture {
        height: image.height() as usize,
        width: image.width() as usize,
        pixels: image.into_raw(),
        turned,
    })
}

/// Decode a file of any kind that is read here, with the orientation that its EXIF data ask for.
fn decoded(path: &Path, what: &str, bytes: Vec<u8>) -> Result<(DynamicImage, Orientation)> {
    let damaged =
        |e: &dyn std::fmt::Display| Error::file(path, format!("{what} is damaged ({e}); copy the file again"));
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| damaged(&e))?;
    let known = reader.format().is_some_and(|f| {
        use ImageFormat::{Bmp, Jpeg, Png, Tiff, WebP};
        matches!(f, Png | Jpeg | Tiff | WebP | Bmp)
    });
    if !known {
        let found = reader
            .format()
            .map_or("no kind of image that is known".into(), |f| format!("{f:?}"));
        fail_at!(
            path,
            "{what} is damaged or of an unknown kind (found {found}), expected {IMAGE_KINDS}; convert it, or copy the file again"
        );
    }
    let mut decoder = reader.into_decoder().map_err(|e| damaged(&e))?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((
        DynamicImage::from_decoder(decoder).map_err(|e| damaged(&e))?,
        orientation,
    ))
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

#[cfg(test)]
mod tests {
    use super::labels::{labels_from_file, tests::write_png};
    use super::map::LabelMap;
    use super::*;

    fn rgb(path: &Path) -> (usize, usize, Vec<u8>) {
        let found = image_from_file(&path.into(), Exif::Apply).unwrap();
        (found.height, found.width, found.pixels)
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
        assert_eq!(rgb(&path), (1, 2, vec![128, 128, 128, 255, 255, 255]));
        write_png(&path, [1, 1], (ColorType::Rgba, BitDepth::Eight), &[9, 8, 7, 0]);
        assert_eq!(rgb(&path), (1, 1, vec![9, 8, 7]));
        write_png(&path, [1, 2], (ColorType::Indexed, BitDepth::Eight), &[5, 6]);
        assert_eq!(rgb(&path).2, [5, 0, 250, 6, 0, 249]);
    }

    #[test]
    fn truncated_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let image = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8 * 4, y as u8 * 5, (x * y) as u8]));
        for name in ["whole.png", "whole.jpg", "whole.tif", "whole.bmp", "whole.webp"] {
            let whole = folder.path().join(name);
            image.save(&whole).unwrap();
            assert!(image_from_file(&(&whole).into(), Exif::Apply).is_ok(), "{name}");
            let bytes = std::fs::read(&whole).unwrap();
            let cut = folder.path().join(name.replace("whole", "cut"));
            std::fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
            let text = image_from_file(&(&cut).into(), Exif::Apply).unwrap_err().to_string();
            assert!(text.contains("cut.") && text.contains("copy the file again"), "{text}");
            let text = labels_from_file(&(&cut).into(), &LabelMap::identity(2, &[]))
                .err()
                .unwrap()
                .to_string();
            assert!(text.contains("cut."), "{text}");
        }
        let empty = folder.path().join("empty.png");
        std::fs::write(&empty, b"").unwrap();
        assert!(image_from_file(&(&empty).into(), Exif::Apply).is_err());
        let text = image_from_file(&folder.path().join("absent.png").into(), Exif::Apply)
            .unwrap_err()
            .to_string();
        assert!(text.contains("absent.png"), "{text}");
    }
}
