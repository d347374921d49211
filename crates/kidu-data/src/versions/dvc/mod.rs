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
