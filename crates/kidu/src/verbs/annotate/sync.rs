//! `kidu annotate sync`.

use std::{fs, path::Path};

use anyhow::Context;
use kidu_annotate::{
    LabelStudioClient,
    client::{Project, S3Storage, StorageKind},
};
use kidu_annotations::{ImportReport, import};
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

pub(super) fn run(arguments: &SyncArgs) -> Outcome {
    let network = &arguments.dataset.network;
    // That of images is short; Label Studio answers when all is written.
    let access = Access { server: &network.server, timeout: network.timeout.max(600.0) };
    let console = Console::new();
    let client = server::connect(&access, &console)?;
    let project = server::find(&client, &arguments.which)?;
    let targets = client.storages(StorageKind::Target, project.id)?;
    let synced = synchronise(&client, &targets, arguments, &console)?;
    let scratch = tempfile::tempdir().map_err(anyhow::Error::from)?;
    let source = source(&client, &project, &targets, arguments, scratch.path(), &console)?;
    let report = bring_in(arguments, source, &project, &client, &console)?;
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
    console: &Console,
) -> Outcome<Vec<S3Storage>> {
    let mut synced = Vec::new();
    if arguments.no_storage_sync || arguments.dataset.dry_run {
        return Ok(synced);
    }
    for target in targets {
        let storage = client.sync_storage(StorageKind::Target, target.id)?;
        let (place, status) = (place_of(&storage), storage.status.as_deref().unwrap_or("unknown"));
        console
            .note(&format!("target storage {place}: {status}, {} annotations", storage.last_sync_count.unwrap_or(0)));
        if status == "failed" && arguments.from == "target" {
            return Err(Failure::Failed(anyhow::anyhow!(
                "Label Studio could not write its annotations to {place}: {}; see the storage in the project's settings, \
                 or read them with --from api",
                storage.traceback.as_deref().and_then(|t| t.trim().lines().last()).unwrap_or("no reason is told")
            )));
        }
        synced.push(storage);
    }
    Ok(synced)
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
        "api" => {
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
        "target" => match targets {
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
    project: &Project,
    client: &LabelStudioClient,
    console: &Console,
) -> Outcome<ImportReport> {
    let name = format!("{} project {}", client.server(), project.id);
    let words = ImportArgs::of_sync(arguments, source, name.clone());
    let mut options = importing::options(&words)?;
    if arguments.from == "api" {
        // The export lies in a folder that is gone afterwards.
        options.read.called = Some(name);
    }
    Ok(import(&words.sources, &words.dataset.into, &options, console)?)
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
