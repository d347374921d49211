//! `kidu data gc`.

use kidu_data::versions::{KeepRule, gc, plan_gc};
use serde_json::json;

use super::store;
use crate::{
    Outcome,
    cli::GcArgs,
    ui::{self, Console, human_bytes},
    verbs::model,
};

pub(super) fn run(arguments: &GcArgs) -> Outcome {
    let store = store::open(&arguments.store, &[])?;
    let rule = KeepRule { last: arguments.keep_last };
    let console = Console::new();
    let garbage = match arguments.yes {
        true => gc(&store, rule, &model::actor(arguments.actor.as_deref()), &console)?,
        false => plan_gc(&store, rule, &console)?,
    };
    if arguments.output.json {
        return ui::json(&json!({
            "removed": arguments.yes,
            "versions": garbage.versions,
            "objects": garbage.objects,
            "bytes": garbage.bytes,
            "kept": garbage.kept,
        }));
    }
    let done = if arguments.yes { "removed" } else { "would remove" };
    for id in &garbage.versions {
        ui::line(format!("{done} version {}", id.short()));
    }
    let (objects, size, kept) = (garbage.objects, human_bytes(garbage.bytes), garbage.kept);
    ui::line(format!("{done} {objects} objects, {size}; {kept} versions stay"));
    if !arguments.yes && (objects > 0 || !garbage.versions.is_empty()) {
        ui::note("nothing was removed yet: give --yes");
    }
    Ok(())
}
