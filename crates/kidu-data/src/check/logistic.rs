//! Multinomial logistic regression, and what it says of images that it was not fitted on.

use kidu_core::rng;
use rayon::prelude::*;

use super::features::{Features, dot};
use crate::order::shuffle;

/// Weight of the penalty `λ/2 |W|²` on standardised features, beside the mean loss.
const PENALTY: f32 = 3e-3;
const MOST_STEPS: usize = 120;
/// Pairs of changes that L-BFGS remembers.
const MEMORY: usize = 8;
/// Stops where the mean loss falls by less than this part.
const ENOUGH: f64 = 1e-5;
/// Rows whose gradient is computed together: the sums have one order on any number of threads.
const CHUNK: usize = 256;

/// Probabilities of each row's classes, `[rows, classes]`, by models fitted on the other folds. `labels[i]` is the class
/// of row `i`; within each class the rows are dealt to the folds at random, by the seed.
///
/// Features are standardised by the rows that are fitted on. A class that a fold's model has not seen gets a probability
/// near 0 there.
pub fn out_of_fold(features: &Features, labels: &[usize], classes: usize, folds: usize, seed: u64) -> Vec<f64> {
    let fold_of = deal(labels, classes, folds, seed);
    let mut probabilities = vec![0.0; labels.len() * classes];
    for fold in 0..folds {
        let rows =
            |inside: bool| -> Vec<usize> { (0..labels.len()).filter(|i| (fold_of[*i] == fold) == inside).collect() };
        let (held, fitted) = (rows(true), rows(false));
        if held.is_empty() {
            continue;
        }
        let scale = Scale::of(&features.values, features.dimensions, &fitted);
        let row = |i: usize| &features.values[i * features.dimensions..(i + 1) * features.dimensions];
        let x: Vec<f32> = fitted.iter().flat_map(|i| scale.apply(row(*i))).collect();
        let y: Vec<usize> = fitted.iter().map(|i| labels[*i]).collect();
        let model = Model::fit(&x, &y, classes);
        for i in held {
            let row: Vec<f32> = scale.apply(row(i)).collect();
            probabilities[i * classes..(i + 1) * classes].copy_from_slice(&model.probabilities(&row));
        }
    }
    probabilities
}

/// A classifier that is fitted on some rows of features and asked about others, as [`out_of_fold`] does it.
pub struct SoftmaxRegression {
    scale: Scale,
    model: Model,
}

impl SoftmaxRegression {
    /// Fits on `[rows, dimensions]` features, of which `labels` are the classes.
    pub fn fit(values: &[f32], labels: &[usize], classes: usize) -> Self {
        let dimensions = values.len() / labels.len().max(1);
        let rows: Vec<usize> = (0..labels.len()).collect();
        let scale = Scale::of(values, dimensions, &rows);
        let x: Vec<f32> = values.chunks_exact(dimensions.max(1)).flat_map(|row| scale.apply(row)).collect();
        Self { model: Model::fit(&x, labels, classes), scale }
    }

    /// The probability of each class.
    pub fn probabilities(&self, row: &[f32]) -> Vec<f64> {
        let row: Vec<f32> = self.scale.apply(row).collect();
        self.model.probabilities(&row)
    }
}

/// The fold of each row.
fn deal(labels: &[usize], classes: usize, folds: usize, seed: u64) -> Vec<usize> {
    let mut fold_of = vec![0; labels.len()];
    // Classes begin where the one before ended, so that small ones do not all begin with the first fold.
    let mut next = 0;
    for class in 0..classes {
        let mut rows: Vec<usize> = (0..labels.len()).filter(|i| labels[*i] == class).collect();
        shuffle(&mut rows, &mut rng::stream(seed, "label folds", &[class as u64]));
        for row in rows {
            fold_of[row] = next % folds;
            next += 1;
        }
    }
    fold_of
}

/// Mean and deviation of each feature.
struct Scale {
    mean: Vec<f32>,
    inverse: Vec<f32>,
}

impl Scale {
    fn of(values: &[f32], d: usize, rows: &[usize]) -> Self {
        let (mut sum, mut squares) = (vec![0.0f64; d], vec![0.0f64; d]);
        for i in rows {
            for (k, v) in values[i * d..(i + 1) * d].iter().enumerate() {
                sum[k] += f64::from(*v);
                squares[k] += f64::from(*v).powi(2);
            }
        }
        let n = rows.len().max(1) as f64;
        let mean: Vec<f32> = sum.iter().map(|s| (s / n) as f32).collect();
        let inverse = sum.iter().zip(&squares).map(|(s, q)| {
            let deviation = (q / n - (s / n).powi(2)).max(0.0).sqrt();
            if deviation > 1e-6 { (1.0 / deviation) as f32 } else { 0.0 }
        });
        Self { inverse: inverse.collect(), mean }
    }

    fn apply<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        row.iter().zip(&self.mean).zip(&self.inverse).map(|((v, m), s)| (v - m) * s)
    }
}

/// Weights `[classes, dimensions + 1]`; the last of each row is the bias.
struct Model {
    weights: Vec<f32>,
    classes: usize,
}

impl Model {
    /// Minimises the mean cross-entropy with a penalty on the weights by L-BFGS (Nocedal and Wright 2006, algorithm 7.4)
    /// with a backtracking line search. `x` is `[rows, dimensions]`.
    fn fit(x: &[f32], y: &[usize], classes: usize) -> Self {
        let dimensions = x.len() / y.len().max(1);
        let mut weights = vec![0.0f32; classes * (dimensions + 1)];
        let (mut loss, mut gradient) = objective(&weights, x, y, classes);
        let mut history: Vec<(Vec<f32>, Vec<f32>)> = Vec::new();
        for _ in 0..MOST_STEPS {
            let direction = direction(&gradient, &history);
            let slope = f64::from(dot(&direction, &gradient));
            if slope >= 0.0 {
                break;
            }
            let mut length = if history.is_empty() { (1.0 / dot(&gradient, &gradient).sqrt()).min(1.0) } else { 1.0 };
            let step = loop {
                let moved: Vec<f32> = weights.iter().zip(&direction).map(|(w, d)| w + length * d).collect();
                let (found, slopes) = objective(&moved, x, y, classes);
                if found <= loss + 1e-4 * f64::from(length) * slope {
                    break Some((moved, found, slopes));
                }
                length /= 2.0;
                if length < 1e-6 {
                    break None;
                }
            };
            let Some((moved, found, slopes)) = step else { break };
            let difference = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f32>>();
            let change = (difference(&moved, &weights), difference(&slopes, &gradient));
            if dot(&change.0, &change.1) > 1e-10 {
                history.push(change);
                if history.len() > MEMORY {
                    history.remove(0);
                }
            }
            let done = loss - found < ENOUGH * loss.abs();
            (weights, loss, gradient) = (moved, found, slopes);
            if done {
                break;
            }
        }
        Self { weights, classes }
    }

    fn probabilities(&self, row: &[f32]) -> Vec<f64> {
        let mut scores = vec![0.0f32; self.classes];
        logits(&self.weights, row, &mut scores);
        softmax(&mut scores);
        scores.iter().map(|p| f64::from(*p)).collect()
    }
}

/// The direction of descent: the two-loop recursion.
fn direction(gradient: &[f32], history: &[(Vec<f32>, Vec<f32>)]) -> Vec<f32> {
    let mut q: Vec<f32> = gradient.iter().map(|g| -g).collect();
    let add = |to: &mut [f32], factor: f32, of: &[f32]| to.iter_mut().zip(of).for_each(|(t, v)| *t += factor * v);
    let mut factors = Vec::with_capacity(history.len());
    for (s, y) in history.iter().rev() {
        let factor = dot(s, &q) / dot(s, y);
        add(&mut q, -factor, y);
        factors.push(factor);
    }
    if let Some((s, y)) = history.last() {
        let scale = dot(s, y) / dot(y, y);
        q.iter_mut().for_each(|v| *v *= scale);
    }
    for ((s, y), factor) in history.iter().zip(factors.into_iter().rev()) {
        let back = dot(y, &q) / dot(s, y);
        add(&mut q, factor - back, s);
    }
    q
}

/// Mean cross-entropy with the penalty, and its gradient.
fn objective(weights: &[f32], x: &[f32], y: &[usize], classes: usize) -> (f64, Vec<f32>) {
    let width = weights.len() / classes;
    let dimensions = width - 1;
    let parts: Vec<(f64, Vec<f32>)> = x
        .par_chunks(CHUNK * dimensions)
        .zip(y.par_chunks(CHUNK))
        .map(|(x, y)| {
            let (mut loss, mut gradient, mut scores) = (0.0f64, vec![0.0f32; weights.len()], vec![0.0f32; classes]);
            for (row, label) in x.chunks_exact(dimensions).zip(y) {
                logits(weights, row, &mut scores);
                softmax(&mut scores);
                loss -= f64::from(scores[*label].max(1e-30)).ln();
                scores[*label] -= 1.0;
                for (slopes, error) in gradient.chunks_exact_mut(width).zip(&scores) {
                    slopes.iter_mut().zip(row).for_each(|(g, v)| *g += error * v);
                    slopes[dimensions] += error;
                }
            }
            (loss, gradient)
        })
        .collect();
    let n = y.len().max(1) as f32;
    let (mut loss, mut gradient) = (0.0, vec![0.0f32; weights.len()]);
    for (part, slopes) in parts {
        loss += part / f64::from(n);
        gradient.iter_mut().zip(&slopes).for_each(|(g, s)| *g += s / n);
    }
    for (w, g) in weights.chunks_exact(width).zip(gradient.chunks_exact_mut(width)) {
        loss += f64::from(PENALTY) / 2.0 * f64::from(dot(&w[..dimensions], &w[..dimensions]));
        g.iter_mut().zip(&w[..dimensions]).for_each(|(g, w)| *g += PENALTY * w);
    }
    (loss, gradient)
}

fn logits(weights: &[f32], row: &[f32], out: &mut [f32]) {
    for (w, slot) in weights.chunks_exact(row.len() + 1).zip(out) {
        *slot = dot(&w[..row.len()], row) + w[row.len()];
    }
}

fn softmax(values: &mut [f32]) {
    let greatest = values.iter().copied().fold(f32::MIN, f32::max);
    values.iter_mut().for_each(|v| *v = (*v - greatest).exp());
    let sum: f32 = values.iter().sum();
    values.iter_mut().for_each(|v| *v /= sum);
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    /// Three clouds in two dimensions, which overlap a little.
    fn clouds(n: usize) -> (Features, Vec<usize>) {
        let mut rng = rng::stream(5, "logistic test", &[]);
        let labels: Vec<usize> = (0..n).map(|i| i % 3).collect();
        let centres = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]];
        let noise = |rng: &mut rng::ChaCha8Rng| (0..6).map(|_| rng.random_range(-1.0f32..1.0)).sum::<f32>();
        let values = labels.iter().flat_map(|l| centres[*l].map(|c| c + noise(&mut rng))).collect();
        (Features { images: (0..n).collect(), dimensions: 2, values, source: "clouds".into() }, labels)
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let (features, labels) = clouds(30);
        let weights: Vec<f32> = (0..9).map(|i| 0.1 * i as f32 - 0.3).collect();
        let (_, gradient) = objective(&weights, &features.values, &labels, 3);
        for k in 0..9 {
            let at = |step: f32| {
                let mut moved = weights.clone();
                moved[k] += step;
                objective(&moved, &features.values, &labels, 3).0
            };
            let numeric = (at(0.01) - at(-0.01)) / 0.02;
            assert!((numeric - f64::from(gradient[k])).abs() < 2e-3, "{k}: {numeric} {}", gradient[k]);
        }
    }

    #[test]
    fn the_minimum_has_no_slope() {
        let (features, labels) = clouds(300);
        let model = Model::fit(&features.values, &labels, 3);
        let (_, gradient) = objective(&model.weights, &features.values, &labels, 3);
        assert!(gradient.iter().all(|g| g.abs() < 5e-3), "{gradient:?}");
    }

    #[test]
    fn held_out_rows_are_told_apart_and_the_result_repeats() {
        let (features, labels) = clouds(300);
        let found = out_of_fold(&features, &labels, 3, 5, 1);
        let right = found.chunks_exact(3).zip(&labels).filter(|(p, l)| (0..3).all(|c| p[c] <= p[**l])).count();
        assert!(right > 260, "{right}");
        assert!(found.chunks_exact(3).all(|p| (p.iter().sum::<f64>() - 1.0).abs() < 1e-5));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(pool.install(|| out_of_fold(&features, &labels, 3, 5, 1)), found);
    }

    #[test]
    fn folds_hold_their_share_of_each_class() {
        let labels: Vec<usize> = (0..103).map(|i| usize::from(i >= 13)).collect();
        let folds = deal(&labels, 2, 5, 3);
        for class in 0..2 {
            let of = |f: usize| (0..103).filter(|i| labels[*i] == class && folds[*i] == f).count();
            let counts: Vec<usize> = (0..5).map(of).collect();
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        }
    }
}
