//! `kidu pipeline run|show|status`.

mod executor;
mod observer;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use kidu_core::{ContentHasher, Sha256Hex, files, store::ObjectEntry};
use kidu_models::WeightsSpec;
use kidu_pipeline::{
    External, Pipeline, RunRecord, RunRequest, RunStatus, Runner, build_pipeline,
    build_pipeline::{ANNOTATIONS, DATASET, INITIAL_WEIGHTS},
    deploy_pipeline,
    render::Drawing,
    run as runs,
    runner::Force,
    text,
    tree_hash::hash_path,
};

use self::{executor::Subprocess, observer::Narrator};
use super::graph;
use crate::{
    Outcome,
    cli::{ConfigArgs, GraphFormat, PipelineCommand, PipelineRunArgs, PipelineShowArgs, PipelineStatusArgs},
    failure::Failure,
    git,
    settings::{self, Configuration, need, need_root},
    stop, stores, ui,
};

pub(super) fn run(command: &PipelineCommand) -> Outcome {
    match command {
        PipelineCommand::Run(arguments) => {
            let configuration = settings::load(&arguments.config, "pipeline")?;
            let record = execute(&configuration, arguments)?;
            if arguments.output.json {
                ui::json(&record)?;
            }
            outcome_of(&record)
        }
        PipelineCommand::Show(arguments) => show(arguments),
        PipelineCommand::Status(arguments) => status(arguments),
        PipelineCommand::Upsert(_) | PipelineCommand::Start(_) => Err(Failure::usage(
            "here a pipeline needs no upsert and no start: `kidu pipeline run` does both; say --on sagemaker for AWS",
        )),
        PipelineCommand::Logs(_) => Err(Failure::usage(
            "here the log of a step lies in its folder (see `kidu pipeline status`); say --on sagemaker for AWS",
        )),
    }
}

/// Runs the build pipeline with a configuration.
pub(super) fn execute(configuration: &Configuration, arguments: &PipelineRunArgs) -> Outcome<RunRecord> {
    let settings = &configuration.settings;
    let pipeline = build_pipeline();
    let mut parameters = parse_parameters(&pipeline, &arguments.parameters)?;
    let dir = arguments.dir.clone().unwrap_or_else(|| settings.paths.log_dir.join("pipeline"));
    let root = match parameters.get("InputDatasetZip").and_then(|v| v.as_str()) {
        Some(given) => PathBuf::from(given),
        None => need_root(&settings.data)?.to_path_buf(),
    };
    let registry = need(&settings.registry, "registry")?;
    let resolved = save_resolved(configuration, &dir)?;
    let config_arguments: Vec<String> = vec!["--config".into(), resolved.display().to_string()];
    let console = ui::Console::new();
    let local = stores::local_root(&root, &console)?;
    if *local != *root {
        parameters.insert("InputDatasetZip".into(), local.display().to_string().into());
    }
    let dataset = hash_dataset(&local, &console)?;
    let annotations = annotations(parameters.get("Annotations").and_then(|v| v.as_str()))?;
    let request = RunRequest {
        parameters,
        config: configuration.composed.to_json(),
        config_arguments: pipeline.steps.iter().map(|s| (s.name.clone(), config_arguments.clone())).collect(),
        externals: BTreeMap::from([
            (DATASET.to_string(), External::new(dataset)),
            (ANNOTATIONS.to_string(), annotations),
            (INITIAL_WEIGHTS.to_string(), initial_weights(configuration, &console)?),
        ]),
        registry: std::path::absolute(&registry.dir)?,
        code_version: env!("CARGO_PKG_VERSION").into(),
        git_commit: std::env::current_dir().ok().and_then(|d| git::commit(&d)),
        force: match arguments.force.as_slice() {
            [] => Force::None,
            [all] if all == "all" => Force::All,
            steps => Force::Steps(steps.to_vec()),
        },
    };
    let stop = stop::on_signals()?;
    let executor = Subprocess::new(&request.registry, &registry.group)?;
    let runner = Runner::new(&pipeline, &dir, &executor, &Narrator, &stop)?;
    Ok(runner.run(&request)?)
}

/// The failure that a run's end stands for, if any.
pub(super) fn outcome_of(record: &RunRecord) -> Outcome {
    match record.status {
        RunStatus::Succeeded => Ok(()),
        RunStatus::Refused => Err(Failure::Refused(record.message.clone())),
        RunStatus::Interrupted => {
            Err(Failure::Interrupted("run the same command again: finished steps are taken from the cache".into()))
        }
        _ => Err(Failure::Failed(anyhow::anyhow!("{}", record.message))),
    }
}

/// `NAME=VALUE`, the value as JSON if it is JSON.
fn parse_parameters(pipeline: &Pipeline, given: &[String]) -> Outcome<BTreeMap<String, serde_json::Value>> {
    given
        .iter()
        .map(|text| {
            let (name, value) = text
                .split_once('=')
                .ok_or_else(|| Failure::usage(format!("--parameter {text}: write NAME=VALUE, as in Model=resnet18")))?;
            let known = pipeline.parameters.iter().find(|p| p.name == name).ok_or_else(|| {
                let names = pipeline.parameters.iter().map(|p| p.name.as_str());
                let nearest = kidu_core::suggest::did_you_mean(kidu_core::suggest::nearest(name, names));
                Failure::usage(format!("--parameter {text}: the pipeline has no parameter '{name}'{nearest}"))
            })?;
            let parsed = match known.kind {
                kidu_pipeline::ParameterKind::String => None,
                _ => serde_json::from_str(value).ok(),
            };
            Ok((name.to_string(), parsed.unwrap_or_else(|| value.into())))
        })
        .collect()
}

/// The resolved configuration beside the runs, under its own hash: what every step reads.
fn save_resolved(configuration: &Configuration, dir: &Path) -> Outcome<PathBuf> {
    let name = format!("{}.yaml", configuration.composed.hash().short());
    let path = std::path::absolute(dir.join("configs").join(name))?;
    files::write_atomic(&path, configuration.composed.to_yaml().as_bytes())?;
    Ok(path)
}

/// Every file of the dataset counts, wherever the folder is.
fn hash_dataset(root: &Path, progress: &dyn kidu_core::Progress) -> Outcome<Sha256Hex> {
    progress.begin("hash the dataset", "dataset", None);
    let hash = hash_path(root).map(|h| h.sha256);
    progress.end();
    Ok(hash?)
}

/// Every file of the annotations counts; of those in S3 what the listing says of them. The images that they name count
/// when the step runs.
fn annotations(given: Option<&str>) -> Outcome<External> {
    let mut hasher = ContentHasher::new("kidu annotations");
    let sources = given.unwrap_or("none").split(',').map(str::trim).filter(|s| !s.is_empty() && *s != "none");
    let mut none = true;
    for source in sources {
        none = false;
        hasher = match stores::s3_uri(Path::new(source))? {
            None => hasher.field("files", hash_path(Path::new(source))?.sha256.to_string()),
            Some(uri) => {
                let objects = stores::open_store(&uri)?.list_all("")?;
                let line = |o: &ObjectEntry| format!("{} {} {}", o.key, o.info.size, o.info.etag);
                hasher.field("objects", objects.iter().map(line).collect::<Vec<_>>().join("\n"))
            }
        };
    }
    Ok(if none { External::none() } else { External::new(hasher.finish()) })
}

fn initial_weights(configuration: &Configuration, progress: &dyn kidu_core::Progress) -> Outcome<External> {
    let model = need(&configuration.settings.model, "model")?;
    let weights = stores::local_weights(&model.weights, progress)?;
    Ok(match &*weights {
        WeightsSpec::None => External::none(),
        WeightsSpec::File(path) => External::new(Sha256Hex::of_file(path)?),
        spec @ WeightsSpec::Hub(_) => External::new(Sha256Hex::of_bytes(spec.to_string().as_bytes())),
    })
}

fn show(arguments: &PipelineShowArgs) -> Outcome {
    let format = if arguments.json { GraphFormat::Json } else { arguments.format };
    match arguments.all {
        true => graph::show(format, &[build_pipeline(), deploy_pipeline()], &Drawing::circle()),
        false => graph::show_one(format, build_pipeline()),
    }
}

fn status(arguments: &PipelineStatusArgs) -> Outcome {
    let dir = match &arguments.dir {
        Some(dir) => dir.clone(),
        None => settings::load(&ConfigArgs::default(), "pipeline")?.settings.paths.log_dir.join("pipeline"),
    };
    let dir = dir.join("runs");
    if let Some(id) = &arguments.run {
        let record = runs::load(&dir, id)?;
        if arguments.output.json {
            return ui::json(&record);
        }
        ui::line(text::run_show(&record).trim_end());
        return Ok(());
    }
    let records = runs::list(&dir)?;
    if arguments.output.json {
        return ui::json(&records);
    }
    ui::line(text::run_list(&records).trim_end());
    Ok(())
}
