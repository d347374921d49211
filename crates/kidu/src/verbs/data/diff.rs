//! `kidu data diff`.

use std::path::Path;

use kidu_data::versions::{
    Diff, LinkPolicy, Move, Version, VersionError, VersionFile, VersionStore, diff, working_version,
};
use kidu_pipeline::text;
use serde_json::json;

use super::store;
use crate::{
    Outcome,
    cli::DiffArgs,
    ui::{self, Console},
};

/// How many files of a kind are listed unless all are asked for.
const LISTED: usize = 10;

pub(super) fn run(arguments: &DiffArgs) -> Outcome {
    let names = [&arguments.before, &arguments.after].map(Path::new);
    let folders: Vec<&Path> = names.into_iter().filter(|p| p.exists()).collect();
    let store = store::open(&arguments.store, &folders)?;
    let before = version(&store, &arguments.before, arguments)?;
    let after = version(&store, &arguments.after, arguments)?;
    let found = diff(Some(&before), &after);
    let classes = found.by_class(Some(&before), &after);
    if arguments.output.json {
        return ui::json(&json!({
            "before": before.id,
            "after": after.id,
            "counts": found.counts(),
            "classes": classes,
            "files": found,
        }));
    }
    if found.is_empty() {
        ui::line(format!("no difference: both are version {}", after.id.short()));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = classes
        .iter()
        .map(|c| {
            let numbers = [c.before, c.added, c.removed, c.changed, c.moved, c.gained, c.lost, c.resplit, c.after];
            let name = c.class.clone().unwrap_or_else(|| "(other files)".into());
            std::iter::once(name).chain(numbers.map(|n| if n == 0 { "-".into() } else { n.to_string() })).collect()
        })
        .collect();
    let heading = ["class", "before", "added", "removed", "changed", "moved", "gained", "lost", "resplit", "after"];
    ui::line(text::table(&heading, &rows).trim_end());
    ui::line(format!("\n{} -> {}: {}", before.id.short(), after.id.short(), super::changes(&found.counts())));
    list(&found, if arguments.files { usize::MAX } else { LISTED });
    Ok(())
}

/// A version of the store, or a folder as it is now.
fn version(store: &VersionStore, name: &str, arguments: &DiffArgs) -> Outcome<Version> {
    match store.resolve(name) {
        Err(VersionError::Unknown { .. }) if Path::new(name).exists() => {
            let links = if arguments.follow_links { LinkPolicy::Follow } else { LinkPolicy::Refuse };
            Ok(working_version(Path::new(name), Some(store), links, &Console::new())?)
        }
        other => Ok(other?),
    }
}

fn list(found: &Diff, most: usize) {
    let path = |f: &VersionFile| f.path.clone();
    section("added", found.added.iter().map(path).collect(), most);
    section("removed", found.removed.iter().map(path).collect(), most);
    section("changed", found.changed.iter().map(|c| path(&c.after)).collect(), most);
    section("moved", found.moved.iter().map(|m| format!("{} -> {}", m.before.path, m.after.path)).collect(), most);
    section("relabelled", found.relabelled.iter().map(relabelled).collect(), most);
    section("empty folders added", found.empty_folders_added.clone(), most);
    section("empty folders removed", found.empty_folders_removed.clone(), most);
}

fn relabelled(change: &Move) -> String {
    let (b, a) = (&change.before, &change.after);
    let label = |f: &VersionFile| {
        let class = f.class.as_deref().unwrap_or("no class");
        f.split.map_or_else(|| class.to_string(), |split| format!("{split}/{class}"))
    };
    let path = if a.path == b.path { b.path.clone() } else { format!("{} -> {}", b.path, a.path) };
    format!("{path} ({} -> {})", label(b), label(a))
}

fn section(title: &str, lines: Vec<String>, most: usize) {
    if lines.is_empty() {
        return;
    }
    ui::line(format!("\n{title}:"));
    lines.iter().take(most).for_each(|l| ui::line(format!("  {l}")));
    if lines.len() > most {
        ui::line(format!("  ... and {} more (--files lists all)", lines.len() - most));
    }
}
