//! From a path to a frozen dataset: index, check, deduplicate, split, write the manifest.

mod notes;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use kidu_core::{DatasetItem, DatasetManifest, Progress, Split, files};
use rayon::prelude::*;
use serde::Serialize;

use self::notes::{notes_on, notes_on_near, too_few_message};
use crate::{
    archive,
    decoded::Decoded,
    duplicates::{self, DuplicateGroup, Fingerprint},
    error::{DataError, Result, listed},
    image_file::{self, Checked},
    index::{Ignored, Index, Layout},
    leakage::{self, Look, Near, Placed},
    settings::{DataSettings, OnBadImage, OnNearDuplicate},
    split::{self, Candidate},
    versions::{self, DataLineage, FoundFile},
};

/// A frozen dataset and everything that was decided on the way to it.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The manifest, its root ready to use.
    pub manifest: DatasetManifest,
    /// Where the manifest was written.
    pub manifest_path: PathBuf,
    /// What was found and left out; also written beside the manifest as [`Report::FILE`].
    pub report: Report,
}

/// What was found and left out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How the images were found.
    pub layout: Layout,
    /// The splits that the data itself states.
    pub given: Vec<Split>,
    /// Images that cannot be read (`data.on_bad_image=skip`): path and reason.
    pub skipped: Vec<(String, String)>,
    /// Sets of files with equal bytes and what was done about them.
    pub duplicates: Vec<DuplicateGroup>,
    /// Pairs of images that look nearly the same in different given splits; with `data.on_near_duplicate=drop` the one
    /// that is not in test, else not in val, was left out.
    pub near_duplicates: Vec<String>,
    /// What lies in the folders and is no labelled image.
    pub ignored: Ignored,
    /// Sentences for the person who gave the path.
    pub notes: Vec<String>,
    /// Images of each class and split, in the order of the classes.
    pub summary: Vec<SummaryRow>,
}

impl Report {
    /// The file's name.
    pub const FILE: &'static str = "report.json";
}

/// One class in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SummaryRow {
    /// Name of the class.
    pub class: String,
    /// Number of training images.
    pub train: usize,
    /// Number of validation images.
    pub val: usize,
    /// Number of test images.
    pub test: usize,
}

/// Indexes `settings.root` (after extracting it, if it is an archive, into `out_dir/images`), reads and decodes every
/// image once, resolves equal files, splits, and writes `out_dir/manifest.json` and `out_dir/report.json`.
///
/// The same content, settings and seed give the same manifest, on any number of threads.
///
/// # Errors
/// [`DataError`]: settings out of range, a layout that is not understood, images that cannot be read (unless they are
/// to be skipped), equal files where that matters (unless allowed or dropped), classes too small to be split.
pub fn prepare(settings: &DataSettings, seed: u64, out_dir: &Path, progress: &dyn Progress) -> Result<Prepared> {
    prepare_decoded(settings, seed, out_dir, &Decoded::default(), progress)
}

/// As [`prepare()`], with what is known of images that were decoded before: they are read and hashed, not decoded again.
/// The result is the same.
///
/// # Errors
/// As there.
pub fn prepare_decoded(
    settings: &DataSettings,
    seed: u64,
    out_dir: &Path,
    decoded: &Decoded,
    progress: &dyn Progress,
) -> Result<Prepared> {
    settings.validate()?;
    let pinned = versions::pinned_source(settings, progress)?;
    let Some(source) = &pinned else {
        let reason = "is not set; give a folder of class folders, an archive or a CSV list, as in data.root=photos";
        return Err(DataError::Setting { key: "data.root".into(), reason: reason.into() });
    };
    let index = Index::of(&archive::opened(source, out_dir, progress)?)?;
    let checked = check_images(&index, settings, decoded, progress)?;
    let (good, skipped) = part_bad(checked, settings.on_bad_image, index.entries.len())?;
    let mut notes = index.notes.clone();
    let snapshot = snapshot_of(&index, source, &good, &skipped, settings, &mut notes)?;
    let fingerprints: Vec<_> = good.iter().map(|g| g.fingerprint(&index)).collect();
    let groups = duplicates::resolve(&fingerprints, settings.on_duplicate)
        .map_err(|groups| DataError::Duplicates { groups: groups.iter().map(DuplicateGroup::line).collect() })?;
    let mut dropped: Vec<&str> = groups.iter().flat_map(|g| g.dropped.iter().map(String::as_str)).collect();
    dropped.sort_unstable();
    let kept: Vec<Good> =
        good.into_iter().filter(|g| dropped.binary_search(&index.entries[g.entry].path.as_str()).is_err()).collect();
    let (kept, near) = part_near(&index, kept, settings)?;
    let (items, moved) = divide(&index, &kept, &near.groups, settings, seed, source)?;
    notes.extend(notes_on(&skipped, &groups));
    notes.extend(notes_on_near(&near, moved));
    let manifest_path = save(&index, items, seed, snapshot, out_dir)?;
    let manifest = DatasetManifest::load(&manifest_path)?;
    let report = Report {
        layout: index.layout,
        given: Split::ALL.into_iter().filter(|s| index.entries.iter().any(|e| e.given == Some(*s))).collect(),
        skipped,
        duplicates: groups,
        near_duplicates: near.across,
        ignored: index.ignored,
        notes,
        summary: summary(&manifest),
    };
    files::write_json(&out_dir.join(Report::FILE), &report)?;
    report.notes.iter().for_each(|n| progress.note(n));
    Ok(Prepared { manifest, manifest_path, report })
}

/// Images of each class and split, in the order of the classes.
pub fn summary(manifest: &DatasetManifest) -> Vec<SummaryRow> {
    let [train, val, test] = Split::ALL.map(|s| manifest.counts(s));
    let row =
        |(i, class): (usize, &str)| SummaryRow { class: class.into(), train: train[i], val: val[i], test: test[i] };
    manifest.classes.iter().enumerate().map(row).collect()
}

/// Path relative to the dataset's root, and why the file cannot be used.
type Problem = (String, String);

/// An image that can be used.
struct Good {
    /// Position in the index.
    entry: usize,
    file: Checked,
}

impl Good {
    fn fingerprint<'a>(&'a self, index: &'a Index) -> Fingerprint<'a> {
        let entry = &index.entries[self.entry];
        Fingerprint { path: &entry.path, label: entry.label, given: entry.given, sha256: &self.file.sha256 }
    }
}

/// Reads, hashes and decodes every file once, in parallel; the results are in the order of the index.
fn check_images(
    index: &Index,
    settings: &DataSettings,
    decoded: &Decoded,
    progress: &dyn Progress,
) -> Result<Vec<Result<Good, Problem>>> {
    let limits = settings.limits();
    let pool = settings.pool()?;
    let recognise = settings.on_near_duplicate != OnNearDuplicate::Allow;
    progress.begin("check images", "images", Some(index.entries.len() as u64));
    let check = |(entry, item): (usize, &crate::index::IndexEntry)| {
        let result = image_file::check(&index.root.join(&item.path), &limits, recognise, decoded);
        progress.advance(1);
        match result {
            Ok(file) => Ok(Good { entry, file }),
            Err(reason) => Err((item.path.clone(), reason)),
        }
    };
    let results = pool.install(|| index.entries.par_iter().enumerate().map(check).collect());
    progress.end();
    Ok(results)
}

/// Parts good from bad; bad images are an error unless they are to be skipped.
fn part_bad(
    checked: Vec<Result<Good, Problem>>,
    policy: OnBadImage,
    total: usize,
) -> Result<(Vec<Good>, Vec<Problem>)> {
    let (mut good, mut bad) = (Vec::with_capacity(checked.len()), Vec::new());
    for result in checked {
        match result {
            Ok(image) => good.push(image),
            Err(problem) => bad.push(problem),
        }
    }
    if !bad.is_empty() && policy == OnBadImage::Error {
        return Err(DataError::BadImages { bad, total });
    }
    Ok((good, bad))
}

/// Splits what is left.
///
/// Near duplicates that were divided are brought together again; how many images that moved is told too.
fn divide(
    index: &Index,
    kept: &[Good],
    near: &[Vec<usize>],
    settings: &DataSettings,
    seed: u64,
    source: &Path,
) -> Result<(Vec<DatasetItem>, usize)> {
    if kept.is_empty() {
        let reason = format!("all {} were unreadable or equal to others", index.entries.len());
        return Err(DataError::NothingLeft { path: source.into(), reason });
    }
    check_every_class_is_left(index, kept, source)?;
    let candidates: Vec<_> = kept
        .iter()
        .map(|g| &index.entries[g.entry])
        .map(|e| Candidate { path: &e.path, class: &index.classes[e.label], given: e.given })
        .collect();
    let splits = split::assign(&candidates, settings.train_val_test_split, seed)
        .map_err(|too_few| DataError::Classes { path: source.into(), reason: too_few_message(&too_few) })?;
    let place = |(good, split): (&Good, Split)| {
        let entry = &index.entries[good.entry];
        Placed { label: entry.label, given: entry.given, split }
    };
    let mut placed: Vec<Placed> = kept.iter().zip(splits).map(place).collect();
    let moved = leakage::keep_together(near, &mut placed);
    let item = |(good, placed): (&Good, Placed)| {
        let path = index.entries[good.entry].path.clone();
        let Checked { sha256, bytes, .. } = &good.file;
        DatasetItem { path, label: placed.label, split: placed.split, sha256: sha256.clone(), bytes: *bytes }
    };
    Ok((kept.iter().zip(placed).map(item).collect(), moved))
}

/// Leaves out near duplicates across given splits, as the settings say.
fn part_near(index: &Index, mut kept: Vec<Good>, settings: &DataSettings) -> Result<(Vec<Good>, Near)> {
    let find = |kept: &[Good]| {
        // Equal files are the business of data.on_duplicate: the first of them stands for all.
        let mut seen = HashSet::new();
        let first: Vec<bool> = kept.iter().map(|good| seen.insert(&good.file.sha256)).collect();
        let looks: Vec<Look<'_>> = kept
            .iter()
            .zip(first)
            .map(|(good, first)| {
                let entry = &index.entries[good.entry];
                let thumbnail = good.file.thumbnail.as_ref().filter(|_| first);
                Look { path: &entry.path, given: entry.given, thumbnail }
            })
            .collect();
        leakage::find(&looks, settings.on_near_duplicate, &settings.check)
            .map_err(|pairs| DataError::NearDuplicates { pairs })
    };
    let mut near = settings.pool()?.install(|| find(&kept))?;
    if near.dropped.is_empty() {
        return Ok((kept, near));
    }
    // Groups name images by their places, which change with what goes.
    let mut new_places = vec![None; kept.len()];
    let left = (0..kept.len()).filter(|i| near.dropped.binary_search(i).is_err());
    left.enumerate().for_each(|(new, old)| new_places[old] = Some(new));
    near.groups.iter_mut().for_each(|g| *g = g.iter().filter_map(|i| new_places[*i]).collect());
    let mut place = 0;
    kept.retain(|_| {
        place += 1;
        new_places[place - 1].is_some()
    });
    Ok((kept, near))
}

/// A class must not vanish because all its images were skipped or dropped.
fn check_every_class_is_left(index: &Index, kept: &[Good], source: &Path) -> Result<()> {
    let mut trainable = vec![false; index.classes.len()];
    for entry in kept.iter().map(|g| &index.entries[g.entry]) {
        trainable[entry.label] |= matches!(entry.given, None | Some(Split::Train));
    }
    let gone: Vec<String> =
        index.classes.iter().zip(&trainable).filter(|(_, left)| !**left).map(|(c, _)| format!("'{c}'")).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let reason = format!(
        "no image to train on is left of: {}; all of theirs were unreadable or equal to others",
        listed(&gone, ", ")
    );
    Err(DataError::Classes { path: source.into(), reason })
}

/// The data version that the images are. Where a version was asked for they must be that one.
fn snapshot_of(
    index: &Index,
    source: &Path,
    good: &[Good],
    skipped: &[Problem],
    settings: &DataSettings,
    notes: &mut Vec<String>,
) -> Result<Option<String>> {
    let path = |g: &Good| index.entries[g.entry].path.as_str();
    let mut found: Vec<_> = good.iter().map(|g| FoundFile { path: path(g), sha256: Some(&g.file.sha256) }).collect();
    found.extend(skipped.iter().map(|(path, _)| FoundFile { path, sha256: None }));
    // A list says itself what belongs to it.
    let list = (index.layout == Layout::Csv).then(|| kidu_core::Sha256Hex::of_file(source)).transpose()?;
    let name = source.file_name().unwrap_or_default().to_string_lossy();
    found.extend(list.as_ref().map(|hash| FoundFile { path: &name, sha256: Some(hash) }));
    let total = found.len();
    let lineage = match versions::lineage_of(&index.root, &found, list.is_none(), settings.store.as_deref()) {
        Ok(lineage) => lineage,
        // Whoever did not ask for a version can do without.
        Err(e) if settings.version.is_none() => {
            notes.push(format!("the data version is not known: {e}"));
            return Ok(None);
        }
        Err(e) => return Err(e.into()),
    };
    match lineage {
        DataLineage::Version(id) => Ok(Some(id.to_string())),
        DataLineage::Changed { version, differing } if settings.version.is_some() => Err(DataError::NotTheVersion {
            version: version.short().into(),
            path: index.root.clone(),
            differing,
            total,
        }),
        DataLineage::Changed { version, differing } => {
            notes.push(format!(
                "{differing} images are not as in data version {}, so that this dataset names none; take a snapshot \
                 to name it",
                version.short()
            ));
            Ok(None)
        }
        DataLineage::None => Ok(None),
    }
}

/// Writes the manifest. Its root is relative where the images lie below it, so that the folder can be moved.
fn save(
    index: &Index,
    items: Vec<DatasetItem>,
    seed: u64,
    snapshot: Option<String>,
    out_dir: &Path,
) -> Result<PathBuf> {
    files::create_dir_all(out_dir)?;
    let base = out_dir.canonicalize().map_err(|e| DataError::io("read", out_dir, e))?;
    let root = match index.root.strip_prefix(&base) {
        Ok(inside) if inside.as_os_str().is_empty() => PathBuf::from("."),
        Ok(inside) => inside.to_path_buf(),
        Err(_) => index.root.clone(),
    };
    let path = out_dir.join(DatasetManifest::FILE);
    let manifest = DatasetManifest::new(index.classes.clone(), root, seed, items);
    DatasetManifest { snapshot, ..manifest }.save(&path)?;
    Ok(path)
}
