//! How often and when a failed try is made again.

use std::time::Duration;

use rand::Rng;

/// How often and when a failed try is made again: exponential waits with jitter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Tries after the first.
    pub retries: u32,
    /// The first wait; each later one is twice as long.
    pub base: Duration,
    /// The longest wait, also where the server asks for a longer one.
    pub longest: Duration,
}

impl Default for Retry {
    /// 3 tries more, after 0.3 s, 0.6 s and 1.2 s, less up to half by chance; at most 20 s.
    fn default() -> Self {
        Self { retries: 3, base: Duration::from_millis(300), longest: Duration::from_secs(20) }
    }
}

impl Retry {
    /// The wait after the failed try number `tried` (from 0), or `None` if that was the last. `chance` in [0, 1) takes
    /// up to half of the wait away, so that many clients do not come back at the same moment; never from what the
    /// server asked for.
    pub fn wait(&self, tried: u32, asked: Option<Duration>, chance: f64) -> Option<Duration> {
        if tried >= self.retries {
            return None;
        }
        let grown = self.base.saturating_mul(2u32.saturating_pow(tried.min(20)));
        let jittered = grown.min(self.longest).mul_f64(1.0 - 0.5 * chance.clamp(0.0, 1.0));
        Some(asked.map_or(jittered, |asked| asked.max(jittered)).min(self.longest))
    }
}

/// A number in [0, 1).
pub(crate) fn chance() -> f64 {
    f64::from(rand::rng().next_u32()) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_are_bounded_and_end() {
        let retry = Retry { retries: 3, base: Duration::from_secs(1), longest: Duration::from_secs(3) };
        let wait = |n, asked, chance| retry.wait(n, asked, chance).map(|d| d.as_secs_f64());
        assert_eq!(wait(0, None, 0.0), Some(1.0));
        assert_eq!(wait(1, None, 0.5), Some(1.5));
        assert_eq!(wait(2, None, 0.0), Some(3.0));
        assert_eq!(wait(3, None, 0.0), None);
        assert_eq!(wait(0, Some(Duration::from_secs(2)), 0.9), Some(2.0));
        assert_eq!(wait(0, Some(Duration::from_secs(900)), 0.0), Some(3.0));
    }
}
