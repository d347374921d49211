//! Near duplicates and splits: which images are left out, and which go to one split together. Decisions on groups alone,
//! no file is touched.

use kidu_core::Split;

use crate::{
    check::{CheckSettings, NearPair, Thumbnail, pairs},
    settings::OnNearDuplicate,
};

/// What the decision needs to know of an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    pub(crate) path: &'a str,
    /// The split that was given; `None` and `Train` are the same pool.
    pub(crate) given: Option<Split>,
    pub(crate) thumbnail: Option<&'a Thumbnail>,
}

/// Images that look nearly the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Near {
    /// Places of the images of each group, sorted.
    pub(crate) groups: Vec<Vec<usize>>,
    /// One line for each pair across given splits.
    pub(crate) across: Vec<String>,
    /// Places of the images that `drop` leaves out, sorted.
    pub(crate) dropped: Vec<usize>,
}

/// Finds near duplicates and those that lie in different given splits.
///
/// # Errors
/// The pairs that `error` refuses, one line each.
pub(crate) fn find(
    images: &[Look<'_>],
    policy: OnNearDuplicate,
    settings: &CheckSettings,
) -> Result<Near, Vec<String>> {
    if policy == OnNearDuplicate::Allow {
        return Ok(Near::default());
    }
    let thumbnails: Vec<_> = images.iter().map(|i| i.thumbnail).collect();
    let near = resolve(images, &pairs(&thumbnails, settings), policy);
    if policy == OnNearDuplicate::Error && !near.across.is_empty() { Err(near.across) } else { Ok(near) }
}

fn resolve(images: &[Look<'_>], pairs: &[NearPair], policy: OnNearDuplicate) -> Near {
    let split = |i: usize| images[i].given.unwrap_or(Split::Train);
    let across = pairs.iter().filter(|p| split(p.a) != split(p.b)).map(|p| {
        let mirrored = if p.mirrored { ", mirrored" } else { "" };
        let name = |i: usize| format!("{} ({})", images[i].path, split(i));
        format!("{} ~ {} (similarity {:.2}{mirrored})", name(p.a), name(p.b), p.similarity)
    });
    let mut groups = crate::check::Groups::new(images.len());
    pairs.iter().for_each(|p| groups.join(p.a, p.b));
    let groups = groups.into_members();
    let mut dropped = Vec::new();
    if policy == OnNearDuplicate::Drop {
        for group in &groups {
            let kept = group.iter().map(|i| split(*i)).max().unwrap_or(Split::Train);
            dropped.extend(group.iter().copied().filter(|i| split(*i) != kept));
        }
        dropped.sort_unstable();
    }
    Near { across: across.collect(), dropped, groups }
}

/// An image whose split was decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) label: usize,
    pub(crate) given: Option<Split>,
    pub(crate) split: Split,
}

/// Moves the images of each group that the division has put into several splits to the one that has most of them (of
/// equals, the first of train, val, test), so that no picture and its near copy are on both sides. Given splits stay; a
/// class is never left without an image in a split that it had one in. Returns how many images changed their split.
pub(crate) fn keep_together(groups: &[Vec<usize>], images: &mut [Placed]) -> usize {
    let classes = images.iter().map(|i| i.label + 1).max().unwrap_or(0);
    let mut counts = vec![[0usize; 3]; classes];
    images.iter().for_each(|i| counts[i.label][i.split as usize] += 1);
    let mut moved = 0;
    for group in groups {
        let divided = |i: &&usize| matches!(images[**i].given, None | Some(Split::Train));
        let members: Vec<usize> = group.iter().filter(divided).copied().collect();
        let in_split = |split: Split| members.iter().filter(|i| images[**i].split == split).count();
        let Some(home) = Split::ALL.into_iter().rev().max_by_key(|s| in_split(*s)) else { continue };
        for i in members {
            let Placed { label, split, .. } = images[i];
            if split != home && counts[label][split as usize] > 1 {
                counts[label][split as usize] -= 1;
                counts[label][home as usize] += 1;
                images[i].split = home;
                moved += 1;
            }
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAIN: Option<Split> = Some(Split::Train);
    const TEST: Option<Split> = Some(Split::Test);

    fn pair(a: usize, b: usize) -> NearPair {
        NearPair { a, b, distance: 4, similarity: 0.9, mirrored: false }
    }

    fn looks(given: &[Option<Split>]) -> Vec<Look<'static>> {
        given.iter().map(|given| Look { path: "x", given: *given, thumbnail: None }).collect()
    }

    #[test]
    fn what_crosses_given_splits_is_told_and_dropped_on_the_training_side() {
        let images = looks(&[TRAIN, TEST, TRAIN, TRAIN, None]);
        let near = resolve(&images, &[pair(0, 1), pair(0, 2), pair(3, 4)], OnNearDuplicate::Drop);
        assert_eq!(near.across, ["x (train) ~ x (test) (similarity 0.90)"]);
        assert_eq!((near.groups, near.dropped), (vec![vec![0, 1, 2], vec![3, 4]], vec![0, 2]));
        assert!(resolve(&images, &[pair(0, 1)], OnNearDuplicate::Warn).dropped.is_empty());
    }

    #[test]
    fn groups_that_were_divided_come_together_and_no_class_vanishes() {
        let placed = |label, given, split| Placed { label, given, split };
        let (train, val, test) = (Split::Train, Split::Val, Split::Test);
        let mut images = [
            placed(0, None, train),
            placed(0, None, val),
            placed(0, None, val),
            placed(0, None, train),
            placed(1, None, train),
            placed(1, None, val),
            placed(0, TEST, test),
        ];
        // Most of the first group lie in val; the only val image of class 1 stays; a given split stays.
        let moved = keep_together(&[vec![0, 1, 2, 6], vec![4, 5]], &mut images);
        let splits: Vec<Split> = images.iter().map(|i| i.split).collect();
        assert_eq!((moved, splits), (1, vec![val, val, val, train, train, val, test]));
    }
}
