//! `kidu tune-lr`, and `model.learning_rate=auto`.

use std::path::Path;

use kidu_core::files;
use kidu_plot::{Chart, Mark, Scale, Series, Style, figure, png};
use kidu_train::{FitRequest, LrFinderSettings, LrRangeTest, find_learning_rate};
use serde_json::json;

use super::{Job, train_failure};
use crate::{
    Outcome,
    cli::TuneLrArgs,
    failure::Failure,
    run_dir::{self, Verb},
    settings::{self, need_root},
    ui::{self, Console},
};

const RESULT: &str = "lr_result.json";
const PLOT: &str = "lr_plot.png";

pub(in crate::verbs) fn run(arguments: &TuneLrArgs) -> Outcome {
    let configuration = settings::load(&arguments.config, "train")?;
    let manifest = arguments.dataset.manifest.as_deref();
    if manifest.is_none() {
        need_root(&configuration.settings.data)?;
    }
    let held = run_dir::create(&configuration, Verb::TuneLr, arguments.output.out.as_deref())?;
    let dir = held.path();
    let console = Console::new().with_log(&dir.join("kidu.log"));
    let job = Job::new(&configuration, dir, manifest, &console)?;
    let (network, _) = job.network()?;
    let found = range_test(&job, &mut job.request(network, None)?)?;
    if arguments.output.json {
        ui::json(&json!({
            "suggestion": found.suggestion,
            "suggestions": found.suggestions,
            "diverged": found.diverged,
            "steps": found.lr.len(),
            "result": dir.join(RESULT),
            "plot": dir.join(PLOT),
        }))?;
    } else {
        print(&found);
        if let Some(rate) = found.suggestion {
            let words = [format!("model.learning_rate={rate:.2e}")];
            ui::line(format!("train with: {}", super::train_with(dir, manifest.is_some(), &words)));
        }
    }
    ui::place("plot:", &dir.join(PLOT));
    ui::place("wrote", dir);
    Ok(())
}

/// What a range test suggests for this training. A resumed run takes what it found at its start.
pub(super) fn automatic(job: &Job<'_>, request: &mut FitRequest<'_>) -> Outcome<f64> {
    let path = job.dir.join(RESULT);
    let found: LrRangeTest = match path.is_file() {
        true => files::read_json(&path, "learning-rate range test")?,
        false => range_test(job, request)?,
    };
    let rate = found.suggestion.ok_or_else(|| {
        let plot = job.dir.join(PLOT);
        Failure::Failed(anyhow::anyhow!(
            "model.learning_rate=auto: the range test suggests none, the loss never fell; look at {} and set a number, \
             or other bounds (tune_lr.min_lr, tune_lr.max_lr)",
            plot.display()
        ))
    })?;
    job.console.note(&format!("learning rate {rate:.2e} (auto; see {})", job.dir.join(PLOT).display()));
    Ok(rate)
}

/// Runs the test and writes its result and its plot.
fn range_test(job: &Job<'_>, request: &mut FitRequest<'_>) -> Outcome<LrRangeTest> {
    let default = LrFinderSettings::default();
    let settings = job.configuration.settings.tune_lr.as_ref().unwrap_or(&default);
    let Some(found) = find_learning_rate(request, settings).map_err(train_failure)? else {
        return Err(Failure::Interrupted("in the learning-rate range test; nothing was kept".into()));
    };
    save(&job.dir, &found)?;
    Ok(found)
}

fn save(dir: &Path, found: &LrRangeTest) -> Outcome {
    files::write_json(&dir.join(RESULT), found)?;
    let svg = plot(found);
    files::write_atomic(&dir.join("lr_plot.svg"), svg.as_bytes())?;
    files::write_atomic(&dir.join(PLOT), &png(&svg, 2.0).map_err(anyhow::Error::from)?)?;
    Ok(())
}

/// The loss over the rate. The y axis ends a little above where the loss began: what runs away would flatten the rest.
fn plot(found: &LrRangeTest) -> String {
    let series = |label: &str, colour: &str, losses: &[f64], style| Series {
        label: label.into(),
        colour: colour.into(),
        points: found.lr.iter().copied().zip(losses.iter().copied()).collect(),
        style,
    };
    let mark = |x: Option<f64>, label: &str, colour: &str| {
        x.map(|x| Mark { x, label: format!("{label} {x:.1e}"), colour: colour.into() })
    };
    let finite = || found.smoothed.iter().copied().filter(|l| l.is_finite());
    let raw = found.loss.iter().copied().filter(|l| l.is_finite());
    let (low, first) = (finite().chain(raw).fold(f64::INFINITY, f64::min), finite().next().unwrap_or(1.0));
    let room = (first - low).abs().max(0.05 * first.abs());
    let chart = Chart {
        title: "learning-rate range test".into(),
        x: ("learning rate".into(), Scale::Log10),
        y: ("loss".into(), Scale::Linear),
        series: vec![
            series("loss", "#bcc6d4", &found.loss, Style::Faint),
            series("smoothed", "#2b6cb0", &found.smoothed, Style::Line),
        ],
        marks: [
            mark(found.suggestions.steepest, "steepest", "#c05621"),
            mark(found.suggestions.valley, "valley", "#2f855a"),
            mark(found.suggestions.minimum_over_10, "minimum/10", "#6b46c1"),
        ]
        .into_iter()
        .flatten()
        .collect(),
        y_range: low.is_finite().then_some((low - 0.1 * room, first + room)),
        ..Chart::default()
    };
    figure(&[chart], (760.0, 420.0))
}

fn print(found: &LrRangeTest) {
    let end = if found.diverged { "the loss ran away" } else { "all steps made" };
    ui::line(format!("{} steps, {:.1e} to {:.1e}: {end}", found.lr.len(), first(&found.lr), last(&found.lr)));
    let rows = [
        ("steepest descent", found.suggestions.steepest),
        ("valley", found.suggestions.valley),
        ("minimum / 10", found.suggestions.minimum_over_10),
    ];
    for (name, rate) in rows {
        ui::line(format!("  {name:<17} {}", rate.map_or("-".into(), |r| format!("{r:.2e}"))));
    }
    if found.suggestion.is_none() {
        ui::line("no suggestion: the loss never fell");
    }
}

fn first(values: &[f64]) -> f64 {
    values.first().copied().unwrap_or(f64::NAN)
}

fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(f64::NAN)
}
