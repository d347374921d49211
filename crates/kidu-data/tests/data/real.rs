//! The real scenes, where they are.

use std::{env, path::PathBuf, sync::Arc};

use kidu_core::{Filter, ImageSpec, Split, progress::Silent};
use kidu_data::{DataSettings, Loader, LoaderOptions, index::Layout, prepare};

use crate::support::dir;

pub(crate) fn scenes() -> Option<PathBuf> {
    let shared = env::var_os("KIDU_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = shared.join("data/intel-scene");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(env::var("CI").as_deref() != Ok("true"), "{} is missing; set KIDU_SHARED", folder.display());
    println!("skipped: there is no {}; set KIDU_SHARED to the folder that holds data/intel-scene", folder.display());
    None
}

#[test]
fn the_intel_scenes_are_prepared_and_loaded() {
    let Some(root) = scenes() else { return };
    let out = dir();
    let settings = DataSettings { root: Some(root), num_workers: 2, ..DataSettings::default() };
    let prepared = prepare(&settings, 42, out.path(), &Silent).unwrap();
    let names = ["buildings", "forest", "glacier", "mountain", "sea", "street"];
    assert_eq!(prepared.manifest.classes.as_slice(), names);
    assert_eq!(prepared.report.layout, Layout::SplitFolders);
    assert_eq!(prepared.report.ignored.folders, ["pred"]);
    for row in &prepared.report.summary {
        // A ninth of 400: the test split is given, so val's share counts against train's alone.
        assert_eq!((row.train, row.val, row.test), (356, 44, 150), "{}", row.class);
    }
    assert!(prepared.report.skipped.is_empty() && prepared.report.duplicates.is_empty());

    let spec = ImageSpec::imagenet(64, Filter::Bicubic);
    let options = LoaderOptions::evaluation(&settings, spec, 42);
    let loader = Loader::new(Arc::new(prepared.manifest), Split::Test, options).unwrap();
    let loaded: usize = loader.epoch(0, 0).map(|b| b.unwrap().len).sum();
    assert_eq!((loaded, loader.num_batches()), (900, 29));
}
