//! `kidu data snapshot`.

use std::{fs, path::Path};

use anyhow::Context;
use kidu_data::versions::{LinkPolicy, Snapshot, SnapshotOptions, snapshot};
use serde_json::{Value, json};

use super::store;
use crate::{
    Outcome,
    cli::SnapshotArgs,
    failure::Failure,
    ui::{self, Console, human_bytes},
    verbs::model,
};

pub(super) fn run(arguments: &SnapshotArgs) -> Outcome {
    let path = match &arguments.path {
        Some(path) => path.clone(),
        None => store::configured()?.0.ok_or_else(|| {
            Failure::usage("name the folder, as in `kidu data snapshot photos -m 'first'`, or set data.root")
        })?,
    };
    let dir = store::of_data(&arguments.store, &path)?;
    let options = SnapshotOptions {
        message: arguments.message.clone(),
        author: model::actor(arguments.actor.as_deref()),
        dataset: arguments.name.clone(),
        source: arguments.source.as_deref().map(read_source).transpose()?,
        tag: arguments.tag.clone(),
        links: if arguments.follow_links { LinkPolicy::Follow } else { LinkPolicy::Refuse },
        link: arguments.link.into(),
    };
    let taken = snapshot(&dir, &path, &options, &Console::new())?;
    taken.notes.iter().for_each(ui::note);
    if arguments.output.json {
        ui::json(&as_json(&taken, &dir))?;
    } else {
        print(&taken);
    }
    ui::place("store", &dir);
    Ok(())
}

/// The content of a JSON file, or the text itself.
fn read_source(given: &str) -> Outcome<Value> {
    let path = Path::new(given);
    if !path.is_file() {
        return Ok(given.into());
    }
    let text = fs::read_to_string(path).with_context(|| format!("--source: cannot read {given}"))?;
    let value = serde_json::from_str(&text).with_context(|| format!("--source: {given} is no JSON file"));
    value.map_err(Failure::Usage)
}

fn as_json(taken: &Snapshot, store: &Path) -> Value {
    let v = &taken.version;
    json!({
        "version": v.id,
        "dataset": v.dataset,
        "unchanged": taken.unchanged,
        "new": taken.new,
        "parents": v.parents,
        "layout": v.layout,
        "statistics": v.statistics,
        "changes": taken.changes,
        "hashed": taken.hashed,
        "stored": taken.stored,
        "store": store,
    })
}

fn print(taken: &Snapshot) {
    let v = &taken.version;
    let (files, size) = (v.statistics.files, human_bytes(v.statistics.bytes));
    if taken.unchanged {
        ui::line(format!("unchanged: still version {} ({files} files, {size})", v.id.short()));
        return;
    }
    let again = if taken.new { "" } else { ", which it was before" };
    ui::line(format!("version {}{again}: {files} files, {size}", v.id.short()));
    if taken.new && v.parents.is_empty() {
        return;
    }
    ui::line(super::changes(&taken.changes));
}
