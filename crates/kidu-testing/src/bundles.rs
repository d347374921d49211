//! Bundles with weights by formula: whole, fast to make, and of no use to anybody.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::{cell::RefCell, collections::BTreeMap, path::Path};

use kidu_core::{Bundle, BundleManifest, ClassNames, model};
use kidu_engine::{Plan, Weights};
use safetensors::{Dtype, tensor::TensorView};

type Tensor = (Vec<usize>, &'static [f32]);

/// Makes up each tensor that is asked for, and remembers it.
#[derive(Default)]
struct Formula(RefCell<BTreeMap<String, Tensor>>);

impl Weights for Formula {
    fn tensor(&self, _: &str) -> Option<(&[usize], &[f32])> {
        None
    }

    fn values(&self, key: &str, shape: &[usize]) -> kidu_engine::Result<&[f32]> {
        // A test's process is short.
        let values: &'static [f32] = Vec::leak(crate::weight(key, shape));
        self.0.borrow_mut().insert(key.to_owned(), (shape.to_vec(), values));
        Ok(values)
    }
}

/// Writes a bundle of a network of the registry into a folder: weights by [`crate::weight`], square images of `size`
/// pixels, temperature 1.5. Other classes make another version.
///
/// # Panics
/// When there is no such network or the folder cannot be written.
pub fn bundle(dir: &Path, name: &str, size: u32, classes: &[&str]) -> Bundle {
    let record = model::find(name).expect("a network of the registry");
    let weights = Formula::default();
    Plan::new(&record.architecture, classes.len(), (size as usize, size as usize), &weights).expect("a network");
    let tensors = weights.0.into_inner();
    let bytes: BTreeMap<&str, Vec<u8>> =
        tensors.iter().map(|(k, (_, v))| (k.as_str(), v.iter().flat_map(|x| x.to_le_bytes()).collect())).collect();
    let views = tensors.iter().map(|(key, (shape, _))| {
        (key.as_str(), TensorView::new(Dtype::F32, shape.clone(), &bytes[key.as_str()]).expect("shape and bytes agree"))
    });
    let file = safetensors::serialize(views, None).expect("tensors serialize");
    let manifest = BundleManifest {
        format_version: BundleManifest::FORMAT,
        model: name.into(),
        pad_type: None,
        classes: ClassNames::new(classes.iter().copied()).expect("class names"),
        image: record.image.clone().with_size(size),
        temperature: 1.5,
        metrics: BTreeMap::from([("test/acc".to_owned(), 0.5)]),
        dataset_version: "formula".into(),
        data_snapshot: None,
        config_hash: "formula".into(),
        git_commit: None,
        initial_weights: "none".into(),
        created: "2026-01-01T00:00:00Z".into(),
        kidu_version: env!("CARGO_PKG_VERSION").into(),
        files: BTreeMap::new(),
    };
    Bundle::create(dir, manifest, &[(Bundle::WEIGHTS, &file)]).expect("a folder that can be written")
}
