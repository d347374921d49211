//! Learning rates as functions of the step and the epoch.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::settings::{SchedulerName, SchedulerSettings};

/// A schedule laid over a run of known length.
#[derive(Clone, Debug)]
pub struct Schedule {
    settings: SchedulerSettings,
    base: f64,
    total_steps: u64,
    warmup_steps: u64,
}

impl Schedule {
    /// `base` is the highest rate, `total_steps` the number of optimizer steps of the whole run.
    pub fn new(settings: &SchedulerSettings, base: f64, total_steps: u64, steps_per_epoch: u64) -> Self {
        let warmup_steps = (settings.warmup_epochs as u64 * steps_per_epoch).min(total_steps);
        Self { settings: settings.clone(), base, total_steps: total_steps.max(1), warmup_steps }
    }

    /// The rate of optimizer step `step` (from 0) in `epoch` (from 0). Past the end of the run it stays at its last
    /// value.
    pub fn rate(&self, step: u64, epoch: usize, plateau: &PlateauState) -> f64 {
        let s = &self.settings;
        match s.name {
            SchedulerName::Constant => self.base * self.warmup(step),
            SchedulerName::OneCycle => self.one_cycle(step),
            SchedulerName::Cosine if step < self.warmup_steps => self.base * self.warmup(step),
            SchedulerName::Cosine => {
                let length = (self.total_steps - self.warmup_steps).max(1) as f64;
                let progress = ((step - self.warmup_steps) as f64 / length).min(1.0);
                let low = s.min_lr.min(self.base);
                low + (self.base - low) * (1.0 + (PI * progress).cos()) / 2.0
            }
            SchedulerName::Step => self.base * s.gamma.powf((epoch / s.step_size) as f64) * self.warmup(step),
            SchedulerName::Plateau => plateau.rate.unwrap_or(self.base) * self.warmup(step),
        }
    }

    /// The plateau's state after a validation; other schedules leave it as it is.
    pub fn after_validation(&self, state: &PlateauState, loss: f64) -> PlateauState {
        match self.settings.name {
            SchedulerName::Plateau => state.next(&self.settings, self.base, loss),
            _ => state.clone(),
        }
    }

    /// Linear growth: 1 / n at the first of n steps, 1 at the last and after.
    fn warmup(&self, step: u64) -> f64 {
        if step < self.warmup_steps { (step + 1) as f64 / self.warmup_steps as f64 } else { 1.0 }
    }

    /// PyTorch's `OneCycleLR` with cosine annealing, two phases and without cycling the momentum.
    fn one_cycle(&self, step: u64) -> f64 {
        let s = &self.settings;
        let first = self.base / s.div_factor;
        let last = first / s.final_div_factor;
        let cosine = |from: f64, to: f64, share: f64| to + (from - to) / 2.0 * (1.0 + (PI * share).cos());
        let peak = s.pct_start * self.total_steps as f64 - 1.0;
        let end = self.total_steps as f64 - 1.0;
        let step = (step as f64).min(end);
        if step <= peak {
            // A first phase of a single step stands at its beginning.
            cosine(first, self.base, if peak > 0.0 { step / peak } else { 0.0 })
        } else {
            cosine(self.base, last, if end > peak { (step - peak) / (end - peak) } else { 1.0 })
        }
    }
}

/// What the plateau schedule remembers (PyTorch's `ReduceLROnPlateau`: smaller is better, relative threshold 1e-4).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlateauState {
    /// The smallest loss so far.
    pub best: Option<f64>,
    /// Validations in a row without improvement.
    pub bad: usize,
    /// The reduced rate, once it has been reduced.
    pub rate: Option<f64>,
}

impl PlateauState {
    const THRESHOLD: f64 = 1e-4;
    /// A change smaller than this is not made.
    const EPS: f64 = 1e-8;

    fn next(&self, settings: &SchedulerSettings, base: f64, loss: f64) -> Self {
        let mut state = self.clone();
        if self.best.is_none_or(|best| loss < best * (1.0 - Self::THRESHOLD)) {
            (state.best, state.bad) = (Some(loss), 0);
            return state;
        }
        state.bad += 1;
        if state.bad > settings.patience {
            let old = self.rate.unwrap_or(base);
            let new = (old * settings.factor).max(settings.min_lr);
            if old - new > Self::EPS {
                state.rate = Some(new);
            }
            state.bad = 0;
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(settings: SchedulerSettings, base: f64, total: u64, per_epoch: u64) -> Vec<f64> {
        let schedule = Schedule::new(&settings, base, total, per_epoch);
        (0..total).map(|s| schedule.rate(s, (s / per_epoch) as usize, &PlateauState::default())).collect()
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{found:?}\n{expected:?}");
        }
    }

    #[test]
    fn one_cycle_is_pytorchs() {
        let expected = [
            0.0003999999999999993,
            0.004223411137347358,
            0.009602614247226174,
            0.009797465678213015,
            0.008844757247686304,
            0.007260870492975283,
            0.005305827080875998,
            0.0033005802898729494,
            0.0015743251279950786,
            0.00041045543206290856,
            4e-08,
        ];
        let settings = SchedulerSettings::default();
        close(&rates(settings.clone(), 0.01, 11, 1), &expected);
        // A run of one, two or three steps has no room for the first phase and must still give numbers.
        for total in 1..4 {
            assert!(rates(settings.clone(), 0.01, total, 1).iter().all(|r| *r > 0.0 && *r <= 0.01));
        }
        let schedule = Schedule::new(&settings, 0.01, 11, 1);
        assert_eq!(schedule.rate(99, 9, &PlateauState::default()), schedule.rate(10, 9, &PlateauState::default()));
    }

    #[test]
    fn cosine_is_pytorchs_after_a_linear_warm_up() {
        let expected = [
            0.01,
            0.009657457896300792,
            0.008681980515339464,
            0.007222075445642905,
            0.0055000000000000005,
            0.0037779245543570965,
            0.0023180194846605367,
            0.0013425421036992098,
        ];
        let cosine = SchedulerSettings { name: SchedulerName::Cosine, min_lr: 0.001, ..Default::default() };
        close(&rates(cosine.clone(), 0.01, 8, 2), &expected);
        let warm = rates(SchedulerSettings { warmup_epochs: 2, ..cosine }, 0.01, 12, 2);
        close(&warm[..4], &[0.0025, 0.005, 0.0075, 0.01]);
        close(&warm[4..], &expected);
    }

    #[test]
    fn step_and_constant() {
        let step = SchedulerSettings { name: SchedulerName::Step, step_size: 2, gamma: 0.5, ..Default::default() };
        close(&rates(step, 0.01, 6, 1), &[0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025]);
        let constant = SchedulerSettings { name: SchedulerName::Constant, ..Default::default() };
        close(&rates(constant, 0.3, 3, 1), &[0.3; 3]);
    }

    #[test]
    fn plateau_is_pytorchs() {
        let settings = SchedulerSettings {
            name: SchedulerName::Plateau,
            patience: 1,
            factor: 0.1,
            min_lr: 0.0005,
            ..Default::default()
        };
        let schedule = Schedule::new(&settings, 0.1, 12, 1);
        let mut state = PlateauState::default();
        let found: Vec<f64> = [1.0, 0.9, 0.95, 0.89995, 0.91, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]
            .iter()
            .map(|loss| {
                state = schedule.after_validation(&state, *loss);
                schedule.rate(0, 0, &state)
            })
            .collect();
        close(&found, &[0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.001, 0.001, 0.0005, 0.0005, 0.0005]);
    }
}
