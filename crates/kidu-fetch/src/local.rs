//! Files, within the folders that may be read.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use crate::error::{FetchError, Result};

/// The bytes of a file below one of the roots. `inner` says that the path is relative whatever it begins with.
pub(crate) fn read(path: &Path, inner: bool, roots: &[PathBuf], max_bytes: u64) -> Result<Vec<u8>> {
    let address = path.display().to_string();
    let file = find(path, inner, roots)?;
    let unreadable = |e: std::io::Error| FetchError::Local { address: address.clone(), reason: e.to_string() };
    // Asked before opening: opening a pipe would wait for its other end.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(FetchError::Local { address, reason: "is not a plain file".into() });
    }
    if metadata.len() > max_bytes {
        return Err(FetchError::TooLarge { address, limit: max_bytes });
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The file may grow meanwhile.
    let limit = max_bytes.saturating_add(1);
    File::open(&file).and_then(|f| f.take(limit).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > max_bytes { Err(FetchError::TooLarge { address, limit: max_bytes }) } else { Ok(bytes) }
}

/// The file that is meant, links resolved, known to lie below a root.
fn find(path: &Path, inner: bool, roots: &[PathBuf]) -> Result<PathBuf> {
    let address = path.display().to_string();
    let roots: Vec<PathBuf> = roots.iter().filter_map(|r| r.canonicalize().ok()).collect();
    let relative = if inner { path.strip_prefix("/").unwrap_or(path) } else { path };
    let candidates: Vec<PathBuf> = if relative.is_absolute() {
        vec![relative.to_path_buf()]
    } else {
        roots.iter().map(|r| r.join(relative)).collect()
    };
    let mut outside = relative.is_absolute() && roots.is_empty();
    for candidate in candidates {
        if let Ok(file) = candidate.canonicalize() {
            if roots.iter().any(|r| file.starts_with(r)) {
                return Ok(file);
            }
            outside = true;
        }
    }
    if outside || roots.is_empty() {
        return Err(FetchError::Outside { address });
    }
    let place = roots.iter().map(|r| r.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(FetchError::NotFound { address, place })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_files_below_a_root_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("images");
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(root.join("a/x.jpg"), "image").unwrap();
        fs::write(dir.path().join("secret"), "no").unwrap();
        let roots = [root.clone()];
        let get = |path: &str, inner| read(Path::new(path), inner, &roots, 100);
        assert_eq!(get("a/x.jpg", false).unwrap(), b"image");
        assert_eq!(get("/a/x.jpg", true).unwrap(), b"image");
        assert_eq!(read(&root.join("a/x.jpg"), false, &roots, 5).unwrap(), b"image");
        assert!(matches!(read(&root.join("a/x.jpg"), false, &roots, 4), Err(FetchError::TooLarge { limit: 4, .. })));
        assert!(matches!(get("../secret", false), Err(FetchError::Outside { .. })));
        assert!(matches!(get("/etc/hostname", false), Err(FetchError::Outside { .. })));
        assert!(matches!(get("a", false), Err(FetchError::Local { .. })));
        assert!(matches!(get("b.jpg", false), Err(FetchError::NotFound { .. })));
        assert!(matches!(read(Path::new("a/x.jpg"), false, &[], 9), Err(FetchError::Outside { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_does_not_lead_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("images");
        fs::create_dir(&root).unwrap();
        fs::write(dir.path().join("secret"), "no").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), root.join("x.jpg")).unwrap();
        assert!(matches!(read(Path::new("x.jpg"), false, &[root], 9), Err(FetchError::Outside { .. })));
    }
}
