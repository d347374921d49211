//! Which parameters a trial gets: a function of the seed, the trial's number and the trials before it, of nothing else.

mod grid;
mod parzen;
mod random;
mod tpe;
mod truncated;

pub(crate) use self::grid::check as check_grid;
use crate::{
    settings::{Direction, SamplerName, SamplerSettings},
    space::{Point, Space},
    trial::TrialRecord,
};

/// What a sampler knows.
pub(crate) struct Sampling<'a> {
    pub(crate) settings: &'a SamplerSettings,
    pub(crate) space: &'a Space,
    pub(crate) direction: Direction,
    pub(crate) seed: u64,
    /// Number of the trial that is to begin.
    pub(crate) number: usize,
    /// All trials of the study. Under Hyperband too: those of the trial's bracket alone teach too little.
    pub(crate) trials: &'a [&'a TrialRecord],
}

impl Sampling<'_> {
    /// The parameters of the next trial; `None` when there is nothing left to try.
    pub(crate) fn sample(&self) -> Option<Point> {
        match self.settings.name {
            SamplerName::Random => Some(random::sample(self)),
            SamplerName::Tpe => Some(tpe::sample(self)),
            SamplerName::Grid => grid::sample(self),
        }
    }
}

/// A number in [0, 1).
pub(crate) fn unit(rng: &mut kidu_core::rng::ChaCha8Rng) -> f64 {
    use rand::Rng as _;
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
