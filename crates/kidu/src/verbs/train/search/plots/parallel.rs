//! All trials in parallel coordinates: the objective, and the parameters behind it, the most important first.

use kidu_plot::{COLOURS, Coordinate, Scale, Thread, Ticks, blue, parallel_coordinates};
use kidu_search::{Distribution, Importance, SearchSettings, TrialRecord, TrialState};

/// More parameters than this would make the figure too wide to read.
const MAX_PARAMETERS: usize = 10;
const PRUNED: &str = "#b8b8b8";

/// The figure, as SVG. Complete trials are lines, darker for better ranks; pruned ones are dashed; of failed ones there
/// is no value.
pub(super) fn draw(trials: &[TrialRecord], importance: &[Importance], settings: &SearchSettings) -> String {
    let valued = |state: TrialState| {
        let those = trials.iter().filter(move |t| t.state == state && t.value.is_some_and(f64::is_finite));
        those.collect::<Vec<&TrialRecord>>()
    };
    let (mut complete, pruned) = (valued(TrialState::Complete), valued(TrialState::Pruned));
    let loss = |t: &TrialRecord| settings.direction.loss(t.value.unwrap_or(f64::NAN));
    // The best last, on top; of equal ones the earliest counts as the best.
    complete.sort_by(|a, b| loss(b).total_cmp(&loss(a)).then(b.number.cmp(&a.number)));
    let keys = super::keys(&complete, importance);
    let shown = &keys[..keys.len().min(MAX_PARAMETERS)];
    let values = |t: &TrialRecord| [t.value].into_iter().chain(shown.iter().map(|k| number(t, k))).collect();
    let dashed = |t: &&TrialRecord| Thread { values: values(t), colour: PRUNED.into(), width: 1.0, dash: "4 3".into() };
    let solid = |(rank, t): (usize, &&TrialRecord)| {
        let best = rank + 1 == complete.len();
        let colour = match best {
            true => COLOURS[1].to_string(),
            false => blue(0.3 + 0.7 * (rank + 1) as f64 / complete.len() as f64),
        };
        Thread { values: values(t), colour, width: if best { 2.6 } else { 1.3 }, dash: String::new() }
    };
    let threads: Vec<Thread> = pruned.iter().map(dashed).chain(complete.iter().enumerate().map(solid)).collect();
    let drawn: Vec<&TrialRecord> = complete.iter().chain(&pruned).copied().collect();
    let mut axes = vec![Coordinate { name: settings.metric.clone(), ticks: objective(&drawn) }];
    axes.extend(shown.iter().filter_map(|key| Some(Coordinate { name: (*key).into(), ticks: ticks(&drawn, key)? })));
    let failed = trials.iter().filter(|t| t.state == TrialState::Failed).count();
    let title = format!("{}, {}", settings.study_name, settings.metric);
    parallel_coordinates(
        &title,
        &legend(complete.len(), pruned.len(), failed, keys.len() - shown.len()),
        &axes,
        &threads,
    )
}

fn legend(complete: usize, pruned: usize, failed: usize, left_out: usize) -> String {
    let mut text = format!("{complete} complete, darker is better, the best in red");
    if pruned > 0 {
        text += &format!("; {pruned} pruned, dashed");
    }
    if failed > 0 {
        text += &format!("; {failed} failed, not drawn");
    }
    if left_out > 0 {
        text += &format!("; {left_out} parameters not drawn");
    }
    text
}

/// The axis of a parameter: its whole range, that of all trials.
fn ticks(trials: &[&TrialRecord], key: &str) -> Option<Ticks> {
    let of = |t: &&TrialRecord| t.params.get(key).map(|a| a.distribution.clone());
    Some(match trials.iter().find_map(of)? {
        Distribution::Categorical { choices } => Ticks::Names(choices.iter().map(ToString::to_string).collect()),
        range => {
            let scale = if range.is_log() { Scale::Log10 } else { Scale::Linear };
            let bounds = trials.iter().filter_map(of).map(|d| d.bounds());
            let whole = bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            Ticks::Numbers(scale, whole.unwrap_or((0.0, 1.0)))
        }
    })
}

fn objective(trials: &[&TrialRecord]) -> Ticks {
    let values = trials.iter().filter_map(|t| t.value);
    let range = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    Ticks::Numbers(Scale::Linear, range)
}

fn number(trial: &TrialRecord, key: &str) -> Option<f64> {
    trial.params.get(key).map(|assigned| assigned.internal)
}
