//! One step of a run: its key, the cache, and its execution.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Instant,
};

use kidu_core::{Sha256Hex, files, run::timestamp, suggest::nearest};

use crate::{
    cache::{CacheEntry, Lookup, Made, Work},
    error::{Error, Result},
    executor::{BoxError, RunEvent, StepContext, StepOutcome},
    fingerprint::{Parts, RerunReason},
    graph::{InputSource, Step, StepKind},
    key_lock::KeyLock,
    lineage::Lineage,
    resolve::Values,
    run::StepStatus,
    runner::{Runner, Session, StepEnd, set},
};

impl Runner<'_> {
    /// Takes a step from the cache or executes it. Errors count as failure of the step.
    pub(crate) fn run_step(&self, session: &mut Session<'_>, step: &Step, index: usize) -> Result<StepEnd> {
        let clock = Instant::now();
        let parts = match self.parts(session, step)? {
            Ok(parts) => parts,
            Err(message) => return Ok(StepEnd::Failed { message }),
        };
        let key = parts.key(&step.name);
        set(session, index, |r| (r.key, r.status) = (Some(key.to_string()), StepStatus::Running));
        session.run.save()?;
        let waiting = || self.observer.event(&RunEvent::StepWaiting { step: &step.name });
        let Some(lock) = session.cache.lock(&key, self.stop, waiting)? else {
            return Ok(StepEnd::Interrupted);
        };
        let reason = match self.lookup(session, step, &key, &parts) {
            Ok(entry) => {
                session.cache.note_use(&entry, &self.pipeline.name)?;
                set(session, index, |r| r.seconds = clock.elapsed().as_secs_f64());
                return Ok(StepEnd::Entry { entry, cached: true });
            }
            Err(reason) => reason,
        };
        let work = session.cache.begin(&key, step.resumable && reason != RerunReason::Forced)?;
        set(session, index, |r| r.message = reason.to_string());
        session.run.save()?;
        self.observer.event(&RunEvent::StepStarted {
            step: &step.name,
            number: index + 1,
            of: session.run.record.steps.len(),
            reason: &reason,
            resume: work.resumed,
        });
        let made = Made { key, parts, started: timestamp(), seconds: 0.0 };
        let outcome = self.execute(session, step, &work, &made.key, &lock);
        let seconds = clock.elapsed().as_secs_f64();
        set(session, index, |r| r.seconds = seconds);
        self.settle(session, step, work, Made { seconds, ..made }, outcome)
    }

    /// Everything the step depends on; the inner error is an executor's.
    fn parts(&self, session: &Session<'_>, step: &Step) -> Result<Result<Parts, String>> {
        let request = session.request;
        let mut parts = Parts::of_definition(step, &request.code_version);
        for name in step.parameters() {
            if let Some(value) = session.parameters.get(name) {
                parts.parameter(name, value);
            }
        }
        for (key, value) in step.config_keys.select(&step.name, &request.config)? {
            parts.config(&key, &value);
        }
        let paths = values(self, session, Path::new(""), step, Path::new("")).inputs(step);
        for input in &step.inputs {
            match &input.source {
                InputSource::Output(output) => {
                    if let Some(hash) = session.hashes.get(output) {
                        parts.input(&output.to_string(), hash);
                    }
                }
                InputSource::External { .. } => match self.external(session, step, &input.name, &paths) {
                    Ok(hash) => parts.external(&input.name, &hash?),
                    Err(error) => return Ok(Err(format!("cannot read the external input '{}': {error}", input.name))),
                },
            }
        }
        if !step.cache {
            parts.only_for_run(&session.run.record.id);
        }
        Ok(Ok(parts))
    }

    fn external(
        &self,
        session: &Session<'_>,
        step: &Step,
        name: &str,
        inputs: &BTreeMap<String, PathBuf>,
    ) -> Result<Result<Sha256Hex>, BoxError> {
        let found = self.executor.external(step, name, inputs)?;
        let known = &session.request.externals;
        Ok(found.as_ref().or_else(|| known.get(name)).map(|e| e.hash.clone()).ok_or_else(|| Error::MissingExternal {
            step: step.name.clone(),
            name: name.into(),
            nearest: nearest(name, known.keys().map(String::as_str)).map(Into::into),
        }))
    }

    /// The cached entry, or why the step must run.
    fn lookup(
        &self,
        session: &Session<'_>,
        step: &Step,
        key: &Sha256Hex,
        parts: &Parts,
    ) -> Result<Box<CacheEntry>, RerunReason> {
        if session.request.force.covers(&step.name) {
            return Err(RerunReason::Forced);
        }
        if !step.cache {
            return Err(RerunReason::NeverCached);
        }
        match session.cache.lookup(key) {
            Lookup::Hit(entry) => {
                let folder = session.cache.folder(key);
                let outputs = entry.outputs.iter().map(|(n, o)| (n.clone(), folder.join(&o.path))).collect();
                self.executor.undone(step, &outputs).map_or(Ok(entry), |why| Err(RerunReason::Damaged(why)))
            }
            Lookup::Damaged(why) => Err(RerunReason::Damaged(why)),
            Lookup::Missing => Err(match session.cache.last_use(&self.pipeline.name, &step.name) {
                None => RerunReason::First,
                Some(last) if last.key == *key => RerunReason::Gone,
                Some(last) => RerunReason::Changed(parts.changes_since(&last.parts)),
            }),
        }
    }

    fn execute(
        &self,
        session: &Session<'_>,
        step: &Step,
        work: &Work,
        key: &Sha256Hex,
        lock: &KeyLock,
    ) -> Result<StepOutcome, BoxError> {
        let (folder, run_dir) = (work.folder(), &session.run.dir);
        let lineage = run_dir.join("lineage.json");
        if let StepKind::Register { bundle, evaluation, dataset, .. } = &step.kind {
            let place = |o| session.outputs.get(o).map(PathBuf::as_path);
            let (bundle, evaluation) = (place(bundle).unwrap_or(run_dir), place(evaluation).unwrap_or(run_dir));
            let made = Lineage::collect(bundle, evaluation, place(dataset), Some(&session.run.record))?;
            files::write_json(&lineage, &made)?;
        }
        let resolved = values(self, session, &folder, step, &lineage).resolve(step, key);
        let context = StepContext {
            run_dir,
            log: run_dir.join(format!("{}.log", step.name)),
            config: run_dir.join("config.json"),
            resume: work.resumed,
            lock: lock.step_file(),
            stop: self.stop,
        };
        self.executor.execute(&resolved, &context)
    }

    /// Keeps what a step made, according to how it ended.
    fn settle(
        &self,
        session: &Session<'_>,
        step: &Step,
        work: Work,
        made: Made,
        outcome: Result<StepOutcome, BoxError>,
    ) -> Result<StepEnd> {
        let stopped = self.stop.load(Ordering::Relaxed);
        let folder = session.run.dir.join(&step.name);
        match outcome {
            Ok(StepOutcome::Done) => {
                let entry = session.cache.commit(work, &self.pipeline.name, step, made)?;
                session.cache.note_use(&entry, &self.pipeline.name)?;
                Ok(StepEnd::Entry { entry: Box::new(entry), cached: false })
            }
            Ok(StepOutcome::Refused { rule }) => {
                session.cache.abandon(work, &folder)?;
                Ok(StepEnd::Refused { rule, folder })
            }
            // Whatever a step says when it was told to stop, it did not fail by itself.
            Ok(StepOutcome::Interrupted) => Ok(StepEnd::Interrupted),
            Ok(StepOutcome::Failed { .. }) | Err(_) if stopped => Ok(StepEnd::Interrupted),
            Ok(StepOutcome::Failed { message }) => self.failed(session, step, work, &folder, message),
            Err(error) => self.failed(session, step, work, &folder, error.to_string()),
        }
    }

    /// A failed step's files go to the run's folder, unless the next attempt can go on from them.
    fn failed(
        &self,
        session: &Session<'_>,
        step: &Step,
        work: Work,
        folder: &Path,
        message: String,
    ) -> Result<StepEnd> {
        if !step.resumable {
            session.cache.abandon(work, folder)?;
        }
        Ok(StepEnd::Failed { message })
    }
}

fn values<'v>(
    runner: &'v Runner<'_>,
    session: &'v Session<'_>,
    folder: &'v Path,
    step: &Step,
    lineage: &'v Path,
) -> Values<'v> {
    Values {
        pipeline: &runner.pipeline.name,
        run_id: &session.run.record.id,
        folder,
        registry: &session.request.registry,
        lineage,
        parameters: &session.parameters,
        outputs: &session.outputs,
        endpoint: "",
        config_arguments: session.request.config_arguments.get(&step.name).map_or(&[], Vec::as_slice),
    }
}
