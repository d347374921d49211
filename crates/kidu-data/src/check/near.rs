//! Pairs of images that look nearly the same: re-encoded, resized, cropped by a few per cent, brightened, mirrored.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{
    HashIndex, align, perceptual,
    settings::CheckSettings,
    thumbnail::{Thumbnail, VIEWS, Values, View, cut, mirrored},
};

/// Two images that look nearly the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearPair {
    /// The place of one.
    pub a: usize,
    /// The place of the other, greater than `a`.
    pub b: usize,
    /// Bits of 64 in which their perceptual hashes differ, at the views that agree best.
    pub distance: u32,
    /// Correlation of their edges, in [-1, 1].
    pub similarity: f32,
    /// Whether one shows the mirror image of the other.
    pub mirrored: bool,
}

/// The nearest candidates of an image that are looked at: bounds the work where all images look alike.
const MOST_CANDIDATES: usize = 64;

/// A guess that image `of` holds image `part` as one of its views.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    of: usize,
    part: usize,
    view: View,
    distance: u32,
    mirrored: bool,
}

/// All pairs of near duplicates, sorted; images without a thumbnail are in none. The result does not depend on the
/// number of threads. Work and memory grow with the number of images, not with its square.
///
/// Each image is hashed at eleven views, whole and cropped by 5 % and 10 %, and mirrored; those near the hash of another
/// whole image make a candidate, which is then laid over its partner (see [`CheckSettings`] for the two thresholds).
pub fn pairs(thumbnails: &[Option<&Thumbnail>], settings: &CheckSettings) -> Vec<NearPair> {
    let places: Vec<usize> = (0..thumbnails.len()).filter(|i| thumbnails[*i].is_some()).collect();
    let values: Vec<Values> = places.iter().filter_map(|i| thumbnails[*i].map(Thumbnail::values)).collect();
    let index = HashIndex::new(values.par_iter().map(perceptual::hash).collect());
    let orientations: &[bool] = if settings.near_mirrored { &[false, true] } else { &[false] };
    let candidates: Vec<Candidate> = (0..values.len())
        .into_par_iter()
        .flat_map_iter(|of| orientations.iter().flat_map(move |m| [(of, *m)]))
        .flat_map_iter(|(of, turned)| candidates_of(of, &values[of], turned, &index, settings.near_distance))
        .collect();
    let found: Vec<NearPair> = best_of_each_pair(candidates)
        .into_par_iter()
        .filter_map(|guesses| judge(&guesses, &values, settings.near_similarity))
        .map(|pair| NearPair { a: places[pair.a], b: places[pair.b], ..pair })
        .collect();
    found
}

fn candidates_of(of: usize, values: &Values, turned: bool, index: &HashIndex, radius: u32) -> Vec<Candidate> {
    let turned_values = turned.then(|| mirrored(values));
    let values = turned_values.as_ref().unwrap_or(values);
    let (mut best, mut found) = (BTreeMap::<usize, Candidate>::new(), Vec::new());
    for view in VIEWS {
        index.within(perceptual::hash(&cut(values, view)), radius, &mut found);
        for (part, distance) in found.iter().map(|(p, d)| (*p as usize, *d)).filter(|(p, _)| *p != of) {
            let guess = Candidate { of, part, view, distance, mirrored: turned };
            best.entry(part)
                .and_modify(|b| {
                    if distance < b.distance {
                        *b = guess
                    }
                })
                .or_insert(guess);
        }
    }
    let mut all: Vec<Candidate> = best.into_values().collect();
    all.sort_by_key(|c| (c.distance, c.part));
    all.truncate(MOST_CANDIDATES);
    all
}

/// The guesses about each pair together, nearest first: one may be a crop of the other or the other way round.
fn best_of_each_pair(candidates: Vec<Candidate>) -> Vec<Vec<Candidate>> {
    let mut pairs: BTreeMap<(usize, usize), Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        let key = (candidate.of.min(candidate.part), candidate.of.max(candidate.part));
        pairs.entry(key).or_default().push(candidate);
    }
    pairs
        .into_values()
        .map(|mut guesses| {
            guesses.sort_by_key(|g| (g.mirrored, g.distance, g.of));
            guesses
        })
        .collect()
}

/// The best guess that holds.
fn judge(guesses: &[Candidate], values: &[Values], least: f64) -> Option<NearPair> {
    let judged = guesses.iter().map(|guess| {
        let turned = guess.mirrored.then(|| mirrored(&values[guess.of]));
        let whole = turned.as_ref().unwrap_or(&values[guess.of]);
        (align::similarity(whole, guess.view, &values[guess.part]), guess)
    });
    let (similarity, guess) = judged.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.mirrored.cmp(&a.1.mirrored)))?;
    let (a, b) = (guess.of.min(guess.part), guess.of.max(guess.part));
    let pair = NearPair { a, b, distance: guess.distance, similarity, mirrored: guess.mirrored };
    (f64::from(similarity) >= least).then_some(pair)
}

#[cfg(test)]
mod tests {
    use image::{Pixel, Rgb, RgbImage, imageops};
    use kidu_core::rng;
    use rand::RngExt;

    use super::*;

    /// Rectangles at random.
    fn scene(seed: u64) -> RgbImage {
        let mut rng = rng::stream(seed, "near test", &[]);
        let mut image = RgbImage::from_pixel(120, 120, Rgb([rng.random_range(60..200); 3]));
        for _ in 0..25 {
            let (x, y) = (rng.random_range(0..110u32), rng.random_range(0..110u32));
            let (w, h) = (rng.random_range(8..50u32), rng.random_range(8..50u32));
            let colour = Rgb([rng.random_range(0..=255), rng.random_range(0..=255), rng.random_range(0..=255)]);
            for (x, y) in (y..(y + h).min(120)).flat_map(|y| (x..(x + w).min(120)).map(move |x| (x, y))) {
                image.put_pixel(x, y, colour);
            }
        }
        image
    }

    fn found(images: &[RgbImage], settings: &CheckSettings) -> Vec<NearPair> {
        let thumbnails: Vec<_> = images.iter().map(Thumbnail::of).collect();
        pairs(&thumbnails.iter().map(Option::as_ref).collect::<Vec<_>>(), settings)
    }

    #[test]
    fn copies_are_found_and_others_are_not() {
        let mut images: Vec<RgbImage> = (0..40).map(scene).collect();
        images.push(imageops::crop_imm(&images[3], 4, 2, 114, 114).to_image());
        images.push(imageops::resize(&images[7], 70, 70, imageops::FilterType::Triangle));
        images.push(imageops::flip_horizontal(&images[9]));
        images.push(RgbImage::from_fn(120, 120, |x, y| images[11].get_pixel(x, y).map(|v| v.saturating_add(40))));
        images.push(RgbImage::from_pixel(120, 120, Rgb([9; 3])));
        let pairs = found(&images, &CheckSettings::default());
        let short: Vec<_> = pairs.iter().map(|p| (p.a, p.b, p.mirrored)).collect();
        assert_eq!(short, [(3, 40, false), (7, 41, false), (9, 42, true), (11, 43, false)]);
        assert!(pairs.iter().all(|p| p.similarity >= 0.65 && p.distance <= 10), "{pairs:?}");
        let straight = found(&images, &CheckSettings { near_mirrored: false, ..CheckSettings::default() });
        assert!(straight.iter().all(|p| !p.mirrored) && straight.len() == 3);
    }

    #[test]
    fn a_thousand_copies_of_one_image_do_not_make_a_million_pairs() {
        let images = vec![scene(1); 1000];
        let pairs = found(&images, &CheckSettings { near_mirrored: false, ..CheckSettings::default() });
        assert!(pairs.len() <= 1000 * MOST_CANDIDATES);
        assert!((1..1000).all(|i| pairs.iter().any(|p| p.a == i || p.b == i)));
    }
}
