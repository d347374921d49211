//! `kidu data push`.

use std::path::PathBuf;

use kidu_data::versions::dvc;
use serde_json::json;

use super::store;
use crate::{
    Outcome,
    cli::PushArgs,
    ui::{self, Console, human_bytes},
};

pub(super) fn run(arguments: &PushArgs) -> Outcome {
    let store = store::open(&arguments.store, &[])?;
    let version = store.resolve(&arguments.version)?;
    let file = arguments.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.dvc", version.dataset)));
    let stem = file.file_stem().map_or_else(|| version.dataset.clone(), |s| s.to_string_lossy().into_owned());
    let output = arguments.path.clone().unwrap_or(stem);
    dvc::check_replaceable(&file, &output)?;
    let remote = store::remote(&arguments.dvc)?;
    let pushed = dvc::push(&store, &version, &output, remote.as_ref(), arguments.jobs, &Console::new())?;
    pushed.file.save(&file)?;
    if !version.empty_folders.is_empty() {
        ui::note(format!("DVC keeps no empty folders: {} are not in the remote", version.empty_folders.len()));
    }
    if arguments.output.json {
        ui::json(&json!({
            "version": version.id,
            "md5": pushed.file.md5,
            "objects": pushed.objects,
            "uploaded": pushed.uploaded,
            "bytes": pushed.bytes,
            "dvc_file": file,
            "remote": remote.location().to_string(),
        }))?;
    } else {
        let (id, uploaded, objects) = (version.id.short(), pushed.uploaded, pushed.objects);
        let size = human_bytes(pushed.bytes);
        ui::line(format!("version {id} is {}: {uploaded} of {objects} objects sent, {size}", pushed.file.md5));
    }
    ui::place("wrote", &file);
    Ok(())
}
