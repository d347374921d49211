//! A version into a remote of DVC.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
};

use kidu_core::{
    Progress, Sha256Hex, files,
    store::{ObjectStore, PutOptions},
};
use rayon::prelude::*;

use super::{
    super::{
        error::{Result, VersionError},
        lock,
        store::VersionStore,
        version::{Version, VersionFile},
    },
    file::DvcFile,
    layout::{dir_bytes, key_of, md5_of, md5_of_bytes},
};

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// What `dvc pull` needs.
    pub file: DvcFile,
    /// Different contents of the version, its list included.
    pub objects: usize,
    /// Those that the remote did not have.
    pub uploaded: usize,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Writes a version's contents and its list into a remote, `jobs` at a time; only what the remote does not have. The
/// list comes last: a remote that has it has everything. `output` is the path that DVC restores to, relative to the
/// `.dvc` file. Empty folders are not part of it, since DVC has none.
///
/// # Errors
/// [`VersionError::Object`] for a content that the store lacks, [`VersionError::Remote`]; what was written by then
/// stays, and the next push goes on from there.
pub fn push(
    store: &VersionStore,
    version: &Version,
    output: &str,
    remote: &dyn ObjectStore,
    jobs: usize,
    progress: &dyn Progress,
) -> Result<Pushed> {
    let _held = lock::shared(store.dir(), progress)?;
    store.check_complete(version)?;
    let hashes = Hashes::of(store, version, progress)?;
    let list = dir_bytes(version.files.iter().map(|f| (f.path.as_str(), hashes.md5(f))));
    let list_hash = format!("{}.dir", md5_of_bytes(&list));
    let contents: BTreeMap<&str, &VersionFile> = version.files.iter().map(|f| (hashes.md5(f), f)).collect();
    let pool = super::pool(jobs)?;
    let (uploaded, bytes) = pool.install(|| -> Result<_> {
        let present = present(remote, contents.keys().copied())?;
        let missing: Vec<_> = contents.iter().filter(|(md5, f)| present.get(&key_of(md5)) != Some(&f.bytes)).collect();
        progress.begin("push", "files", Some(missing.len() as u64));
        let sent = missing.par_iter().try_for_each(|(md5, file)| {
            let options = PutOptions { sha256: Some(&file.sha256), ..PutOptions::default() };
            remote.put_file(&key_of(md5), &store.objects.path(&file.sha256), &options)?;
            progress.advance(1);
            Ok::<_, VersionError>(())
        });
        progress.end();
        sent?;
        Ok((missing.len(), missing.iter().map(|(_, f)| f.bytes).sum::<u64>()))
    })?;
    let list_key = key_of(&list_hash);
    let has_list = remote.head(&list_key)?.is_some_and(|info| info.size == list.len() as u64);
    if !has_list {
        remote.put_bytes(&list_key, &list, &PutOptions::default())?;
    }
    let file = DvcFile {
        md5: list_hash,
        size: Some(version.statistics.bytes),
        nfiles: Some(version.statistics.files),
        path: output.into(),
    };
    let more = usize::from(!has_list);
    Ok(Pushed {
        file,
        objects: contents.len() + 1,
        uploaded: uploaded + more,
        bytes: bytes + more as u64 * list.len() as u64,
    })
}

/// Sizes by key of what the remote has, in the shards that matter; they are listed in parallel.
fn present<'a>(remote: &dyn ObjectStore, wanted: impl Iterator<Item = &'a str>) -> Result<HashMap<String, u64>> {
    let shards: BTreeSet<String> = wanted.filter_map(|md5| md5.get(..2)).map(|s| format!("files/md5/{s}/")).collect();
    let list = |shard: &String| -> Result<Vec<(String, u64)>> {
        Ok(remote.list_all(shard)?.into_iter().map(|e| (e.key, e.info.size)).collect())
    };
    let listed: Vec<_> = shards.par_iter().map(list).collect::<Result<_>>()?;
    Ok(listed.into_iter().flatten().collect())
}

/// MD5 of each content. The store remembers them, since a content never changes.
struct Hashes(HashMap<String, String>);

impl Hashes {
    fn of(store: &VersionStore, version: &Version, progress: &dyn Progress) -> Result<Self> {
        let path = Self::file(store);
        let mut known: HashMap<String, String> = if path.is_file() {
            files::read_json(&path, "cache of hashes").unwrap_or_default()
        } else {
            HashMap::new()
        };
        known.retain(|_, md5| super::layout::is_md5(md5));
        let missing: BTreeSet<&Sha256Hex> =
            version.files.iter().map(|f| &f.sha256).filter(|h| !known.contains_key(h.as_str())).collect();
        let missing: Vec<_> = missing.into_iter().collect();
        progress.begin("hash", "files", Some(missing.len() as u64));
        let found: Result<Vec<(String, String)>> = missing
            .par_iter()
            .map(|hash| {
                let md5 = md5_of(&store.objects.path(hash))?;
                progress.advance(1);
                Ok((hash.to_string(), md5))
            })
            .collect();
        progress.end();
        known.extend(found?);
        if !missing.is_empty() {
            // Only saves time, and the store may be read-only.
            let _ = files::write_atomic(&path, &serde_json::to_vec(&known).unwrap_or_default());
        }
        Ok(Self(known))
    }

    fn file(store: &VersionStore) -> PathBuf {
        store.dir().join("index").join("md5.json")
    }

    fn md5(&self, file: &VersionFile) -> &str {
        self.0.get(file.sha256.as_str()).map_or("", String::as_str)
    }
}
