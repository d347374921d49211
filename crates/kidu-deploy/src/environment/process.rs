//! A server's process: how it is started, asked to end, and found again when its keeper was killed.

use std::{
    fs::{self, File, OpenOptions},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use kidu_core::files;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, ChildStdin, Command};

use super::Spec;

/// A log that has become larger is put aside when the next process begins.
const LOG_LIMIT: u64 = 16 << 20;
/// How long a process that lost its keeper may take to notice.
const NOTICE: Duration = Duration::from_secs(5);

/// A running process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) child: Child,
    /// Open as long as it is wanted. Waiting for the child would close it there.
    _input: Option<ChildStdin>,
    name: String,
    /// Its own, also beside an earlier process of the same version that still ends.
    dir: PathBuf,
}

const RECORD: &str = "json";
const PORT: &str = "port";

/// What is written down of a process, to end it should its keeper be killed.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    pid: i32,
    /// In the kernel's ticks: with the number it names one process, also after the number was given away again.
    started: u64,
}

impl Process {
    /// Starts the server. It ends by itself when its standard input does, which is when this process ends.
    pub(super) fn spawn(spec: &Spec) -> std::io::Result<Self> {
        let dir = spec.dir.join("servers").join(format!("{:016x}", rand::random::<u64>()));
        Self::spawn_in(spec, dir.clone()).inspect_err(|_| {
            let _ = fs::remove_dir_all(&dir);
        })
    }

    fn spawn_in(spec: &Spec, dir: PathBuf) -> std::io::Result<Self> {
        let name = format!("{}-{}", spec.environment, spec.version);
        let logs = spec.dir.join("logs");
        fs::create_dir_all(&dir)?;
        fs::create_dir_all(&logs)?;
        let (record, port_file) = (dir.join(&name).with_extension(RECORD), dir.join(&name).with_extension(PORT));
        let log = open_log(&logs.join(format!("{name}.log")))?;
        let (program, first) = spec.command.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(first).arg("--bundle").arg(&spec.bundle).arg("--port-file").arg(&port_file);
        command.args(["--host", "127.0.0.1", "--port", "0", "--end-with-stdin", "--shutdown-delay", "0"]);
        command.args(["--log-level", "warn"]).args(&spec.arguments);
        // Options come as arguments here; variables of the shell are not meant for servers.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("KIDU_") {
                command.env_remove(&variable);
            }
        }
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        // Of its own: a terminal's Ctrl-C is for the keeper, which ends its servers in order.
        command.process_group(0);
        let mut child = command.spawn()?;
        let input = child.stdin.take();
        if let Some((pid, started)) = child.id().and_then(|id| Some((i32::try_from(id).ok()?, start_time(id)?))) {
            let _ = files::write_json(&record, &Record { pid, started });
        }
        Ok(Self { child, _input: input, name, dir })
    }

    /// Where it listens, once it does.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let port_file = self.dir.join(&self.name).with_extension(PORT);
        let port = fs::read_to_string(port_file).ok()?.trim().parse().ok()?;
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// Asks it to end, and ends it if it does not.
    pub(super) async fn end(mut self, patience: Duration) {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(patience, self.child.wait()).await.is_err() {
            tracing::warn!(server = self.name, "a server did not end in time and was killed");
            let _ = self.child.kill().await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn open_log(path: &Path) -> std::io::Result<File> {
    if fs::metadata(path).is_ok_and(|m| m.len() > LOG_LIMIT) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// When a process began, in ticks since the machine did. Only Linux tells it this way.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// Waits for the servers of a keeper that was killed: they notice it, or are killed. Only processes that are written
/// down in the folder, and only if they are still those.
pub async fn reap(dir: &Path) {
    let servers = dir.join("servers");
    let inside = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect::<Vec<_>>();
    let records = inside(&servers).into_iter().flat_map(|dir| inside(&dir));
    let deadline = Instant::now() + NOTICE;
    for path in records.filter(|p| p.extension().is_some_and(|e| e == RECORD)) {
        if let Ok(record) = files::read_json::<Record>(&path, "record of a server") {
            let alive = || {
                u32::try_from(record.pid).ok().and_then(start_time) == Some(record.started) && !is_zombie(record.pid)
            };
            while alive() && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            if alive()
                && let Some(pid) = Pid::from_raw(record.pid)
            {
                tracing::warn!(pid = record.pid, "a server of a keeper that was killed is killed");
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
    let _ = fs::remove_dir_all(&servers);
}

/// Whether a process has ended and waits for its parent to notice.
fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_number_and_start() {
        let own = std::process::id();
        assert!(start_time(own).unwrap() > 0);
        assert!(!is_zombie(own as i32));
        assert_eq!(start_time(u32::MAX), None);
    }
}
