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
                Decision::GiveUp => self.give_up(&mut stop).await,
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
        let current = self.journal.with_state(|state| state.current().cloned().map(|build| (build, state.unwritten())));
        let Some((build, unwritten)) = current else { return Ok(()) };
        self.journal.record(Entry::Attempt { at: now_ms(), build: build.id.clone() }).await?;
        let dir = self.builds.join(&build.id);
        let order = BuildOrder { id: build.id.clone(), annotations: build.annotations, unwritten, dir };
        self.metrics.building.set(1);
        let ran = self.runner.run(order, stop.clone()).await;
        self.metrics.building.set(0);
        match ran {
            Ok(RunEnd::Done(end, detail)) => {
                tracing::info!(build = build.id, ?end, detail, "a build has ended");
                self.ended(build.id, end, detail, stop).await;
                Ok(())
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

    async fn give_up(&self, stop: &mut Stop) -> Result<()> {
        let Some(id) = self.journal.with_state(|s| s.current().map(|b| b.id.clone())) else { return Ok(()) };
        tracing::error!(build = id, "a build was interrupted or could not be begun too often, and is given up");
        self.ended(id, BuildEnd::Failed, "interrupted or not begun too often; the log has the reasons".into(), stop)
            .await;
        Ok(())
    }

    /// Writes how a build ended, again and again while the disk does not take it: what is not written is run once more.
    async fn ended(&self, build: String, end: BuildEnd, detail: String, stop: &mut Stop) {
        self.metrics.build(match end {
            BuildEnd::Succeeded => "succeeded",
            BuildEnd::Refused => "refused",
            BuildEnd::Failed => "failed",
            BuildEnd::Misconfigured => "misconfigured",
        });
        let entry = Entry::Ended { at: now_ms(), build, end, detail };
        while let Err(error) = self.journal.record(entry.clone()).await {
            tracing::error!(%error, "how a build ended cannot be written; trying again");
            if *stop.borrow() {
                return;
            }
            self.pause(stop).await;
        }
        let builds = self.builds.clone();
        // Old logs only: whatever goes wrong costs nothing.
        let _ = tokio::task::spawn_blocking(move || remove_old(&builds)).await;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::watch;

    use super::*;
    use crate::{
        event::{Change, Event},
        training::{RunnerError, Running, State},
    };

    /// Ends at once, and the journal cannot be written any longer.
    struct FillsTheDisk {
        journal: PathBuf,
        runs: AtomicU32,
    }

    impl Runner for FillsTheDisk {
        fn describe(&self) -> String {
            "a script".into()
        }

        fn run(&self, _: BuildOrder, _: Stop) -> Running<'_> {
            self.runs.fetch_add(1, Ordering::SeqCst);
            let moved = std::fs::rename(&self.journal, self.journal.with_extension("aside"))
                .and_then(|()| std::fs::create_dir(&self.journal))
                .map_err(|e| RunnerError(e.to_string()));
            Box::pin(async { moved.map(|()| RunEnd::Done(BuildEnd::Failed, "exit code 1".into())) })
        }
    }

    #[tokio::test]
    async fn a_build_whose_end_cannot_be_written_is_not_run_again() {
        let dir = tempfile::tempdir().unwrap();
        let journal = LoopJournal::open(dir.path()).unwrap();
        let changes = vec![Change { annotation: "1".into(), state: "1".into() }];
        let event = Event { action: "x".into(), project: None, changes, train: true };
        journal.append(&Entry::Event { at: 1, event }).unwrap();
        let runner = Arc::new(FillsTheDisk { journal: journal.path().into(), runs: AtomicU32::new(0) });
        let hour = Duration::from_secs(3600);
        let trigger = Trigger { annotations: 1, debounce: Duration::ZERO, longest: hour, after_failure: hour };
        let (stop, stopped) = watch::channel(false);
        let metrics = Arc::new(Metrics::default());
        let shared = Arc::clone(&runner);
        let mut supervisor = Supervisor::new(journal.clone(), shared, trigger, dir.path(), metrics);
        supervisor.pause = Duration::from_millis(20);
        let working = tokio::spawn(supervisor.run(stopped));
        let until = async |holds: &dyn Fn() -> bool| {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        until(&|| journal.path().is_dir()).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(journal.with_state(|s| s.builds().count()), 0, "it is not promised before it is written");
        std::fs::remove_dir(journal.path()).unwrap();
        std::fs::rename(journal.path().with_extension("aside"), journal.path()).unwrap();
        until(&|| journal.with_state(|s| s.builds().count()) == 1).await;
        assert_eq!(runner.runs.load(Ordering::SeqCst), 1);
        assert_eq!(journal.with_state(State::pending), 1);
        stop.send(true).unwrap();
        working.await.unwrap();
    }
}
