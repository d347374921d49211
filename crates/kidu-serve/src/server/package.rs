//! The package of a Lambda function: `bootstrap` and the bundle in one archive.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use kidu_core::{Bundle, files};
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use crate::error::{Result, ServeError};

/// What a zip file may unpack to for Lambda (its quota, 250 MB).
pub const UNPACKED_LIMIT: u64 = 250 << 20;
/// What a zip file may have when it is uploaded directly; a larger one goes through S3 (its quota, 50 MB).
pub const DIRECT_LIMIT: u64 = 50 << 20;

/// An archive that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The archive.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// What it unpacks to, in bytes.
    pub unpacked: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// Name and version of the bundle's model, `name@version`.
    pub model: String,
}

/// Writes `bootstrap` (mode 755) and the files of the bundle below `bundle/`: the same bytes for the same input, and
/// whole or not at all.
///
/// # Errors
/// [`ServeError::Bundle`] for a bundle that is not whole; [`ServeError::Package`] when the binary is none for Linux, or
/// the result is more than Lambda takes.
pub fn package_lambda(bundle: &Path, binary: &Path, out: &Path) -> Result<Package> {
    let bundle = Bundle::open(bundle)?;
    let manifest = bundle.manifest();
    let mut names = vec![(binary.to_path_buf(), "bootstrap".to_owned(), 0o755)];
    check_binary(binary)?;
    for name in std::iter::once(Bundle::MANIFEST).chain(manifest.files.keys().map(String::as_str)) {
        names.push((bundle.dir().join(name), format!("bundle/{name}"), 0o644));
    }
    let mut unpacked = 0;
    for (path, _, _) in &names {
        unpacked += path.metadata().map_err(|e| kidu_core::Error::io("read", path, e))?.len();
    }
    if unpacked > UNPACKED_LIMIT {
        let reason = format!(
            "would unpack to {unpacked} bytes, more than the {UNPACKED_LIMIT} that Lambda takes; leave the bundle out and set MODEL_S3_URI"
        );
        return Err(ServeError::Package { path: out.to_path_buf(), reason });
    }
    files::write_atomic_with(out, |file| write(file, &names))?;
    let bytes = out.metadata().map_err(|e| kidu_core::Error::io("read", out, e))?.len();
    Ok(Package {
        path: out.to_path_buf(),
        bytes,
        unpacked,
        sha256: kidu_core::Sha256Hex::of_file(out)?.to_string(),
        model: format!("{}@{}", manifest.model, manifest.version()),
    })
}

fn write(file: &mut File, names: &[(PathBuf, String, u32)]) -> io::Result<()> {
    let mut archive = ZipWriter::new(file);
    for (path, name, mode) in names {
        // No time: the archive is the same whenever it is made.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(*mode);
        archive.start_file(name.as_str(), options).map_err(io::Error::other)?;
        io::copy(&mut File::open(path)?, &mut archive)?;
    }
    archive.finish().map(drop).map_err(io::Error::other)
}

/// Lambda runs ELF files only; a script or a binary of another system would fail there, not here.
fn check_binary(path: &Path) -> Result<()> {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    match read {
        Ok(()) if magic == *b"\x7FELF" => Ok(()),
        Ok(()) => Err(ServeError::Package {
            path: path.to_path_buf(),
            reason: "is no Linux binary; give the bootstrap that `cargo build --release -p kidu-lambda` makes".into(),
        }),
        Err(e) => Err(kidu_core::Error::io("read", path, e).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_holds_an_executable_and_the_bundle_and_is_reproducible() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = kidu_testing::bundle(&dir.path().join("bundle"), "mobilenetv2_100", 32, &["a", "b"]);
        let binary = dir.path().join("binary");
        std::fs::write(&binary, b"\x7FELF and so on").unwrap();
        let (one, two) = (dir.path().join("1.zip"), dir.path().join("2.zip"));
        let first = package_lambda(bundle.dir(), &binary, &one).unwrap();
        let second = package_lambda(bundle.dir(), &binary, &two).unwrap();
        assert_eq!(first.sha256, second.sha256);
        let mut archive = zip::ZipArchive::new(File::open(&one).unwrap()).unwrap();
        let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["bootstrap", "bundle/bundle.json", "bundle/weights.safetensors"]);
        assert_eq!(archive.by_name("bootstrap").unwrap().unix_mode().map(|m| m & 0o777), Some(0o755));
        archive.extract(dir.path().join("out")).unwrap();
        assert_eq!(Bundle::open(&dir.path().join("out/bundle")).unwrap().manifest(), bundle.manifest());

        std::fs::write(&binary, b"#!/bin/sh").unwrap();
        let refused = package_lambda(bundle.dir(), &binary, &two).unwrap_err().to_string();
        assert!(refused.contains("no Linux binary"), "{refused}");
    }
}
