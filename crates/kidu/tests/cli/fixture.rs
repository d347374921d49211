//! What the tests share: scenes and one trained run, made once.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::LazyLock,
};

use kidu_core::Sha256Hex;
use tempfile::TempDir;

use crate::command::run;

/// Six classes, 8 training and 3 test images each, 40 pixels a side.
pub(crate) static SCENES: LazyLock<PathBuf> = LazyLock::new(|| {
    let sizes = ["--train-per-class", "8", "--test-per-class", "3", "--size", "40"];
    run(&SHARED, &[&["data", "synth", "--out", "scenes"], &sizes[..]].concat()).ok();
    SHARED.join("scenes")
});

/// A finished, uninterrupted run of [`training`].
pub(crate) static TRAINED: LazyLock<PathBuf> = LazyLock::new(|| {
    let out = SHARED.join("trained");
    let arguments = training(&out);
    run(&SHARED, &words(&arguments)).ok();
    out
});

/// A folder of this process alone.
static SHARED: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kidu-cli");
    fs::create_dir_all(&root).unwrap();
    remove_leftovers(&root);
    let dir = TempDir::new_in(&root).unwrap().keep();
    let lock = File::create(dir.join(LOCK)).unwrap();
    lock.lock().unwrap();
    // Open, and so locked, until the process ends.
    std::mem::forget(lock);
    dir
});

const LOCK: &str = ".lock";

/// Nothing runs when a test process ends, so the next one removes what it left. A locked folder is in use.
fn remove_leftovers(root: &Path) {
    for dir in fs::read_dir(root).unwrap().map(|e| e.unwrap().path()) {
        if File::open(dir.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

/// Six steps in two epochs, a checkpoint after each, and the last weights as the result: an interruption anywhere has
/// something to spoil.
pub(crate) fn training(out: &Path) -> Vec<String> {
    let mut arguments = vec!["train".into(), "--out".into(), out.display().to_string()];
    arguments.extend(small());
    arguments.extend([
        "trainer.max_epochs=2".into(),
        "trainer.limit_train_batches=3".into(),
        "trainer.checkpoint_every_n_steps=1".into(),
        "callbacks.model_checkpoint.save_top_k=0".into(),
    ]);
    arguments
}

/// One epoch of two batches.
pub(crate) fn short() -> Vec<String> {
    [small(), vec!["trainer.max_epochs=1".into(), "trainer.limit_train_batches=2".into()]].concat()
}

/// The scenes and a small network.
fn small() -> Vec<String> {
    vec![set("data.root", &SCENES), "model=resnet18".into(), "data.image_size=32".into(), "data.batch_size=8".into()]
}

/// `key=path`, quoted.
pub(crate) fn set(key: &str, path: &Path) -> String {
    format!("{key}={}", kidu_config::quote(&path.display().to_string()))
}

/// Borrowed arguments.
pub(crate) fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// A temporary folder on the disk of the build, as the shared one.
pub(crate) fn scratch() -> TempDir {
    TempDir::new_in(&*SHARED).unwrap()
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// All files below a folder with their hashes.
pub(crate) fn snapshot(dir: &Path) -> BTreeMap<PathBuf, Sha256Hex> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.clone(), Sha256Hex::of_file(&path).unwrap());
            }
        }
    }
    files
}

/// Asserts that everything that was there is still there, byte for byte.
#[track_caller]
pub(crate) fn assert_kept(before: &BTreeMap<PathBuf, Sha256Hex>) {
    for (path, hash) in before {
        assert_eq!(Sha256Hex::of_file(path).ok().as_ref(), Some(hash), "{} was changed or lost", path.display());
    }
}

/// Asserts that two runs gave the same weights and metrics, bit for bit.
#[track_caller]
pub(crate) fn assert_same_result(run: &Path, other: &Path) {
    for name in ["metrics.csv", "metrics.jsonl"] {
        let read = |dir: &Path| fs::read_to_string(dir.join(name)).unwrap();
        assert_eq!(read(run), read(other), "{name}");
    }
    let weights = |dir: &Path| Sha256Hex::of_file(&dir.join("bundle/weights.safetensors")).unwrap();
    assert_eq!(weights(run), weights(other), "weights.safetensors");
    let manifest = |dir: &Path| {
        let text = fs::read_to_string(dir.join("bundle/bundle.json")).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value.as_object_mut().unwrap().remove("created").unwrap();
        value
    };
    assert_eq!(manifest(run), manifest(other), "bundle.json");
}
