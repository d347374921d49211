//! `kidu annotate simulate`.

use std::path::PathBuf;

use kidu_annotate::{
    active::Strategy,
    simulate::{self, Images, Learner, Plan, Summary},
};
use kidu_core::{Bundle, Progress, Split, files, rng};
use kidu_data::{Index, check::SoftmaxRegression};
use kidu_image::Limits;
use kidu_pipeline::text;
use kidu_plot::{COLOURS, Chart, Scale, Series, Style, figure, png};
use rand::RngExt;
use serde_json::json;

use super::backbone::Backbone;
use crate::{
    Outcome,
    cli::SimulateArgs,
    failure::Failure,
    ui::{self, Console},
};

const NAME: &str = "simulation";
/// Where the data has no test split, each such image of a class is one of it.
const EVERY: usize = 4;

/// A linear head over frozen features.
struct LinearHead {
    classes: usize,
}

impl Learner for LinearHead {
    fn fit_and_ask(&self, rows: &[f32], labels: &[usize], asked: &[&[f32]]) -> Vec<Vec<f64>> {
        let model = SoftmaxRegression::fit(rows, labels, self.classes);
        asked.iter().map(|row| model.probabilities(row)).collect()
    }
}

pub(super) fn run(arguments: &SimulateArgs) -> Outcome {
    check(arguments)?;
    let console = Console::new();
    let backbone = match (&arguments.bundle, &arguments.weights) {
        (Some(dir), _) => Backbone::of_bundle(&Bundle::open(dir)?)?,
        (None, Some(path)) => Backbone::of_weights(&arguments.model, path)?,
        (None, None) => return Err(Failure::usage("say whose features: --bundle or --weights")),
    };
    let index = Index::of(&arguments.data)?;
    let classes = index.classes.len();
    let (pool, test) = images(&index, &backbone, &console)?;
    let first = arguments.start * classes;
    if first >= pool.labels.len() || test.labels.is_empty() {
        return Err(Failure::usage(format!(
            "{} has {} images to label and {} to judge by: too few to begin with {first} labels; lower --start",
            arguments.data.display(),
            pool.labels.len(),
            test.labels.len()
        )));
    }
    let plan = Plan {
        strategies: arguments.strategy.clone(),
        seeds: (0..arguments.seeds).collect(),
        start_per_class: arguments.start,
        batch: arguments.batch,
        budget: arguments.budget,
    };
    let rounds = simulate::rounds(&plan, pool.labels.len(), classes) * plan.strategies.len() * plan.seeds.len();
    console.begin("simulate", "rounds", Some(rounds as u64));
    let mut runs = simulate::simulate(&plan, &pool, &test, classes, &LinearHead { classes }, &|| console.advance(1));
    console.end();
    let target = match arguments.target {
        Some(target) => target,
        None => simulate::bought_by_chance(&runs)
            .ok_or_else(|| Failure::usage("without --target, --strategy must have 'random' among them"))?,
    };
    simulate::measure(&mut runs, target);
    let summary = simulate::summarise(&plan, &runs);
    let svg = plot(&summary, target, classes);
    let out = |extension: &str| arguments.out.join(format!("{NAME}.{extension}"));
    files::write_atomic(&out("svg"), svg.as_bytes())?;
    files::write_atomic(&out("png"), &png(&svg, 2.0).map_err(anyhow::Error::from)?)?;
    let result = json!({
        "data": arguments.data,
        "features": backbone.name,
        "classes": index.classes,
        "pool": pool.labels.len(),
        "test": test.labels.len(),
        "plan": plan,
        "target": target,
        "summary": summary,
        "runs": runs,
    });
    files::write_json(&out("json"), &result)?;
    if arguments.output.json {
        ui::json(&result)?;
    } else {
        ui::line(format!("labels needed for an accuracy of {:.1} %, {} runs each:", 100.0 * target, plan.seeds.len()));
        ui::line(table(&summary).trim_end());
    }
    ui::place("wrote", &arguments.out);
    Ok(())
}

fn check(arguments: &SimulateArgs) -> Outcome {
    let least = |name: &str, value: usize| match value {
        0 => Err(Failure::usage(format!("--{name} 0: must be 1 or more"))),
        _ => Ok(()),
    };
    least("start", arguments.start)?;
    least("batch", arguments.batch)?;
    least("seeds", arguments.seeds as usize)?;
    match arguments.target {
        Some(target) if !(0.0..=1.0).contains(&target) => {
            Err(Failure::usage(format!("--target {target}: must be from 0 to 1, as in 0.9")))
        }
        _ => Ok(()),
    }
}

/// What can be labelled, and what is judged by: the data's own test split, else a part of each class by chance.
fn images(index: &Index, backbone: &Backbone, console: &Console) -> Outcome<(Images, Images)> {
    let own = index.entries.iter().any(|e| e.given == Some(Split::Test));
    let mut chance = rng::stream(0, "simulated test split", &[]);
    if !own {
        console.note(&format!("the data has no test split: one image in {EVERY} is judged by"));
    }
    let paths: Vec<PathBuf> = index.entries.iter().map(|e| index.root.join(&e.path)).collect();
    let rows = backbone.features_of(&paths, &Limits::default(), console)?;
    let mut pool = Images { features: Vec::new(), labels: Vec::new() };
    let mut test = pool.clone();
    for (entry, row) in index.entries.iter().zip(rows) {
        let is_test = if own { entry.given == Some(Split::Test) } else { chance.random_range(0..EVERY) == 0 };
        let Some(row) = row else { continue };
        let images = if is_test { &mut test } else { &mut pool };
        images.features.extend(row);
        images.labels.push(entry.label);
    }
    Ok((pool, test))
}

fn table(summary: &[Summary]) -> String {
    let random = summary.iter().find(|s| s.strategy == Strategy::Random);
    let at_least = |s: &Summary| if s.reached < s.runs { "≥ " } else { "" };
    let row = |s: &Summary| {
        let of_range = |end: fn((f64, f64)) -> f64| s.range.map_or("-".to_owned(), |r| format!("{:.0}", end(r)));
        let saved = match random {
            Some(random) if s.strategy != Strategy::Random => {
                format!("{:+.0} %", 100.0 * (s.labels / random.labels - 1.0))
            }
            _ => String::new(),
        };
        let last = s.curve.last().map_or("-".to_owned(), |(n, a)| format!("{:.1} % at {n}", 100.0 * a));
        vec![
            s.strategy.name().to_owned(),
            format!("{}{:.0}", at_least(s), s.labels),
            of_range(|r| r.0),
            of_range(|r| r.1),
            saved,
            format!("{} of {}", s.reached, s.runs),
            last,
        ]
    };
    let rows: Vec<Vec<String>> = summary.iter().map(row).collect();
    text::table(&["order", "labels", "least", "most", "to random", "reached", "accuracy at the end"], &rows)
}

/// Accuracy by labels: the mean of each order.
fn plot(summary: &[Summary], target: f64, classes: usize) -> String {
    let points = |s: &Summary| s.curve.iter().map(|(n, a)| (*n as f64, 100.0 * a)).collect();
    let mut series: Vec<Series> = summary
        .iter()
        .zip(COLOURS)
        .map(|(s, colour)| Series {
            label: s.strategy.name().into(),
            colour: colour.into(),
            points: points(s),
            style: Style::Line,
        })
        .collect();
    let labels = || summary.iter().flat_map(|s| s.curve.iter().map(|(n, _)| *n as f64));
    let (first, last) = (labels().fold(f64::INFINITY, f64::min), labels().fold(0.0, f64::max));
    series.push(Series {
        label: format!("{:.1} %", 100.0 * target),
        colour: "#718096".into(),
        points: vec![(first, 100.0 * target), (last, 100.0 * target)],
        style: Style::Faint,
    });
    let chart = Chart {
        title: format!("Accuracy by labels, {classes} classes, mean of {} runs", summary.first().map_or(0, |s| s.runs)),
        x: ("labelled images".into(), Scale::Linear),
        y: ("accuracy on the test split, %".into(), Scale::Linear),
        series,
        ..Chart::default()
    };
    figure(&[chart], (760.0, 460.0))
}
