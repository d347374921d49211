//! Builds on this machine: `kidu pipeline run ...` as a child process, without a shell.

use std::{
    ffi::OsString,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use kidu_core::files;
use tokio::process::{Child, Command};

use super::{
    BuildEnd, BuildOrder, RunEnd, Runner, RunnerError, Running, Stop, TargetStorages,
    group::{self, Group},
    runner::stopped,
};

/// The id of the build, for whoever runs in it.
const BUILD_ID: &str = "KIDU_BUILD_ID";
/// Between two looks at a build that another life of ours began.
const LOOK: Duration = Duration::from_millis(500);
/// For what was killed to be gone.
const AFTER_KILL: Duration = Duration::from_secs(10);
/// Why a build whose time is over cannot be taken up.
const HELD: &str = "is still held by a process of the build that could not be ended; end it (`fuser` names it)";
/// The pipeline's exit codes, as docs/architecture.md states them.
const MISCONFIGURED: i32 = 2;
const REFUSED: i32 = 3;
const INTERRUPTED: i32 = 130;

/// Runs `PROGRAM pipeline run ARGUMENTS...`.
///
/// A build's output goes to `log` in its folder. The file is locked before the process starts, and the lock goes with the
/// open file to the process: it lasts until the process and all that it started have ended, whatever becomes of us. So a
/// backend that was killed finds out at its next start whether the build still runs, waits for it, and runs the same
/// command again, which takes finished steps from the pipeline's cache.
#[derive(Clone)]
pub struct LocalRunner {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// Variables that are ours alone.
    hidden: Vec<&'static str>,
    /// Variables that builds have besides.
    given: Vec<(&'static str, OsString)>,
    storages: Option<TargetStorages>,
    limits: BuildLimits,
}

/// How long builds may take.
#[derive(Clone, Copy, Debug)]
pub struct BuildLimits {
    /// To save, when a build is asked to end.
    pub grace: Duration,
    /// For a whole build, after which it is asked to end.
    pub timeout: Duration,
}

impl LocalRunner {
    /// A runner of a program with the arguments after `pipeline run`. Variables in `hidden` are kept from it.
    pub fn new(program: PathBuf, arguments: Vec<OsString>, hidden: Vec<&'static str>, limits: BuildLimits) -> Self {
        Self { program, arguments, hidden, given: Vec::new(), storages: None, limits }
    }

    /// Gives builds a variable.
    #[must_use]
    pub fn with_variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.given.push((name, value.into()));
        self
    }

    /// Has Label Studio write these before a build that reads them.
    #[must_use]
    pub fn with_storages(mut self, storages: Option<TargetStorages>) -> Self {
        self.storages = storages;
        self
    }

    async fn build(&self, order: BuildOrder, mut stop: Stop) -> Result<RunEnd, RunnerError> {
        let log = match self.lock_log(&order, &mut stop).await? {
            Locked::Ours(log) => log,
            Locked::Stopped => return Ok(RunEnd::Interrupted("the backend ended".into())),
            Locked::TimedOut => return Ok(self.timed_out(&order)),
        };
        if let Some(end) = self.prepare(&order, &mut stop).await {
            return Ok(end);
        }
        Group::announce(&order.dir).map_err(|e| RunnerError(e.to_string()))?;
        let mut child = match self.start(&order, log) {
            Ok(child) => child,
            Err(error) if is_missing(&error) => {
                return Ok(RunEnd::Done(BuildEnd::Misconfigured, self.not_started(&error)));
            }
            Err(error) => return Err(RunnerError(self.not_started(&error))),
        };
        tracing::info!(build = order.id, pid = child.id(), program = %self.program.display(), "a build was begun");
        let group = Group::of(&child);
        if let Some(group) = &group {
            group.write_down(&order.dir);
        }
        let failed = |e: std::io::Error| RunnerError(format!("the build's process is lost: {e}"));
        let status = tokio::select! {
            status = child.wait() => status.map_err(failed)?,
            () = tokio::time::sleep(self.limits.timeout) => {
                self.end(&mut child, group).await;
                return Ok(self.timed_out(&order));
            }
            () = stopped(&mut stop) => {
                self.end(&mut child, group).await;
                return Ok(RunEnd::Interrupted("the backend ended".into()));
            }
        };
        Ok(ended(status, &order.dir.join(LOG)))
    }

    /// What the build reads is written by Label Studio; else how the build has ended.
    async fn prepare(&self, order: &BuildOrder, stop: &mut Stop) -> Option<RunEnd> {
        let storages = self.storages.clone().filter(|_| !order.unwritten.is_empty())?;
        let projects = order.unwritten.clone();
        let writing = tokio::task::spawn_blocking(move || storages.write(&projects));
        let written = tokio::select! {
            written = writing => written.unwrap_or_else(|e| Err(format!("a fault of the backend: {e}"))),
            () = stopped(stop) => return Some(RunEnd::Interrupted("the backend ended".into())),
        };
        written.err().map(|reason| RunEnd::Done(BuildEnd::Failed, reason))
    }

    fn not_started(&self, error: &std::io::Error) -> String {
        format!("{} cannot be started: {error}; name the kidu command with --build-program", self.program.display())
    }

    fn timed_out(&self, order: &BuildOrder) -> RunEnd {
        let seconds = self.limits.timeout.as_secs_f64();
        tracing::warn!(build = order.id, seconds, "the build did not end in time and was stopped");
        let text = format!("it had not ended after {seconds} seconds and was stopped (--build-timeout)");
        RunEnd::Done(BuildEnd::Failed, with_last(text, &order.dir.join(LOG)))
    }

    fn start(&self, order: &BuildOrder, log: File) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(["pipeline", "run"])
            .args(&self.arguments)
            .env(BUILD_ID, &order.id)
            .envs(self.given.iter().map(|(name, value)| (name, value)))
            // A group of its own: what the build starts can be ended with it.
            .process_group(0)
            .stdin(Stdio::null())
            // Both are the same open file, and so hold the same lock.
            .stdout(log.try_clone()?)
            .stderr(log);
        for name in &self.hidden {
            command.env_remove(name);
        }
        command.spawn()
    }

    /// Asks the process to save and end, and ends it and all that it started if it does not.
    async fn end(&self, child: &mut Child, group: Option<Group>) {
        let Some(group) = group else { return };
        group.ask();
        if tokio::time::timeout(self.limits.grace, child.wait()).await.is_err() {
            let seconds = self.limits.grace.as_secs_f64();
            tracing::warn!(seconds, "the build did not end in time when asked and was killed");
        }
        group.kill();
        let _ = child.wait().await;
    }

    /// Ends what an earlier life began and nobody waits for any longer. Whether all of it is gone.
    async fn end_left_behind(&self, dir: &Path, log: &File) -> bool {
        let groups = group::left_behind(dir, log);
        groups.iter().for_each(Group::ask);
        if !groups.is_empty() && !freed(log, self.limits.grace).await {
            groups.iter().for_each(Group::kill);
        }
        freed(log, AFTER_KILL).await
    }

    /// The build's log, locked. Waits while a process of an earlier life has it, but not longer than a build may take.
    async fn lock_log(&self, order: &BuildOrder, stop: &mut Stop) -> Result<Locked, RunnerError> {
        let path = order.dir.join(LOG);
        let unusable = |reason: String| RunnerError(format!("{}: {reason}", path.display()));
        files::create_dir_all(&order.dir).map_err(|e| RunnerError(e.to_string()))?;
        let log = File::options().create(true).append(true).open(&path).map_err(|e| unusable(e.to_string()))?;
        let mut told = false;
        while !is_free(&log).map_err(|e| unusable(format!("cannot be locked: {e}")))? {
            if !std::mem::replace(&mut told, true) {
                tracing::info!(log = %path.display(), "the build still runs from before; waiting for its end");
            }
            if group::is_overdue(&order.dir, self.limits.timeout) {
                return match self.end_left_behind(&order.dir, &log).await {
                    true => Ok(Locked::TimedOut),
                    false => Err(unusable(HELD.into())),
                };
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stopped(stop) => return Ok(Locked::Stopped),
            }
        }
        Ok(Locked::Ours(log))
    }
}

/// The log of a build.
enum Locked {
    /// No other process has it.
    Ours(File),
    /// The backend is to end.
    Stopped,
    /// An earlier life's build had it for longer than a build may take, and was ended.
    TimedOut,
}

/// Whether nobody has the log; then it is ours.
fn is_free(log: &File) -> std::io::Result<bool> {
    match log.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether a log that another process has is ours within some time.
async fn freed(log: &File, within: Duration) -> bool {
    let free = async {
        while !is_free(log).unwrap_or(false) {
            tokio::time::sleep(LOOK.min(within / 10)).await;
        }
    };
    tokio::time::timeout(within, free).await.is_ok()
}

impl Runner for LocalRunner {
    fn describe(&self) -> String {
        let arguments: Vec<_> = self.arguments.iter().map(|a| a.to_string_lossy()).collect();
        format!("{} pipeline run {}", self.program.display(), arguments.join(" "))
    }

    fn run(&self, order: BuildOrder, stop: Stop) -> Running<'_> {
        Box::pin(self.build(order, stop))
    }
}

/// The output of a build, in its folder.
pub(super) const LOG: &str = "log";

/// Whether the program is not there, or not one.
fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied)
}

/// A reason, and the last line of the log.
fn with_last(text: String, log: &Path) -> String {
    let last = last_line(log);
    if last.is_empty() { text } else { format!("{text}: {last}") }
}

fn ended(status: ExitStatus, log: &Path) -> RunEnd {
    let with_last = |text: String| with_last(text, log);
    match status.code() {
        Some(0) => RunEnd::Done(BuildEnd::Succeeded, last_line(log)),
        Some(REFUSED) => RunEnd::Done(BuildEnd::Refused, with_last("the gate said no".into())),
        Some(MISCONFIGURED) => RunEnd::Done(BuildEnd::Misconfigured, with_last("it cannot be run so".into())),
        Some(INTERRUPTED) => RunEnd::Interrupted(with_last("a signal ended it".into())),
        Some(code) => RunEnd::Done(BuildEnd::Failed, with_last(format!("exit code {code}"))),
        None => RunEnd::Interrupted(with_last(format!("it was killed ({status})"))),
    }
}

/// The last line that says something, of the last 4 kB.
fn last_line(log: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(4096)))?;
        let mut tail = Vec::new();
        file.take(4096).read_to_end(&mut tail)?;
        Ok(tail)
    };
    // The log is for people; a build without one has ended all the same.
    let tail = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&tail);
    let line = text.lines().rev().map(str::trim).find(|l| !l.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}
