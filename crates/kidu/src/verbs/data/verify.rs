//! `kidu data verify`.

use kidu_data::versions::{DamageKind, quarantine, verify};
use serde_json::json;

use super::store;
use crate::{
    Outcome,
    cli::VerifyArgs,
    failure::Failure,
    ui::{self, Console, human_bytes},
};

pub(super) fn run(arguments: &VerifyArgs) -> Outcome {
    let store = store::open(&arguments.store, &[])?;
    let console = Console::new();
    let found = verify(&store, &console)?;
    let moved = if arguments.quarantine { quarantine(&store, &found, &console)? } else { 0 };
    if arguments.output.json {
        ui::json(&json!({ "found": found, "quarantined": moved }))?;
    } else {
        for damage in &found.damage {
            let what = match damage.kind {
                DamageKind::Version => "damaged version",
                DamageKind::Missing => "missing",
                DamageKind::Changed => "changed",
            };
            ui::line(format!("{what}: {} ({})", damage.file.display(), damage.detail));
        }
        let size = human_bytes(found.bytes);
        ui::line(format!(
            "{} versions, {} objects, {size}, {} named by no version",
            found.versions, found.objects, found.unneeded
        ));
    }
    if moved > 0 {
        ui::note(format!("{moved} changed objects were moved to {}", store.dir().join("damaged").display()));
    }
    if found.damage.is_empty() {
        return Ok(());
    }
    let text = format!(
        "{} files of the store {} are damaged; take a snapshot of a folder that still has the data, after --quarantine \
         for those that changed",
        found.damage.len(),
        store.dir().display()
    );
    Err(Failure::Failed(anyhow::Error::msg(text)))
}
