//! The local model registry: what a cloud's model package group is.
//!
//! `DIR/GROUP/ledger.jsonl` says everything that happened, `DIR/GROUP/versions/N/` holds `bundle/`,
//! `evaluation.json`, `lineage.json` and attachments. A version's folder gets its name, whole, before the ledger tells
//! of it, both under the ledger's lock.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use kidu_core::{Bundle, ContentHasher, Sha256Hex, bundle::BundleManifest, files, journal::Journal, run::timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    cache::{remove, rename, sync_folder},
    error::{Error, Result},
    ledger::{LedgerEntry, ModelVersion, Registered, Status, Transition, check_transition, entry_text, versions},
    lineage::Lineage,
};

/// A group of a local model registry. Any number of processes may use it at once.
#[derive(Debug)]
pub struct Registry {
    dir: PathBuf,
    group: String,
    ledger: Journal<LedgerEntry>,
}

/// What is to be registered.
#[derive(Clone, Debug)]
pub struct Registration<'a> {
    /// The bundle's folder.
    pub bundle: &'a Path,
    /// Its `evaluation.json`.
    pub evaluation: &'a Path,
    /// Files kept beside the evaluation under their own names (predictions on the test set, for later comparison).
    pub attachments: &'a [PathBuf],
    /// Where it comes from.
    pub lineage: Lineage,
    /// The approval status to begin with.
    pub status: Status,
    /// Who registers it.
    pub actor: &'a str,
}

/// The result of a registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The group.
    pub group: String,
    /// The version's number.
    pub version: u32,
    /// Its status at that moment.
    pub status: Status,
    /// Identity of the model.
    pub model_hash: Sha256Hex,
    /// False if the same model, judged on the same test set, was registered before: it is that version.
    pub new: bool,
}

impl Registry {
    /// The group in the registry at `dir`; nothing is made before the first registration.
    ///
    /// # Errors
    /// [`Error::BadGroup`] for a name that is not a group's, which includes everything that could leave the folder.
    pub fn open(dir: &Path, group: &str) -> Result<Self> {
        if !is_group(group) {
            return Err(Error::BadGroup { group: group.into() });
        }
        let dir = std::path::absolute(dir).map_err(|e| Error::io("find", dir, e))?.join(group);
        Ok(Self { ledger: Journal::new(dir.join("ledger.jsonl")), dir, group: group.into() })
    }

    /// With so much time at most to wait for another process that has the ledger locked; then writing fails with
    /// [`Error::Core`]. Without it writing waits.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { ledger: self.ledger.with_patience(patience), ..self }
    }

    /// The group's name.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The group's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn place(&self, version: u32) -> PathBuf {
        self.dir.join("versions").join(version.to_string())
    }

    fn fold(&self, entries: &[LedgerEntry]) -> Vec<ModelVersion> {
        versions(&self.group, entries, |n| self.place(n))
    }

    /// Registers a bundle as the next version. The same model judged on the same test set is not registered twice:
    /// the existing version is returned, whatever its status.
    ///
    /// # Errors
    /// [`Error::Core`] for a bundle or evaluation that cannot be used or copied, [`Error::BadEntryText`] for the actor.
    pub fn register(&self, what: &Registration<'_>) -> Result<Receipt> {
        let actor = entry_text("actor", what.actor)?;
        let versions_dir = self.dir.join("versions");
        files::create_dir_all(&versions_dir)?;
        // Copied before the lock is taken, so that others wait for a rename only.
        let staging = tempfile::Builder::new()
            .prefix(".tmp-")
            .tempdir_in(&versions_dir)
            .map_err(|e| Error::io("create a folder in", &versions_dir, e))?;
        let staged = staging.path().join("version");
        let registered = stage(what, &staged)?;
        let mut existing = None;
        let added = self.ledger.append_with::<Error>(|entries| {
            let known = self.fold(entries);
            existing = known.iter().find(|v| is_same(&v.registered, &registered)).cloned();
            if existing.is_some() {
                return Ok(Vec::new());
            }
            let version = known.iter().map(|v| v.version).max().unwrap_or(0) + 1;
            // A folder of that number without an entry is what a crash left between the rename and the ledger.
            remove(&self.place(version))?;
            rename(&staged, &self.place(version))?;
            sync_folder(&versions_dir);
            let registered = Some(Box::new(registered.clone()));
            let (time, to) = (timestamp(), what.status);
            Ok(vec![LedgerEntry { time, version, actor, reason: None, from: None, to, registered, deployment: None }])
        })?;
        let found = existing.as_ref().map(|v| (v.version, v.status));
        let made = added.first().map(|e| (e.version, e.to));
        let (version, status) = found.or(made).unwrap_or((0, what.status));
        Ok(Receipt {
            group: self.group.clone(),
            version,
            status,
            model_hash: registered.model_hash,
            new: existing.is_none(),
        })
    }

    /// Approves a version. A rejected one can be approved with a reason.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Transition`] if it is approved already, [`Error::BadEntryText`].
    pub fn approve(&self, version: u32, actor: &str, reason: Option<&str>) -> Result<ModelVersion> {
        self.change(version, Status::Approved, actor, reason)
    }

    /// Rejects a version, or withdraws an approved one.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Transition`] if it is rejected already, [`Error::BadEntryText`].
    pub fn reject(&self, version: u32, actor: &str, reason: &str) -> Result<ModelVersion> {
        self.change(version, Status::Rejected, actor, Some(reason))
    }

    fn change(&self, number: u32, to: Status, actor: &str, reason: Option<&str>) -> Result<ModelVersion> {
        let actor = entry_text("actor", actor)?;
        let reason = reason.map(|r| entry_text("reason", r)).transpose()?;
        if !self.ledger.path().exists() {
            return Err(self.unknown(number, &[]));
        }
        self.ledger.append_with::<Error>(|entries| {
            let version = self.find(number, self.fold(entries))?;
            check_transition(&version, to, reason.as_deref())?;
            if to == Status::Approved {
                // What is approved may be deployed: it must be whole at this moment.
                kept_bundle(&version)?;
            }
            let from = Some(version.status);
            let (time, version) = (timestamp(), number);
            Ok(vec![LedgerEntry { time, version, actor, reason, from, to, registered: None, deployment: None }])
        })?;
        self.show(number)
    }

    /// Records what became of a version's deployment; its status stays. What is recorded already, by keeper and
    /// sequence, is not recorded again: false.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::BadEntryText`], or [`Error::Core`] if the ledger cannot be written.
    pub fn record(&self, number: u32, time: &str, actor: &str, reason: Option<&str>, what: Transition) -> Result<bool> {
        let actor = entry_text("actor", actor)?;
        let reason = reason.map(|r| entry_text("reason", r)).transpose()?;
        if !self.ledger.path().exists() {
            return Err(self.unknown(number, &[]));
        }
        let added = self.ledger.append_with::<Error>(|entries| {
            let known = |e: &LedgerEntry| {
                e.deployment.as_ref().is_some_and(|d| d.keeper == what.keeper && d.sequence == what.sequence)
            };
            if entries.iter().any(known) {
                return Ok(Vec::new());
            }
            let status = self.find(number, self.fold(entries))?.status;
            Ok(vec![LedgerEntry {
                time: time.into(),
                version: number,
                actor,
                reason,
                from: Some(status),
                to: status,
                registered: None,
                deployment: Some(Box::new(what)),
            }])
        })?;
        Ok(!added.is_empty())
    }

    /// All versions, oldest first.
    ///
    /// # Errors
    /// [`Error::Core`] if the ledger cannot be read.
    pub fn list(&self) -> Result<Vec<ModelVersion>> {
        Ok(self.fold(&self.ledger.read()?))
    }

    /// One version with its history and lineage.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`] or [`Error::Core`].
    pub fn show(&self, version: u32) -> Result<ModelVersion> {
        self.find(version, self.list()?)
    }

    fn find(&self, number: u32, versions: Vec<ModelVersion>) -> Result<ModelVersion> {
        let numbers: Vec<u32> = versions.iter().map(|v| v.version).collect();
        versions.into_iter().find(|v| v.version == number).ok_or_else(|| self.unknown(number, &numbers))
    }

    fn unknown(&self, version: u32, numbers: &[u32]) -> Error {
        let known = match (numbers.first(), numbers.last()) {
            (Some(first), Some(last)) if first != last => format!("it has versions {first} to {last}"),
            (Some(only), _) => format!("it has version {only} only"),
            _ => format!("it has none; register a bundle first (the registry is {})", self.dir.display()),
        };
        Error::UnknownVersion { group: self.group.clone(), version, known }
    }

    /// The version to beat: the newest approved one.
    ///
    /// # Errors
    /// [`Error::Core`] if the ledger cannot be read.
    pub fn incumbent(&self) -> Result<Option<ModelVersion>> {
        Ok(self.list()?.into_iter().rfind(|v| v.status == Status::Approved))
    }

    /// The version that a candidate has to beat: the newest approved one that is another model.
    ///
    /// # Errors
    /// [`Error::Core`] if the ledger or the candidate's bundle cannot be read.
    pub fn incumbent_for(&self, candidate: &Path) -> Result<Option<ModelVersion>> {
        let hash = model_hash(Bundle::open(candidate)?.manifest());
        let other = |v: &ModelVersion| v.status == Status::Approved && v.registered.model_hash != hash;
        Ok(self.list()?.into_iter().rfind(other))
    }

    /// The content of the gate's external input [`INCUMBENT`](crate::build_pipeline::INCUMBENT): which version
    /// [`incumbent_for`](Self::incumbent_for) names. Approving the candidate itself does not change it, so that the
    /// gate's answer stays cached.
    ///
    /// # Errors
    /// [`Error::Core`] if the ledger or the candidate's bundle cannot be read.
    pub fn incumbent_fingerprint(&self, candidate: &Path) -> Result<Sha256Hex> {
        let hasher = ContentHasher::new("kidu incumbent 1").field("group", &self.group);
        let hasher = match self.incumbent_for(candidate)? {
            None => hasher,
            Some(v) => hasher
                .field("model", v.registered.model_hash.as_str())
                .field("evaluation", v.registered.evaluation_hash.as_str()),
        };
        Ok(hasher.finish())
    }

    /// Whether a receipt still stands, or as a clause why not. For a register step that is taken from the cache.
    ///
    /// # Errors
    /// [`Error::Core`] if the ledger cannot be read.
    pub fn undone(&self, receipt: &Receipt) -> Result<Option<String>> {
        let Ok(version) = self.show(receipt.version) else {
            self.ledger.read()?;
            return Ok(Some(format!(
                "version {} is no longer in the registry {}",
                receipt.version,
                self.dir.display()
            )));
        };
        if version.registered.model_hash != receipt.model_hash || receipt.group != self.group {
            return Ok(Some(format!("version {} of the registry is another model", receipt.version)));
        }
        let whole = version.bundle_dir.join(Bundle::MANIFEST).is_file();
        Ok((!whole).then(|| format!("the bundle of version {} is no longer in the registry", receipt.version)))
    }

    /// Everything that happened in the group, oldest first.
    ///
    /// # Errors
    /// [`Error::Core`] if the ledger cannot be read.
    pub fn history(&self) -> Result<Vec<LedgerEntry>> {
        Ok(self.ledger.read()?)
    }
}

/// Whether a name can be a group's. The rule of SageMaker's model package groups, `[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`, here
/// with single hyphens.
pub fn is_group(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.split('-').all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// Identity of a model: what its answers depend on.
pub fn model_hash(manifest: &BundleManifest) -> Sha256Hex {
    // Numbers and names only: JSON can hold all of it.
    let what = serde_json::json!({
        "model": manifest.model,
        "pad_type": manifest.pad_type,
        "classes": manifest.classes,
        "image": manifest.image,
        "temperature": manifest.temperature,
        "weights": manifest.files.get(Bundle::WEIGHTS),
    });
    ContentHasher::new("kidu model 1").field("model", what.to_string()).finish()
}

/// The bundle that the registry keeps of a version, if it is still what was registered, to its last byte.
///
/// # Errors
/// [`Error::Core`] for one that is not whole or was edited.
pub fn kept_bundle(version: &ModelVersion) -> Result<Bundle> {
    registered_bundle(version, &version.bundle_dir)
}

/// The bundle of a version in any folder, if it is what was registered, to its last byte.
///
/// # Errors
/// [`Error::Core`] for one that is not whole or another one.
pub fn registered_bundle(version: &ModelVersion, dir: &Path) -> Result<Bundle> {
    let bundle = Bundle::open(dir)?;
    let digest = bundle.digest()?;
    if version.registered.files.get(Bundle::MANIFEST).is_some_and(|recorded| *recorded != digest) {
        let reason = "is not what was registered; register the bundle anew, with an evaluation of it";
        return Err(kidu_core::Error::format(dir.join(Bundle::MANIFEST), reason).into());
    }
    Ok(bundle)
}

/// The digest of the bundle that an evaluation is of; nothing from Kidu that did not record it.
///
/// # Errors
/// [`Error::Core`] for an evaluation that cannot be read.
pub fn judged_bundle(evaluation: &Path) -> Result<Option<String>> {
    Ok(bundle_judged_in(&files::read_json(evaluation, "evaluation")?))
}

/// The same of an evaluation's content.
pub fn bundle_judged_in(evaluation: &serde_json::Value) -> Option<String> {
    evaluation.pointer("/kidu/bundle_sha256").and_then(|v| v.as_str()).map(str::to_owned)
}

/// Refuses an evaluation that is of another bundle, which includes one whose manifest was edited since.
///
/// # Errors
/// [`Error::OtherBundle`]; [`Error::Core`] for what cannot be read.
pub fn check_judged(bundle: &Bundle, evaluation: &Path) -> Result<()> {
    let Some(judged) = judged_bundle(evaluation)? else { return Ok(()) };
    let found = bundle.digest()?.to_string();
    if judged == found {
        return Ok(());
    }
    Err(Error::OtherBundle { evaluation: evaluation.into(), bundle: bundle.dir().into(), judged, found })
}

/// The same model on the same test set. Without a known test set, only the very same evaluation is the same.
fn is_same(one: &Registered, two: &Registered) -> bool {
    let same_test = match (&one.lineage.test_version, &two.lineage.test_version) {
        (Some(a), Some(b)) => a == b,
        _ => one.evaluation_hash == two.evaluation_hash,
    };
    one.model_hash == two.model_hash && same_test
}

/// Copies everything of a version into a folder and verifies the copy.
fn stage(what: &Registration<'_>, staged: &Path) -> Result<Registered> {
    let bundle = Bundle::open(what.bundle)?;
    check_judged(&bundle, what.evaluation)?;
    let names = std::iter::once(Bundle::MANIFEST).chain(bundle.manifest().files.keys().map(String::as_str));
    for name in names {
        copy(&bundle.dir().join(name), &staged.join("bundle").join(name))?;
    }
    let copied = Bundle::open(&staged.join("bundle"))?;
    let evaluation = staged.join("evaluation.json");
    copy(what.evaluation, &evaluation)?;
    for file in what.attachments {
        let name = file.file_name().ok_or_else(|| kidu_core::Error::format(file, "has no file name to keep"))?;
        if staged.join(name).exists() {
            return Err(kidu_core::Error::format(file, "has the name of another file of the version; rename it").into());
        }
        copy(file, &staged.join(name))?;
    }
    files::write_json(&staged.join("lineage.json"), &what.lineage)?;
    let mut files = copied.manifest().files.clone();
    files.insert(Bundle::MANIFEST.into(), copied.digest()?);
    Ok(Registered {
        model: copied.manifest().model.clone(),
        model_hash: model_hash(copied.manifest()),
        evaluation_hash: Sha256Hex::of_file(&evaluation)?,
        files,
        lineage: what.lineage.clone(),
    })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = fs::File::open(from).map_err(|e| Error::io("read", from, e))?;
    Ok(files::write_atomic_with(to, |file| std::io::copy(&mut source, file).map(|_| ()))?)
}
