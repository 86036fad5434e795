//! Named tensors in safetensors files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
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
    sort_entries(partial).map_err(|e| failed(&e))?;
    std::fs::rename(partial, path).map_err(|e| failed(&e))
}

/// Put the text entries of the header in order: the library writes them in another one each time, and the same content should be
/// the same file.
fn sort_entries(path: &Path) -> std::io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let mut header = vec![0; u64::from_le_bytes(length) as usize];
    file.read_exact(&mut header)?;
    let mut json: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&header)?;
    if let Some(entries) = json.get_mut("__metadata__").and_then(|e| e.as_object_mut()) {
        entries.sort_keys();
    }
    let mut sorted = serde_json::to_vec(&json)?;
    sorted.resize(header.len().max(sorted.len()), b' '); // the header ends in spaces, up to a multiple of 8
    if sorted.len() != header.len() {
        return Err(std::io::Error::other("internal: the header changed its length"));
    }
    file.seek(SeekFrom::Start(8))?;
    file.write_all(&sorted)
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
