//! `kidu train -m`: one run for each combination of swept values, each in a process of its own.

use std::{path::Path, process::Command};

use kidu_config::expand_sweep;
use kidu_core::{files, run};
use kidu_pipeline::text;
use serde_json::{Value, json};

use crate::{
    Outcome,
    cli::{ConfigArgs, TrainArgs},
    failure::Failure,
    settings, ui,
};

/// The results of a sweep's runs.
const TABLE: &str = "multirun.json";

pub(super) fn run(arguments: &TrainArgs) -> Outcome {
    if arguments.resume.is_some() {
        return Err(Failure::usage(
            "--multirun and --resume do not go together: resume a run of the sweep by its folder",
        ));
    }
    let runs = expand_sweep(&arguments.config.overrides)?;
    // Every combination is checked before the first one runs.
    let mut log_dir = None;
    for overrides in &runs {
        let config = ConfigArgs { overrides: overrides.clone(), ..arguments.config.clone() };
        log_dir = Some(settings::load(&config, "train")?.settings.paths.log_dir);
    }
    let dir = match (&arguments.output.out, log_dir) {
        (Some(out), _) if out.join(TABLE).exists() => {
            return Err(Failure::usage(format!("{} holds a sweep, which is kept: give another folder", out.display())));
        }
        (Some(out), _) => out.clone(),
        (None, Some(log_dir)) => run::create_run_dir(&log_dir.join("multirun"))?,
        (None, None) => return Err(Failure::usage("the sweep is empty")),
    };
    let mut results = Vec::new();
    for (number, overrides) in runs.iter().enumerate() {
        let job = dir.join(number.to_string());
        ui::note(format!("run {number} of {}: {}", runs.len(), overrides.join(" ")));
        let code = train(arguments, overrides, &job)?;
        if code == Some(130) {
            return Err(Failure::Interrupted(format!("go on with `kidu train --resume {}`", job.display())));
        }
        let summary: Option<Value> = files::read_json(&job.join("summary.json"), "summary").ok();
        results.push(json!({"run": number, "dir": job, "overrides": overrides, "exit_code": code, "summary": summary}));
        files::write_json(&dir.join(TABLE), &results)?;
    }
    if arguments.output.json {
        ui::json(&results)?;
    } else {
        ui::line(table(&results).trim_end());
    }
    ui::place("wrote", &dir);
    let failed = results.iter().filter(|r| r["exit_code"] != 0).count();
    match failed {
        0 => Ok(()),
        n => Err(Failure::Failed(anyhow::anyhow!("{n} of {} runs failed; see the messages above", results.len()))),
    }
}

fn train(arguments: &TrainArgs, overrides: &[String], out: &Path) -> Outcome<Option<i32>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("train").arg("--out").arg(out);
    for dir in &arguments.config.config_dir {
        command.arg("--config-dir").arg(dir);
    }
    if let Some(config) = &arguments.config.config {
        command.arg("--config").arg(config);
    }
    if let Some(manifest) = &arguments.dataset.manifest {
        command.arg("--manifest").arg(manifest);
    }
    // The table at the end is the result; each run's own goes to its folder.
    let status = command.args(overrides).env_remove("KIDU_OUT").stdout(std::process::Stdio::null()).status()?;
    Ok(status.code())
}

fn table(results: &[Value]) -> String {
    let metric = |r: &Value, name: &str| match r["summary"]["metrics"][name].as_f64() {
        Some(value) => format!("{value:.4}"),
        None => "-".into(),
    };
    let overrides = |r: &Value| {
        let words = r["overrides"].as_array().into_iter().flatten().filter_map(Value::as_str);
        words.collect::<Vec<_>>().join(" ")
    };
    let rows: Vec<Vec<String>> = results
        .iter()
        .map(|r| {
            vec![r["run"].to_string(), metric(r, "val/acc"), metric(r, "val/loss"), metric(r, "test/acc"), overrides(r)]
        })
        .collect();
    text::table(&["run", "val/acc", "val/loss", "test/acc", "overrides"], &rows)
}
