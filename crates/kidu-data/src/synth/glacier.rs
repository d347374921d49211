//! Glaciers: ice streams in valleys, broken fronts above water, fields of crevasses, drifting ice.

use super::{
    canvas::Region,
    color::{Rgb, smoothstep},
    noise::{Dice, hash},
    stage::Stage,
    terrain::{self, Spot, Viewpoint},
    weather::Mood,
};

pub(super) const MOODS: &[(Mood, f32)] = &[
    (Mood::Clear, 2.0),
    (Mood::Fair, 2.0),
    (Mood::Overcast, 3.0),
    (Mood::Mist, 0.8),
    (Mood::Golden, 0.8),
    (Mood::Dusk, 0.4),
];

const FIRN: Rgb = Rgb::new(0.95, 0.97, 1.0);

pub(super) fn draw(stage: &mut Stage<'_>) {
    match stage.rng.count(0, 9) {
        0..=4 => stream(stage),
        5..=7 => front(stage),
        _ => floes(stage),
    }
}

/// The blue of deep ice.
fn blue(stage: &mut Stage<'_>) -> Rgb {
    let rng = &mut *stage.rng;
    Rgb::hsv(rng.within(0.5, 0.6), rng.within(0.2, 0.6), rng.within(0.55, 0.85))
}

/// A river of ice between rock walls, with crevasses across and moraines along it.
fn stream(stage: &mut Stage<'_>) {
    let (rock, deep) = (stage.rock(), blue(stage));
    let rng = &mut *stage.rng;
    let horizon = rng.within(0.3, 0.55);
    let view = Viewpoint::over(horizon, rng.within(0.8, 1.3), rng.within(0.12, 0.24));
    let (ox, oz) = (rng.within(0.0, 60.0), rng.within(0.0, 60.0));
    let (bend, lean) = (rng.within(-0.18, 0.18), rng.within(-0.3, 0.3));
    let (wide, opening) = (rng.within(0.12, 0.3), rng.within(-0.1, 0.15));
    let climb = rng.within(0.04, 0.16);
    let walls = rng.within(0.16, 0.38);
    let snow_line = rng.within(0.12, 0.36);
    let (crack, dirt) = (rng.within(0.3, 0.8), rng.within(0.0, 0.7));
    let moraines = rng.count(0, 3);
    stage.sky(horizon, horizon + view.eye * view.focal + 0.02);
    let (noise, weather) = (&stage.noise, &stage.weather);
    // Distance from the middle of the ice, 1 at its edge.
    let across = |x: f32, z: f32| {
        let middle = bend * (z * 4.5).sin() + lean * (z - 0.2);
        (x - middle) / (wide + opening * z + 0.03 * (noise.value(z * 9.0, ox) - 0.5))
    };
    let height = |x: f32, z: f32| {
        let d = across(x, z).abs();
        let ice = climb * z + 0.035 * (1.0 - d * d).max(-0.2);
        let head = smoothstep(0.7, 1.0, z);
        let beside = smoothstep(1.0, 3.2, d);
        let rise = (1.0 - head) * beside * smoothstep(0.02, 0.4, z) + 0.9 * head;
        let rocks = if rise > 0.0 { walls * rise * (0.35 + noise.ridged(x * 3.4 + ox, z * 3.4 + oz, 5)) } else { 0.0 };
        let rubble = if d < 1.0 {
            0.012 * noise.ridged(x * 16.0, z * 34.0 + oz, 3)
        } else {
            0.02 * noise.fbm(x * 30.0, z * 30.0, 2)
        };
        ice + rocks + rubble * smoothstep(0.0, 0.3, z)
    };
    let material = |spot: Spot| {
        let d = across(spot.x, spot.z);
        let fine = noise.fbm(spot.x * 70.0 / (0.3 + spot.z), spot.z * 70.0 + spot.height * 70.0, 2);
        if d.abs() < 1.0 + 0.12 * (fine - 0.5) && spot.z < 0.85 {
            // Crevasses curve down the valley at the sides, where the ice drags.
            let along = spot.z * 46.0 + 5.0 * d * d + 3.0 * noise.value(d * 3.0, spot.z * 9.0);
            let gap = noise.value(d * 2.5 + ox, along);
            let open = smoothstep(1.0 - crack * 0.6, 1.05 - crack * 0.45, gap);
            let mut ice = FIRN.mix(deep, 0.25 + 0.35 * (1.0 - fine)).mix(deep * 0.62, open);
            for lane in 0..moraines {
                let place = (lane as f32 + 1.0) / (moraines as f32 + 1.0) * 2.0 - 1.0;
                let near = (d - place - 0.1 * (noise.value(spot.z * 8.0, place) - 0.5)).abs();
                ice = ice.mix(rock * 0.55, 0.85 * smoothstep(0.09, 0.02, near + 0.05 * fine));
            }
            let edge = smoothstep(0.75, 1.0, d.abs());
            let grit = (dirt * smoothstep(0.55, 0.75, fine)).max(edge * 0.7 * fine);
            return weather.lit(ice.mix(rock * 0.6, grit), 0.25 + 0.7 * spot.facing + 0.5 * (fine - 0.5));
        }
        let snowy = spot.height + 0.1 * (fine - 0.5) > snow_line && spot.level > 0.4;
        let colour = if snowy { FIRN } else { rock * (0.7 + 0.5 * fine) };
        weather.lit(colour, spot.facing * 1.1 + 0.6 * (fine - 0.5))
    };
    terrain::draw(&mut stage.canvas, weather, view, height, material);
}

/// Mountains behind a front or floes.
fn backdrop(stage: &mut Stage<'_>, horizon: f32) {
    let rock = stage.rock();
    let rng = &mut *stage.rng;
    let view = Viewpoint { horizon, focal: rng.within(1.0, 1.6), eye: 0.02, near: 0.3 };
    let (ox, oz) = (rng.within(0.0, 60.0), rng.within(0.0, 60.0));
    let (size, snow_line) = (rng.within(0.1, 0.34), rng.within(0.02, 0.24));
    let (noise, weather) = (&stage.noise, &stage.weather);
    terrain::draw(
        &mut stage.canvas,
        weather,
        view,
        |x, z| size * smoothstep(0.4, 0.8, z) * noise.ridged(x * 3.5 + ox, z * 3.5 + oz, 5),
        |spot| {
            let fine = noise.fbm(spot.x * 70.0, spot.height * 90.0 + spot.z * 20.0, 2);
            let snowy = spot.height + 0.08 * (fine - 0.5) > snow_line && spot.level > 0.45;
            weather.lit(if snowy { FIRN } else { rock * (0.75 + 0.4 * fine) }, spot.facing * 1.1 + 0.5 * (fine - 0.5))
        },
    );
}

/// The broken face of a tidewater glacier: towers of ice, upright cracks, water with fragments.
fn front(stage: &mut Stage<'_>) {
    let deep = blue(stage);
    let rng = &mut *stage.rng;
    let foot = rng.within(0.5, 0.85);
    let tall = rng.within(0.15, 0.45);
    let towers = rng.within(5.0, 16.0);
    let (ox, slope) = (rng.within(0.0, 60.0), rng.within(-0.25, 0.25));
    let plateau = rng.within(0.02, 0.16);
    let dirty = rng.within(0.0, 0.6);
    let open = rng.chance(0.7);
    let horizon = foot - 0.4 * tall;
    stage.sky(horizon, foot);
    backdrop(stage, horizon - 0.03);
    let rock = stage.rock();
    let (noise, weather) = (&stage.noise, &stage.weather);
    let side = weather.direction[0];
    for column in 0..stage.canvas.side() {
        let x = stage.canvas.position(column);
        let jag = noise.value(x * towers + ox, 1.0) + 0.6 * noise.value(x * towers * 2.9 + ox, 5.0);
        let crest = foot - tall * (0.55 + 0.38 * jag) - slope * (x - 0.5) * tall;
        let back = crest - plateau * (0.4 + noise.fbm(x * 4.0 + ox, 8.0, 2));
        for row in stage.canvas.index(back)..stage.canvas.index(foot) {
            let y = stage.canvas.position(row);
            let colour = if y < crest {
                // The crevassed surface behind the edge.
                let rough = noise.fbm(x * 20.0, y * 90.0, 3);
                weather.lit(FIRN.mix(deep, 0.7 * smoothstep(0.5, 0.7, rough)), 0.25 + rough * 0.5)
            } else {
                let down = (y - crest) / tall;
                let warp = x + 0.02 * noise.value(x * 6.0, y * 8.0);
                let block = noise.value(warp * towers * 1.7 + ox, y * 4.0);
                let streak = noise.value(warp * 70.0, y * 6.0);
                let crack = smoothstep(0.16, 0.05, (noise.gradient(warp * towers * 1.3 + ox, y * 3.5)).abs());
                let ice = FIRN.mix(deep, 0.25 + 0.5 * down * block + 0.25 * streak).mix(deep * 0.45, 0.75 * crack);
                let band = dirty * smoothstep(0.62, 0.75, noise.value(x * 3.0, y * 16.0 + ox));
                weather.lit(ice.mix(rock * 0.6, band), 0.2 + 0.5 * block + 0.3 * side * (streak - 0.5))
            };
            *stage.canvas.sample_mut(column, row) = colour;
        }
    }
    if open {
        let rng = &mut *stage.rng;
        let water = Rgb::hsv(rng.within(0.46, 0.6), rng.within(0.15, 0.5), rng.within(0.3, 0.65));
        let ripple = rng.within(0.2, 1.0);
        stage.water(foot, 1.0, water, ripple);
        let pieces = stage.rng.count(0, 26);
        drift(stage, foot, pieces, deep);
    } else {
        let gravel = stage.rock();
        stage.ground(foot, gravel, 0.9);
    }
}

/// Ice adrift on a lagoon or the sea, under mountains or an open sky.
fn floes(stage: &mut Stage<'_>) {
    let deep = blue(stage);
    let line = stage.rng.within(0.35, 0.6);
    stage.sky(line, line + 0.05);
    if stage.rng.chance(0.75) {
        backdrop(stage, line);
    }
    let rng = &mut *stage.rng;
    let water = Rgb::hsv(rng.within(0.48, 0.62), rng.within(0.2, 0.6), rng.within(0.2, 0.5));
    let ripple = rng.within(0.1, 0.8);
    stage.water(line, 1.0, water, ripple);
    let pieces = stage.rng.count(8, 30);
    drift(stage, line, pieces, deep);
    let bergs = stage.rng.count(1, 3);
    for _ in 0..bergs {
        let rng = &mut *stage.rng;
        let (x, y) = (rng.within(0.1, 0.9), line + rng.within(0.03, 0.25));
        let (rx, tall) = (rng.within(0.12, 0.34), rng.within(0.1, 0.3));
        berg(stage, (x, y), rx, tall, deep);
    }
}

/// Small pieces of ice, the farther the smaller.
fn drift(stage: &mut Stage<'_>, line: f32, pieces: usize, deep: Rgb) {
    let mut rows: Vec<f32> = (0..pieces).map(|_| stage.rng.unit()).map(|t| t * t).collect();
    rows.sort_by(f32::total_cmp);
    for t in rows {
        let y = line + 0.015 + (0.98 - line) * t;
        let rx = (0.01 + 0.09 * t) * stage.rng.within(0.5, 1.6);
        let x = stage.rng.unit();
        let tall = rx * stage.rng.within(0.25, 0.9);
        berg(stage, (x, y), rx, tall, deep);
    }
}

/// One piece of ice with its foot at (x, y).
fn berg(stage: &mut Stage<'_>, (cx, cy): (f32, f32), rx: f32, tall: f32, deep: Rgb) {
    let seed = (stage.rng.unit() * 60_000.0) as u32;
    let (noise, weather) = (&stage.noise, &stage.weather);
    let offset = hash(1, 2, seed) * 50.0;
    let side = weather.direction[0];
    stage.canvas.paint(Region::new(cx - rx, cx + rx, cy - tall, cy + 0.2 * rx), |x, y, under| {
        let dx = (x - cx) / rx;
        let shape = (1.0 - dx * dx) * (0.35 + 0.9 * noise.fbm(dx * 1.8 + offset, offset, 3));
        let up = (cy - y) / tall;
        if up > shape || up < -0.2 * (1.0 - dx * dx) {
            return under;
        }
        let face = noise.value(dx * 5.0 + offset, up * 4.0);
        let ice = FIRN.mix(deep, 0.15 + 0.55 * (1.0 - up).max(0.0) * face);
        weather.lit(ice, 0.25 + 0.5 * face + 0.3 * dx * side)
    });
}
