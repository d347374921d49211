//! The learning-rate range test (Smith 2017, <https://arxiv.org/abs/1506.01186>): train while the rate rises
//! exponentially, and see where the loss falls and where it runs away.

use std::sync::atomic::Ordering;

use kidu_models::StateDict;
use serde::{Deserialize, Serialize};

use super::{FitRequest, phase::Phase, run::Run, setup::Setup, step};
use crate::{
    error::{Result, TrainError},
    optimizer::Accumulator,
    settings::{LearningRate, Problem, Problems},
};

/// The bounds and the length of a range test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LrFinderSettings {
    /// First rate, greater than 0.
    pub min_lr: f64,
    /// Last rate, greater than `min_lr`.
    pub max_lr: f64,
    /// Optimizer steps, at least 10.
    pub num_training: usize,
    /// The test ends when the smoothed loss is so many times the lowest one so far; `None` never ends it early.
    pub early_stop_threshold: Option<f64>,
    /// Weight of the past in the smoothed loss, in [0, 1).
    pub smoothing: f64,
}

impl Default for LrFinderSettings {
    fn default() -> Self {
        Self { min_lr: 1e-7, max_lr: 1.0, num_training: 100, early_stop_threshold: Some(4.0), smoothing: 0.9 }
    }
}

impl LrFinderSettings {
    /// All settings outside their ranges.
    pub fn validate(&self) -> Vec<Problem> {
        let mut p = Problems::default();
        p.check(self.min_lr > 0.0 && self.min_lr.is_finite(), "tune_lr.min_lr", "must be > 0");
        let above = self.max_lr > self.min_lr && self.max_lr.is_finite();
        p.check(above, "tune_lr.max_lr", "must be greater than tune_lr.min_lr");
        p.check((10..=100_000).contains(&self.num_training), "tune_lr.num_training", "must be in 10..=100000");
        let threshold = self.early_stop_threshold.is_none_or(|t| t > 1.0);
        p.check(threshold, "tune_lr.early_stop_threshold", "must be greater than 1, or null");
        p.check((0.0..1.0).contains(&self.smoothing), "tune_lr.smoothing", "must be in [0, 1)");
        p.0
    }

    /// The rate of a step, from 0.
    fn rate(&self, step: usize) -> f64 {
        let share = step as f64 / (self.num_training - 1) as f64;
        self.min_lr * (self.max_lr / self.min_lr).powf(share)
    }
}

/// What a range test found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LrRangeTest {
    /// The rate of each step.
    pub lr: Vec<f64>,
    /// The loss of each step, before it was made.
    pub loss: Vec<f64>,
    /// The losses as a moving average without the bias of its beginning.
    pub smoothed: Vec<f64>,
    /// The rate to train with: `suggestions.steepest`, else `valley`, else `minimum_over_10`.
    pub suggestion: Option<f64>,
    /// All suggestions.
    pub suggestions: LrSuggestions,
    /// Whether it ended because the loss ran away.
    pub diverged: bool,
}

/// Rates that people pick from such a curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LrSuggestions {
    /// Where the smoothed loss falls most steeply over the logarithm of the rate (as PyTorch Lightning).
    pub steepest: Option<f64>,
    /// Two thirds into the longest valley, the longest falling subsequence of the losses (as fastai).
    pub valley: Option<f64>,
    /// A tenth of the rate with the lowest smoothed loss.
    pub minimum_over_10: Option<f64>,
}

impl LrRangeTest {
    fn new(lr: Vec<f64>, loss: Vec<f64>, smoothed: Vec<f64>, diverged: bool) -> Self {
        let suggestions = LrSuggestions::of(&lr, &smoothed);
        let suggestion = suggestions.steepest.or(suggestions.valley).or(suggestions.minimum_over_10);
        Self { lr, loss, smoothed, suggestion, suggestions, diverged }
    }
}

impl LrSuggestions {
    /// From rates and smoothed losses.
    fn of(lr: &[f64], smoothed: &[f64]) -> Self {
        let lowest = (0..smoothed.len()).min_by(|a, b| smoothed[*a].total_cmp(&smoothed[*b]));
        Self {
            steepest: steepest(smoothed).map(|at| lr[at]),
            valley: valley(smoothed).map(|at| lr[at]),
            minimum_over_10: lowest.map(|at| lr[at] / 10.0),
        }
    }
}

/// Steps at the beginning that say nothing yet: the average has seen too few losses.
const SKIP_BEGIN: usize = 10;

/// The step with the most negative slope; none where the loss never falls. Rates are evenly spaced in their logarithm,
/// so differences between steps are slopes. The last step is left out: there the loss runs away.
fn steepest(smoothed: &[f64]) -> Option<usize> {
    let slope = |i: usize| (smoothed[i + 1] - smoothed[i - 1]) / 2.0;
    let inner = SKIP_BEGIN.min(smoothed.len() / 4).max(1)..smoothed.len().saturating_sub(1);
    inner.min_by(|a, b| slope(*a).total_cmp(&slope(*b))).filter(|at| slope(*at) < 0.0)
}

/// Two thirds into the longest falling subsequence.
fn valley(losses: &[f64]) -> Option<usize> {
    // lengths[i]: of the longest falling subsequence that ends at i; before[i]: its last step before i.
    let (mut lengths, mut before) = (vec![1usize; losses.len()], vec![None; losses.len()]);
    for i in 1..losses.len() {
        for j in 0..i {
            if losses[i] < losses[j] && lengths[i] < lengths[j] + 1 {
                (lengths[i], before[i]) = (lengths[j] + 1, Some(j));
            }
        }
    }
    let end = (0..losses.len()).rev().max_by_key(|i| lengths[*i]).filter(|i| lengths[*i] > 2)?;
    let mut start = end;
    while let Some(earlier) = before[start] {
        start = earlier;
    }
    Some(start + (end - start) * 2 / 3)
}

/// Runs a range test on the request's network, data, loss and optimizer. The request is as before afterwards: weights,
/// running statistics and optimizer have seen nothing. `None` when it was interrupted.
///
/// # Errors
/// As [`fit`](super::fit), and [`TrainError::Settings`] for bounds that make no sense. A loss that is no longer finite
/// ends the test like one that runs away.
pub fn find_learning_rate(request: &mut FitRequest<'_>, settings: &LrFinderSettings) -> Result<Option<LrRangeTest>> {
    let problems = settings.validate();
    if !problems.is_empty() {
        return Err(TrainError::Settings(problems));
    }
    // Running statistics are shared between copies of a network.
    let before = StateDict::of(&request.network);
    let rate = std::mem::replace(&mut request.model.learning_rate, LearningRate::Value(settings.max_lr));
    let resume = request.resume.take();
    let result = run(request, settings);
    request.model.learning_rate = rate;
    request.resume = resume;
    request.network = before.apply(request.network.clone(), &request.model.name)?;
    result
}

fn run(request: &FitRequest<'_>, settings: &LrFinderSettings) -> Result<Option<LrRangeTest>> {
    let setup = Setup::new(request)?;
    let mut run = Run::new(&setup)?;
    let freeze = setup.freeze_at(0);
    run.refreeze(&setup, freeze)?;
    let Some(phase) = Phase::prepare(&setup, &mut run, freeze)? else { return Ok(None) };
    let progress = request.progress;
    progress.begin("learning-rate range test", "steps", Some(settings.num_training as u64));
    let mut curve = Curve::new(settings);
    let ended = sweep(&setup, &phase, &mut run, &mut curve);
    progress.end();
    run.report_skipped(&setup);
    Ok(ended?.then(|| LrRangeTest::new(curve.lr, curve.loss, curve.smoothed, curve.diverged)))
}

/// Steps until the curve is whole or the loss runs away. False when the run was stopped meanwhile.
fn sweep(setup: &Setup<'_>, phase: &Phase, run: &mut Run, curve: &mut Curve<'_>) -> Result<bool> {
    let accumulate = setup.trainer.accumulate_grad_batches;
    let (mut pending, mut losses) = (Accumulator::default(), Vec::new());
    loop {
        let mut fed = false;
        for input in phase.train_inputs(setup, run.state.epoch, 0).take(phase.train_batches(setup)) {
            if setup.request.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            fed = true;
            let made = match step::forward_backward(setup, phase, run, input?) {
                Ok(made) => made,
                Err(TrainError::NonFinite { .. }) => {
                    curve.diverged = true;
                    return Ok(true);
                }
                Err(other) => return Err(other),
            };
            losses.push(made.loss);
            pending.add(made.gradients);
            if pending.batches() < accumulate {
                continue;
            }
            let lr = curve.next_rate();
            let goes_on = curve.push(losses.iter().sum::<f64>() / losses.len() as f64);
            losses.clear();
            setup.request.progress.set_message(&format!("lr {lr:.1e} loss {:.3}", curve.last()));
            setup.request.progress.advance(1);
            if !goes_on {
                return Ok(true);
            }
            run.optimizer_step_at(lr, setup, phase.freeze, pending.take());
        }
        if !fed {
            return Err(TrainError::NoData("the training split gave no batch; check data.root".into()));
        }
        run.state.epoch += 1;
    }
}

/// The curve as it grows.
struct Curve<'a> {
    settings: &'a LrFinderSettings,
    average: f64,
    lr: Vec<f64>,
    loss: Vec<f64>,
    smoothed: Vec<f64>,
    diverged: bool,
}

impl<'a> Curve<'a> {
    fn new(settings: &'a LrFinderSettings) -> Self {
        Self { settings, average: 0.0, lr: vec![], loss: vec![], smoothed: vec![], diverged: false }
    }

    fn next_rate(&self) -> f64 {
        self.settings.rate(self.lr.len())
    }

    fn last(&self) -> f64 {
        self.smoothed.last().copied().unwrap_or(f64::NAN)
    }

    /// Notes the loss at the next rate. False when the test is over.
    fn push(&mut self, loss: f64) -> bool {
        let beta = self.settings.smoothing;
        self.lr.push(self.next_rate());
        self.loss.push(loss);
        self.average = beta * self.average + (1.0 - beta) * loss;
        let smoothed = self.average / (1.0 - beta.powi(self.loss.len() as i32));
        let lowest = self.smoothed.iter().copied().fold(f64::INFINITY, f64::min);
        self.smoothed.push(smoothed);
        let too_high = |threshold: f64| self.loss.len() > 1 && smoothed > threshold * lowest;
        self.diverged = self.settings.early_stop_threshold.is_some_and(too_high);
        !self.diverged && self.lr.len() < self.settings.num_training
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flat, then falling between the steps 40 and 70, then running away.
    fn curve(settings: &LrFinderSettings) -> Curve<'_> {
        let mut curve = Curve::new(settings);
        for step in 0..settings.num_training {
            let x = step as f64;
            let fall = 1.5 / (1.0 + (-(x - 55.0) / 4.0).exp());
            let rise = ((x - 85.0) / 3.0).exp();
            if !curve.push(2.0 - fall + rise) {
                break;
            }
        }
        curve
    }

    #[test]
    fn rates_rise_exponentially_between_the_bounds() {
        let settings = LrFinderSettings::default();
        assert_eq!(settings.rate(0), 1e-7);
        assert!((settings.rate(99) - 1.0).abs() < 1e-12);
        let ratio = settings.rate(51) / settings.rate(50);
        assert!((ratio - 1e7f64.powf(1.0 / 99.0)).abs() < 1e-9);
    }

    #[test]
    fn suggestions_lie_where_people_would_pick() {
        let settings = LrFinderSettings { smoothing: 0.0, ..LrFinderSettings::default() };
        let curve = curve(&settings);
        assert!(curve.diverged && curve.lr.len() < 100);
        let found = LrRangeTest::new(curve.lr.clone(), curve.loss, curve.smoothed, curve.diverged);
        let step_of = |lr: f64| curve.lr.iter().position(|x| *x >= lr * 0.999).unwrap();
        let LrSuggestions { steepest, valley, minimum_over_10 } = found.suggestions;
        assert!((54..=56).contains(&step_of(steepest.unwrap())));
        assert!((35..=65).contains(&step_of(valley.unwrap())), "{}", step_of(valley.unwrap()));
        let lowest =
            (0..found.smoothed.len()).min_by(|a, b| found.smoothed[*a].total_cmp(&found.smoothed[*b])).unwrap();
        assert_eq!(minimum_over_10, Some(found.lr[lowest] / 10.0));
        assert_eq!(found.suggestion, steepest);
    }

    #[test]
    fn a_rising_loss_has_no_steepest_descent() {
        let rising: Vec<f64> = (0..50).map(f64::from).collect();
        assert_eq!((steepest(&rising), valley(&rising)), (None, None));
        assert_eq!((steepest(&[]), valley(&[])), (None, None));
    }

    #[test]
    fn the_average_has_no_bias_at_its_beginning() {
        let settings = LrFinderSettings { early_stop_threshold: None, ..LrFinderSettings::default() };
        let mut curve = Curve::new(&settings);
        (0..100).for_each(|_| drop(curve.push(3.0)));
        assert!(curve.smoothed.iter().all(|s| (s - 3.0).abs() < 1e-9));
    }
}
