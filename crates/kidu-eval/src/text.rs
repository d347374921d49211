//! The summary for a terminal, as plain text.

use std::fmt::Write as _;

use kidu_plot::shorten;

use crate::evaluation::{ClassMetrics, Evaluation};

/// More classes than this are cut to those with the least F1.
const MAX_ROWS: usize = 30;
/// Most frequent confusions to name.
const CONFUSIONS: usize = 5;

/// The headline metrics, a table of the classes and the most frequent confusions, with a final newline. Of more than
/// 30 classes, the 30 with the least F1 are shown.
pub fn summary(evaluation: &Evaluation) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_headline(&mut out, evaluation)
        .and_then(|()| write_classes(&mut out, evaluation))
        .and_then(|()| write_confusions(&mut out, evaluation));
    out
}

fn write_headline(out: &mut String, evaluation: &Evaluation) -> std::fmt::Result {
    let d = &evaluation.details;
    if let Some(judged) = &d.judged {
        writeln!(out, "judged             {}: {} images ({})", judged.split, d.images, visible(&judged.reason))?;
    }
    let w = d.accuracy_wilson;
    writeln!(
        out,
        "accuracy           {:.4}  ({:.0} % interval {:.4} to {:.4}, {} images, {} classes)",
        evaluation.accuracy(),
        w.confidence * 100.0,
        w.lower,
        w.upper,
        d.images,
        d.classes.len()
    )?;
    for top in d.top_k.iter().filter(|t| t.k > 1 && t.k < d.classes.len()) {
        writeln!(out, "{:<17}  {:.4}", format!("top-{} accuracy", top.k), top.accuracy)?;
    }
    writeln!(out, "balanced accuracy  {:.4}", d.balanced_accuracy)?;
    writeln!(out, "F1                 {:.4} macro, {:.4} weighted", d.macro_average.f1, d.weighted_average.f1)?;
    let (roc, pr) = (number(d.roc_auc.macro_average), number(d.average_precision.macro_average));
    writeln!(out, "ROC-AUC, PR-AUC    {}, {} macro", roc.trim(), pr.trim())?;
    let kappa = number(d.cohen_kappa);
    writeln!(out, "kappa, MCC         {}, {:.4}", kappa.trim(), d.matthews_corrcoef)?;
    let c = &d.calibration;
    let ece = c.reliability.expected_calibration_error;
    write!(out, "calibration error  {ece:.4}  (log loss {:.4}, Brier {:.4}", c.log_loss, c.brier_score)?;
    if c.temperature == 1.0 {
        writeln!(out, ")")
    } else {
        let before = c.uncalibrated_expected_calibration_error;
        writeln!(out, "; temperature {:.3}, without it {before:.4})", c.temperature)
    }
}

fn write_classes(out: &mut String, evaluation: &Evaluation) -> std::fmt::Result {
    let d = &evaluation.details;
    let mut rows: Vec<&ClassMetrics> = d.per_class.iter().collect();
    if rows.len() > MAX_ROWS {
        rows.sort_by(|a, b| a.f1.total_cmp(&b.f1));
        rows.truncate(MAX_ROWS);
        writeln!(out, "\nThe {MAX_ROWS} of {} classes with the least F1:", d.per_class.len())?;
    } else {
        writeln!(out)?;
    }
    let names: Vec<String> = rows.iter().map(|r| shorten(&visible(&r.class), 28)).collect();
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0).max(5);
    writeln!(out, "{:<width$}  images  precision  recall      F1  ROC-AUC  PR-AUC", "class")?;
    for (name, row) in names.iter().zip(rows) {
        writeln!(
            out,
            "{name:<width$}  {:>6}  {:>9.4}  {:>6.4}  {:>6.4}  {:>7}  {:>6}",
            row.support,
            row.precision,
            row.recall,
            row.f1,
            number(row.roc_auc),
            number(row.average_precision)
        )?;
    }
    Ok(())
}

fn write_confusions(out: &mut String, evaluation: &Evaluation) -> std::fmt::Result {
    let confusions = evaluation.confusion().confusions();
    if confusions.is_empty() {
        return writeln!(out, "\nNo mistakes.");
    }
    writeln!(out, "\nMost frequent confusions:")?;
    for (label, predicted, count) in confusions.into_iter().take(CONFUSIONS) {
        let name = |c: usize| visible(evaluation.classes().get(c).unwrap_or_default());
        writeln!(out, "{count:>6}  {} taken for {}", name(label), name(predicted))?;
    }
    Ok(())
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_string(), |v| format!("{v:.4}"))
}

/// Names come from folders: a control character in one must not reach the terminal.
fn visible(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluation::{EvaluateOptions, evaluate},
        fixtures,
    };

    fn of(predictions: &crate::Predictions, temperature: f64) -> String {
        let options = EvaluateOptions { bootstrap_samples: 100, temperature, ..EvaluateOptions::default() };
        summary(&evaluate(predictions, &options).unwrap())
    }

    #[test]
    fn says_what_matters_in_aligned_columns() {
        let text = of(&fixtures::three_labels(120, 5), 1.7);
        assert!(
            text.contains("accuracy           0.5250  (95 % interval 0.4363 to 0.6122, 120 images, 5 classes)"),
            "{text}"
        );
        assert!(text.contains("temperature 1.700, without it 0.2249"));
        assert!(text.contains("\nc3          0     0.0000  0.0000  0.0000        -       -\n"), "{text}");
        let table: Vec<&str> = text.lines().filter(|l| l.starts_with('c') && !l.starts_with("calibration")).collect();
        assert!(table.windows(2).all(|w| w[0].chars().count() == w[1].chars().count()), "{text}");
        assert!(text.contains("    14  c0 taken for c4"));
    }

    #[test]
    fn many_classes_are_cut_to_the_worst() {
        let text = of(&fixtures::predictions(500, 120), 1.0);
        assert!(text.contains("The 30 of 120 classes with the least F1"));
        assert!(text.lines().count() < 60);
    }
}
