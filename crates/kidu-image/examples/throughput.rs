//! Prints how many images a second one core decodes, resizes to 224x224 and normalises:
//! `cargo run --release -p kidu-image --example throughput -- FOLDER`

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use kidu_core::{Filter, ImageSpec};
use kidu_image::{Layout, Limits, Preprocessor, decode};

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]
fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("usage: throughput FOLDER");
        return ExitCode::from(2);
    };
    match measure(Path::new(&folder)) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn measure(folder: &Path) -> Result<String, String> {
    let mut images = Vec::new();
    for path in jpegs_below(folder).map_err(|e| format!("cannot list {}: {e}", folder.display()))? {
        let bytes = fs::read(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        images.push((path, bytes));
    }
    if images.is_empty() {
        return Err(format!("there is no .jpg below {}; give a folder of photographs", folder.display()));
    }
    let spec = ImageSpec::imagenet(224, Filter::Bilinear);
    let preprocessor = Preprocessor::new(&spec);
    let mut input = vec![0.0; spec.values()];
    let [mut decoding, mut resizing, mut normalising] = [Duration::ZERO; 3];
    let mut count = 0_u32;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        for (path, bytes) in &images {
            let t0 = Instant::now();
            let image = decode(bytes, &Limits::default()).map_err(|e| format!("{} {e}", path.display()))?;
            let t1 = Instant::now();
            let image = preprocessor.resize(&image);
            let t2 = Instant::now();
            preprocessor.normalize_into(&image, Layout::Chw, &mut input);
            decoding += t1 - t0;
            resizing += t2 - t1;
            normalising += t2.elapsed();
            count += 1;
        }
    }
    let each = |part: Duration| part.as_secs_f64() * 1e6 / f64::from(count);
    let rate = f64::from(count) / (decoding + resizing + normalising).as_secs_f64();
    Ok(format!(
        "{rate:.0} images/s per core ({} images; decode {:.0}, resize {:.0}, normalise {:.0} microseconds each)",
        images.len(),
        each(decoding),
        each(resizing),
        each(normalising)
    ))
}

fn jpegs_below(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(jpegs_below(&path)?);
        } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("jpg") || e.eq_ignore_ascii_case("jpeg")) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
