//! Which version store a verb works with, and which remote.

use std::path::{Path, PathBuf};

use kidu_core::store::{ObjectStore, ObjectUri};
use kidu_data::versions::VersionStore;

use crate::{
    Outcome,
    cli::{ConfigArgs, StoreArgs},
    settings, stores,
};

/// What the configuration says of the data: root and store.
pub(super) fn configured() -> Outcome<(Option<PathBuf>, Option<PathBuf>)> {
    let data = settings::load(&ConfigArgs::default(), "train")?.settings.data;
    Ok(data.map_or((None, None), |d| (d.root, d.store)))
}

/// The store of a dataset that is about to get a version: `--store`, `data.store`, or beside the data.
pub(in crate::verbs) fn of_data(arguments: &StoreArgs, data: &Path) -> Outcome<PathBuf> {
    if let Some(dir) = &arguments.store {
        return Ok(dir.clone());
    }
    match configured()?.1 {
        Some(dir) => Ok(dir),
        None => Ok(VersionStore::beside(data)?),
    }
}

/// A store that is there: `--store`, `data.store`, beside one of the paths that the command names, beside `data.root`,
/// or in this folder.
pub(super) fn open(arguments: &StoreArgs, named: &[&Path]) -> Outcome<VersionStore> {
    if let Some(dir) = &arguments.store {
        return Ok(VersionStore::open(dir)?);
    }
    let (root, store) = configured()?;
    if let Some(dir) = store {
        return Ok(VersionStore::open(&dir)?);
    }
    let here = VersionStore::beside_name(Path::new("data"));
    let places = named.iter().copied().chain(root.as_deref()).map(VersionStore::beside_name).chain([here.clone()]);
    let found = places.into_iter().find(|dir| dir.is_dir());
    Ok(VersionStore::open(&found.unwrap_or(here))?)
}

/// A remote: a folder, or a prefix in S3.
pub(super) fn remote(text: &str) -> Outcome<Box<dyn ObjectStore>> {
    stores::open_store(&ObjectUri::parse(text)?)
}
