//! The templates as they are committed. The folder is what `kidu-infra synth` writes, so that a change shows as a change
//! of templates, and `kidu-infra diff --from` says what it does.

use std::{fs, path::PathBuf};

use crate::synthesised;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots")
}

#[test]
fn the_templates_are_those_that_are_committed() {
    if std::env::var_os("KIDU_UPDATE_SNAPSHOTS").is_some() {
        synthesised().write(&folder()).unwrap();
    }
    for (name, text) in synthesised().files() {
        let kept = fs::read_to_string(folder().join(&name)).unwrap_or_default();
        let line = kept.lines().zip(text.lines()).position(|(a, b)| a != b);
        assert!(
            kept == text,
            "{name} differs from line {}: if that is meant, run KIDU_UPDATE_SNAPSHOTS=1 cargo test -p kidu-infra snapshots",
            line.map_or(kept.lines().count().min(text.lines().count()) + 1, |l| l + 1)
        );
    }
}

#[test]
fn nothing_else_is_committed() {
    let known = synthesised().files();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(known.contains_key(&name), "{name} is not made any more");
    }
}
