//! The work of a release's steps: what is ours, and what is a process.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use kidu_core::{Bundle, Sha256Hex, files};
use kidu_pipeline::{OutputRef, Pipeline, Registry, resolve::Values};
use tokio::process::Command;

use crate::{
    error::{DeployError, Result},
    machine::Outcome,
    package,
    settings::{DeploySettings, seconds},
    smoke,
};

/// What a step may need.
#[derive(Clone, Debug)]
pub(crate) struct Workshop {
    pub(crate) settings: DeploySettings,
    pub(crate) pipeline: Pipeline,
    pub(crate) registry: PathBuf,
    pub(crate) group: String,
    /// The `kidu` command.
    pub(crate) executable: PathBuf,
    /// Variables for processes of the command.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The folder of deployments.
    pub(crate) dir: PathBuf,
    /// Where staging answers.
    pub(crate) staging: String,
}

/// A step of a release.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) release: u64,
    pub(crate) step: String,
    pub(crate) version: u32,
    /// The release's folder.
    pub(crate) folder: PathBuf,
}

impl Workshop {
    /// Does a step's work.
    pub(crate) async fn execute(self: Arc<Self>, job: &Job) -> Outcome {
        let outcome = match job.step.as_str() {
            "package" => self.package(job).await,
            "smoke" => self.smoke(job).await,
            _ => self.process(job).await,
        };
        outcome.unwrap_or_else(|error| match error {
            DeployError::Refused(why) => Outcome::Refused(why),
            other => Outcome::Failed(other.to_string()),
        })
    }

    async fn package(&self, job: &Job) -> Result<Outcome> {
        let (registry, version) = (Registry::open(&self.registry, &self.group)?, job.version);
        let folder = job.folder.clone();
        let made = tokio::task::spawn_blocking(move || package::package(&registry, version, &folder)).await;
        made.map_err(|e| DeployError::State(format!("packaging failed: {e}")))??;
        Ok(Outcome::Done)
    }

    async fn smoke(&self, job: &Job) -> Result<Outcome> {
        let bundle = Bundle::open(&job.folder.join("bundle"))?;
        let settings = &self.settings.smoke;
        let report = smoke::run(&smoke::Smoke {
            url: &self.staging,
            manifest: bundle.manifest(),
            version: Some(job.version),
            image: settings.image.as_deref(),
            expected_label: settings.expected_label.as_deref(),
            timeout: seconds(settings.timeout),
        })
        .await?;
        files::write_json(&job.folder.join("smoke.json"), &report)?;
        Ok(if report.passed { Outcome::Done } else { Outcome::Refused(format!("smoke test: {}", report.failures())) })
    }

    /// A step that is a process of the command, or of another program that the settings name in its place.
    async fn process(&self, job: &Job) -> Result<Outcome> {
        let step = self.pipeline.step(&job.step)?;
        let bundle = BTreeMap::from([(OutputRef::new("package", "bundle"), job.folder.join("bundle"))]);
        let data = self.settings.robustness.data_root.clone().unwrap_or_default();
        let parameters = BTreeMap::from([
            ("ModelVersion".to_string(), job.version.into()),
            ("ModelPackageGroupName".to_string(), self.group.as_str().into()),
            ("RobustnessData".to_string(), data.display().to_string().into()),
            ("RobustnessMaxDrop".to_string(), self.settings.robustness.max_drop.into()),
        ]);
        let values = Values {
            pipeline: &self.pipeline.name,
            run_id: &job.release.to_string(),
            folder: &job.folder,
            registry: &self.registry,
            lineage: Path::new(""),
            parameters: &parameters,
            outputs: &bundle,
            endpoint: &self.staging,
            config_arguments: &[],
        };
        let own = values.resolve(step, &Sha256Hex::of_bytes(b"")).arguments;
        let line = match &self.settings.robustness.command {
            None => [vec![self.executable.clone().into()], own].concat(),
            Some(other) => {
                let fill =
                    |a: &String| a.replace("{url}", &self.staging).replace("{data}", &data.display().to_string());
                other.iter().map(|a| fill(a).into()).collect()
            }
        };
        self.run(job, &line, seconds(self.settings.robustness.timeout)).await
    }

    /// Runs a program: 0 is yes, 3 is no, anything else a failure. What it prints is kept beside the bundle.
    async fn run(&self, job: &Job, line: &[OsString], timeout: Duration) -> Result<Outcome> {
        let io = |action, path: &Path| {
            let path = path.to_path_buf();
            move |e| kidu_core::Error::io(action, path, e)
        };
        let report = job.folder.join(format!("{}.json", job.step));
        let log = self.dir.join("logs").join(format!("{}-{}.log", job.step, job.version));
        files::create_dir_all(&files::parent_of(&log))?;
        let output = File::create(&report).map_err(io("write", &report))?;
        let errors = OpenOptions::new().create(true).append(true).open(&log).map_err(io("write", &log))?;
        let begins = errors.metadata().map_or(0, |m| m.len());
        let Some((program, arguments)) = line.split_first() else {
            return Ok(Outcome::Failed(format!("step '{}' has nothing to run", job.step)));
        };
        let mut command = Command::new(program);
        // Options come as arguments; variables of the shell that the supervisor was started in are not meant for steps.
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("KIDU_") && !["KIDU_CACHE", "KIDU_PROGRESS"].contains(&&*name) {
                command.env_remove(&variable);
            }
        }
        command.args(arguments).envs(self.environment.iter().map(|(n, v)| (n, v)));
        command.stdin(Stdio::piped()).stdout(output).stderr(errors).kill_on_drop(true);
        let program = program.to_string_lossy();
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Ok(Outcome::Failed(format!("step '{}': cannot start {program}: {error}", job.step))),
        };
        // Open as long as it is wanted: at the end of it a process of ours ends, also when we are killed. Waiting would
        // close it.
        let input = child.stdin.take();
        let status = tokio::time::timeout(timeout, child.wait()).await;
        drop(input);
        let Ok(status) = status else {
            let _ = child.kill().await;
            return Ok(Outcome::Failed(format!("step '{}' took longer than {} s", job.step, timeout.as_secs_f64())));
        };
        let status = status.map_err(|source| DeployError::System { what: "process", source })?;
        let said = last_line(&log, begins).unwrap_or_else(|| format!("see {} and {}", report.display(), log.display()));
        Ok(match status.code() {
            Some(0) => Outcome::Done,
            Some(3) => Outcome::Refused(said.strip_prefix("refused: ").unwrap_or(&said).to_string()),
            _ => {
                let why = said.strip_prefix("error: ").unwrap_or(&said);
                Outcome::Failed(format!("step '{}' failed ({status}): {why}", job.step))
            }
        })
    }
}

/// The last line that was written after a place in a log.
fn last_line(log: &Path, begins: u64) -> Option<String> {
    let bytes = std::fs::read(log).ok()?;
    let text = String::from_utf8_lossy(bytes.get(usize::try_from(begins).ok()?..)?).into_owned();
    text.lines().rfind(|line| !line.trim().is_empty()).map(|line| line.trim().to_string())
}
