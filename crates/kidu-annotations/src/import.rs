//! The import as a whole.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
};

use kidu_core::{Progress, Sha256Hex};
use kidu_fetch::Address;

use crate::{
    agreement::agreement,
    apply::Workplace,
    classes::{self, ClassMap},
    error::{ImportError, Result},
    obtain::{Outcome, Supply, Wanted},
    options::{ImportOptions, NewClasses},
    plan::{Facts, Image, Plan, Rules, plan},
    provenance::{self, Entry, recorded},
    report::{ImportReport, SourceReport, Unavailable},
    select::{Group, Selected, select},
    settle::{Rule, Vote, newest_of_each},
    source::{self, SourceReading},
    target::Target,
};

/// Brings annotated images into a dataset. See the module's parts for the rules: [`crate::settle()`] between annotators,
/// [`provenance`] for what is kept.
///
/// Images already in the dataset are known by their content; they change class, never split. Interrupted anywhere, the
/// same import again completes it; complete, the same import again changes nothing.
///
/// # Errors
/// [`ImportError`]. Nothing is written unless the message is one of the disk, while images are written or moved.
pub fn import(
    sources: &[String],
    into: &Path,
    options: &ImportOptions,
    progress: &dyn Progress,
) -> Result<ImportReport> {
    classes::check_map(&options.class_map)?;
    if sources.is_empty() {
        return Err(ImportError::Option("no source is given; give a file, a folder or s3://bucket/prefix".into()));
    }
    let readings: Result<Vec<SourceReading>> =
        sources.iter().map(|s| source::load(s, &options.read, &options.fetch, progress)).collect();
    let readings = readings?;
    refuse_incomplete(&readings, options.at_least)?;
    let map: &ClassMap = &options.class_map;
    let mut selected = select(&readings, options.read.from_name.as_deref(), map, options.source_name.as_deref())?;
    refuse_prune(&readings, options)?;
    // A dry run makes no folder, and so holds none.
    let workplace = if options.dry_run { None } else { Some(Workplace::open(into)?) };
    let target = Target::scan(into, options.layout, progress)?;
    let stored = provenance::load(into)?;
    let new_classes = admit(&mut selected, &target, options)?;
    let outcome = obtain(&selected, &readings, &target, &stored, options, workplace.as_ref(), progress)?;
    let images = gather(&selected.groups, &outcome);
    let mut notes = notes_on(&readings, options);
    let votes: Vec<Vec<Vote>> = images.iter().map(|i| i.votes.clone()).collect();
    let rules =
        Rules { on_conflict: options.on_conflict, names: options.names, split: options.split, prune: options.prune };
    let addresses = selected.recorded_addresses();
    let facts = Facts {
        live: &selected.live,
        cancelled: &selected.cancelled,
        complete: &selected.complete,
        addresses: &addresses,
    };
    let mut plan = plan(images, &target, stored, &facts, &rules);
    count_ignored(&mut plan, &selected.groups, &outcome);
    refuse(&plan, &readings, &outcome, options)?;
    if let Some(workplace) = &workplace {
        workplace.carry_out(&mut plan, progress)?;
    }
    notes.append(&mut plan.notes);
    notes.extend(emptied(&target, &plan));
    Ok(report(into, readings, selected, outcome, plan, &votes, new_classes, notes, options.dry_run))
}

/// What was never written must not be missed in silence.
fn refuse_incomplete(readings: &[SourceReading], expected: usize) -> Result<()> {
    let read = readings.iter().map(|r| r.reading.annotations.len() + r.reading.problems.len()).sum();
    if read >= expected {
        return Ok(());
    }
    let places: Vec<&str> = readings.iter().map(|r| r.name.as_str()).collect();
    Err(ImportError::Incomplete { place: places.join(", "), read, expected })
}

/// What cannot be read must not look withdrawn.
fn refuse_prune(readings: &[SourceReading], options: &ImportOptions) -> Result<()> {
    let lines = problem_lines(readings);
    if options.prune && !lines.is_empty() { Err(ImportError::Prune { lines }) } else { Ok(()) }
}

fn problem_lines(readings: &[SourceReading]) -> Vec<String> {
    readings.iter().flat_map(|r| &r.reading.problems).map(ToString::to_string).collect()
}

/// Decides on classes that the dataset does not have; returns those that come in.
fn admit(selected: &mut Selected, target: &Target, options: &ImportOptions) -> Result<Vec<String>> {
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    selected.groups.values().flat_map(|g| &g.votes).for_each(|v| *wanted.entry(v.label.clone()).or_default() += 1);
    let unknown = classes::unknown(&wanted, &target.classes);
    let (names, lines): (Vec<String>, Vec<String>) = unknown.into_iter().unzip();
    let rule = if target.images.is_empty() && options.new_classes == NewClasses::Error {
        NewClasses::Allow
    } else {
        options.new_classes
    };
    match rule {
        NewClasses::Error if !names.is_empty() => {
            return Err(ImportError::NewClasses { into: options_path(target), classes: lines });
        }
        NewClasses::Ignore => {
            for group in selected.groups.values_mut() {
                let before = group.votes.len();
                group.votes.retain(|v| !names.contains(&v.label));
                selected.counts.ignored_class += before - group.votes.len();
            }
            selected.groups.retain(|_, g| !g.votes.is_empty());
            return Ok(Vec::new());
        }
        _ => {}
    }
    if let Some((name, reason)) = names.iter().find_map(|n| Some((n.clone(), classes::unfit(n)?))) {
        return Err(ImportError::ClassName { name, reason });
    }
    if let Some((a, b)) = classes::same_but_for_case(target.classes.iter().chain(&names)) {
        return Err(ImportError::Option(format!(
            "the classes '{a}' and '{b}' differ in case only; map one to the other with --class-map '{b}={a}'"
        )));
    }
    Ok(names)
}

fn options_path(target: &Target) -> String {
    target.dir.display().to_string()
}

/// Gets the images that are not known from an earlier import.
fn obtain(
    selected: &Selected,
    readings: &[SourceReading],
    target: &Target,
    stored: &[Entry],
    options: &ImportOptions,
    workplace: Option<&Workplace>,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let present: HashSet<&Sha256Hex> = target.images.iter().map(|p| &p.sha256).collect();
    let mut known: HashMap<&str, &Sha256Hex> = HashMap::new();
    for entry in stored.iter().filter(|e| present.contains(&e.sha256)) {
        known.extend(entry.addresses.iter().map(|a| (a.as_str(), &entry.sha256)));
    }
    let bases = bases(readings);
    let (mut outcome, mut wanted) = (Outcome::new(), Vec::new());
    for (address, group) in &selected.groups {
        // Files are read anew: that costs little, and they may have changed.
        let remote = Address::parse(address).is_ok_and(|a| a.is_remote()) && options.images.is_empty();
        match known.get(address.as_str()).filter(|_| remote && !options.refresh && recorded(address) == *address) {
            Some(sha256) => {
                let obtained = crate::obtain::Obtained { sha256: (*sha256).clone(), extension: None };
                outcome.insert(address.clone(), Ok(obtained));
            }
            None => wanted.push(Wanted {
                address: address.clone(),
                task: group.task,
                base: bases.get(address.as_str()).cloned(),
            }),
        }
    }
    let supply = Supply {
        folders: &options.images,
        fetch: &options.fetch,
        limits: &options.limits,
        present: &present,
        staging: workplace.map(Workplace::staging),
    };
    outcome.extend(supply.obtain(wanted, progress)?);
    Ok(outcome)
}

/// The folder of the source that names each address; of several the first.
fn bases(readings: &[SourceReading]) -> HashMap<&str, PathBuf> {
    let mut bases = HashMap::new();
    for reading in readings {
        for annotation in &reading.reading.annotations {
            // The folder of the very file: a folder of lists has lists in folders of their own.
            let file = Path::new(&annotation.origin.file);
            let base = reading.base.as_ref().map(|_| kidu_core::files::parent_of(file));
            if let Some(base) = base {
                bases.entry(annotation.address.as_str()).or_insert(base);
            }
        }
    }
    bases
}

/// Gathers the addresses that lead to the same bytes, sorted by their first address.
fn gather(groups: &BTreeMap<String, Group>, outcome: &Outcome) -> Vec<Image> {
    let mut images: Vec<Image> = Vec::new();
    let mut at: HashMap<&Sha256Hex, usize> = HashMap::new();
    for (address, group) in groups {
        let Some(Ok(obtained)) = outcome.get(address) else { continue };
        let i = *at.entry(&obtained.sha256).or_insert_with(|| {
            images.push(Image {
                sha256: obtained.sha256.clone(),
                addresses: Vec::new(),
                name: Address::parse(address).ok().and_then(|a| a.file_name()),
                extension: obtained.extension,
                split: None,
                votes: Vec::new(),
            });
            images.len() - 1
        });
        let image = &mut images[i];
        image.addresses.push(recorded(address));
        image.split = image.split.max(group.split);
        image.votes.extend(group.votes.iter().cloned());
    }
    for image in &mut images {
        image.addresses.sort_unstable();
        image.addresses.dedup();
    }
    images
}

/// Counts the images that cannot be used in the rows of the classes that they would have had.
fn count_ignored(plan: &mut Plan, groups: &BTreeMap<String, Group>, outcome: &Outcome) {
    for (address, group) in groups {
        if let (Some(Err(_)), Some(vote)) = (outcome.get(address), newest_of_each(&group.votes).last()) {
            plan.rows.of(&vote.label).ignored += 1;
        }
    }
}

/// The refusals that need the whole plan.
fn refuse(plan: &Plan, readings: &[SourceReading], outcome: &Outcome, options: &ImportOptions) -> Result<()> {
    let refused: Vec<String> = plan.conflicts.iter().filter(|c| c.rule == Rule::Refused).map(|c| c.line()).collect();
    if !refused.is_empty() {
        return Err(ImportError::Conflicts { lines: refused });
    }
    let unavailable: Vec<String> = outcome.values().filter_map(|r| r.as_ref().err()).map(Unavailable::line).collect();
    if options.strict {
        let lines = [problem_lines(readings), unavailable.clone()].concat();
        if !lines.is_empty() {
            return Err(ImportError::Strict { lines });
        }
    }
    if !outcome.is_empty() && unavailable.len() == outcome.len() {
        return Err(ImportError::NoImage { wanted: outcome.len(), lines: unavailable });
    }
    Ok(())
}

fn notes_on(readings: &[SourceReading], options: &ImportOptions) -> Vec<String> {
    let mut notes = Vec::new();
    for reading in readings {
        if !reading.passed_over.is_empty() {
            let list: Vec<String> = reading.passed_over.iter().map(|(e, n)| format!("{n} {e}")).collect();
            notes.push(format!(
                "{}: files that are no annotations were passed over: {}",
                reading.name,
                list.join(", ")
            ));
        }
        if reading.reading.annotations.is_empty() {
            notes.push(format!("{}: holds no annotation", reading.name));
        }
        let silent = reading
            .reading
            .annotations
            .iter()
            .any(|a| a.ground_truth.is_none() && a.system == crate::annotation::System::LabelStudio);
        if silent {
            notes.push(format!(
                "{}: this format does not say which annotations are ground truths; export JSON if that matters",
                reading.name
            ));
        }
    }
    if options.dry_run {
        notes.push("a dry run: nothing was written".into());
    }
    notes
}

/// Class folders that have lost their last image: training would stumble over them.
fn emptied(target: &Target, plan: &Plan) -> Vec<String> {
    let folder = |path: &str| path.rsplit_once('/').map_or(String::new(), |(f, _)| f.to_string());
    let mut left: BTreeMap<String, isize> = BTreeMap::new();
    target.images.iter().for_each(|p| *left.entry(folder(&p.path)).or_default() += 1);
    plan.writes.iter().for_each(|(_, to)| *left.entry(folder(to)).or_default() += 1);
    let moves = plan.moves.iter().chain(plan.quarantine.iter().map(|(m, _)| m));
    for step in moves {
        *left.entry(folder(&step.from)).or_default() -= 1;
        *left.entry(folder(&step.to)).or_default() += 1;
    }
    let empty: BTreeSet<String> = left.into_iter().filter(|(_, n)| *n <= 0).map(|(f, _)| f).collect();
    empty
        .into_iter()
        .map(|f| format!("the folder {f} has no image left; remove it or add images before training"))
        .collect()
}

#[allow(clippy::too_many_arguments, reason = "gathers what the parts of an import found")]
fn report(
    into: &Path,
    readings: Vec<SourceReading>,
    selected: Selected,
    outcome: Outcome,
    plan: Plan,
    votes: &[Vec<Vote>],
    new_classes: Vec<String>,
    notes: Vec<String>,
    dry_run: bool,
) -> ImportReport {
    let answers: Vec<BTreeMap<&str, &str>> = votes
        .iter()
        .map(|votes| {
            newest_of_each(votes)
                .into_iter()
                .filter_map(|v| Some((v.annotator.as_deref()?, v.label.as_str())))
                .collect()
        })
        .collect();
    let sources = readings.iter().map(|r| SourceReport {
        source: r.name.clone(),
        files: r.files,
        formats: r.reading.formats.clone(),
        annotations: r.reading.annotations.len(),
    });
    ImportReport {
        dry_run,
        into: into.into(),
        sources: sources.collect(),
        annotations: selected.counts,
        classes: plan.rows.done(),
        moved: plan.moves,
        conflicts: plan.conflicts,
        agreement: agreement(&answers),
        new_classes,
        withdrawn: plan.withdrawn,
        unavailable: outcome.into_values().filter_map(Result::err).collect(),
        problems: readings.into_iter().flat_map(|r| r.reading.problems).collect(),
        not_single_label: selected.not_single_label,
        notes,
    }
}
