//! Where the CUDA libraries are looked for: the loader's own path, Python packages, the usual folders of a toolkit.

use std::path::{Path, PathBuf};

/// The libraries that a GPU session needs, each with the names it may have (CUDA 13 before CUDA 12).
pub const NEEDED: [(&str, &[&str]); 5] = [
    ("cuBLASLt", &["libcublasLt.so.13", "libcublasLt.so.12"]),
    ("cuBLAS", &["libcublas.so.13", "libcublas.so.12"]),
    ("cuRAND", &["libcurand.so.10"]),
    ("NVRTC", &["libnvrtc.so.13", "libnvrtc.so.12"]),
    ("cuDNN", &["libcudnn.so.9"]),
];

/// The folders searched after the loader's own path, in order; only those that exist.
///
/// `$CUDA_PIP_DIR` (a site-packages folder or the `nvidia` folder in it), the site-packages of `$VIRTUAL_ENV`, `$CONDA_PREFIX`,
/// `~/.local`, `/usr/local` and `/usr`, then `$CUDA_HOME` and `/usr/local/cuda*`.
pub fn folders() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let mut packages: Vec<PathBuf> = Vec::new();
    if let Some(folder) = variable("CUDA_PIP_DIR") {
        packages.push(folder.join("nvidia"));
        packages.push(folder);
    }
    let prefixes = [
        variable("VIRTUAL_ENV"),
        variable("CONDA_PREFIX"),
        variable("HOME").map(|home| home.join(".local")),
        Some("/usr/local".into()),
        Some("/usr".into()),
    ];
    for prefix in prefixes.into_iter().flatten() {
        for python in children(&prefix.join("lib"), "python3") {
            packages.push(python.join("site-packages/nvidia"));
            packages.push(python.join("dist-packages/nvidia"));
        }
    }
    let mut found = Vec::new();
    for package in packages {
        // `nvidia/cu13/lib` holds all of CUDA 13, `nvidia/cublas/lib` and its like one part of CUDA 12, `nvidia/cudnn/lib` cuDNN.
        found.extend(children(&package, "").into_iter().map(|part| part.join("lib")));
        found.push(package.join("lib"));
    }
    let mut toolkits: Vec<PathBuf> = variable("CUDA_HOME").into_iter().collect();
    toolkits.extend(children(Path::new("/usr/local"), "cuda").into_iter().rev());
    for toolkit in toolkits {
        found.push(toolkit.join("lib64"));
        found.push(toolkit.join("targets/x86_64-linux/lib"));
    }
    found.retain(|folder| folder.is_dir());
    found
}

/// The file called `name` in the first of `folders` that has it.
pub fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().map(|f| f.join(name)).find(|path| path.is_file())
}

/// The files of `folder` whose names start with `start`, sorted.
pub fn children(folder: &Path, start: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_in_the_first_folder_that_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::create_dir_all(&a).unwrap();
        std::fs::create_dir_all(&b).unwrap();
        std::fs::write(b.join("libx.so.1"), "").unwrap();
        assert_eq!(find("libx.so.1", &[a.clone(), b.clone()]), Some(b.join("libx.so.1")));
        assert_eq!(find("liby.so.1", &[a, b]), None);
        assert_eq!(children(dir.path(), ""), [dir.path().join("a"), dir.path().join("b")]);
    }
}
