//! Which of the files with equal bytes stay: a decision on hashes alone, no file is touched.

use std::collections::BTreeMap;

use kidu_core::{Sha256Hex, Split};
use serde::Serialize;

use crate::settings::OnDuplicate;

/// What the decision needs to know of a file.
#[derive(Clone, Copy, Debug)]
pub struct Fingerprint<'a> {
    /// Path relative to the dataset's root; unique.
    pub path: &'a str,
    /// Index of its class.
    pub label: usize,
    /// The split that was given; `None` and `Train` are the same pool.
    pub given: Option<Split>,
    /// Hash of its bytes.
    pub sha256: &'a Sha256Hex,
}

/// A set of files with equal bytes, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DuplicateGroup {
    /// Hash of the bytes.
    pub sha256: Sha256Hex,
    /// The files, sorted, each with its given split ("train" for the pool that is still to be divided).
    pub paths: Vec<(String, Split)>,
    /// Why it matters.
    pub kind: DuplicateKind,
    /// The files that are left out.
    pub dropped: Vec<String>,
}

/// Why equal files matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateKind {
    /// In two splits: a model would be judged on what it has seen.
    AcrossSplits,
    /// In one split under two classes: one of the labels is wrong.
    Contradiction,
    /// In one split and class: only a waste.
    Repetition,
}

impl DuplicateGroup {
    /// The group as one line of a message.
    pub(crate) fn line(&self) -> String {
        let files: Vec<String> = self.paths.iter().map(|(path, split)| format!("{path} ({split})")).collect();
        let kind = match self.kind {
            DuplicateKind::AcrossSplits => "in two splits",
            DuplicateKind::Contradiction => "under two classes",
            DuplicateKind::Repetition => "twice",
        };
        format!("{kind}: {}", files.join(" = "))
    }
}

/// Finds the files with equal bytes and decides which are left out.
///
/// - A repetition within one split and class: the first path is kept, so that the later division of the training pool
///   cannot part the copies. With `allow` all are kept.
/// - Equal bytes across given splits: `error` refuses, `drop` keeps the copy in test, else val, else train.
/// - Equal bytes under different classes within the split that would be kept: `error` refuses, `drop` leaves all of
///   them out, since nobody knows which label is right.
///
/// # Errors
/// The groups that `error` refuses, sorted by their first path.
pub fn resolve(files: &[Fingerprint<'_>], policy: OnDuplicate) -> Result<Vec<DuplicateGroup>, Vec<DuplicateGroup>> {
    let mut by_hash: BTreeMap<&Sha256Hex, Vec<&Fingerprint<'_>>> = BTreeMap::new();
    for file in files {
        by_hash.entry(file.sha256).or_default().push(file);
    }
    let mut groups: Vec<DuplicateGroup> =
        by_hash.into_values().filter(|g| g.len() > 1).map(|g| decide(g, policy)).collect();
    groups.sort_by(|a, b| a.paths.cmp(&b.paths));
    let refused: Vec<DuplicateGroup> = groups.iter().filter(|g| g.kind != DuplicateKind::Repetition).cloned().collect();
    if policy == OnDuplicate::Error && !refused.is_empty() { Err(refused) } else { Ok(groups) }
}

fn decide(mut group: Vec<&Fingerprint<'_>>, policy: OnDuplicate) -> DuplicateGroup {
    let split_of = |f: &Fingerprint<'_>| f.given.unwrap_or(Split::Train);
    group.sort_by_key(|f| f.path);
    // Test is the greatest split, train the least.
    let kept_split = group.iter().map(|f| split_of(f)).max().unwrap_or(Split::Train);
    let kept: Vec<_> = group.iter().filter(|f| split_of(f) == kept_split).collect();
    let contradicts = kept.iter().any(|f| f.label != kept[0].label);
    let kind = match (kept.len() < group.len(), contradicts) {
        (true, _) => DuplicateKind::AcrossSplits,
        (false, true) => DuplicateKind::Contradiction,
        (false, false) => DuplicateKind::Repetition,
    };
    let keep = if contradicts { None } else { kept.first().map(|f| f.path) };
    let dropped = match policy {
        OnDuplicate::Allow => Vec::new(),
        _ => group.iter().filter(|f| Some(f.path) != keep).map(|f| f.path.to_string()).collect(),
    };
    let paths = group.iter().map(|f| (f.path.to_string(), split_of(f))).collect();
    DuplicateGroup { sha256: group[0].sha256.clone(), paths, kind, dropped }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(
        files: &[(&str, usize, Option<Split>, &str)],
        policy: OnDuplicate,
    ) -> Result<Vec<DuplicateGroup>, Vec<DuplicateGroup>> {
        let hashes: Vec<Sha256Hex> = files.iter().map(|f| Sha256Hex::of_bytes(f.3.as_bytes())).collect();
        let prints: Vec<_> = files
            .iter()
            .zip(&hashes)
            .map(|((path, label, given, _), sha256)| Fingerprint { path, label: *label, given: *given, sha256 })
            .collect();
        resolve(&prints, policy)
    }

    #[test]
    fn across_splits_is_refused_or_the_test_copy_kept() {
        let files =
            [("train/a", 0, Some(Split::Train), "x"), ("test/a", 0, Some(Split::Test), "x"), ("c", 1, None, "y")];
        let refused = run(&files, OnDuplicate::Error).unwrap_err();
        assert_eq!(refused[0].kind, DuplicateKind::AcrossSplits);
        assert_eq!(refused[0].line(), "in two splits: test/a (test) = train/a (train)");
        assert_eq!(run(&files, OnDuplicate::Drop).unwrap()[0].dropped, ["train/a"]);
        assert!(run(&files, OnDuplicate::Allow).unwrap()[0].dropped.is_empty());
    }

    #[test]
    fn contradicting_labels_all_go() {
        let files = [("a/1", 0, None, "x"), ("b/1", 1, Some(Split::Train), "x")];
        assert_eq!(run(&files, OnDuplicate::Error).unwrap_err()[0].kind, DuplicateKind::Contradiction);
        assert_eq!(run(&files, OnDuplicate::Drop).unwrap()[0].dropped, ["a/1", "b/1"]);
    }

    #[test]
    fn a_repetition_is_kept_once_by_default() {
        let files = [("a/2", 0, None, "x"), ("a/1", 0, None, "x"), ("a/3", 0, None, "z")];
        let groups = run(&files, OnDuplicate::Error).unwrap();
        assert_eq!((groups.len(), groups[0].dropped.as_slice()), (1, &["a/2".to_string()][..]));
        assert!(run(&files, OnDuplicate::Allow).unwrap()[0].dropped.is_empty());
    }
}
