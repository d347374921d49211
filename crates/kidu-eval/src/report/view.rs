//! What the template shows: texts and drawings, in order.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;

use super::{Picture, Report, RunReport, choose, compare, curves};
use crate::{
    error::{Error, Result},
    evaluation::Evaluation,
    plots,
    predictions::Predictions,
    scores::Scores,
};

/// How many mistakes are listed in words.
const LISTED: usize = 50;

#[derive(Debug, Serialize)]
pub(super) struct Page {
    title: String,
    runs: Vec<Run>,
    comparison: Option<compare::Comparison>,
}

#[derive(Debug, Serialize)]
struct Run {
    name: String,
    facts: Vec<(String, String)>,
    cards: Vec<Card>,
    curves: Option<String>,
    plots: Vec<Plot>,
    classes: Vec<ClassRow>,
    mistakes: usize,
    listed: Vec<Seen>,
    groups: Vec<Group>,
    sections: Vec<Section>,
    settings: Vec<(String, String)>,
}

/// A headline figure.
#[derive(Debug, Serialize)]
struct Card {
    value: String,
    name: String,
    note: String,
}

#[derive(Debug, Serialize)]
struct Plot {
    class: String,
    svg: String,
    /// Width below which the drawing is scrolled, in pixels.
    least: usize,
}

#[derive(Debug, Serialize)]
struct ClassRow {
    name: String,
    numbers: Vec<String>,
}

/// An image in words, and in pictures where there are any.
#[derive(Debug, Serialize)]
struct Seen {
    path: String,
    label: String,
    predicted: String,
    score: String,
    label_score: String,
    right: bool,
    image: Option<String>,
    heat_map: Option<String>,
}

#[derive(Debug, Serialize)]
struct Group {
    title: &'static str,
    note: &'static str,
    images: Vec<Seen>,
}

#[derive(Debug, Default, Serialize)]
struct Section {
    title: String,
    figures: Vec<(String, String)>,
    tables: Vec<TableView>,
}

#[derive(Debug, Serialize)]
struct TableView {
    caption: String,
    columns: Vec<String>,
    rows: Vec<Vec<TableCell>>,
}

#[derive(Debug, Serialize)]
struct TableCell {
    text: String,
    number: bool,
}

pub(super) fn page(report: &Report) -> Result<Page> {
    Ok(Page {
        title: report.title.clone(),
        runs: report.runs.iter().map(run).collect::<Result<_>>()?,
        comparison: compare::of(&report.runs)?,
    })
}

fn run(run: &RunReport) -> Result<Run> {
    let evaluation = run.evaluation.as_ref();
    let mut view = Run {
        name: run.name.clone(),
        facts: run.facts.clone(),
        cards: evaluation.map(cards).unwrap_or_default(),
        curves: curves::of_run(&run.history),
        plots: Vec::new(),
        classes: evaluation.map(classes).unwrap_or_default(),
        mistakes: 0,
        listed: Vec::new(),
        groups: Vec::new(),
        sections: sections(run),
        settings: run.settings.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
    };
    let Some(evaluation) = evaluation else { return Ok(view) };
    view.facts.extend(facts(evaluation));
    match &run.predictions {
        Some(predictions) => {
            view.plots = drawings(plots::all(predictions, evaluation)?, evaluation);
            let scores = Scores::new(predictions, evaluation.details.calibration.temperature)?;
            view.mistakes = scores.images().iter().filter(|s| s.label_rank > 0).count();
            view.listed =
                choose::surest_mistakes(&scores, LISTED).into_iter().map(|i| seen(&scores, i, None)).collect();
            view.groups = groups(run, predictions, &scores)?;
        }
        None => view.plots = drawings(plots::of_evaluation(evaluation), evaluation),
    }
    Ok(view)
}

fn facts(evaluation: &Evaluation) -> Vec<(String, String)> {
    let d = &evaluation.details;
    let mut facts: Vec<(String, String)> = Vec::new();
    facts.extend(d.judged.as_ref().map(|j| ("split".into(), format!("{} ({})", j.split, j.reason))));
    facts.push(("images".into(), d.images.to_string()));
    facts.push(("classes".into(), d.classes.len().to_string()));
    let versions = [("dataset version", &d.dataset_version), ("split version", &d.test_split_version)];
    facts.extend(versions.into_iter().filter_map(|(name, v)| v.clone().map(|v| (name.to_string(), v))));
    facts.push(("temperature".into(), four(d.calibration.temperature)));
    facts
}

fn cards(evaluation: &Evaluation) -> Vec<Card> {
    let d = &evaluation.details;
    let (wilson, calibration) = (d.accuracy_wilson, &d.calibration);
    let card = |value: String, name: &str, note: String| Card { value, name: name.into(), note };
    let interval =
        format!("{:.0} % interval {} to {}", wilson.confidence * 100.0, four(wilson.lower), four(wilson.upper));
    let mut cards = vec![card(four(evaluation.accuracy()), "accuracy", interval)];
    for top in d.top_k.iter().filter(|t| t.k > 1 && t.k < d.classes.len()) {
        cards.push(card(four(top.accuracy), &format!("top-{} accuracy", top.k), String::new()));
    }
    let constant = evaluation.quality.accuracy_best_constant_classifier.value;
    let at_one = |v: f64| format!("{} at temperature 1", four(v));
    let log_loss_before = format!("log loss {}", at_one(calibration.uncalibrated_log_loss));
    let ece = calibration.reliability.expected_calibration_error;
    let most_frequent = format!("most frequent class alone: accuracy {}", four(constant));
    cards.extend([
        card(four(d.balanced_accuracy), "balanced accuracy", most_frequent),
        card(four(d.macro_average.f1), "F1, macro", format!("{} weighted", four(d.weighted_average.f1))),
        card(maybe(d.roc_auc.macro_average), "ROC-AUC, macro", String::new()),
        card(maybe(d.average_precision.macro_average), "PR-AUC, macro", String::new()),
        card(maybe(d.cohen_kappa), "Cohen's kappa", format!("MCC {}", four(d.matthews_corrcoef))),
        card(four(calibration.log_loss), "log loss", log_loss_before),
        card(four(ece), "calibration error (expected)", at_one(calibration.uncalibrated_expected_calibration_error)),
        card(four(calibration.brier_score), "Brier score", String::new()),
    ]);
    cards
}

fn drawings(svgs: Vec<(&'static str, String)>, evaluation: &Evaluation) -> Vec<Plot> {
    let cells = plots::confusion_cells(evaluation.details.classes.len());
    svgs.into_iter()
        .map(|(name, svg)| {
            let class = name.trim_end_matches(".svg").replace('_', "-");
            match class.as_str() {
                // Narrower cells could not be read: a narrow window scrolls, and a large matrix takes the whole width.
                "confusion-matrix" => {
                    let wide = if cells > 10 { " wide" } else { "" };
                    Plot { class: format!("{class}{wide}"), svg, least: 120 + 24 * cells }
                }
                _ => Plot { class, svg, least: 0 },
            }
        })
        .collect()
}

fn classes(evaluation: &Evaluation) -> Vec<ClassRow> {
    let rows = evaluation.details.per_class.iter().map(|c| ClassRow {
        name: c.class.clone(),
        numbers: vec![
            c.support.to_string(),
            c.predicted.to_string(),
            four(c.precision),
            four(c.recall),
            four(c.f1),
            maybe(c.roc_auc),
            maybe(c.average_precision),
        ],
    });
    rows.collect()
}

fn seen(scores: &Scores, index: usize, picture: Option<&Picture>) -> Seen {
    let (predictions, score) = (scores.predictions(), scores.image(index));
    let classes = predictions.classes();
    Seen {
        path: predictions.paths()[index].clone(),
        label: classes[predictions.labels()[index]].to_string(),
        predicted: classes[score.predicted].to_string(),
        score: four(score.confidence),
        label_score: four(score.label_probability),
        right: score.label_rank == 0,
        image: picture.map(|p| data_address(&p.image)),
        heat_map: picture.and_then(|p| p.heat_map.as_deref()).map(data_address),
    }
}

/// The images of which there are pictures.
fn groups(run: &RunReport, predictions: &Predictions, scores: &Scores) -> Result<Vec<Group>> {
    if let Some(index) = run.pictures.keys().find(|i| **i >= predictions.len()) {
        let reason = format!("there is a picture of image {index}, but only {} images", predictions.len());
        return Err(Error::option("pictures", reason));
    }
    let with_picture = |indices: Vec<usize>| -> Vec<Seen> {
        let shown = indices.into_iter().filter_map(|i| Some((i, run.pictures.get(&i)?)));
        shown.map(|(i, p)| seen(scores, i, Some(p))).collect()
    };
    let groups = [
        Group {
            title: "Surest mistakes",
            note: "Those that the model was surest of first. Some may be errors of the labels.",
            images: with_picture(choose::surest_mistakes(scores, run.shown)),
        },
        Group {
            title: "Least certain",
            note: "The predicted class has the least probability: worth labelling more images like these.",
            images: with_picture(choose::least_certain(scores, run.shown)),
        },
    ];
    Ok(groups.into_iter().filter(|g| !g.images.is_empty()).collect())
}

/// Drawings and tables under their headings, in the order in which a heading first occurs.
fn sections(run: &RunReport) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let place = |sections: &mut Vec<Section>, title: &str| match sections.iter().position(|s| s.title == title) {
        Some(at) => at,
        None => {
            sections.push(Section { title: title.into(), ..Section::default() });
            sections.len() - 1
        }
    };
    for figure in &run.figures {
        let at = place(&mut sections, &figure.section);
        sections[at].figures.push((figure.svg.clone(), figure.caption.clone()));
    }
    for table in &run.tables {
        let at = place(&mut sections, &table.section);
        let cell = |text: &String| TableCell { number: is_number(text), text: text.clone() };
        sections[at].tables.push(TableView {
            caption: table.caption.clone(),
            columns: table.columns.clone(),
            rows: table.rows.iter().map(|row| row.iter().map(cell).collect()).collect(),
        });
    }
    sections
}

fn is_number(text: &str) -> bool {
    text.trim_end_matches(" %").parse::<f64>().is_ok()
}

/// PNG by its signature, JPEG otherwise.
fn data_address(image: &[u8]) -> String {
    let kind = if image.starts_with(b"\x89PNG") { "png" } else { "jpeg" };
    format!("data:image/{kind};base64,{}", BASE64_STANDARD.encode(image))
}

pub(super) fn four(value: f64) -> String {
    format!("{value:.4}")
}

fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_string(), four)
}
