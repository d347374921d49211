//! Where the bundle comes from.

use std::path::{Path, PathBuf};

use kidu_core::{Bundle, Sha256Hex, store::ObjectUri};

use crate::error::{LambdaError, Result};

/// The digest of the bundle that was evaluated.
const EVALUATED: &str = "KIDU_BUNDLE_SHA256";

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
    let folder = scratch.join(content.short());
    if Bundle::open(&folder).is_ok() {
        tracing::info!(uri, "the bundle is in the scratch space already");
        return Ok(folder);
    }
    let archive = scratch.join(format!("{}.tar.gz", content.short()));
    let options = GetOptions { sha256: wanted.as_ref(), etag: Some(&info.etag), progress: None };
    store.get_to_file(&key, &archive, &options)?;
    Bundle::unpack(&archive, &folder)?;
    // The scratch space is small; the folder is what is used.
    if let Err(error) = std::fs::remove_file(&archive) {
        tracing::warn!(%error, "the archive was left in the scratch space");
    }
    tracing::info!(uri, bytes = info.size, checked = wanted.is_some(), "the bundle came from S3");
    Ok(folder)
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
