//! A shuffle whose result is fixed by the stream of random numbers alone.

use rand::Rng;

/// Permutes `items` uniformly: Durstenfeld's form of the Fisher-Yates shuffle.
///
/// Written out because an order, once it has split a dataset, must stay the same with every release of the random
/// number library.
pub(crate) fn shuffle<T>(items: &mut [T], rng: &mut impl Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last as u64 + 1) as usize);
    }
}

/// A uniform number in `0..bound` by Lemire's method without bias (2019, <https://arxiv.org/abs/1805.10941>).
fn below(rng: &mut impl Rng, bound: u64) -> u64 {
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        if product as u64 >= threshold {
            return (product >> 64) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use kidu_core::rng::stream;

    use super::*;

    #[test]
    fn permutes_and_repeats() {
        let order = |seed| {
            let mut items: Vec<usize> = (0..50).collect();
            shuffle(&mut items, &mut stream(seed, "t", &[]));
            items
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let mut sorted = order(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn every_order_of_three_is_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        let mut rng = stream(7, "t", &[]);
        for _ in 0..6000 {
            let mut items = [0, 1, 2];
            shuffle(&mut items, &mut rng);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|n| (850..1150).contains(n)), "{counts:?}");
    }
}
