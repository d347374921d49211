//! What Kidu's own tests share. Not part of the product.

#[cfg(feature = "bundles")]
mod bundles;
mod http;
#[cfg(unix)]
mod label_studio;
mod lambda;
mod measure;
#[cfg(unix)]
mod mlflow;
mod moto;
mod recorded;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

#[cfg(feature = "bundles")]
pub use bundles::bundle;
pub use http::{Answer, HttpClient, read_answer};
#[cfg(unix)]
pub use label_studio::LabelStudioServer;
pub use lambda::{LambdaReply, LambdaRuntimeApi, lambda_command};
pub use measure::{memory_of, percentiles};
#[cfg(unix)]
pub use mlflow::MlflowServer;
pub use moto::MotoServer;
pub use recorded::{Recorded, RecordedAws};

/// The folder with real data and reference numbers: `KIDU_SHARED`, or `../shared` beside the repository.
///
/// Without it a test prints why it is skipped and gets `None`; where `CI` is `true` that is a failure.
///
/// # Panics
/// When the folder is missing and `CI` is `true`.
pub fn shared(test: &str) -> Option<PathBuf> {
    // Where cargo runs the test, not where this crate was compiled: worktrees may share a target folder.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let path = std::env::var_os("KIDU_SHARED").map_or_else(|| beside_repository(Path::new(&manifest)), PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    skip(test, &format!("there is no folder {}; set KIDU_SHARED", path.display()))
}

/// `../shared` as seen from the workspace that a crate, at whatever depth, is part of.
fn beside_repository(manifest: &Path) -> PathBuf {
    let root = manifest.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap_or(manifest);
    root.join("../shared")
}

/// A Python with peers of `tests/peers`: the first of `KIDU_PEER_PYTHONS`, which `.ci/run` sets and colons part, or of
/// `KIDU_PEER_PYTHON` that has all of `modules`, those that the test imports.
///
/// Where none has them, a test prints why it is skipped and gets `None`; where `CI` is `true`
/// that is a failure.
///
/// # Panics
/// When there is no such Python or module and `CI` is `true`.
pub fn peer_python(test: &str, modules: &[&str]) -> Option<PathBuf> {
    find_peer(modules).map_err(|reason| skip::<()>(test, &reason)).ok()
}

/// Like [`peer_python`], for modules that the checks do not install (PyTorch takes 4 GB): never a failure.
#[allow(clippy::print_stderr, reason = "the line is for whoever reads the test's output")]
pub fn heavy_peer_python(test: &str, modules: &[&str]) -> Option<PathBuf> {
    find_peer(modules).map_err(|reason| eprintln!("{test}: skipped, {reason}")).ok()
}

fn find_peer(modules: &[&str]) -> Result<PathBuf, String> {
    let listed = std::env::var_os("KIDU_PEER_PYTHONS").unwrap_or_default();
    let single = std::env::var_os("KIDU_PEER_PYTHON").map(PathBuf::from);
    let pythons = std::env::split_paths(&listed).chain(single).filter(|path| !path.as_os_str().is_empty());
    let mut reasons = Vec::new();
    for python in pythons {
        match missing_modules(&python, modules) {
            None => return Ok(python),
            Some(reason) => reasons.push(reason),
        }
    }
    match reasons.is_empty() {
        true => Err("set KIDU_PEER_PYTHONS to Pythons with the packages of tests/peers/requirements*.txt".into()),
        false => Err(reasons.join("; ")),
    }
}

/// Why a Python cannot be used, if it cannot.
fn missing_modules(python: &Path, modules: &[&str]) -> Option<String> {
    // An empty text would be an exit code of 1.
    let find = "import importlib.util, sys; \
                sys.exit(' '.join(m for m in sys.argv[1:] if importlib.util.find_spec(m) is None) or None)";
    match Command::new(python).args(["-c", find]).args(modules).output() {
        Ok(out) if out.status.success() => None,
        Ok(out) => Some(format!("{} lacks: {}", python.display(), String::from_utf8_lossy(&out.stderr).trim())),
        Err(error) => Some(format!("{} does not run: {error}", python.display())),
    }
}

/// Says why a test is skipped; where `CI` is `true` nothing may be.
#[allow(clippy::print_stderr, reason = "the line is for whoever reads the test's output")]
fn skip<T>(test: &str, reason: &str) -> Option<T> {
    let reason = format!("{test}: skipped, {reason}");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}");
    eprintln!("{reason}");
    None
}

/// The browser that a test drives, or `None` after saying why it is skipped.
///
/// # Panics
/// As [`peer_python`]: where `CI` is `true` and there is none.
pub fn chromium(test: &str) -> Option<&'static str> {
    match Command::new("chromium").arg("--version").output() {
        Ok(_) => Some("chromium"),
        Err(error) => skip(test, &format!("chromium does not run ({error}); install the package chromium")),
    }
}

/// ImageMagick's command, or `None` after saying why a test is skipped.
///
/// # Panics
/// As [`peer_python`]: where `CI` is `true` and there is none.
pub fn imagemagick(test: &str) -> Option<&'static str> {
    // Debian's name of version 6's `convert`, which other programs are called too.
    let found = ["magick", "convert-im6.q16"].into_iter().find(|name| {
        let said = Command::new(name).arg("-version").output();
        said.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("ImageMagick"))
    });
    found.or_else(|| skip(test, "ImageMagick does not run; install the package imagemagick"))
}

/// FNV-1a, 64 bits.
pub fn fnv1a64(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3))
}

/// `n` numbers in [0, 1) that depend on the name alone.
pub fn uniform(name: &str, n: usize) -> impl Iterator<Item = f64> {
    let start = fnv1a64(name);
    (0..n as u64).map(move |i| {
        let mut z = start.wrapping_add(i).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24)
    })
}

/// A state-dict tensor by its key and shape, as the reference numbers were made with.
pub fn weight(key: &str, shape: &[usize]) -> Vec<f32> {
    let n = shape.iter().product();
    let scale = (6.0 / shape.iter().skip(1).product::<usize>() as f64).sqrt();
    uniform(key, n)
        .map(|u| {
            let s = 2.0 * u - 1.0;
            let v = if key.ends_with("running_var") {
                1.0 + 0.5 * u
            } else if key.ends_with("running_mean") || key.ends_with("bias") {
                0.1 * s
            } else if shape.len() == 1 {
                1.0 + 0.1 * s
            } else {
                s * scale
            };
            v as f32
        })
        .collect()
}

/// A batch of `n` square images, [n, 3, size, size], in [-1, 1).
pub fn images(n: usize, size: usize) -> Vec<f32> {
    uniform("input", n * 3 * size * size).map(|u| (2.0 * u - 1.0) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_is_the_reference_formula() {
        assert_eq!(fnv1a64("input"), 2214555572463777371);
        let u: Vec<f64> = uniform("input", 2).collect();
        assert_eq!(u, [0.09781831502914429, 0.14747858047485352]);
    }

    #[test]
    fn the_shared_folder_is_beside_the_repository_for_crates_of_any_depth() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let repository = here.parent().and_then(Path::parent).expect("crates/kidu-testing");
        for crate_ in [here, &repository.join("infra"), repository] {
            assert_eq!(beside_repository(crate_), repository.join("../shared"));
        }
    }
}
