//! The processes of a build: how they are found and ended, by whichever life of the backend.

use std::{fs::File, path::Path, time::Duration};

use kidu_core::files;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::Child;

/// In a build's folder, from before its process starts: empty at first, and the number of its process group once there is one.
const GROUP: &str = "group";

/// A build's process and all that it has started and that did not leave its group. As long as one of them lives, which the
/// lock of the log tells, no other group has this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group(Pid);

impl Group {
    /// Notes, for the next life of the backend, that a build begins now. Takes the place of an earlier attempt's note, whose
    /// number may be another's by now.
    pub(super) fn announce(dir: &Path) -> Result<(), kidu_core::Error> {
        files::write_atomic(&dir.join(GROUP), b"")
    }

    pub(super) fn of(child: &Child) -> Option<Self> {
        child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw).map(Self)
    }

    /// For the next life of the backend, which without it has to search.
    pub(super) fn write_down(&self, dir: &Path) {
        let path = dir.join(GROUP);
        if let Err(error) = files::write_atomic(&path, format!("{}\n", self.0.as_raw_nonzero()).as_bytes()) {
            tracing::warn!(%error, "the number of the build's process group could not be written down");
        }
    }

    /// Asks the build itself to save and end; a second signal to what it has started would cut that short.
    pub(super) fn ask(&self) {
        // It may have ended in this moment.
        let _ = kill_process(self.0, Signal::TERM);
    }

    pub(super) fn kill(&self) {
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Whether the build in a folder began before this long; one that nothing is noted of began before notes were made.
pub(super) fn is_overdue(dir: &Path, timeout: Duration) -> bool {
    let noted = [GROUP, super::local::LOG].iter().find_map(|name| dir.join(name).metadata().ok()?.modified().ok());
    // A clock that was set back makes a build look younger than it is: it has its time again.
    noted.is_some_and(|began| began.elapsed().unwrap_or_default() >= timeout)
}

/// The groups of a build that an earlier life began: the one that it wrote down, else those of the processes that hold the
/// lock of the log. The earlier life may have been killed before it could write, or had a full disk.
pub(super) fn left_behind(dir: &Path, log: &File) -> Vec<Group> {
    let written = std::fs::read_to_string(dir.join(GROUP)).ok().and_then(|text| text.trim().parse().ok());
    match written.filter(|id| *id > 1).and_then(Pid::from_raw) {
        Some(id) => vec![Group(id)],
        None => holders(log),
    }
}

/// The process groups that hold a lock of the file, as `/proc` tells: not of those who merely read it.
#[cfg(target_os = "linux")]
fn holders(log: &File) -> Vec<Group> {
    use std::os::unix::fs::MetadataExt;

    let Ok(file) = log.metadata() else { return Vec::new() };
    let holds = |process: &Path| {
        let open = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        open.filter(|fd| std::fs::metadata(fd.path()).is_ok_and(|m| (m.dev(), m.ino()) == (file.dev(), file.ino())))
            .any(|fd| {
                let told = std::fs::read_to_string(process.join("fdinfo").join(fd.file_name())).unwrap_or_default();
                told.lines().any(|line| line.starts_with("lock:") && line.contains("FLOCK"))
            })
    };
    let ours = rustix::process::getpgrp();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    // One that ends meanwhile, or is another user's, holds nothing that we could end.
    let mut groups: Vec<Pid> = processes
        .filter_map(|entry| Some((Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?, entry.path())))
        .filter(|(_, process)| holds(process))
        .filter_map(|(id, _)| rustix::process::getpgid(Some(id)).ok())
        .filter(|group| *group != ours)
        .collect();
    groups.sort_by_key(|group| group.as_raw_nonzero());
    groups.dedup();
    groups.into_iter().map(Group).collect()
}

/// Elsewhere nobody tells who holds a lock.
#[cfg(not(target_os = "linux"))]
fn holders(_: &File) -> Vec<Group> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn who_holds_the_lock_is_found_and_who_reads_is_not() {
        use std::os::unix::process::CommandExt;
        use std::process::{Command, Stdio};

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let open = || File::options().create(true).append(true).open(&path).unwrap();
        let held = open();
        held.lock().unwrap();
        let sleep = |out: File| {
            Command::new("sleep").arg("60").process_group(0).stdin(Stdio::null()).stdout(out).spawn().unwrap()
        };
        let (mut holder, mut reader) = (sleep(held), sleep(open()));
        let found = left_behind(dir.path(), &open());
        let expected = Pid::from_raw(holder.id().cast_signed()).map(Group);
        assert_eq!(found, Vec::from_iter(expected), "neither the reader nor ourselves");
        found[0].kill();
        holder.wait().unwrap();
        assert!(left_behind(dir.path(), &open()).is_empty());
        std::fs::write(dir.path().join(GROUP), "4194000\n").unwrap();
        assert_eq!(left_behind(dir.path(), &open()), Vec::from_iter(Pid::from_raw(4_194_000).map(Group)));
        reader.kill().unwrap();
        reader.wait().unwrap();
    }

    #[test]
    fn a_build_is_overdue_by_its_note_else_by_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let hour = Duration::from_secs(3600);
        assert!(!is_overdue(dir.path(), Duration::ZERO), "nothing has begun");
        let aged = |name: &str| {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_modified(std::time::SystemTime::now() - 2 * hour).unwrap();
        };
        aged("log");
        assert!(is_overdue(dir.path(), hour) && !is_overdue(dir.path(), 3 * hour));
        Group::announce(dir.path()).unwrap();
        assert!(!is_overdue(dir.path(), hour), "this attempt began now");
        aged(GROUP);
        assert!(is_overdue(dir.path(), hour));
    }
}
