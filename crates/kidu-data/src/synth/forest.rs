//! Forests: among the trunks, at the edge, over wooded hills, and from above.

use super::{
    canvas::Region,
    color::{Rgb, smoothstep},
    noise::{Dice, hash, split},
    plants::{self, Tree},
    stage::Stage,
    weather::Mood,
};

pub(super) const MOODS: &[(Mood, f32)] = &[
    (Mood::Clear, 2.0),
    (Mood::Fair, 2.0),
    (Mood::Overcast, 2.5),
    (Mood::Mist, 1.8),
    (Mood::Golden, 1.3),
    (Mood::Dusk, 0.6),
];

pub(super) fn draw(stage: &mut Stage<'_>) {
    match stage.rng.count(0, 11) {
        0..=4 => among_trunks(stage),
        5..=6 => edge(stage),
        7..=9 => hills(stage),
        _ => from_above(stage),
    }
}

/// Snow on the branches, in some pictures.
fn winter(stage: &mut Stage<'_>) -> f32 {
    if stage.rng.chance(0.16) { stage.rng.within(0.25, 0.6) } else { 0.0 }
}

/// Inside the wood: trunks before leaves, litter and ferns below, sometimes a path.
fn among_trunks(stage: &mut Stage<'_>) {
    let snow = winter(stage);
    let (leaves, bark) = (stage.foliage(), stage.bark());
    let horizon = stage.rng.within(0.5, 0.78);
    screen(stage, horizon, leaves);
    floor(stage, horizon, leaves, snow);
    if stage.rng.chance(0.35) {
        path(stage, horizon);
    }
    let trunks = stage.rng.count(8, 26);
    let mut distances: Vec<f32> = (0..trunks).map(|_| stage.rng.within(0.0, 1.0)).collect();
    distances.sort_by(|a, b| b.total_cmp(a));
    let girth = stage.rng.within(0.05, 0.14);
    for far in distances {
        let near = 1.0 - far;
        let rng = &mut *stage.rng;
        let tree = Tree {
            x: rng.within(-0.05, 1.05),
            base: horizon + (1.08 - horizon) * near * near + 0.015,
            height: 1.0,
            width: (0.012 + girth * near * near) * rng.within(0.6, 1.3),
            leaves,
            bark: bark * rng.within(0.75, 1.2),
            snow,
            distance: 0.1 + 0.9 * far,
        };
        let bend = rng.within(-0.06, 0.06) * (0.3 + near);
        plants::stem(&mut stage.canvas, &stage.noise, &stage.weather, tree, 0.0, bend);
        if stage.rng.chance(0.4) {
            understorey(stage, tree, leaves);
        }
    }
    if stage.rng.chance(0.75) {
        canopy(stage, leaves, snow);
    }
}

/// The far background of a wood: leaves and gaps of light.
fn screen(stage: &mut Stage<'_>, horizon: f32, leaves: Rgb) {
    let rng = &mut *stage.rng;
    let gap = rng.within(0.45, 0.75);
    let bright = rng.within(0.5, 1.3);
    let dense = rng.within(9.0, 22.0);
    let (noise, weather) = (&stage.noise, &stage.weather);
    stage.canvas.paint(Region::ALL, |x, y, _| {
        let leaf = noise.fbm(x * dense, y * dense, 3);
        let stripes = noise.value(x * 34.0, 0.8 * y);
        let shade = leaves * (0.25 + bright * leaf * (0.5 + 0.5 * stripes));
        let open = smoothstep(gap, gap + 0.15, leaf + 0.25 * (horizon - y));
        weather.veil(weather.lit(shade, 0.5), 0.35).mix(weather.sky_at(0.3), open)
    });
}

/// The ground of a wood: litter, moss, ferns or snow, with spots of sun.
fn floor(stage: &mut Stage<'_>, horizon: f32, leaves: Rgb, snow: f32) {
    let rng = &mut *stage.rng;
    let litter = Rgb::hsv(rng.within(0.05, 0.12), rng.within(0.25, 0.6), rng.within(0.22, 0.5));
    let soil = if snow > 0.0 { Rgb::new(0.85, 0.88, 0.94) } else { litter.mix(leaves * 0.8, rng.unit()) };
    let fern = if snow > 0.0 { 2.0 } else { rng.within(0.45, 0.9) };
    let (noise, weather) = (&stage.noise, &stage.weather);
    stage.canvas.paint(Region::rows(horizon - 0.04, 1.0), |x, y, under| {
        let top = horizon + 0.03 * (noise.fbm(x * 7.0, 4.0, 3) - 0.6);
        if y < top {
            return under;
        }
        let depth = 0.2 / (y - top + 0.05);
        let (u, v) = ((x - 0.5) * 9.0 * depth, 12.0 * depth);
        let (patch, blade) = (noise.fbm(u, v, 2), noise.value(u * 9.0, v * 6.0));
        let green = smoothstep(fern - 0.08, fern + 0.08, patch + 0.25 * (blade - 0.5));
        let colour = soil.mix(leaves, green) * (0.6 + 0.7 * blade);
        let spot = smoothstep(0.5, 0.7, noise.value(u * 0.7 + 9.0, v * 0.8));
        weather.veil(weather.lit(colour, 0.1 + 0.7 * spot), 0.08 * depth)
    });
}

fn path(stage: &mut Stage<'_>, horizon: f32) {
    let rng = &mut *stage.rng;
    let (goal, foot) = (rng.within(0.3, 0.7), rng.within(0.2, 0.8));
    let (wide, bend) = (rng.within(0.1, 0.3), rng.within(-0.15, 0.15));
    let soil = Rgb::hsv(rng.within(0.07, 0.12), rng.within(0.1, 0.4), rng.within(0.4, 0.75));
    let (noise, weather) = (&stage.noise, &stage.weather);
    stage.canvas.paint(Region::rows(horizon, 1.0), |x, y, under| {
        let t = (y - horizon) / (1.0 - horizon);
        let middle = goal + (foot - goal) * t + bend * (t * 3.1).sin();
        let fray = 0.05 * (noise.fbm(x * 14.0, y * 14.0, 2) - 0.5);
        let d = (x - middle).abs() - (0.015 + wide * t) - fray * (0.3 + t);
        let grain = noise.value(x * 50.0, y * 70.0);
        under.mix(weather.lit(soil * (0.8 + 0.3 * grain), 0.45), smoothstep(0.012, -0.012, d))
    });
}

/// A bush or sapling at a tree's foot.
fn understorey(stage: &mut Stage<'_>, tree: Tree, leaves: Rgb) {
    let rng = &mut *stage.rng;
    let size = (0.04 + 1.2 * tree.width) * rng.within(0.6, 1.6);
    let at = (tree.x + rng.within(-0.1, 0.1), tree.base - 0.4 * size);
    let bush = Tree { leaves: leaves * rng.within(0.7, 1.15), ..tree };
    plants::crown(&mut stage.canvas, &stage.noise, &stage.weather, at, (size, size * 0.7), bush);
}

/// Branches that hang into the picture from above.
fn canopy(stage: &mut Stage<'_>, leaves: Rgb, snow: f32) {
    let rng = &mut *stage.rng;
    let (low, ragged) = (rng.within(0.08, 0.4), rng.within(0.25, 0.7));
    let fine = rng.within(30.0, 70.0);
    let (noise, weather) = (&stage.noise, &stage.weather);
    stage.canvas.paint(Region::rows(0.0, (low + ragged).min(1.0)), |x, y, under| {
        let clump = noise.fbm(x * 5.0 + 3.0, y * 5.0, 2);
        let leaf = 0.6 * noise.value(x * fine, y * fine)
            + 0.4 * noise.value((x + 0.6 * y) * fine * 2.2, (y - 0.6 * x) * fine * 2.2);
        if y > low + ragged * (clump - 0.5) * 1.6 + 0.1 * (leaf - 0.5) || leaf + clump < 0.72 {
            return under;
        }
        let colour = if snow > 0.0 && leaf > 0.7 { Rgb::grey(0.92) } else { leaves * (0.35 + 0.9 * leaf) };
        weather.lit(colour, 0.2 + 0.7 * (leaf - 0.4) + 0.4 * clump)
    });
}

/// The edge of a wood across a meadow or water.
fn edge(stage: &mut Stage<'_>) {
    let snow = winter(stage);
    let needles = stage.rng.chance(0.45);
    let base = stage.rng.within(0.6, 0.85);
    stage.sky(base, base);
    let meadow = if snow > 0.0 { Rgb::new(0.88, 0.91, 0.96) } else { stage.grass() };
    stage.ground(base - 0.02, meadow, 0.7);
    let mixed = stage.rng.within(0.0, 1.0);
    let first = stage.foliage();
    let bark = stage.bark();
    let tall = stage.rng.within(0.3, 0.62);
    for row in 0..3 {
        let count = if needles { 11 } else { 7 };
        for i in 0..count {
            let other = stage.foliage();
            let rng = &mut *stage.rng;
            let height = tall * rng.within(0.6, 1.15) * (1.1 - 0.18 * row as f32);
            let tree = Tree {
                x: (i as f32 + rng.within(-0.2, 1.2)) / count as f32,
                base: base + 0.012 * row as f32 + rng.within(0.0, 0.015),
                height,
                width: height * if needles { rng.within(0.25, 0.4) } else { rng.within(0.5, 0.8) },
                leaves: (if needles { first * 0.75 } else { first.mix(other, mixed * 0.7) }) * rng.within(0.8, 1.15),
                bark,
                snow,
                distance: 0.45 - 0.15 * row as f32,
            };
            let plant = if needles { plants::conifer } else { plants::broadleaf };
            plant(&mut stage.canvas, &stage.noise, &stage.weather, tree);
        }
    }
    if stage.rng.chance(0.3) {
        let line = base + 0.04;
        let water = Rgb::hsv(stage.rng.within(0.3, 0.6), 0.3, stage.rng.within(0.2, 0.45));
        let ripple = stage.rng.within(0.05, 0.6);
        stage.water(line, 1.0, water, ripple);
    }
}

/// Slopes covered with trees, ridge behind ridge.
fn hills(stage: &mut Stage<'_>) {
    let snow = winter(stage);
    let sky = stage.rng.within(0.05, 0.42);
    stage.sky(sky + 0.2, sky + 0.45);
    let layers = stage.rng.count(3, 5);
    let first = stage.foliage();
    let needles = stage.rng.chance(0.7);
    let bark = stage.bark();
    for layer in 0..layers {
        let near = layer as f32 / (layers - 1) as f32;
        let base = sky + (0.8 - sky) * near;
        let rng = &mut *stage.rng;
        let (offset, tall, lean) = (rng.within(0.0, 50.0), rng.within(0.08, 0.3), rng.within(-0.3, 0.3));
        let size = 0.045 + 0.2 * near * near;
        let tint = first.mix(stage.foliage(), 0.35) * if needles { 0.7 } else { 0.9 };
        slope(
            stage,
            |noise, x| base - tall * (noise.fbm(x * 2.0 + offset, offset, 3) - 0.5) + lean * (x - 0.5),
            |noise, x, y| (tint, 1.05 * (1.0 - near), noise.value(x * 5.0 / size, y * 3.0 / size)),
        );
        let trees = ((5.5 / size) as usize).min(90);
        for _ in 0..trees {
            let rng = &mut *stage.rng;
            let (x, down) = (rng.unit(), rng.unit());
            let ridge = base - tall * (stage.noise.fbm(x * 2.0 + offset, offset, 3) - 0.5) + lean * (x - 0.5);
            let height = size * rng.within(0.7, 1.2);
            let tree = Tree {
                x,
                base: ridge + 0.3 * size + down * down * 0.25,
                height,
                width: height * if needles { rng.within(0.35, 0.5) } else { rng.within(0.8, 1.2) },
                leaves: tint * rng.within(0.75, 1.25),
                bark,
                snow,
                distance: 1.05 * (1.0 - near),
            };
            let plant = if needles { plants::conifer } else { plants::broadleaf };
            plant(&mut stage.canvas, &stage.noise, &stage.weather, tree);
        }
    }
}

/// Fills everything below a line with leaves.
fn slope(
    stage: &mut Stage<'_>,
    ridge: impl Fn(&super::noise::Noise, f32) -> f32,
    leaf: impl Fn(&super::noise::Noise, f32, f32) -> (Rgb, f32, f32),
) {
    let (noise, weather) = (&stage.noise, &stage.weather);
    for column in 0..stage.canvas.side() {
        let x = stage.canvas.position(column);
        for row in stage.canvas.index(ridge(noise, x))..stage.canvas.side() {
            let y = stage.canvas.position(row);
            let (colour, distance, fine) = leaf(noise, x, y);
            let lit = weather.lit(colour * (0.4 + 0.7 * fine), 0.2 + 0.5 * fine);
            *stage.canvas.sample_mut(column, row) = weather.veil(lit, distance);
        }
    }
}

/// Crowns seen from the air, with a road or river in some pictures.
fn from_above(stage: &mut Stage<'_>) {
    let (first, second) = (stage.foliage(), stage.foliage());
    let rng = &mut *stage.rng;
    let scale = rng.within(7.0, 20.0);
    let (tilt, mixed, snow) = (rng.within(0.0, 1.2), rng.unit(), if rng.chance(0.1) { 0.5 } else { 0.0 });
    let seed = (rng.unit() * 60_000.0) as u32;
    let gap = rng.chance(0.35);
    let (lane, bend, wide) = (rng.within(0.25, 0.75), rng.within(-0.5, 0.5), rng.within(0.02, 0.06));
    let strip = if rng.chance(0.5) { Rgb::hsv(0.55, 0.35, rng.within(0.25, 0.5)) } else { Rgb::hsv(0.1, 0.2, 0.6) };
    let (noise, weather) = (&stage.noise, &stage.weather);
    let [lx, ly, _] = weather.direction;
    stage.canvas.paint(Region::ALL, |x, y, _| {
        // Farther (smaller) crowns at the top when the camera tilts.
        let depth = 1.0 + tilt * (1.0 - y);
        let (u, v) = ((x - 0.5) * scale * depth, -scale * (1.0 - y) * (1.0 + 0.5 * tilt * (1.0 - y)) * depth.sqrt());
        let (cx, cy) = (split(u).0, split(v).0);
        let mut best = (f32::MAX, 0.0, 0.0, 0.0);
        for i in cx - 1..=cx + 1 {
            for j in cy - 1..=cy + 1 {
                let kind = hash(i, j, seed);
                let (dx, dy) = (u - i as f32 - 0.2 - 0.6 * kind, v - j as f32 - 0.2 - 0.6 * hash(j, i, seed));
                let d = (dx * dx + dy * dy) * (0.7 + 0.6 * kind);
                if d < best.0 {
                    best = (d, dx, dy, kind);
                }
            }
        }
        let (d, dx, dy, kind) = best;
        let leaf = noise.value(u * 5.0, v * 5.0);
        let tint =
            first.mix(second, if kind > 0.55 { mixed } else { 0.0 }) * (0.75 + 0.5 * hash(cx, 3, seed).min(kind));
        let colour = if leaf < snow { Rgb::grey(0.9) } else { tint * (0.55 + 0.6 * leaf) };
        let facing = 0.55 + 0.8 * (dx * lx - dy * ly) - 0.9 * d + 0.5 * (leaf - 0.5);
        let wood = weather.veil(weather.lit(colour, facing) * (1.0 - 0.55 * smoothstep(0.2, 0.6, d)), 0.25 * depth);
        let middle = lane + bend * (y - 0.5) + 0.08 * (y * 7.0).sin();
        let off = (x - middle).abs() * depth - wide - 0.03 * (leaf - 0.5);
        if gap && off < 0.0 { weather.veil(weather.lit(strip, 0.5), 0.25) } else { wood }
    });
}
