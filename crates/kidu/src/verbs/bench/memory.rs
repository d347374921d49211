//! Memory of training: the peak of a fresh process that makes a few steps and nothing else.
//!
//! A process that has measured other things keeps freed memory and cannot tell; a new one for each case can.

use std::{fs, process::Command};

use anyhow::Context;
use kidu_core::{ModelRecord, model};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{machine, networks, peer::Peers, turns};
use crate::{Outcome, failure::Failure};

/// After these, moments and all buffers are there.
const STEPS: usize = 3;

/// Peaks of one network and batch.
#[derive(Debug, Serialize)]
pub(super) struct MemoryCase {
    pub(super) model: &'static str,
    pub(super) batch: usize,
    pub(super) threads: usize,
    pub(super) kidu: Resident,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pytorch: Option<Resident>,
    /// What training added in Kidu by what it added in PyTorch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ratio: Option<f64>,
}

/// Resident memory of a process in bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Resident {
    Told {
        /// Before there was a network.
        before: u64,
        /// The most until the last step was done.
        peak: u64,
    },
    Missing {
        missing: String,
    },
}

impl Resident {
    /// What training added.
    pub(super) fn added(&self) -> Option<u64> {
        match self {
            Self::Told { before, peak } => Some(peak.saturating_sub(*before)),
            Self::Missing { .. } => None,
        }
    }
}

/// Measures both sides, one after the other.
pub(super) fn measure(
    record: &'static ModelRecord,
    batch: usize,
    threads: usize,
    peers: &Peers,
) -> Outcome<MemoryCase> {
    let kidu = ours(record, batch, threads)?;
    let pytorch = peers.fresh(threads)?.map(|mut peer| {
        let mut request = turns::request("train", record.name, batch, record.image.height, false);
        request["steps"] = json!(STEPS);
        let answer = peer.ask(&json!({"memory": request}));
        let resident = answer.and_then(|a| serde_json::from_value(a).map_err(|e| e.to_string()));
        resident.unwrap_or_else(|missing| Resident::Missing { missing })
    });
    let ratio = match (kidu.added(), pytorch.as_ref().and_then(Resident::added)) {
        (Some(ours), Some(theirs @ 1..)) => Some(ours as f64 / theirs as f64),
        _ => None,
    };
    Ok(MemoryCase { model: record.name, batch, threads, kidu, pytorch, ratio })
}

/// This command again, for one case.
fn ours(record: &ModelRecord, batch: usize, threads: usize) -> Outcome<Resident> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "--memory-of", &format!("{},{batch},{threads}", record.name)]);
    let output = command.stderr(std::process::Stdio::inherit()).output().context("cannot start this command again")?;
    if !output.status.success() {
        return Err(anyhow::anyhow!("the process that measures memory failed ({}); see above", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What that process does: trains, and tells its peak.
pub(super) fn of_this_process(case: &str) -> Outcome<Resident> {
    let wrong = || Failure::usage(format!("--memory-of {case}: give MODEL,BATCH,THREADS"));
    let [name, batch, threads] = case.split(',').collect::<Vec<_>>()[..] else { return Err(wrong()) };
    let record = model::find(name).map_err(|e| Failure::Usage(e.into()))?;
    let (batch, threads) = (batch.parse().map_err(|_| wrong())?, threads.parse().map_err(|_| wrong())?);
    let pool = machine::pool(threads)?;
    let Some(before) = status("VmRSS") else { return Ok(untold("VmRSS")) };
    pool.install(|| {
        let mut step = networks::new_step(record, batch)?;
        for _ in 0..STEPS {
            step.run();
        }
        Outcome::Ok(())
    })?;
    Ok(status("VmHWM").map_or_else(|| untold("VmHWM"), |peak| Resident::Told { before, peak }))
}

fn untold(key: &str) -> Resident {
    Resident::Missing { missing: format!("this system does not tell {key} in /proc/self/status") }
}

/// A size that Linux tells of this process, in bytes.
fn status(key: &str) -> Option<u64> {
    let told = fs::read_to_string("/proc/self/status").ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_is_no_less_than_what_is_resident() {
        let (now, peak) = (status("VmRSS").unwrap(), status("VmHWM").unwrap());
        assert!(now > 0 && peak >= now, "{now} {peak}");
        assert_eq!(status("VmNothing"), None);
    }

    #[test]
    fn a_case_that_is_none_is_a_usage_error() {
        for case in ["", "resnet18", "resnet18,many,1", "resnet99,1,1"] {
            assert!(matches!(of_this_process(case), Err(Failure::Usage(_))), "{case}");
        }
    }
}
