//! Many random bytes at once: ChaCha8 (Bernstein 2008), sixteen blocks side by side.

use super::simd::vectorize;

/// Blocks that are made together.
const LANES: usize = 16;
/// Bytes of a block.
const BLOCK: usize = 64;

type Lane = [u32; LANES];

/// Fills `out` with the key stream of `ChaCha8Rng::from_seed(seed)`, its words in another order: of each sixteen blocks,
/// first all their first words, then all their second ones, and so on.
pub(super) fn fill(seed: &[u8; 32], out: &mut [u8]) {
    let (mut key, words) = ([0_u32; 8], seed.as_chunks::<4>().0);
    key.iter_mut().zip(words).for_each(|(key, word)| *key = u32::from_le_bytes(*word));
    for (group, out) in out.chunks_mut(LANES * BLOCK).enumerate() {
        let mut state = [[0_u32; LANES]; 16];
        vectorize(
            #[inline(always)]
            || blocks(&key, (group * LANES) as u64, &mut state),
        );
        for (out, word) in out.chunks_mut(4).zip(state.iter().flatten()) {
            out.copy_from_slice(&word.to_le_bytes()[..out.len()]);
        }
    }
}

#[inline(always)]
fn blocks(key: &[u32; 8], first: u64, state: &mut [Lane; 16]) {
    let mut start = [[0_u32; LANES]; 16];
    for (lane, word) in start.iter_mut().zip([0x6170_7865, 0x3320_646E, 0x7962_2D32, 0x6B20_6574]) {
        *lane = [word; LANES];
    }
    for (lane, word) in start[4..].iter_mut().zip(key) {
        *lane = [*word; LANES];
    }
    for i in 0..LANES {
        let counter = first + i as u64;
        (start[12][i], start[13][i]) = (counter as u32, (counter >> 32) as u32);
    }
    *state = start;
    for _ in 0..4 {
        for [a, b, c, d] in [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]] {
            quarter(state, a, b, c, d);
        }
        for [a, b, c, d] in [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]] {
            quarter(state, a, b, c, d);
        }
    }
    for (lane, start) in state.iter_mut().zip(&start) {
        lane.iter_mut().zip(start).for_each(|(word, start)| *word = word.wrapping_add(*start));
    }
}

#[inline(always)]
fn quarter(state: &mut [Lane; 16], a: usize, b: usize, c: usize, d: usize) {
    for (add, to, rotated, by) in [(b, a, d, 16), (d, c, b, 12), (b, a, d, 8), (d, c, b, 7)] {
        for i in 0..LANES {
            state[to][i] = state[to][i].wrapping_add(state[add][i]);
            state[rotated][i] = (state[rotated][i] ^ state[to][i]).rotate_left(by);
        }
    }
}

#[cfg(test)]
mod tests {
    use kidu_core::rng::ChaCha8Rng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn the_words_are_those_of_rand_chacha() {
        let seed: [u8; 32] = std::array::from_fn(|i| (i * 7 + 1) as u8);
        let mut expected = vec![0; 2 * LANES * BLOCK];
        ChaCha8Rng::from_seed(seed).fill_bytes(&mut expected);
        let mut found = vec![0; 2 * LANES * BLOCK];
        fill(&seed, &mut found);
        for (i, word) in found.chunks(4).enumerate() {
            let (group, word_of_block, block) = (i / 256, i % 256 / LANES, i % LANES);
            let at = (group * LANES + block) * BLOCK + 4 * word_of_block;
            assert_eq!(word, &expected[at..at + 4], "word {i}");
        }
        let mut short = vec![0; 1030];
        fill(&seed, &mut short);
        assert_eq!(short, found[..1030]);
    }
}
