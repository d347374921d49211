//! Builds on this machine: `kidu pipeline run ...` as a child process, without a shell.

use std::{
    ffi::OsString,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use kidu_core::files;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::{BuildEnd, BuildOrder, RunEnd, Runner, RunnerError, Running, Stop, runner::stopped};

/// The id of the build, for whoever runs in it.
const BUILD_ID: &str = "KIDU_BUILD_ID";
/// Between two looks at a build that another life of ours began.
const LOOK: Duration = Duration::from_millis(500);
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
#[derive(Clone, Debug)]
pub struct LocalRunner {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// Variables that are ours alone.
    hidden: Vec<&'static str>,
    grace: Duration,
}

impl LocalRunner {
    /// A runner of a program with the arguments after `pipeline run`. Variables in `hidden` are kept from it. At the end a
    /// build has `grace` to save.
    pub fn new(program: PathBuf, arguments: Vec<OsString>, hidden: Vec<&'static str>, grace: Duration) -> Self {
        Self { program, arguments, hidden, grace }
    }

    async fn build(&self, order: BuildOrder, mut stop: Stop) -> Result<RunEnd, RunnerError> {
        let Some(log) = lock_log(&order.dir, &mut stop).await? else {
            return Ok(RunEnd::Interrupted("the backend ended".into()));
        };
        let mut child = match self.start(&order, log) {
            Ok(child) => child,
            Err(error) if is_missing(&error) => {
                return Ok(RunEnd::Done(BuildEnd::Misconfigured, self.not_started(&error)));
            }
            Err(error) => return Err(RunnerError(self.not_started(&error))),
        };
        tracing::info!(build = order.id, pid = child.id(), program = %self.program.display(), "a build was begun");
        let failed = |e: std::io::Error| RunnerError(format!("the build's process is lost: {e}"));
        let status = tokio::select! {
            status = child.wait() => status.map_err(failed)?,
            () = stopped(&mut stop) => {
                self.end(&mut child).await;
                return Ok(RunEnd::Interrupted("the backend ended".into()));
            }
        };
        Ok(ended(status, &order.dir.join(LOG)))
    }

    fn not_started(&self, error: &std::io::Error) -> String {
        format!("{} cannot be started: {error}; name the kidu command with --build-program", self.program.display())
    }

    fn start(&self, order: &BuildOrder, log: File) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(["pipeline", "run"])
            .args(&self.arguments)
            .env(BUILD_ID, &order.id)
            .stdin(Stdio::null())
            // Both are the same open file, and so hold the same lock.
            .stdout(log.try_clone()?)
            .stderr(log);
        for name in &self.hidden {
            command.env_remove(name);
        }
        command.spawn()
    }

    /// Asks the process to save and end, and ends it if it does not.
    async fn end(&self, child: &mut Child) {
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended in this moment.
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(self.grace, child.wait()).await.is_err() {
            tracing::warn!(seconds = self.grace.as_secs_f64(), "the build did not end in time and was killed");
            let _ = child.kill().await;
        }
    }
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

const LOG: &str = "log";

/// Whether the program is not there, or not one.
fn is_missing(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied)
}

/// The build's log, locked. Waits while a process of an earlier life has it; `None` if we are to end meanwhile.
async fn lock_log(dir: &Path, stop: &mut Stop) -> Result<Option<File>, RunnerError> {
    let path = dir.join(LOG);
    let unusable = |reason: String| RunnerError(format!("{}: {reason}", path.display()));
    files::create_dir_all(dir).map_err(|e| RunnerError(e.to_string()))?;
    let log = File::options().create(true).append(true).open(&path).map_err(|e| unusable(e.to_string()))?;
    let mut told = false;
    loop {
        match log.try_lock() {
            Ok(()) => return Ok(Some(log)),
            Err(TryLockError::Error(e)) => return Err(unusable(format!("cannot be locked: {e}"))),
            Err(TryLockError::WouldBlock) => {}
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!(log = %path.display(), "the build still runs from before; waiting for its end");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stopped(stop) => return Ok(None),
        }
    }
}

fn ended(status: ExitStatus, log: &Path) -> RunEnd {
    let last = last_line(log);
    let with_last = |text: String| if last.is_empty() { text } else { format!("{text}: {last}") };
    match status.code() {
        Some(0) => RunEnd::Done(BuildEnd::Succeeded, last),
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
