//! NumPy's files: every order and type, compression, damage.

use std::io::Write;
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{refused, script};

/// A `.npy` file of this header and data.
fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}

fn npz(path: &Path, method: CompressionMethod, arrays: &[(&str, Vec<u8>)]) {
    let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in arrays {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn arrays_of_every_order_type_and_compression() {
    let root = tempfile::tempdir().unwrap();
    let floats: Vec<u8> = [1f32, 2.5, -3.0, 4.0, 5.0, 6.0]
        .iter()
        .flat_map(|v| v.to_be_bytes())
        .collect();
    let arrays = [
        ("fortran", npy(">f4", true, "(2, 3)", &floats)),
        ("truth", npy("|b1", false, "(2, 2)", &[1, 0, 0, 1])),
        ("small", npy("<i2", false, "(1,)", &(-7i16).to_le_bytes())),
    ];
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        npz(&root.path().join("a.npz"), method, &arrays);
        let found = script(
            root.path(),
            "let a = tensor::load(`ROOT/a.npz`); [a.fortran.to_array(), a.truth.to_array(), a.small.to_array(), a.truth.dtype]",
        );
        // columns first: 1, 2.5 | -3, 4 | 5, 6
        let wanted = "[[[1.0, -3.0, 5.0], [2.5, 4.0, 6.0]], [[1, 0], [0, 1]], [-7], \"u8\"]";
        assert_eq!(found, Ok(wanted.into()), "{method:?}");
    }
    std::fs::write(root.path().join("a.npy"), &arrays[0].1).unwrap();
    assert_eq!(
        script(root.path(), "tensor::load(`ROOT/a.npy`).a[[1, 0]].item()"),
        Ok("2.5".into())
    );
}

#[test]
fn a_shape_without_its_data_and_other_nonsense_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for (bytes, part) in [
        (
            npy("<f4", false, "(100000, 100000)", &[0; 16]),
            "40000000000 bytes, but 16",
        ),
        (
            npy("<f4", false, "(9223372036854775807, 8)", &[]),
            "more bytes than any memory",
        ),
        (npy("<f4", false, "(2,)", &[0; 12]), "8 bytes, but 12"),
        (npy("<c8", false, "(1,)", &[0; 8]), "'<c8'"),
        (npy("|O", false, "(1,)", &[0; 8]), "'|O'"),
        (npy("<U4", false, "(1,)", &[0; 16]), "'<U4'"),
        (npy("<f4", false, "(-1,)", &[0; 4]), "shape"),
        (b"not numpy".to_vec(), "NumPy's mark"),
        (Vec::new(), "NumPy's mark"),
    ] {
        std::fs::write(root.path().join("a.npy"), &bytes).unwrap();
        refused(root.path(), "tensor::load(`ROOT/a.npy`)", &["a.npy", part]);
        npz(
            &root.path().join("a.npz"),
            CompressionMethod::Deflated,
            &[("inside", bytes)],
        );
        refused(root.path(), "tensor::load(`ROOT/a.npz`)", &["a.npz", "inside", part]);
    }
}

#[test]
fn a_flipped_bit_in_the_numbers_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.npz");
    let numbers: Vec<u8> = (0..64u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        npz(&path, method, &[("a", npy("<f4", false, "(64,)", &numbers))]);
        let whole = std::fs::read(&path).unwrap();
        for at in (35..whole.len() - 80).step_by(17) {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            std::fs::write(&path, bytes).unwrap();
            refused(root.path(), "tensor::load(`ROOT/a.npz`)", &["a.npz", "damaged"]);
        }
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        refused(root.path(), "tensor::load(`ROOT/a.npz`)", &["a.npz", "cut off"]);
    }
}
