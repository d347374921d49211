//! What the requests to a new version say about it. Pure decisions on windows of requests.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

/// When a canary goes on and when it is taken back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// How long each share of the traffic is watched.
    pub bake: Duration,
    /// Requests before which nothing is concluded.
    pub min_requests: u64,
    /// Largest share of failed requests, 0 to 1.
    pub max_error_rate: f64,
    /// Longest 95th percentile of the time to an answer.
    pub max_p95: Option<Duration>,
    /// Largest ratio of that time to the live version's in the same window.
    pub max_p95_ratio: Option<f64>,
    /// Whether a canary that nobody asked goes on when its time is over, or waits for requests.
    pub without_traffic: WithoutTraffic,
}

/// What becomes of a canary that got fewer requests than it takes for a conclusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WithoutTraffic {
    /// It goes on when its time is over, as a cloud's alarms take missing data for good.
    Proceed,
    /// It waits until there were enough.
    Wait,
}

/// What a window says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Requests in the window.
    pub requests: u64,
    /// How many of them failed: 5xx, no answer, or half of one.
    pub errors: u64,
    /// The 95th percentile of the time to an answer, in milliseconds.
    pub p95_ms: Option<f64>,
}

impl Sample {
    /// The share of failed requests, 0 to 1.
    pub fn error_rate(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.errors as f64 / self.requests as f64 }
    }
}

/// What is to be done with a canary.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing yet.
    Wait,
    /// It gets the next share of the traffic.
    Advance,
    /// It gets no more traffic.
    RollBack(String),
}

/// Judges a canary that has had its share for so long.
pub fn judge(rules: &Rules, baked: Duration, canary: &Sample, live: &Sample) -> Verdict {
    let enough = canary.requests >= rules.min_requests;
    let over = baked >= rules.bake;
    // When the time is over there is nothing more to wait for: failures count then, however few requests there were.
    if (enough || over) && canary.error_rate() > rules.max_error_rate {
        return Verdict::RollBack(format!(
            "{} of {} requests failed ({:.1} %), more than {:.1} %",
            canary.errors,
            canary.requests,
            canary.error_rate() * 100.0,
            rules.max_error_rate * 100.0
        ));
    }
    if enough && let Some(slow) = too_slow(rules, canary, live) {
        return Verdict::RollBack(slow);
    }
    match over && (enough || rules.without_traffic == WithoutTraffic::Proceed) {
        true => Verdict::Advance,
        false => Verdict::Wait,
    }
}

fn too_slow(rules: &Rules, canary: &Sample, live: &Sample) -> Option<String> {
    let p95 = canary.p95_ms?;
    let of = format!("the 95th percentile of {} requests is {p95:.0} ms", canary.requests);
    if let Some(most) = rules.max_p95.map(|d| d.as_secs_f64() * 1e3).filter(|most| p95 > *most) {
        return Some(format!("{of}, more than {most:.0} ms"));
    }
    // The live version gets most of the requests; a ratio to a handful says nothing.
    let other = live.p95_ms.filter(|ms| live.requests >= rules.min_requests && *ms > 0.0)?;
    let most = rules.max_p95_ratio.filter(|most| p95 > most * other)?;
    Some(format!("{of}, more than {most} times the live version's {other:.0} ms"))
}

/// The last requests to one version.
#[derive(Clone, Debug)]
pub struct Window {
    capacity: usize,
    requests: VecDeque<(bool, f32)>,
}

impl Window {
    /// A window of the last `capacity` requests, at least one.
    pub fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), requests: VecDeque::new() }
    }

    /// Takes in a request: whether it was answered well, and how long that took.
    pub fn push(&mut self, ok: bool, took: Duration) {
        if self.requests.len() == self.capacity {
            self.requests.pop_front();
        }
        self.requests.push_back((ok, (took.as_secs_f64() * 1e3) as f32));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.requests.clear();
    }

    /// What the window says, with requests that wait for an answer and have waited that long already.
    pub fn sample(&self, waiting: impl IntoIterator<Item = Duration>) -> Sample {
        let mut times: Vec<f32> = self.requests.iter().map(|(_, ms)| *ms).collect();
        times.extend(waiting.into_iter().map(|d| (d.as_secs_f64() * 1e3) as f32));
        let requests = times.len() as u64;
        let errors = self.requests.iter().filter(|(ok, _)| !ok).count() as u64;
        Sample { requests, errors, p95_ms: percentile95(&mut times) }
    }
}

/// By nearest rank.
fn percentile95(times: &mut [f32]) -> Option<f64> {
    let rank = (times.len() * 95).div_ceil(100).checked_sub(1)?;
    let (_, value, _) = times.select_nth_unstable_by(rank, f32::total_cmp);
    Some(f64::from(*value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Rules = Rules {
        bake: Duration::from_secs(300),
        min_requests: 50,
        max_error_rate: 0.01,
        max_p95: Some(Duration::from_millis(500)),
        max_p95_ratio: Some(3.0),
        without_traffic: WithoutTraffic::Proceed,
    };
    const LIVE: Sample = Sample { requests: 500, errors: 0, p95_ms: Some(40.0) };

    fn judged(seconds: u64, requests: u64, errors: u64, p95: f64) -> Verdict {
        let sample = Sample { requests, errors, p95_ms: Some(p95) };
        judge(&RULES, Duration::from_secs(seconds), &sample, &LIVE)
    }

    #[test]
    fn a_good_canary_advances_when_its_time_is_over() {
        assert_eq!(judged(299, 100, 1, 40.0), Verdict::Wait);
        assert_eq!(judged(300, 100, 1, 40.0), Verdict::Advance);
    }

    #[test]
    fn a_bad_one_is_taken_back_at_once_when_enough_is_known() {
        assert_eq!(judged(1, 49, 49, 40.0), Verdict::Wait);
        for (bad, says) in [
            (judged(1, 50, 1, 40.0), "1 of 50 requests failed (2.0 %)"),
            (judged(1, 50, 0, 501.0), "501 ms, more than 500 ms"),
            (judged(1, 50, 0, 121.0), "3 times the live version's 40 ms"),
        ] {
            assert!(matches!(&bad, Verdict::RollBack(why) if why.contains(says)), "{bad:?}");
        }
    }

    #[test]
    fn without_traffic_it_goes_on_or_waits_but_failures_count() {
        let nobody = Sample::default();
        let over = Duration::from_secs(300);
        assert_eq!(judge(&RULES, over, &nobody, &LIVE), Verdict::Advance);
        let wait = Rules { without_traffic: WithoutTraffic::Wait, ..RULES };
        assert_eq!(judge(&wait, over, &nobody, &LIVE), Verdict::Wait);
        assert!(matches!(judged(300, 3, 1, 40.0), Verdict::RollBack(_)));
        // Three slow requests prove nothing.
        assert_eq!(judged(300, 3, 0, 900.0), Verdict::Advance);
    }

    #[test]
    fn a_window_forgets_and_counts_who_waits() {
        let mut window = Window::new(100);
        for i in 0..150u64 {
            window.push(i >= 50, Duration::from_millis(i));
        }
        let sample = window.sample([]);
        assert_eq!((sample.requests, sample.errors, sample.p95_ms), (100, 0, Some(144.0)));
        let sample = window.sample([Duration::from_secs(9); 6]);
        assert_eq!((sample.requests, sample.p95_ms), (106, Some(9000.0)));
        window.clear();
        assert_eq!(window.sample([]), Sample::default());
    }

    proptest! {
        #[test]
        fn more_errors_never_help(requests in 0u64..200, errors in 0u64..200, seconds in 0u64..600, p95 in 0.0f64..1000.0) {
            let errors = errors.min(requests);
            let bad = |v: &Verdict| matches!(v, Verdict::RollBack(_));
            if bad(&judged(seconds, requests, errors, p95)) {
                prop_assert!(bad(&judged(seconds, requests, requests, p95)));
            }
        }

        #[test]
        fn the_percentile_is_that_of_the_sorted_list(mut ms in prop::collection::vec(0u16..1000, 1..200)) {
            let mut window = Window::new(200);
            ms.iter().for_each(|m| window.push(true, Duration::from_millis((*m).into())));
            ms.sort_unstable();
            let rank = (ms.len() as f64 * 0.95).ceil() as usize - 1;
            prop_assert_eq!(window.sample([]).p95_ms, Some(f64::from(ms[rank])));
        }
    }
}
