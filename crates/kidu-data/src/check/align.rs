//! Laying one thumbnail over another, and how well their edges then agree.
//!
//! Perceptual hashes say that two pictures may be the same; two seas with the horizon at one height have near hashes
//! too. So each candidate is laid over its partner, as a part of it that is refined by least squares (Lucas and Kanade
//! 1981, with gain and offset as in Baker and Matthews 2004), and the two are judged by the correlation of their
//! differences between neighbours: of unrelated photographs that is near 0, of re-encoded, cropped or brightened ones
//! above 0.7.

use super::thumbnail::{Thumbnail, Values, View, cut};

const SIDE: usize = Thumbnail::SIDE;
const STEPS: usize = 6;
/// The longest step in one iteration, in parts of the image's side.
const LONGEST: f64 = 0.03;
/// How far the numerical derivative looks.
const PROBE: f32 = 0.01;

/// The correlation of edges, in [-1, 1], of `whole` cut to the part that shows what `part` shows; `start` is where to
/// begin.
pub(crate) fn similarity(whole: &Values, start: View, part: &Values) -> f32 {
    let mut view = start;
    let mut best = edge_correlation(&cut(whole, view), part);
    for _ in 0..STEPS {
        let Some(step) = step(whole, view, part) else { break };
        view = View { x: view.x + step[0], y: view.y + step[1], scale: (view.scale + step[2]).clamp(0.8, 1.05) };
        let found = edge_correlation(&cut(whole, view), part);
        if found <= best {
            break;
        }
        best = found;
    }
    best
}

/// One step of Gauss-Newton on `part ≈ gain * cut(whole, view) + offset`, as changes of x, y and scale.
fn step(whole: &Values, view: View, part: &Values) -> Option<[f32; 3]> {
    let here = cut(whole, view);
    let moved = [
        cut(whole, View { x: view.x + PROBE, ..view }),
        cut(whole, View { y: view.y + PROBE, ..view }),
        cut(whole, View { scale: view.scale + PROBE, ..view }),
    ];
    let mut normal = [[0.0f64; 6]; 5];
    for i in 0..SIDE * SIDE {
        let value = f64::from(here[i]);
        let slope = |k: usize| (f64::from(moved[k][i]) - value) / f64::from(PROBE);
        let row = [slope(0), slope(1), slope(2), value, 1.0, f64::from(part[i])];
        for (line, a) in normal.iter_mut().zip(&row) {
            line.iter_mut().zip(&row).for_each(|(slot, b)| *slot += a * b);
        }
    }
    let found = solve(normal)?;
    let gain = found[3];
    if gain.abs() < 1e-3 {
        return None;
    }
    Some(std::array::from_fn(|k| (found[k] / gain).clamp(-LONGEST, LONGEST) as f32))
}

/// Gauss's elimination with the largest pivot; `None` for a singular system.
fn solve(mut m: [[f64; 6]; 5]) -> Option<[f64; 5]> {
    for column in 0..5 {
        let pivot = (column..5).max_by(|a, b| m[*a][column].abs().total_cmp(&m[*b][column].abs()))?;
        m.swap(column, pivot);
        let line = m[column];
        if line[column].abs() < 1e-9 {
            return None;
        }
        for other in m.iter_mut().skip(column + 1) {
            let factor = other[column] / line[column];
            other.iter_mut().zip(&line).for_each(|(o, l)| *o -= factor * l);
        }
    }
    let mut x = [0.0; 5];
    for row in (0..5).rev() {
        let known: f64 = (row + 1..5).map(|k| m[row][k] * x[k]).sum();
        x[row] = (m[row][5] - known) / m[row][row];
    }
    Some(x)
}

/// Pearson's correlation of the differences between neighbours to the right and below.
fn edge_correlation(a: &Values, b: &Values) -> f32 {
    let (mut ab, mut aa, mut bb) = (0.0f32, 0.0f32, 0.0f32);
    let mut add = |i: usize, j: usize| {
        let (da, db) = (a[j] - a[i], b[j] - b[i]);
        ab += da * db;
        aa += da * da;
        bb += db * db;
    };
    for y in 0..SIDE {
        (0..SIDE - 1).for_each(|x| add(y * SIDE + x, y * SIDE + x + 1));
    }
    (0..SIDE * (SIDE - 1)).for_each(|i| add(i, i + SIDE));
    // The mean difference over an image is next to nothing and left in.
    let norm = (aa * bb).sqrt();
    if norm > 1e-6 { ab / norm } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use kidu_core::rng;
    use rand::RngExt;

    use super::*;
    use crate::check::thumbnail::VIEWS;

    /// Blobs: no two places look alike.
    fn scene(seed: u64) -> Values {
        let mut rng = rng::stream(seed, "align test", &[]);
        let mut blob = |_| [rng.random_range(0.0..32.0f32), rng.random_range(0.0..32.0), rng.random_range(-60.0..60.0)];
        let blobs: Vec<[f32; 3]> = (0..30).map(&mut blob).collect();
        std::array::from_fn(|i| {
            let (x, y) = ((i % SIDE) as f32, (i / SIDE) as f32);
            let height = |[bx, by, h]: &[f32; 3]| h * (-((x - bx).powi(2) + (y - by).powi(2)) / 10.0).exp();
            128.0 + blobs.iter().map(height).sum::<f32>()
        })
    }

    #[test]
    fn a_crop_is_found_although_no_view_is_quite_it() {
        let whole = scene(1);
        let part = cut(&whole, View { x: 0.018, y: 0.047, scale: 0.925 }).map(|v| 0.6 * v + 30.0);
        let unrefined = edge_correlation(&cut(&whole, VIEWS[5]), &part);
        let found = similarity(&whole, VIEWS[5], &part);
        assert!(found > 0.98 && found > unrefined, "{found} {unrefined}");
    }

    #[test]
    fn another_scene_is_not_made_to_fit() {
        for other in 2..30 {
            let found = similarity(&scene(1), VIEWS[0], &scene(other));
            assert!(found < 0.65, "{other}: {found}");
        }
    }

    #[test]
    fn flat_images_have_no_edges() {
        assert_eq!(similarity(&[5.0; SIDE * SIDE], VIEWS[0], &scene(1)), 0.0);
    }

    #[test]
    fn solves_what_was_multiplied_out() {
        let x = [1.0, -2.0, 3.0, 0.5, 4.0];
        let m: [[f64; 6]; 5] = std::array::from_fn(|i| {
            let row: [f64; 5] = std::array::from_fn(|j| ((i * 7 + j * 3) % 5) as f64 + if i == j { 6.0 } else { 0.0 });
            let right = row.iter().zip(&x).map(|(a, b)| a * b).sum();
            [row[0], row[1], row[2], row[3], row[4], right]
        });
        let found = solve(m).unwrap();
        assert!(found.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        assert!(solve([[0.0; 6]; 5]).is_none());
    }
}
