//! What is told of the way to a frozen dataset.

use super::{Problem, Report};
use crate::{
    duplicates::{DuplicateGroup, DuplicateKind},
    error::{LISTED, listed},
    leakage::Near,
    split::TooFew,
};

pub(super) fn notes_on(skipped: &[Problem], groups: &[DuplicateGroup]) -> Vec<String> {
    let mut notes: Vec<String> =
        skipped.iter().take(LISTED).map(|(path, reason)| format!("left out {path}: {reason}")).collect();
    if skipped.len() > LISTED {
        notes.push(format!(
            "left out {} more images that cannot be read, see {}",
            skipped.len() - LISTED,
            Report::FILE
        ));
    }
    let dropped = |wanted: fn(DuplicateKind) -> bool| {
        groups.iter().filter(|g| wanted(g.kind)).map(|g| g.dropped.len()).sum::<usize>()
    };
    let repeated = dropped(|k| k == DuplicateKind::Repetition);
    if repeated > 0 {
        notes.push(format!("{repeated} files repeat another of their class and were left out, see {}", Report::FILE));
    }
    let spoiling = dropped(|k| k != DuplicateKind::Repetition);
    if spoiling > 0 {
        notes.push(format!(
            "{spoiling} files equal to others in another split or class were left out, see {}",
            Report::FILE
        ));
    }
    let allowed = groups.iter().filter(|g| g.dropped.is_empty()).count();
    if allowed > 0 {
        notes.push(format!(
            "{allowed} sets of equal files were kept (data.on_duplicate=allow): figures on val and test may be too good"
        ));
    }
    notes
}

pub(super) fn notes_on_near(near: &Near, moved: usize) -> Vec<String> {
    let mut notes = Vec::new();
    match (near.across.len(), near.dropped.len()) {
        (0, _) => {}
        (pairs, 0) => notes.push(format!(
            "{pairs} pairs of images look nearly the same in different splits (data.on_near_duplicate=warn), see {}: \
             figures on val and test may be too good, as by {}",
            Report::FILE,
            near.across[0]
        )),
        (_, dropped) => notes.push(format!(
            "{dropped} images that look nearly like others in val or test were left out, see {}",
            Report::FILE
        )),
    }
    if moved > 0 {
        notes.push(format!("{moved} images went to the split of others that look nearly the same"));
    }
    notes
}

pub(super) fn too_few_message(too_few: &[TooFew]) -> String {
    let classes: Vec<String> = too_few.iter().map(|t| format!("'{}' ({} images)", t.class, t.images)).collect();
    let (needed, splits) = too_few
        .first()
        .map(|t| (t.needed, t.splits.iter().map(|s| s.name()).collect::<Vec<_>>().join(", ")))
        .unwrap_or_default();
    format!(
        "too few images to split: {}; each class needs at least {needed}, one for each of {splits}. Add images, remove \
         the class, or set a share of data.train_val_test_split to 0",
        listed(&classes, ", ")
    )
}
