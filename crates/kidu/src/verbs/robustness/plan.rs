//! Which corruptions, severities and images.

use kidu_core::rng;
use kidu_eval::robustness::Origin;
use kidu_image::{Corruption, Severity};
use rand::RngExt;

use super::model::Model;
use crate::cli::{PlanArgs, Preset};

/// What is tested.
pub(super) struct Plan {
    preset: Preset,
    pub(super) corruptions: Vec<Corruption>,
    pub(super) severities: Vec<Severity>,
    /// The most images; none is all.
    pub(super) limit: Option<usize>,
    /// The shorter side of the images when they are corrupted, in pixels.
    pub(super) side: u32,
}

impl Plan {
    /// The preset, changed by the options. `side` is that of the model's input.
    pub(super) fn new(arguments: &PlanArgs, side: u32) -> Self {
        let all = Corruption::ALL.into_iter().filter(|c| *c != Corruption::SpeckleNoise).collect();
        let few = vec![Corruption::GaussianNoise, Corruption::GaussianBlur, Corruption::MotionBlur];
        let [one, _, three, _, five] = Severity::ALL;
        let (corruptions, severities, limit) = match arguments.preset {
            Preset::Quick => (all, vec![one, three, five], Some(100)),
            Preset::ImagenetC => (all, Severity::ALL.to_vec(), None),
            Preset::Original => (few, vec![one], Some(12)),
        };
        let mut plan = Self {
            preset: arguments.preset,
            corruptions: if arguments.corruptions.is_empty() { corruptions } else { arguments.corruptions.clone() },
            severities: if arguments.severities.is_empty() { severities } else { arguments.severities.clone() },
            limit: arguments.limit.map_or(limit, |limit| (limit > 0).then_some(limit)),
            side: arguments.size.unwrap_or(side),
        };
        // Named twice is tested once.
        plan.corruptions.sort_unstable();
        plan.corruptions.dedup();
        plan.severities.sort_unstable();
        plan.severities.dedup();
        plan
    }

    /// Every corruption at every severity.
    pub(super) fn cells(&self) -> Vec<(Corruption, Severity)> {
        self.corruptions.iter().flat_map(|c| self.severities.iter().map(|s| (*c, *s))).collect()
    }

    /// What the result says of the plan and the model.
    pub(super) fn origin(&self, model: &dyn Model) -> Origin {
        let (name, version) = model.name();
        Origin {
            model: name,
            version,
            endpoint: model.endpoint(),
            preset: self.preset.name().into(),
            image_side: self.side,
            ..Origin::default()
        }
    }
}

/// Up to `limit` images as indices in ascending order, the classes in turn, drawn at random within each.
pub(super) fn choose(labels: &[usize], limit: Option<usize>, seed: u64) -> Vec<usize> {
    let Some(limit) = limit.filter(|limit| *limit < labels.len()) else { return (0..labels.len()).collect() };
    let classes = labels.iter().max().map_or(0, |most| most + 1);
    let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); classes];
    labels.iter().enumerate().for_each(|(index, label)| by_class[*label].push(index));
    for (class, of_class) in by_class.iter_mut().enumerate() {
        let mut rng = rng::stream(seed, "robustness", &[class as u64]);
        // Fisher and Yates.
        for i in (1..of_class.len()).rev() {
            of_class.swap(i, rng.random_range(0..=i as u64) as usize);
        }
    }
    let longest = by_class.iter().map(Vec::len).max().unwrap_or(0);
    let in_turn = (0..longest).flat_map(|turn| by_class.iter().filter_map(move |of_class| of_class.get(turn).copied()));
    let mut chosen: Vec<usize> = in_turn.take(limit).collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_evenly_from_the_classes() {
        let labels: Vec<usize> = (0..100).map(|i| if i < 90 { 0 } else { 1 + i % 2 }).collect();
        let chosen = choose(&labels, Some(12), 7);
        assert_eq!(chosen, choose(&labels, Some(12), 7));
        assert_ne!(chosen, choose(&labels, Some(12), 8));
        for class in 0..3 {
            assert_eq!(chosen.iter().filter(|i| labels[**i] == class).count(), 4);
        }
        // A small class gives what it has.
        let chosen = choose(&labels, Some(30), 7);
        assert_eq!((chosen.len(), chosen.iter().filter(|i| labels[**i] > 0).count()), (30, 10));
        assert_eq!(choose(&labels, None, 7).len(), 100);
        assert_eq!(choose(&labels, Some(500), 7).len(), 100);
        assert!(choose(&[], Some(3), 7).is_empty());
    }
}
