//! Optuna's lock on a journal (`JournalFileSymlinkLock`): a symbolic link beside it, for as long as somebody appends.
//!
//! A process that is killed leaves the link. Optuna waits half a minute before it takes such a link away. Ours is told
//! by its target, and since only one process of this project works on a journal at a time, it is taken away at once.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::beside;
use crate::error::{Error, Result};

/// After so long without a change of the journal a link is left over, as for Optuna.
const GRACE: Duration = Duration::from_secs(30);
/// After so long with changes something is wrong.
const PATIENCE: Duration = Duration::from_secs(300);

/// The lock, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    link: Option<PathBuf>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Nothing can be done about a failure; the next to append finds it as one left over.
        let _ = self.link.take().map(fs::remove_file);
    }
}

fn link_of(journal: &Path) -> PathBuf {
    beside(journal, ".lock")
}

/// The journal by a name that Optuna never gives it. Optuna looks through the link at the journal's age.
#[cfg(unix)]
fn our_target(journal: &Path) -> PathBuf {
    Path::new("././.").join(journal.file_name().unwrap_or_default())
}

/// Waits for the lock.
#[cfg(unix)]
pub(super) fn acquire(journal: &Path) -> Result<Held> {
    let link = link_of(journal);
    let began = Instant::now();
    let mut pause = Duration::from_millis(1);
    let mut seen = (modified(journal), Instant::now());
    loop {
        match std::os::unix::fs::symlink(our_target(journal), &link) {
            Ok(()) => return Ok(Held { link: Some(link) }),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(kidu_core::Error::io("create", &link, e).into()),
        }
        let now = modified(journal);
        if now != seen.0 {
            seen = (now, Instant::now());
        }
        if seen.1.elapsed() > GRACE {
            remove(&link)?;
        } else if began.elapsed() > PATIENCE {
            return Err(Error::Locked { path: link });
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

/// Elsewhere Optuna has to be told to use another lock, and is not waited for.
#[cfg(not(unix))]
pub(super) fn acquire(_: &Path) -> Result<Held> {
    Ok(Held { link: None })
}

#[cfg(unix)]
fn modified(journal: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(journal).and_then(|m| m.modified()).ok()
}

fn remove(link: &Path) -> Result<()> {
    match fs::remove_file(link) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(kidu_core::Error::io("remove", link, e).into()),
        _ => Ok(()),
    }
}

/// Takes away the link that a killed process of this project left. Only for whoever owns the journal.
#[cfg(unix)]
pub(super) fn remove_ours(journal: &Path) -> Result<()> {
    let link = link_of(journal);
    match fs::read_link(&link) {
        Ok(target) if target.as_os_str() == our_target(journal).as_os_str() => remove(&link),
        _ => Ok(()),
    }
}

/// There are none.
#[cfg(not(unix))]
pub(super) fn remove_ours(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_what_a_kill_left_is_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("j.log");
        fs::write(&journal, "").unwrap();
        let held = acquire(&journal).unwrap();
        // The link leads to the journal, by whose age others judge it.
        assert!(fs::metadata(link_of(&journal)).unwrap().is_file());
        let waiting = thread::spawn({
            let journal = journal.clone();
            move || acquire(&journal).map(|_| Instant::now()).unwrap()
        });
        thread::sleep(Duration::from_millis(50));
        let released = Instant::now();
        drop(held);
        assert!(waiting.join().unwrap() >= released);
        assert!(fs::symlink_metadata(link_of(&journal)).is_err());
        std::mem::forget(acquire(&journal).unwrap());
        remove_ours(&journal).unwrap();
        assert!(fs::symlink_metadata(link_of(&journal)).is_err());
        std::os::unix::fs::symlink(&journal, link_of(&journal)).unwrap();
        remove_ours(&journal).unwrap();
        assert!(fs::symlink_metadata(link_of(&journal)).is_ok());
    }
}
