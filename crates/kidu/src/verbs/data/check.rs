//! `kidu data check`: the data doctor.

mod evidence;
pub(super) mod tables;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use kidu_core::{ContentHasher, Progress, files};
use kidu_data::{
    DataSettings,
    check::{self, CheckReport, Finding, Fixed, Kind, Removal, Severity, Survey, gallery},
};
use serde::Serialize;

use crate::{
    Outcome,
    cli::{CheckArgs, ConfigArgs, FailOn},
    failure::Failure,
    run_dir::{self, Verb},
    settings::{self, need, need_root},
    stop,
    ui::{self, Console, human_duration},
};

pub(super) fn run(arguments: &CheckArgs) -> Outcome {
    if let Some(journal) = &arguments.undo {
        return undo(journal, arguments.output.json);
    }
    let started = Instant::now();
    let (fix, overrides) = fix_kinds(arguments)?;
    let config = ConfigArgs { overrides, ..arguments.config.clone() };
    let mut configuration = settings::load(&config, "evaluate")?;
    if configuration.settings.task_name == "evaluate" {
        configuration.settings.task_name = "check".into();
    }
    let settings = &configuration.settings;
    let data = need(&settings.data, "data")?;
    if arguments.dataset.manifest.is_none() {
        need_root(&settings.data)?;
    }
    let held = run_dir::create(&configuration, Verb::Check, arguments.output.out.as_deref())?;
    let dir = held.path();
    let console = Console::new().with_log(&dir.join("kidu.log"));
    let survey = survey(arguments, data, dir, &console)?;
    let cache = (!arguments.no_cache).then(|| cache_of(&survey.root));
    let measured = check::measure(&survey, data, cache.as_deref(), &console)?;
    if measured.from_cache > 0 {
        console.note(&format!(
            "{} of {} files have not changed since the last check",
            measured.from_cache,
            survey.files.len()
        ));
    }
    let evidence = evidence::gather(arguments, &survey, &measured.facts, data, &console)?;
    let mut report = check::judge(&survey, &measured.facts, &evidence, data, settings.seed, &console)?;
    gallery::save(&dir.join(gallery::FILE), &report, &data.limits(), data.check.gallery_images, &console)?;
    files::write_json(&dir.join(CheckReport::FILE), &report)?;
    let fixed = fix.map(|wanted| apply(&wanted, &survey, &mut report, arguments.dry_run, &console)).transpose()?;
    tell(arguments, dir, &report, fixed.as_ref())?;
    console.note(&format!("checked {} files in {}", survey.files.len(), human_duration(started.elapsed())));
    ui::place("gallery:", &dir.join(gallery::FILE));
    ui::place("wrote", dir);
    outcome(arguments.fail_on, &report)
}

/// What is looked at: a dataset that was split before, or `data.root`.
fn survey(arguments: &CheckArgs, data: &DataSettings, dir: &Path, console: &Console) -> Outcome<Survey> {
    Ok(match (&arguments.dataset.manifest, &data.root) {
        (Some(manifest), _) => Survey::of_manifest(manifest)?,
        (None, Some(root)) => Survey::of(root, dir, console)?,
        (None, None) => return Err(Failure::usage("data.root is not set")),
    })
}

/// Where the measurements of a folder are kept.
fn cache_of(root: &Path) -> PathBuf {
    let key = ContentHasher::new("kidu check cache").field("root", root.as_os_str().as_encoded_bytes()).finish();
    kidu_models::hub::cache_dir().join("check").join(format!("{}.jsonl", key.short()))
}

/// What `--fix` moves: findings of some kinds, or all errors.
enum Wanted {
    Errors,
    Kinds(Vec<Kind>),
}

impl Wanted {
    fn has(&self, finding: &Finding) -> bool {
        match self {
            Self::Errors => finding.severity == Severity::Error,
            Self::Kinds(kinds) => kinds.contains(&finding.kind),
        }
    }
}

/// The kinds of `--fix`, and the overrides. In `--fix data.root=photos` the option has taken the first override.
fn fix_kinds(arguments: &CheckArgs) -> Outcome<(Option<Wanted>, Vec<String>)> {
    let mut overrides = arguments.config.overrides.clone();
    let wanted = match arguments.fix.as_deref() {
        None => None,
        Some("") => Some(Wanted::Errors),
        Some(override_) if override_.contains('=') => {
            overrides.insert(0, override_.to_string());
            Some(Wanted::Errors)
        }
        Some(kinds) => {
            let kinds: Result<Vec<Kind>, String> = kinds.split(',').map(|k| k.trim().parse()).collect();
            Some(Wanted::Kinds(kinds.map_err(|e| Failure::usage(format!("--fix: {e}")))?))
        }
    };
    Ok((wanted, overrides))
}

/// Moves what is wanted and takes out of the report the findings that this settles.
fn apply(wanted: &Wanted, survey: &Survey, report: &mut CheckReport, dry: bool, console: &Console) -> Outcome<Fixed> {
    let removals = check::plan(&report.findings, |f| wanted.has(f));
    if dry {
        for Removal { path, kinds } in &removals {
            let kinds: Vec<&str> = kinds.iter().map(|k| k.name()).collect();
            console.note(&format!("would move {path} ({})", kinds.join(", ")));
        }
        console.note(&format!("--dry-run: {} files would be moved, none was", removals.len()));
        return Ok(Fixed { quarantine: None, journal: None, moved: removals });
    }
    stop::on_signals()?;
    let fixed = check::fix(survey, &removals, &stop::is_asked_for)?;
    if fixed.moved.len() < removals.len() {
        let journal = fixed.journal.as_deref().unwrap_or(Path::new("")).display().to_string();
        return Err(Failure::Interrupted(format!(
            "after {} of {} files. Put them back by: kidu data check --undo {journal}",
            fixed.moved.len(),
            removals.len()
        )));
    }
    let gone = |path: &String| fixed.moved.binary_search_by(|r| r.path.as_str().cmp(path)).is_ok();
    report.retain(|f| !(wanted.has(f) && !f.removable.is_empty() && f.removable.iter().all(gone)));
    // Conflicts between copies of which one is left are settled too.
    report.retain(|f| f.files.len() < 2 || f.files.iter().filter(|r| !gone(&r.path)).count() > 1);
    if let Some(journal) = &fixed.journal {
        console.note(&format!("moved {} files out of the data", fixed.moved.len()));
        console.note(&format!("put them back by: kidu data check --undo {}", journal.display()));
    }
    Ok(fixed)
}

/// What machines get.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    report: &'a CheckReport,
    gallery: PathBuf,
    fix: Option<&'a Fixed>,
}

fn tell(arguments: &CheckArgs, dir: &Path, report: &CheckReport, fixed: Option<&Fixed>) -> Outcome {
    if arguments.output.json {
        return ui::json(&Answer { report, gallery: dir.join(gallery::FILE), fix: fixed });
    }
    report.notes.iter().for_each(ui::note);
    ui::line(tables::classes(report).trim_end());
    ui::line("");
    if report.findings.is_empty() {
        ui::line("nothing was found");
    } else {
        ui::line(tables::summary(report).trim_end());
        tables::worst(report).iter().for_each(ui::line);
    }
    if let Some(labels) = &report.labels {
        ui::line(format!(
            "labels and predictions agree on {:.1} % of {} images (by {})",
            100.0 * labels.accuracy,
            labels.images,
            labels.source
        ));
    }
    Ok(())
}

/// The failure that findings of a level or worse are.
pub(super) fn outcome(fail_on: FailOn, report: &CheckReport) -> Outcome {
    let level = match fail_on {
        FailOn::Error => Severity::Error,
        FailOn::Warning => Severity::Warning,
        FailOn::Info => Severity::Info,
        FailOn::Never => return Ok(()),
    };
    match report.at_least(level) {
        0 => Ok(()),
        n => Err(Failure::Refused(format!(
            "{n} findings of level {level} or worse: mend them, move them away with --fix, or accept them with --fail-on"
        ))),
    }
}

fn undo(journal: &Path, json: bool) -> Outcome {
    let undone = check::undo(journal)?;
    if json {
        ui::json(&undone)?;
    } else {
        ui::line(format!("put back {} files to {}", undone.restored.len(), undone.root.display()));
        if undone.in_place > 0 {
            ui::line(format!("{} were in their place already", undone.in_place));
        }
    }
    if undone.kept.is_empty() {
        return Ok(());
    }
    for (path, why) in &undone.kept {
        ui::note(format!("not put back: {path}: {why}"));
    }
    Err(Failure::Failed(anyhow::anyhow!("{} files are still in quarantine", undone.kept.len())))
}
