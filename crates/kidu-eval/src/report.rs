//! `report.html`: one self-contained page, with inline SVG and neither scripts nor links to a network.

use std::{fmt::Write as _, path::Path};

use kidu_core::files;

use kidu_plot::escape;

use crate::{error::Result, evaluation::Evaluation, plots, predictions::Predictions, scores::Scores};

/// What the page says beside the numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportOptions {
    /// Heading of the page.
    pub title: String,
    /// Facts below the heading, as (name, value): the model, the commit, when it was made.
    pub facts: Vec<(String, String)>,
    /// How many of the worst mistakes to list.
    pub max_mistakes: usize,
}

impl Default for ReportOptions {
    fn default() -> Self {
        Self { title: "Evaluation report".into(), facts: Vec::new(), max_mistakes: 50 }
    }
}

/// The usual file name.
pub const FILE: &str = "report.html";

/// Writes [`html`] to a file, atomically.
///
/// # Errors
/// As [`html`], or [`crate::Error::Core`] if the file cannot be written.
pub fn save(path: &Path, predictions: &Predictions, evaluation: &Evaluation, options: &ReportOptions) -> Result<()> {
    Ok(files::write_atomic(path, html(predictions, evaluation, options)?.as_bytes())?)
}

/// The page: headline metrics, plots, a table of the classes and the mistakes the model was surest of.
///
/// # Errors
/// [`crate::Error::Option`] if the evaluation's temperature is not positive.
pub fn html(predictions: &Predictions, evaluation: &Evaluation, options: &ReportOptions) -> Result<String> {
    let title = escape(&options.title);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    page += &facts(evaluation, options);
    page += &headline(evaluation);
    page += &drawings(predictions, evaluation)?;
    page += &classes(evaluation);
    page += &mistakes(predictions, evaluation, options.max_mistakes)?;
    page += "</body>\n</html>\n";
    Ok(page)
}

const STYLE: &str = include_str!("report.css");

/// The four drawings; a large matrix takes the whole width.
fn drawings(predictions: &Predictions, evaluation: &Evaluation) -> Result<String> {
    let cells = plots::confusion_cells(evaluation.details.classes.len());
    let mut out = String::from("<h2>Plots</h2>\n<div class=\"plots\">\n");
    for (name, svg) in plots::all(predictions, evaluation)? {
        let class = name.trim_end_matches(".svg").replace('_', "-");
        let (wide, least) = match class.as_str() {
            // Narrower cells could not be read: a narrow window scrolls.
            "confusion-matrix" => (if cells > 10 { " wide" } else { "" }, 120 + 24 * cells),
            _ => ("", 0),
        };
        let _ = write!(out, "<figure class=\"{class}{wide}\" style=\"--least:{least}px\">\n{svg}</figure>\n");
    }
    Ok(out + "</div>\n")
}

fn facts(evaluation: &Evaluation, options: &ReportOptions) -> String {
    let d = &evaluation.details;
    let mut facts = options.facts.clone();
    facts.push(("images".into(), d.images.to_string()));
    facts.push(("classes".into(), d.classes.len().to_string()));
    let versions = [("dataset version", &d.dataset_version), ("split version", &d.test_split_version)];
    facts.extend(versions.into_iter().filter_map(|(name, v)| v.clone().map(|v| (name.to_string(), v))));
    facts.push(("temperature".into(), format!("{:.4}", d.calibration.temperature)));
    let rows =
        facts.iter().map(|(name, value)| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value)));
    format!("<dl class=\"facts\">\n{}</dl>\n", rows.collect::<String>())
}

fn headline(evaluation: &Evaluation) -> String {
    let d = &evaluation.details;
    let (wilson, calibration) = (d.accuracy_wilson, &d.calibration);
    let interval = format!("{:.0} % interval {:.4} to {:.4}", wilson.confidence * 100.0, wilson.lower, wilson.upper);
    let mut cards: Vec<(String, String, String)> = vec![(four(evaluation.accuracy()), "accuracy".into(), interval)];
    for top in d.top_k.iter().filter(|t| t.k > 1 && t.k < d.classes.len()) {
        cards.push((four(top.accuracy), format!("top-{} accuracy", top.k), String::new()));
    }
    let before = format!("log loss {} at temperature 1", four(calibration.uncalibrated_log_loss));
    let ece_before = format!("{} at temperature 1", four(calibration.uncalibrated_expected_calibration_error));
    let constant = evaluation.quality.accuracy_best_constant_classifier.value;
    let weighted = |v: f64| format!("{} weighted", four(v));
    let ece = four(calibration.reliability.expected_calibration_error);
    let rest: [(String, &str, String); 8] = [
        (
            four(d.balanced_accuracy),
            "balanced accuracy",
            format!("most frequent class alone: accuracy {}", four(constant)),
        ),
        (four(d.macro_average.f1), "F1, macro", weighted(d.weighted_average.f1)),
        (maybe(d.roc_auc.macro_average), "ROC-AUC, macro", String::new()),
        (maybe(d.average_precision.macro_average), "PR-AUC, macro", String::new()),
        (maybe(d.cohen_kappa), "Cohen's kappa", format!("MCC {}", four(d.matthews_corrcoef))),
        (four(calibration.log_loss), "log loss", before),
        (ece, "calibration error (expected)", ece_before),
        (four(calibration.brier_score), "Brier score", String::new()),
    ];
    cards.extend(rest.into_iter().map(|(value, name, note)| (value, name.to_string(), note)));
    let card = |(value, name, note): &(String, String, String)| {
        format!("<div class=\"card\"><b>{value}</b>{}<small>{}</small></div>\n", escape(name), escape(note))
    };
    format!("<h2>Headline</h2>\n<div class=\"cards\">\n{}</div>\n", cards.iter().map(card).collect::<String>())
}

fn classes(evaluation: &Evaluation) -> String {
    let mut out = String::from(
        "<h2>Classes</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>class</th><th class=\"n\">images</th>\
         <th class=\"n\">predicted</th><th class=\"n\">precision</th><th class=\"n\">recall</th><th class=\"n\">F1</th>\
         <th class=\"n\">ROC-AUC</th><th class=\"n\">PR-AUC</th></tr></thead>\n<tbody>\n",
    );
    for c in &evaluation.details.per_class {
        let areas = [maybe(c.roc_auc), maybe(c.average_precision)];
        let numbers = [c.support.to_string(), c.predicted.to_string(), four(c.precision), four(c.recall), four(c.f1)];
        let cells = numbers.iter().chain(&areas).map(|n| format!("<td class=\"n\">{n}</td>")).collect::<String>();
        let _ = writeln!(out, "<tr><td class=\"name\">{}</td>{cells}</tr>", escape(&c.class));
    }
    out + "</tbody></table></div>\n"
}

fn mistakes(predictions: &Predictions, evaluation: &Evaluation, max: usize) -> Result<String> {
    let scores = Scores::new(predictions, evaluation.details.calibration.temperature)?;
    let mut wrong: Vec<usize> = (0..predictions.len()).filter(|i| scores.image(*i).label_rank > 0).collect();
    let total = wrong.len();
    if total == 0 {
        return Ok("<h2>Worst mistakes</h2>\n<p>There are none.</p>\n".into());
    }
    wrong.sort_by(|a, b| scores.image(*b).confidence.total_cmp(&scores.image(*a).confidence));
    wrong.truncate(max);
    let mut out = format!(
        "<h2>Worst mistakes</h2>\n<p>{} of {total} mistakes, those that the model was surest of first. \
         Some may be errors of the labels.</p>\n<div class=\"scroll\"><table>\n<thead><tr><th>image</th>\
         <th>true class</th><th>predicted class</th><th class=\"n\">score</th>\
         <th class=\"n\">score of the true class</th></tr></thead>\n<tbody>\n",
        wrong.len()
    );
    let classes = predictions.classes();
    for i in wrong {
        let s = scores.image(i);
        let _ = writeln!(
            out,
            "<tr><td class=\"path\">{}</td><td class=\"name\">{}</td><td class=\"name\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escape(&predictions.paths()[i]),
            escape(&classes[predictions.labels()[i]]),
            escape(&classes[s.predicted]),
            four(s.confidence),
            four(s.label_probability)
        );
    }
    Ok(out + "</tbody></table></div>\n")
}

fn four(value: f64) -> String {
    format!("{value:.4}")
}

fn maybe(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_string(), four)
}

#[cfg(test)]
mod tests {
    use kidu_core::ClassNames;

    use super::*;
    use crate::{
        evaluation::{EvaluateOptions, evaluate},
        fixtures,
    };

    fn page(predictions: &Predictions, options: &ReportOptions) -> String {
        let evaluate_options = EvaluateOptions { bootstrap_samples: 100, ..EvaluateOptions::default() };
        html(predictions, &evaluate(predictions, &evaluate_options).unwrap(), options).unwrap()
    }

    #[test]
    fn is_self_contained_and_escapes_everything() {
        let p = fixtures::predictions(60, 2);
        let classes = ClassNames::new(["<b>sea</b>", "it's & \"so\""]).unwrap();
        let paths = (0..60).map(|i| format!("<img src=x onerror=alert({i})>.jpg")).collect();
        let p = Predictions::new(classes, p.labels().to_vec(), p.logits().to_vec(), paths).unwrap();
        let options = ReportOptions {
            title: "<script>1</script>".into(),
            facts: vec![("a<b".into(), "c&d".into())],
            max_mistakes: 3,
        };
        let page = page(&p, &options);
        fixtures::assert_well_formed(&page);
        for forbidden in ["<script", "<img", "<b>sea", "href=", "src=\"", "url(", "@import"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert_eq!(page.matches("class=\"path\"").count(), 3);
        assert_eq!(page.matches("<svg ").count(), 4);
    }

    #[test]
    fn many_long_names_have_room() {
        let p = fixtures::predictions(2000, 60);
        let name = |c: usize| match c % 3 {
            0 => format!("a_class_whose_name_is_longer_than_any_column_of_a_table_should_be_{c}"),
            1 => format!("c{c}"),
            _ => format!("two words {c}"),
        };
        let classes = ClassNames::new((0..60).map(name)).unwrap();
        let path = |(i, p): (usize, &String)| format!("a/folder/of/many/levels/with_a_long_name/{i}/{p}");
        let paths = p.paths().iter().enumerate().map(path).collect();
        let p = Predictions::new(classes, p.labels().to_vec(), p.logits().to_vec(), paths).unwrap();
        let page = page(&p, &ReportOptions::default());
        fixtures::assert_well_formed(&page);
        assert!(page.contains("confusion-matrix wide"), "a large matrix takes the whole width");
        if let Ok(path) = std::env::var("KIDU_DRAW") {
            std::fs::write(path, page).unwrap();
        }
    }

    #[test]
    fn the_surest_mistake_comes_first_and_perfection_has_none() {
        let classes = ClassNames::new(["a", "b"]).unwrap();
        let row = |x: f32| vec![x, 0.0];
        let p = Predictions::new(
            classes.clone(),
            vec![1, 1, 0],
            vec![row(1.0), row(5.0), row(9.0)],
            vec!["small".into(), "big".into(), "right".into()],
        );
        let text = page(&p.unwrap(), &ReportOptions::default());
        assert!(text.find(">big<").unwrap() < text.find(">small<").unwrap() && !text.contains(">right<"));
        let p = Predictions::new(classes, vec![0], vec![row(2.0)], vec!["x".into()]).unwrap();
        assert!(page(&p, &ReportOptions::default()).contains("There are none"));
    }
}
