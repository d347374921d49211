//! `kidu data tag`.

use kidu_pipeline::text;

use super::store;
use crate::{
    Outcome,
    cli::TagCommand,
    ui::{self, Console},
    verbs::model,
};

pub(super) fn run(command: &TagCommand) -> Outcome {
    match command {
        TagCommand::Set { name, version, force, store, actor } => {
            let store = store::open(store, &[])?;
            let tag = store.tag(name, version, &model::actor(actor.as_deref()), *force, &Console::new())?;
            ui::line(format!("{} is version {}", tag.name, tag.version.short()));
        }
        TagCommand::Remove { name, store, actor } => {
            store::open(store, &[])?.untag(name, &model::actor(actor.as_deref()), &Console::new())?;
            ui::line(format!("removed the tag {name}"));
        }
        TagCommand::List { store, output } => {
            let tags = store::open(store, &[])?.tags()?;
            if output.json {
                return ui::json(&tags);
            }
            let rows: Vec<_> = tags.iter().map(|t| vec![t.name.clone(), t.version.short().into()]).collect();
            ui::line(text::table(&["tag", "version"], &rows).trim_end());
        }
    }
    Ok(())
}
