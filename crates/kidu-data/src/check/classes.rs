//! Findings about classes: too few, too many, absent, or two for one.

use kidu_core::Split;

use super::{finding::Finding, kind::Kind, survey::Survey};
use crate::settings::DataSettings;

/// All findings about classes; `usable` says of each file whether it can be read.
pub(crate) fn findings(survey: &Survey, usable: &[bool], settings: &DataSettings) -> Vec<Finding> {
    let mut counts = vec![[0usize; 3]; survey.classes.len()];
    for (file, _) in survey.files.iter().zip(usable).filter(|(_, usable)| **usable) {
        counts[file.class][file.split.unwrap_or(Split::Train) as usize] += 1;
    }
    let mut found = Vec::new();
    if let [only] = survey.classes.as_slice() {
        found.push(about(
            Kind::ClassTooSmall,
            only,
            format!("'{only}' is the only class; a classifier needs two at least"),
        ));
    }
    for (class, counts) in survey.classes.iter().zip(&counts) {
        found.extend(size(survey, class, *counts, settings));
    }
    found.extend(imbalance(survey, &counts, settings));
    found.extend(names(&survey.classes));
    found
}

fn about(kind: Kind, class: &str, message: String) -> Finding {
    Finding { class: Some(class.into()), ..Finding::new(kind, message) }
}

fn size(survey: &Survey, class: &str, [train, val, test]: [usize; 3], settings: &DataSettings) -> Vec<Finding> {
    let given = survey.given();
    let shares = settings.train_val_test_split;
    let made = Split::ALL.iter().zip(shares).filter(|(split, share)| {
        **split == Split::Train || (*share > 0.0 && !given.contains(split) && survey.layout.is_some())
    });
    let needed = made.count();
    let least = settings.check.min_class_images;
    let mut found = Vec::new();
    if train == 0 {
        let what =
            if val + test > 0 { "has images in val or test and none to train on" } else { "has no usable image" };
        found.push(about(Kind::EmptyClass, class, format!("'{class}' {what}")));
    } else if train < needed {
        let message = format!("'{class}' has {train} images to train on; {needed} splits are made of them");
        found.push(about(Kind::ClassTooSmall, class, message).measured(train as f64, needed as f64));
    } else if train < least {
        let message = format!("'{class}' has {train} images to train on, fewer than {least}");
        let finding = about(Kind::ClassTooSmall, class, message).measured(train as f64, least as f64);
        found.push(Finding { severity: super::Severity::Warning, ..finding });
    }
    for (split, count) in [(Split::Val, val), (Split::Test, test)] {
        if train > 0 && count == 0 && given.contains(&split) {
            found.push(about(
                Kind::MissingInSplit,
                class,
                format!("'{class}' has no image in the given {split} split"),
            ));
        }
    }
    found
}

fn imbalance(survey: &Survey, counts: &[[usize; 3]], settings: &DataSettings) -> Option<Finding> {
    let sizes = counts.iter().enumerate().map(|(class, c)| (c[0], class)).filter(|(n, _)| *n > 0);
    let (smallest, largest) = (sizes.clone().min()?, sizes.max()?);
    let (ratio, most) = (largest.0 as f64 / smallest.0 as f64, settings.check.max_imbalance);
    (ratio > most).then(|| {
        let message = format!(
            "'{}' has {} images to train on, {ratio:.0} times as many as '{}' ({})",
            survey.classes[largest.1], largest.0, survey.classes[smallest.1], smallest.0
        );
        about(Kind::ClassImbalance, &survey.classes[smallest.1], message).measured(ratio, most)
    })
}

/// Pairs of names that are equal but for case, spaces and punctuation, or by a slip of the keys.
fn names(classes: &[String]) -> Vec<Finding> {
    let plain =
        |name: &str| -> String { name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect() };
    let plains: Vec<String> = classes.iter().map(|c| plain(c)).collect();
    let mut found = Vec::new();
    for (i, j) in (0..classes.len()).flat_map(|i| (i + 1..classes.len()).map(move |j| (i, j))) {
        let (a, b) = (&plains[i], &plains[j]);
        let why = if a == b && !a.is_empty() {
            "in case, spaces or punctuation only"
        } else if is_slip(a, b) {
            "by a slip of the keys, or one is the other's plural"
        } else {
            continue;
        };
        let message = format!("'{}' and '{}' differ {why}", classes[i], classes[j]);
        found.push(about(Kind::SimilarClassNames, &classes[i], message));
    }
    found
}

/// One letter more, less, other or exchanged with its neighbour, in words of five letters at least. Digits that differ
/// number things on purpose.
fn is_slip(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().min(b.len()) < 5 || a.len().abs_diff(b.len()) > 1 || a == b {
        return false;
    }
    let start = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[start..], &b[start..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[..a.len() - end], &b[..b.len() - end]);
    let digits = a.iter().chain(b).any(|c| c.is_ascii_digit());
    !digits && (a.len().max(b.len()) == 1 || (a.len() == 2 && b.len() == 2 && a[0] == b[1] && a[1] == b[0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check::survey::SurveyFile, index::Layout};

    fn kinds(counts: &[(&str, Option<Split>, usize)]) -> Vec<(Kind, String)> {
        let mut classes: Vec<String> = counts.iter().map(|c| c.0.to_string()).collect();
        classes.sort();
        classes.dedup();
        let class = |name: &str| classes.iter().position(|c| c == name).unwrap();
        let file =
            |name: &str, split, i| SurveyFile { path: format!("{name}/{split:?}{i}"), class: class(name), split };
        let files: Vec<_> = counts
            .iter()
            .flat_map(|(c, s, n)| (0..*n).map(move |i| (*c, *s, i)))
            .map(|(c, s, i)| file(c, s, i))
            .collect();
        let survey = Survey {
            root: "/".into(),
            layout: Some(Layout::ClassFolders),
            classes,
            files,
            notes: vec![],
            can_fix: true,
        };
        let usable = vec![true; survey.files.len()];
        findings(&survey, &usable, &DataSettings::default()).into_iter().map(|f| (f.kind, f.class.unwrap())).collect()
    }

    #[test]
    fn sizes_and_balance() {
        assert!(kinds(&[("sea", None, 50), ("street", None, 500)]).is_empty());
        assert_eq!(kinds(&[("sea", None, 50), ("street", None, 501)]), [(Kind::ClassImbalance, "sea".into())]);
        assert_eq!(kinds(&[("sea", None, 0), ("street", None, 20)]), [(Kind::EmptyClass, "sea".into())]);
        assert_eq!(kinds(&[("sea", None, 2), ("street", None, 20)]), [(Kind::ClassTooSmall, "sea".into())]);
        assert_eq!(kinds(&[("sea", None, 5), ("street", None, 20)]), [(Kind::ClassTooSmall, "sea".into())]);
        assert_eq!(kinds(&[("sea", None, 50)]), [(Kind::ClassTooSmall, "sea".into())]);
        let (train, test) = (Some(Split::Train), Some(Split::Test));
        assert_eq!(
            kinds(&[("sea", train, 50), ("street", train, 50), ("sea", test, 5)]),
            [(Kind::MissingInSplit, "street".into())]
        );
        assert_eq!(
            kinds(&[
                ("sea", train, 50),
                ("street", train, 50),
                ("ice", test, 5),
                ("sea", test, 1),
                ("street", test, 1)
            ]),
            [(Kind::EmptyClass, "ice".into())]
        );
    }

    #[test]
    fn names_that_may_mean_one_thing() {
        let pairs = |names: &[&str]| super::names(&names.iter().map(|n| n.to_string()).collect::<Vec<_>>()).len();
        assert_eq!(pairs(&["Glacier", "glacier "]), 1);
        assert_eq!(pairs(&["sea-side", "sea_side", "Sea Side"]), 3);
        assert_eq!(pairs(&["glacier", "glaciers"]), 1);
        assert_eq!(pairs(&["mountain", "moutnain"]), 1);
        assert_eq!(pairs(&["class1", "class2", "cat", "bat", "buildings", "street"]), 0);
    }
}
