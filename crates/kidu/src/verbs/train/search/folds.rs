//! Folds of a cross-validation (Stone 1974), stratified by class.

use kidu_core::{DatasetItem, DatasetManifest, Split};

/// The dataset with fold `fold` of `folds` for validation and the others for training. Training and validation images
/// are dealt out class by class in the order of their hashes, so that folds do not depend on paths; copies of a file
/// fall into one fold. The test split stays out of it.
pub(super) fn manifest(whole: &DatasetManifest, folds: usize, fold: usize) -> DatasetManifest {
    let mut items: Vec<DatasetItem> = whole.items.clone();
    let mut learned: Vec<&mut DatasetItem> = items.iter_mut().filter(|i| i.split != Split::Test).collect();
    learned.sort_by(|a, b| (a.label, &a.sha256, &a.path).cmp(&(b.label, &b.sha256, &b.path)));
    let (mut label, mut place) = (usize::MAX, 0);
    let mut before = None;
    for item in learned {
        if item.label != label {
            (label, place, before) = (item.label, 0, None);
        }
        if before.as_ref().is_some_and(|hash| *hash != item.sha256) {
            place += 1;
        }
        before = Some(item.sha256.clone());
        item.split = if place % folds == fold { Split::Val } else { Split::Train };
    }
    DatasetManifest::new(whole.classes.clone(), whole.root.clone(), whole.seed, items)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use kidu_core::{ClassNames, Sha256Hex};

    use super::*;

    #[test]
    fn every_image_is_validated_on_once_and_the_test_split_never() {
        let item = |n: usize| DatasetItem {
            path: format!("{n}.jpg"),
            label: n % 3,
            split: if n < 60 { Split::ALL[n % 2] } else { Split::Test },
            // Images 3 and 6 are the same file.
            sha256: Sha256Hex::of_bytes(format!("{}", if n == 6 { 3 } else { n }).as_bytes()),
            bytes: 1,
        };
        let classes = ClassNames::new(["a", "b", "c"]).unwrap();
        let whole = DatasetManifest::new(classes, PathBuf::from("x"), 1, (0..80).map(item).collect());
        let mut seen = std::collections::BTreeMap::new();
        for fold in 0..5 {
            let manifest = manifest(&whole, 5, fold);
            assert_eq!(manifest.items_of(Split::Test).count(), 20);
            for item in manifest.items_of(Split::Val) {
                *seen.entry(item.path.clone()).or_insert(0) += 1;
            }
            let counts = manifest.counts(Split::Val);
            assert!(counts.iter().all(|c| (3..=5).contains(c)), "{counts:?}");
            let of = |path: &str| manifest.items.iter().find(|i| i.path == path).unwrap().split;
            assert_eq!(of("3.jpg"), of("6.jpg"), "copies stay together");
        }
        assert_eq!(seen.len(), 60);
        assert!(seen.values().all(|n| *n == 1));
    }
}
