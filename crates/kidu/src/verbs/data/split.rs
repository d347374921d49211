//! `kidu data split`.

use kidu_data::{materialize, prepare_decoded};
use serde_json::json;

use super::preprocess::preprocess;
use crate::{
    Outcome,
    cli::SplitArgs,
    failure::Failure,
    run_dir::{self, Verb},
    settings::{self, need, need_root},
    stores,
    ui::{self, Console},
    verbs::dataset,
};

pub(super) fn run(arguments: &SplitArgs) -> Outcome {
    let configuration = settings::load(&arguments.config, "train")?;
    let settings = &configuration.settings;
    let data = need(&settings.data, "data")?;
    need_root(&settings.data)?;
    let held = run_dir::create(&configuration, Verb::Split, arguments.output.out.as_deref())?;
    let dir = held.path();
    let console = Console::new().with_log(&dir.join("kidu.log"));
    let local = stores::local_data(data, &console)?;
    let (data, decoded) = preprocess(arguments, &local, settings.seed, dir, &console)?;
    let prepared = prepare_decoded(&data, settings.seed, dir, &decoded, &console)?;
    held.note_data(&prepared.manifest);
    let wanted = &arguments.data_version;
    if wanted != "any" && *wanted != prepared.manifest.version {
        return Err(Failure::Failed(anyhow::anyhow!(
            "the dataset has the version {}, not {wanted}: check data.root, the split and the seed",
            prepared.manifest.version
        )));
    }
    if let Some(to) = &arguments.materialize {
        materialize(&prepared.manifest, to, &console)?;
    }
    if arguments.output.json {
        ui::json(&json!({
            "version": prepared.manifest.version,
            "data_snapshot": prepared.manifest.snapshot,
            "manifest": prepared.manifest_path,
            "classes": prepared.manifest.classes,
            "report": prepared.report,
        }))?;
    } else {
        ui::line(dataset::table(&prepared.report.summary).trim_end());
        ui::line(format!("dataset version {}", prepared.manifest.version));
    }
    ui::place("wrote", dir);
    Ok(())
}
