//! The bundle: what training hands on. A folder, or the same as `model.tar.gz`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use flate2::{Compression, GzBuilder, read::GzDecoder};
use serde::{Deserialize, Serialize};

use crate::{
    architecture::{Architecture, PadType},
    error::{Error, Result},
    files,
    hash::Sha256Hex,
    image_spec::ImageSpec,
    labels::ClassNames,
    model,
};

/// Content of `bundle.json`. Classes and preprocessing are stated here and nowhere else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BundleManifest {
    /// Version of this format, [`BundleManifest::FORMAT`].
    pub format_version: u32,
    /// timm's name of the architecture.
    pub model: String,
    /// timm's `pad_type`, when it is not the architecture's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pad_type: Option<PadType>,
    /// Class names in the order of the logits.
    pub classes: ClassNames,
    /// How an image becomes the network's input.
    pub image: ImageSpec,
    /// Calibration temperature: probabilities are softmax(logits / temperature). 1 when not calibrated.
    pub temperature: f64,
    /// Metrics by name (`val/acc`, `test/acc`, ...).
    pub metrics: BTreeMap<String, f64>,
    /// Content version of the dataset it was trained on.
    pub dataset_version: String,
    /// The data version (`kidu data snapshot`) that its images were read from, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_snapshot: Option<String>,
    /// SHA-256 of the resolved configuration.
    pub config_hash: String,
    /// Commit of the working tree it was trained from, with `-dirty` after it if there were changes.
    pub git_commit: Option<String>,
    /// Where the initial weights came from: `none`, or a file name with its SHA-256.
    pub initial_weights: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Version of Kidu that made it.
    pub kidu_version: String,
    /// SHA-256 of each other file of the bundle.
    pub files: BTreeMap<String, Sha256Hex>,
}

impl BundleManifest {
    /// The version of the format that this code writes and reads.
    pub const FORMAT: u32 = 1;

    /// The network described by the name and the padding.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], or [`Error::Format`] for a padding that the network does not have.
    pub fn architecture(&self) -> Result<Architecture> {
        let architecture = model::find(&self.model)?.architecture.clone();
        match self.pad_type {
            Some(pad) => architecture.with_pad_type(pad).map_err(|e| Error::format(Bundle::MANIFEST, e)),
            None => Ok(architecture),
        }
    }

    /// Identifies the trained model: the first 12 digits of the weights' hash.
    pub fn version(&self) -> &str {
        self.files.get(Bundle::WEIGHTS).map_or("unknown", Sha256Hex::short)
    }
}

/// An opened, verified bundle.
#[derive(Clone, Debug)]
pub struct Bundle {
    dir: PathBuf,
    manifest: BundleManifest,
}

impl Bundle {
    /// File name of the manifest.
    pub const MANIFEST: &'static str = "bundle.json";
    /// File name of the weights, under timm's state-dict keys.
    pub const WEIGHTS: &'static str = "weights.safetensors";
    /// The most that an archive may unpack to, in bytes (4 GiB).
    const UNPACKED_LIMIT: u64 = 4 << 30;

    /// Opens a bundle folder and checks every hash.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Json`], [`Error::Format`], or [`Error::HashMismatch`]: such a bundle is not used.
    pub fn open(dir: &Path) -> Result<Self> {
        let bundle = Self::described(dir)?;
        bundle.check()?;
        Ok(bundle)
    }

    /// What `prepare` makes of a bundle while [`Bundle::open`]'s hashes are checked. It is given away only when every one is
    /// right; until then it may be of damaged files.
    ///
    /// # Errors
    /// As [`Bundle::open`], whatever `prepare` found.
    pub fn open_with<T>(dir: &Path, prepare: impl FnOnce(&Self) -> T) -> Result<T> {
        let bundle = Self::described(dir)?;
        std::thread::scope(|scope| {
            let check = scope.spawn(|| bundle.check());
            let made = prepare(&bundle);
            check.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map(|()| made)
        })
    }

    /// A bundle as its manifest describes it.
    fn described(dir: &Path) -> Result<Self> {
        let path = dir.join(Self::MANIFEST);
        if !path.is_file() {
            let reason = format!("is not a bundle: it has no {}; give the folder that training wrote", Self::MANIFEST);
            return Err(Error::format(dir, reason));
        }
        let manifest: BundleManifest = files::read_json(&path, "bundle manifest")?;
        check_manifest(&path, &manifest)?;
        Ok(Self { dir: dir.to_path_buf(), manifest })
    }

    /// Checks every hash.
    fn check(&self) -> Result<()> {
        for (name, expected) in &self.manifest.files {
            let path = self.dir.join(name);
            let found = Sha256Hex::of_file(&path)?;
            if found != *expected {
                return Err(Error::HashMismatch { path, expected: expected.to_string(), found: found.to_string() });
            }
        }
        Ok(())
    }

    /// Writes a bundle: first the files, then the manifest with their hashes, each atomically, so that a folder with a
    /// manifest is whole. `manifest.files` is filled in here.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`].
    pub fn create(dir: &Path, mut manifest: BundleManifest, contents: &[(&str, &[u8])]) -> Result<Self> {
        manifest.format_version = BundleManifest::FORMAT;
        manifest.files = contents.iter().map(|(name, b)| ((*name).to_string(), Sha256Hex::of_bytes(b))).collect();
        check_manifest(&dir.join(Self::MANIFEST), &manifest)?;
        for (name, bytes) in contents {
            files::write_atomic(&dir.join(name), bytes)?;
        }
        files::write_json(&dir.join(Self::MANIFEST), &manifest)?;
        Ok(Self { dir: dir.to_path_buf(), manifest })
    }

    /// Replaces the manifest (metrics, temperature); files and their hashes stay.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`].
    pub fn update(&mut self, change: impl FnOnce(&mut BundleManifest)) -> Result<()> {
        let mut manifest = self.manifest.clone();
        change(&mut manifest);
        manifest.files.clone_from(&self.manifest.files);
        let path = self.dir.join(Self::MANIFEST);
        check_manifest(&path, &manifest)?;
        files::write_json(&path, &manifest)?;
        self.manifest = manifest;
        Ok(())
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// SHA-256 of the manifest, which holds those of all other files: one number for the whole bundle.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn digest(&self) -> Result<Sha256Hex> {
        Sha256Hex::of_file(&self.dir.join(Self::MANIFEST))
    }

    /// The manifest.
    pub fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// Where the weights are.
    pub fn weights(&self) -> PathBuf {
        self.dir.join(Self::WEIGHTS)
    }

    /// Writes the bundle as `model.tar.gz`, byte for byte the same for the same bundle.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn pack(&self, archive: &Path) -> Result<()> {
        let names = std::iter::once(Self::MANIFEST).chain(self.manifest.files.keys().map(String::as_str));
        files::write_atomic_with(archive, |out| {
            let mut tar = tar::Builder::new(GzBuilder::new().mtime(0).write(out, Compression::fast()));
            for name in names {
                let mut file = File::open(self.dir.join(name))?;
                let mut header = tar::Header::new_gnu();
                header.set_size(file.metadata()?.len());
                header.set_mode(0o644);
                header.set_mtime(0);
                header.set_cksum();
                tar.append_data(&mut header, name, &mut file)?;
            }
            tar.into_inner()?.finish()?;
            Ok(())
        })
    }

    /// Unpacks `model.tar.gz` into a new folder and opens it. Entries that are not plain files inside the folder are
    /// refused, as is an archive that unpacks to more than 4 GiB.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Format`], or what [`Bundle::open`] finds.
    pub fn unpack(archive: &Path, dir: &Path) -> Result<Self> {
        let file = File::open(archive).map_err(|e| Error::io("read", archive, e))?;
        let unreadable =
            |e: io::Error| Error::format(archive, format!("is not a readable model.tar.gz ({e}); build it again"));
        let mut tar = tar::Archive::new(GzDecoder::new(file));
        let mut left = Self::UNPACKED_LIMIT;
        for entry in tar.entries().map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            if entry.header().entry_type().is_dir() {
                continue;
            }
            let name = entry.path().map_err(unreadable)?.into_owned();
            let plain = name.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
            if !entry.header().entry_type().is_file() || !plain {
                let reason =
                    format!("holds '{}', which is not a plain file inside the bundle; refused", name.display());
                return Err(Error::format(archive, reason));
            }
            let size = entry.size();
            left =
                left.checked_sub(size).ok_or_else(|| Error::format(archive, "unpacks to more than 4 GiB; refused"))?;
            files::write_atomic_with(&dir.join(&name), |out| io::copy(&mut entry.take(size), out).map(|_| ()))?;
        }
        Self::open(dir)
    }
}

fn check_manifest(path: &Path, manifest: &BundleManifest) -> Result<()> {
    let fail = |reason: String| Err(Error::format(path, reason));
    if manifest.format_version != BundleManifest::FORMAT {
        return fail(format!(
            "format version {} is not {}; use the version of Kidu that wrote it ({})",
            manifest.format_version,
            BundleManifest::FORMAT,
            manifest.kidu_version
        ));
    }
    if !manifest.files.contains_key(Bundle::WEIGHTS) {
        return fail(format!("names no {}", Bundle::WEIGHTS));
    }
    if let Some(name) = manifest.files.keys().find(|n| !crate::dataset::is_inside(n)) {
        return fail(format!("names the file '{name}', which leaves the bundle"));
    }
    if !(manifest.temperature.is_finite() && manifest.temperature > 0.0) {
        return fail(format!("temperature {} is not a positive number", manifest.temperature));
    }
    manifest.image.validate().or_else(fail)?;
    manifest.architecture().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_spec::Filter;

    pub(crate) fn sample(dir: &Path) -> Bundle {
        let manifest = BundleManifest {
            format_version: 1,
            model: "resnet18".into(),
            pad_type: None,
            classes: ClassNames::new(["a", "b"]).unwrap(),
            image: ImageSpec::imagenet(224, Filter::Bicubic),
            temperature: 1.0,
            metrics: BTreeMap::new(),
            dataset_version: "0".into(),
            data_snapshot: None,
            config_hash: "0".into(),
            git_commit: None,
            initial_weights: "none".into(),
            created: "2026-01-01T00:00:00Z".into(),
            kidu_version: "0".into(),
            files: BTreeMap::new(),
        };
        Bundle::create(dir, manifest, &[(Bundle::WEIGHTS, b"weights")]).unwrap()
    }

    #[test]
    fn a_changed_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        sample(dir.path());
        Bundle::open(dir.path()).unwrap();
        std::fs::write(dir.path().join(Bundle::WEIGHTS), b"other").unwrap();
        assert!(matches!(Bundle::open(dir.path()), Err(Error::HashMismatch { .. })));
        // What was made of damaged files meanwhile is not given away.
        assert!(matches!(Bundle::open_with(dir.path(), Bundle::weights), Err(Error::HashMismatch { .. })));
    }

    #[test]
    fn packs_reproducibly_and_unpacks_to_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = sample(&dir.path().join("b"));
        let (one, two) = (dir.path().join("1.tar.gz"), dir.path().join("2.tar.gz"));
        bundle.pack(&one).unwrap();
        bundle.pack(&two).unwrap();
        assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
        let back = Bundle::unpack(&one, &dir.path().join("c")).unwrap();
        assert_eq!(back.manifest(), bundle.manifest());
    }

    #[test]
    fn a_link_or_a_parent_path_in_an_archive_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("evil.tar.gz");
        let gz = flate2::write::GzEncoder::new(File::create(&archive).unwrap(), Compression::fast());
        let mut tar = tar::Builder::new(gz);
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.as_gnu_mut().unwrap().name[..6].copy_from_slice(b"../out");
        header.set_cksum();
        tar.append(&header, &b"x"[..]).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
        let error = Bundle::unpack(&archive, &dir.path().join("in")).unwrap_err();
        assert!(error.to_string().contains("refused"), "{error}");
        assert!(!dir.path().join("out").exists());
    }

    #[test]
    fn a_folder_without_a_manifest_says_what_to_give() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Bundle::open(dir.path()).unwrap_err().to_string().contains("give the folder that training wrote"));
    }
}
