//! Which image belongs to train, val or test: stratified, seeded, and nothing but a function of its arguments.

use std::collections::BTreeMap;

use kidu_core::{Split, rng};

use crate::order::shuffle;

/// What the split needs to know of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Path relative to the dataset's root; unique.
    pub path: &'a str,
    /// Name of its class.
    pub class: &'a str,
    /// The split in which it was given. `Val` and `Test` are kept; `Train` and `None` are divided anew.
    pub given: Option<Split>,
}

/// A class that cannot be divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooFew {
    /// Name of the class.
    pub class: String,
    /// Images of it that can be divided.
    pub images: usize,
    /// Images that it needs: one for each split that is made.
    pub needed: usize,
    /// The splits that are made.
    pub splits: Vec<Split>,
}

/// Assigns each candidate to a split, in the order of the candidates.
///
/// `shares` are the parts of train, val and test. A val or test split that is given is kept whole; the other images
/// are divided among the remaining splits by their shares alone. Within each class the numbers follow the method of
/// largest remainders, with at least one image for each split whose share is not 0. Which image goes where depends on
/// the seed, the class's name and the order of its paths only, so that adding a class leaves the others as they were.
///
/// # Errors
/// All classes that have fewer images than splits to be made, by name.
pub fn assign(candidates: &[Candidate<'_>], shares: [f64; 3], seed: u64) -> Result<Vec<Split>, Vec<TooFew>> {
    let given = |split| candidates.iter().any(|c| c.given == Some(split));
    let made: Vec<(Split, f64)> = Split::ALL
        .into_iter()
        .zip(shares)
        .filter(|(split, share)| *split == Split::Train || (*share > 0.0 && !given(*split)))
        .collect();
    let mut result: Vec<Split> = candidates.iter().map(|c| c.given.unwrap_or(Split::Train)).collect();
    let mut pools: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, candidate) in candidates.iter().enumerate() {
        let pool = pools.entry(candidate.class).or_default();
        if matches!(candidate.given, None | Some(Split::Train)) {
            pool.push(i);
        }
    }
    let mut too_few = Vec::new();
    for (class, mut pool) in pools {
        if pool.len() < made.len() {
            let splits = made.iter().map(|(s, _)| *s).collect();
            too_few.push(TooFew { class: class.into(), images: pool.len(), needed: made.len(), splits });
            continue;
        }
        pool.sort_by_key(|i| candidates[*i].path);
        shuffle(&mut pool, &mut rng::stream(seed, &format!("split/{class}"), &[]));
        let sizes = apportion(pool.len(), &made.iter().map(|(_, share)| *share).collect::<Vec<_>>());
        let mut rest = pool.as_slice();
        for ((split, _), size) in made.iter().zip(sizes) {
            let (mine, others) = rest.split_at(size);
            mine.iter().for_each(|i| result[*i] = *split);
            rest = others;
        }
    }
    if too_few.is_empty() { Ok(result) } else { Err(too_few) }
}

/// Divides `n` by `shares` with the method of largest remainders (Hamilton's); equal remainders favour the earlier
/// share. Then every part has at least 1, taken from the largest part. `n` must be at least the number of shares.
fn apportion(n: usize, shares: &[f64]) -> Vec<usize> {
    let total: f64 = shares.iter().sum();
    // The only share may be 0 when val and test are both given: train gets everything.
    let quota = |share: &f64| if total > 0.0 { n as f64 * share / total } else { n as f64 / shares.len() as f64 };
    // Rounding to 1e-9 keeps 0.1 * 30 at 3 whatever its last bit.
    let quotas: Vec<f64> = shares.iter().map(|s| (quota(s) * 1e9).round() / 1e9).collect();
    let mut parts: Vec<usize> = quotas.iter().map(|q| q.floor() as usize).collect();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|a, b| quotas[*b].fract().total_cmp(&quotas[*a].fract()).then(a.cmp(b)));
    let left = n.saturating_sub(parts.iter().sum());
    order.iter().cycle().take(left).for_each(|i| parts[*i] += 1);
    while let Some(empty) = parts.iter().position(|p| *p == 0) {
        let Some(largest) = (0..parts.len()).rev().max_by_key(|i| parts[*i]).filter(|i| parts[*i] > 1) else { break };
        parts[largest] -= 1;
        parts[empty] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidates(rows: &[(String, String, Option<Split>)]) -> Vec<Candidate<'_>> {
        rows.iter().map(|(path, class, given)| Candidate { path, class, given: *given }).collect()
    }

    fn rows(counts: &[(&str, usize, Option<Split>)]) -> Vec<(String, String, Option<Split>)> {
        let row =
            |c: &str, i: usize, g: Option<Split>| (format!("{c}/{}{i}.jpg", g.map_or("", Split::name)), c.into(), g);
        counts.iter().flat_map(|(c, n, g)| (0..*n).map(move |i| row(c, i, *g))).collect()
    }

    fn count(splits: &[Split], of: Split) -> usize {
        splits.iter().filter(|s| **s == of).count()
    }

    #[test]
    fn apportions_by_largest_remainder() {
        assert_eq!(apportion(10, &[0.8, 0.1, 0.1]), [8, 1, 1]);
        assert_eq!(apportion(400, &[0.8, 0.1]), [356, 44]);
        assert_eq!(apportion(7, &[0.5, 0.25, 0.25]), [3, 2, 2]);
        assert_eq!(apportion(3, &[0.8, 0.1, 0.1]), [1, 1, 1]);
        assert_eq!(apportion(30, &[0.7, 0.2, 0.1]), [21, 6, 3]);
        assert_eq!(apportion(5, &[0.0]), [5]);
    }

    #[test]
    fn a_given_test_split_is_kept_and_val_comes_from_train() {
        let rows = rows(&[("a", 90, Some(Split::Train)), ("a", 5, Some(Split::Test)), ("b", 9, None)]);
        let splits = assign(&candidates(&rows), [0.8, 0.1, 0.1], 1).unwrap();
        assert!(rows.iter().zip(&splits).all(|(r, s)| (r.2 == Some(Split::Test)) == (*s == Split::Test)));
        assert_eq!((count(&splits, Split::Train), count(&splits, Split::Val)), (80 + 8, 10 + 1));
    }

    #[test]
    fn a_class_of_two_images_is_named() {
        let rows = rows(&[("a", 10, None), ("b", 2, None)]);
        let error = assign(&candidates(&rows), [0.8, 0.1, 0.1], 1).unwrap_err();
        assert_eq!(error.len(), 1);
        assert_eq!((error[0].class.as_str(), error[0].images, error[0].needed), ("b", 2, 3));
        assert!(assign(&candidates(&rows), [0.9, 0.1, 0.0], 1).is_ok());
    }

    #[test]
    fn another_class_does_not_move_the_images_of_the_first() {
        let (one, two) = (rows(&[("a", 20, None)]), rows(&[("a", 20, None), ("b", 20, None)]));
        let shares = [0.6, 0.2, 0.2];
        let (x, y) = (assign(&candidates(&one), shares, 3).unwrap(), assign(&candidates(&two), shares, 3).unwrap());
        assert_eq!(x[..], y[..20]);
    }

    proptest! {
        #[test]
        fn sizes_are_within_one_of_the_quota_and_the_order_of_input_does_not_matter(
            counts in prop::collection::vec(3usize..60, 1..6),
            weights in (1u32..100, 1u32..100, 1u32..100),
            seed: u64,
        ) {
            let sum = f64::from(weights.0 + weights.1 + weights.2);
            let shares = [f64::from(weights.0) / sum, f64::from(weights.1) / sum, f64::from(weights.2) / sum];
            let names: Vec<String> = (0..counts.len()).map(|i| format!("c{i}")).collect();
            let spec: Vec<_> = names.iter().zip(&counts).map(|(n, c)| (n.as_str(), *c, None)).collect();
            let mut all = rows(&spec);
            let splits = assign(&candidates(&all), shares, seed).unwrap();
            prop_assert_eq!(splits.len(), all.len());
            for (name, n) in names.iter().zip(&counts) {
                for (split, share) in Split::ALL.into_iter().zip(shares) {
                    let got = all.iter().zip(&splits).filter(|(r, s)| r.1 == *name && **s == split).count();
                    let quota = share * *n as f64;
                    // The floor of one image may move up to one image from each of the two other parts.
                    prop_assert!(got >= 1 && (got as f64 - quota).abs() <= 3.0, "{} of {}", got, quota);
                    if shares.iter().all(|s| s * *n as f64 >= 1.0) {
                        prop_assert!((got as f64 - quota).abs() < 1.0 + 1e-6, "{} of {}", got, quota);
                    }
                }
            }
            let by_path: BTreeMap<String, Split> = all.iter().map(|r| r.0.clone()).zip(splits).collect();
            all.reverse();
            for (row, split) in all.iter().zip(assign(&candidates(&all), shares, seed).unwrap()) {
                prop_assert_eq!(by_path[&row.0], split);
            }
        }
    }
}
