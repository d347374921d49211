//! `kidu demo`: everything once, on scenes that it draws itself.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use kidu_core::Bundle;
use kidu_data::synth::{SynthOptions, synthesize};
use kidu_image::Limits;
use kidu_models::{Accelerator, Predictor};
use kidu_pipeline::{ModelVersion, Registry, Status, text};

use super::{pipeline, predict};
use crate::{
    Outcome,
    cli::{ConfigArgs, DemoArgs, JsonArgs, PipelineRunArgs},
    settings::{self, need},
    ui::{self, Console},
};

/// Scenes of each kind: enough that a small network learns them within two minutes on two cores.
const SCENES: SynthOptions = SynthOptions { train_per_class: 120, test_per_class: 40, size: 96, seed: 7 };

pub(super) fn run(arguments: &DemoArgs) -> Outcome {
    let started = Instant::now();
    let dir = &arguments.dir;
    let scenes = dir.join("scenes");
    ui::note("drawing scenes of six kinds");
    synthesize(&SCENES, &scenes, &Console::new())?;

    let configuration = settings::load(&configuration(arguments, &scenes), "pipeline")?;
    let run = PipelineRunArgs {
        config: ConfigArgs::default(),
        dir: Some(dir.join("pipeline")),
        parameters: Vec::new(),
        force: Vec::new(),
        output: JsonArgs::default(),
    };
    let record = pipeline::execute(&configuration, &run)?;
    pipeline::outcome_of(&record)?;

    let place = need(&configuration.settings.registry, "registry")?;
    let registry = Registry::open(&place.dir, &place.group)?;
    let version = approve(&registry)?;
    ui::line(text::model_list(registry.group(), &registry.list()?).trim_end());
    predict_one(&version, &scenes)?;
    finish(dir, &record.id, &version, started);
    Ok(())
}

fn configuration(arguments: &DemoArgs, scenes: &Path) -> ConfigArgs {
    let set = |key: &str, path: PathBuf| format!("{key}={}", kidu_config::quote(&path.display().to_string()));
    let dir = &arguments.dir;
    let mut overrides = vec![
        "experiment=demo".to_string(),
        set("data.root", scenes.to_path_buf()),
        set("paths.log_dir", dir.join("runs")),
        set("registry.dir", dir.join("registry")),
        "registry.group=demo".into(),
    ];
    overrides.extend(arguments.overrides.iter().cloned());
    ConfigArgs { overrides, ..ConfigArgs::default() }
}

/// Approves the newest version, unless a demo before has done it.
fn approve(registry: &Registry) -> Outcome<ModelVersion> {
    let versions = registry.list()?;
    let newest = versions.iter().max_by_key(|v| v.version);
    let newest =
        newest.ok_or_else(|| anyhow::anyhow!("the registry {} is empty after a run", registry.dir().display()))?;
    if newest.status == Status::Approved {
        return Ok(newest.clone());
    }
    Ok(registry.approve(newest.version, "kidu demo", Some("the demo approves what its gate lets through"))?)
}

fn predict_one(version: &ModelVersion, scenes: &Path) -> Outcome {
    let bundle = Bundle::open(&version.bundle_dir)?;
    let predictor = Predictor::open(&bundle, Accelerator::Flex)?;
    let image = scenes.join("test/glacier/00003.jpg");
    for answer in predict::classify(&predictor, &[image], &Limits::default(), &Console::new())? {
        let best: Vec<String> =
            answer.prediction.probabilities.iter().take(3).map(|(n, p)| format!("{n} {:.1} %", 100.0 * p)).collect();
        ui::line(format!("{}: {}", answer.path.display(), best.join(", ")));
    }
    Ok(())
}

fn finish(dir: &Path, run: &str, version: &ModelVersion, started: Instant) {
    let bundle = version.bundle_dir.clone();
    ui::line(format!("done in {}. To look at:", ui::human_duration(started.elapsed())));
    let run = dir.join("pipeline/runs").join(run);
    for (what, path) in [
        ("report", run.join("evaluate/report.html")),
        ("curves", run.join("train/curves.svg")),
        ("bundle", bundle.clone()),
        ("scenes", dir.join("scenes")),
    ] {
        ui::line(format!("  {what:<8} {}", path.display()));
    }
    ui::line(format!("Next: kidu predict --bundle {} IMAGE", bundle.display()));
    ui::place("wrote", dir);
}
