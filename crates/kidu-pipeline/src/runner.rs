//! The local runner: one step after the other, each from the cache if nothing it depends on changed.
//!
//! The folder given to [`Runner::new`] gets `runs/ID/` (the record `run.json`, the resolved configuration
//! `config.json`, a log a step, links to the outputs) and `cache/` (see [`crate::cache`]). To resume a run is to run
//! again: finished steps are cache hits.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use kidu_core::{ContentHasher, Sha256Hex, files, run::timestamp};
use serde_json::Value;

use crate::{
    cache::{CacheEntry, StepCache},
    error::{Error, Result},
    executor::{External, RunEvent, RunObserver, StepExecutor},
    graph::{OutputRef, Pipeline, Step},
    parameter::resolve_parameters,
    run::{ActiveRun, RunRecord, RunStatus, StepRecord, StepStatus},
};

/// Which steps run although they are in the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Force {
    /// None.
    #[default]
    None,
    /// These.
    Steps(Vec<String>),
    /// All.
    All,
}

impl Force {
    pub(crate) fn covers(&self, step: &str) -> bool {
        match self {
            Self::None => false,
            Self::Steps(steps) => steps.iter().any(|s| s == step),
            Self::All => true,
        }
    }
}

/// What one run is to do.
#[derive(Clone, Debug, Default)]
pub struct RunRequest {
    /// Parameters given explicitly; the others come from the configuration or their defaults.
    pub parameters: BTreeMap<String, Value>,
    /// The resolved configuration.
    pub config: Value,
    /// By step, the arguments by which the configuration reaches it.
    pub config_arguments: BTreeMap<String, Vec<String>>,
    /// The contents of external inputs, by name.
    pub externals: BTreeMap<String, External>,
    /// The registry's folder.
    pub registry: PathBuf,
    /// Version of Kidu: not a commit, so that an unrelated change reruns nothing.
    pub code_version: String,
    /// Commit of the working tree, for lineage only.
    pub git_commit: Option<String>,
    /// Steps that run in any case.
    pub force: Force,
}

/// Runs pipelines on this machine.
pub struct Runner<'a> {
    pub(crate) pipeline: &'a Pipeline,
    dir: PathBuf,
    pub(crate) executor: &'a dyn StepExecutor,
    pub(crate) observer: &'a dyn RunObserver,
    pub(crate) stop: &'a AtomicBool,
}

/// What a run knows on its way.
pub(crate) struct Session<'a> {
    pub(crate) request: &'a RunRequest,
    pub(crate) parameters: BTreeMap<String, Value>,
    pub(crate) cache: StepCache,
    pub(crate) run: ActiveRun,
    pub(crate) outputs: BTreeMap<OutputRef, PathBuf>,
    pub(crate) hashes: BTreeMap<OutputRef, Sha256Hex>,
}

impl<'a> Runner<'a> {
    /// A runner of that pipeline with its runs and cache in `dir`. `stop` ends a run at the next opportunity.
    ///
    /// # Errors
    /// [`Error::Core`] if the present folder is unknown and `dir` is relative.
    pub fn new(
        pipeline: &'a Pipeline,
        dir: &Path,
        executor: &'a dyn StepExecutor,
        observer: &'a dyn RunObserver,
        stop: &'a AtomicBool,
    ) -> Result<Self> {
        // Steps are processes with folders of their own: their paths must not depend on where they start.
        let dir = std::path::absolute(dir).map_err(|e| Error::io("find", dir, e))?;
        Ok(Self { pipeline, dir, executor, observer, stop })
    }

    /// The folder of runs, for [`crate::run::list`] and [`crate::run::load`].
    pub fn runs(&self) -> PathBuf {
        self.dir.join("runs")
    }

    /// The cache.
    pub fn cache(&self) -> StepCache {
        StepCache::new(self.dir.join("cache"))
    }

    /// Runs the pipeline. What happened to the steps, failure and refusal included, is in the record.
    ///
    /// # Errors
    /// Before anything runs: [`Error::Graph`], parameters, configuration keys and steps that are not there.
    /// Afterwards only [`Error::Core`], when the record itself cannot be written.
    pub fn run(&self, request: &RunRequest) -> Result<RunRecord> {
        let steps = self.pipeline.validate()?;
        let parameters = resolve_parameters(self.pipeline, &request.parameters, &request.config)?;
        for step in &steps {
            step.config_keys.select(&step.name, &request.config)?;
        }
        if let Force::Steps(names) = &request.force {
            names.iter().try_for_each(|name| self.pipeline.step(name).map(|_| ()))?;
        }
        let run = ActiveRun::create(&self.runs(), |id| self.first_record(id, &steps, request, &parameters))?;
        files::write_json(&run.dir.join("config.json"), &request.config)?;
        let mut session = Session {
            request,
            parameters,
            cache: self.cache(),
            run,
            outputs: BTreeMap::new(),
            hashes: BTreeMap::new(),
        };
        self.observer.event(&RunEvent::RunStarted { record: &session.run.record, dir: &session.run.dir });
        for (index, step) in steps.iter().enumerate() {
            self.one(&mut session, step, index)?;
        }
        finish(&mut session)?;
        self.observer.event(&RunEvent::RunEnded { record: &session.run.record, dir: &session.run.dir });
        Ok(session.run.record.clone())
    }

    fn first_record(
        &self,
        id: String,
        steps: &[&Step],
        request: &RunRequest,
        parameters: &BTreeMap<String, Value>,
    ) -> RunRecord {
        RunRecord {
            id,
            pipeline: self.pipeline.name.clone(),
            status: RunStatus::Running,
            pid: std::process::id(),
            started: timestamp(),
            finished: None,
            code_version: request.code_version.clone(),
            git_commit: request.git_commit.clone(),
            config_hash: ContentHasher::new("kidu config 1")
                .field("config", request.config.to_string())
                .finish()
                .to_string(),
            parameters: parameters.clone(),
            steps: steps.iter().map(|s| StepRecord::pending(&s.name)).collect(),
            message: String::new(),
        }
    }

    /// Brings one step to its end, whatever that is, and writes it down.
    fn one(&self, session: &mut Session<'_>, step: &Step, index: usize) -> Result<()> {
        let of = session.run.record.steps.len();
        if let Some(bad) = session.run.record.steps[..index].iter().find(|s| !ended_well(s.status)) {
            let message = format!("because step '{}' was {}", first_bad(&session.run.record, bad), bad_word(bad));
            set(session, index, |r| (r.status, r.message) = (StepStatus::Skipped, message));
        } else if self.stop.load(Ordering::Relaxed) {
            set(session, index, |r| r.status = StepStatus::Interrupted);
        } else {
            let end = self.run_step(session, step, index);
            self.write_down(session, step, index, end);
        }
        session.run.save()?;
        self.observer.event(&RunEvent::StepEnded { record: &session.run.record.steps[index], number: index + 1, of });
        Ok(())
    }

    fn write_down(&self, session: &mut Session<'_>, step: &Step, index: usize, end: Result<StepEnd>) {
        match end {
            Ok(StepEnd::Entry { entry, cached }) => {
                let folder = session.cache.folder(&entry.key);
                for (name, output) in &entry.outputs {
                    let at = OutputRef::new(&step.name, name);
                    session.outputs.insert(at.clone(), folder.join(&output.path));
                    session.hashes.insert(at, output.hash.sha256.clone());
                }
                link(&folder, &session.run.dir.join(&step.name));
                set(session, index, |r| {
                    r.status = if cached { StepStatus::Cached } else { StepStatus::Succeeded };
                    (r.made, r.folder) = (Some(entry.finished.clone()), Some(folder));
                });
            }
            Ok(StepEnd::Refused { rule, folder }) => set(session, index, |r| {
                (r.status, r.message, r.folder) = (StepStatus::Refused, rule, Some(folder));
            }),
            Ok(StepEnd::Interrupted) => set(session, index, |r| r.status = StepStatus::Interrupted),
            Ok(StepEnd::Failed { message }) => set(session, index, |r| {
                (r.status, r.message) = (StepStatus::Failed, message);
            }),
            Err(error) => set(session, index, |r| {
                (r.status, r.message) = (StepStatus::Failed, error.to_string());
            }),
        }
    }
}

/// How a step ended, before it is written down.
pub(crate) enum StepEnd {
    Entry { entry: Box<CacheEntry>, cached: bool },
    Refused { rule: String, folder: PathBuf },
    Failed { message: String },
    Interrupted,
}

pub(crate) fn set(session: &mut Session<'_>, index: usize, change: impl FnOnce(&mut StepRecord)) {
    change(&mut session.run.record.steps[index]);
}

fn ended_well(status: StepStatus) -> bool {
    matches!(status, StepStatus::Cached | StepStatus::Succeeded)
}

/// Steps are skipped for the step that ended badly, not for another one that was skipped for it.
fn first_bad<'r>(record: &'r RunRecord, bad: &'r StepRecord) -> &'r str {
    record.steps.iter().find(|s| !ended_well(s.status)).map_or(&bad.name, |s| &s.name)
}

fn bad_word(step: &StepRecord) -> &'static str {
    if step.status == StepStatus::Failed { "not successful" } else { step.status.name() }
}

fn finish(session: &mut Session<'_>) -> Result<()> {
    let record = &mut session.run.record;
    let bad = record.steps.iter().find(|s| !ended_well(s.status));
    (record.status, record.message) = match bad {
        None => (RunStatus::Succeeded, String::new()),
        Some(s) if s.status == StepStatus::Refused => (RunStatus::Refused, s.message.clone()),
        Some(s) if s.status == StepStatus::Failed => (RunStatus::Failed, format!("step '{}': {}", s.name, s.message)),
        Some(s) => {
            let message = format!("stopped at step '{}'; run it again to go on from the cached steps", s.name);
            (RunStatus::Interrupted, message)
        }
    };
    record.finished = Some(timestamp());
    session.run.save()
}

/// A link from the run's folder to a step's outputs, for people. Best effort: the record has the path too.
fn link(folder: &Path, at: &Path) {
    #[cfg(unix)]
    {
        let relative = folder.iter().rev().take(3).collect::<Vec<_>>();
        let relative: PathBuf = relative.into_iter().rev().collect();
        let _ = std::os::unix::fs::symlink(Path::new("../..").join(relative), at);
    }
    #[cfg(not(unix))]
    let _ = (folder, at);
}
