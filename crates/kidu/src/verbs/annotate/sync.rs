//! `kidu annotate sync`.

use std::{fs, path::Path, time::Duration};

use anyhow::Context;
use kidu_annotate::{
    AnnotateError, LabelStudioClient,
    client::{Project, S3Storage, StorageKind},
};
use kidu_annotations::{ImportError, ImportReport, import};
use kidu_core::Progress;
use kidu_data::versions::{Snapshot, SnapshotOptions, snapshot};
use serde_json::{Value, json};

use super::server::{self, Access};
use crate::{
    Outcome,
    cli::{ImportArgs, SyncArgs},
    failure::Failure,
    ui::{self, Console},
    verbs::{
        data::{changes, import as importing, store},
        model,
    },
};

/// The word for Label Studio's API.
const API: &str = "api";
/// The word for the project's own target storage.
const TARGET: &str = "target";

pub(super) fn run(arguments: &SyncArgs) -> Outcome {
    let network = &arguments.dataset.network;
    // That of images is short; Label Studio answers when all is written.
    let access = Access { server: &network.server, timeout: network.timeout.max(600.0) };
    let console = Console::new();
    let client = server::connect(&access, &console)?;
    let project = server::find(&client, &arguments.which)?;
    let targets = client.storages(StorageKind::Target, project.id)?;
    let patience = Duration::from_secs_f64(access.timeout);
    let synced = synchronise(&client, &targets, arguments, patience, &console)?;
    let scratch = tempfile::tempdir().map_err(anyhow::Error::from)?;
    let source = source(&client, &project, &targets, arguments, scratch.path(), &console)?;
    let report = bring_in(arguments, source, written(arguments, &synced), &project, &client, &console)?;
    let taken = keep(arguments, &report, &project, &client, &console)?;
    if arguments.output.json {
        ui::json(&json!({
            "project": {"id": project.id, "title": project.title},
            "storages": synced,
            "import": report,
            "snapshot": taken.as_ref().map(as_json),
        }))?;
    } else {
        ui::line(importing::summary(&report).trim_end());
        if let Some(taken) = &taken {
            ui::line(told(taken));
        }
    }
    importing::details(&report, &console);
    if !report.dry_run {
        ui::place("dataset", &arguments.dataset.into);
    }
    Ok(())
}

/// Has Label Studio write what it has not written yet: annotations that were made in bulk.
fn synchronise(
    client: &LabelStudioClient,
    targets: &[S3Storage],
    arguments: &SyncArgs,
    patience: Duration,
    console: &Console,
) -> Outcome<Vec<S3Storage>> {
    let mut synced = Vec::new();
    if arguments.no_storage_sync || arguments.dataset.dry_run {
        return Ok(synced);
    }
    for target in targets {
        let mut storage = match client.sync_storage(StorageKind::Target, target.id) {
            Ok(storage) => storage,
            // What the API tells needs no storage.
            Err(refused @ AnnotateError::Refused { .. }) if arguments.from == API => {
                console.note(&format!("target storage {} could not be synchronised: {refused}", place_of(target)));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if arguments.from == TARGET && storage.is_under_way() {
            storage = when_written(client, storage, patience, console)?;
        }
        let (place, status) = (place_of(&storage), storage.status.as_deref().unwrap_or("unknown"));
        console
            .note(&format!("target storage {place}: {status}, {} annotations", storage.last_sync_count.unwrap_or(0)));
        if status == "failed" && arguments.from == TARGET {
            return Err(Failure::Failed(anyhow::anyhow!(
                "Label Studio could not write its annotations to {place}: {}; see the storage in the project's settings, \
                 or read them with --from api",
                storage.reason()
            )));
        }
        synced.push(storage);
    }
    Ok(synced)
}

/// The storage when Label Studio's workers have written it.
fn when_written(
    client: &LabelStudioClient,
    storage: S3Storage,
    patience: Duration,
    console: &Console,
) -> Outcome<S3Storage> {
    console.note(&format!("target storage {}: waiting for Label Studio to write it", place_of(&storage)));
    let storage = client.when_synchronised(StorageKind::Target, storage, patience)?;
    if storage.is_under_way() {
        return Err(Failure::Failed(anyhow::anyhow!(
            "Label Studio has not written its annotations to {} within {:.0} s; do its workers run? Wait longer with \
             --timeout, or read the annotations with --from api",
            place_of(&storage),
            patience.as_secs_f64()
        )));
    }
    Ok(storage)
}

/// How many annotations must be in the place that is read: as many as Label Studio says that it wrote there. It says so of
/// those that it could not write, too.
fn written(arguments: &SyncArgs, synced: &[S3Storage]) -> usize {
    match synced {
        [one] if arguments.from == TARGET => one.last_sync_count.and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
        _ => 0,
    }
}

fn place_of(storage: &S3Storage) -> String {
    let prefix = storage.prefix.as_deref().unwrap_or_default();
    format!("s3://{}/{prefix}", storage.bucket.as_deref().unwrap_or_default())
}

/// What is imported: the export in a file, or the place of the target storage.
fn source(
    client: &LabelStudioClient,
    project: &Project,
    targets: &[S3Storage],
    arguments: &SyncArgs,
    scratch: &Path,
    console: &Console,
) -> Outcome<String> {
    match arguments.from.as_str() {
        API => {
            console.begin("export", "projects", Some(1));
            // All tasks, so that a task's place in the export, which is kept with its label, stays what it was.
            let tasks = client.export(project.id, true)?;
            console.end();
            if tasks.is_empty() {
                return Err(Failure::Failed(anyhow::anyhow!(
                    "project {} '{}' has no task yet: import images in Label Studio, or synchronise its source storage",
                    project.id,
                    project.title
                )));
            }
            let file = scratch.join(format!("project-{}.json", project.id));
            fs::write(&file, serde_json::to_vec(&tasks)?)
                .with_context(|| format!("cannot write the export to {}", file.display()))?;
            Ok(file.display().to_string())
        }
        TARGET => match targets {
            [one] => Ok(place_of(one)),
            [] => Err(Failure::usage(format!(
                "project {} has no S3 target storage; add one with `kidu annotate project --target`, or use --from api",
                project.id
            ))),
            several => Err(Failure::usage(format!(
                "project {} has several target storages ({}); name one with --from",
                project.id,
                several.iter().map(place_of).collect::<Vec<_>>().join(", ")
            ))),
        },
        place => Ok(place.into()),
    }
}

fn bring_in(
    arguments: &SyncArgs,
    source: String,
    at_least: usize,
    project: &Project,
    client: &LabelStudioClient,
    console: &Console,
) -> Outcome<ImportReport> {
    let name = format!("{} project {}", client.server(), project.id);
    let words = ImportArgs::of_sync(arguments, source, name.clone());
    let mut options = importing::options(&words)?;
    options.at_least = at_least;
    if arguments.from == API {
        // The export lies in a folder that is gone afterwards.
        options.read.called = Some(name);
    }
    import(&words.sources, &words.dataset.into, &options, console).map_err(|error| match error {
        ImportError::Source { .. } if at_least > 0 => Failure::Failed(anyhow::anyhow!(
            "{error}, although Label Studio says that it wrote {at_least} annotations there. Its log has the reason; mend its \
             access to the bucket, or read them with --from api"
        )),
        other => other.into(),
    })
}

/// The dataset as a new version; none where nothing changed.
fn keep(
    arguments: &SyncArgs,
    report: &ImportReport,
    project: &Project,
    client: &LabelStudioClient,
    console: &Console,
) -> Outcome<Option<Snapshot>> {
    if arguments.dataset.dry_run || arguments.no_snapshot || !arguments.dataset.into.is_dir() {
        return Ok(None);
    }
    let options = SnapshotOptions {
        message: format!("annotations of project {} '{}'", project.id, project.title),
        author: model::actor(None),
        source: Some(json!({"label_studio": client.server(), "project": project.id, "classes": report.classes})),
        ..SnapshotOptions::default()
    };
    let dir = store::of_data(&arguments.store, &arguments.dataset.into)?;
    let taken = snapshot(&dir, &arguments.dataset.into, &options, console)?;
    taken.notes.iter().for_each(|n| console.note(n));
    Ok(Some(taken))
}

fn as_json(taken: &Snapshot) -> Value {
    json!({
        "version": taken.version.id,
        "unchanged": taken.unchanged,
        "new": taken.new,
        "changes": taken.changes,
        "statistics": taken.version.statistics,
    })
}

fn told(taken: &Snapshot) -> String {
    let id = taken.version.id.short();
    if taken.unchanged { format!("still version {id}") } else { format!("version {id}: {}", changes(&taken.changes)) }
}
