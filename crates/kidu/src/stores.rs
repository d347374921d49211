//! Settings that name a place in an object store: opened, and copied here for what reads files.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use kidu_core::{
    Progress,
    store::{Cached, FolderStore, ObjectStore, ObjectUri, StoreCache, StoreError},
};
use kidu_data::{DataSettings, archive::ArchiveKind};
use kidu_models::{WeightsSpec, hub};

use crate::{Outcome, failure::Failure};

/// Set to 1, places in S3 are read as they were fetched last, without a look at S3. The steps of a pipeline run so: the
/// run has hashed its inputs, and what a step reads must be the same.
pub(crate) const AS_FETCHED: &str = "KIDU_S3_AS_FETCHED";

/// The store at a place: a folder, or a bucket with the region and credentials of the environment.
pub(crate) fn open_store(uri: &ObjectUri) -> Outcome<Box<dyn ObjectStore>> {
    match uri {
        ObjectUri::Path(path) => Ok(Box::new(FolderStore::open(path)?)),
        ObjectUri::S3 { .. } => open_s3(uri),
    }
}

#[cfg(feature = "aws")]
fn open_s3(uri: &ObjectUri) -> Outcome<Box<dyn ObjectStore>> {
    Ok(Box::new(kidu_aws::S3Store::open(uri)?))
}

#[cfg(not(feature = "aws"))]
fn open_s3(uri: &ObjectUri) -> Outcome<Box<dyn ObjectStore>> {
    Err(Failure::usage(format!(
        "cannot reach {uri}: this kidu was built without AWS; build it with the cargo feature 'aws' (on by default), or \
         copy the files here first, as with `aws s3 sync`"
    )))
}

/// The `data` group with its root on this machine.
pub(crate) fn local_data<'a>(data: &'a DataSettings, progress: &dyn Progress) -> Outcome<Cow<'a, DataSettings>> {
    Ok(match data.root.as_deref().map(|root| local_root(root, progress)).transpose()? {
        Some(Cow::Owned(root)) => Cow::Owned(DataSettings { root: Some(root), ..data.clone() }),
        _ => Cow::Borrowed(data),
    })
}

/// The folder, archive or CSV list of a `data.root` on this machine. One in S3 is copied to the cache: an archive alone,
/// a list with the folder that it lies in, anything else as a folder.
pub(crate) fn local_root<'a>(root: &'a Path, progress: &dyn Progress) -> Outcome<Cow<'a, Path>> {
    let Some(uri) = s3_uri(root)? else { return Ok(Cow::Borrowed(root)) };
    let is_list = root.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
    let path = match uri.split_last() {
        Some(_) if ArchiveKind::of(root).is_some() => fetch_object(&uri, progress)?,
        Some((folder, name)) if is_list => fetch_tree(&folder, progress)?.join(name),
        _ => fetch_tree(&uri, progress)?,
    };
    Ok(Cow::Owned(path))
}

/// A `model.weights` whose file, if it is one, is on this machine.
pub(crate) fn local_weights<'a>(weights: &'a WeightsSpec, progress: &dyn Progress) -> Outcome<Cow<'a, WeightsSpec>> {
    let WeightsSpec::File(path) = weights else { return Ok(Cow::Borrowed(weights)) };
    Ok(match s3_uri(path)? {
        Some(uri) => Cow::Owned(WeightsSpec::File(fetch_object(&uri, progress)?)),
        None => Cow::Borrowed(weights),
    })
}

/// The place in S3 that a setting names, if it names one.
pub(crate) fn s3_uri(path: &Path) -> Result<Option<ObjectUri>, StoreError> {
    path.to_str().filter(|text| ObjectUri::is_s3(text)).map(ObjectUri::parse).transpose()
}

fn fetch_object(uri: &ObjectUri, progress: &dyn Progress) -> Outcome<PathBuf> {
    if let Some(path) = as_fetched(uri)? {
        return Ok(path);
    }
    let Some((folder, name)) = uri.split_last() else {
        return Err(Failure::usage(format!("{uri} is a bucket; name a file in it: {uri}/folder/file")));
    };
    let store = open_store(&folder)?;
    tell(uri, cache().object(&*store, &name, progress)?, progress)
}

fn fetch_tree(uri: &ObjectUri, progress: &dyn Progress) -> Outcome<PathBuf> {
    if let Some(path) = as_fetched(uri)? {
        return Ok(path);
    }
    let store = open_store(uri)?;
    match cache().tree(&*store, progress) {
        Err(StoreError::NotFound { .. }) => Err(Failure::Failed(anyhow::anyhow!("{}", nothing_below(uri)))),
        copied => tell(uri, copied?, progress),
    }
}

/// Nothing lies below a place; perhaps the place itself is an object.
fn nothing_below(uri: &ObjectUri) -> String {
    let is_object = uri.split_last().is_some_and(|(folder, name)| {
        open_store(&folder).is_ok_and(|store| store.head(&name).is_ok_and(|info| info.is_some()))
    });
    if is_object {
        format!(
            "{uri} is neither a folder nor an archive: name a .zip, .tar, .tar.gz or .tgz, a .csv list, or a folder"
        )
    } else {
        format!("there are no objects below {uri}; check the name with `aws s3 ls {uri}/`")
    }
}

fn tell(uri: &ObjectUri, copied: Cached, progress: &dyn Progress) -> Outcome<PathBuf> {
    let Cached { path, version, objects, bytes, fetched } = copied;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    progress.note(&format!(
        "{uri}: {objects} objects, {:.1} MB, version {version}; fetched {:.1} MB to {}",
        megabytes(bytes),
        megabytes(fetched),
        path.display()
    ));
    Ok(path)
}

fn as_fetched(uri: &ObjectUri) -> Outcome<Option<PathBuf>> {
    if std::env::var_os(AS_FETCHED).is_none_or(|v| v != "1") {
        return Ok(None);
    }
    match cache().last(uri)? {
        Some(path) => Ok(Some(path)),
        None => Err(Failure::Failed(anyhow::anyhow!(
            "{uri} is not in {} and {AS_FETCHED}=1 forbids to fetch it; unset it",
            cache_dir().display()
        ))),
    }
}

fn cache() -> StoreCache {
    StoreCache::new(cache_dir())
}

fn cache_dir() -> PathBuf {
    hub::cache_dir().join("stores")
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Uri { .. } | StoreError::Key { .. } | StoreError::Setup { .. } => Self::Usage(error.into()),
            other => Self::Failed(other.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use kidu_core::progress::Silent;

    use super::*;

    #[test]
    fn paths_stay_as_they_are() {
        let data = DataSettings { root: Some("photos.zip".into()), ..DataSettings::default() };
        assert!(matches!(local_data(&data, &Silent).unwrap(), Cow::Borrowed(_)));
        for spec in [WeightsSpec::None, WeightsSpec::Hub(None), WeightsSpec::File("x.safetensors".into())] {
            assert!(matches!(local_weights(&spec, &Silent).unwrap(), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn a_bad_place_is_a_usage_error() {
        let failure = local_root(Path::new("s3://Bad_Bucket/x.zip"), &Silent).unwrap_err();
        assert!(matches!(&failure, Failure::Usage(_)), "{failure}");
    }

    #[cfg(not(feature = "aws"))]
    #[test]
    fn without_aws_the_feature_is_named() {
        let failure = open_store(&ObjectUri::parse("s3://bucket/x").unwrap()).err().unwrap().to_string();
        assert!(failure.contains("feature 'aws'"), "{failure}");
    }
}
