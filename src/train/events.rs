//! Event files for TensorBoard: the numbers of a run's history, and pictures.
//!
//! An event file is a chain of records, each with its length, a checksum of the length, the content and a checksum of that; the
//! content is an `Event` of TensorBoard's `event.proto`, of which the fields used here are written by hand.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use super::evaluate::{EvalOptions, predict};
use super::folder;
use super::history::History;
use super::run::Run;
use crate::data::encode::image_png;
use crate::data::{Dataset, image_tensor};
use crate::error::Result;
use crate::session::Place;

/// The event file of one sitting of a run; a run that goes on gets a further one, as TensorBoard expects.
pub struct EventFile {
    place: Place,
    /// Rows of the history that are written.
    rows: usize,
}

impl EventFile {
    /// An event file in the folder of `run`, which is about to make steps; those made before are in an earlier file.
    pub(super) fn of(run: &Run) -> Result<Self> {
        let checkpoint = folder::checkpoint_path(run)?;
        let folder = checkpoint.at(checkpoint.path().with_file_name(""));
        Self::create(&folder, run.history.len())
    }

    fn create(folder: &Place, from: usize) -> Result<Self> {
        let name = format!("events.out.tfevents.{:.0}.{}.seglab", now(), std::process::id());
        let file = EventFile {
            place: folder.join(name),
            rows: from,
        };
        let version = field(3, b"brain.Event:2");
        file.append(&record(&event(0, &version)))?;
        Ok(file)
    }

    /// Add the rows that `history` has gained since.
    pub fn update(&mut self, history: &History) -> Result<()> {
        let steps = history.column("step").unwrap_or_default();
        let mut bytes = Vec::new();
        for (row, step) in steps.iter().enumerate().skip(self.rows) {
            let mut summary = Vec::new();
            for (name, values) in history.columns() {
                let value = values.get(row).copied().unwrap_or(f64::NAN);
                if name != "step" && !value.is_nan() {
                    let mut inner = field(1, name.as_bytes());
                    inner.push(2 << 3 | 5); // simple_value, 32 bits
                    inner.extend((value as f32).to_le_bytes());
                    summary.extend(field(1, &inner));
                }
            }
            bytes.extend(record(&event(*step as u64, &field(5, &summary))));
        }
        self.rows = self.rows.max(steps.len());
        if bytes.is_empty() { Ok(()) } else { self.append(&bytes) }
    }

    /// Add the first image of a validation set beside its truth and the network's present prediction.
    pub(super) fn example(&self, run: &Run, val: &Dataset) -> Result<()> {
        let sample = val.get(0)?;
        let (height, width) = (sample.height, sample.width);
        let image = image_tensor(&sample)?;
        let found = predict(&run.session, &run.model.borrow(), &image, &EvalOptions::default())?;
        let found = found.flatten_all()?.to_vec1::<u8>()?;
        let colour = |label: &u8| val.palette().get(usize::from(*label)).copied().unwrap_or([0; 3]);
        let mut pixels = Vec::with_capacity(9 * height * width);
        for row in 0..height {
            let span = row * width..(row + 1) * width;
            pixels.extend(&sample.pixels[3 * span.start..3 * span.end]);
            pixels.extend(sample.labels[span.clone()].iter().flat_map(colour));
            pixels.extend(found[span].iter().flat_map(colour));
        }
        let size = [height, 3 * width];
        self.picture("example", run.step as u64, size, &image_png(&pixels, size)?)
    }

    /// Add a picture in PNG form.
    fn picture(&self, tag: &str, step: u64, [height, width]: [usize; 2], png: &[u8]) -> Result<()> {
        let mut image = Vec::new();
        for (number, value) in [(1, height as u64), (2, width as u64), (3, 3)] {
            image.push(number << 3);
            image.extend(varint(value));
        }
        image.extend(field(4, png));
        let value = [field(1, tag.as_bytes()), field(4, &image)].concat();
        self.append(&record(&event(step, &field(5, &field(1, &value)))))
    }

    fn append(&self, bytes: &[u8]) -> Result<()> {
        let mut file = self.place.append()?;
        file.write_all(bytes)
            .map_err(|e| crate::error::Error::file(self.place.path(), format!("cannot be written ({e})")))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}

/// An `Event` at this moment: wall time, step, and what is in `content`.
fn event(step: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1 << 3 | 1]; // wall_time, 64 bits
    bytes.extend(now().to_le_bytes());
    bytes.push(2 << 3); // step
    bytes.extend(varint(step));
    bytes.extend(content);
    bytes
}

/// A field of bytes: its number, the length, the bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    out.extend(varint(bytes.len() as u64));
    out.extend(bytes);
    out
}

/// Seven bits a byte, the lowest first, the top bit set on all but the last.
fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7F {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A record of the file around `content`.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    let mut out = length.to_vec();
    out.extend(masked(&length).to_le_bytes());
    out.extend(content);
    out.extend(masked(content).to_le_bytes());
    out
}

/// The checksum as these files hold it: CRC-32C, turned and shifted.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// CRC-32C (Castagnoli), bit by bit: event files are short.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| {
            (c >> 1) ^ (0x82F6_3B78 & (c & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_and_numbers_are_those_of_the_format() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283); // the check value of CRC-32C
        assert_eq!(varint(300), [0xAC, 0x02]); // the example of the protobuf documentation
        let bytes = record(b"abc");
        assert_eq!((bytes.len(), &bytes[12..15]), (8 + 4 + 3 + 4, &b"abc"[..]));
    }
}
