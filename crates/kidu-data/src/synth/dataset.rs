//! A labelled folder of generated scenes.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use image::codecs::jpeg::JpegEncoder;
use kidu_core::{Progress, Split, files, rng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{SceneKind, SynthError, draw_scene};

/// The file in the root of a generated folder that says how it was made.
pub const MARKER: &str = ".kidu-synth.json";

/// JPEG quality of the pictures, 1 to 100.
const QUALITY: u8 = 92;

/// Raised whenever the same options would give other pictures.
const GENERATOR: u32 = 1;

/// How many scenes to draw, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SynthOptions {
    /// Pictures of each kind in `train/`.
    pub train_per_class: u32,
    /// Pictures of each kind in `test/`.
    pub test_per_class: u32,
    /// Width and height in pixels, 8 to 2048.
    pub size: u32,
    /// The seed; another seed gives other pictures.
    pub seed: u64,
}

impl Default for SynthOptions {
    fn default() -> Self {
        Self { train_per_class: 100, test_per_class: 40, size: 150, seed: 0 }
    }
}

impl fmt::Display for SynthOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { train_per_class, test_per_class, size, seed } = self;
        write!(f, "{train_per_class} train and {test_per_class} test pictures a class, {size} px, seed {seed}")
    }
}

/// What [`synthesize`] left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SynthSummary {
    /// The folder that holds `train/` and `test/`.
    pub dir: PathBuf,
    /// Pictures in the folder.
    pub images: u64,
    /// Pictures drawn by this call; fewer than `images` when an earlier call had drawn some or all of them.
    pub drawn: u64,
}

/// What the marker file holds.
#[derive(Serialize, Deserialize, PartialEq)]
struct Marker {
    generator: u32,
    options: SynthOptions,
    complete: bool,
}

/// One picture to be drawn.
struct Job {
    split: Split,
    kind: SceneKind,
    /// Counts from 1 within its split and class.
    index: u32,
}

impl Job {
    fn path(&self, dir: &Path) -> PathBuf {
        dir.join(self.split.name()).join(self.kind.name()).join(format!("{:05}.jpg", self.index))
    }

    /// The picture as JPEG bytes; depends on the options and this job only.
    fn render(&self, options: &SynthOptions, path: &Path) -> Result<Vec<u8>, SynthError> {
        let keys = [self.split as u64, self.kind as u64, u64::from(self.index)];
        let picture = draw_scene(self.kind, options.size, &mut rng::stream(options.seed, "scene", &keys));
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, QUALITY)
            .encode_image(&picture)
            .map_err(|source| SynthError::Encode { path: path.to_path_buf(), source })?;
        Ok(bytes)
    }
}

/// Writes `dir/train/<class>/00001.jpg` …, and `dir/test/` likewise, in parallel. Each picture has a random stream of
/// its own, so the files do not depend on the number of threads. A folder made by an earlier call with the same
/// options is left alone; one whose making was interrupted is completed.
///
/// # Errors
/// [`SynthError::Option`] for sizes out of range, [`SynthError::ForeignFolder`] and [`SynthError::OtherOptions`]
/// rather than mixing pictures, [`SynthError::Core`] when a file cannot be written. What was written stays, and the
/// next call goes on from there.
pub fn synthesize(options: &SynthOptions, dir: &Path, progress: &dyn Progress) -> Result<SynthSummary, SynthError> {
    check(options)?;
    let jobs = jobs(options);
    let images = jobs.len() as u64;
    if claim(options, dir)? {
        return Ok(SynthSummary { dir: dir.to_path_buf(), images, drawn: 0 });
    }
    for split in [Split::Train, Split::Test] {
        for kind in SceneKind::ALL {
            files::create_dir_all(&dir.join(split.name()).join(kind.name()))?;
        }
    }
    progress.begin("draw scenes", "images", Some(images));
    let drawn = jobs
        .par_iter()
        .map(|job| {
            let path = job.path(dir);
            let missing = !path.exists();
            if missing {
                files::write_atomic(&path, &job.render(options, &path)?)?;
            }
            progress.advance(1);
            Ok(u64::from(missing))
        })
        .sum::<Result<u64, SynthError>>();
    progress.end();
    let drawn = drawn?;
    write_marker(options, dir, true)?;
    Ok(SynthSummary { dir: dir.to_path_buf(), images, drawn })
}

fn check(options: &SynthOptions) -> Result<(), SynthError> {
    if !(8..=2048).contains(&options.size) {
        let rule = "the size of a picture must be 8 to 2048 pixels";
        return Err(SynthError::Option { option: "size", value: u64::from(options.size), rule });
    }
    for (option, value) in [("train_per_class", options.train_per_class), ("test_per_class", options.test_per_class)] {
        if value > 99_999 {
            let rule = "at most 99999 pictures a class";
            return Err(SynthError::Option { option, value: u64::from(value), rule });
        }
    }
    if options.train_per_class == 0 && options.test_per_class == 0 {
        let rule = "ask for at least one picture in train or test";
        return Err(SynthError::Option { option: "train_per_class", value: 0, rule });
    }
    Ok(())
}

fn jobs(options: &SynthOptions) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (split, count) in [(Split::Train, options.train_per_class), (Split::Test, options.test_per_class)] {
        for kind in SceneKind::ALL {
            jobs.extend((1..=count).map(|index| Job { split, kind, index }));
        }
    }
    jobs
}

/// Makes sure that the folder is ours; true if it is complete already.
fn claim(options: &SynthOptions, dir: &Path) -> Result<bool, SynthError> {
    let marker = dir.join(MARKER);
    if marker.exists() {
        let found: Marker = files::read_json(&marker, "marker of generated scenes")?;
        if found.options != *options || found.generator != GENERATOR {
            let describe = |generator: u32, options: &SynthOptions| format!("{options}, generator {generator}");
            return Err(SynthError::OtherOptions {
                dir: dir.to_path_buf(),
                found: describe(found.generator, &found.options),
                wanted: describe(GENERATOR, options),
            });
        }
        return Ok(found.complete);
    }
    let empty = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => true,
        Err(e) => return Err(kidu_core::Error::io("read folder", dir, e).into()),
    };
    if !empty {
        return Err(SynthError::ForeignFolder { dir: dir.to_path_buf() });
    }
    write_marker(options, dir, false)?;
    Ok(false)
}

fn write_marker(options: &SynthOptions, dir: &Path, complete: bool) -> Result<(), SynthError> {
    let marker = Marker { generator: GENERATOR, options: *options, complete };
    Ok(files::write_json(&dir.join(MARKER), &marker)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kidu_core::progress::Silent;

    use super::*;

    const SMALL: SynthOptions = SynthOptions { train_per_class: 3, test_per_class: 1, size: 24, seed: 5 };

    /// Relative paths and contents of all files but the marker.
    fn pictures(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for split in [Split::Train, Split::Test] {
            for kind in SceneKind::ALL {
                let folder = PathBuf::from(split.name()).join(kind.name());
                for entry in fs::read_dir(dir.join(&folder)).unwrap() {
                    let entry = entry.unwrap();
                    found.insert(folder.join(entry.file_name()), fs::read(entry.path()).unwrap());
                }
            }
        }
        found
    }

    #[test]
    fn the_layout_is_right_and_bytes_do_not_depend_on_threads() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let summary = single.install(|| synthesize(&SMALL, one.path(), &Silent)).unwrap();
        assert_eq!((summary.images, summary.drawn), (24, 24));
        let triple = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        triple.install(|| synthesize(&SMALL, two.path(), &Silent)).unwrap();
        let (a, b) = (pictures(one.path()), pictures(two.path()));
        assert_eq!(a, b);
        assert_eq!(a.len(), 24);
        assert!(a.contains_key(Path::new("train/sea/00003.jpg")) && a.contains_key(Path::new("test/street/00001.jpg")));
        let contents: std::collections::BTreeSet<_> = a.values().collect();
        assert_eq!(contents.len(), a.len(), "two pictures have the same bytes");
        let picture = image::load_from_memory(&a[Path::new("test/forest/00001.jpg")]).unwrap();
        assert_eq!((picture.width(), picture.height()), (24, 24));
    }

    #[test]
    fn the_same_call_again_does_nothing_and_other_options_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        synthesize(&SMALL, dir.path(), &Silent).unwrap();
        assert_eq!(synthesize(&SMALL, dir.path(), &Silent).unwrap().drawn, 0);
        let error = synthesize(&SynthOptions { seed: 6, ..SMALL }, dir.path(), &Silent).unwrap_err();
        assert!(error.to_string().contains("seed 5") && error.to_string().contains("seed 6"), "{error}");
    }

    #[test]
    fn an_interrupted_folder_is_completed_to_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        synthesize(&SMALL, dir.path(), &Silent).unwrap();
        let whole = pictures(dir.path());
        write_marker(&SMALL, dir.path(), false).unwrap();
        fs::remove_file(dir.path().join("train/glacier/00002.jpg")).unwrap();
        assert_eq!(synthesize(&SMALL, dir.path(), &Silent).unwrap().drawn, 1);
        assert_eq!(pictures(dir.path()), whole);
    }

    #[test]
    fn foreign_folders_and_bad_options_are_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("holiday.jpg"), b"mine").unwrap();
        let error = synthesize(&SMALL, dir.path(), &Silent).unwrap_err();
        assert!(matches!(error, SynthError::ForeignFolder { .. }), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let fresh = dir.path().join("fresh");
        for options in [
            SynthOptions { size: 0, ..SMALL },
            SynthOptions { size: 100_000, ..SMALL },
            SynthOptions { train_per_class: 0, test_per_class: 0, ..SMALL },
            SynthOptions { test_per_class: 100_000, ..SMALL },
        ] {
            assert!(matches!(synthesize(&options, &fresh, &Silent), Err(SynthError::Option { .. })));
        }
        assert!(!fresh.exists());
    }
}
