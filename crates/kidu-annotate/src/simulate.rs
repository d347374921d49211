//! What an order of labelling is worth: a simulated annotator, whose answers are known, labels in rounds, and a
//! classifier is fitted and judged after each.

use kidu_core::rng::{self, ChaCha8Rng};
use rand::RngExt;
use rayon::prelude::*;
use serde::Serialize;

use crate::active::{Candidates, Points, Strategy, order};

/// A classifier that is fitted on some rows of features and asked about others.
pub trait Learner: Sync {
    /// Probabilities `[asked, classes]` after fitting on `rows` with these labels. All rows are `[_, dimensions]`.
    fn fit_and_ask(&self, rows: &[f32], labels: &[usize], asked: &[&[f32]]) -> Vec<Vec<f64>>;
}

/// Images whose labels are known.
#[derive(Clone, Debug)]
pub struct Images {
    /// `[images, dimensions]`.
    pub features: Vec<f32>,
    /// The class of each.
    pub labels: Vec<usize>,
}

/// How it is simulated.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The orders that are compared.
    pub strategies: Vec<Strategy>,
    /// Runs of each, which differ in the images that are labelled first.
    pub seeds: Vec<u64>,
    /// Images of each class that are labelled at the beginning.
    pub start_per_class: usize,
    /// Images that are labelled before the classifier is fitted again.
    pub batch: usize,
    /// Labels at the end.
    pub budget: usize,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The order.
    pub strategy: Strategy,
    /// The seed.
    pub seed: u64,
    /// Labels and accuracy after each round.
    pub points: Vec<(usize, f64)>,
    /// Labels at which the accuracy that [`measure`] was asked for is reached, between two rounds by proportion; `None` if
    /// it never is.
    pub reached: Option<f64>,
}

/// What the runs of an order have in common.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The order.
    pub strategy: Strategy,
    /// Runs that reached the accuracy.
    pub reached: usize,
    /// All runs.
    pub runs: usize,
    /// Mean labels to reach it. A run that did not counts with all its labels, so with such runs this is too low.
    pub labels: f64,
    /// The least and the most of the runs that reached it.
    pub range: Option<(f64, f64)>,
    /// Mean accuracy after each round.
    pub curve: Vec<(usize, f64)>,
}

/// Simulates all runs. `told` hears of each round.
pub fn simulate(
    plan: &Plan,
    pool: &Images,
    test: &Images,
    classes: usize,
    learner: &dyn Learner,
    told: &(dyn Fn() + Sync),
) -> Vec<Run> {
    let runs: Vec<(Strategy, u64)> =
        plan.strategies.iter().flat_map(|s| plan.seeds.iter().map(move |seed| (*s, *seed))).collect();
    runs.par_iter()
        .map(|(strategy, seed)| run(plan, (*strategy, *seed), (pool, test, classes), learner, told))
        .collect()
}

/// How many rounds a run has.
pub fn rounds(plan: &Plan, pool: usize, classes: usize) -> usize {
    let first = plan.start_per_class * classes;
    1 + plan.budget.min(pool).saturating_sub(first).div_ceil(plan.batch.max(1))
}

fn run(
    plan: &Plan,
    (strategy, seed): (Strategy, u64),
    (pool, test, classes): (&Images, &Images, usize),
    learner: &dyn Learner,
    told: &(dyn Fn() + Sync),
) -> Run {
    let dimensions = pool.features.len() / pool.labels.len().max(1);
    let row = |images: &'_ Images, i: usize| images.features[i * dimensions..(i + 1) * dimensions].to_vec();
    // The first labels of a seed are the same for every strategy.
    let mut labelled = first_labels(plan, pool, classes, seed);
    let mut rng = rng::stream(seed, "simulated annotator", &[1]);
    let budget = plan.budget.min(pool.labels.len());
    let mut points = Vec::new();
    loop {
        let known: Vec<f32> = labelled.iter().flat_map(|i| row(pool, *i)).collect();
        let labels: Vec<usize> = labelled.iter().map(|i| pool.labels[*i]).collect();
        let rest = unlabelled(pool.labels.len(), &labelled);
        let at_test = (0..test.labels.len()).map(|i| &test.features[i * dimensions..(i + 1) * dimensions]);
        let at_rest = rest.iter().map(|i| &pool.features[i * dimensions..(i + 1) * dimensions]);
        let asked: Vec<&[f32]> = at_test.chain(at_rest).collect();
        let answers = learner.fit_and_ask(&known, &labels, &asked);
        let (of_test, of_rest) = answers.split_at(test.labels.len());
        points.push((labelled.len(), accuracy(of_test, &test.labels)));
        told();
        let wanted = plan.batch.max(1).min(budget.saturating_sub(labelled.len()));
        if wanted == 0 || rest.is_empty() {
            break;
        }
        let probabilities: Vec<f64> = of_rest.iter().flatten().copied().collect();
        let features: Vec<f32> = rest.iter().flat_map(|i| row(pool, *i)).collect();
        let candidates = Candidates {
            probabilities: &probabilities,
            classes,
            features: Some(Points::new(&features, dimensions)),
            labelled: Some(Points::new(&known, dimensions)),
        };
        let next = order(strategy, &candidates, wanted, wanted, &mut |n| rng.random_range(0..n));
        labelled.extend(next.into_iter().map(|i| rest[i]));
    }
    Run { strategy, seed, points, reached: None }
}

/// So many of each class, by chance.
fn first_labels(plan: &Plan, pool: &Images, classes: usize, seed: u64) -> Vec<usize> {
    let mut rng: ChaCha8Rng = rng::stream(seed, "simulated annotator", &[0]);
    let mut labelled = Vec::new();
    for class in 0..classes {
        let mut of_class: Vec<usize> = (0..pool.labels.len()).filter(|i| pool.labels[*i] == class).collect();
        for _ in 0..plan.start_per_class.min(of_class.len()) {
            labelled.push(of_class.swap_remove(rng.random_range(0..of_class.len())));
        }
    }
    labelled
}

fn unlabelled(n: usize, labelled: &[usize]) -> Vec<usize> {
    let mut known = vec![false; n];
    labelled.iter().for_each(|i| known[*i] = true);
    (0..n).filter(|i| !known[*i]).collect()
}

fn accuracy(answers: &[Vec<f64>], labels: &[usize]) -> f64 {
    let best =
        |row: &Vec<f64>| row.iter().enumerate().fold((0, f64::MIN), |b, (i, p)| if *p > b.1 { (i, *p) } else { b }).0;
    let right = answers.iter().zip(labels).filter(|(row, label)| best(row) == **label).count();
    right as f64 / labels.len().max(1) as f64
}

/// Labels at which the accuracy is first reached.
fn reached(points: &[(usize, f64)], target: f64) -> Option<f64> {
    let at = points.iter().position(|(_, accuracy)| *accuracy >= target)?;
    let (labels, accuracy) = points[at];
    let Some((before, lower)) = at.checked_sub(1).map(|i| points[i]) else { return Some(labels as f64) };
    Some(before as f64 + (labels - before) as f64 * (target - lower) / (accuracy - lower))
}

/// Looks up in each run when it reaches an accuracy.
pub fn measure(runs: &mut [Run], target: f64) {
    runs.iter_mut().for_each(|run| run.reached = reached(&run.points, target));
}

/// The mean accuracy at the end of the runs by chance: what the budget buys without any thought. `None` without such runs.
pub fn bought_by_chance(runs: &[Run]) -> Option<f64> {
    let last = runs.iter().filter(|r| r.strategy == Strategy::Random).filter_map(|r| r.points.last());
    let ends: Vec<f64> = last.map(|(_, accuracy)| *accuracy).collect();
    (!ends.is_empty()).then(|| ends.iter().sum::<f64>() / ends.len() as f64)
}

/// The runs by strategy, in the plan's order.
pub fn summarise(plan: &Plan, runs: &[Run]) -> Vec<Summary> {
    let of = |strategy: Strategy| {
        let runs: Vec<&Run> = runs.iter().filter(|r| r.strategy == strategy).collect();
        let labels: Vec<f64> = runs.iter().filter_map(|r| r.reached).collect();
        let n = labels.len();
        let at_end = |r: &&Run| r.reached.unwrap_or(r.points.last().map_or(0.0, |p| p.0 as f64));
        let range = (n > 0).then(|| {
            (labels.iter().copied().fold(f64::INFINITY, f64::min), labels.iter().copied().fold(0.0, f64::max))
        });
        let rounds = runs.iter().map(|r| r.points.len()).min().unwrap_or(0);
        let mean = |i: usize| runs.iter().map(|r| r.points[i].1).sum::<f64>() / runs.len().max(1) as f64;
        Summary {
            strategy,
            reached: n,
            runs: runs.len(),
            labels: runs.iter().map(at_end).sum::<f64>() / runs.len().max(1) as f64,
            range,
            curve: (0..rounds).map(|i| (runs[0].points[i].0, mean(i))).collect(),
        }
    };
    plan.strategies.iter().map(|s| of(*s)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::active::diversity::distance;

    /// The classes of the nearest labelled rows, by distance.
    struct Nearest(usize);

    impl Learner for Nearest {
        fn fit_and_ask(&self, rows: &[f32], labels: &[usize], asked: &[&[f32]]) -> Vec<Vec<f64>> {
            let d = rows.len() / labels.len();
            asked
                .iter()
                .map(|a| {
                    let mut near = vec![1e-9; self.0];
                    for (row, label) in rows.chunks_exact(d).zip(labels) {
                        near[*label] = f64::max(near[*label], (-f64::from(distance(row, a))).exp());
                    }
                    let sum: f64 = near.iter().sum();
                    near.iter().map(|p| p / sum).collect()
                })
                .collect()
        }
    }

    fn clouds(n: usize, seed: u64) -> Images {
        let mut rng = rng::stream(seed, "clouds", &[]);
        let labels: Vec<usize> = (0..n).map(|i| i % 3).collect();
        let features = labels
            .iter()
            .flat_map(|l| [*l as f64 * 1.5 + 0.7 * rng::normal(&mut rng), 0.7 * rng::normal(&mut rng)])
            .map(|v| v as f32)
            .collect();
        Images { features, labels }
    }

    fn plan() -> Plan {
        Plan {
            strategies: vec![Strategy::Random, Strategy::Margin],
            seeds: vec![1, 2],
            start_per_class: 2,
            batch: 6,
            budget: 30,
        }
    }

    #[test]
    fn each_run_has_its_rounds_and_begins_alike() {
        let (pool, test, plan) = (clouds(90, 1), clouds(60, 2), plan());
        let mut runs = simulate(&plan, &pool, &test, 3, &Nearest(3), &|| ());
        assert_eq!(runs.len(), 4);
        assert_eq!(rounds(&plan, 90, 3), 5);
        for run in &runs {
            assert_eq!(run.points.iter().map(|p| p.0).collect::<Vec<_>>(), [6, 12, 18, 24, 30]);
            assert!(run.points.iter().all(|p| (0.0..=1.0).contains(&p.1)));
        }
        assert_eq!(runs[0].points[0], runs[2].points[0], "the same first labels for the same seed");
        let again = simulate(&plan, &pool, &test, 3, &Nearest(3), &|| ());
        assert_eq!(format!("{runs:?}"), format!("{again:?}"));
        let target = bought_by_chance(&runs).unwrap();
        measure(&mut runs, target);
        let summary = summarise(&plan, &runs);
        assert!(summary[0].reached > 0, "one run ends at the mean or above");
        measure(&mut runs, 2.0);
        let never = &summarise(&plan, &runs)[1];
        assert_eq!((never.reached, never.labels, never.range), (0, 30.0, None));
        assert_eq!((summary[0].runs, summary[0].curve.len()), (2, 5));
    }

    #[test]
    fn a_pool_that_is_used_up_ends_it() {
        let runs = simulate(&Plan { budget: 1000, ..plan() }, &clouds(20, 1), &clouds(9, 2), 3, &Nearest(3), &|| ());
        assert!(runs.iter().all(|r| r.points.last().is_some_and(|p| p.0 == 20)));
    }

    #[test]
    fn labels_are_read_between_rounds() {
        let points = [(60, 0.5), (80, 0.7), (100, 0.9)];
        assert_eq!(reached(&points, 0.8), Some(90.0));
        assert_eq!(reached(&points, 0.5), Some(60.0));
        assert_eq!(reached(&points, 0.95), None);
    }
}
