//! The bytes of the annotated images: found or fetched, checked, set aside under their hash.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use kidu_core::{Progress, Sha256Hex, files};
use kidu_fetch::{Address, BlockingFetcher, FetchError, FetchOptions};
use kidu_image::{Format, Limits, decode, probe};
use rayon::prelude::*;

use crate::{
    error::Result,
    locate::{Folders, Located},
    report::Unavailable,
};

/// Images are checked so many at a time...
const BATCH: usize = 64;
/// ...or so many bytes of them.
const BATCH_BYTES: usize = 64 << 20;

/// An image that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Obtained {
    pub(crate) sha256: Sha256Hex,
    /// By its content: `jpg`, `png` or `webp`. `None` for an image that is in the dataset already.
    pub(crate) extension: Option<&'static str>,
}

/// An image that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// As the source has it.
    pub(crate) address: String,
    pub(crate) task: Option<u64>,
    /// The folder of the source, in which a relative path begins.
    pub(crate) base: Option<PathBuf>,
}

/// Where images come from and what they must be.
pub(crate) struct Supply<'a> {
    pub(crate) folders: &'a [PathBuf],
    pub(crate) fetch: &'a FetchOptions,
    pub(crate) limits: &'a Limits,
    /// Images of the dataset, which were checked when they came in.
    pub(crate) present: &'a HashSet<&'a Sha256Hex>,
    /// Where new images are set aside; `None` to only look at them.
    pub(crate) staging: Option<&'a Path>,
}

/// What became of each address.
pub(crate) type Outcome = BTreeMap<String, Result<Obtained, Unavailable>>;

/// The file of a new image among those set aside.
pub(crate) fn staged(staging: &Path, sha256: &Sha256Hex) -> PathBuf {
    staging.join(sha256.as_str())
}

impl Supply<'_> {
    /// Gets and checks all that is wanted.
    pub(crate) fn obtain(&self, wanted: Vec<Wanted>, progress: &dyn Progress) -> Result<Outcome> {
        let folders = Folders::index(self.folders)?;
        let (mut local, mut remote, mut outcome) = (Vec::new(), Vec::new(), Outcome::new());
        for one in wanted {
            match self.place(&one, &folders) {
                Ok(Place::File(path)) => local.push((one.address, path)),
                Ok(Place::Fetch(address)) => remote.push((one.address, address, one.task)),
                Err(unavailable) => {
                    outcome.insert(one.address, Err(unavailable));
                }
            }
        }
        progress.begin("get images", "images", Some((local.len() + remote.len()) as u64));
        let done =
            self.read_files(local, &mut outcome, progress).and_then(|()| self.fetch(remote, &mut outcome, progress));
        progress.end();
        done.map(|()| outcome)
    }

    fn place(&self, wanted: &Wanted, folders: &Folders) -> Result<Place, Unavailable> {
        let no = |code: &str, reason: String| {
            Err(Unavailable { address: shown(&wanted.address), code: code.into(), reason })
        };
        let address = match Address::parse(&wanted.address) {
            Ok(address) => address,
            Err(e) => return no(e.code(), e.to_string()),
        };
        match folders.locate(&address) {
            Located::File(path) => return Ok(Place::File(path)),
            Located::Ambiguous(of) => {
                return no("ambiguous", format!("several files fit: {}", of.join(", ")));
            }
            Located::Missing => {}
        }
        match &address {
            Address::Local(path) if path.is_relative() => {
                // Beside its list first, then in the folders that may be read.
                let beside = wanted.base.as_ref().map(|b| b.join(path)).filter(|p| inside(p, wanted.base.as_deref()));
                match beside {
                    Some(file) => Ok(Place::File(file)),
                    None if self.fetch.local_roots.is_empty() => {
                        let place = if self.folders.is_empty() {
                            "beside the annotations; give the images' folder by --images".to_string()
                        } else {
                            "the folders given by --images".to_string()
                        };
                        let error = FetchError::NotFound { address: address.to_string(), place };
                        no(error.code(), error.to_string())
                    }
                    None => Ok(Place::Fetch(address)),
                }
            }
            _ => Ok(Place::Fetch(address)),
        }
    }

    fn read_files(&self, files: Vec<(String, PathBuf)>, outcome: &mut Outcome, progress: &dyn Progress) -> Result<()> {
        let check = |(address, path): (String, PathBuf)| {
            let checked = match read_bounded(&path, self.limits) {
                Ok(bytes) => self.check(&bytes)?,
                Err((code, reason)) => Err((code, reason)),
            };
            progress.advance(1);
            let named = checked.map_err(|(code, reason)| Unavailable {
                address: shown(&address),
                code,
                reason: format!("{} {reason}", path.display()),
            });
            Ok((address, named))
        };
        let checked: Result<Vec<_>> = files.into_par_iter().map(check).collect();
        outcome.extend(checked?);
        Ok(())
    }

    fn fetch(
        &self,
        requests: Vec<(String, Address, Option<u64>)>,
        outcome: &mut Outcome,
        progress: &dyn Progress,
    ) -> Result<()> {
        if requests.is_empty() {
            return Ok(());
        }
        let limit = (self.limits.max_bytes as u64).min(self.fetch.max_bytes);
        let fetcher = BlockingFetcher::new(FetchOptions { max_bytes: limit, ..self.fetch.clone() })?;
        let (mut batch, mut size, mut failed) = (Vec::new(), 0, None);
        let mut flush = |batch: &mut Vec<(String, Vec<u8>)>| {
            let checked: Result<Vec<_>> =
                batch.par_drain(..).map(|(address, bytes)| Ok((address, self.check(&bytes)?))).collect();
            match checked {
                Ok(checked) => outcome.extend(checked.into_iter().map(|(address, result)| {
                    let named = result.map_err(|(code, reason)| Unavailable { address: shown(&address), code, reason });
                    (address, named)
                })),
                Err(e) => failed = Some(e),
            }
        };
        let mut refused = Vec::new();
        fetcher.fetch_each(requests, |address, result| {
            progress.advance(1);
            match result {
                Ok(bytes) => {
                    size += bytes.len();
                    batch.push((address, bytes));
                    if batch.len() >= BATCH || size >= BATCH_BYTES {
                        flush(&mut batch);
                        size = 0;
                    }
                }
                Err(e) => refused.push((address, e)),
            }
        });
        flush(&mut batch);
        for (address, e) in refused {
            let (code, reason) = (e.code().to_string(), e.to_string());
            outcome.insert(address.clone(), Err(Unavailable { address: shown(&address), code, reason }));
        }
        failed.map_or(Ok(()), Err)
    }

    /// Decodes an image as training will, and sets it aside. The outer error is one of the disk.
    fn check(&self, bytes: &[u8]) -> Result<Result<Obtained, (String, String)>> {
        let sha256 = Sha256Hex::of_bytes(bytes);
        if self.present.contains(&sha256) {
            return Ok(Ok(Obtained { sha256, extension: None }));
        }
        let info = probe(bytes, self.limits).and_then(|info| decode(bytes, self.limits).map(|_| info));
        let format = match info {
            Ok(info) => info.format,
            Err(e) => return Ok(Err((e.code().into(), e.explain(|l| format!("--{}", l.replace('_', "-")))))),
        };
        if let Some(staging) = self.staging {
            let file = staged(staging, &sha256);
            if !file.exists() {
                files::write_atomic(&file, bytes)?;
            }
        }
        let extension = match format {
            Format::Jpeg => "jpg",
            Format::Png => "png",
            Format::WebP => "webp",
        };
        Ok(Ok(Obtained { sha256, extension: Some(extension) }))
    }
}

enum Place {
    File(PathBuf),
    Fetch(Address),
}

/// Whether a path leads to a file below its base, links resolved.
fn inside(path: &Path, base: Option<&Path>) -> bool {
    let Some(base) = base.and_then(|b| b.canonicalize().ok()) else { return false };
    path.canonicalize().is_ok_and(|p| p.starts_with(base) && p.is_file())
}

fn read_bounded(path: &Path, limits: &Limits) -> Result<Vec<u8>, (String, String)> {
    let unreadable = |e: std::io::Error| ("unreadable_file".to_string(), format!("cannot be read: {e}"));
    let metadata = path.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(("unreadable_file".into(), "is not a plain file".into()));
    }
    if metadata.len() > limits.max_bytes as u64 {
        let reason = format!("has {} bytes, more than --max-bytes={}", metadata.len(), limits.max_bytes);
        return Err(("too_many_bytes".into(), reason));
    }
    fs::read(path).map_err(unreadable)
}

/// An address for reports: not the content of a data URI.
pub(crate) fn shown(address: &str) -> String {
    crate::provenance::recorded(address)
}
