//! The data doctor against planted defects, in copies of the real scenes where they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use image::{ExtendedColorType, ImageEncoder, ImageFormat, Pixel, Rgb, RgbImage, codecs::jpeg::JpegEncoder, imageops};
use kidu_core::{progress::Silent, rng};
use kidu_data::{
    DataError, DataSettings, OnNearDuplicate,
    check::{self, CheckReport, Evidence, Kind, Severity, Survey},
    prepare,
};
use rand::RngExt;

use crate::{
    real::scenes,
    support::{dir, settings},
};

/// Planted of each kind.
const EACH: usize = 20;
const CLASSES: [&str; 6] = ["buildings", "forest", "glacier", "mountain", "sea", "street"];

/// An 8x8 JPEG in CMYK as Pillow writes it.
const CMYK: [u8; 179] = [
    255, 216, 255, 238, 0, 14, 65, 100, 111, 98, 101, 0, 100, 0, 0, 0, 0, 0, 255, 219, 0, 67, 0, 3, 2, 2, 3, 2, 2, 3,
    3, 3, 3, 4, 3, 3, 4, 5, 8, 5, 5, 4, 4, 5, 10, 7, 7, 6, 8, 12, 10, 12, 12, 11, 10, 11, 11, 13, 14, 18, 16, 13, 14,
    17, 14, 11, 11, 16, 22, 16, 17, 19, 20, 21, 21, 21, 12, 15, 23, 24, 22, 20, 24, 18, 20, 21, 20, 255, 192, 0, 20, 8,
    0, 8, 0, 8, 4, 67, 17, 0, 77, 17, 0, 89, 17, 0, 75, 17, 0, 255, 196, 0, 22, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 8, 7, 9, 255, 196, 0, 20, 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 218, 0, 14, 4,
    67, 0, 77, 0, 89, 0, 75, 0, 0, 63, 0, 30, 52, 13, 99, 44, 223, 255, 217,
];

/// Photographs of a split, by class, sorted.
fn photographs(scenes: &Path, split: &str) -> Vec<(usize, PathBuf)> {
    let of_class = |(class, name): (usize, &&str)| {
        let mut files: Vec<PathBuf> =
            fs::read_dir(scenes.join(split).join(name)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(move |f| (class, f)).collect::<Vec<_>>()
    };
    CLASSES.iter().enumerate().flat_map(of_class).collect()
}

fn jpeg(image: &RgbImage, quality: u8, exif: Option<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).unwrap();
    }
    encoder.write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn png(image: impl Into<image::DynamicImage>) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn map(image: &RgbImage, value: impl Fn(f32) -> f32) -> RgbImage {
    RgbImage::from_fn(image.width(), image.height(), |x, y| image.get_pixel(x, y).map(|v| value(f32::from(v)) as u8))
}

/// A chunk of a PNG with its checksum.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&name[..], data].concat();
    let crc = body.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
    });
    [&(data.len() as u32).to_be_bytes()[..], &body, &(!crc).to_be_bytes()].concat()
}

/// One defect of a photograph: the bytes and the extension.
fn spoil(kind: Kind, image: &RgbImage, bytes: &[u8], rng: &mut rng::ChaCha8Rng) -> (Vec<u8>, &'static str) {
    let n = bytes.len();
    match kind {
        Kind::Corrupt => {
            let mut spoilt = bytes.to_vec();
            let at = rng.random_range(n / 4..3 * n / 4);
            spoilt[at..(at + 400).min(n - 2)].iter_mut().for_each(|b| *b = rng.random_range(0..=255));
            (spoilt, "jpg")
        }
        Kind::Truncated => (bytes[..rng.random_range(n / 3..n - 2)].to_vec(), "jpg"),
        Kind::UnreadableType => {
            let unique = rng.random_range(0..u32::MAX).to_string();
            match rng.random_range(0..4) {
                0 => ([b"GIF89a\x01\0\x01\0\0\0\0,".as_slice(), unique.as_bytes()].concat(), "jpg"),
                1 => ([b"BM\x46\0\0\0\0\0\0\0\x36\0".as_slice(), unique.as_bytes()].concat(), "bmp"),
                2 => ([b"\0\0\0\x18ftypheic".as_slice(), unique.as_bytes()].concat(), "heic"),
                _ => (format!("<html>not found {unique}</html>").into_bytes(), "png"),
            }
        }
        Kind::WrongExtension => (png(image.clone()), "jpg"),
        Kind::Tiny => (jpeg(&imageops::thumbnail(image, 20, 20), 90, None), "jpg"),
        Kind::TooDark => (jpeg(&map(image, |v| v * 0.18), 90, None), "jpg"),
        Kind::TooBright => (jpeg(&map(image, |v| 205.0 + v * 0.19), 90, None), "jpg"),
        Kind::LowContrast => (jpeg(&map(image, |v| 110.0 + v * 0.13), 95, None), "jpg"),
        Kind::Blurry => (jpeg(&imageops::blur(image, 3.0), 90, None), "jpg"),
        Kind::OddAspect => (jpeg(&imageops::crop_imm(image, 0, 50, 150, 40).to_image(), 90, None), "jpg"),
        Kind::ExifRotated => {
            let tag = [&b"II*\0"[..], &[8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0], &[0; 4]].concat();
            (jpeg(&imageops::rotate270(image), 90, Some(tag)), "jpg")
        }
        Kind::Greyscale => (png(image::DynamicImage::ImageRgb8(image.clone()).into_luma8()), "png"),
        Kind::Cmyk => ([&CMYK[..], &rng.random_range(0..u32::MAX).to_be_bytes()].concat(), "jpg"),
        Kind::Alpha => (png(image::DynamicImage::ImageRgb8(image.clone()).into_rgba8()), "png"),
        Kind::Animated => {
            let still = png(image.clone());
            let control = chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
            ([&still[..33], &control, &still[33..]].concat(), "png")
        }
        other => panic!("{other} is not planted here"),
    }
}

const SPOILT: [Kind; 15] = [
    Kind::Corrupt,
    Kind::Truncated,
    Kind::UnreadableType,
    Kind::WrongExtension,
    Kind::Tiny,
    Kind::TooDark,
    Kind::TooBright,
    Kind::LowContrast,
    Kind::Blurry,
    Kind::OddAspect,
    Kind::ExifRotated,
    Kind::Greyscale,
    Kind::Cmyk,
    Kind::Alpha,
    Kind::Animated,
];

/// Copies of a photograph that a perceptual hash should know again.
fn copy_nearly(way: usize, image: &RgbImage, rng: &mut rng::ChaCha8Rng) -> Vec<u8> {
    match way {
        0 => jpeg(image, rng.random_range(30..60), None),
        1 => {
            // 5 % of each side, anywhere.
            let (x, y) = (rng.random_range(0..=7u32), rng.random_range(0..=7u32));
            jpeg(&imageops::crop_imm(image, x, y, 143, 143).to_image(), 90, None)
        }
        2 => jpeg(&map(image, |v| (v * 1.3).min(255.0)), 90, None),
        3 => jpeg(&imageops::resize(image, 90, 90, imageops::FilterType::Triangle), 85, None),
        _ => jpeg(&imageops::flip_horizontal(image), 90, None),
    }
}
const WAYS: [&str; 5] = ["re-encoded", "cropped by 5 %", "brightened", "made smaller", "mirrored"];

/// A folder with photographs as they are, and where each planted defect lies.
struct Planted {
    root: PathBuf,
    spoilt: BTreeMap<Kind, BTreeSet<String>>,
    /// Source and copy, by the way of copying.
    near: Vec<Vec<(String, String)>>,
    /// Source and copy within a split, across splits, and under another class.
    exact: [Vec<(String, String)>; 3],
}

fn plant(scenes: &Path, root: PathBuf) -> Planted {
    let mut rng = rng::stream(7, "planted", &[]);
    let (train, test) = (photographs(scenes, "train"), photographs(scenes, "test"));
    let put = |path: &str, bytes: &[u8]| {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    };
    // Every fourth photograph stays as it is; those in between are sources of what is spoilt, so that a spoilt copy is
    // not a near duplicate as well.
    let name = |split: &str, (class, path): &(usize, PathBuf)| {
        format!("{split}/{}/{}", CLASSES[*class], path.file_name().unwrap().to_str().unwrap())
    };
    let sound: Vec<&(usize, PathBuf)> = train.iter().step_by(4).collect();
    for photo in &sound {
        put(&name("train", photo), &fs::read(&photo.1).unwrap());
    }
    for photo in test.iter().step_by(4) {
        put(&name("test", photo), &fs::read(&photo.1).unwrap());
    }
    let mut others = train.iter().enumerate().filter(|(i, _)| i % 4 != 0).map(|(_, p)| p);
    let mut spoilt: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
    for kind in SPOILT {
        for i in 0..EACH {
            let (class, path) = others.next().unwrap();
            let bytes = fs::read(path).unwrap();
            let image = image::load_from_memory(&bytes).unwrap().into_rgb8();
            let (bytes, extension) = spoil(kind, &image, &bytes, &mut rng);
            let path = format!("train/{}/{kind}-{i:02}.{extension}", CLASSES[*class]);
            put(&path, &bytes);
            spoilt.entry(kind).or_default().insert(path);
        }
    }
    let mut sources = sound.iter().copied().step_by(3);
    let mut near = Vec::new();
    for way in 0..WAYS.len() {
        let copy = |i: usize| {
            let photo = sources.next().unwrap();
            let image = image::open(&photo.1).unwrap().into_rgb8();
            let path = format!("test/{}/near-{way}-{i:02}.jpg", CLASSES[photo.0]);
            put(&path, &copy_nearly(way, &image, &mut rng));
            (name("train", photo), path)
        };
        near.push((0..EACH).map(copy).collect());
    }
    let mut sources = sound.iter().copied().skip(1).step_by(3);
    let exact = [0, 1, 2].map(|way| {
        let copy = |i: usize| {
            let photo = sources.next().unwrap();
            let (split, class) = [("train", photo.0), ("test", photo.0), ("train", (photo.0 + 1) % 6)][way];
            let path = format!("{split}/{}/exact-{way}-{i:02}.jpg", CLASSES[class]);
            put(&path, &fs::read(&photo.1).unwrap());
            (name("train", photo), path)
        };
        (0..EACH).map(copy).collect()
    });
    Planted { root, spoilt, near, exact }
}

fn checked(settings: &DataSettings, cache: Option<&Path>) -> (Survey, CheckReport, usize) {
    let out = dir();
    let survey = Survey::of(settings.root.as_deref().unwrap(), out.path(), &Silent).unwrap();
    let measured = check::measure(&survey, settings, cache, &Silent).unwrap();
    let report = check::judge(&survey, &measured.facts, &Evidence::default(), settings, 42, &Silent).unwrap();
    (survey, report, measured.from_cache)
}

/// Files of the findings of a kind.
fn files_of(report: &CheckReport, kind: Kind) -> BTreeSet<String> {
    report.findings.iter().filter(|f| f.kind == kind).flat_map(|f| f.files.iter().map(|r| r.path.clone())).collect()
}

/// The share of pairs that stand together in a finding of one of the kinds.
fn found_together(report: &CheckReport, kinds: &[Kind], pairs: &[(String, String)]) -> f64 {
    let groups = report.findings.iter().filter(|f| kinds.contains(&f.kind));
    let groups: Vec<BTreeSet<&str>> = groups.map(|f| f.files.iter().map(|r| r.path.as_str()).collect()).collect();
    let together = |(a, b): &&(String, String)| groups.iter().any(|g| g.contains(a.as_str()) && g.contains(b.as_str()));
    pairs.iter().filter(together).count() as f64 / pairs.len() as f64
}

#[test]
fn planted_defects_are_found() {
    let Some(scenes) = scenes() else { return };
    let folder = dir();
    let planted = plant(&scenes, folder.path().join("photos"));
    let mut settings = settings(&planted.root);
    settings.check.label_errors = false;
    let cache = folder.path().join("cache.jsonl");
    let (survey, report, _) = checked(&settings, Some(&cache));
    println!("{} files, {} findings", report.images, report.findings.len());

    let mut short = Vec::new();
    for (kind, expected) in &planted.spoilt {
        let found = files_of(&report, *kind);
        let hits = expected.intersection(&found).count() as f64;
        let (recall, precision) = (hits / expected.len() as f64, hits / found.len().max(1) as f64);
        println!("{:<16} recall {recall:.2}, precision {precision:.2}", kind.name());
        // The photographs themselves hold grey, dark and soft ones.
        let least = match kind {
            Kind::Corrupt | Kind::Truncated | Kind::UnreadableType => (0.95, 0.9),
            // Some of the unreadable ones have another type's name as well.
            Kind::WrongExtension => (0.95, 0.8),
            // Every stub of a file and the drawn CMYK picture are tiny too.
            Kind::Tiny => (0.95, 0.45),
            // Pictures in fog are low in contrast by nature.
            Kind::LowContrast => (0.95, 0.4),
            Kind::Greyscale => (0.95, 0.1),
            _ => (0.9, 0.6),
        };
        if recall < least.0 || precision < least.1 {
            short.push(format!("{kind}: recall {recall:.2}, precision {precision:.2}"));
        }
    }
    assert!(short.is_empty(), "{short:?}");
    for (kind, pairs) in
        [Kind::ExactDuplicate, Kind::DuplicateAcrossSplits, Kind::ConflictingLabels].iter().zip(&planted.exact)
    {
        let recall = found_together(&report, &[*kind], pairs);
        println!("{:<28} recall {recall:.2}", kind.name());
        assert!(recall >= 0.95, "{kind}: {recall}");
    }
    let kinds = [Kind::NearDuplicateAcrossSplits, Kind::NearDuplicate];
    for (way, pairs) in WAYS.iter().zip(&planted.near) {
        let recall = found_together(&report, &kinds, pairs);
        println!("near: {way:<22} recall {recall:.2}");
        assert!(recall >= 0.8, "{way}: {recall}");
    }
    let real: BTreeSet<(&str, &str)> =
        planted.near.iter().flatten().flat_map(|(a, b)| [(a.as_str(), b.as_str()), (b, a)]).collect();
    let claimed: Vec<_> = report.findings.iter().filter(|f| kinds.contains(&f.kind)).flat_map(|f| &f.pairs).collect();
    let right = claimed.iter().filter(|p| real.contains(&(p.a.as_str(), p.b.as_str()))).count();
    let precision = right as f64 / claimed.len() as f64;
    println!("near duplicates: precision {precision:.3} of {} pairs", claimed.len());
    assert!(precision >= 0.95);

    // The second time nothing is read, and the result is the same.
    let (_, again, from_cache) = checked(&settings, Some(&cache));
    assert_eq!(from_cache, survey.files.len());
    assert_eq!(again.findings, report.findings);

    fix_and_undo(&planted, &survey, &report, &settings);
}

/// All errors go to quarantine, what is left is trained on, and undoing restores every byte.
fn fix_and_undo(planted: &Planted, survey: &Survey, report: &CheckReport, settings: &DataSettings) {
    let tree = |root: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut files, mut folders) = (BTreeMap::new(), vec![root.to_path_buf()]);
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(path.clone(), fs::read(&path).unwrap());
                }
            }
        }
        files
    };
    let before = tree(&planted.root);
    let removals = check::plan(&report.findings, |f| f.severity == Severity::Error);
    let fixed = check::fix(survey, &removals, &|| false).unwrap();
    assert_eq!(fixed.moved, removals);
    assert_eq!(tree(&planted.root).len(), before.len() - removals.len());
    let (_, left, _) = checked(settings, None);
    assert_eq!(left.at_least(Severity::Error), 0, "{:?}", left.summary);
    let out = dir();
    prepare(settings, 1, out.path(), &Silent).unwrap();
    let undone = check::undo(&fixed.journal.unwrap()).unwrap();
    assert_eq!((undone.restored.len(), undone.kept.len()), (removals.len(), 0));
    assert!(tree(&planted.root) == before, "the tree is not what it was");
}

#[test]
fn flipped_labels_rank_first() {
    let Some(scenes) = scenes() else { return };
    let folder = dir();
    let root = folder.path().join("photos");
    let mut rng = rng::stream(11, "flipped", &[]);
    let mut flipped = BTreeSet::new();
    for (i, (class, path)) in photographs(&scenes, "train").iter().enumerate() {
        let wrong = i % 10 == 3;
        let label = if wrong { (class + rng.random_range(1..6usize)) % 6 } else { *class };
        let name = format!("{}/{i:04}.jpg", CLASSES[label]);
        fs::create_dir_all(root.join(CLASSES[label])).unwrap();
        fs::copy(path, root.join(&name)).unwrap();
        if wrong {
            flipped.insert(name);
        }
    }
    let (_, report, _) = checked(&settings(&root), None);
    let labels = report.labels.as_ref().unwrap();
    let fifth = labels.scores.len() / 5;
    let hits = labels.scores[..fifth].iter().filter(|(path, _)| flipped.contains(path)).count();
    let suspects: Vec<&str> =
        report.findings.iter().filter(|f| f.kind == Kind::LabelError).map(|f| f.files[0].path.as_str()).collect();
    let right = suspects.iter().filter(|p| flipped.contains(**p)).count();
    let top = &suspects[..suspects.len() / 5];
    let top_right = top.iter().filter(|p| flipped.contains(**p)).count();
    println!(
        "{} flipped of {}: {hits} among the {fifth} lowest scores; {} suspects hold {right}; their first fifth ({}) holds {top_right}; accuracy {:.3}",
        flipped.len(),
        labels.scores.len(),
        suspects.len(),
        top.len(),
        labels.accuracy
    );
    assert!(2 * hits >= flipped.len(), "{hits} of {}", flipped.len());
    assert!(labels.source.contains("--bundle"), "says what would do better");
    assert!(report.findings.iter().filter(|f| f.kind == Kind::LabelError).all(|f| f.severity == Severity::Info));
}

#[test]
fn the_real_scenes_have_no_leakage_and_no_errors() {
    let Some(scenes) = scenes() else { return };
    let mut settings = settings(&scenes);
    settings.check.label_errors = false;
    let (_, report, _) = checked(&settings, None);
    report.summary.iter().for_each(|l| println!("{:<8} {:<30} {}", l.severity.name(), l.kind.name(), l.findings));
    assert_eq!(report.at_least(Severity::Error), 0, "{:?}", report.findings.first());
    assert!(files_of(&report, Kind::NearDuplicate).len() <= 4);
}

/// A picture that no other number gives, large enough to be recognised.
fn picture(number: u64) -> RgbImage {
    let mut rng = rng::stream(number, "picture", &[]);
    let mut image = RgbImage::from_pixel(80, 80, Rgb([128; 3]));
    for _ in 0..25 {
        let (x, y, w, h) = (
            rng.random_range(0..70u32),
            rng.random_range(0..70u32),
            rng.random_range(6..40u32),
            rng.random_range(6..40u32),
        );
        let colour = Rgb([rng.random_range(0..=255), rng.random_range(0..=255), rng.random_range(0..=255)]);
        (y..(y + h).min(80)).for_each(|y| (x..(x + w).min(80)).for_each(|x| image.put_pixel(x, y, colour)));
    }
    image
}

fn put_picture(root: &Path, path: &str, image: &RgbImage, quality: u8) {
    fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
    fs::write(root.join(path), jpeg(image, quality, None)).unwrap();
}

#[test]
fn training_refuses_near_duplicates_across_splits_unless_told() {
    let folder = dir();
    let root = folder.path().join("photos");
    for i in 0..12 {
        put_picture(&root, &format!("train/{}/{i:02}.jpg", ["a", "b"][i % 2]), &picture(i as u64), 90);
        put_picture(&root, &format!("test/{}/{i:02}.jpg", ["a", "b"][i % 2]), &picture(100 + i as u64), 90);
    }
    put_picture(&root, "test/a/copy.jpg", &picture(4), 40);
    let with = |policy| {
        let out = dir();
        prepare(&DataSettings { on_near_duplicate: policy, ..settings(&root) }, 1, out.path(), &Silent)
    };
    let error = with(OnNearDuplicate::Error).unwrap_err();
    assert!(matches!(error, DataError::NearDuplicates { .. }));
    let message = error.to_string();
    assert!(message.contains("test/a/copy.jpg (test) ~ train/a/04.jpg (train)"), "{message}");
    assert!(message.contains("data.on_near_duplicate=drop"), "{message}");

    let dropped = with(OnNearDuplicate::Drop).unwrap();
    assert!(dropped.manifest.items.iter().all(|i| i.path != "train/a/04.jpg") && dropped.manifest.items.len() == 24);
    assert_eq!(dropped.report.near_duplicates.len(), 1);
    let warned = with(OnNearDuplicate::Warn).unwrap();
    assert!(
        warned.report.notes.iter().any(|n| n.contains("on_near_duplicate=warn")) && warned.manifest.items.len() == 25
    );
    assert_eq!(with(OnNearDuplicate::Allow).unwrap().manifest.items.len(), 25);
}

#[test]
fn near_duplicates_are_divided_into_one_split() {
    let folder = dir();
    let root = folder.path().join("photos");
    for i in 0..40u64 {
        let class = ["a", "b"][i as usize % 2];
        put_picture(&root, &format!("{class}/{i:02}.jpg"), &picture(i), 92);
        put_picture(&root, &format!("{class}/{i:02}-again.jpg"), &picture(i), 50);
    }
    let out = dir();
    let settings = DataSettings { train_val_test_split: [0.5, 0.25, 0.25], ..settings(&root) };
    let prepared = prepare(&settings, 3, out.path(), &Silent).unwrap();
    let split = |name: &str| prepared.manifest.items.iter().find(|i| i.path.ends_with(name)).unwrap().split;
    let parted = (0..40).filter(|i| split(&format!("{i:02}.jpg")) != split(&format!("{i:02}-again.jpg"))).count();
    assert_eq!(parted, 0);
    assert!(prepared.report.notes.iter().any(|n| n.contains("went to the split of others")));
}

#[test]
fn what_training_would_refuse_is_told_and_not_an_error_of_the_check() {
    let folder = dir();
    let root = folder.path().join("photos");
    for i in 0..12 {
        put_picture(&root, &format!("sea/{i:02}.jpg"), &picture(i), 90);
    }
    put_picture(&root, "Sea /1.jpg", &picture(50), 90);
    fs::create_dir_all(root.join("glacier")).unwrap();
    fs::write(root.join("sea/old.gif"), b"GIF89a\x01\0\x01\0\0\0\0").unwrap();
    fs::write(root.join("sea/empty.jpg"), b"").unwrap();
    let (survey, report, _) = checked(&settings(&root), None);
    assert_eq!(survey.classes, ["Sea ", "glacier", "sea"]);
    let kinds: BTreeSet<Kind> = report.findings.iter().map(|f| f.kind).collect();
    for kind in [
        Kind::EmptyClass,
        Kind::UnreadableType,
        Kind::Corrupt,
        Kind::SimilarClassNames,
        Kind::ClassTooSmall,
        Kind::ClassImbalance,
    ] {
        assert!(kinds.contains(&kind), "{kind} is not among {kinds:?}");
    }
    assert!(DataSettings { root: Some(root), ..DataSettings::default() }.validate().is_ok());
}

#[test]
fn only_what_has_changed_is_measured_again() {
    let folder = dir();
    let root = folder.path().join("photos");
    for i in 0..12 {
        put_picture(&root, &format!("{}/{i:02}.jpg", ["a", "b"][i % 2]), &picture(i as u64), 90);
    }
    std::thread::sleep(std::time::Duration::from_millis(30));
    let cache = folder.path().join("cache.jsonl");
    let settings = settings(&root);
    assert_eq!(checked(&settings, Some(&cache)).2, 0);
    assert_eq!(checked(&settings, Some(&cache)).2, 12);
    fs::write(root.join("a/00.jpg"), b"now it is text").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(30));
    let (_, report, known) = checked(&settings, Some(&cache));
    assert_eq!((known, files_of(&report, Kind::UnreadableType).len()), (11, 1));
    // Other limits, other measurements; a torn cache knows the less.
    assert_eq!(checked(&DataSettings { max_side: 79, ..settings.clone() }, Some(&cache)).2, 0);
    checked(&settings, Some(&cache));
    let bytes = fs::read(&cache).unwrap();
    fs::write(&cache, &bytes[..bytes.len() / 2]).unwrap();
    let known = checked(&settings, Some(&cache)).2;
    assert!(known > 0 && known < 12, "{known}");
}
