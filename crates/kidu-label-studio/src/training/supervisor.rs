//! Decides, runs, and writes down what came of it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    BuildEnd, BuildOrder, Decision, Entry, LoopJournal, Reason, RunEnd, Runner, Stop, Trigger, decide, now_ms,
    runner::stopped,
};
use crate::{error::Result, metrics::Metrics};
use kidu_core::run;

/// Folders of builds that are kept.
const KEPT: usize = 30;
/// After a build that could not be begun, or was interrupted.
const PAUSE: Duration = Duration::from_secs(5);

/// Starts builds when the journal says so.
pub struct Supervisor {
    journal: LoopJournal,
    runner: Arc<dyn Runner>,
    trigger: Trigger,
    /// Where builds have their folders.
    builds: PathBuf,
    metrics: Arc<Metrics>,
    pause: Duration,
}

impl Supervisor {
    pub(crate) fn new(
        journal: LoopJournal,
        runner: Arc<dyn Runner>,
        trigger: Trigger,
        state_dir: &Path,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { journal, runner, trigger, builds: state_dir.join("builds"), metrics, pause: PAUSE }
    }

    /// Works until it is stopped. A build that runs then is let go of, and gone on with by the next start.
    pub async fn run(self, mut stop: Stop) {
        while !*stop.borrow() {
            let decision = self.journal.with_state(|state| {
                self.metrics.pending.set(i64::try_from(state.pending()).unwrap_or(i64::MAX));
                decide(state, &self.trigger, now_ms(), false)
            });
            let acted = match decision {
                Decision::Idle => self.wait(None, &mut stop).await,
                Decision::Wait(time) => self.wait(Some(time), &mut stop).await,
                Decision::Plan(reason) => self.plan(reason).await,
                Decision::Resume => self.build(&mut stop).await,
                Decision::GiveUp => self.give_up().await,
            };
            if let Err(error) = acted {
                // The disk is full, or gone: nothing can be promised, so nothing is begun.
                tracing::error!(%error, "the loop's journal cannot be written; trying again");
                self.pause(&mut stop).await;
            }
        }
    }

    async fn wait(&self, time: Option<Duration>, stop: &mut Stop) -> Result<()> {
        let timer = async {
            match time {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = timer => {}
            () = self.journal.news() => {}
            () = stopped(stop) => {}
        }
        Ok(())
    }

    async fn pause(&self, stop: &mut Stop) {
        let _ = tokio::time::timeout(self.pause, stopped(stop)).await;
    }

    async fn plan(&self, reason: Reason) -> Result<()> {
        let build = run::new_run_id();
        tracing::info!(build, ?reason, "a build is planned");
        self.journal.record(Entry::Planned { at: now_ms(), build, reason }).await
    }

    async fn build(&self, stop: &mut Stop) -> Result<()> {
        let current = self.journal.with_state(|state| state.current().cloned());
        let Some(build) = current else { return Ok(()) };
        self.journal.record(Entry::Attempt { at: now_ms(), build: build.id.clone() }).await?;
        let dir = self.builds.join(&build.id);
        let order = BuildOrder { id: build.id.clone(), annotations: build.annotations, dir };
        self.metrics.building.set(1);
        let ran = self.runner.run(order, stop.clone()).await;
        self.metrics.building.set(0);
        match ran {
            Ok(RunEnd::Done(end, detail)) => {
                tracing::info!(build = build.id, ?end, detail, "a build has ended");
                self.ended(build.id, end, detail).await
            }
            Ok(RunEnd::Interrupted(why)) => {
                tracing::info!(build = build.id, why, "a build was interrupted");
                self.pause(stop).await;
                Ok(())
            }
            Err(error) => {
                tracing::warn!(build = build.id, %error, "a build could not be run");
                self.pause(stop).await;
                Ok(())
            }
        }
    }

    async fn give_up(&self) -> Result<()> {
        let Some(id) = self.journal.with_state(|s| s.current().map(|b| b.id.clone())) else { return Ok(()) };
        tracing::error!(build = id, "a build was interrupted or could not be begun too often, and is given up");
        self.ended(id, BuildEnd::Failed, "interrupted or not begun too often; the log has the reasons".into()).await
    }

    async fn ended(&self, build: String, end: BuildEnd, detail: String) -> Result<()> {
        self.metrics.build(match end {
            BuildEnd::Succeeded => "succeeded",
            BuildEnd::Refused => "refused",
            BuildEnd::Failed => "failed",
            BuildEnd::Misconfigured => "misconfigured",
        });
        self.journal.record(Entry::Ended { at: now_ms(), build, end, detail }).await?;
        let builds = self.builds.clone();
        // Old logs only: whatever goes wrong costs nothing.
        let _ = tokio::task::spawn_blocking(move || remove_old(&builds)).await;
        Ok(())
    }
}

/// Removes the folders of the oldest builds. Ids begin with their time.
fn remove_old(builds: &Path) {
    let Ok(entries) = std::fs::read_dir(builds) else { return };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.sort();
    for folder in folders.iter().rev().skip(KEPT) {
        if let Err(error) = std::fs::remove_dir_all(folder) {
            tracing::debug!(%error, folder = %folder.display(), "an old build's folder stays");
        }
    }
}
