//! From several answers about one image to one label, by a stated rule. A pure function.

use std::{cmp::Ordering, collections::BTreeMap, fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::annotation::System;

/// One usable answer: what is kept of an annotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// The class that was chosen, after mapping.
    pub label: String,
    /// Whose number `id` is.
    pub system: System,
    /// The annotation's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotator: Option<String>,
    /// Counts before all others. `None` where the source's format does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground_truth: Option<bool>,
    /// When it was last touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// The project or file that it is part of.
    pub source: String,
    /// The file or object and the place in it.
    pub origin: String,
}

impl Vote {
    /// Whether it is a ground truth for all that is known.
    pub fn is_ground_truth(&self) -> bool {
        self.ground_truth == Some(true)
    }
}

/// What is done where annotators disagree and no ground truth decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// The class that most annotators chose; where several have most, the newest answer among them.
    #[default]
    Majority,
    /// The newest answer.
    Newest,
    /// The image is left out.
    Drop,
    /// The import is refused.
    Error,
}

impl FromStr for OnConflict {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "majority" => Ok(Self::Majority),
            "newest" => Ok(Self::Newest),
            "drop" => Ok(Self::Drop),
            "error" => Ok(Self::Error),
            _ => Err(format!("unknown rule '{text}'; use majority, newest, drop or error")),
        }
    }
}

/// Why a label is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// There is one answer.
    Only,
    /// One annotator answered more than once, differently: the newest.
    Revised,
    /// All agree.
    Agreed,
    /// A ground truth.
    GroundTruth,
    /// Most annotators.
    Majority,
    /// As many for each: the newest answer.
    MajorityTieNewest,
    /// The newest answer.
    Newest,
    /// No label: the annotators disagree.
    Dropped,
    /// No label: the annotators disagree, and that is an error.
    Refused,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Only => "only answer",
            Self::Revised => "newest of one annotator",
            Self::Agreed => "agreed",
            Self::GroundTruth => "ground truth",
            Self::Majority => "majority",
            Self::MajorityTieNewest => "majority, a tie: newest",
            Self::Newest => "newest",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
        })
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled<'a> {
    /// The answer that gives the label; `None` if there is no label.
    pub vote: Option<&'a Vote>,
    /// Why.
    pub rule: Rule,
    /// Whether annotators disagree, also where a ground truth decided.
    pub conflict: bool,
}

/// Decides on one image.
///
/// 1. Of each annotator one answer counts: a ground truth before others, then the newest. Answers without a known
///    annotator count each.
/// 2. If any of these is a ground truth, only ground truths count.
/// 3. If all that count agree, that is the label. Otherwise `on_conflict` decides.
///
/// The newest is by time, then by the number of the annotation, then the later in the list. `None` without any vote.
pub fn settle(votes: &[Vote], on_conflict: OnConflict) -> Option<Settled<'_>> {
    let mut current = newest_of_each(votes);
    let conflict = distinct(&current) > 1;
    let revised =
        votes.len() > current.len() && votes.iter().any(|v| Some(&v.label) != current.first().map(|c| &c.label));
    let truths: Vec<&Vote> = current.iter().copied().filter(|v| v.is_ground_truth()).collect();
    let by_truth = !truths.is_empty();
    if by_truth {
        current = truths;
    }
    let newest = current.iter().copied().enumerate().max_by(|a, b| order(a.1, b.1).then(a.0.cmp(&b.0)))?.1;
    if distinct(&current) == 1 {
        let rule = match () {
            () if by_truth => Rule::GroundTruth,
            () if current.len() > 1 => Rule::Agreed,
            () if revised => Rule::Revised,
            () => Rule::Only,
        };
        return Some(Settled { vote: Some(newest), rule, conflict });
    }
    let (vote, rule) = match on_conflict {
        OnConflict::Newest => (Some(newest), Rule::Newest),
        OnConflict::Drop => (None, Rule::Dropped),
        OnConflict::Error => (None, Rule::Refused),
        OnConflict::Majority => {
            let (leading, rule) = majority(&current);
            let among = current.iter().copied().enumerate().filter(|(_, v)| leading.contains(&v.label.as_str()));
            (among.max_by(|a, b| order(a.1, b.1).then(a.0.cmp(&b.0))).map(|(_, v)| v), rule)
        }
    };
    Some(Settled { vote, rule, conflict: true })
}

/// The answers that count: one of each annotator, in the order of the list.
pub(crate) fn newest_of_each(votes: &[Vote]) -> Vec<&Vote> {
    let mut best: BTreeMap<(System, &str), usize> = BTreeMap::new();
    let mut kept: Vec<usize> = Vec::new();
    for (i, vote) in votes.iter().enumerate() {
        let Some(annotator) = &vote.annotator else {
            kept.push(i);
            continue;
        };
        let best = best.entry((vote.system, annotator)).or_insert(i);
        if order(&votes[*best], vote) != Ordering::Greater {
            *best = i;
        }
    }
    kept.extend(best.into_values());
    kept.sort_unstable();
    kept.into_iter().map(|i| &votes[i]).collect()
}

/// Ground truths last, then by time, then by number.
fn order(a: &Vote, b: &Vote) -> Ordering {
    let number = |v: &Vote| v.id.as_deref().and_then(|id| id.parse::<u64>().ok());
    (a.is_ground_truth(), a.time, number(a)).cmp(&(b.is_ground_truth(), b.time, number(b)))
}

fn distinct(votes: &[&Vote]) -> usize {
    let mut labels: Vec<&str> = votes.iter().map(|v| v.label.as_str()).collect();
    labels.sort_unstable();
    labels.dedup();
    labels.len()
}

/// The labels with most votes, and whether that is one alone.
fn majority<'a>(votes: &[&'a Vote]) -> (Vec<&'a str>, Rule) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    votes.iter().for_each(|v| *counts.entry(v.label.as_str()).or_default() += 1);
    let most = counts.values().copied().max().unwrap_or(0);
    let leading: Vec<&str> = counts.into_iter().filter(|(_, n)| *n == most).map(|(l, _)| l).collect();
    let rule = if leading.len() == 1 { Rule::Majority } else { Rule::MajorityTieNewest };
    (leading, rule)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `annotator label time`, with `!` after the label for a ground truth and `?` for no annotator.
    pub(crate) fn vote(text: &str) -> Vote {
        let words: Vec<&str> = text.split(' ').collect();
        Vote {
            label: words[1].trim_end_matches('!').into(),
            system: System::LabelStudio,
            id: None,
            annotator: (words[0] != "?").then(|| words[0].into()),
            ground_truth: Some(words[1].ends_with('!')),
            time: Some(Timestamp::from_second(words[2].parse().unwrap()).unwrap()),
            source: "s".into(),
            origin: "o".into(),
        }
    }

    #[track_caller]
    fn check(votes: &[&str], on: OnConflict, label: Option<&str>, rule: Rule, conflict: bool) {
        let votes: Vec<Vote> = votes.iter().map(|v| vote(v)).collect();
        let settled = settle(&votes, on).unwrap();
        assert_eq!((settled.vote.map(|v| v.label.as_str()), settled.rule, settled.conflict), (label, rule, conflict));
    }

    #[test]
    fn the_rules_in_turn() {
        use OnConflict::{Drop, Error, Majority, Newest};
        check(&["1 sea 1"], Majority, Some("sea"), Rule::Only, false);
        check(&["1 sea 1", "1 glacier 2"], Majority, Some("glacier"), Rule::Revised, false);
        check(&["1 sea 2", "1 sea 1"], Majority, Some("sea"), Rule::Only, false);
        check(&["1 sea 1", "2 sea 2"], Majority, Some("sea"), Rule::Agreed, false);
        check(&["1 glacier! 1", "1 sea 2"], Majority, Some("glacier"), Rule::GroundTruth, false);
        check(&["1 glacier! 1", "2 sea 2", "3 sea 3"], Error, Some("glacier"), Rule::GroundTruth, true);
        check(&["1 a 9", "2 b 1", "3 b 2"], Majority, Some("b"), Rule::Majority, true);
        check(&["1 a 1", "2 b 2"], Majority, Some("b"), Rule::MajorityTieNewest, true);
        check(&["1 a 3", "2 b 1", "3 c 2", "4 b 1", "5 c 1"], Majority, Some("c"), Rule::MajorityTieNewest, true);
        check(&["1 a 9", "2 b 1", "3 b 2"], Newest, Some("a"), Rule::Newest, true);
        check(&["1 a 9", "2 b 1"], Drop, None, Rule::Dropped, true);
        check(&["1 a 9", "2 b 1"], Error, None, Rule::Refused, true);
        check(&["1 a! 1", "2 b! 2"], Newest, Some("b"), Rule::Newest, true);
        check(&["? a 1", "? a 2", "1 b 9"], Majority, Some("a"), Rule::Majority, true);
        assert_eq!(settle(&[], Majority), None);
    }

    proptest! {
        #[test]
        fn the_order_of_the_list_does_not_matter_when_times_differ(
            rows in prop::collection::vec((0u8..4, 0u8..3, any::<bool>()), 1..8), shift in 0usize..8,
        ) {
            let mut votes: Vec<Vote> = rows.iter().enumerate()
                .map(|(i, (who, what, truth))| vote(&format!("{who} c{what}{} {i}", if *truth { "!" } else { "" })))
                .collect();
            for on in [OnConflict::Majority, OnConflict::Newest, OnConflict::Drop] {
                let one = settle(&votes, on).map(|s| (s.vote.cloned(), s.rule, s.conflict));
                let by = shift % votes.len();
                votes.rotate_left(by);
                let two = settle(&votes, on).map(|s| (s.vote.cloned(), s.rule, s.conflict));
                prop_assert_eq!(one, two);
            }
        }
    }
}
