//! Where the bundle comes from.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use kidu_core::{Bundle, Sha256Hex, files, store::ObjectUri};

use crate::error::{LambdaError, Result};

/// The digest of the bundle that was evaluated.
const EVALUATED: &str = "KIDU_BUNDLE_SHA256";

/// How the name of a model in the scratch space begins.
const MODEL: &str = "kidu-model-";
/// How the name of an archive ends.
const ARCHIVE: &str = ".tar.gz";

/// Where a layer puts it.
const LAYER: &str = "/opt/bundle";

/// Where the bundle comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The first of these folders that holds one.
    Folders(Vec<PathBuf>),
    /// A `model.tar.gz` in S3.
    S3 {
        /// `s3://bucket/key`.
        uri: String,
        /// Its SHA-256, where it is demanded.
        sha256: Option<Sha256Hex>,
        /// The scratch space that it is unpacked in.
        scratch: PathBuf,
    },
}

impl Source {
    /// `KIDU_BUNDLE` (a folder); or `MODEL_S3_URI` (an archive in S3), with its `MODEL_SHA256` if that is set, unpacked
    /// in `KIDU_SCRATCH` (`/tmp/kidu`); or `bundle` beside the executable; or `/opt/bundle`.
    ///
    /// # Errors
    /// [`LambdaError::Variable`].
    pub fn from_environment() -> Result<Self> {
        let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("bundle")));
        Self::of(environment, beside)
    }

    fn of(variable: impl Fn(&'static str) -> Option<String>, beside: Option<PathBuf>) -> Result<Self> {
        if let Some(folder) = variable("KIDU_BUNDLE") {
            return Ok(Self::Folders(vec![folder.into()]));
        }
        let Some(uri) = variable("MODEL_S3_URI") else {
            return Ok(Self::Folders(beside.into_iter().chain([LAYER.into()]).collect()));
        };
        let sha256 = digest(&variable, "MODEL_SHA256")?;
        let scratch = variable("KIDU_SCRATCH").unwrap_or_else(|| "/tmp/kidu".into()).into();
        Ok(Self::S3 { uri, sha256, scratch })
    }

    /// The folder of the bundle. One from S3 is fetched once for each process of Lambda's machine: a folder in the scratch
    /// space that is whole is used again.
    ///
    /// # Errors
    /// [`LambdaError`].
    pub fn bundle(&self) -> Result<PathBuf> {
        match self {
            Self::Folders(folders) => folders
                .iter()
                .find(|folder| folder.join(Bundle::MANIFEST).is_file())
                .cloned()
                .ok_or_else(|| LambdaError::NoBundle { looked: folders.clone() }),
            Self::S3 { uri, sha256, scratch } => fetch(uri, sha256.as_ref(), scratch),
        }
    }
}

/// A bundle that was judged, by the digest in its `evaluation.json` (`kidu.bundle_sha256`): no other is taken into service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluated(Option<Sha256Hex>);

impl Evaluated {
    /// `KIDU_BUNDLE_SHA256`; any bundle if it is not set.
    ///
    /// # Errors
    /// [`LambdaError::Variable`].
    pub fn from_environment() -> Result<Self> {
        digest(&environment, EVALUATED).map(Self)
    }

    /// Refuses a folder with another bundle.
    ///
    /// # Errors
    /// [`LambdaError::NotEvaluated`]; [`LambdaError::Bundle`] for a manifest that cannot be read.
    pub(crate) fn check(&self, folder: &Path) -> Result<()> {
        let Some(wanted) = &self.0 else { return Ok(()) };
        let found = Sha256Hex::of_file(&folder.join(Bundle::MANIFEST))?;
        if *wanted == found {
            return Ok(());
        }
        Err(LambdaError::NotEvaluated { folder: folder.into(), wanted: wanted.clone(), found })
    }
}

fn environment(name: &'static str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn digest(variable: &impl Fn(&'static str) -> Option<String>, name: &'static str) -> Result<Option<Sha256Hex>> {
    let Some(text) = variable(name) else { return Ok(None) };
    match Sha256Hex::parse(&text) {
        Some(digest) => Ok(Some(digest)),
        None => {
            let reason = "is no SHA-256; give its 64 hexadecimal digits".into();
            Err(LambdaError::Variable { name, value: text, reason })
        }
    }
}

/// The place and the key of an archive.
#[cfg_attr(not(feature = "s3"), allow(dead_code, reason = "only what comes from S3 has them"))]
fn split(uri: &str) -> Result<(ObjectUri, String)> {
    let wrong = |reason: &str| LambdaError::Variable { name: "MODEL_S3_URI", value: uri.into(), reason: reason.into() };
    let place = ObjectUri::parse(uri)?;
    if place.as_path().is_some() {
        return Err(wrong("is no place in S3; give s3://bucket/path/model.tar.gz"));
    }
    match place.split_last() {
        Some((place, key)) if key.ends_with(".tar.gz") || key.ends_with(".tgz") => Ok((place, key)),
        _ => Err(wrong("is no archive; give the bundle's model.tar.gz")),
    }
}

#[cfg(feature = "s3")]
fn fetch(uri: &str, sha256: Option<&Sha256Hex>, scratch: &Path) -> Result<PathBuf> {
    use kidu_core::store::{GetOptions, ObjectStore};

    let (place, key) = split(uri)?;
    let store = kidu_aws::S3Store::open(&place)?;
    let info = store.head(&key)?.ok_or_else(|| kidu_core::store::StoreError::NotFound { uri: uri.into() })?;
    let wanted = sha256.cloned().or_else(|| info.sha256.clone());
    // Named by what is in it, so that a new model is not taken for an old one.
    let content = Sha256Hex::of_bytes(
        format!("{uri}\n{}\n{}", info.etag, wanted.as_ref().map_or("", Sha256Hex::as_str)).as_bytes(),
    );
    let folder = scratch.join(format!("{MODEL}{}", content.short()));
    if let Err(error) = tidy(scratch, &folder) {
        tracing::warn!(%error, "the scratch space is used as it is");
    }
    if Bundle::open(&folder).is_ok() {
        tracing::info!(uri, "the bundle is in the scratch space already");
        return Ok(folder);
    }
    let archive = scratch.join(format!("{MODEL}{}{ARCHIVE}", content.short()));
    let options = GetOptions { sha256: wanted.as_ref(), etag: Some(&info.etag), progress: None };
    store.get_to_file(&key, &archive, &options)?;
    let unpacked = Bundle::unpack(&archive, &folder);
    // The scratch space is small; the folder is what is used.
    if let Err(error) = std::fs::remove_file(&archive) {
        tracing::warn!(%error, "the archive was left in the scratch space");
    }
    unpacked?;
    tracing::info!(uri, bytes = info.size, checked = wanted.is_some(), "the bundle came from S3");
    Ok(folder)
}

/// Removes what killed starts and models before this one left. Lambda gives a function that is killed during its start the
/// same space again, and the next start would not fit. Only where no other process is: as long as this one lives, it says
/// that it uses the space.
#[cfg_attr(not(feature = "s3"), allow(dead_code, reason = "only what comes from S3 is in the scratch space"))]
fn tidy(scratch: &Path, folder: &Path) -> Result<()> {
    static IN_USE: OnceLock<File> = OnceLock::new();
    files::create_dir_all(scratch)?;
    let path = scratch.join(".kidu.lock");
    let io = |e| kidu_core::Error::io("tidy", scratch, e);
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(io)?;
    if lock.try_lock().is_ok() {
        files::remove_temporaries(scratch)?;
        for entry in fs::read_dir(scratch).map_err(io)? {
            let entry = entry.map_err(io)?;
            let other = entry.path();
            // Somebody may have given a folder with other things in it.
            if other == folder || !entry.file_name().to_str().is_some_and(is_ours) {
                continue;
            }
            let removed = match entry.file_type().map_err(io)?.is_dir() {
                true => fs::remove_dir_all(&other),
                false => fs::remove_file(&other),
            };
            removed.map_err(io)?;
        }
        files::remove_temporaries(folder)?;
    }
    lock.lock_shared().map_err(io)?;
    let _ = IN_USE.set(lock);
    Ok(())
}

/// Whether a name is that of a model in the scratch space, or of its archive.
#[cfg_attr(not(feature = "s3"), allow(dead_code, reason = "only what comes from S3 is in the scratch space"))]
fn is_ours(name: &str) -> bool {
    let Some(name) = name.strip_prefix(MODEL) else { return false };
    name.strip_suffix(ARCHIVE).unwrap_or(name).bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(not(feature = "s3"))]
fn fetch(uri: &str, _: Option<&Sha256Hex>, _: &Path) -> Result<PathBuf> {
    Err(LambdaError::Variable {
        name: "MODEL_S3_URI",
        value: uri.into(),
        reason: "cannot be used: this binary was built without the feature `s3`; put the bundle into the package"
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn source(variables: &[(&'static str, &str)]) -> Result<Source> {
        let variables: BTreeMap<_, _> = variables.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        Source::of(|name| variables.get(name).cloned(), Some("/var/task/bundle".into()))
    }

    #[test]
    fn the_environment_decides() {
        let folders = |paths: &[&str]| Source::Folders(paths.iter().map(PathBuf::from).collect());
        assert_eq!(source(&[]).unwrap(), folders(&["/var/task/bundle", "/opt/bundle"]));
        assert_eq!(source(&[("KIDU_BUNDLE", "/b"), ("MODEL_S3_URI", "s3://b/m.tar.gz")]).unwrap(), folders(&["/b"]));
        let s3 = source(&[("MODEL_S3_URI", "s3://b/m.tar.gz"), ("MODEL_SHA256", &"A".repeat(64))]).unwrap();
        let sha256 = Sha256Hex::parse(&"a".repeat(64));
        assert_eq!(s3, Source::S3 { uri: "s3://b/m.tar.gz".into(), sha256, scratch: "/tmp/kidu".into() });
        assert!(source(&[("MODEL_S3_URI", "s3://b/m.tar.gz"), ("MODEL_SHA256", "12")]).is_err());
        let missing = folders(&["/nowhere"]).bundle().unwrap_err().to_string();
        assert!(missing.contains("/nowhere") && missing.contains("KIDU_BUNDLE"), "{missing}");
    }

    #[test]
    fn the_scratch_space_holds_one_model_and_nothing_of_killed_starts() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = dir.path().join("kidu");
        let name = |of: &str| format!("{MODEL}{}", Sha256Hex::of_bytes(of.as_bytes()).short());
        let (folder, old, other) = (scratch.join(name("new")), scratch.join(name("old")), scratch.join("202611271200"));
        for folder in [&folder, &old, &other] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("bundle.json"), "{}").unwrap();
        }
        let left =
            [scratch.join(".tmp-a1B2c3"), scratch.join(format!("{}.tar.gz", name("old"))), folder.join(".tmp-a1B2c3")];
        let leave = || left.iter().for_each(|path| fs::write(path, "half").unwrap());
        leave();
        let there = |path: &PathBuf| path.exists();
        // Somebody else is at work there.
        let elsewhere = File::create(scratch.join(".kidu.lock")).unwrap();
        elsewhere.lock_shared().unwrap();
        tidy(&scratch, &folder).unwrap();
        assert!(left.iter().all(there) && old.exists());
        drop(elsewhere);

        let second = dir.path().join("second");
        fs::rename(&scratch, &second).unwrap();
        let moved = |path: &PathBuf| second.join(path.strip_prefix(&scratch).unwrap());
        fs::remove_file(second.join(".kidu.lock")).unwrap();
        tidy(&second, &moved(&folder)).unwrap();
        assert!(!left.iter().map(moved).any(|path| path.exists()) && !moved(&old).exists());
        assert!([&folder, &other].iter().all(|kept| moved(kept).join("bundle.json").is_file()));
    }

    #[test]
    fn only_archives_in_s3_are_taken() {
        let (place, key) = split("s3://bucket/a/b/model.tar.gz").unwrap();
        assert_eq!((place.to_string().as_str(), key.as_str()), ("s3://bucket/a/b", "model.tar.gz"));
        assert_eq!(split("s3://bucket/model.tar.gz").unwrap().1, "model.tar.gz");
        for wrong in
            ["bucket/model.tar.gz", "s3://bucket", "s3://bucket/model", "s3:///model.tar.gz", "file:///m.tar.gz"]
        {
            assert!(split(wrong).is_err(), "{wrong}");
        }
    }
}
