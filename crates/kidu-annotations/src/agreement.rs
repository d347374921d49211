//! How far annotators agree beyond chance.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// Agreement of annotators on the images that several of them answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Agreement {
    /// Images with answers of at least two known annotators.
    pub images: usize,
    /// Of these, the share on which all agree; `None` without any.
    pub unanimous: Option<f64>,
    /// Krippendorff's alpha for nominal data over all these images, however many answers each has.
    pub alpha: Option<f64>,
    /// Fleiss' kappa.
    pub fleiss: Option<Fleiss>,
    /// Cohen's kappa of each two annotators with an image in common, sorted by their names.
    pub pairs: Vec<Pair>,
}

/// Fleiss' kappa (Fleiss 1971). It needs the same number of answers for each image: of the images, those with the most
/// frequent number of answers take part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fleiss {
    /// Answers of each image.
    pub raters: usize,
    /// Images that take part.
    pub images: usize,
    /// At most 1; 0 is what chance would give. `None` where only one class was ever chosen.
    pub kappa: Option<f64>,
}

/// Cohen's kappa of two annotators (Cohen 1960).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// The two annotators.
    pub annotators: [String; 2],
    /// Images that both answered.
    pub images: usize,
    /// Share on which they agree.
    pub observed: f64,
    /// (observed − expected) / (1 − expected), in [−1, 1]; `None` where both always chose one and the same class.
    pub kappa: Option<f64>,
}

/// Measures agreement. Each image is a map from annotator to class.
pub fn agreement(images: &[BTreeMap<&str, &str>]) -> Agreement {
    let shared: Vec<&BTreeMap<&str, &str>> = images.iter().filter(|i| i.len() > 1).collect();
    if shared.is_empty() {
        return Agreement::default();
    }
    let unanimous = shared.iter().filter(|i| i.values().collect::<BTreeSet<_>>().len() == 1).count();
    Agreement {
        images: shared.len(),
        unanimous: Some(unanimous as f64 / shared.len() as f64),
        alpha: alpha(&shared),
        fleiss: fleiss(&shared),
        pairs: pairs(&shared),
    }
}

fn counts<'a>(image: &BTreeMap<&str, &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    image.values().for_each(|class| *counts.entry(*class).or_default() += 1);
    counts
}

/// Krippendorff's alpha for nominal data: 1 − observed / expected disagreement, by coincidences (Krippendorff 2011).
fn alpha(images: &[&BTreeMap<&str, &str>]) -> Option<f64> {
    let mut totals: BTreeMap<&str, f64> = BTreeMap::new();
    let mut disagreeing = 0.0;
    for image in images {
        let m = image.len() as f64;
        for (class, n) in counts(image) {
            let n = n as f64;
            *totals.entry(class).or_default() += n;
            disagreeing += n * (m - n) / (m - 1.0);
        }
    }
    let all: f64 = totals.values().sum();
    let expected: f64 = totals.values().map(|n| n * (all - n)).sum::<f64>() / (all - 1.0);
    (expected > 0.0).then(|| 1.0 - disagreeing / expected)
}

fn fleiss(images: &[&BTreeMap<&str, &str>]) -> Option<Fleiss> {
    let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
    images.iter().for_each(|i| *sizes.entry(i.len()).or_default() += 1);
    let (raters, n) = sizes.into_iter().max_by_key(|(raters, n)| (*n, *raters))?;
    let (r, subjects) = (raters as f64, n as f64);
    let mut totals: BTreeMap<&str, f64> = BTreeMap::new();
    let mut observed = 0.0;
    for image in images.iter().filter(|i| i.len() == raters) {
        let counts = counts(image);
        observed += counts.values().map(|n| (n * (n - 1)) as f64).sum::<f64>() / (r * (r - 1.0));
        counts.into_iter().for_each(|(class, n)| *totals.entry(class).or_default() += n as f64);
    }
    let observed = observed / subjects;
    let expected: f64 = totals.values().map(|n| (n / (r * subjects)).powi(2)).sum();
    Some(Fleiss { raters, images: n, kappa: beyond_chance(observed, expected) })
}

fn pairs(images: &[&BTreeMap<&str, &str>]) -> Vec<Pair> {
    let mut answers: BTreeMap<(&str, &str), Vec<(&str, &str)>> = BTreeMap::new();
    for image in images {
        for (a, first) in *image {
            for (b, second) in image.range::<str, _>((std::ops::Bound::Excluded(*a), std::ops::Bound::Unbounded)) {
                answers.entry((a, b)).or_default().push((first, second));
            }
        }
    }
    let pair = |((a, b), both): ((&str, &str), Vec<(&str, &str)>)| {
        let n = both.len() as f64;
        let observed = both.iter().filter(|(x, y)| x == y).count() as f64 / n;
        let share = |of: &dyn Fn(&(&str, &str)) -> bool| both.iter().filter(|p| of(p)).count() as f64 / n;
        let classes: BTreeSet<&str> = both.iter().flat_map(|(x, y)| [*x, *y]).collect();
        let expected: f64 = classes.iter().map(|c| share(&|p| p.0 == *c) * share(&|p| p.1 == *c)).sum();
        Pair {
            annotators: [a.to_string(), b.to_string()],
            images: both.len(),
            observed,
            kappa: beyond_chance(observed, expected),
        }
    };
    answers.into_iter().map(pair).collect()
}

fn beyond_chance(observed: f64, expected: f64) -> Option<f64> {
    // Where only one class was chosen the quotient is 0 / 0.
    (expected < 1.0 - 1e-12).then(|| (observed - expected) / (1.0 - expected))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn image<'a>(answers: &[(&'a str, &'a str)]) -> BTreeMap<&'a str, &'a str> {
        answers.iter().copied().collect()
    }

    /// The table of the example that Wikipedia's article on Fleiss' kappa works out: 10 subjects, 14 raters, 0.210.
    #[test]
    fn fleiss_of_the_known_example() {
        let table = [
            [0, 0, 0, 0, 14],
            [0, 2, 6, 4, 2],
            [0, 0, 3, 5, 6],
            [0, 3, 9, 2, 0],
            [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0],
            [3, 2, 6, 3, 0],
            [2, 5, 3, 2, 2],
            [6, 5, 2, 1, 0],
            [0, 2, 2, 3, 7],
        ];
        let raters: Vec<String> = (0..14).map(|i| format!("r{i:02}")).collect();
        let classes = ["1", "2", "3", "4", "5"];
        let images: Vec<BTreeMap<&str, &str>> = table
            .iter()
            .map(|row| {
                let answers = row.iter().zip(classes).flat_map(|(n, class)| std::iter::repeat_n(class, *n));
                raters.iter().map(String::as_str).zip(answers).collect()
            })
            .collect();
        let fleiss = agreement(&images).fleiss.unwrap();
        assert_eq!((fleiss.raters, fleiss.images), (14, 10));
        assert!((fleiss.kappa.unwrap() - 0.210).abs() < 5e-4, "{fleiss:?}");
    }

    /// 50 proposals, 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed 0.7, expected 0.5, kappa 0.4.
    #[test]
    fn cohen_of_the_known_example() {
        let cells = [("yes", "yes", 20), ("yes", "no", 5), ("no", "yes", 10), ("no", "no", 15)];
        let images: Vec<_> = cells
            .iter()
            .flat_map(|(a, b, n)| std::iter::repeat_n(image(&[("a", a), ("b", b)]), *n))
            .chain([image(&[("a", "yes")])])
            .collect();
        let agreement = agreement(&images);
        let pair = &agreement.pairs[0];
        assert_eq!((pair.images, agreement.images, agreement.pairs.len()), (50, 50, 1));
        assert!((pair.observed - 0.7).abs() < 1e-12 && (pair.kappa.unwrap() - 0.4).abs() < 1e-12, "{pair:?}");
    }

    /// Krippendorff's own example of nominal data with missing answers ("Computing Krippendorff's Alpha-Reliability",
    /// 2011, section D, four observers, twelve units): alpha 0.743.
    #[test]
    fn alpha_of_the_known_example() {
        let rows = [
            "1 2 3 3 2 1 4 1 2 . . .",
            "1 2 3 3 2 2 4 1 2 5 . 3",
            ". 3 3 3 2 3 4 2 2 5 1 .",
            "1 2 3 3 2 4 4 1 2 5 1 .",
        ];
        let raters = ["A", "B", "C", "D"];
        let cells: Vec<Vec<&str>> = rows.iter().map(|r| r.split(' ').collect()).collect();
        let images: Vec<BTreeMap<&str, &str>> = (0..12)
            .map(|unit| raters.iter().zip(&cells).map(|(r, row)| (*r, row[unit])).filter(|(_, c)| *c != ".").collect())
            .collect();
        let alpha = agreement(&images).alpha.unwrap();
        assert!((alpha - 0.743).abs() < 5e-4, "{alpha}");
    }

    #[test]
    fn one_class_or_nobody_in_common_has_no_kappa() {
        let same = agreement(&[image(&[("a", "x"), ("b", "x")])]);
        assert_eq!((same.pairs[0].kappa, same.fleiss.unwrap().kappa, same.alpha), (None, None, None));
        assert_eq!(same.unanimous, Some(1.0));
        assert_eq!(agreement(&[image(&[("a", "x")]), image(&[("b", "y")])]), Agreement::default());
    }

    #[test]
    fn cohen_as_scikit_learn_computes_it() {
        let Some(python) = kidu_testing::peer_python("cohen_as_scikit_learn_computes_it", &["sklearn"]) else { return };
        let classes = ["a", "b", "c", "d"];
        let pick = |name, n| kidu_testing::uniform(name, n).map(|u| classes[(u * 4.0) as usize]).collect::<Vec<_>>();
        let (first, noise) = (pick("first", 200), pick("second", 200));
        let second: Vec<&str> =
            first.iter().zip(&noise).enumerate().map(|(i, (f, n))| if i % 3 == 0 { *n } else { *f }).collect();
        let images: Vec<_> = first.iter().zip(&second).map(|(f, s)| image(&[("x", f), ("y", s)])).collect();
        let ours = agreement(&images).pairs[0].kappa.unwrap();
        let script = "import sys; from sklearn.metrics import cohen_kappa_score as k; print(k(list(sys.argv[1]), list(sys.argv[2])))";
        let out = Command::new(python).args(["-c", script, &first.concat(), &second.concat()]).output().unwrap();
        let theirs: f64 = String::from_utf8(out.stdout).unwrap().trim().parse().unwrap();
        assert!((ours - theirs).abs() < 1e-12, "{ours} {theirs}");
    }
}
