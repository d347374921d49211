//! Batches: the same whatever the number of threads.

use std::{fs, sync::Arc};

use kidu_core::{DatasetManifest, Split, progress::Silent};
use kidu_data::{Batch, BatchLimit, DataError, Loader, LoaderOptions, OnBadImage, load_one, prepare};
use kidu_image::{
    AugmentSettings, Layout, Limits, Preprocessor,
    augment::{AugmentationPipeline, Transform},
};
use tempfile::TempDir;

use crate::support::{dir, fill, settings, spec};

fn dataset() -> (TempDir, Arc<DatasetManifest>) {
    let d = dir();
    fill(d.path(), &[("data/a", 20), ("data/b", 17)]);
    let root = d.path().join("data");
    let manifest = prepare(&settings(&root), 3, &d.path().join("out"), &Silent).unwrap().manifest;
    (d, Arc::new(manifest))
}

fn training() -> LoaderOptions {
    let settings = kidu_data::DataSettings { batch_size: 4, num_workers: 2, ..Default::default() };
    LoaderOptions::training(&settings, spec(), 11)
}

fn evaluation() -> LoaderOptions {
    let settings = kidu_data::DataSettings { batch_size: 4, num_workers: 2, ..Default::default() };
    LoaderOptions::evaluation(&settings, spec(), 11)
}

fn batches(manifest: &Arc<DatasetManifest>, options: LoaderOptions, epoch: u64, skip: usize) -> Vec<Batch> {
    let loader = Loader::new(Arc::clone(manifest), Split::Train, options).unwrap();
    loader.epoch(epoch, skip).collect::<Result<_, _>>().unwrap()
}

/// Pipeline 1 and every transform of the zoo.
#[test]
fn pipelines_of_many_transforms_do_not_depend_on_threads() {
    let (_d, manifest) = dataset();
    let zoo = Transform::NAMES.iter().filter_map(|name| Transform::by_name(name));
    let zoo: Vec<Transform> = zoo.filter(|t| !matches!(t, Transform::OneOf(_) | Transform::Sequential(_))).collect();
    for transforms in [None, Some(zoo)] {
        let settings =
            AugmentSettings { pipeline: AugmentationPipeline::Albumentations, transforms, ..Default::default() };
        let options = |workers, seed, cache_bytes| LoaderOptions {
            augment: Some(settings.clone()),
            workers,
            seed,
            cache_bytes,
            ..training()
        };
        let one = batches(&manifest, options(1, 11, 0), 2, 0);
        for (workers, cache) in [(2, 0), (5, 0), (13, 0), (2, 1 << 30)] {
            assert_eq!(batches(&manifest, options(workers, 11, cache), 2, 0), one);
        }
        assert_eq!(batches(&manifest, options(3, 11, 0), 2, 4), one[4..]);
        assert_ne!(batches(&manifest, options(1, 12, 0), 2, 0), one);
        assert_ne!(batches(&manifest, options(1, 11, 0), 3, 0), one);
    }
}

#[test]
fn threads_do_not_matter_and_neither_does_the_cache() {
    let (_d, manifest) = dataset();
    let one = batches(&manifest, LoaderOptions { workers: 1, ..training() }, 2, 0);
    assert_eq!(one.len(), 30usize.div_ceil(4));
    for workers in [2, 4, 13] {
        assert_eq!(batches(&manifest, LoaderOptions { workers, ..training() }, 2, 0), one);
    }
    for cache_bytes in [5000, 1 << 30] {
        let loader =
            Loader::new(Arc::clone(&manifest), Split::Train, LoaderOptions { cache_bytes, ..training() }).unwrap();
        for _ in 0..2 {
            let again: Vec<Batch> = loader.epoch(2, 0).map(|b| b.unwrap()).collect();
            assert_eq!(again, one);
        }
    }
    assert_ne!(batches(&manifest, training(), 3, 0), one);
}

#[test]
fn skipping_gives_the_rest_of_the_full_epoch() {
    let (_d, manifest) = dataset();
    let full = batches(&manifest, training(), 1, 0);
    for skip in [1, 5, full.len(), full.len() + 3] {
        assert_eq!(batches(&manifest, training(), 1, skip)[..], full[skip.min(full.len())..]);
    }
    let numbers: Vec<_> = full.iter().map(|b| b.number).collect();
    assert_eq!(numbers, (0..full.len()).collect::<Vec<_>>());
}

#[test]
fn values_are_those_of_the_preprocessor_and_every_image_comes_once() {
    let (_d, manifest) = dataset();
    let items: Vec<_> = manifest.items_of(Split::Train).collect();
    let preprocessor = Preprocessor::new(&spec());
    let values = spec().values();
    let mut seen = Vec::new();
    for batch in batches(&manifest, LoaderOptions { shuffle: true, ..evaluation() }, 0, 0) {
        assert_eq!((batch.images.len(), batch.labels.len()), (values * batch.len, batch.len));
        for (k, index) in batch.indices.iter().enumerate() {
            let image = load_one(&manifest.file_of(items[*index]), &Limits::default()).unwrap();
            let mut expected = vec![0.0; values];
            preprocessor.normalize_into(&preprocessor.resize(&image), Layout::Chw, &mut expected);
            assert_eq!(batch.images[k * values..(k + 1) * values], expected);
            assert_eq!(batch.labels[k], items[*index].label);
            seen.push(*index);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..items.len()).collect::<Vec<_>>());
}

#[test]
fn wrong_options_are_refused() {
    let (_d, manifest) = dataset();
    let new = |split, options| Loader::new(Arc::clone(&manifest), split, options).map(|_| ());
    assert!(matches!(new(Split::Val, training()), Err(DataError::AugmentedSplit(Split::Val))));
    assert!(matches!(new(Split::Test, training()), Err(DataError::AugmentedSplit(Split::Test))));
    let off = LoaderOptions { augment: Some(AugmentSettings::none()), ..training() };
    assert!(new(Split::Test, off).is_ok(), "settings that change nothing are no augmentation");
    let limit = Some(BatchLimit::Share(2.0));
    assert!(new(Split::Val, LoaderOptions { limit, ..evaluation() }).unwrap_err().to_string().contains("(0, 1]"));
    assert!(new(Split::Val, LoaderOptions { batch_size: 0, ..evaluation() }).is_err());
    let empty = DatasetManifest { items: Vec::new(), ..(*manifest).clone() };
    let result = Loader::new(Arc::new(empty), Split::Val, evaluation());
    assert!(matches!(result, Err(DataError::EmptySplit(Split::Val))));
}

#[test]
fn a_limited_evaluation_sees_all_classes() {
    let (_d, manifest) = dataset();
    let limit = Some(BatchLimit::Batches(3));
    let some = batches(&manifest, LoaderOptions { limit, ..evaluation() }, 0, 0);
    let labels: Vec<usize> = some.iter().flat_map(|b| b.labels.clone()).collect();
    assert_eq!(labels.len(), 12);
    assert!(labels.contains(&0) && labels.contains(&1), "{labels:?}");
}

#[test]
fn dropping_early_does_not_hang() {
    let (_d, manifest) = dataset();
    let loader = Loader::new(manifest, Split::Train, LoaderOptions { workers: 4, ..training() }).unwrap();
    for taken in 0..4 {
        let mut epoch = loader.epoch(0, 0);
        assert_eq!(epoch.by_ref().take(taken).count(), taken);
    }
}

#[test]
fn an_image_that_went_bad_stops_or_is_skipped_and_reported() {
    let (_d, manifest) = dataset();
    let items: Vec<_> = manifest.items_of(Split::Train).collect();
    let victim = manifest.file_of(items[3]);
    fs::write(&victim, b"no longer a picture").unwrap();
    let load = |options: LoaderOptions| {
        let mut epoch = Loader::new(Arc::clone(&manifest), Split::Train, options).unwrap().epoch(0, 0);
        let results: Vec<_> = epoch.by_ref().collect();
        (results, epoch.skipped().to_vec())
    };
    let (results, _) = load(evaluation());
    assert_eq!(results.len(), 1, "nothing comes after an error");
    let message = results[0].as_ref().unwrap_err().to_string();
    assert!(message.contains(&victim.display().to_string()) && message.contains("on_bad_image=skip"), "{message}");

    let (results, skipped) = load(LoaderOptions { on_bad_image: OnBadImage::Skip, ..evaluation() });
    let first = results[0].as_ref().unwrap();
    assert_eq!((first.len, first.indices.as_slice()), (3, &[0, 1, 2][..]));
    assert_eq!((skipped.len(), &skipped[0].0), (1, &victim));

    let single = LoaderOptions { on_bad_image: OnBadImage::Skip, batch_size: 1, ..evaluation() };
    let (results, _) = load(single);
    assert_eq!(results.len(), items.len() - 1, "a batch without images is passed over");

    let verify = LoaderOptions { on_bad_image: OnBadImage::Skip, verify_hash: true, ..evaluation() };
    let (results, _) = load(verify);
    assert!(results[0].as_ref().unwrap_err().to_string().contains("does not match its recorded SHA-256"));
}
