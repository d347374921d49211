//! The model card (Mitchell et al. 2019) in Markdown, with the metadata header that the Hugging Face hub reads.

use std::{collections::BTreeMap, fmt::Write as _};

use kidu_core::BundleManifest;
use serde_json::Value;

use crate::{
    evaluation::Evaluation,
    report::{RunReport, Table},
};

/// The usual file name.
pub const FILE: &str = "MODEL_CARD.md";

/// Classes and confusions named among the limits.
const WEAKEST: usize = 3;
const CONFUSIONS: usize = 5;

/// What a person has to say; what is empty is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardTexts {
    /// Name of the model; the architecture's and the version's otherwise.
    pub name: Option<String>,
    /// SPDX identifier of the licence of the weights.
    pub license: Option<String>,
    /// What it is meant for.
    pub intended_use: Option<String>,
}

/// The card of a bundle, with what `run` knows of it.
pub fn markdown(bundle: &BundleManifest, run: &RunReport, texts: &CardTexts) -> String {
    let name = texts.name.clone().unwrap_or_else(|| format!("{}-{}", bundle.model, bundle.version()));
    let mut card = Card(header(run.evaluation.as_ref(), texts, &name));
    card.line(&format!("# {}", inline(&name)));
    card.line(&format!(
        "Classifies images into {} classes: {}. A {} network, trained with Kidu {}.",
        bundle.classes.len(),
        bundle.classes.iter().map(inline).collect::<Vec<_>>().join(", "),
        bundle.model,
        bundle.kidu_version
    ));
    if let Some(text) = &texts.intended_use {
        card.section("Intended use");
        card.line(text.trim());
    }
    card.details(bundle, run);
    card.usage(bundle);
    if let Some(evaluation) = &run.evaluation {
        card.evaluation(evaluation);
        card.limits(evaluation);
    }
    let mut section = "";
    for table in &run.tables {
        card.table(table, table.section != section);
        section = &table.section;
    }
    card.training(&run.settings);
    card.0
}

struct Card(String);

impl Card {
    fn line(&mut self, text: &str) {
        self.0 += text;
        self.0 += "\n\n";
    }

    fn section(&mut self, title: &str) {
        self.line(&format!("## {title}"));
    }

    /// A Markdown table; numbers to the right.
    fn rows(&mut self, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        self.0 += &line(columns.iter().map(|c| inline(c)).collect());
        self.0 += &line(columns.iter().map(|_| "---".to_string()).collect());
        for row in rows {
            self.0 += &line(row.iter().map(|c| inline(c)).collect());
        }
        self.0 += "\n";
    }

    fn details(&mut self, bundle: &BundleManifest, run: &RunReport) {
        self.section("Details");
        let image = &bundle.image;
        let mut rows = vec![
            ("architecture".to_string(), bundle.model.clone()),
            ("version".into(), bundle.version().to_string()),
            ("made".into(), bundle.created.clone()),
            ("input".into(), format!("{} x {} pixels, RGB", image.width, image.height)),
            ("initial weights".into(), bundle.initial_weights.clone()),
            ("trained on dataset".into(), bundle.dataset_version.clone()),
            ("calibration temperature".into(), format!("{:.4}", bundle.temperature)),
        ];
        rows.extend(bundle.data_snapshot.clone().map(|v| ("data version".into(), v)));
        rows.extend(bundle.git_commit.clone().map(|v| ("commit".into(), v)));
        rows.push(("configuration hash".into(), bundle.config_hash.clone()));
        rows.extend(run.facts.iter().filter(|(name, _)| !rows_have(name)).cloned());
        self.rows(&["", ""], rows.into_iter().map(|(name, value)| vec![name, value]));
    }

    fn usage(&mut self, bundle: &BundleManifest) {
        self.section("Use");
        let pad = bundle.pad_type.is_some();
        let note =
            if pad { " Its padding is not the architecture's own: pass the same `pad_type` to timm." } else { "" };
        self.line(&format!(
            "```bash\nkidu predict --bundle DIR photo.jpg\n```\n\nor, with the weights under timm's names,{note}\n\n\
             ```python\nimport timm\nfrom safetensors.torch import load_file\n\
             net = timm.create_model(\"{}\", num_classes={})\n\
             net.load_state_dict(load_file(\"DIR/weights.safetensors\"))\n```",
            bundle.model,
            bundle.classes.len()
        ));
        self.line(
            "`bundle.json` says how an image becomes the input, and gives the classes in the order of the outputs.",
        );
    }

    fn evaluation(&mut self, e: &Evaluation) {
        self.section("Evaluation");
        let d = &e.details;
        let split = d.judged.as_ref().map_or_else(String::new, |j| format!(" of the split {} ({})", j.split, j.reason));
        self.line(&format!("On {} images{}:", d.images, inline(&split)));
        let w = d.accuracy_wilson;
        let c = &d.calibration;
        let four = |v: f64| format!("{v:.4}");
        let maybe = |v: Option<f64>| v.map_or_else(|| "–".into(), four);
        let rows = [
            ("accuracy", format!("{} ({} to {})", four(e.accuracy()), four(w.lower), four(w.upper))),
            ("balanced accuracy", four(d.balanced_accuracy)),
            ("F1, macro", four(d.macro_average.f1)),
            ("ROC-AUC, macro", maybe(d.roc_auc.macro_average)),
            ("log loss", four(c.log_loss)),
            ("expected calibration error", four(c.reliability.expected_calibration_error)),
        ];
        let interval = format!("value ({:.0} % interval)", w.confidence * 100.0);
        self.rows(&["metric", &interval], rows.into_iter().map(|(n, v)| vec![n.into(), v]));
        let row = |c: &crate::evaluation::ClassMetrics| {
            vec![c.class.clone(), c.support.to_string(), four(c.precision), four(c.recall), four(c.f1)]
        };
        self.rows(&["class", "images", "precision", "recall", "F1"], d.per_class.iter().map(row));
    }

    fn limits(&mut self, e: &Evaluation) {
        self.section("Limits");
        let mut classes: Vec<_> = e.details.per_class.iter().filter(|c| c.support > 0).collect();
        classes.sort_by(|a, b| a.f1.total_cmp(&b.f1));
        let weakest = classes.iter().take(WEAKEST).map(|c| format!("{} (F1 {:.2})", inline(&c.class), c.f1));
        self.line(&format!("The weakest classes are {}.", weakest.collect::<Vec<_>>().join(", ")));
        let confused = confusions(e);
        if !confused.is_empty() {
            self.line(&format!("Most frequent confusions: {}.", confused.join("; ")));
        }
        let text = "Every image gets one of the classes, whatever it shows. The figures hold for images like those it was \
                    judged on.";
        self.line(text);
    }

    fn table(&mut self, table: &Table, with_heading: bool) {
        if with_heading {
            self.section(&inline(&table.section));
        }
        if !table.caption.is_empty() {
            self.line(&inline(&table.caption));
        }
        let empty = vec![""; table.rows.first().map_or(0, Vec::len)];
        let columns: Vec<&str> =
            if table.columns.is_empty() { empty } else { table.columns.iter().map(String::as_str).collect() };
        self.rows(&columns, table.rows.iter().cloned());
    }

    fn training(&mut self, settings: &BTreeMap<String, String>) {
        let shown = |key: &str| {
            let of_training = ["model.", "data.", "trainer.", "seed"].iter().any(|p| key.starts_with(p));
            of_training && !key.starts_with("data.check.")
        };
        let rows: Vec<Vec<String>> = settings
            .iter()
            // Where things lay on one machine is nobody's business.
            .filter(|(key, value)| shown(key) && value.as_str() != "null" && !value.contains('/'))
            .map(|(key, value)| vec![key.clone(), value.clone()])
            .collect();
        if !rows.is_empty() {
            self.section("Training");
            self.rows(&["setting", "value"], rows.into_iter());
        }
    }
}

/// Facts that the card gives in its own words.
fn rows_have(name: &str) -> bool {
    ["model", "model version", "commit", "trained on dataset", "kidu", "temperature"].contains(&name)
}

/// The most frequent confusions in words.
fn confusions(e: &Evaluation) -> Vec<String> {
    let classes = e.classes();
    let named = e.confusion().confusions().into_iter().take(CONFUSIONS);
    named.map(|(l, p, n)| format!("{} taken for {} ({n})", inline(&classes[l]), inline(&classes[p]))).collect()
}

/// The YAML between the dashes. Values are JSON texts, which are YAML too.
fn header(evaluation: Option<&Evaluation>, texts: &CardTexts, name: &str) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let mut out = String::from(
        "---\nlibrary_name: timm\npipeline_tag: image-classification\ntags:\n- image-classification\n- timm\n- kidu\n",
    );
    if let Some(license) = &texts.license {
        let _ = writeln!(out, "license: {}", quoted(license));
    }
    if let Some(e) = evaluation {
        let d = &e.details;
        let split = d.judged.as_ref().map_or("test", |j| j.split.as_str());
        let dataset = d.dataset_version.as_deref().unwrap_or("unknown");
        let _ = write!(
            out,
            "metrics:\n- accuracy\n- f1\nmodel-index:\n- name: {}\n  results:\n  - task:\n      type: image-classification\n      \
             name: Image Classification\n    dataset:\n      name: {}\n      type: imagefolder\n      split: {}\n    metrics:\n",
            quoted(name),
            quoted(dataset),
            quoted(split)
        );
        for (kind, label, value) in [("accuracy", "Accuracy", e.accuracy()), ("f1", "F1, macro", d.macro_average.f1)] {
            let _ = writeln!(out, "    - type: {kind}\n      name: {}\n      value: {value:.6}", quoted(label));
        }
    }
    out + "---\n\n"
}

/// Text that Markdown takes as it stands, in one line.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '<' => out += "&lt;",
            '&' => out += "&amp;",
            '|' | '*' | '_' | '[' | ']' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use kidu_core::{ClassNames, model};

    use super::*;
    use crate::{
        evaluation::{EvaluateOptions, evaluate},
        fixtures,
    };

    fn bundle(classes: &ClassNames) -> BundleManifest {
        BundleManifest {
            format_version: BundleManifest::FORMAT,
            model: "resnet18".into(),
            pad_type: None,
            classes: classes.clone(),
            image: model::find("resnet18").unwrap().image.clone(),
            temperature: 1.25,
            metrics: BTreeMap::new(),
            dataset_version: "abc".into(),
            data_snapshot: None,
            config_hash: "0".repeat(64),
            git_commit: None,
            initial_weights: "none".into(),
            created: "2026-11-25T00:00:00Z".into(),
            kidu_version: "0.1.0".into(),
            files: BTreeMap::new(),
        }
    }

    #[test]
    fn says_how_good_it_is_and_where_it_is_weak() {
        let p = fixtures::predictions(90, 3);
        let options = EvaluateOptions { bootstrap_samples: 100, ..EvaluateOptions::default() };
        let evaluation = evaluate(&p, &options).unwrap();
        let settings = [("model.name", "resnet18"), ("data.root", "/home/me/photos"), ("paths.log_dir", "runs")];
        let run = RunReport {
            evaluation: Some(evaluation.clone()),
            settings: settings.map(|(k, v)| (k.to_string(), v.to_string())).into(),
            ..RunReport::default()
        };
        let texts = CardTexts { license: Some("mit".into()), ..CardTexts::default() };
        let card = markdown(&bundle(p.classes()), &run, &texts);
        assert!(card.starts_with("---\nlibrary_name: timm\n") && card.contains("license: \"mit\""));
        assert!(card.contains(&format!("value: {:.6}", evaluation.accuracy())));
        assert!(card.contains("The weakest classes are") && card.contains("taken for"));
        assert!(card.contains("| model.name | resnet18 |"));
        assert!(!card.contains("/home/me") && !card.contains("paths.log"), "no paths of a machine");
        if let Ok(path) = std::env::var("KIDU_DRAW_CARD") {
            std::fs::write(path, card).unwrap();
        }
    }

    #[test]
    fn hostile_names_stay_text() {
        let classes = ClassNames::new(["a|b", "<img src=x>", "*c*\n## d"]).unwrap();
        let card = markdown(&bundle(&classes), &RunReport::default(), &CardTexts::default());
        assert!(!card.contains("<img") && card.contains("a\\|b") && !card.contains("\n## d"));
        let name = Some("x\ny: \"z\"".to_string());
        let card = markdown(&bundle(&classes), &RunReport::default(), &CardTexts { name, ..CardTexts::default() });
        assert!(card.lines().filter(|l| *l == "---").count() == 2, "{card}");
    }
}
