//! Findings about groups of files that are alike.

use std::collections::{BTreeMap, HashMap};

use kidu_core::{Sha256Hex, Split};

use super::{
    facts::Facts,
    features::FeaturePair,
    finding::{FileRef, Finding, Pair},
    groups::Groups,
    kind::{Kind, Severity},
    near::NearPair,
    settings::CheckSettings,
    survey::Survey,
};
use crate::{
    duplicates::{self, DuplicateGroup, DuplicateKind, Fingerprint},
    settings::OnDuplicate,
};

/// The most pairs of a group that are told.
const TOLD: usize = 50;

/// Groups of files with equal bytes.
pub(crate) fn exact(survey: &Survey, facts: &[Facts]) -> Vec<Finding> {
    let hashed = survey.files.iter().zip(facts).filter_map(|(file, f)| Some((file, f.sha256.as_ref()?)));
    let prints: Vec<Fingerprint<'_>> = hashed
        .map(|(file, sha256)| Fingerprint { path: &file.path, label: file.class, given: file.split, sha256 })
        .collect();
    // `drop` refuses nothing.
    let groups = duplicates::resolve(&prints, OnDuplicate::Drop).unwrap_or_default();
    let places: HashMap<&str, usize> = survey.files.iter().enumerate().map(|(i, f)| (f.path.as_str(), i)).collect();
    groups.iter().flat_map(|group| exact_group(survey, &places, group)).collect()
}

fn exact_group(survey: &Survey, places: &HashMap<&str, usize>, group: &DuplicateGroup) -> Vec<Finding> {
    let members: Vec<usize> = group.paths.iter().filter_map(|(path, _)| places.get(path.as_str()).copied()).collect();
    let kind = match group.kind {
        DuplicateKind::AcrossSplits => Kind::DuplicateAcrossSplits,
        DuplicateKind::Contradiction => Kind::ConflictingLabels,
        DuplicateKind::Repetition => Kind::ExactDuplicate,
    };
    let first = &group.paths[0].0;
    let pairs = group.paths[1..].iter().take(TOLD).map(|(path, _)| Pair {
        a: first.clone(),
        b: path.clone(),
        distance: Some(0),
        similarity: 1.0,
        mirrored: false,
    });
    let message = format!("{} files have the same bytes: {}", members.len(), tell(survey, &members));
    let finding =
        Finding { removable: group.dropped.clone(), ..grouped(kind, survey, &members, message, pairs.collect()) };
    let conflict = (kind == Kind::DuplicateAcrossSplits)
        .then(|| conflict(survey, &members, &finding.pairs, Severity::Error))
        .flatten();
    std::iter::once(finding).chain(conflict).collect()
}

/// Of files with equal bytes the first one, and all of them by it: copies need not be compared with each other.
pub(crate) struct Copies {
    /// The first file of each content that can be recognised.
    pub(crate) first: Vec<usize>,
    all: BTreeMap<usize, Vec<usize>>,
}

impl Copies {
    pub(crate) fn of(facts: &[Facts]) -> Self {
        let mut first_of: HashMap<&Sha256Hex, usize> = HashMap::new();
        let mut all: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (i, hash) in facts.iter().enumerate().filter_map(|(i, f)| Some((i, f.sha256.as_ref()?))) {
            all.entry(*first_of.entry(hash).or_insert(i)).or_default().push(i);
        }
        Self { first: all.keys().copied().collect(), all }
    }

    fn expand(&self, members: &[usize]) -> Vec<usize> {
        let mut all: Vec<usize> = members
            .iter()
            .flat_map(|m| self.all.get(m).map_or(std::slice::from_ref(m), Vec::as_slice))
            .copied()
            .collect();
        all.sort_unstable();
        all
    }
}

/// Groups of files that look nearly the same; `pairs` are of files.
pub(crate) fn near(
    survey: &Survey,
    facts: &[Facts],
    copies: &Copies,
    pairs: &[NearPair],
    settings: &CheckSettings,
) -> Vec<Finding> {
    let told = |p: &NearPair| Pair {
        a: survey.files[p.a].path.clone(),
        b: survey.files[p.b].path.clone(),
        distance: Some(p.distance),
        similarity: f64::from(p.similarity),
        mirrored: p.mirrored,
    };
    let edges: Vec<(usize, usize, Pair)> = pairs.iter().map(|p| (p.a, p.b, told(p))).collect();
    let kinds = (Kind::NearDuplicate, Kind::NearDuplicateAcrossSplits);
    let mut found = Vec::new();
    for (members, pairs) in group(survey.files.len(), &edges) {
        let members = copies.expand(&members);
        let what = if pairs.iter().all(|p| p.mirrored) { "are mirror images" } else { "look nearly the same" };
        let message = format!("{} files {what}: {}", members.len(), tell(survey, &members));
        let mut finding = alike(kinds, survey, facts, &members, message, pairs);
        finding = finding.with_least(settings.near_similarity);
        let conflict = conflict(survey, &members, &finding.pairs, Severity::Warning);
        found.push(finding);
        found.extend(conflict);
    }
    found
}

/// Groups of files that are alike in features and not already near duplicates.
pub(crate) fn featured(
    survey: &Survey,
    facts: &[Facts],
    copies: &Copies,
    pairs: &[FeaturePair],
    near: &[NearPair],
    settings: &CheckSettings,
) -> Vec<Finding> {
    let known: std::collections::HashSet<(usize, usize)> = near.iter().map(|p| (p.a, p.b)).collect();
    let told = |p: &FeaturePair| Pair {
        a: survey.files[p.a].path.clone(),
        b: survey.files[p.b].path.clone(),
        distance: None,
        similarity: f64::from(p.cosine),
        mirrored: false,
    };
    let new = pairs.iter().filter(|p| !known.contains(&(p.a, p.b)));
    let edges: Vec<(usize, usize, Pair)> = new.map(|p| (p.a, p.b, told(p))).collect();
    let kinds = (Kind::SimilarFeatures, Kind::SimilarFeaturesAcrossSplits);
    let groups = group(survey.files.len(), &edges).into_iter();
    groups
        .map(|(members, pairs)| {
            let members = copies.expand(&members);
            let message = format!("{} files are alike in features: {}", members.len(), tell(survey, &members));
            alike(kinds, survey, facts, &members, message, pairs).with_least(settings.feature_similarity)
        })
        .collect()
}

/// Connected files, with the pairs that connect them, the closest first.
fn group(n: usize, edges: &[(usize, usize, Pair)]) -> Vec<(Vec<usize>, Vec<Pair>)> {
    let mut groups = Groups::new(n);
    edges.iter().for_each(|(a, b, _)| groups.join(*a, *b));
    let members = groups.into_members();
    let mut group_of: HashMap<usize, usize> = HashMap::new();
    members.iter().enumerate().for_each(|(g, m)| group_of.extend(m.iter().map(|i| (*i, g))));
    let mut pairs: Vec<Vec<Pair>> = vec![Vec::new(); members.len()];
    edges.iter().for_each(|(a, _, pair)| pairs[group_of[a]].push(pair.clone()));
    for of_group in &mut pairs {
        of_group.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
        of_group.truncate(TOLD);
    }
    members.into_iter().zip(pairs).collect()
}

fn split_of(survey: &Survey, file: usize) -> Split {
    survey.files[file].split.unwrap_or(Split::Train)
}

/// A group, across splits or within one. What can go: across splits, all that is not in the test split, else val; within
/// a split, all but the largest image. Where labels conflict, a person must choose.
fn alike(
    (within, across): (Kind, Kind),
    survey: &Survey,
    facts: &[Facts],
    members: &[usize],
    message: String,
    pairs: Vec<Pair>,
) -> Finding {
    let kept_split = members.iter().map(|m| split_of(survey, *m)).max().unwrap_or(Split::Train);
    let crosses = members.iter().any(|m| split_of(survey, *m) != kept_split);
    let one_class = members.iter().all(|m| survey.files[*m].class == survey.files[members[0]].class);
    let best = members.iter().copied().max_by_key(|m| (facts[*m].area(), std::cmp::Reverse(*m)));
    let goes = |m: &usize| match (crosses, one_class) {
        (true, _) => split_of(survey, *m) != kept_split,
        (false, true) => Some(*m) != best,
        (false, false) => false,
    };
    let removable = members.iter().filter(|m| goes(m)).map(|m| survey.files[*m].path.clone()).collect();
    let kind = if crosses { across } else { within };
    Finding { removable, ..grouped(kind, survey, members, message, pairs) }
}

fn grouped(kind: Kind, survey: &Survey, members: &[usize], message: String, pairs: Vec<Pair>) -> Finding {
    let files: Vec<FileRef> = members.iter().map(|m| FileRef::of(survey, *m)).collect();
    let class = files.first().map(|f| f.class.clone());
    Finding { files, pairs, class, ..Finding::new(kind, message) }
}

fn conflict(survey: &Survey, members: &[usize], pairs: &[Pair], severity: Severity) -> Option<Finding> {
    let mut classes: Vec<&str> = members.iter().map(|m| survey.classes[survey.files[*m].class].as_str()).collect();
    classes.sort_unstable();
    classes.dedup();
    (classes.len() > 1).then(|| {
        let message = format!("one picture is labelled {}: {}", classes.join(" and "), tell(survey, members));
        Finding { severity, ..grouped(Kind::ConflictingLabels, survey, members, message, pairs.to_vec()) }
    })
}

/// The first files of a group, with their splits where there are any.
fn tell(survey: &Survey, members: &[usize]) -> String {
    let name = |m: &usize| {
        let file = &survey.files[*m];
        file.split.map_or_else(|| file.path.clone(), |split| format!("{} ({split})", file.path))
    };
    let more = if members.len() > 4 { format!(" and {} more", members.len() - 4) } else { String::new() };
    members.iter().take(4).map(name).collect::<Vec<_>>().join(" = ") + &more
}

impl Finding {
    /// The least similarity of the pairs is what was measured.
    fn with_least(self, threshold: f64) -> Self {
        let least = self.pairs.iter().map(|p| p.similarity).fold(f64::INFINITY, f64::min);
        self.measured(least, threshold)
    }
}
