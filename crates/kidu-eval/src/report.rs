//! `report.html`: one self-contained page, with inline SVG and neither scripts nor links to a network.

use std::{fmt::Write as _, path::Path};

use kidu_core::files;

use crate::{error::Result, evaluation::Evaluation, plots, predictions::Predictions, scores::Scores, svg::escape};

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
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    page += &facts(evaluation, options);
    page += &headline(evaluation);
    page += "<h2>Plots</h2>\n<div class=\"plots\">\n";
    for (name, svg) in plots::all(predictions, evaluation)? {
        let class = name.trim_end_matches(".svg").replace('_', "-");
        let _ = write!(page, "<figure class=\"{class}\">\n{svg}</figure>\n");
    }
    page += "</div>\n";
    page += &classes(evaluation);
    page += &mistakes(predictions, evaluation, options.max_mistakes)?;
    page += "</body>\n</html>\n";
    Ok(page)
}

const STYLE: &str = "\
:root{color-scheme:light}\
body{font:15px/1.5 Helvetica,Arial,sans-serif;color:#222;background:#fff;max-width:1200px;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem;margin:0 0 .5rem}h2{font-size:1.2rem;margin:2rem 0 .5rem}\
dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;color:#444}dl.facts dt{font-weight:600}\
dl.facts dd{margin:0;overflow-wrap:anywhere}\
.cards{display:flex;flex-wrap:wrap;gap:.8rem}\
.card{border:1px solid #ddd;border-radius:6px;padding:.6rem .9rem;min-width:9rem}\
.card b{display:block;font-size:1.4rem}.card span{color:#444;font-size:.85rem}\
.plots{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0;max-width:100%}figure svg{max-width:100%;height:auto}\
.scroll{overflow-x:auto}table{border-collapse:collapse}\
th,td{padding:.25rem .8rem;border-bottom:1px solid #e4e4e4;text-align:left}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.path{overflow-wrap:anywhere}";

fn facts(evaluation: &Evaluation, options: &ReportOptions) -> String {
    let d = &evaluation.details;
    let mut facts = options.facts.clone();
    facts.push(("Images".into(), d.images.to_string()));
    facts.push(("Classes".into(), d.classes.len().to_string()));
    let versions = [("Dataset version", &d.dataset_version), ("Test split version", &d.test_split_version)];
    facts.extend(versions.into_iter().filter_map(|(name, v)| v.clone().map(|v| (name.to_string(), v))));
    facts.push(("Temperature".into(), format!("{:.4}", d.calibration.temperature)));
    let rows = facts.iter().map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value)));
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
        let note = if note.is_empty() { String::new() } else { format!("<br/>{}", escape(note)) };
        format!("<div class=\"card\"><b>{value}</b>{}<span>{note}</span></div>\n", escape(name))
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
        let _ = writeln!(out, "<tr><td>{}</td>{cells}</tr>", escape(&c.class));
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
        "<h2>Worst mistakes</h2>\n<p>The {} of {total} mistakes that the model was surest of. \
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
            "<tr><td class=\"path\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
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
