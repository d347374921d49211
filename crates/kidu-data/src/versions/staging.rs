//! A folder beside its destination in which a tree is built before it takes its place at once.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use kidu_core::files;

use super::{
    error::{Result, VersionError},
    objects,
};

const PREFIX: &str = ".kidu-checkout-";
const LOCK: &str = ".lock";
const NEW_LOCK: &str = ".new-lock";
const TREE: &str = "tree";
const OLD: &str = "old";

/// A tree under construction. Dropped or killed before [`Staging::place`] nothing has happened to the destination.
#[derive(Debug)]
pub(super) struct Staging {
    dir: PathBuf,
    lock: Option<File>,
    /// Whether the folder holds the only copy of something.
    precious: bool,
}

impl Staging {
    /// Beside `destination`, on the same file system. What killed checkouts left there is removed.
    pub(super) fn beside(destination: &Path) -> Result<Self> {
        let parent = files::parent_of(destination);
        files::create_dir_all(&parent)?;
        remove_leftovers(&parent);
        let io = |e| VersionError::io("create a folder in", &parent, e);
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&parent).map_err(io)?.keep();
        let mut staging = Self { dir, lock: None, precious: false };
        // Held before it has its name: another checkout must never find it free and take the folder for a leftover.
        let (unheld, path) = (staging.dir.join(NEW_LOCK), staging.dir.join(LOCK));
        let lock = File::create(&unheld).map_err(|e| VersionError::io("create", &unheld, e))?;
        let _ = lock.try_lock();
        staging.lock = Some(lock);
        fs::rename(&unheld, &path).map_err(|e| VersionError::io("create", &path, e))?;
        files::create_dir_all(&staging.tree())?;
        Ok(staging)
    }

    /// Where the tree is built.
    pub(super) fn tree(&self) -> PathBuf {
        self.dir.join(TREE)
    }

    /// Puts the tree in the place of the destination, which may exist: whoever looks sees the old tree or the new one.
    pub(super) fn place(mut self, destination: &Path) -> Result<()> {
        let tree = self.tree();
        if !destination.exists() {
            return fs::rename(&tree, destination).map_err(|e| VersionError::io("create", destination, e));
        }
        if exchange(&tree, destination) {
            return Ok(());
        }
        // Without an exchange there is a moment with nothing there; a kill in it leaves the old tree beside.
        let old = self.dir.join(OLD);
        fs::rename(destination, &old).map_err(|e| VersionError::io("replace", destination, e))?;
        fs::rename(&tree, destination).map_err(|e| {
            self.precious = fs::rename(&old, destination).is_err();
            VersionError::io("replace", destination, e)
        })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Some systems do not remove what is open.
        drop(self.lock.take());
        if !self.precious {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> bool {
    false
}

/// Best effort: what is left costs space and nothing else. One whose lock is held is in use; one whose place was
/// vacated for a moment holds the only copy of the old tree, and is left to the user.
fn remove_leftovers(parent: &Path) {
    for dir in objects::entries(parent).unwrap_or_default() {
        let ours = dir.file_name().is_some_and(|n| n.to_string_lossy().starts_with(PREFIX));
        let free = ours && File::open(dir.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if free && !dir.join(OLD).exists() {
            let _ = fs::remove_dir_all(&dir);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_place_at_once_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("photos");
        for text in ["first", "second"] {
            let staging = Staging::beside(&to).unwrap();
            fs::write(staging.tree().join("a"), text).unwrap();
            staging.place(&to).unwrap();
            assert_eq!(fs::read_to_string(to.join("a")).unwrap(), text);
        }
        drop(Staging::beside(&to).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn many_at_the_same_time_never_take_each_other_for_leftovers() {
        let dir = tempfile::tempdir().unwrap();
        let work = |worker: usize| {
            for turn in 0..60 {
                let staging = Staging::beside(&dir.path().join(format!("photos-{worker}"))).unwrap();
                let file = staging.tree().join("a");
                fs::write(&file, format!("{worker} {turn}")).unwrap();
                std::thread::yield_now();
                assert_eq!(fs::read_to_string(&file).unwrap(), format!("{worker} {turn}"));
            }
        };
        std::thread::scope(|scope| (0..8).for_each(|worker| drop(scope.spawn(move || work(worker)))));
    }

    #[test]
    fn leftovers_go_unless_they_are_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("photos");
        let left = dir.path().join(format!("{PREFIX}dead"));
        fs::create_dir_all(left.join(TREE)).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        let live = Staging::beside(&to).unwrap();
        assert!(!left.exists());
        let other = Staging::beside(&to).unwrap();
        assert!(live.tree().exists() && other.tree().exists());
    }
}
