//! Prints how many photographs a second one core decodes, resizes to 224 pixels and augments with pipeline 1, beside
//! albumentations with the same list:
//! `cargo run --release -p kidu-image --example augment -- FOLDER [PYTHON]`
//!
//! PYTHON needs the packages of `tests/peers/requirements.txt`. Both run on one thread, in turns, so that whatever else
//! the machine does weighs on both. Images a second are counted by the processor's time.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::LazyLock,
    time::{Duration, Instant},
};

use kidu_core::{Filter, ImageSpec, rng};
use kidu_image::{
    AugmentSettings, Augmenter, Limits,
    augment::{AugmentationPipeline, Transform, pipeline, zoo::Sequential},
    decode,
};

/// Turns of each side.
const ROUNDS: usize = 5;

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]
fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let Some(folder) = arguments.next() else {
        eprintln!("usage: augment FOLDER [PYTHON]");
        return ExitCode::from(2);
    };
    match run(Path::new(&folder), arguments.next().map(PathBuf::from).as_deref()) {
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

/// A list and how it is called.
fn lists() -> [(&'static str, Vec<Transform>); 2] {
    let whole = pipeline::albumentations();
    let mut without = whole.clone();
    for transform in &mut without {
        if let Transform::OneOf(group) = transform {
            group.transforms.retain(|t| !matches!(t, Transform::PiecewiseAffine(_)));
        }
    }
    [("full", whole), ("without piecewise_affine", without)]
}

fn run(folder: &Path, python: Option<&Path>) -> Result<String, String> {
    let images = images(folder)?;
    let mut report = String::new();
    for (name, list) in lists() {
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(measure(&images, list.clone())?);
            if let Some(python) = python {
                peers.push(peer(python, folder, name)?);
            }
        }
        let ours = median(&mut ours);
        report += &format!("{name}: kidu {ours:.0} images/s a core");
        if python.is_some() {
            let peer = median(&mut peers);
            report += &format!(", albumentations {peer:.0}, ratio {:.2}", ours / peer);
        }
        report += "\n";
    }
    let decoding = measure(&images, Vec::new())?;
    report += &format!("decoding and resizing alone: {decoding:.0} images/s\n");
    report += &each(&images)?;
    Ok(report)
}

/// Images a second of decoding, resizing and `list`.
fn measure(images: &[Vec<u8>], list: Vec<Transform>) -> Result<f64, String> {
    // An empty sequence stands for no list, which would not be augmentation at all.
    let list =
        if list.is_empty() { vec![Transform::Sequential(Sequential { p: 1.0, ..Default::default() })] } else { list };
    let augmenter = augmenter(list)?;
    let (mut count, start) = (0_u64, processor_time());
    while processor_time() - start < Duration::from_secs(2) {
        for bytes in images {
            let image = decode(bytes, &Limits::default()).map_err(|e| e.to_string())?;
            let out = augmenter.apply(&image, &mut rng::stream(1, "augment", &[0, count]));
            augmenter.recycle(out);
            count += 1;
        }
    }
    Ok(count as f64 / (processor_time() - start).as_secs_f64())
}

/// What this process has used, in steps of 10 ms where `/proc` tells it; elsewhere the time that has passed.
fn processor_time() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in parentheses, may hold spaces; the 12th and 13th field after it are ticks.
    let ticks = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
    match ticks.map(|ticks| ticks.filter_map(|n| n.parse::<u64>().ok()).sum::<u64>()) {
        Some(ticks) => Duration::from_millis(10 * ticks),
        None => START.elapsed(),
    }
}

fn augmenter(list: Vec<Transform>) -> Result<Augmenter, String> {
    let settings = AugmentSettings {
        pipeline: AugmentationPipeline::Albumentations,
        transforms: Some(list),
        ..AugmentSettings::none()
    };
    Augmenter::new(&settings, &ImageSpec::imagenet(224, Filter::Bilinear)).map_err(|e| e.to_string())
}

/// Microseconds that each transform takes at 224 pixels.
fn each(images: &[Vec<u8>]) -> Result<String, String> {
    let image = decode(&images[0], &Limits::default()).map_err(|e| e.to_string())?;
    let time = |list| -> Result<f64, String> {
        let augmenter = augmenter(list)?;
        let (mut count, start) = (0_u64, processor_time());
        while processor_time() - start < Duration::from_millis(400) {
            for _ in 0..50 {
                augmenter.recycle(augmenter.apply(&image, &mut rng::stream(1, "augment", &[0, count])));
                count += 1;
            }
        }
        Ok((processor_time() - start).as_secs_f64() / count as f64 * 1e6)
    };
    let nothing = time(vec![Transform::Sequential(Sequential { p: 1.0, ..Default::default() })])?;
    let mut report = format!("resizing: {nothing:.0} us\n");
    for transform in Transform::NAMES.iter().filter_map(|name| Transform::by_name(name)) {
        if !matches!(transform, Transform::OneOf(_) | Transform::Sequential(_)) {
            let taken = time(vec![transform.clone().with_p(1.0)])? - nothing;
            report += &format!("{}: {taken:.0} us\n", transform.name());
        }
    }
    Ok(report)
}

fn peer(python: &Path, folder: &Path, list: &str) -> Result<f64, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/augment_speed.py");
    let out = Command::new(python).arg(script).arg(folder).arg(list).output().map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout);
    text.trim().parse().map_err(|_| format!("{text}{}", String::from_utf8_lossy(&out.stderr)))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The photographs, read into memory: at most 600, evenly among all.
fn images(folder: &Path) -> Result<Vec<Vec<u8>>, String> {
    let mut paths = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|e| format!("cannot list {}: {e}", folder.display()))?;
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "jpg" || e == "jpeg") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    let step = paths.len().div_ceil(600).max(1);
    let read = |path: &PathBuf| fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()));
    let images: Vec<Vec<u8>> = paths.iter().step_by(step).map(read).collect::<Result<_, _>>()?;
    if images.is_empty() {
        return Err(format!("there is no .jpg below {}; give a folder of photographs", folder.display()));
    }
    Ok(images)
}
