//! What changed between two versions, by file and by class.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kidu_core::Sha256Hex;
use serde::{Deserialize, Serialize};

use super::version::{Version, VersionFile};

/// What changed between two versions. Each list is sorted by path; of moves by the path before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Files whose content was nowhere to be found before, at paths that were free, or one more copy of a content.
    pub added: Vec<VersionFile>,
    /// Files that are gone, and their content with them, or one copy of it.
    pub removed: Vec<VersionFile>,
    /// Files with another content.
    pub changed: Vec<FileChange>,
    /// Files with the same content and class and split at another path.
    pub moved: Vec<Move>,
    /// Files with the same content under another class or in another split, at another path or, by a list, at the same.
    pub relabelled: Vec<Move>,
    /// Folders that became empty or were made.
    pub empty_folders_added: Vec<String>,
    /// Empty folders that are gone or were filled.
    pub empty_folders_removed: Vec<String>,
}

/// A file with another content at the same path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Before.
    pub before: VersionFile,
    /// After.
    pub after: VersionFile,
}

/// A content at another place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Move {
    /// Before.
    pub before: VersionFile,
    /// After.
    pub after: VersionFile,
}

/// How many files changed, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeCounts {
    /// New files.
    pub added: u64,
    /// Files that are gone.
    pub removed: u64,
    /// Files with another content.
    pub changed: u64,
    /// Files at another path.
    pub moved: u64,
    /// Files under another class or split.
    pub relabelled: u64,
}

/// One class before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClassChange {
    /// The class; nothing for the files that are no labelled images.
    pub class: Option<String>,
    /// Files before.
    pub before: u64,
    /// Files after.
    pub after: u64,
    /// New files.
    pub added: u64,
    /// Files that are gone.
    pub removed: u64,
    /// Files with another content.
    pub changed: u64,
    /// Files at another path, of the same class and split.
    pub moved: u64,
    /// Files that came from another class.
    pub gained: u64,
    /// Files that went to another class.
    pub lost: u64,
    /// Files of the class that went to another split.
    pub resplit: u64,
}

/// Compares two versions; nothing stands for a version without files. Turning the two round turns the result round.
///
/// A content that is gone from one path and new at another counts as moved, or as relabelled where class or split
/// differ. Of several copies those with the same file name belong together first, then those with the same class and
/// split, then those with the same class.
pub fn diff(before: Option<&Version>, after: &Version) -> Diff {
    let empty = Vec::new();
    let (old, new) = (before.map_or(&empty, |v| &v.files), &after.files);
    let mut result = Diff::default();
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    for (b, a) in by_path(old, new) {
        match (b, a) {
            (Some(b), Some(a)) if b.sha256 != a.sha256 => {
                result.changed.push(FileChange { before: b.clone(), after: a.clone() });
            }
            (Some(b), Some(a)) if !same_label(b, a) => {
                result.relabelled.push(Move { before: b.clone(), after: a.clone() });
            }
            (Some(_), Some(_)) | (None, None) => {}
            (Some(b), None) => gone.push(b),
            (None, Some(a)) => come.push(a),
        }
    }
    for (b, a) in pair(&mut gone, &mut come) {
        let list = if same_label(b, a) { &mut result.moved } else { &mut result.relabelled };
        list.push(Move { before: b.clone(), after: a.clone() });
    }
    for list in [&mut result.moved, &mut result.relabelled] {
        list.sort_by(|a, b| (&a.before.path, &a.after.path).cmp(&(&b.before.path, &b.after.path)));
    }
    result.removed = gone.into_iter().cloned().collect();
    result.added = come.into_iter().cloned().collect();
    let folders = |v: Option<&Version>| v.iter().flat_map(|v| v.empty_folders.clone()).collect::<BTreeSet<_>>();
    let (old, new) = (folders(before), folders(Some(after)));
    result.empty_folders_added = new.difference(&old).cloned().collect();
    result.empty_folders_removed = old.difference(&new).cloned().collect();
    result
}

fn same_label(a: &VersionFile, b: &VersionFile) -> bool {
    (&a.class, a.split) == (&b.class, b.split)
}

/// Both lists, which are sorted by path, side by side.
fn by_path<'a>(
    old: &'a [VersionFile],
    new: &'a [VersionFile],
) -> Vec<(Option<&'a VersionFile>, Option<&'a VersionFile>)> {
    let mut pairs = Vec::with_capacity(old.len().max(new.len()));
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(b), Some(a)) => b.path.cmp(&a.path),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return pairs,
        };
        pairs.push((if order.is_le() { old.next() } else { None }, if order.is_ge() { new.next() } else { None }));
    }
}

type Key<'a> = (&'a Sha256Hex, Option<&'a str>, Option<(&'a Option<String>, Option<kidu_core::Split>)>);

/// Takes from both lists the files that have a partner of equal content in the other. The two lists are treated alike,
/// so that the pairs do not depend on which is which.
fn pair<'a>(
    gone: &mut Vec<&'a VersionFile>,
    come: &mut Vec<&'a VersionFile>,
) -> Vec<(&'a VersionFile, &'a VersionFile)> {
    fn name(file: &VersionFile) -> &str {
        file.path.rsplit('/').next().unwrap_or_default()
    }
    let keys: [for<'b> fn(&'b VersionFile) -> Key<'b>; 5] = [
        |f| (&f.sha256, Some(name(f)), Some((&f.class, f.split))),
        |f| (&f.sha256, Some(name(f)), None),
        |f| (&f.sha256, None, Some((&f.class, f.split))),
        |f| (&f.sha256, None, Some((&f.class, None))),
        |f| (&f.sha256, None, None),
    ];
    let mut pairs = Vec::new();
    for key in keys {
        let mut waiting: HashMap<Key<'a>, Vec<usize>> = HashMap::new();
        // Both are sorted by path: the first of one goes with the first of the other.
        for (i, file) in gone.iter().enumerate().rev() {
            waiting.entry(key(file)).or_default().push(i);
        }
        let (mut taken, before) = (vec![false; gone.len()], gone.clone());
        come.retain(|a| match waiting.get_mut(&key(a)).and_then(Vec::pop) {
            Some(i) => {
                taken[i] = true;
                pairs.push((before[i], *a));
                false
            }
            None => true,
        });
        let mut taken = taken.into_iter();
        gone.retain(|_| !taken.next().unwrap_or_default());
    }
    pairs
}

impl Diff {
    /// Whether the two are the same.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many files changed, and how.
    pub fn counts(&self) -> ChangeCounts {
        ChangeCounts {
            added: self.added.len() as u64,
            removed: self.removed.len() as u64,
            changed: self.changed.len() as u64,
            moved: self.moved.len() as u64,
            relabelled: self.relabelled.len() as u64,
        }
    }

    /// The same change the other way round.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let turn = |moves: &[Move]| {
            let mut moves: Vec<_> =
                moves.iter().map(|m| Move { before: m.after.clone(), after: m.before.clone() }).collect();
            moves.sort_by(|a, b| (&a.before.path, &a.after.path).cmp(&(&b.before.path, &b.after.path)));
            moves
        };
        let change = |c: &FileChange| FileChange { before: c.after.clone(), after: c.before.clone() };
        Self {
            added: self.removed.clone(),
            removed: self.added.clone(),
            changed: self.changed.iter().map(change).collect(),
            moved: turn(&self.moved),
            relabelled: turn(&self.relabelled),
            empty_folders_added: self.empty_folders_removed.clone(),
            empty_folders_removed: self.empty_folders_added.clone(),
        }
    }

    /// The change of each class of either version, sorted by name, files without a class last (if there are any).
    pub fn by_class(&self, before: Option<&Version>, after: &Version) -> Vec<ClassChange> {
        let mut rows: BTreeMap<(bool, Option<String>), ClassChange> = BTreeMap::new();
        {
            let mut count = |file: &VersionFile, add: fn(&mut ClassChange)| {
                let row = rows.entry((file.class.is_none(), file.class.clone())).or_default();
                row.class.clone_from(&file.class);
                add(row);
            };
            before.iter().flat_map(|v| &v.files).for_each(|f| count(f, |r| r.before += 1));
            after.files.iter().for_each(|f| count(f, |r| r.after += 1));
            self.added.iter().for_each(|f| count(f, |r| r.added += 1));
            self.removed.iter().for_each(|f| count(f, |r| r.removed += 1));
            self.moved.iter().for_each(|m| count(&m.after, |r| r.moved += 1));
            let pairs = self.changed.iter().map(|c| (&c.before, &c.after, true));
            for (b, a, content) in pairs.chain(self.relabelled.iter().map(|m| (&m.before, &m.after, false))) {
                if content {
                    count(a, |r| r.changed += 1);
                }
                if b.class != a.class {
                    count(b, |r| r.lost += 1);
                    count(a, |r| r.gained += 1);
                } else if b.split != a.split {
                    count(a, |r| r.resplit += 1);
                }
            }
        }
        rows.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use kidu_core::Split;
    use proptest::prelude::*;

    use super::{
        super::version::tests::{file, version},
        *,
    };

    fn paths(moves: &[Move]) -> Vec<(&str, &str)> {
        moves.iter().map(|m| (m.before.path.as_str(), m.after.path.as_str())).collect()
    }

    #[test]
    fn each_kind_of_change_is_told_from_the_others() {
        let before = version(vec![
            file("a/1", "one", "a", None),
            file("a/2", "two", "a", None),
            file("a/3", "three", "a", None),
            file("a/4", "four", "a", None),
            file("b/5", "five", "b", None),
            file("notes", "n", "", None),
        ]);
        let after = version(vec![
            file("a/1", "one", "a", None),
            file("b/2", "two", "b", None),
            file("a/three", "three", "a", None),
            file("a/4", "FOUR", "a", None),
            file("b/6", "six", "b", None),
            file("notes", "n", "", None),
        ]);
        let found = diff(Some(&before), &after);
        assert_eq!(paths(&found.relabelled), [("a/2", "b/2")]);
        assert_eq!(paths(&found.moved), [("a/3", "a/three")]);
        assert_eq!((found.changed.len(), &found.changed[0].after.path[..]), (1, "a/4"));
        assert_eq!((&found.added[0].path[..], &found.removed[0].path[..]), ("b/6", "b/5"));
        let rows = found.by_class(Some(&before), &after);
        let names: Vec<_> = rows.iter().map(|r| r.class.as_deref()).collect();
        assert_eq!(names, [Some("a"), Some("b"), None]);
        let (a, b) = (&rows[0], &rows[1]);
        assert_eq!((a.before, a.after, a.lost, a.moved, a.changed), (4, 3, 1, 1, 1));
        assert_eq!((b.before, b.after, b.gained, b.added, b.removed), (1, 2, 1, 1, 1));
        assert_eq!((rows[2].before, rows[2].after), (1, 1));
    }

    #[test]
    fn copies_go_with_their_nearest_kin() {
        let before = version(vec![file("a/1", "x", "a", None), file("a/2", "x", "a", None)]);
        let after = version(vec![file("a/3", "x", "a", None), file("b/1", "x", "b", None)]);
        let found = diff(Some(&before), &after);
        assert_eq!(paths(&found.relabelled), [("a/1", "b/1")]);
        assert_eq!(paths(&found.moved), [("a/2", "a/3")]);
    }

    #[test]
    fn a_list_relabels_a_file_where_it_is() {
        let before = version(vec![file("1", "x", "a", Some(Split::Train))]);
        let after = version(vec![file("1", "x", "a", Some(Split::Test))]);
        let found = diff(Some(&before), &after);
        assert_eq!(paths(&found.relabelled), [("1", "1")]);
        assert_eq!(found.by_class(Some(&before), &after)[0].resplit, 1);
        assert!(diff(Some(&before), &before).is_empty());
        assert_eq!(diff(None, &before).counts().added, 1);
    }

    /// Few names, contents and classes, so that everything happens.
    fn any_version() -> impl Strategy<Value = Version> {
        let entry = ("[ab]/[1-3]{1,2}", "[xyz]", "[ab]", proptest::option::of(Just(Split::Test)));
        proptest::collection::vec(entry, 0..14).prop_map(|entries| {
            let files: BTreeMap<String, VersionFile> = entries
                .into_iter()
                .map(|(path, content, class, split)| (path.clone(), file(&path, &content, &class, split)))
                .collect();
            version(files.into_values().collect())
        })
    }

    proptest! {
        #[test]
        fn turned_round_it_is_the_inverse(a in any_version(), b in any_version()) {
            let there = diff(Some(&a), &b);
            prop_assert_eq!(&diff(Some(&b), &a), &there.inverse());
            prop_assert_eq!(&there.inverse().inverse(), &there);
            prop_assert_eq!(there.is_empty(), a.id == b.id);
        }

        #[test]
        fn applied_to_the_first_it_gives_the_second(a in any_version(), b in any_version()) {
            let change = diff(Some(&a), &b);
            let mut files: BTreeMap<String, VersionFile> = a.files.iter().map(|f| (f.path.clone(), f.clone())).collect();
            let moves = || change.moved.iter().chain(&change.relabelled);
            for gone in change.removed.iter().chain(moves().map(|m| &m.before)) {
                prop_assert_eq!(&files.remove(&gone.path), &Some(gone.clone()));
            }
            let changed = change.changed.iter().map(|c| &c.after);
            for come in change.added.iter().chain(moves().map(|m| &m.after)).chain(changed) {
                files.insert(come.path.clone(), come.clone());
            }
            prop_assert_eq!(files.into_values().collect::<Vec<_>>(), b.files.clone());
            for row in change.by_class(Some(&a), &b) {
                prop_assert_eq!(row.before + row.added + row.gained, row.after + row.removed + row.lost);
            }
        }
    }
}
