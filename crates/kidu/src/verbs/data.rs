//! `kidu data split|synth`.

use kidu_data::{
    materialize, prepare,
    synth::{SynthOptions, synthesize},
};
use serde_json::json;

use super::dataset;
use crate::{
    Outcome,
    cli::{DataCommand, SplitArgs, SynthArgs},
    failure::Failure,
    run_dir::{self, Verb},
    settings::{self, need, need_root},
    ui::{self, Console},
};

pub(super) fn run(command: &DataCommand) -> Outcome {
    match command {
        DataCommand::Split(arguments) => split(arguments),
        DataCommand::Synth(arguments) => synth(arguments),
    }
}

fn split(arguments: &SplitArgs) -> Outcome {
    let configuration = settings::load(&arguments.config, "train")?;
    let settings = &configuration.settings;
    let data = need(&settings.data, "data")?;
    need_root(&settings.data)?;
    let held = run_dir::create(&configuration, Verb::Split, arguments.output.out.as_deref())?;
    let dir = held.path();
    let console = Console::new().with_log(&dir.join("kidu.log"));
    let prepared = prepare(data, settings.seed, dir, &console)?;
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

fn synth(arguments: &SynthArgs) -> Outcome {
    let options = SynthOptions {
        train_per_class: arguments.train_per_class,
        test_per_class: arguments.test_per_class,
        size: arguments.size,
        seed: arguments.seed,
    };
    let summary = synthesize(&options, &arguments.out, &Console::new())?;
    if arguments.output.json {
        return ui::json(&summary);
    }
    ui::line(format!("{} scenes, {} drawn now", summary.images, summary.drawn));
    ui::note(format!("wrote {}", summary.dir.display()));
    Ok(())
}
