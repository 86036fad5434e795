//! Named tensors in safetensors files.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};
use serde_json::json;

use crate::error::{Error, Result};
use crate::session::Place;

/// The content of a safetensors file.
pub struct WeightsFile {
    /// The tensors by name, in their stored types.
    pub tensors: HashMap<String, Tensor>,
    /// The text entries of the header.
    pub metadata: HashMap<String, String>,
}

/// Read a safetensors file.
///
/// # Errors
/// The file is missing, cannot be read, or is no whole safetensors file.
pub fn read(place: impl Into<Place>, device: &Device) -> Result<WeightsFile> {
    let place = place.into();
    let data = place.bytes("the file", u64::MAX - 1)?;
    let corrupt = |e: &dyn std::fmt::Display| {
        Error::file(
            place.path(),
            format!("is not a whole safetensors file ({e}); it may be truncated, or of another format"),
        )
    };
    let (_, header) = SafeTensors::read_metadata(&data).map_err(|e| corrupt(&e))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let tensors = candle_core::safetensors::load_buffer(&data, device).map_err(|e| corrupt(&e))?;
    Ok(WeightsFile { tensors, metadata })
}

/// Write named tensors and text entries to a safetensors file. The same content is the same file, byte for byte.
///
/// # Errors
/// The folder does not exist or cannot be written to; a tensor has a type that the format does not know.
pub fn write(place: impl Into<Place>, tensors: &[(String, Tensor)], metadata: &[(&str, &str)]) -> Result<()> {
    let place = place.into();
    let mut order = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        order.push((stored_type(tensor)?, name, tensor));
    }
    // Wide types first, so that every tensor begins at a multiple of its size.
    order.sort_by(|(a, x, _), (b, y, _)| b.bitsize().cmp(&a.bitsize()).then(x.cmp(y)));
    let mut header = serde_json::Map::new();
    let software = format!("seglab {}", env!("CARGO_PKG_VERSION"));
    let entries: BTreeMap<&str, &str> = metadata
        .iter()
        .copied()
        .chain([("software", software.as_str())])
        .collect();
    header.insert("__metadata__".into(), json!(entries));
    let mut end = 0;
    for (dtype, name, tensor) in &order {
        let start = end;
        end += tensor.elem_count() * tensor.dtype().size_in_bytes();
        header.insert(
            name.to_string(),
            json!({ "dtype": dtype, "shape": tensor.dims(), "data_offsets": [start, end] }),
        );
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    place.write_with(|file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        let mut bytes = Vec::new();
        for (_, _, tensor) in order {
            bytes.clear();
            tensor
                .write_bytes(&mut bytes)
                .map_err(|e| std::io::Error::other(Error::from(e)))?;
            file.write_all(&bytes)?;
        }
        Ok(())
    })
}

fn stored_type(tensor: &Tensor) -> Result<Dtype> {
    Ok(match tensor.dtype() {
        DType::F32 => Dtype::F32,
        DType::F64 => Dtype::F64,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::U32 => Dtype::U32,
        DType::U8 => Dtype::U8,
        other => crate::fail!(
            "a tensor of type {} cannot be written; convert it with to_dtype first",
            other.as_str()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let t = Tensor::arange(0f32, 6.0, &Device::Cpu)
            .unwrap()
            .reshape((2, 3))
            .unwrap()
            .t()
            .unwrap();
        write(&path, &[("t".into(), t.clone())], &[("note", "x")]).unwrap();
        let file = read(&path, &Device::Cpu).unwrap();
        assert_eq!(file.metadata["note"], "x");
        assert_eq!(file.tensors["t"].to_vec2::<f32>().unwrap(), t.to_vec2::<f32>().unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1); // no temporary file is left
    }

    #[test]
    fn the_same_content_is_the_same_file() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..20).map(|i| format!("entry {}", i * 7 % 20)).collect();
        let entries: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "\"é\"")).collect();
        let bytes = |name: &str| {
            let path = folder.path().join(name);
            let t = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
            write(&path, &[("t".into(), t)], &entries).unwrap();
            assert_eq!(read(&path, &Device::Cpu).unwrap().metadata["entry 3"], "\"é\"");
            std::fs::read(path).unwrap()
        };
        assert_eq!(bytes("a.safetensors"), bytes("b.safetensors"));
    }

    #[test]
    fn a_truncated_file_and_a_missing_folder_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        write(
            &path,
            &[("t".into(), Tensor::zeros(99, DType::F32, &Device::Cpu).unwrap())],
            &[],
        )
        .unwrap();
        let data = std::fs::read(&path).unwrap();
        std::fs::write(&path, &data[..data.len() - 10]).unwrap();
        let text = read(&path, &Device::Cpu).err().unwrap().to_string();
        assert!(text.contains("a.safetensors") && text.contains("truncated"), "{text}");
        let text = write(folder.path().join("no/b.safetensors"), &[], &[])
            .unwrap_err()
            .to_string();
        assert!(text.contains("no/b.safetensors: cannot be written"), "{text}");
    }
}
