//! `kidu data log`.

use kidu_data::versions::{Event, LogRow};
use kidu_pipeline::text;

use super::store;
use crate::{
    Outcome,
    cli::LogArgs,
    ui::{self, human_bytes},
};

pub(super) fn run(arguments: &LogArgs) -> Outcome {
    let store = store::open(&arguments.store, &arguments.path.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
    let name = arguments.path.as_ref().and_then(|p| {
        p.canonicalize().unwrap_or_else(|_| p.clone()).file_name().map(|n| n.to_string_lossy().into_owned())
    });
    let rows = store.log(name.as_deref())?;
    if arguments.output.json {
        return ui::json(&rows);
    }
    if rows.is_empty() {
        ui::note(format!("no versions in {}", store.dir().display()));
        return Ok(());
    }
    let heading = ["version", "dataset", "files", "size", "changes", "when", "who", "tags", "message"];
    ui::line(text::table(&heading, &rows.iter().filter_map(cells).collect::<Vec<_>>()).trim_end());
    Ok(())
}

fn cells(row: &LogRow) -> Option<Vec<String>> {
    let Event::Snapshot { dataset, version, parent, message, files, bytes, changes, .. } = &row.entry.event else {
        return None;
    };
    let mut tags = row.tags.clone();
    if row.latest {
        tags.insert(0, "latest".into());
    }
    if !row.kept {
        tags.push("(dropped)".into());
    }
    let changes = if parent.is_none() { "first".into() } else { super::short_changes(changes) };
    Some(vec![
        version.short().into(),
        dataset.clone(),
        files.to_string(),
        human_bytes(*bytes),
        changes,
        row.entry.time.clone(),
        row.entry.author.clone(),
        tags.join(" "),
        message.clone(),
    ])
}
