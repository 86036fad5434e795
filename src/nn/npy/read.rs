//! Reading. Candle's own reader knows no Fortran order, no big-endian numbers and no compression, and compares no check sums.

use std::io::{Cursor, Read};

use candle_core::{DType, Device, Tensor};
use zip::ZipArchive;

use crate::error::{Error, Result};
use crate::session::Place;
use crate::{ensure, fail};

/// The largest file.
const LARGEST: u64 = 64 << 30;

/// The array in a `.npy` file.
///
/// # Errors
/// The file cannot be read, is damaged, holds fewer or more bytes than its header says, or an element type that tensors lack.
pub fn read_npy(place: &Place) -> Result<Tensor> {
    let bytes = place.bytes("the array", LARGEST)?;
    let array = || {
        let (header, data) = Header::split(&bytes)?;
        header.tensor(data)
    };
    array().map_err(|e| Error::file(place.path(), e))
}

/// The arrays in a `.npz` file with their names, in its order. The check sums of the archive are compared.
///
/// # Errors
/// As for [`read_npy`]; the error names the array.
pub fn read_npz(place: &Place) -> Result<Vec<(String, Tensor)>> {
    let bytes = place.bytes("the archive", LARGEST)?;
    let path = place.path();
    let damaged = |e: &dyn std::fmt::Display| {
        Error::file(
            path,
            format!("is no whole .npz archive ({e}); it may be damaged or cut off: copy the file again"),
        )
    };
    let mut archive = ZipArchive::new(Cursor::new(&bytes)).map_err(|e| damaged(&e))?;
    let mut arrays: Vec<(String, Tensor)> = Vec::with_capacity(archive.len());
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(|e| damaged(&e))?;
        let name = entry.name().map_err(|e| damaged(&e))?.into_owned();
        if !named_alike(&bytes, entry.header_start(), entry.name_raw()) {
            return Err(damaged(&format!("{name} is called otherwise in front of its data")));
        }
        let inside = |e: &dyn std::fmt::Display| Error::file(path, format!("the array {name} {e}"));
        // What a few damaged or wicked bytes promise is not reserved; reading to the end compares the check sum.
        let mut data = Vec::with_capacity((entry.size() as usize).min(bytes.len()));
        entry
            .read_to_end(&mut data)
            .map_err(|e| inside(&format!("is damaged ({e}); copy the file again")))?;
        let (header, numbers) = Header::split(&data).map_err(|e| inside(&e))?;
        let tensor = header.tensor(numbers).map_err(|e| inside(&e))?;
        let name = name.strip_suffix(".npy").unwrap_or(&name).to_string();
        if arrays.iter().any(|(other, _)| *other == name) {
            return Err(damaged(&format!("it holds two arrays called {name}")));
        }
        arrays.push((name, tensor));
    }
    Ok(arrays)
}

/// Whether the entry in front of an array's data has the name that the archive's directory gives it; no check sum covers names.
fn named_alike(bytes: &[u8], start: u64, name: &[u8]) -> bool {
    const FIXED: usize = 30; // bytes of an entry before its name
    let at = start as usize + FIXED;
    bytes.get(at..at + name.len()) == Some(name)
}

/// The type of one element.
#[derive(Clone, Copy)]
struct Element {
    /// `f`, `i`, `u`, or `b` for truth values.
    kind: u8,
    bytes: usize,
    big_endian: bool,
}

/// What the header of an array says.
struct Header {
    element: Element,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    /// The header and the bytes behind it.
    fn split(bytes: &[u8]) -> Result<(Self, &[u8])> {
        let cut = || Error::usage("is no whole NumPy array: it ends inside its header");
        ensure!(
            bytes.starts_with(b"\x93NUMPY"),
            "is no NumPy array: it does not begin with NumPy's mark"
        );
        let version = *bytes.get(6).ok_or_else(cut)?;
        let (start, length) = match version {
            1 => (
                10,
                bytes.get(8..10).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]]))),
            ),
            2 | 3 => (
                12,
                bytes
                    .get(8..12)
                    .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize),
            ),
            other => fail!("is of NumPy's file version {other}, expected 1, 2 or 3"),
        };
        let text = bytes.get(start..start + length.ok_or_else(cut)?).ok_or_else(cut)?;
        let header = Self::parse(&String::from_utf8_lossy(text))?;
        Ok((header, &bytes[start + text.len()..]))
    }

    /// Read `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &str) -> Result<Self> {
        let value = |key: &str| -> Result<&str> {
            let rest = text.split_once(&format!("'{key}':"));
            rest.map(|(_, rest)| rest.trim_start())
                .ok_or_else(|| Error::usage(format!("is no NumPy array: its header lacks '{key}': {}", text.trim())))
        };
        let descr = value("descr")?;
        let name = descr
            .strip_prefix('\'')
            .and_then(|d| d.split_once('\''))
            .map(|(name, _)| name);
        let Some(name) = name else {
            fail!("holds records of several fields, expected one number per element")
        };
        let fortran = match value("fortran_order")? {
            v if v.starts_with("False") => false,
            v if v.starts_with("True") => true,
            _ => fail!(
                "is no NumPy array: fortran_order is neither True nor False: {}",
                text.trim()
            ),
        };
        let shape = value("shape")?;
        let sides = shape
            .strip_prefix('(')
            .and_then(|s| s.split_once(')'))
            .map(|(sides, _)| sides);
        let side = |s: &str| s.trim().trim_end_matches('L').parse::<usize>().ok();
        let sides = sides.map(|s| {
            s.split(',')
                .filter(|s| !s.trim().is_empty())
                .map(side)
                .collect::<Option<Vec<_>>>()
        });
        let Some(Some(shape)) = sides else {
            fail!("is no NumPy array: its shape cannot be read: {}", text.trim())
        };
        Ok(Header {
            element: Element::named(name)?,
            fortran,
            shape,
        })
    }

    /// The tensor of these bytes, which must be exactly as many as the header says.
    fn tensor(&self, data: &[u8]) -> Result<Tensor> {
        let bytes = self
            .shape
            .iter()
            .try_fold(self.element.bytes, |n, side| n.checked_mul(*side));
        ensure!(
            bytes == Some(data.len()),
            "says it has the shape {:?}, {}, but {} bytes follow; it may be cut off: copy the file again",
            self.shape,
            bytes.map_or("more bytes than any memory holds".into(), |b| format!("{b} bytes")),
            data.len()
        );
        // The last dimension varies slowest in Fortran's order: the reversed shape, transposed.
        let mut shape = self.shape.clone();
        if self.fortran {
            shape.reverse();
        }
        let tensor = self.element.tensor(data, &shape)?;
        if !self.fortran {
            return Ok(tensor);
        }
        let turned: Vec<usize> = (0..shape.len()).rev().collect();
        Ok(tensor.permute(turned)?.contiguous()?)
    }
}

impl Element {
    /// `<f4`, `>i2`, `|b1`.
    fn named(name: &str) -> Result<Self> {
        let (order, rest) = match name.chars().next() {
            Some(order @ ('<' | '>' | '=' | '|')) => (order, &name[1..]),
            _ => ('=', name),
        };
        let (kind, bytes) = match rest {
            "b1" | "?" => (b'b', 1),
            "u1" | "B" => (b'u', 1),
            "i1" | "b" => (b'i', 1),
            "u2" => (b'u', 2),
            "i2" => (b'i', 2),
            "u4" => (b'u', 4),
            "i4" => (b'i', 4),
            "u8" => (b'u', 8),
            "i8" => (b'i', 8),
            "f2" => (b'f', 2),
            "f4" => (b'f', 4),
            "f8" => (b'f', 8),
            _ => fail!(
                "holds elements of NumPy's type '{name}', expected truth values, integers or floats of at most 64 bits; convert it \
                 with .astype first"
            ),
        };
        Ok(Element {
            kind,
            bytes,
            big_endian: order == '>',
        })
    }

    /// Numbers as the tensor type that holds all of them: truth values and small unsigned integers as u8, u16 and u32 as u32,
    /// signed integers and u64 as i64, floats as they are.
    fn tensor(self, data: &[u8], shape: &[usize]) -> Result<Tensor> {
        /// The bytes of each element, lowest first.
        fn elements<const N: usize>(data: &[u8], big_endian: bool) -> impl Iterator<Item = [u8; N]> {
            data.chunks_exact(N).map(move |chunk| {
                let mut bytes = [0; N];
                bytes.copy_from_slice(chunk);
                if big_endian {
                    bytes.reverse();
                }
                bytes
            })
        }
        let big = self.big_endian;
        macro_rules! tensor {
            ($number:ty as $element:ty) => {{
                let numbers = elements(data, big).map(|bytes| <$number>::from_le_bytes(bytes) as $element);
                Tensor::from_vec(numbers.collect::<Vec<$element>>(), shape, &Device::Cpu)?
            }};
        }
        Ok(match (self.kind, self.bytes) {
            (b'b', _) => Tensor::from_vec(
                data.iter().map(|b| u8::from(*b != 0)).collect::<Vec<u8>>(),
                shape,
                &Device::Cpu,
            )?,
            (b'u', 1) => tensor!(u8 as u8),
            (b'u', 2) => tensor!(u16 as u32),
            (b'u', 4) => tensor!(u32 as u32),
            (b'u', _) => {
                let number = |bytes| i64::try_from(u64::from_le_bytes(bytes)).ok();
                let Some(numbers) = elements(data, big).map(number).collect::<Option<Vec<i64>>>() else {
                    fail!("holds integers above 9223372036854775807, which tensors cannot")
                };
                Tensor::from_vec(numbers, shape, &Device::Cpu)?
            }
            (b'i', 1) => tensor!(i8 as i64),
            (b'i', 2) => tensor!(i16 as i64),
            (b'i', 4) => tensor!(i32 as i64),
            (b'i', _) => tensor!(i64 as i64),
            (_, 2) => {
                let bytes: Vec<u8> = elements::<2>(data, big).flatten().collect();
                Tensor::from_raw_buffer(&bytes, DType::F16, shape, &Device::Cpu)?
            }
            (_, 4) => tensor!(f32 as f32),
            _ => tensor!(f64 as f64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(data);
        bytes
    }

    fn read(header: &str, data: &[u8]) -> Result<Tensor> {
        let bytes = npy(header, data);
        let (header, data) = Header::split(&bytes)?;
        header.tensor(data)
    }

    #[test]
    fn every_order_and_type_is_read() {
        // numpy.asfortranarray([[1, 2, 3], [4, 5, 6]]) of big-endian int16: 1 4 2 5 3 6 on disk
        let data: Vec<u8> = [1i16, 4, 2, 5, 3, 6].iter().flat_map(|v| v.to_be_bytes()).collect();
        let t = read("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }", &data).unwrap();
        assert_eq!(t.to_vec2::<i64>().unwrap(), [[1, 2, 3], [4, 5, 6]]);
        let t = read("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", &[1, 0, 1]).unwrap();
        assert_eq!(t.to_vec1::<u8>().unwrap(), [1, 0, 1]);
        let t = read("{'descr': '|i1', 'fortran_order': False, 'shape': (2,), }", &[255, 1]).unwrap();
        assert_eq!(t.to_vec1::<i64>().unwrap(), [-1, 1]);
        let t = read(
            "{'descr': '>f8', 'fortran_order': False, 'shape': (), }",
            &0.05f64.to_be_bytes(),
        )
        .unwrap();
        assert_eq!(t.to_scalar::<f64>().unwrap(), 0.05);
        let t = read(
            "{'descr': '>f2', 'fortran_order': False, 'shape': (1,), }",
            &[0x3C, 0x00],
        )
        .unwrap();
        assert_eq!(t.to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap(), [1.0]); // 0x3C00 is 1 in binary16
        let t = read(
            "{'descr': '<u2', 'fortran_order': False, 'shape': (1,), }",
            &[0xFF, 0xFF],
        )
        .unwrap();
        assert_eq!(t.to_vec1::<u32>().unwrap(), [65535]);
    }

    #[test]
    fn what_cannot_be_is_said() {
        let error = |header: &str, data: &[u8]| read(header, data).unwrap_err().to_string();
        let huge = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }";
        assert!(
            error(huge, &[0; 8]).contains("4000000000000 bytes, but 8"),
            "{}",
            error(huge, &[0; 8])
        );
        let wrap = "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4), }";
        assert!(error(wrap, &[]).contains("more bytes than any memory"));
        for (descr, part) in [
            ("'<c8'", "'<c8'"),
            ("'|O'", "'|O'"),
            ("[('a', '<f4')]", "several fields"),
        ] {
            let text = error(
                &format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}"),
                &[0; 8],
            );
            assert!(text.contains(part), "{text}");
        }
        assert!(error("{'descr': '<f4', 'shape': (1,), }", &[0; 4]).contains("fortran_order"));
        assert!(Header::split(b"PK\x03\x04").is_err());
        assert!(Header::split(b"\x93NUMPY\x01\x00\xFF\xFF{}").is_err());
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found_or_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let t = Tensor::arange(0f32, 12.0, &Device::Cpu).unwrap();
        let place = Place::from(&path);
        super::super::write_npz(&place, &[("weights".to_string(), t.clone())]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let wanted = t.to_vec1::<f32>().unwrap();
        let mut refused = 0;
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, bytes).unwrap();
            match read_npz(&place) {
                Ok(found) => {
                    assert!(found.len() == 1 && found[0].0 == "weights", "byte {at}");
                    assert_eq!(found[0].1.to_vec1::<f32>().unwrap(), wanted, "byte {at}");
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 128 + 48, "{refused}"); // the header of the array and its 48 bytes of numbers at least
    }
}
