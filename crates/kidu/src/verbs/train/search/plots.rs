//! Plots of a search: how the best value grew, the value over each parameter, all of them in parallel coordinates, and
//! how much each parameter matters.

mod parallel;

use std::{collections::BTreeSet, path::Path};

use kidu_core::files;
use kidu_plot::{COLOURS, Chart, Scale, Series, Style, bars, figure, png, shorten};
use kidu_search::{Direction, Distribution, Importance, SearchSettings, TrialRecord, TrialState};

use crate::Outcome;

const SIZE: (f64, f64) = (420.0, 320.0);
/// More parameters than this would make the figure too wide to read.
const MAX_PARAMETERS: usize = 6;

/// Writes `optimization_history`, `slice`, `parallel_coordinates` and, where it can be told, `importance` as SVG and PNG;
/// nothing before a trial is complete.
pub(super) fn save(
    trials: &[TrialRecord],
    importance: &[Importance],
    settings: &SearchSettings,
    dir: &Path,
) -> Outcome {
    let complete: Vec<&TrialRecord> =
        trials.iter().filter(|t| t.state == TrialState::Complete && t.value.is_some_and(f64::is_finite)).collect();
    if complete.is_empty() {
        return Ok(());
    }
    let mut figures = vec![
        ("optimization_history", figure(&[history(&complete, settings)], (640.0, SIZE.1))),
        ("slice", figure(&slices(&complete, importance, settings), SIZE)),
        ("parallel_coordinates", parallel::draw(trials, importance, settings)),
    ];
    if !importance.is_empty() {
        figures.push(("importance", importances(importance, complete.len(), settings)));
    }
    files::create_dir_all(&dir.join("plots"))?;
    for (name, svg) in figures {
        files::write_atomic(&dir.join("plots").join(format!("{name}.svg")), svg.as_bytes())?;
        let picture = png(&svg, 2.0).map_err(anyhow::Error::from)?;
        files::write_atomic(&dir.join("plots").join(format!("{name}.png")), &picture)?;
    }
    Ok(())
}

fn history(trials: &[&TrialRecord], settings: &SearchSettings) -> Chart {
    let points: Vec<(f64, f64)> = trials.iter().map(|t| (t.number as f64, t.value.unwrap_or(f64::NAN))).collect();
    let mut best = f64::NAN;
    let step = |(x, y): &(f64, f64)| {
        let before = best;
        best = match settings.direction {
            Direction::Maximize => best.max(*y),
            Direction::Minimize => best.min(*y),
        };
        [(*x, before), (*x, best)]
    };
    let so_far = points.iter().flat_map(step).collect();
    let series =
        |label: &str, colour: &str, points, style| Series { label: label.into(), colour: colour.into(), points, style };
    Chart {
        title: format!("{}, {}", settings.study_name, settings.metric),
        x: ("trial".into(), Scale::Linear),
        y: (settings.metric.clone(), Scale::Linear),
        series: vec![
            series("best so far", COLOURS[1], so_far, Style::Faint),
            series("trial", COLOURS[0], points, Style::Dots),
        ],
        ..Chart::default()
    }
}

/// The share of each parameter as a bar.
fn importances(importance: &[Importance], trials: usize, settings: &SearchSettings) -> String {
    let shares: Vec<(String, f64)> = importance.iter().map(|i| (i.key.clone(), i.share)).collect();
    let title = format!("what {} depends on (fANOVA over {trials} trials)", settings.metric);
    bars(&title, &shares, COLOURS[0], |share| format!("{:.1} %", 100.0 * share))
}

/// The keys of all parameters that some complete trial has, the most important first.
fn keys<'a>(complete: &[&'a TrialRecord], importance: &'a [Importance]) -> Vec<&'a str> {
    let known: Vec<&str> = importance.iter().map(|i| i.key.as_str()).collect();
    let all: BTreeSet<&str> = complete.iter().flat_map(|t| t.params.keys().map(String::as_str)).collect();
    let others = all.into_iter().filter(|key| !known.contains(key)).collect::<Vec<_>>();
    known.into_iter().chain(others).collect()
}

/// One chart for each parameter, the most important first.
fn slices(trials: &[&TrialRecord], importance: &[Importance], settings: &SearchSettings) -> Vec<Chart> {
    let chart = |key: &str| {
        let at = |t: &&TrialRecord| {
            let assigned = t.params.get(key)?;
            let number = assigned.distribution.is_numerical();
            let value = assigned.distribution.to_value(assigned.internal).as_f64();
            Some((value.filter(|_| number).unwrap_or(assigned.internal), t.value?))
        };
        let points = trials.iter().filter_map(at).collect();
        let log = trials.iter().filter_map(|t| t.params.get(key)).any(|a| a.distribution.is_log());
        Chart {
            title: shorten(key, 48),
            x: (key.rsplit('.').next().unwrap_or(key).into(), if log { Scale::Log10 } else { Scale::Linear }),
            x_names: names(trials, key),
            y: (settings.metric.clone(), Scale::Linear),
            series: vec![Series { label: String::new(), colour: COLOURS[0].into(), points, style: Style::Dots }],
            ..Chart::default()
        }
    };
    keys(trials, importance).into_iter().take(MAX_PARAMETERS).map(chart).collect()
}

/// The names of the choices of a categorical parameter; none for numbers.
fn names(trials: &[&TrialRecord], key: &str) -> Vec<String> {
    match trials.iter().find_map(|t| t.params.get(key)).map(|a| &a.distribution) {
        Some(Distribution::Categorical { choices }) => choices.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kidu_search::{Fanova, Outcome, Study};

    use super::*;

    const LONG: &str = "data.augmentation.transforms_that_have_a_name_far_too_long_for_any_axis";

    /// A study of so many trials: some fail, some are pruned, one parameter is part of some trials alone.
    fn study(dir: &Path, n_trials: usize) -> Study {
        let settings = serde_json::json!({
            "study_name": "scenes", "n_trials": n_trials, "seed": 1, "sampler": {"name": "random"},
            "params": {
                "model.learning_rate": "tag(log, interval(0.00001, 0.1))",
                "model.optimizer.name": "choice(adam, sgd, rmsprop)",
                "model.name": "choice(resnet18, tf_efficientnet_lite0_with_a_long_name, 'a < b')",
                "model.optimizer.momentum": {"type": "float", "low": 0.5, "high": 0.99, "when": {"model.optimizer.name": "sgd"}},
                LONG: "range(1, 9, 2)",
            }
        });
        let study = Study::open(&dir.join("study.log"), serde_json::from_value(settings).unwrap()).unwrap();
        while let Some(trial) = study.ask().unwrap() {
            let rate = trial.params["model.learning_rate"].as_f64().unwrap();
            let value = 0.9 - 0.06 * (rate.log10() + 3.0).powi(2) - 0.01 * trial.params[LONG].as_f64().unwrap();
            study.report(trial.number, 1, value).unwrap();
            let outcome = match trial.number % 9 {
                4 => Outcome::Failed("out of memory".into()),
                5 | 7 => Outcome::Pruned,
                _ => Outcome::Complete(value),
            };
            study.tell(trial.number, outcome).unwrap();
        }
        study
    }

    #[test]
    fn every_plot_is_drawn_from_many_trials_and_from_few() {
        for (n, expected) in [(60, 4), (1, 3)] {
            let dir = tempfile::tempdir().unwrap();
            let study = study(dir.path(), n);
            let trials = study.trials();
            let importance = Fanova::default().assess(&trials);
            save(&trials, &importance, study.settings(), dir.path()).unwrap();
            let plots = dir.path().join("plots");
            assert_eq!(fs::read_dir(&plots).unwrap().count(), 2 * expected, "{n} trials");
            let svg = fs::read_to_string(plots.join("parallel_coordinates.svg")).unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(svg.contains("a &lt; b") && svg.contains(">learning_rate<") && svg.contains(">1e-3<"));
            if n > 1 {
                assert!(svg.contains("; 13 pruned, dashed; 7 failed, not drawn"), "{svg}");
                assert!(svg.contains(">none<"), "momentum is not part of every trial");
                // The learning rate matters most, so it stands beside the objective.
                let place = |name: &str| svg.find(&format!(">{name}<")).unwrap();
                assert!(place("val/acc") < place("learning_rate") && place("learning_rate") < place("momentum"));
                assert_eq!(importance[0].key, "model.learning_rate");
            }
        }
    }
}
