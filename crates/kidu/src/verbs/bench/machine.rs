//! What the machine is, and what it can do at most.

use std::{fs, thread::available_parallelism};

use kidu_kernels::{Level, roofline};
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::Serialize;

use crate::Outcome;

/// Floats in each of three arrays: 384 MiB in all, more than the caches of most machines.
const TRAFFIC: usize = 32 << 20;

/// The machine, as far as it explains the figures.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) system: String,
    pub(super) processor: Option<String>,
    pub(super) cores: usize,
    /// The instruction set that the kernels use.
    pub(super) instructions: String,
    pub(super) peaks: Vec<Peak>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) traffic: Vec<Traffic>,
}

/// Most GFLOP/s on registers alone.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Peak {
    pub(super) threads: usize,
    pub(super) gflops: f64,
}

/// Traffic with memory in GB/s.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Traffic {
    pub(super) threads: usize,
    pub(super) copy: f64,
    pub(super) triad: f64,
}

impl Machine {
    /// Measures the peak at each number of threads, and the memory if it is asked for.
    pub(super) fn measure(threads: &[usize], with_traffic: bool) -> Outcome<Self> {
        let (mut peaks, mut traffic) = (Vec::new(), Vec::new());
        for &threads in threads {
            let pool = pool(threads)?;
            peaks.push(Peak { threads, gflops: pool.install(roofline::peak_flops) / 1e9 });
            if with_traffic {
                let found = pool.install(|| roofline::bandwidth(TRAFFIC));
                traffic.push(Traffic { threads, copy: found.copy / 1e9, triad: found.triad / 1e9 });
            }
        }
        Ok(Self {
            system: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            processor: processor(),
            cores: cores(),
            instructions: format!("{:?}", Level::current()),
            peaks,
            traffic,
        })
    }

    /// The peak at a number of threads that was measured.
    pub(super) fn peak(&self, threads: usize) -> f64 {
        self.peaks.iter().find(|p| p.threads == threads).map_or(f64::NAN, |p| p.gflops)
    }
}

/// Cores that this process may use.
pub(super) fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// A pool of its own: the global one cannot change its size.
pub(super) fn pool(threads: usize) -> Outcome<ThreadPool> {
    Ok(ThreadPoolBuilder::new().num_threads(threads).build().map_err(anyhow::Error::from)?)
}

/// The processor's name, where Linux tells it.
fn processor() -> Option<String> {
    let told = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = told.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}
