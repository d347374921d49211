//! The notebooks of `notebooks/`, executed with the command that was built, and what is kept of them in the repository.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "how long each took")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use serde_json::Value;

/// Longer than any cell takes on a busy machine.
const SECONDS_A_CELL: &str = "600";

fn folder() -> PathBuf {
    // Where cargo runs the test, not where it was compiled: worktrees may share a target folder.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest).join("../../notebooks")
}

/// The notebooks by name.
fn notebooks() -> Vec<PathBuf> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "ipynb")).collect();
    found.sort();
    assert!(found.len() >= 4, "{found:?}");
    found
}

fn cells(path: &Path) -> Vec<Value> {
    let notebook: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    notebook["cells"].as_array().unwrap().clone()
}

/// The code cells with their sources.
fn code(path: &Path) -> Vec<(Value, String)> {
    let code = cells(path).into_iter().filter(|cell| cell["cell_type"] == "code");
    code.map(|cell| {
        let source = match &cell["source"] {
            Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
            text => text.as_str().unwrap_or_default().to_string(),
        };
        (cell, source)
    })
    .collect()
}

#[track_caller]
fn assert_executed(path: &Path) {
    for (cell, source) in code(path) {
        assert!(cell["execution_count"].is_u64(), "{}: a cell was not executed:\n{source}", path.display());
        for output in cell["outputs"].as_array().unwrap() {
            assert!(output["output_type"] != "error", "{}:\n{source}\n{output}", path.display());
            // Warnings belong to the lesson's author, not to its reader.
            assert!(output["name"] != "stderr", "{}:\n{source}\n{output}", path.display());
        }
    }
}

#[test]
fn every_notebook_runs() {
    let modules = ["nbconvert", "ipykernel", "pandas", "matplotlib", "yaml"];
    let Some(python) = kidu_testing::peer_python("every_notebook_runs", &modules) else { return };
    let dir = tempfile::tempdir().unwrap();
    fs::copy(folder().join("command.py"), dir.path().join("command.py")).unwrap();
    for notebook in notebooks() {
        let name = notebook.file_name().unwrap();
        fs::copy(&notebook, dir.path().join(name)).unwrap();
        let begun = Instant::now();
        let output = Command::new(&python)
            .args(["-m", "nbconvert", "--to", "notebook", "--execute", "--output-dir", "executed"])
            .arg(format!("--ExecutePreprocessor.timeout={SECONDS_A_CELL}"))
            .arg(name)
            .current_dir(dir.path())
            .env("KIDU_BIN", env!("CARGO_BIN_EXE_kidu"))
            .env("MPLBACKEND", "agg")
            .env("TMPDIR", dir.path())
            .env("IPYTHONDIR", dir.path().join("ipython"))
            .env("JUPYTER_PLATFORM_DIRS", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{name:?}: {}", String::from_utf8_lossy(&output.stderr));
        eprintln!("{}: {:.0} s", name.display(), begun.elapsed().as_secs_f64());
        assert_executed(&dir.path().join("executed").join(name));
    }
}

#[test]
fn the_kept_outputs_are_whole_and_name_no_machine() {
    for notebook in notebooks() {
        assert_executed(&notebook);
        let outputs: usize = code(&notebook).iter().map(|(cell, _)| cell["outputs"].as_array().unwrap().len()).sum();
        assert!(outputs >= 5, "{}: {outputs} outputs", notebook.display());
        for (cell, source) in code(&notebook) {
            // Pictures are text in base 64, in which anything may stand.
            let shown = cell["outputs"].as_array().unwrap().iter().map(|output| {
                let mut output = output.clone();
                if let Some(data) = output["data"].as_object_mut() {
                    data.remove("image/png");
                }
                output.to_string()
            });
            for word in shown.chain([source.clone()]) {
                for path in ["/tmp", "/home/", "/root/", "/work/", "/Users/", "C:\\\\"] {
                    assert!(!word.contains(path), "{}: {path} in {word}", notebook.display());
                }
            }
            assert!(cell["metadata"].get("execution").is_none(), "{}: times of this machine", notebook.display());
        }
    }
}
