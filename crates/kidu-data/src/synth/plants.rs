//! Trees, drawn upright in the picture.

use super::{
    canvas::{Canvas, Region},
    color::Rgb,
    noise::{Noise, split},
    weather::Weather,
};

/// A tree's place and looks. Lengths are fractions of the picture's side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tree {
    pub(super) x: f32,
    pub(super) base: f32,
    pub(super) height: f32,
    pub(super) width: f32,
    pub(super) leaves: Rgb,
    pub(super) bark: Rgb,
    /// Share of the branches under snow.
    pub(super) snow: f32,
    /// Distance for haze, 0 to 1.
    pub(super) distance: f32,
}

const SNOW: Rgb = Rgb::new(0.95, 0.97, 1.0);

/// Spruce and fir: tiers of branches that widen downwards.
pub(super) fn conifer(canvas: &mut Canvas, noise: &Noise, weather: &Weather, tree: Tree) {
    let Tree { x: cx, base, height, width, .. } = tree;
    let (top, half) = (base - height, width / 2.0);
    let tiers = (5.0 + 40.0 * height).min(13.0);
    let phase = cx * 37.0;
    let side = weather.direction[0];
    canvas.paint(Region::new(cx - half, cx + half, top, base), |x, y, under| {
        let (t, dx) = ((y - top) / height, (x - cx) / half);
        let jag = noise.value(x * 30.0 / width, y * 14.0 / height + phase);
        let tier = t * tiers + 0.5 * jag;
        let tier = split(tier).1;
        let reach = (0.06 + 0.9 * t) * (0.6 + 0.4 * tier) * (0.7 + 0.6 * jag);
        if dx.abs() > reach || t > 0.95 {
            let trunk = t > 0.9 && dx.abs() < 0.09;
            return if trunk { weather.veil(weather.lit(tree.bark, 0.2), tree.distance) } else { under };
        }
        let facing = 0.3 + 0.45 * dx * side + 0.5 * (jag - 0.5) + 0.35 * (tier - 0.5);
        let snowy = tree.snow > 0.0 && jag + 0.5 * (1.0 - tier) < tree.snow * 1.3;
        let colour = if snowy { SNOW } else { tree.leaves * (0.55 + 0.6 * tier * jag) };
        weather.veil(weather.lit(colour, facing), tree.distance)
    });
}

/// Broad-leaved trees: a lumpy crown on a short trunk.
pub(super) fn broadleaf(canvas: &mut Canvas, noise: &Noise, weather: &Weather, tree: Tree) {
    let Tree { x: cx, base, height, width, .. } = tree;
    let girth = width * 0.09;
    let bark = weather.veil(weather.lit(tree.bark, 0.25), tree.distance);
    canvas.stroke((cx, base), (cx + girth * 0.3, base - height * 0.6), girth * 1.3, girth * 0.7, bark);
    let (rx, ry) = (width / 2.0, height * 0.41);
    crown(canvas, noise, weather, (cx, base - height * 0.6), (rx, ry), tree);
}

/// A ball of leaves with ragged edges.
pub(super) fn crown(
    canvas: &mut Canvas,
    noise: &Noise,
    weather: &Weather,
    (cx, cy): (f32, f32),
    (rx, ry): (f32, f32),
    tree: Tree,
) {
    let side = weather.direction[0];
    let (clump, leaf) = (2.2 / rx, (12.0 / rx).min(110.0));
    canvas.paint(Region::new(cx - rx * 1.1, cx + rx * 1.1, cy - ry * 1.1, cy + ry * 1.1), |x, y, under| {
        let (dx, dy) = ((x - cx) / rx, (y - cy) / ry);
        let r = dx * dx + dy * dy;
        if r > 1.3 {
            return under;
        }
        let lump = noise.value(x * clump + cx * 91.0, y * clump);
        let fine = 0.6 * noise.value(x * leaf, y * leaf + 7.0)
            + 0.4 * noise.value((x + 0.7 * y) * leaf * 2.1, (y - 0.7 * x) * leaf * 2.1);
        if r + 1.1 * (lump - 0.5) + 0.5 * (fine - 0.5) > 0.85 {
            return under;
        }
        let facing = 0.4 - 0.45 * dy + 0.35 * dx * side + 0.9 * (fine - 0.5) + 0.5 * (lump - 0.5);
        let snowy = tree.snow > 0.0 && fine < tree.snow * 0.8 && dy < 0.5;
        let colour = if snowy { SNOW } else { tree.leaves * (0.6 + 0.55 * fine) };
        weather.veil(weather.lit(colour, facing), tree.distance)
    });
}

/// The stem of a big tree, from `top` down to `base`, with the light from one side.
pub(super) fn stem(canvas: &mut Canvas, noise: &Noise, weather: &Weather, tree: Tree, top: f32, bend: f32) {
    let half = tree.width / 2.0;
    let side = weather.direction[0];
    let reach = half * 1.6 + bend.abs();
    canvas.paint(Region::new(tree.x - reach, tree.x + reach, top, tree.base), |x, y, under| {
        let down = (y - top) / (tree.base - top).max(1e-3);
        // Roots spread at the foot; the stem leans a little.
        let girth = half * (0.8 + 0.2 * down + 0.5 * ((down - 0.93).max(0.0) / 0.07));
        let dx = (x - tree.x - bend * (1.0 - down) * (1.0 - down)) / girth;
        if dx.abs() > 1.0 {
            return under;
        }
        let grain = noise.value(dx * 3.5 + tree.x * 50.0, y * 14.0) * 0.6 + noise.value(x * 160.0, y * 30.0) * 0.4;
        let round = (1.0 - dx * dx).sqrt();
        let facing = 0.35 * round + 0.5 * dx * side;
        // Birches (pale bark) have dark bars, other trees dark furrows.
        let pale = tree.bark.luma() > 0.6;
        let bar = pale && noise.value(dx * 0.9 + tree.x * 31.0, y * 60.0) > 0.74;
        let colour = if bar { Rgb::grey(0.15) } else { tree.bark * (0.55 + 0.7 * grain) };
        weather.veil(weather.lit(colour, facing), tree.distance)
    });
}
