//! What a run's folder holds, wherever in it the verbs have put it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use kidu_config::Composed;
use kidu_core::{Bundle, DatasetManifest, files};
use kidu_data::check::CheckReport;
use kidu_eval::{
    Evaluation, Predictions, Robustness,
    report::{EpochMetrics, Figure, RunReport, Table},
    robustness,
};
use kidu_pipeline::Lineage;
use serde::Deserialize;

use super::super::evaluate::facts;
use crate::{Outcome, failure::Failure};

/// Steps of a pipeline run, each of which is a folder of its own, and what else may be put into a run's folder.
const STEPS: [&str; 7] = ["", "train", "evaluate", "preprocess", "register", "robustness", "check"];

const BUNDLE: &str = "bundle/bundle.json";
const METRICS: &str = "metrics.jsonl";
const CONFIG: &str = "config.yaml";
const LINEAGE: &str = "lineage.json";
const MANIFESTS: [&str; 2] = ["data/manifest.json", "manifest.json"];

/// The files of a run by what they are.
#[derive(Debug)]
pub(super) struct Parts {
    dir: PathBuf,
    found: BTreeMap<&'static str, PathBuf>,
    bundle: Option<Bundle>,
    /// Where the judged images' paths may begin.
    roots: Vec<PathBuf>,
}

impl Parts {
    /// Looks through a run's folder, its steps, and `others`; what comes first wins.
    pub(super) fn find(dir: &Path, others: &[PathBuf]) -> Outcome<Self> {
        for folder in std::iter::once(dir).chain(others.iter().map(PathBuf::as_path)) {
            if !folder.is_dir() {
                return Err(Failure::usage(format!("{}: there is no such folder; give a run's", folder.display())));
            }
        }
        let folders: Vec<PathBuf> = std::iter::once(dir)
            .chain(others.iter().map(PathBuf::as_path))
            .flat_map(|folder| STEPS.map(|step| folder.join(step)))
            .filter(|folder| folder.is_dir())
            .collect();
        let names = [
            BUNDLE,
            Evaluation::FILE,
            Predictions::FILE,
            METRICS,
            CONFIG,
            LINEAGE,
            CheckReport::FILE,
            Robustness::FILE,
        ];
        let first = |name: &str| folders.iter().map(|f| f.join(name)).find(|p| p.is_file());
        let found = names.into_iter().filter_map(|name| Some((name, first(name)?))).collect();
        let found: BTreeMap<&'static str, PathBuf> = found;
        let bundle = found.get(BUNDLE).and_then(|manifest| manifest.parent()).map(Bundle::open).transpose()?;
        let manifests = folders.iter().flat_map(|f| MANIFESTS.map(|m| f.join(m))).filter(|p| p.is_file());
        let roots = manifests.filter_map(|m| DatasetManifest::load(&m).ok()).map(|m| m.root).collect();
        let parts = Self { dir: dir.to_path_buf(), found, bundle, roots };
        if parts.found.is_empty() {
            let reason = "holds nothing of a run (no bundle, evaluation.json, metrics.jsonl, ...)";
            return Err(Failure::usage(format!("{} {reason}: give the folder that a verb wrote", dir.display())));
        }
        Ok(parts)
    }

    /// The run's folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Names of the files that were found.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.found.keys().copied().collect()
    }

    /// The trained model.
    pub(super) fn bundle(&self) -> Option<&Bundle> {
        self.bundle.as_ref()
    }

    /// The file of an image that was judged, if it is still there.
    pub(super) fn image(&self, path: &str) -> Option<PathBuf> {
        self.roots.iter().map(|root| root.join(path)).find(|file| file.is_file())
    }

    /// Everything that the report shows, but pictures.
    pub(super) fn read(&self) -> Outcome<RunReport> {
        let mut run = RunReport {
            evaluation: self.found.get(Evaluation::FILE).map(|p| Evaluation::load(p)).transpose()?,
            predictions: self.found.get(Predictions::FILE).map(|p| Predictions::load(p)).transpose()?,
            history: self.found.get(METRICS).map_or_else(|| Ok(Vec::new()), |p| history(p))?,
            settings: self.found.get(CONFIG).map_or_else(|| Ok(BTreeMap::new()), |p| settings(p))?,
            ..RunReport::default()
        };
        if let Some(bundle) = self.bundle() {
            run.facts = facts(bundle.manifest());
        }
        if let Some(path) = self.found.get(Robustness::FILE) {
            let result = Robustness::load(path)?;
            let table = robustness::table(&result);
            let figure = |svg| Figure {
                section: table.section.clone(),
                svg,
                caption: "Accuracy over severity; 0 is the clean image.".into(),
            };
            run.figures.extend(robustness::figures(&result).into_iter().map(figure));
            run.tables.push(table);
        }
        if let Some(path) = self.found.get(CheckReport::FILE) {
            run.tables.push(check(path)?);
        }
        if let Some(path) = self.found.get(LINEAGE) {
            run.tables.extend(lineage(&files::read_json(path, "lineage")?));
        }
        Ok(run)
    }
}

fn history(path: &Path) -> Outcome<Vec<EpochMetrics>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let rows = lines.map(|(number, line)| {
        serde_json::from_str(line)
            .with_context(|| format!("{}, line {}: not the metrics of an epoch", path.display(), number + 1))
    });
    Ok(rows.collect::<anyhow::Result<_>>()?)
}

fn settings(path: &Path) -> Outcome<BTreeMap<String, String>> {
    let composed = Composed::load(path)?;
    let value = |key: &str| match composed.get(key)?.to_json() {
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    Ok(composed.keys().into_iter().filter_map(|key| Some((key.clone(), value(&key)?))).collect())
}

/// What the report tells of `check.json`.
#[derive(Deserialize)]
struct Check {
    images: usize,
    summary: Vec<CheckLine>,
}

#[derive(Deserialize)]
struct CheckLine {
    kind: String,
    severity: String,
    findings: usize,
    files: usize,
}

fn check(path: &Path) -> Outcome<Table> {
    let check: Check = files::read_json(path, "data check")?;
    let rows = check.summary.into_iter().map(|line| {
        vec![line.severity, line.kind.replace('_', " "), line.findings.to_string(), line.files.to_string()]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let found = if rows.is_empty() { "nothing was found" } else { "these were found" };
    Ok(Table {
        section: "Data check".into(),
        caption: format!("Of {} images {found} by `kidu data check`.", check.images),
        columns: if rows.is_empty() {
            vec![]
        } else {
            ["severity", "kind", "findings", "files"].map(String::from).into()
        },
        rows,
    })
}

fn lineage(lineage: &Lineage) -> Vec<Table> {
    let fact = |name: &str, value: &Option<String>| value.clone().map(|v| vec![name.to_string(), v]);
    let rows = [
        Some(vec!["dataset".to_string(), lineage.dataset_version.clone()]),
        fact("data version", &lineage.data_snapshot),
        fact("test split", &lineage.test_version),
        Some(vec!["initial weights".into(), lineage.initial_weights.clone()]),
        Some(vec!["configuration".into(), lineage.config_hash.clone()]),
        fact("commit", &lineage.git_commit),
    ];
    let section = "Lineage".to_string();
    let mut tables =
        vec![Table { section: section.clone(), rows: rows.into_iter().flatten().collect(), ..Table::default() }];
    if let Some(run) = &lineage.run {
        let steps = run.steps.iter().map(|step| {
            let how = if step.cached { "from the cache" } else { "executed" };
            vec![step.name.clone(), how.into(), step.made.clone().unwrap_or_default(), step.key.clone()]
        });
        tables.push(Table {
            section,
            caption: format!("Steps of {} {}.", run.pipeline, run.id),
            columns: ["step", "how", "made", "key"].map(String::from).into(),
            rows: steps.collect(),
        });
    }
    tables
}
