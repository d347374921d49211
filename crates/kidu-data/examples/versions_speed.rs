//! How fast versions of a folder are taken, restored and verified, beside DVC where there is one:
//! `cargo run --release -p kidu-data --example versions_speed -- [files] [rounds] [photos] [python]`.
//!
//! `photos` is a folder of images that are copied, each with some bytes of its own at its end, until there are so many
//! `files` (3,000); without one, or for `-`, scenes are drawn. `python` is one with DVC installed, else the first of
//! `KIDU_PEER_PYTHONS` that has it. Both have a turn in each round, on folders of their own whose files are in the page
//! cache and on the disk. The folders are made in `TMPDIR`.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use image::{ImageFormat, RgbImage};
use kidu_core::{progress::Silent, rng};
use kidu_data::{
    index::images_below,
    synth::{SceneKind, draw_scene},
    versions::{
        CheckoutOptions, Snapshot, SnapshotOptions, VersionStore, checkout, diff, snapshot, verify, working_version,
    },
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What is measured, in the order of the table.
const CASES: [(&str, &str); 6] = [
    ("snapshot, the first", "dvc add"),
    ("snapshot, nothing changed", "dvc add"),
    ("diff of the folder, one file changed", "dvc status"),
    ("snapshot, one file changed", "dvc add"),
    ("checkout into a new folder", "dvc checkout"),
    ("verify", ""),
];

/// Seconds of each round, by what was measured.
type Times = BTreeMap<&'static str, Vec<f64>>;

fn main() -> Outcome {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize, default: usize| arguments.get(at).map_or(Ok(default), |text| text.parse());
    let (files, rounds) = (number(0, 3000)?, number(1, 3)?.max(1));
    let photos = arguments.get(2).filter(|p| *p != "-").map(PathBuf::from);
    let dvc = match arguments.get(3) {
        Some(python) => Some(PathBuf::from(python)),
        None => kidu_testing::heavy_peer_python("versions_speed", &["dvc"]),
    };
    let originals = originals(photos.as_deref())?;
    let (mut ours, mut theirs, mut bytes) = (Times::new(), Times::new(), 0);
    for _ in 0..rounds {
        let dir = tempfile::tempdir()?;
        bytes = fill(&dir.path().join("photos"), &originals, files)?;
        turn_of_kidu(dir.path(), files, &mut ours)?;
        if let Some(python) = &dvc {
            let dir = tempfile::tempdir()?;
            fill(&dir.path().join("photos"), &originals, files)?;
            turn_of_dvc(python, dir.path(), &mut theirs)?;
        }
    }
    print(files, rounds, bytes as f64, &ours, &theirs);
    Ok(())
}

/// The encoded images that copies are made of.
fn originals(photos: Option<&Path>) -> Outcome<Vec<Vec<u8>>> {
    const DRAWN: u64 = 60;
    let images: Vec<Vec<u8>> = match photos {
        Some(folder) => images_below(folder)?.iter().map(fs::read).collect::<Result<_, _>>()?,
        None => {
            let kind = |i: u64| SceneKind::ALL[i as usize % SceneKind::ALL.len()];
            (0..DRAWN)
                .map(|i| jpeg(&draw_scene(kind(i), 150, &mut rng::stream(0, "speed", &[i]))))
                .collect::<Result<_, _>>()?
        }
    };
    if images.is_empty() { Err("there is no image in the folder".into()) } else { Ok(images) }
}

fn jpeg(image: &RgbImage) -> image::ImageResult<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Jpeg)?;
    Ok(bytes.into_inner())
}

/// Six class folders with that many files, no two alike; their bytes together. On the disk when it returns, and older
/// than the two seconds for which a file counts as still being written.
fn fill(root: &Path, originals: &[Vec<u8>], files: usize) -> Outcome<u64> {
    let mut total = 0;
    for i in 0..files {
        let folder = root.join(SceneKind::ALL[i % SceneKind::ALL.len()].name());
        if i < SceneKind::ALL.len() {
            fs::create_dir_all(&folder)?;
        }
        let bytes = [&originals[i % originals.len()][..], &(i as u64).to_le_bytes()].concat();
        total += bytes.len() as u64;
        fs::write(folder.join(format!("{i:06}.jpg")), bytes)?;
    }
    settle();
    Ok(total)
}

/// Nothing that was written before is written to the disk on anybody's time.
fn settle() {
    let _ = Command::new("sync").status();
    thread::sleep(Duration::from_millis(2200));
}

fn change_one(root: &Path) -> Outcome {
    let one = images_below(root)?.into_iter().next().ok_or("the folder is empty")?;
    fs::write(&one, [fs::read(&one)?, b"changed".to_vec()].concat())?;
    settle();
    Ok(())
}

/// Runs and keeps the time.
fn timed<T>(times: &mut Times, case: &'static str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let start = Instant::now();
    let result = work()?;
    times.entry(case).or_default().push(start.elapsed().as_secs_f64());
    Ok(result)
}

fn turn_of_kidu(dir: &Path, files: usize, times: &mut Times) -> Outcome {
    let (root, store) = (dir.join("photos"), dir.join("store"));
    let take = || -> Outcome<Snapshot> { Ok(snapshot(&store, &root, &SnapshotOptions::default(), &Silent)?) };
    let [first, same, differ, one, restore, check] = CASES.map(|(name, _)| name);
    let taken = timed(times, first, take)?;
    expect(taken.stored == files, "all files are stored")?;
    settle();
    let again = timed(times, same, take)?;
    expect(again.unchanged && again.hashed == 0, "nothing was read again")?;
    change_one(&root)?;
    let opened = VersionStore::open(&store)?;
    let changes = timed(times, differ, || {
        let now = working_version(&root, Some(&opened), Default::default(), &Silent)?;
        Ok(diff(Some(&taken.version), &now).counts())
    })?;
    expect(changes.changed == 1, "one file changed")?;
    let changed = timed(times, one, take)?;
    expect(changed.stored == 1 && changed.changes.changed == 1, "one file is stored")?;
    settle();
    let to = dir.join("restored");
    let done =
        timed(times, restore, || Ok(checkout(&opened, &taken.version, &to, CheckoutOptions::default(), &Silent)?))?;
    expect(done.restored == files && images_below(&to)?.len() == files, "all files are restored")?;
    settle();
    let verified = timed(times, check, || Ok(verify(&opened, &Silent)?))?;
    expect(verified.damage.is_empty() && verified.objects == files + 1, "the store is whole")
}

fn turn_of_dvc(python: &Path, dir: &Path, times: &mut Times) -> Outcome {
    let root = dir.join("photos");
    let dvc = |arguments: &[&str]| -> Outcome {
        let output = Command::new(python)
            .args(["-m", "dvc"])
            .args(arguments)
            .current_dir(dir)
            .env("DVC_NO_ANALYTICS", "1")
            .env("DVC_GLOBAL_CONFIG_DIR", dir.join("no-config"))
            .env("DVC_SITE_CACHE_DIR", dir.join("site-cache"))
            .output()?;
        expect(output.status.success(), &String::from_utf8_lossy(&output.stderr))
    };
    dvc(&["init", "--no-scm", "-q"])?;
    dvc(&["config", "core.analytics", "false"])?;
    timed(times, START, || dvc(&["--version"]))?;
    let [first, same, differ, one, restore, _] = CASES.map(|(name, _)| name);
    timed(times, first, || dvc(&["add", "-q", "photos"]))?;
    settle();
    timed(times, same, || dvc(&["add", "-q", "photos"]))?;
    change_one(&root)?;
    timed(times, differ, || dvc(&["status"]))?;
    timed(times, one, || dvc(&["add", "-q", "photos"]))?;
    fs::remove_dir_all(&root)?;
    settle();
    timed(times, restore, || dvc(&["checkout", "-q", "photos.dvc"]))
}

/// What `dvc --version` takes: Python and the modules of DVC, which are in each of its figures.
const START: &str = "start";

fn expect(holds: bool, what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(what.into()) }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[allow(clippy::print_stdout, reason = "an example's only output")]
fn print(files: usize, rounds: usize, bytes: f64, ours: &Times, theirs: &Times) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!("{files} files, {:.1} MB, {cores} cores, medians of {rounds} rounds\n", bytes / 1e6);
    println!("| | s | files/s | MB/s | DVC's | s | times as long |\n|---|---|---|---|---|---|---|");
    for (case, command) in CASES {
        let Some(seconds) = ours.get(case).map(|t| median(t)) else { continue };
        let (rate, speed) = (files as f64 / seconds, bytes / 1e6 / seconds);
        let other = theirs.get(case).map_or_else(
            || "| | | |".to_string(),
            |t| format!("| `{command}` | {:.2} | {:.1} |", median(t), median(t) / seconds),
        );
        println!("| {case} | {seconds:.3} | {rate:.0} | {speed:.0} {other}");
    }
    if let Some(start) = theirs.get(START) {
        println!("\n`dvc --version` alone takes {:.2} s.", median(start));
    }
}
