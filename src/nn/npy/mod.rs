//! Tensors as NumPy's files: `.npy` holds one, `.npz` several by name (a zip archive of `.npy`).

mod read;

use std::io::{Cursor, Write};

use candle_core::{DType, Tensor};
use zip::write::SimpleFileOptions;

use crate::error::{Error, Result};
use crate::session::Place;

pub use read::{read_npy, read_npz};

/// Archives of so many bytes need the format's long form.
const LONG: usize = u32::MAX as usize / 2;

/// Write one tensor.
///
/// # Errors
/// NumPy has no such type; the file cannot be written.
pub fn write_npy(place: &Place, tensor: &Tensor) -> Result<()> {
    let bytes = npy(place, tensor)?;
    place.write(bytes)
}

/// Write named tensors; each is found again as `name`.
///
/// # Errors
/// As [`write_npy`].
pub fn write_npz(place: &Place, tensors: &[(String, Tensor)]) -> Result<()> {
    // Put together in memory: an archive that breaks off half-way complains on standard error.
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let failed = |e: zip::result::ZipError| Error::file(place.path(), format!("cannot be written ({e})"));
    archive
        .set_comment(format!("seglab {}", env!("CARGO_PKG_VERSION")))
        .map_err(failed)?;
    for (name, tensor) in tensors {
        let bytes = npy(place, tensor)?;
        let options = SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .large_file(bytes.len() > LONG);
        archive.start_file(format!("{name}.npy"), options).map_err(failed)?;
        archive.write_all(&bytes).map_err(|e| failed(e.into()))?;
    }
    place.write(archive.finish().map_err(failed)?.into_inner())
}

/// The content of an `.npy` file, format 1.0: a magic word, the length of the header, the header (a Python dictionary, padded so
/// that the values begin at a multiple of 64 bytes), the values.
fn npy(place: &Place, tensor: &Tensor) -> Result<Vec<u8>> {
    let code = type_code(place, tensor)?;
    let sizes: String = tensor.dims().iter().map(|size| format!("{size},")).collect();
    let header = format!("{{'descr': '{code}', 'fortran_order': False, 'shape': ({sizes}), }}");
    let start = 10; // magic word, version and length
    let length = (start + header.len() + 1).next_multiple_of(64) - start;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(format!("{header:<width$}\n", width = length - 1).into_bytes());
    tensor.contiguous()?.write_bytes(&mut bytes)?;
    Ok(bytes)
}

fn type_code(place: &Place, tensor: &Tensor) -> Result<&'static str> {
    Ok(match tensor.dtype() {
        DType::F16 => "<f2",
        DType::F32 => "<f4",
        DType::F64 => "<f8",
        DType::I64 => "<i8",
        DType::U32 => "<u4",
        DType::U8 => "|u1",
        other => {
            return Err(Error::file(
                place.path(),
                format!(
                    "NumPy has no type {}; convert it with to_dtype(\"f32\") first, or write a .safetensors file",
                    other.as_str()
                ),
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_bytes_are_those_of_numpy() {
        // numpy.save of numpy.array([[1, 2, 3]], dtype="u1") but for a blank within the shape, which is free
        let folder = tempfile::tempdir().unwrap();
        let place = Place::from(&folder.path().join("a.npy"));
        write_npy(&place, &Tensor::new(&[[1u8, 2, 3]], &Device::Cpu).unwrap()).unwrap();
        let bytes = place.bytes("it", 1000).unwrap();
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert!(bytes[10..].starts_with(b"{'descr': '|u1', 'fortran_order': False, 'shape': (1,3,), }  "));
        assert_eq!(&bytes[126..], b" \n\x01\x02\x03");
    }

    #[test]
    fn every_type_and_shape_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::from(&folder.path().join("a.npz"));
        let values = Tensor::arange(0f32, 6.0, &Device::Cpu)
            .unwrap()
            .reshape((2, 3))
            .unwrap()
            .t()
            .unwrap();
        let types = [DType::F16, DType::F32, DType::F64, DType::I64, DType::U32, DType::U8];
        let mut list: Vec<(String, Tensor)> = types
            .iter()
            .map(|t| (t.as_str().to_string(), values.to_dtype(*t).unwrap()))
            .collect();
        list.push(("number".into(), Tensor::new(2.5f32, &Device::Cpu).unwrap()));
        write_npz(&place, &list).unwrap();
        let read = read_npz(&place).unwrap();
        assert_eq!(read.len(), list.len());
        for (name, tensor) in list {
            let found = &read.iter().find(|(n, _)| *n == name).unwrap().1;
            assert_eq!((found.dims(), found.dtype()), (tensor.dims(), tensor.dtype()), "{name}");
            let flat = |t: &Tensor| {
                t.flatten_all()
                    .unwrap()
                    .to_dtype(DType::F64)
                    .unwrap()
                    .to_vec1::<f64>()
                    .unwrap()
            };
            assert_eq!(flat(found), flat(&tensor), "{name}");
        }
        let text = write_npy(&place, &values.to_dtype(DType::BF16).unwrap())
            .unwrap_err()
            .to_string();
        assert!(text.contains("bf16") && text.contains("a.npz"), "{text}");
        assert!(place.exists().unwrap(), "the old file stays");
    }
}
