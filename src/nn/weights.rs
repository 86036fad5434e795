//! Named tensors in safetensors files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors, View};

use crate::error::{Error, Result};

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
pub fn read(path: impl AsRef<Path>, device: &Device) -> Result<WeightsFile> {
    let path = path.as_ref();
    let data = std::fs::read(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    let corrupt = |e: &dyn std::fmt::Display| {
        Error::file(
            path,
            format!("is not a whole safetensors file ({e}); it may be truncated, or of another format"),
        )
    };
    let (_, header) = SafeTensors::read_metadata(&data).map_err(|e| corrupt(&e))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let tensors = candle_core::safetensors::load_buffer(&data, device).map_err(|e| corrupt(&e))?;
    Ok(WeightsFile { tensors, metadata })
}

/// Write named tensors and text entries to a safetensors file, through a temporary file beside it, so that an interruption
/// leaves the old file whole.
///
/// # Errors
/// The folder does not exist or cannot be written to.
pub fn write(path: impl AsRef<Path>, tensors: &[(String, Tensor)], metadata: &[(&str, &str)]) -> Result<()> {
    let path = path.as_ref();
    let metadata = metadata.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let mut views = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        views.push((name.as_str(), Bytes::of(tensor)?));
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let failed = |e: &dyn std::fmt::Display| {
        let _ = std::fs::remove_file(partial);
        Error::file(path, format!("cannot be written: {e}"))
    };
    safetensors::serialize_to_file(views, Some(metadata), partial).map_err(|e| failed(&e))?;
    std::fs::rename(partial, path).map_err(|e| failed(&e))
}

/// A tensor as safetensors wants it.
struct Bytes {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl Bytes {
    fn of(tensor: &Tensor) -> Result<Self> {
        let dtype = match tensor.dtype() {
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            DType::I64 => Dtype::I64,
            DType::U32 => Dtype::U32,
            DType::U8 => Dtype::U8,
            other => crate::fail!("a tensor of type {other:?} cannot be written; convert it with to_dtype first"),
        };
        let mut data = Vec::with_capacity(tensor.elem_count() * tensor.dtype().size_in_bytes());
        tensor.write_bytes(&mut data)?;
        Ok(Bytes {
            dtype,
            shape: tensor.dims().to_vec(),
            data,
        })
    }
}

impl View for Bytes {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }

    fn data_len(&self) -> usize {
        self.data.len()
    }
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
