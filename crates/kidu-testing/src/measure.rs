//! What a process needs, and how long answers took.

use std::fs;

/// The memory of a process, in bytes: resident now, and at most so far. Linux tells it.
///
/// # Panics
/// Where the system does not tell, or the process has ended.
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
pub fn memory_of(process: u32) -> (usize, usize) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let of = |key: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap() * 1024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// Milliseconds in a line: the median, the 95th and the 99th percentile of at least one.
pub fn percentiles(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|p| values[((values.len() - 1) as f64 * p).round() as usize]);
    format!("p50 {p50:7.2}   p95 {p95:7.2}   p99 {p99:7.2} ms")
}
