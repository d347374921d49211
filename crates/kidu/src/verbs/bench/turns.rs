//! Fair timing: everyone runs for a moment, in turn, for some rounds.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::{Value, json};

use super::peer::Peer;
use crate::Outcome;

/// A turn lasts about this many seconds, and one run at least.
const TURN: f64 = 0.3;

/// Idle time between turns: threads that spin while they wait for work, as OpenMP's do, fall asleep.
const PAUSE: Duration = Duration::from_millis(50);

/// Untimed runs at the beginning.
const WARM_UP: usize = 2;

/// A contender beside us: its name and what its process is asked to prepare.
pub(super) struct Rival {
    pub(super) name: &'static str,
    pub(super) request: Value,
}

/// Times of one contender.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Times {
    /// Median of the rounds, in seconds for a batch or a photograph.
    pub(super) seconds: f64,
    /// The median of each round's runs.
    pub(super) rounds: Vec<f64>,
}

/// What everyone needed for the same work.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) kidu: Times,
    pub(super) peers: Vec<PeerTimes>,
}

/// What a peer needed, or why it did not run.
#[derive(Debug, Serialize)]
pub(super) struct PeerTimes {
    pub(super) name: &'static str,
    #[serde(flatten)]
    pub(super) result: PeerResult,
}

/// The two ends of a peer's story.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum PeerResult {
    Ran {
        #[serde(flatten)]
        times: Times,
        ratio: Ratio,
    },
    Missing {
        missing: String,
    },
}

/// Our time by a peer's, round by round: below 1 we are faster.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Ratio {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Times {
    fn new(rounds: Vec<f64>) -> Self {
        Self { seconds: median(&rounds), rounds }
    }
}

impl Ratio {
    fn new(ours: &[f64], theirs: &[f64]) -> Self {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
        let (min, max) =
            ratios.iter().fold((f64::INFINITY, 0.0), |(min, max): (f64, f64), r| (min.min(*r), max.max(*r)));
        Self { median: median(&ratios), min, max }
    }
}

/// The middle value, or the mean of the two middle ones.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[half],
        _ => 0.5 * (sorted[half - 1] + sorted[half]),
    }
}

/// How often everyone has a turn, and into how many units a run's time is divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) rounds: u32,
    pub(super) units: usize,
}

/// Measures one piece of work. `ours` runs turns of the given seconds and returns the time of each run.
pub(super) fn in_turn(
    Rules { rounds, units }: Rules,
    ours: &mut dyn FnMut(f64) -> Outcome<Vec<f64>>,
    mut peer: Option<&mut Peer>,
    rivals: &[Rival],
) -> Outcome<Measured> {
    for _ in 0..WARM_UP {
        ours(0.0)?;
    }
    let mut theirs: Vec<Result<Vec<f64>, String>> = Vec::new();
    if let Some(peer) = peer.as_deref_mut() {
        for (id, rival) in rivals.iter().enumerate() {
            theirs.push(peer.prepare(id, &rival.request).map(|()| Vec::new()));
        }
    }
    let per_unit = |runs: &[f64]| median(runs) / units as f64;
    let mut own = Vec::new();
    for _ in 0..rounds {
        thread::sleep(PAUSE);
        own.push(per_unit(&ours(TURN)?));
        for (id, result) in theirs.iter_mut().enumerate() {
            let (Some(peer), Ok(times)) = (peer.as_deref_mut(), &mut *result) else { continue };
            thread::sleep(PAUSE);
            match peer.turn(id, TURN) {
                Ok(runs) => times.push(per_unit(&runs)),
                Err(reason) => *result = Err(reason),
            }
        }
    }
    if let Some(peer) = peer {
        (0..theirs.len()).for_each(|id| peer.forget(id));
    }
    let told = rivals.iter().zip(theirs).map(|(rival, result)| PeerTimes {
        name: rival.name,
        result: match result {
            Ok(times) => PeerResult::Ran { ratio: Ratio::new(&own, &times), times: Times::new(times) },
            Err(missing) => PeerResult::Missing { missing },
        },
    });
    Ok(Measured { peers: told.collect(), kidu: Times::new(own) })
}

/// Runs for about that many seconds, at least once; the time of each run.
pub(super) fn turn(seconds: f64, step: &mut dyn FnMut() -> Outcome) -> Outcome<Vec<f64>> {
    let (begin, mut times) = (Instant::now(), Vec::new());
    loop {
        let start = Instant::now();
        step()?;
        times.push(start.elapsed().as_secs_f64());
        if begin.elapsed().as_secs_f64() >= seconds {
            return Ok(times);
        }
    }
}

/// What a network is asked of a peer.
pub(super) fn request(kind: &str, model: &str, batch: usize, size: u32, channels_last: bool) -> Value {
    let mut request = json!({"kind": kind, "model": model, "batch": batch, "classes": super::CLASSES, "size": size});
    request["channels_last"] = json!(channels_last);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_compare_round_by_round() {
        // A slow round hits both and cancels out.
        let ratio = Ratio::new(&[1.0, 10.0, 1.2], &[2.0, 20.0, 2.0]);
        assert_eq!(ratio, Ratio { median: 0.5, min: 0.5, max: 0.6 });
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_turn_runs_once_at_least_and_as_long_as_it_may() {
        assert_eq!(turn(0.0, &mut || Ok(())).unwrap().len(), 1);
        let mut sleep = || {
            thread::sleep(Duration::from_millis(2));
            Ok(())
        };
        let start = Instant::now();
        let runs = turn(0.02, &mut sleep).unwrap();
        assert!(start.elapsed().as_secs_f64() >= 0.02 && runs.iter().all(|r| *r >= 0.002), "{runs:?}");
    }

    #[test]
    fn without_a_peer_there_are_our_own_times() {
        let measured = in_turn(Rules { rounds: 3, units: 2 }, &mut |_| Ok(vec![1.0]), None, &[]).unwrap();
        assert_eq!(measured.kidu, Times { seconds: 0.5, rounds: vec![0.5; 3] });
        assert!(measured.peers.is_empty());
    }
}
