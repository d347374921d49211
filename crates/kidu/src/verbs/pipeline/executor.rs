//! Steps as processes of this very executable: what runs here is what runs in a container.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, IsTerminal, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::Ordering,
    thread,
    time::Duration,
};

use kidu_core::{Sha256Hex, files};
use kidu_pipeline::{
    External, Registry, ResolvedStep, Step, StepContext, StepExecutor, StepOutcome, build_pipeline::INCUMBENT,
    executor::BoxError, registry::Receipt,
};

use crate::{Outcome, step, stop, stores, ui};

/// Runs each step as `kidu VERB ...`.
pub(super) struct Subprocess {
    executable: PathBuf,
    registry: Registry,
}

impl Subprocess {
    pub(super) fn new(registry: &Path, group: &str) -> Outcome<Self> {
        Ok(Self { executable: std::env::current_exe()?, registry: Registry::open(registry, group)? })
    }

    fn command(&self, resolved: &ResolvedStep, context: &StepContext<'_>) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(resolved.arguments.iter().map(|a| quote_override(a)));
        let last = resolved.folder.join("checkpoints").join("last.ckpt");
        if context.resume && resolved.name == "train" && last.is_file() {
            let mut argument = OsString::from("ckpt_path=");
            argument.push(&last);
            command.arg(quote_override(&argument));
        }
        // Options come as arguments here; variables of the caller's shell must not change a cached step.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("KIDU_") && !["KIDU_CACHE", "KIDU_PROGRESS", "KIDU_ACTOR"].contains(&&*text) {
                command.env_remove(&name);
            }
        }
        command.env(stores::AS_FETCHED, "1");
        step::prepare(&mut command, context.lock);
        command.envs(resolved.environment.iter().map(|(n, v)| (n, v))).stdout(Stdio::piped());
        command.stderr(if std::io::stderr().is_terminal() { Stdio::inherit() } else { Stdio::piped() });
        command
    }
}

impl StepExecutor for Subprocess {
    fn execute(&self, step: &ResolvedStep, context: &StepContext<'_>) -> Result<StepOutcome, BoxError> {
        let mut child = self.command(step, context).spawn()?;
        let log = context.log.clone();
        let errors = child.stderr.take().map(|pipe| {
            let log = log.clone();
            thread::spawn(move || copy_lines(pipe, &log, true))
        });
        let output = child.stdout.take().map(|pipe| thread::spawn(move || copy_lines(pipe, &log, false)));
        let status = wait(&mut child, context)?;
        let last = errors.and_then(|t| t.join().ok()).flatten();
        let _ = output.map(thread::JoinHandle::join);
        Ok(match status.code() {
            Some(0) => StepOutcome::Done,
            Some(3) => {
                StepOutcome::Refused { rule: refusal(&step.folder).or(last).unwrap_or("the gate said no".into()) }
            }
            Some(code) if code == i32::from(stop::INTERRUPTED) => StepOutcome::Interrupted,
            _ if context.stop.load(Ordering::Relaxed) => StepOutcome::Interrupted,
            _ => {
                let why = last.unwrap_or_else(|| format!("see {}", context.log.display()));
                let why = why.strip_prefix("error: ").unwrap_or(&why).to_string();
                StepOutcome::Failed { message: format!("the step '{}' failed ({status}): {why}", step.name) }
            }
        })
    }

    fn external(&self, _: &Step, name: &str, inputs: &BTreeMap<String, PathBuf>) -> Result<Option<External>, BoxError> {
        match (name, inputs.get("model")) {
            (INCUMBENT, Some(model)) => Ok(Some(External::new(self.registry.incumbent_fingerprint(model)?))),
            (INCUMBENT, None) => Ok(Some(External::new(Sha256Hex::of_bytes(b"no model")))),
            _ => Ok(None),
        }
    }

    fn undone(&self, step: &Step, outputs: &BTreeMap<String, PathBuf>) -> Option<String> {
        if step.name != "register" {
            return None;
        }
        let receipt: Receipt = files::read_json(outputs.get("registration")?, "registration").ok()?;
        self.registry.undone(&receipt).unwrap_or_else(|e| Some(e.to_string()))
    }
}

/// Waits. A raised stop flag closes the child's standard input, which asks it to end in order. It is not asked by a
/// signal: a terminal's Ctrl-C has reached it by itself, and a second signal would end it before it has saved anything.
fn wait(child: &mut Child, context: &StepContext<'_>) -> std::io::Result<std::process::ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if context.stop.load(Ordering::Relaxed) {
            drop(child.stdin.take());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Copies lines to the log, and to standard error if they are for people. Returns the last one.
fn copy_lines(pipe: impl std::io::Read, log: &Path, show: bool) -> Option<String> {
    let mut file = OpenOptions::new().create(true).append(true).open(log).ok();
    let mut last = None;
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some(file) = &mut file {
            let _ = writeln!(file, "{line}");
        }
        if show {
            ui::note(format!("  {line}"));
        }
        if !line.trim().is_empty() {
            last = Some(line);
        }
    }
    last
}

/// The refusing rules of a gate's decision.
fn refusal(folder: &Path) -> Option<String> {
    let text = fs::read(folder.join("gate.json")).ok()?;
    let decision: kidu_eval::GateDecision = serde_json::from_slice(&text).ok()?;
    decision.refusal()
}

/// `key=value` with a value that YAML would not read as the plain text it is.
fn quote_override(argument: &OsStr) -> OsString {
    let quoted = argument.to_str().filter(|a| !a.starts_with('-')).and_then(|text| {
        let (key, value) = text.split_once('=')?;
        let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c));
        (is_key && value.contains('/')).then(|| format!("{key}={}", kidu_config::quote(value)))
    });
    quoted.map_or_else(|| argument.to_os_string(), OsString::from)
}
