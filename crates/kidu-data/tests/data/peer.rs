//! Confident learning as cleanlab computes it.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use kidu_core::rng;
use kidu_data::check::confident;
use rand::RngExt;
use serde_json::{Value, json};

/// Labels of which a tenth are wrong, and what a middling model says of them.
fn case(seed: u64, n: usize, classes: usize) -> (Vec<usize>, Vec<f64>) {
    let mut rng = rng::stream(seed, "confident learning", &[]);
    let (mut labels, mut probabilities) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let truth = rng.random_range(0..classes);
        let mut row: Vec<f64> = (0..classes).map(|_| rng.random_range(0.0..1.0)).collect();
        row[truth] += rng.random_range(0.0..2.5);
        let sum: f64 = row.iter().sum();
        probabilities.extend(row.iter().map(|v| v / sum));
        let wrong = rng.random_range(0..10) == 0;
        labels.push(if wrong { rng.random_range(0..classes) } else { truth });
    }
    (labels, probabilities)
}

#[test]
fn thresholds_joint_scores_and_suspects_are_cleanlabs() {
    let name = "thresholds_joint_scores_and_suspects_are_cleanlabs";
    let Some(python) = kidu_testing::peer_python(name, &["cleanlab"]) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/confident_learning.py");
    for (seed, n, classes) in [(1, 300, 3), (2, 1000, 6), (3, 500, 2), (4, 2000, 10)] {
        let (labels, probabilities) = case(seed, n, classes);
        let rows: Vec<&[f64]> = probabilities.chunks(classes).collect();
        let mut child =
            Command::new(&python).arg(&script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = json!({ "labels": labels, "probabilities": rows }).to_string();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ours = confident::judge(&labels, &probabilities, classes);
        let close = |mine: &[f64], key: &str| {
            let other: Vec<f64> = serde_json::from_value(theirs[key].clone()).unwrap();
            assert!(mine.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-9) && mine.len() == other.len(), "{key}");
        };
        close(&ours.thresholds, "thresholds");
        close(&ours.scores, "scores");
        // Cleanlab rounds to the nearest first and then corrects the sum: an entry may differ by one.
        let joint: Vec<Vec<i64>> = serde_json::from_value(theirs["joint"].clone()).unwrap();
        for (a, b) in ours.joint.iter().flatten().zip(joint.iter().flatten()) {
            assert!((*a as i64 - b).abs() <= 1, "{:?} {joint:?}", ours.joint);
        }
        let mut mine: Vec<usize> = ours.suspects.iter().map(|s| s.row).collect();
        mine.sort_unstable();
        let theirs: Vec<usize> = serde_json::from_value(theirs["suspects"].clone()).unwrap();
        let both = mine.iter().filter(|i| theirs.contains(i)).count();
        let off = mine.len() + theirs.len() - 2 * both;
        println!(
            "{n} images of {classes} classes: {} suspects, {} of cleanlab, {off} in one only",
            mine.len(),
            theirs.len()
        );
        assert!(mine.len() > n / 40 && off <= classes, "{mine:?} {theirs:?}");
    }
}
