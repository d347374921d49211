//! What happens to data before it is split, as the build pipeline's first step asks for it: annotations are brought in,
//! everything is looked over, and what will be split is kept as a version.

use std::{borrow::Cow, path::Path};

use kidu_core::{Progress, files};
use kidu_data::{
    DataSettings, Decoded, Index, OnBadImage, OnDuplicate, OnNearDuplicate,
    archive::ArchiveKind,
    check::{self, CheckReport, Evidence, Kind, Survey, gallery},
    versions::{SnapshotOptions, pinned_source, snapshot},
    working_copy,
};
use serde_json::{Value, json};

use super::{
    check::{self as doctor, tables},
    import,
};
use crate::{
    Outcome,
    cli::{FailOn, SplitArgs},
    failure::Failure,
    ui::Console,
    verbs::model,
};

/// The folder of the run in which the images of the data and of the annotations come together.
const SOURCE: &str = "source";

/// A parameter of a pipeline cannot be left out; this stands for nothing.
const NOTHING: &str = "none";

/// Does what the options ask for. The data group that is returned has the root that is to be split; what the doctor has
/// decoded need not be decoded again.
pub(super) fn preprocess<'a>(
    arguments: &SplitArgs,
    data: &'a DataSettings,
    seed: u64,
    dir: &Path,
    console: &Console,
) -> Outcome<(Cow<'a, DataSettings>, Decoded)> {
    let sources: Vec<String> = given(&arguments.annotations).cloned().collect();
    let mut data = Cow::Borrowed(data);
    let mut origin = json!({"root": data.root});
    let store = arguments.snapshot.as_ref().filter(|s| !s.as_os_str().is_empty() && s.as_os_str() != NOTHING);
    if !sources.is_empty() || store.is_some() {
        let Some(root) = &data.root else { return Err(Failure::usage("data.root is not set")) };
        if data.version.is_some() {
            return Err(Failure::usage(
                "data.version names data that stays as it is: leave out --annotations and --snapshot",
            ));
        }
        let to = dir.join(SOURCE);
        working_copy(root, &to, dir, console)?;
        origin["annotations"] = bring_in(arguments, &sources, &to, console)?;
        data.to_mut().root = Some(to);
    }
    let decoded = match arguments.check {
        Some(level) => look_over(&data, level, seed, dir, console)?,
        None => Decoded::default(),
    };
    if let Some(store) = store {
        let root = data.root.clone().unwrap_or_default();
        let options = SnapshotOptions {
            message: "split for training".into(),
            author: model::actor(None),
            dataset: origin["root"].as_str().and_then(|r| Path::new(r).file_stem()).map(|s| s.to_string_lossy().into()),
            source: Some(origin),
            ..SnapshotOptions::default()
        };
        let taken = snapshot(store, &root, &options, console)?;
        let known = if taken.new { "" } else { ", known already" };
        console.note(&format!("data version {}{known}, kept in {}", taken.version.id.short(), store.display()));
        data.to_mut().store = Some(store.clone());
    }
    Ok((data, decoded))
}

fn given(values: &[String]) -> impl Iterator<Item = &String> {
    values.iter().filter(|v| !v.trim().is_empty() && *v != NOTHING)
}

fn bring_in(arguments: &SplitArgs, sources: &[String], to: &Path, console: &Console) -> Outcome<Value> {
    if sources.is_empty() {
        return Ok(Value::Null);
    }
    let images: Vec<String> = given(&arguments.annotation_images).cloned().collect();
    let new_classes = arguments.new_classes.as_deref().filter(|choice| !choice.is_empty());
    let report = import::bring_in(sources, &images, new_classes, to, console)?;
    console.note(import::summary(&report).trim_end());
    import::details(&report, console);
    Ok(json!({"sources": sources, "classes": report.classes}))
}

/// The data doctor without a network. Its gallery and its findings stay in the run's folder.
fn look_over(data: &DataSettings, level: FailOn, seed: u64, dir: &Path, console: &Console) -> Outcome<Decoded> {
    // Of a version, what the folder is now says nothing.
    let Some(root) = pinned_source(data, console)? else { return Err(Failure::usage("data.root is not set")) };
    if ArchiveKind::of(&root).is_none() {
        // What is no dataset at all is told as such.
        Index::of(&root)?;
    }
    let survey = Survey::of(&root, dir, console)?;
    let measured = check::measure(&survey, data, None, console)?;
    let mut report = check::judge(&survey, &measured.facts, &Evidence::default(), data, seed, console)?;
    gallery::save(&dir.join(gallery::FILE), &report, &data.limits(), data.check.gallery_images, console)?;
    files::write_json(&dir.join(CheckReport::FILE), &report)?;
    // Without the folder, which a pipeline moves when the step has succeeded; both callers say at the end where it is.
    console.note(&format!("looked over: {} findings, all in {}", report.findings.len(), gallery::FILE));
    report.retain(|finding| !is_settled(finding.kind, data));
    tables::worst(&report).iter().for_each(|line| console.note(line));
    doctor::outcome(level, &report)?;
    Ok(Decoded::of(measured.facts, &data.limits()))
}

/// Whether the settings say what becomes of such files, other than that they stop the training.
fn is_settled(kind: Kind, data: &DataSettings) -> bool {
    match kind {
        Kind::Corrupt | Kind::Truncated | Kind::UnreadableType | Kind::Oversized => {
            data.on_bad_image != OnBadImage::Error
        }
        Kind::DuplicateAcrossSplits | Kind::ConflictingLabels => data.on_duplicate != OnDuplicate::Error,
        Kind::NearDuplicateAcrossSplits => data.on_near_duplicate != OnNearDuplicate::Error,
        _ => false,
    }
}
