//! Versions in DVC 3's layout, there and back.
//!
//! A remote holds each content as `files/md5/ab/cdef...` by its MD5, and of each folder a list, `files/md5/ab/cdef....dir`.
//! The `.dvc` file names the list. Both are byte for byte what DVC writes, so that `dvc pull`, `dvc status` and
//! `dvc add` of the same tree agree with it.

mod file;
mod layout;
mod pull;
mod push;

pub use file::{DvcFile, check_replaceable};
pub use layout::{DirEntry, dir_bytes, key_of, md5_of};
pub use pull::{Pulled, pull};
pub use push::{Pushed, push};

use super::error::{Result, VersionError};

/// Threads that talk to a remote, 1 to 256.
fn pool(jobs: usize) -> Result<rayon::ThreadPool> {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(jobs.clamp(1, 256));
    builder.build().map_err(|e| VersionError::Workers(e.to_string()))
}
