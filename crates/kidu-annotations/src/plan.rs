//! What an import does to the dataset, decided without touching it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use kidu_core::{Sha256Hex, Split};

use crate::{
    options::Names,
    provenance::Entry,
    report::{Answer, Conflict, Moved, Outcome, Rows, Withdrawn, split_name},
    select::{Number, lay_over},
    settle::{OnConflict, Settled, Vote, newest_of_each, settle},
    target::{Present, Target},
};

/// Folder of what was taken out, in the dataset's folder. Hidden, so that it is no class.
pub(crate) const QUARANTINE: &str = ".quarantine";
/// Longest name of a new file in bytes, without its extension.
const LONGEST: usize = 100;
/// Bytes that the name of a file may have on any usual file system.
const LONGEST_NAME: usize = 255;

/// An annotated image, all its addresses gathered.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) sha256: Sha256Hex,
    /// As they are kept, sorted.
    pub(crate) addresses: Vec<String>,
    /// Name of the file at its source.
    pub(crate) name: Option<String>,
    pub(crate) extension: Option<&'static str>,
    pub(crate) split: Option<Split>,
    pub(crate) votes: Vec<Vote>,
}

/// What the sources say besides the images.
pub(crate) struct Facts<'a> {
    pub(crate) live: &'a HashSet<Number>,
    pub(crate) cancelled: &'a HashSet<Number>,
    /// Names of the sources that were read whole.
    pub(crate) complete: &'a BTreeSet<String>,
    /// All addresses with a usable answer, as they are kept.
    pub(crate) addresses: &'a HashSet<String>,
}

/// How it is decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) on_conflict: OnConflict,
    pub(crate) names: Names,
    pub(crate) split: Split,
    pub(crate) prune: bool,
}

/// What is done.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// New images: hash and path.
    pub(crate) writes: Vec<(Sha256Hex, String)>,
    /// Images that change their class.
    pub(crate) moves: Vec<Moved>,
    /// Images that are taken out, with the reason.
    pub(crate) quarantine: Vec<(Moved, Entry)>,
    /// The whole of `annotations.jsonl`.
    pub(crate) entries: Vec<Entry>,
    pub(crate) rows: Rows,
    pub(crate) conflicts: Vec<Conflict>,
    pub(crate) withdrawn: Vec<Withdrawn>,
    pub(crate) notes: Vec<String>,
}

/// Decides what is done with each image.
///
/// - An image whose bytes are in the dataset stays in its split, whatever a source says, and is moved to the folder of its
///   class; all its copies are.
/// - Any other image is written to the split that its source names, else to the default one.
/// - Answers that an earlier import brought still count, unless they are now given anew, skipped, or pruned.
pub(crate) fn plan(images: Vec<Image>, target: &Target, stored: Vec<Entry>, facts: &Facts<'_>, rules: &Rules) -> Plan {
    let mut present: HashMap<&Sha256Hex, Vec<&Present>> = HashMap::new();
    target.images.iter().for_each(|p| present.entry(&p.sha256).or_default().push(p));
    let mut planner = Planner { target, facts, rules, taken: target.taken.clone(), plan: Plan::default() };
    let mut earlier: BTreeMap<Sha256Hex, Entry> = BTreeMap::new();
    let mut lost = 0;
    for entry in stored {
        if present.contains_key(&entry.sha256) {
            earlier.insert(entry.sha256.clone(), entry);
        } else {
            lost += 1;
        }
    }
    if lost > 0 {
        let text = format!("{lost} images of earlier imports are no longer in the dataset; their lines were removed");
        planner.plan.notes.push(text);
    }
    for image in images {
        let entry = earlier.remove(&image.sha256);
        let copies = present.get(&image.sha256).cloned().unwrap_or_default();
        planner.image(image, entry, &copies);
    }
    for (sha256, entry) in earlier {
        let copies = present.get(&sha256).cloned().unwrap_or_default();
        planner.untouched(entry, &copies);
    }
    planner.plan
}

struct Planner<'a> {
    target: &'a Target,
    facts: &'a Facts<'a>,
    rules: &'a Rules,
    /// Paths in use, in lower case.
    taken: HashSet<String>,
    plan: Plan,
}

impl Planner<'_> {
    /// An image that the sources speak of.
    fn image(&mut self, image: Image, entry: Option<Entry>, copies: &[&Present]) {
        let (kept, gone) = self.still_said(entry.as_ref(), &image.votes);
        if let Some(entry) = &entry {
            self.note_withdrawn(entry, &gone, if self.rules.prune { Outcome::Settled } else { Outcome::Kept }, true);
        }
        let votes = pool(kept, &image.votes);
        let Some(settled) = settle(&votes, self.rules.on_conflict) else { return };
        if settled.conflict {
            self.note_conflict(&image.addresses, &votes, &settled);
        }
        let Some(vote) = settled.vote else {
            // Left out; what is in the dataset stays as it is.
            if let Some(newest) = newest_of_each(&votes).last() {
                self.plan.rows.of(&newest.label).ignored += 1;
            }
            self.plan.entries.extend(entry);
            return;
        };
        let row = self.plan.rows.of(&vote.label);
        row.conflicting += usize::from(settled.conflict);
        let (path, split, before) = match copies {
            [] => {
                row.new += 1;
                let split = self.target.split_for(image.split.unwrap_or(self.rules.split));
                let path = self.free_path(split, &vote.label, &self.file_name(&image), &image.sha256);
                self.plan.writes.push((image.sha256.clone(), path.clone()));
                (path, split, None)
            }
            copies => {
                if copies.iter().any(|c| c.class != vote.label) {
                    row.changed += 1
                } else {
                    row.unchanged += 1
                }
                if let (Some(wanted), Some(has)) = (image.split, copies[0].split)
                    && wanted != has
                {
                    let text = format!(
                        "{} stays in {}: an annotation does not move images to another split ({wanted} was asked for)",
                        copies[0].path,
                        split_name(copies[0].split)
                    );
                    self.plan.notes.push(text);
                }
                let before = match &entry {
                    Some(entry) => entry.before.clone(),
                    None => Some(copies[0].class.clone()),
                };
                let path = self.relabel(copies, &vote.label);
                (path, copies[0].split, before)
            }
        };
        let mut addresses: BTreeSet<String> = image.addresses.into_iter().collect();
        addresses.extend(entry.map(|e| e.addresses).unwrap_or_default());
        let (vote, rule) = (vote.clone(), settled.rule);
        self.plan.entries.push(Entry {
            path,
            sha256: image.sha256,
            split,
            addresses: addresses.into_iter().collect(),
            before,
            label: vote.label,
            annotation: vote.id,
            annotator: vote.annotator,
            time: vote.time,
            origin: vote.origin,
            rule,
            votes,
        });
    }

    /// An image of an earlier import of which the sources do not speak.
    fn untouched(&mut self, mut entry: Entry, copies: &[&Present]) {
        let Some(first) = copies.first() else { return };
        if !copies.iter().any(|c| c.path == entry.path) {
            (entry.path, entry.split) = (first.path.clone(), first.split);
        }
        let (kept, gone) = self.still_said(Some(&entry), &[]);
        if gone.is_empty() {
            self.plan.entries.push(entry);
            return;
        }
        let rest = if self.rules.prune {
            settle(&kept, self.rules.on_conflict).and_then(|s| Some((s.vote?.clone(), s.rule)))
        } else {
            None
        };
        match rest {
            _ if !self.rules.prune => {
                self.note_withdrawn(&entry, &gone, Outcome::Kept, false);
                self.plan.entries.push(entry);
            }
            Some((vote, rule)) => {
                self.note_withdrawn(&entry, &gone, Outcome::Settled, false);
                if vote.label != entry.label {
                    self.plan.rows.of(&vote.label).changed += 1;
                }
                let path = self.relabel(copies, &vote.label);
                self.plan.entries.push(Entry {
                    path,
                    label: vote.label,
                    annotation: vote.id,
                    annotator: vote.annotator,
                    time: vote.time,
                    origin: vote.origin,
                    rule,
                    votes: kept,
                    ..entry
                });
            }
            None => match entry.before.clone() {
                Some(before) => {
                    self.note_withdrawn(&entry, &gone, Outcome::Restored(before.clone()), false);
                    self.relabel(copies, &before);
                }
                None => {
                    for copy in copies {
                        let to = self.free(format!("{QUARANTINE}/{}", copy.path), &copy.sha256);
                        self.note_withdrawn(&entry, &gone, Outcome::Quarantined(to.clone()), false);
                        self.plan.quarantine.push((Moved { from: copy.path.clone(), to }, entry.clone()));
                    }
                }
            },
        }
    }

    /// Parts the stored answers about an image into those that still count and those that are no more. `new` are the
    /// answers that the sources give now.
    fn still_said(&self, entry: Option<&Entry>, new: &[Vote]) -> (Vec<Vote>, Vec<(Vote, &'static str)>) {
        let (mut kept, mut gone) = (Vec::new(), Vec::new());
        let Some(entry) = entry else { return (kept, gone) };
        let replaced = |v: &Vote| {
            v.id.is_none() && new.iter().any(|n| n.id.is_none() && n.system == v.system && n.annotator == v.annotator)
        };
        for vote in &entry.votes {
            let number = vote.id.clone().map(|id| (vote.system, id));
            let cancelled =
                number.as_ref().is_some_and(|n| self.facts.cancelled.contains(n) && !self.facts.live.contains(n));
            let there = match &number {
                Some(number) => self.facts.live.contains(number),
                None => entry.addresses.iter().any(|a| self.facts.addresses.contains(a)),
            };
            match () {
                () if replaced(vote) => {}
                () if cancelled => gone.push((vote.clone(), "skipped")),
                () if !there && self.facts.complete.contains(&vote.source) => gone.push((vote.clone(), "deleted")),
                () => kept.push(vote.clone()),
            }
        }
        // What was skipped counts no more where others have answered; what is merely missing counts until it is pruned.
        if !self.rules.prune {
            let missing = gone.iter().filter(|(_, why)| *why == "deleted" || (kept.is_empty() && new.is_empty()));
            kept.extend(missing.map(|(v, _)| v.clone()).collect::<Vec<_>>());
        }
        (kept, gone)
    }

    /// `answered`: the sources give other answers about the image.
    fn note_withdrawn(&mut self, entry: &Entry, gone: &[(Vote, &'static str)], outcome: Outcome, answered: bool) {
        for (vote, reason) in gone {
            let outcome = if answered && *reason == "skipped" { Outcome::Settled } else { outcome.clone() };
            self.plan.withdrawn.push(Withdrawn {
                path: entry.path.clone(),
                label: vote.label.clone(),
                annotation: vote.id.clone(),
                annotator: vote.annotator.clone(),
                reason,
                outcome,
            });
        }
    }

    fn note_conflict(&mut self, addresses: &[String], votes: &[Vote], settled: &Settled<'_>) {
        let answer = |v: &&Vote| Answer {
            annotator: v.annotator.clone(),
            label: v.label.clone(),
            time: v.time,
            ground_truth: v.is_ground_truth(),
            annotation: v.id.clone(),
        };
        self.plan.conflicts.push(Conflict {
            addresses: addresses.to_vec(),
            answers: newest_of_each(votes).iter().map(answer).collect(),
            label: settled.vote.map(|v| v.label.clone()),
            rule: settled.rule,
        });
    }

    /// Moves the copies that have another class within their splits. The path of the first copy afterwards.
    fn relabel(&mut self, copies: &[&Present], label: &str) -> String {
        let mut paths = Vec::with_capacity(copies.len());
        for copy in copies {
            if copy.class == label {
                paths.push(copy.path.clone());
                continue;
            }
            let name = copy.path.rsplit('/').next().unwrap_or(&copy.path).to_string();
            let to = self.free_path(copy.split, label, &name, &copy.sha256);
            self.plan.moves.push(Moved { from: copy.path.clone(), to: to.clone() });
            paths.push(to);
        }
        paths.into_iter().next().unwrap_or_default()
    }

    fn file_name(&self, image: &Image) -> String {
        let extension = image.extension.unwrap_or("jpg");
        let stem = match (self.rules.names, &image.name) {
            (Names::Source, Some(name)) => tidy_stem(name),
            _ => None,
        };
        format!("{}.{extension}", stem.unwrap_or_else(|| image.sha256.as_str()[..16].to_string()))
    }

    fn free_path(&mut self, split: Option<Split>, class: &str, name: &str, sha256: &Sha256Hex) -> String {
        let folder = self.target.folder_of(split, class);
        self.free(format!("{folder}/{name}"), sha256)
    }

    /// The path, or one with the start of the hash before its extension if another file has it.
    fn free(&mut self, path: String, sha256: &Sha256Hex) -> String {
        let (stem, extension) = path.rsplit_once('.').unwrap_or((&path, "jpg"));
        let folder = stem.rfind('/').map_or(0, |at| at + 1);
        let short = sha256.short();
        let more = (0u32..).map(|n| {
            let tail = if n == 0 { format!("-{short}.{extension}") } else { format!("-{short}-{n}.{extension}") };
            // Images of the dataset may have names that leave no room.
            let room = folder + LONGEST_NAME.saturating_sub(tail.len());
            format!("{}{tail}", &stem[..stem.floor_char_boundary(room)])
        });
        let mut candidates = std::iter::once(path.clone()).chain(more);
        // Endless: one is free.
        candidates.find(|c| self.taken.insert(c.to_lowercase())).unwrap_or(path.clone())
    }
}

/// The stored answers under the new ones: the same number is the same annotation.
fn pool(mut kept: Vec<Vote>, new: &[Vote]) -> Vec<Vote> {
    let mut added = Vec::new();
    for vote in new {
        let old = kept.iter_mut().find(|v| v.id.is_some() && (v.system, &v.id) == (vote.system, &vote.id));
        match old {
            Some(old) => lay_over(old, vote),
            None => added.push(vote.clone()),
        }
    }
    kept.extend(added);
    kept.sort_by(|a, b| {
        let number = |v: &Vote| v.id.as_deref().and_then(|id| id.parse::<u64>().ok());
        (a.system, number(a), &a.id, &a.annotator, a.time, &a.label).cmp(&(
            b.system,
            number(b),
            &b.id,
            &b.annotator,
            b.time,
            &b.label,
        ))
    });
    kept
}

/// A file's name without its extension, with nothing in it that a file system or a manifest dislikes.
fn tidy_stem(name: &str) -> Option<String> {
    let stem = match name.rsplit_once('.') {
        Some((stem, extension)) if extension.len() <= 5 && extension.chars().all(|c| c.is_ascii_alphanumeric()) => stem,
        _ => name,
    };
    let tidy =
        |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ' | '(' | ')' | '+') { c } else { '_' };
    let mut text = String::new();
    for c in stem.trim().trim_start_matches('.').chars().map(tidy) {
        if text.len() + c.len_utf8() > LONGEST {
            break;
        }
        text.push(c);
    }
    let text = text.trim_end_matches(['.', ' ']).to_string();
    (!text.is_empty()).then_some(text)
}
