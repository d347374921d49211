//! The dataset of a verb: a manifest made before, or one made now from `data.root`.

use std::{path::Path, sync::Arc};

use kidu_core::{DatasetManifest, Progress, Split};
use kidu_data::{DataSettings, SummaryRow};
use kidu_pipeline::text;

use crate::{Outcome, stores};

/// Loads `manifest`, or prepares `data.root` into `dir`.
pub(super) fn open(
    manifest: Option<&Path>,
    settings: &DataSettings,
    seed: u64,
    dir: &Path,
    progress: &dyn Progress,
) -> Outcome<Arc<DatasetManifest>> {
    let manifest = match manifest {
        Some(path) => DatasetManifest::load(path)?,
        None => kidu_data::prepare(&*stores::local_data(settings, progress)?, seed, dir, progress)?.manifest,
    };
    tell(&manifest, progress);
    Ok(Arc::new(manifest))
}

/// One line on what a dataset holds.
pub(super) fn tell(manifest: &DatasetManifest, progress: &dyn Progress) {
    let counts = Split::ALL.map(|s| format!("{} {s}", manifest.items_of(s).count())).join(", ");
    let snapshot =
        manifest.snapshot.as_ref().map(|id| format!(" of data version {}", id.chars().take(12).collect::<String>()));
    let (version, classes) = (&manifest.version, manifest.classes.len());
    progress.note(&format!("dataset {version}{}: {classes} classes, {counts}", snapshot.unwrap_or_default()));
}

/// Images of each class and split, as a table.
pub(super) fn table(rows: &[SummaryRow]) -> String {
    let cells = |r: &SummaryRow| {
        let numbers = [r.train, r.val, r.test].map(|n| n.to_string());
        std::iter::once(r.class.clone()).chain(numbers).collect()
    };
    text::table(&["class", "train", "val", "test"], &rows.iter().map(cells).collect::<Vec<Vec<String>>>())
}
