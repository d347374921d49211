//! A pipeline's step from the inside: bound to the process that started it, and alone in its folder.
//!
//! The starter keeps the other end of our standard input. When it closes, by its will or because the starter is gone
//! (even by `kill -9`), the step ends in order. Until it has ended it holds the step's lock, for which a new run of the
//! same step waits.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::Context;

use crate::{Outcome, stop};

/// Set in the processes of a pipeline's steps: the file that such a process holds locked.
const STEP: &str = "KIDU_PIPELINE_STEP";

/// Makes a command the step whose lock is that file. The child's standard input has to stay open as long as the step is
/// wanted.
pub(crate) fn prepare(command: &mut Command, lock: &Path) {
    command.env(STEP, lock).stdin(Stdio::piped());
}

/// The variable that makes a process the step whose lock is that file, for a starter that is not of this crate. It has to
/// keep the standard input open.
pub(crate) fn variable(lock: &Path) -> (OsString, OsString) {
    (STEP.into(), lock.into())
}

/// Whether this process is a step.
pub(crate) fn is_step() -> bool {
    env::var_os(STEP).is_some()
}

/// Binds this process to its starter and waits for its turn, if it is a step. What is returned must be kept to the end.
pub(crate) fn bind() -> Outcome<Option<File>> {
    let Some(path) = env::var_os(STEP).map(PathBuf::from) else { return Ok(None) };
    thread::Builder::new().name("starter".into()).spawn(watch_starter)?;
    let lock = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.with_context(|| format!("cannot open the step's lock {}", path.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(Some(lock))
}

/// Nothing is ever written to our standard input: the end of it is the message.
fn watch_starter() {
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    stop::ask();
}
