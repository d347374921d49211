//! Copies the shipped configurations to where `include_dir!` embeds them from, without the private `local/*.yaml`,
//! and makes cargo notice every change of them.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let variable = |name: &str| env::var_os(name).map(PathBuf::from).ok_or_else(|| io::Error::other(name.to_string()));
    let configs = variable("CARGO_MANIFEST_DIR")?.join("../../configs");
    let copy = variable("OUT_DIR")?.join("configs");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    copy_tree(&configs, &copy, false)
}

fn copy_tree(from: &Path, to: &Path, private: bool) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", from.display());
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_tree(&path, &target, private || path.ends_with("local"))?;
        } else if path.extension().is_some_and(|e| e == "yaml") && !private {
            println!("cargo::rerun-if-changed={}", path.display());
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
