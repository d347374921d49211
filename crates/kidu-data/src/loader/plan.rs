//! Which images form which batch: a function of seed, epoch and sizes, decided before anything is loaded.

use kidu_core::rng;
use serde::{Deserialize, Serialize};

use crate::order::shuffle;

/// How much of a split is used: a whole number of batches, or a share of them. In a configuration `1` is one batch and
/// `1.0` all of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BatchLimit {
    /// At most so many batches, at least 1.
    Batches(usize),
    /// That share of the batches, in (0, 1], rounded down but at least one batch.
    Share(f64),
}

impl BatchLimit {
    /// The rule that the number breaks, if any.
    ///
    /// # Errors
    /// A sentence with the allowed range.
    pub fn validate(&self) -> Result<(), String> {
        match self {
            Self::Batches(0) => Err("0 batches leave nothing; give at least 1, or null for all".into()),
            Self::Batches(_) => Ok(()),
            Self::Share(s) if *s > 0.0 && *s <= 1.0 => Ok(()),
            Self::Share(s) => Err(format!("the share {s} is outside (0, 1]; a whole number counts batches")),
        }
    }

    /// What is left of `batches`, which is at least 1.
    fn apply(self, batches: usize) -> usize {
        match self {
            Self::Batches(n) => batches.min(n),
            // The small term lets 0.29 of 100 be 29, whatever the last bit of the product.
            Self::Share(s) => ((batches as f64 * s + 1e-9).floor() as usize).clamp(1, batches),
        }
    }
}

/// The sizes that decide the batches of every epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) images: usize,
    pub(super) batch_size: usize,
    pub(super) shuffle: bool,
    pub(super) drop_last: bool,
    pub(super) limit: Option<BatchLimit>,
    /// 0, or the number of batches that are the same in every epoch.
    pub(super) overfit_batches: usize,
    pub(super) seed: u64,
}

impl Plan {
    /// Number of batches of an epoch.
    pub(super) fn num_batches(&self) -> usize {
        let whole = self.images / self.batch_size;
        // Fewer images than one batch: the short batch is all there is, so it is not dropped.
        let all = if self.drop_last && whole > 0 { whole } else { self.images.div_ceil(self.batch_size) };
        let limited = self.limit.map_or(all, |l| l.apply(all));
        if self.overfit_batches > 0 { limited.min(self.overfit_batches) } else { limited }
    }

    /// Number of images of an epoch.
    pub(super) fn num_images(&self) -> usize {
        self.images.min(self.num_batches() * self.batch_size)
    }

    /// The images of an epoch in order, [`Plan::num_images`] of them.
    ///
    /// - Shuffled: another order in each epoch, of all images, cut to the number of batches.
    /// - To overfit: the batches that epoch 0 would have, in every epoch.
    /// - In order, but limited: a fixed random choice, in order; the first images would all be of the first classes.
    pub(super) fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.images).collect();
        let used = self.num_images();
        let whole = used == self.images || (self.drop_last && self.limit.is_none());
        if self.shuffle || self.overfit_batches > 0 {
            let epoch = if self.overfit_batches > 0 { 0 } else { epoch };
            shuffle(&mut order, &mut rng::stream(self.seed, "shuffle", &[epoch]));
            order.truncate(used);
        } else if whole {
            order.truncate(used);
        } else {
            shuffle(&mut order, &mut rng::stream(self.seed, "limit", &[]));
            order.truncate(used);
            order.sort_unstable();
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(images: usize, batch_size: usize) -> Plan {
        Plan { images, batch_size, shuffle: true, drop_last: false, limit: None, overfit_batches: 0, seed: 5 }
    }

    #[test]
    fn counts_batches() {
        assert_eq!(plan(10, 4).num_batches(), 3);
        assert_eq!(Plan { drop_last: true, ..plan(10, 4) }.num_batches(), 2);
        assert_eq!(Plan { drop_last: true, ..plan(3, 4) }.num_batches(), 1);
        assert_eq!(Plan { limit: Some(BatchLimit::Share(0.29)), ..plan(100, 1) }.num_batches(), 29);
        assert_eq!(Plan { limit: Some(BatchLimit::Share(0.001)), ..plan(100, 10) }.num_images(), 10);
        assert_eq!(Plan { limit: Some(BatchLimit::Batches(7)), ..plan(10, 4) }.num_images(), 10);
        assert_eq!(Plan { overfit_batches: 1, ..plan(10, 4) }.num_images(), 4);
    }

    #[test]
    fn epochs_differ_unless_overfitting() {
        let p = plan(40, 4);
        assert_ne!(p.order(0), p.order(1));
        let overfit = Plan { overfit_batches: 2, shuffle: false, ..p };
        assert_eq!(overfit.order(0), overfit.order(9));
        assert_eq!(overfit.order(3), p.order(0)[..8]);
        let limited = Plan { shuffle: false, limit: Some(BatchLimit::Batches(2)), ..p };
        assert_eq!(limited.order(0), limited.order(1));
        assert!(limited.order(0).is_sorted() && limited.order(0) != (0..8).collect::<Vec<_>>());
        assert_eq!(Plan { shuffle: false, ..p }.order(3), (0..40).collect::<Vec<_>>());
    }

    #[test]
    fn whole_numbers_are_batches_and_fractions_shares() {
        let parse = |text| serde_json::from_str::<BatchLimit>(text).unwrap();
        assert_eq!((parse("1"), parse("1.0")), (BatchLimit::Batches(1), BatchLimit::Share(1.0)));
        assert!(parse("0").validate().is_err() && parse("1.5").validate().is_err() && parse("0.5").validate().is_ok());
    }

    proptest! {
        #[test]
        fn an_order_has_each_image_at_most_once(
            images in 1usize..200, batch_size in 1usize..40, shuffle: bool, drop_last: bool,
            limit in prop::option::of(1usize..9), epoch in 0u64..5,
        ) {
            let limit = limit.map(BatchLimit::Batches);
            let p = Plan { images, batch_size, shuffle, drop_last, limit, overfit_batches: 0, seed: 1 };
            let mut order = p.order(epoch);
            prop_assert_eq!(order.len(), p.num_images());
            prop_assert_eq!(order.len().div_ceil(batch_size), p.num_batches());
            order.sort_unstable();
            order.dedup();
            prop_assert_eq!(order.len(), p.num_images());
            prop_assert!(order.iter().all(|i| *i < images));
        }
    }
}
