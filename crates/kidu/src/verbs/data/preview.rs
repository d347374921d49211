//! `kidu data preview`: a contact sheet of the augmentation, to look at it before it is trained with.

pub(in crate::verbs) mod sheet;

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use kidu_core::{DatasetManifest, Filter, ImageSpec, Progress, Split, files, model, rng};
use kidu_data::{DataSettings, Index, archive, load_one};
use kidu_image::{
    AugmentSettings, Augmenter, Preprocessor, RgbImage, augment::AugmentationPipeline, augment::Transform,
};
use rand::RngExt;
use serde::Serialize;
use serde_json::json;

use self::sheet::{Cell, Row, Sheet};
use crate::{
    Outcome,
    cli::PreviewArgs,
    failure::Failure,
    settings::{self, need},
    ui::{self, Console},
};

/// One image to look at.
#[derive(Serialize)]
struct Photo {
    path: PathBuf,
    class: Option<String>,
    /// Its place in the training split, which its random numbers depend on.
    index: u64,
}

pub(super) fn run(arguments: &PreviewArgs) -> Outcome {
    let configuration = settings::load(&arguments.config, "train")?;
    let settings = &configuration.settings;
    let (data, model) = (need(&settings.data, "data")?, need(&settings.model, "model")?);
    let record = model::find(&model.name)?;
    let spec = data.image_spec(&record.image, record.crop_pct);
    let seed = arguments.seed.unwrap_or(settings.seed);
    let console = Console::new();
    if data.augmentation.is_none() && !arguments.each {
        return Err(Failure::usage(
            "data.augmentation does nothing, so there is nothing to see: set data.augmentation.pipeline to 0 or 1, or ask \
             for --each",
        ));
    }
    let wanted = if arguments.each { 1 } else { arguments.rows as usize };
    // Of an archive; it goes when the command ends.
    let extracted = tempfile::tempdir().map_err(anyhow::Error::from)?;
    let photos = photos(arguments, data, (wanted, seed), extracted.path(), &console)?;
    let rows = if arguments.each {
        each(&photos[0], data, &spec, (arguments, seed))?
    } else {
        copies(&photos, data, &spec, (arguments, seed), &console)?
    };
    let head = if arguments.each { "strength drawn anew in each column" } else { "one column for each epoch" };
    let title =
        format!("data.augmentation of this configuration, {}x{} pixels, seed {seed}: {head}", spec.width, spec.height);
    let sheet = Sheet { title, columns: arguments.columns as usize, tile: arguments.tile, rows };
    let image = sheet.draw(arguments.background);
    files::write_atomic(&arguments.out, &sheet::png(&image)?)?;
    if arguments.output.json {
        ui::json(&json!({
            "out": arguments.out,
            "width": image.width(),
            "height": image.height(),
            "seed": seed,
            "columns": arguments.columns,
            "rows": sheet.rows.iter().map(|row| &row.label).collect::<Vec<_>>(),
            "images": photos,
            "augmentation": data.augmentation.canonical(),
        }))?;
    }
    ui::place("wrote", &arguments.out);
    Ok(())
}

/// What training sees: a row for each image, the original first, then its copy in each epoch.
fn copies(
    photos: &[Photo],
    data: &DataSettings,
    spec: &ImageSpec,
    (arguments, seed): (&PreviewArgs, u64),
    progress: &dyn Progress,
) -> Outcome<Vec<Row>> {
    let augmenter = augmenter(&data.augmentation, spec)?;
    progress.begin("augment", "images", Some(photos.len() as u64));
    let rows = photos
        .iter()
        .map(|photo| {
            let original = load_one(&photo.path, &data.limits())?;
            let copy = |epoch| augmenter.apply(&original, &mut rng::stream(seed, "augment", &[epoch, photo.index]));
            let cells = (0..u64::from(arguments.columns)).map(copy);
            let label = photo.class.clone().unwrap_or_else(|| file_name(&photo.path));
            let row = row(label, &original, cells, arguments.tile, spec);
            progress.advance(1);
            Ok(row)
        })
        .collect::<Outcome<Vec<Row>>>();
    progress.end();
    rows
}

/// A row for each transform of the configured list, surely applied; without a list, for all there are.
fn each(
    photo: &Photo,
    data: &DataSettings,
    spec: &ImageSpec,
    (arguments, seed): (&PreviewArgs, u64),
) -> Outcome<Vec<Row>> {
    let original = load_one(&photo.path, &data.limits())?;
    let mut single = Vec::new();
    flatten(&data.augmentation.list(), &mut single);
    if single.is_empty() {
        let all: Vec<Transform> = Transform::NAMES.iter().filter_map(|name| Transform::by_name(name)).collect();
        flatten(&all, &mut single);
    }
    single
        .into_iter()
        .map(|transform| {
            let label = transform.name().to_string();
            let settings = AugmentSettings {
                pipeline: AugmentationPipeline::Albumentations,
                transforms: Some(vec![transform.with_p(1.0)]),
                ..AugmentSettings::none()
            };
            let augmenter = augmenter(&settings, spec)?;
            let copy = |column| augmenter.apply(&original, &mut rng::stream(seed, "augment", &[column, photo.index]));
            Ok(row(label, &original, (0..u64::from(arguments.columns)).map(copy), arguments.tile, spec))
        })
        .collect()
}

fn augmenter(settings: &AugmentSettings, spec: &ImageSpec) -> Outcome<Augmenter> {
    // Checked with the rest of the configuration already.
    Augmenter::new(settings, spec).map_err(Failure::usage)
}

/// The transforms without their groups.
fn flatten(transforms: &[Transform], out: &mut Vec<Transform>) {
    for transform in transforms {
        match transform {
            Transform::OneOf(group) => flatten(&group.transforms, out),
            Transform::Sequential(group) => flatten(&group.transforms, out),
            single => out.push(single.clone()),
        }
    }
}

fn row(label: String, original: &RgbImage, copies: impl Iterator<Item = RgbImage>, tile: u32, spec: &ImageSpec) -> Row {
    let shown = |image: &RgbImage| Preprocessor::new(&ImageSpec::imagenet(tile, Filter::Bicubic)).resize(image);
    let first = Cell { caption: "original".into(), image: shown(&Preprocessor::new(spec).resize(original)) };
    let others = copies.enumerate().map(|(i, image)| Cell { caption: (i + 1).to_string(), image: shown(&image) });
    Row { label, cells: std::iter::once(first).chain(others).collect() }
}

/// Images of the command line, of a split made before, or a random choice from `data.root`.
fn photos(
    arguments: &PreviewArgs,
    data: &DataSettings,
    (wanted, seed): (usize, u64),
    extract_to: &Path,
    progress: &dyn Progress,
) -> Outcome<Vec<Photo>> {
    if !arguments.image.is_empty() {
        let photo = |(index, path): (usize, &PathBuf)| Photo { path: path.clone(), class: None, index: index as u64 };
        return Ok(arguments.image.iter().enumerate().map(photo).collect());
    }
    let all = match &arguments.manifest.manifest {
        Some(path) => of_manifest(&DatasetManifest::load(path)?),
        None => of_root(data, extract_to, progress)?,
    };
    if all.is_empty() {
        return Err(Failure::usage("the data have no training image to look at; check data.root"));
    }
    let mut order: Vec<usize> = (0..all.len()).collect();
    let mut rng = rng::stream(seed, "preview", &[]);
    let count = wanted.min(all.len());
    for i in 0..count {
        let other = rng.random_range(i as u64..all.len() as u64) as usize;
        order.swap(i, other);
    }
    let mut all: Vec<Option<Photo>> = all.into_iter().map(Some).collect();
    Ok(order[..count].iter().filter_map(|i| all[*i].take()).collect())
}

fn of_manifest(manifest: &DatasetManifest) -> Vec<Photo> {
    let photo = |(index, item): (usize, &kidu_core::DatasetItem)| Photo {
        path: manifest.file_of(item),
        class: manifest.classes.get(item.label).map(String::from),
        index: index as u64,
    };
    manifest.items_of(Split::Train).enumerate().map(photo).collect()
}

fn of_root(data: &DataSettings, extract_to: &Path, progress: &dyn Progress) -> Outcome<Vec<Photo>> {
    let root = data.root.as_deref().ok_or_else(|| {
        Failure::usage("nothing to look at: give images with --image FILE, or data.root=DIR, or --manifest FILE")
    })?;
    Ok(of_index(&Index::of(&archive::opened(root, extract_to, progress)?)?))
}

fn of_index(index: &Index) -> Vec<Photo> {
    let trained = index.entries.iter().filter(|entry| entry.given.is_none_or(|split| split == Split::Train));
    let photo = |(i, entry): (usize, &kidu_data::index::IndexEntry)| Photo {
        path: index.root.join(&entry.path),
        class: index.classes.get(entry.label).map(String::from),
        index: i as u64,
    };
    trained.enumerate().map(photo).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or(Cow::Borrowed("image"), |name| name.to_string_lossy()).into_owned()
}
