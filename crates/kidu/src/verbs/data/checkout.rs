//! `kidu data checkout`.

use std::path::Path;

use kidu_data::versions::{CheckoutOptions, checkout, dvc};
use serde_json::json;

use super::store;
use crate::{
    Outcome,
    cli::CheckoutArgs,
    failure::Failure,
    ui::{self, Console, human_bytes},
};

pub(super) fn run(arguments: &CheckoutArgs) -> Outcome {
    match (arguments.target.as_slice(), &arguments.dvc, &arguments.remote) {
        ([dir], Some(file), Some(remote)) => pull(arguments, file, remote, dir),
        ([version, dir], None, _) => restore(arguments, &version.to_string_lossy(), dir),
        (_, Some(_), _) => {
            Err(Failure::usage("with --dvc give the folder alone: kidu data checkout --dvc FILE --remote REMOTE DIR"))
        }
        _ => Err(Failure::usage("give the version and the folder: kidu data checkout VERSION DIR")),
    }
}

fn restore(arguments: &CheckoutArgs, reference: &str, dir: &Path) -> Outcome {
    let store = store::open(&arguments.store, &[dir])?;
    let version = store.resolve(reference)?;
    let options = CheckoutOptions { link: arguments.link.into(), force: arguments.force };
    let done = checkout(&store, &version, dir, options, &Console::new())?;
    if arguments.output.json {
        ui::json(&json!({
            "version": version.id,
            "dir": done.dir,
            "restored": done.restored,
            "kept": done.kept,
            "removed": done.removed,
        }))?;
    } else {
        let (id, restored, kept, removed) = (version.id.short(), done.restored, done.kept, done.removed);
        ui::line(format!("version {id}: {restored} files restored, {kept} were there, {removed} removed"));
    }
    ui::place("checked out", &done.dir);
    Ok(())
}

fn pull(arguments: &CheckoutArgs, file: &Path, remote: &str, dir: &Path) -> Outcome {
    let file = dvc::DvcFile::load(file)?;
    let remote = store::remote(remote)?;
    let done = dvc::pull(&file, remote.as_ref(), dir, arguments.jobs, &Console::new())?;
    if arguments.output.json {
        ui::json(&json!({ "md5": file.md5, "dir": done.dir, "files": done.files, "bytes": done.bytes }))?;
    } else {
        ui::line(format!("{}: {} files, {}", file.md5, done.files, human_bytes(done.bytes)));
    }
    ui::place("checked out", &done.dir);
    Ok(())
}
