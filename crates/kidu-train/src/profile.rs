//! Where the time goes: seconds in each part of the loop.

use std::{
    collections::BTreeMap,
    fmt::Write,
    time::{Duration, Instant},
};

/// Sums the time of named parts.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    parts: BTreeMap<&'static str, (Duration, u64)>,
}

impl Profile {
    /// Runs `work` and counts its time as `part`.
    pub fn time<T>(&mut self, part: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(part, start.elapsed());
        result
    }

    /// Counts time that was measured elsewhere.
    pub fn add(&mut self, part: &'static str, time: Duration) {
        let (sum, calls) = self.parts.entry(part).or_default();
        *sum += time;
        *calls += 1;
    }

    /// A table, the longest part first.
    pub fn table(&self) -> String {
        let total: f64 = self.parts.values().map(|(sum, _)| sum.as_secs_f64()).sum();
        let mut rows: Vec<_> = self.parts.iter().collect();
        rows.sort_by_key(|(_, (sum, _))| std::cmp::Reverse(*sum));
        let mut text = format!("{:<18} {:>8} {:>10} {:>12} {:>7}\n", "part", "calls", "seconds", "ms a call", "share");
        for (part, (sum, calls)) in rows {
            let seconds = sum.as_secs_f64();
            let (each, share) = (1e3 * seconds / (*calls).max(1) as f64, 100.0 * seconds / total.max(1e-9));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{part:<18} {calls:>8} {seconds:>10.3} {each:>12.3} {share:>6.1}%");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_sorts() {
        let mut profile = Profile::default();
        profile.time("short", || ());
        assert_eq!(
            profile.time("long", || {
                std::thread::sleep(Duration::from_millis(100));
                3
            }),
            3
        );
        let table = profile.table();
        assert!(table.find("long").unwrap() < table.find("short").unwrap(), "{table}");
    }
}
