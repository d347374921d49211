//! Finding all hashes within a few bits of another, without comparing with each.

/// An index of 64-bit hashes by Hamming distance: multi-index hashing (Norouzi, Punjani and Fleet 2012).
///
/// A hash is cut into four bands of 16 bits. Two hashes that differ in at most `r` bits differ in at most `r / 4` of one
/// band at least, so that it is enough to look up, for each band, the values within that many bits of the query's:
/// 137 of 65,536 for a radius of up to 11.
#[derive(Debug)]
pub struct HashIndex {
    hashes: Vec<u64>,
    bands: [Band; BANDS],
}

const BANDS: usize = 4;
const VALUES: usize = 1 << 16;

/// The hashes by the value of one band.
#[derive(Debug)]
struct Band {
    /// `ids[starts[v]..starts[v + 1]]` have the value `v`.
    starts: Vec<u32>,
    ids: Vec<u32>,
}

impl Band {
    fn new(hashes: &[u64], band: usize) -> Self {
        let mut starts = vec![0u32; VALUES + 1];
        hashes.iter().for_each(|h| starts[usize::from(value(*h, band)) + 1] += 1);
        (0..VALUES).for_each(|v| starts[v + 1] += starts[v]);
        let (mut next, mut ids) = (starts.clone(), vec![0; hashes.len()]);
        for (id, hash) in hashes.iter().enumerate() {
            let slot = &mut next[usize::from(value(*hash, band))];
            ids[*slot as usize] = id as u32;
            *slot += 1;
        }
        Self { starts, ids }
    }

    fn with(&self, value: u16) -> &[u32] {
        let value = usize::from(value);
        &self.ids[self.starts[value] as usize..self.starts[value + 1] as usize]
    }
}

fn value(hash: u64, band: usize) -> u16 {
    (hash >> (16 * band)) as u16
}

impl HashIndex {
    /// The largest radius that can be asked for.
    pub const MAX_RADIUS: u32 = 11;

    /// Indexes hashes; each is known by its place.
    pub fn new(hashes: Vec<u64>) -> Self {
        let bands = std::array::from_fn(|band| Band::new(&hashes, band));
        Self { hashes, bands }
    }

    /// All hashes that differ from `query` in at most `radius` bits (at most [`HashIndex::MAX_RADIUS`]), as (place,
    /// bits), each once, in no order.
    pub fn within(&self, query: u64, radius: u32, found: &mut Vec<(u32, u32)>) {
        found.clear();
        let radius = radius.min(Self::MAX_RADIUS);
        for (number, band) in self.bands.iter().enumerate() {
            let own = value(query, number);
            masks(radius / BANDS as u32, |mask| {
                for id in band.with(own ^ mask) {
                    let difference = self.hashes[*id as usize] ^ query;
                    let distance = difference.count_ones();
                    if distance <= radius && first_band(difference, radius) == number {
                        found.push((*id, distance));
                    }
                }
            });
        }
    }
}

/// The first band in which a hash is found at all: it is reported there and nowhere else.
fn first_band(difference: u64, radius: u32) -> usize {
    (0..BANDS).find(|b| value(difference, *b).count_ones() <= radius / BANDS as u32).unwrap_or(BANDS)
}

/// All 16-bit values with at most `most` (0 to 2) bits set.
fn masks(most: u32, mut each: impl FnMut(u16)) {
    each(0);
    for i in 0..16u16 {
        if most >= 1 {
            each(1 << i);
        }
        if most >= 2 {
            (0..i).for_each(|j| each(1 << i | 1 << j));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_comparing_with_each_finds(
            base in prop::collection::vec(any::<u64>(), 1..40),
            flips in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(0u32..64, 0..14)), 0..40),
            query in any::<prop::sample::Index>(),
            radius in 0u32..=HashIndex::MAX_RADIUS,
        ) {
            // Neighbours at every distance up to 13 and beyond.
            let mut hashes = base.clone();
            for (of, bits) in &flips {
                hashes.push(bits.iter().fold(*of.get(&base), |h, b| h ^ (1 << b)));
            }
            let query = *query.get(&hashes);
            let expected: Vec<(u32, u32)> = hashes.iter().enumerate()
                .map(|(i, h)| (i as u32, (h ^ query).count_ones()))
                .filter(|(_, d)| *d <= radius)
                .collect();
            let mut found = Vec::new();
            HashIndex::new(hashes).within(query, radius, &mut found);
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_masks_are_those_with_few_bits() {
        for (most, count) in [(0, 1), (1, 17), (2, 137)] {
            let mut all = Vec::new();
            masks(most, |m| all.push(m));
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), count);
            assert!(all.iter().all(|m| m.count_ones() <= most));
        }
    }
}
