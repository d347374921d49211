//! From annotations to votes: which question counts, which answers can be used.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use kidu_core::Split;

use crate::{
    annotation::{Annotation, Problem, System},
    classes::ClassMap,
    error::{ImportError, Result},
    provenance::recorded,
    report::Counts,
    settle::Vote,
    source::SourceReading,
};

/// An annotation's number, with whose it is.
pub(crate) type Number = (System, String);

/// The usable answers about one address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) votes: Vec<Vote>,
    /// The Label Studio task.
    pub(crate) task: Option<u64>,
    /// The split that the source wants.
    pub(crate) split: Option<Split>,
}

/// What all sources say.
#[derive(Debug, Default)]
pub(crate) struct Selected {
    /// By address, as the sources have it.
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) counts: Counts,
    /// Answers with several classes.
    pub(crate) not_single_label: Vec<Problem>,
    /// Numbers of annotations that are there and can be used.
    pub(crate) live: HashSet<Number>,
    /// Numbers of annotations that are there, but skipped or empty now.
    pub(crate) cancelled: HashSet<Number>,
    /// The sources that are complete, by the name that votes keep.
    pub(crate) complete: BTreeSet<String>,
}

/// Sorts the answers by address.
pub(crate) fn select(
    sources: &[SourceReading],
    from_name: Option<&str>,
    map: &ClassMap,
    source_name: Option<&str>,
) -> Result<Selected> {
    let control = control(sources, from_name)?;
    let mut selected = Selected::default();
    for source in sources {
        if source.is_complete() {
            selected.complete.insert(source_name.unwrap_or(&source.name).to_string());
        }
        selected.counts.unannotated += source.reading.unannotated;
        selected.counts.bad += source.reading.problems.len();
        for annotation in &source.reading.annotations {
            let name = name_of(source, annotation, source_name);
            if source.is_complete() {
                selected.complete.insert(name.clone());
            }
            selected.take(annotation, control.as_deref(), map, name);
        }
    }
    Ok(selected)
}

/// The name by which later imports know that they read the same again: the project where it is stated.
fn name_of(source: &SourceReading, annotation: &Annotation, source_name: Option<&str>) -> String {
    match (source_name, &annotation.project) {
        (Some(name), _) => name.to_string(),
        (None, Some(project)) => format!("project {project}"),
        (None, None) => source.name.clone(),
    }
}

/// The control of Label Studio that counts; COCO and lists have one only.
fn control(sources: &[SourceReading], from_name: Option<&str>) -> Result<Option<String>> {
    let annotations =
        || sources.iter().flat_map(|s| &s.reading.annotations).filter(|a| a.system == System::LabelStudio);
    let controls: BTreeSet<&str> = annotations().flat_map(|a| a.answers.keys().map(String::as_str)).collect();
    match from_name {
        Some(name) if controls.is_empty() || controls.contains(name) => Ok(Some(name.into())),
        Some(name) => {
            let nearest = kidu_core::suggest::nearest(name, controls.iter().copied());
            let hint = kidu_core::suggest::did_you_mean(nearest);
            let known = controls.into_iter().collect::<Vec<_>>().join(", ");
            Err(ImportError::Option(format!("no annotation answers '{name}' (--from-name){hint}; there are: {known}")))
        }
        None if controls.len() > 1 => {
            Err(ImportError::Controls { controls: controls.into_iter().map(String::from).collect() })
        }
        None => Ok(controls.first().map(ToString::to_string)),
    }
}

impl Selected {
    fn take(&mut self, annotation: &Annotation, control: Option<&str>, map: &ClassMap, source: String) {
        self.counts.read += 1;
        let number = annotation.id.clone().map(|id| (annotation.system, id));
        let answer = match annotation.system {
            System::LabelStudio => control.and_then(|c| annotation.answers.get(c)),
            System::Coco | System::List => annotation.answers.values().next(),
        };
        let label = match answer.map(Vec::as_slice) {
            _ if annotation.skipped => {
                self.counts.skipped += 1;
                None
            }
            None | Some([]) => {
                self.counts.empty += 1;
                None
            }
            Some([label]) => Some(map.get(label).unwrap_or(label).clone()),
            Some(several) => {
                self.counts.not_single_label += 1;
                let reason = format!("chooses several classes ({}), where one is needed", several.join(", "));
                self.not_single_label.push(Problem::new(&annotation.origin, reason));
                None
            }
        };
        let Some(label) = label else {
            self.cancelled.extend(number);
            return;
        };
        self.counts.usable += 1;
        self.live.extend(number);
        let vote = Vote {
            label,
            system: annotation.system,
            id: annotation.id.clone(),
            annotator: annotation.annotator.clone(),
            ground_truth: annotation.ground_truth,
            time: annotation.time(),
            source,
            origin: annotation.origin.to_string(),
        };
        let group = self.groups.entry(annotation.address.clone()).or_default();
        group.task = group.task.or(annotation.task);
        // Where several rows of lists disagree about the split, the stricter is taken: test before val before train.
        group.split = group.split.max(annotation.split);
        if !merge(&mut group.votes, &vote) {
            group.votes.push(vote);
        } else {
            self.counts.repeated += 1;
        }
    }

    /// The addresses as they are kept.
    pub(crate) fn recorded_addresses(&self) -> HashSet<String> {
        self.groups.keys().map(|a| recorded(a)).collect()
    }
}

/// Lays a vote over the one of the same number, as when a project is given in two formats: the newer counts, and what
/// one format does not say is taken from the other. `false` if there is none of that number.
pub(crate) fn merge(votes: &mut [Vote], new: &Vote) -> bool {
    let Some(old) = votes.iter_mut().find(|v| v.id.is_some() && (v.system, &v.id) == (new.system, &new.id)) else {
        return false;
    };
    lay_over(old, new);
    true
}

/// Replaces `old` by `new` unless it is older or says nothing else.
pub(crate) fn lay_over(old: &mut Vote, new: &Vote) {
    if old.time.is_some() && new.time.is_some() && new.time < old.time {
        return;
    }
    let ground_truth = new.ground_truth.or(old.ground_truth);
    let (time, annotator) = (new.time.or(old.time), new.annotator.clone().or_else(|| old.annotator.clone()));
    let same =
        old.label == new.label && (old.ground_truth, old.time) == (ground_truth, time) && old.annotator == annotator;
    if !same {
        *old = Vote { ground_truth, time, annotator, ..new.clone() };
    }
}
