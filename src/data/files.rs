//! Which files a folder holds: what a person sees there, links followed, no folder twice.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::decode::{IMAGE_KINDS, IMAGES};
use crate::error::{Error, Result};
use crate::fail_at;
use crate::session::Place;

/// Endings of files that lie beside images and are meant to be no images.
const BESIDE: [&str; 20] = [
    "txt", "md", "csv", "tsv", "json", "jsonl", "xml", "yaml", "yml", "toml", "html", "pdf", "log", "lst", "py", "sh",
    "ini", "db", "sha256", "md5",
];

/// Nothing if `place` is a folder; otherwise an error that says what was expected there.
pub(super) fn folder(place: &Place, expected: &str) -> Result<()> {
    if place.is_folder()? {
        return Ok(());
    }
    let found = if place.exists()? {
        "found a file"
    } else {
        "there is no such folder"
    };
    Err(Error::file(place.path(), format!("{found}, expected {expected}")))
}

/// The lines of a list file that hold something, trimmed.
pub(super) fn lines(place: &Place) -> Result<Vec<String>> {
    let text = place.text("the list of images")?;
    let lines: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(String::from)
        .collect();
    if lines.is_empty() {
        fail_at!(place.path(), "the list of images is empty");
    }
    Ok(lines)
}

/// The names of the folders in a folder, sorted; hidden ones are passed over.
pub(super) fn subfolders(folder: &Place) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for place in visible(folder)? {
        if place.is_folder()? {
            names.push(place.name());
        }
    }
    Ok(names)
}

/// The images below a folder, sorted by path, without those below `except`. A file that is neither an image nor of a kind that
/// usually lies beside images is an error, so that no image is left out without a word.
pub(super) fn images_below(root: &Place, except: Option<&Place>) -> Result<Vec<Place>> {
    let (images, others): (Vec<Place>, Vec<Place>) = files_below(root, except)?
        .into_iter()
        .partition(|f| IMAGES.contains(&f.ending().as_str()));
    let unknown = |file: &&Place| {
        let ending = file.ending();
        !ending.is_empty() && !BESIDE.contains(&ending.as_str())
    };
    let unreadable: Vec<&Place> = others.iter().filter(unknown).collect();
    if let Some(first) = unreadable.first() {
        let mut endings: Vec<String> = unreadable.iter().map(|f| format!(".{}", f.ending())).collect();
        endings.sort();
        endings.dedup();
        let readable = images.len();
        fail_at!(
            first.path(),
            "found {} files that cannot be read as images ({}) beside {readable} that can, expected {IMAGE_KINDS}; convert \
                 them or move them elsewhere",
            unreadable.len(),
            endings.join(", ")
        );
    }
    Ok(images)
}

/// The images in a folder itself, not below.
pub(super) fn images_beside(folder: &Place) -> Result<Vec<Place>> {
    let mut images = visible(folder)?;
    images.retain(|place| place.path().is_file() && IMAGES.contains(&place.ending().as_str()));
    Ok(images)
}

/// The files below a folder, sorted by path, without those below `except` and without hidden ones (`.ipynb_checkpoints`, `._a.jpg`).
///
/// # Errors
/// What is neither a file nor a folder; a link that leads nowhere, or to a folder that is listed already: it may lead in a circle.
pub(super) fn files_below(root: &Place, except: Option<&Place>) -> Result<Vec<Place>> {
    let real = |folder: &Place| std::fs::canonicalize(folder.path()).map_err(|e| unreadable(folder, &e));
    let except = except.and_then(|folder| real(folder).ok());
    let mut seen: HashMap<PathBuf, Place> = HashMap::new();
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        let target = real(&folder)?;
        if except.as_ref() == Some(&target) {
            continue;
        }
        if let Some(first) = seen.insert(target, folder.clone()) {
            fail_at!(
                folder.path(),
                "this link leads to a folder that is listed already ({first}); remove the link"
            );
        }
        for place in visible(&folder)? {
            place.check()?;
            let about = std::fs::metadata(place.path()).map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => Error::file(place.path(), "found a link that leads nowhere; remove it"),
                _ => unreadable(&place, &e),
            })?;
            if about.is_dir() {
                open.push(place);
            } else if about.is_file() {
                found.push(place);
            } else {
                fail_at!(
                    place.path(),
                    "found a pipe, a socket or a device, expected files and folders only; remove it"
                );
            }
        }
    }
    found.sort_by(|a, b| a.path().cmp(b.path()));
    Ok(found)
}

/// What a person sees in a folder, sorted: no names that begin with a dot, none of those that systems leave there.
fn visible(folder: &Place) -> Result<Vec<Place>> {
    let mut places = folder.list()?;
    places.retain(|place| {
        let name = place.name();
        !name.starts_with('.') && !["__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir"].contains(&name.as_str())
    });
    Ok(places)
}

fn unreadable(place: &Place, error: &std::io::Error) -> Error {
    Error::file(place.path(), format!("cannot be read ({error})"))
}

/// The last part of a path without its ending.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
