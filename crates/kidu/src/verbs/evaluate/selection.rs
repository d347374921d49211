//! Which images a bundle is judged on, and why: figures mean something only for images that it has not learned from.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use kidu_core::{Bundle, ClassNames, DatasetManifest, Progress, Sha256Hex, Split};
use kidu_data::{DataError, DataSettings, Prepared};

use super::map_classes;
use crate::{
    Outcome,
    cli::EvaluateSplit,
    failure::Failure,
    settings::{Settings, need},
    stores,
    verbs::dataset,
};

/// The images to judge on.
pub(in crate::verbs) struct Selection {
    /// Holds them in the splits of `which`, and perhaps others in other splits.
    pub(in crate::verbs) manifest: Arc<DatasetManifest>,
    pub(in crate::verbs) which: EvaluateSplit,
    /// Why these, as a clause.
    pub(in crate::verbs) reason: String,
    /// Content version of the whole dataset.
    pub(in crate::verbs) dataset_version: String,
}

/// What the command line says of the images.
pub(in crate::verbs) struct Asked<'a> {
    pub(in crate::verbs) split: Option<EvaluateSplit>,
    /// A split made before, in place of `data.root`.
    pub(in crate::verbs) manifest: Option<&'a Path>,
}

/// The model that is judged.
pub(in crate::verbs) struct Judge<'a> {
    pub(in crate::verbs) classes: &'a ClassNames,
    /// None for a model behind an endpoint.
    pub(in crate::verbs) bundle: Option<&'a Bundle>,
}

impl Selection {
    fn new(manifest: DatasetManifest, which: EvaluateSplit, reason: impl Into<String>) -> Self {
        let dataset_version = manifest.version.clone();
        Self { manifest: Arc::new(manifest), which, reason: reason.into(), dataset_version }
    }

    /// Content version of the images alone.
    pub(super) fn version(&self) -> String {
        match self.which.splits().as_slice() {
            [split] => self.manifest.split_version(*split),
            _ => self.manifest.version.clone(),
        }
    }

    /// What is judged and why, for people.
    pub(in crate::verbs) fn sentence(&self) -> String {
        let images: usize = self.which.splits().iter().map(|s| self.manifest.items_of(*s).count()).sum();
        let what = match self.which {
            EvaluateSplit::All => "all splits".to_string(),
            which => format!("the {} split", which.name()),
        };
        format!("judging {what}, {images} images: {}", self.reason)
    }
}

/// Opens the dataset and chooses. `dir` gets the manifest when one is made.
pub(in crate::verbs) fn select(
    asked: &Asked<'_>,
    judge: &Judge<'_>,
    settings: &Settings,
    dir: &Path,
    progress: &dyn Progress,
) -> Outcome<Selection> {
    let (manifest, own_test) = match asked.manifest {
        Some(path) => {
            (DatasetManifest::load(path)?, Some("a dataset that was split before is judged on its test split"))
        }
        None => {
            let prepared = prepare(asked.split, need(&settings.data, "data")?, settings.seed, dir, progress)?;
            let own_test = prepared.report.given.contains(&Split::Test);
            (prepared.manifest, own_test.then_some("the dataset has a test split of its own"))
        }
    };
    dataset::tell(&manifest, progress);
    map_classes(&manifest.classes, judge.classes)?;
    if let Some(which) = asked.split {
        return Ok(Selection::new(manifest, which, format!("as --split {} says", which.name())));
    }
    match own_test {
        Some(reason) => Ok(Selection::new(manifest, EvaluateSplit::Test, reason)),
        None => match judge.bundle {
            Some(bundle) => unseen(manifest, bundle),
            None => {
                let reason =
                    "the dataset has no test split of its own, and an endpoint does not tell what it learned from";
                Ok(Selection::new(manifest, EvaluateSplit::All, reason))
            }
        },
    }
}

/// A dataset that is judged whole need not be large enough to be split.
fn prepare(
    split: Option<EvaluateSplit>,
    data: &DataSettings,
    seed: u64,
    dir: &Path,
    progress: &dyn Progress,
) -> Outcome<Prepared> {
    let whole = matches!(split, None | Some(EvaluateSplit::All));
    let data = stores::local_data(data, progress)?;
    match kidu_data::prepare(&data, seed, dir, progress) {
        Err(DataError::Classes { .. }) if whole => {
            let data = DataSettings { train_val_test_split: [1.0, 0.0, 0.0], ..data.into_owned() };
            Ok(kidu_data::prepare(&data, seed, dir, progress)?)
        }
        other => Ok(other?),
    }
}

/// Of a dataset that brings no test split, what the bundle has not seen in training.
fn unseen(manifest: DatasetManifest, bundle: &Bundle) -> Outcome<Selection> {
    let trained_on = &bundle.manifest().dataset_version;
    if manifest.version == *trained_on {
        if manifest.items_of(Split::Test).next().is_none() {
            return Err(nothing_unseen(manifest.items.len()));
        }
        let reason = "the dataset has no test split of its own, and the bundle was trained on this very division of \
                      it; --split all judges the images of training too";
        return Ok(Selection::new(manifest, EvaluateSplit::Test, reason));
    }
    let why = format!("the dataset has no test split of its own, and the bundle was trained on another, {trained_on}");
    let seen = seen(bundle);
    let all = manifest.items.len();
    let items: Vec<_> = manifest.items.iter().filter(|i| !seen.contains(&i.sha256)).cloned().collect();
    match all - items.len() {
        0 => Ok(Selection::new(manifest, EvaluateSplit::All, why)),
        left_out if left_out == all => Err(nothing_unseen(all)),
        left_out => {
            let reason = format!("{why}; {left_out} images are left out because they took part in that training");
            let DatasetManifest { version, classes, root, seed, .. } = manifest;
            let rest = DatasetManifest::new(classes, root, seed, items);
            Ok(Selection { dataset_version: version, ..Selection::new(rest, EvaluateSplit::All, reason) })
        }
    }
}

/// The images that took part in the bundle's training, as far as its run folder still tells.
fn seen(bundle: &Bundle) -> BTreeSet<Sha256Hex> {
    let beside = bundle.dir().join("../data").join(DatasetManifest::FILE);
    let manifest = DatasetManifest::load(&beside).ok();
    let of_bundle = manifest.filter(|m| m.version == bundle.manifest().dataset_version);
    let items = of_bundle.into_iter().flat_map(|m| m.items);
    items.filter(|i| i.split != Split::Test).map(|i| i.sha256).collect()
}

fn nothing_unseen(images: usize) -> Failure {
    Failure::Failed(anyhow::anyhow!(
        "all {images} images took part in the bundle's training: they do not tell how good it is on others. Give images \
         that it has not seen, or judge these all the same with --split all"
    ))
}
