//! Mountains: ridges and summits of rock and snow behind meadows, forests, lakes or hills.

use super::{
    color::{Rgb, smoothstep},
    noise::Dice,
    plants::{self, Tree},
    stage::Stage,
    terrain::{self, Spot, Viewpoint},
    weather::Mood,
};

pub(super) const MOODS: &[(Mood, f32)] = &[
    (Mood::Clear, 2.0),
    (Mood::Fair, 3.0),
    (Mood::Overcast, 1.5),
    (Mood::Mist, 0.25),
    (Mood::Golden, 1.4),
    (Mood::Dusk, 0.7),
];

const SNOW: Rgb = Rgb::new(0.96, 0.97, 1.0);

pub(super) fn draw(stage: &mut Stage<'_>) {
    let rng = &mut *stage.rng;
    let horizon = rng.within(0.5, 0.75);
    let lake = rng.chance(0.25);
    let view = Viewpoint::over(horizon, rng.within(0.9, 1.6), rng.within(0.03, 0.1));
    stage.sky(horizon, horizon + view.eye * view.focal + 0.02);
    if stage.rng.chance(0.35) {
        blue_ridges(stage, horizon);
    }
    massif(stage, view, lake);
    if lake {
        let line = horizon + stage.rng.within(0.06, 0.12);
        let water = Rgb::hsv(stage.rng.within(0.47, 0.6), stage.rng.within(0.3, 0.6), stage.rng.within(0.3, 0.55));
        let ripple = stage.rng.within(0.05, 0.8);
        stage.water(line, 1.0, water, ripple);
    } else if stage.rng.chance(0.35) {
        firs(stage);
    }
}

/// The main range as terrain, with rock, snow, alps and woods by height and steepness.
fn massif(stage: &mut Stage<'_>, view: Viewpoint, lake: bool) {
    let (rock, grass, woods) = (stage.rock(), stage.grass(), stage.foliage() * 0.7);
    let rng = &mut *stage.rng;
    let (ox, oz) = (rng.within(0.0, 60.0), rng.within(0.0, 60.0));
    let detail = rng.within(2.2, 4.5);
    let size = rng.within(0.22, 0.42);
    let summit = (rng.within(-0.25, 0.25), rng.within(0.45, 0.7));
    let cone = if rng.chance(0.5) { rng.within(0.1, 0.3) } else { 0.0 };
    let rise = (rng.within(0.15, 0.4), rng.within(0.55, 0.8));
    let hills = rng.within(0.02, 0.07);
    let snow_line = rng.within(0.05, 0.55);
    let tree_line = if rng.chance(0.6) { rng.within(0.04, 0.16) } else { -1.0 };
    let rough = rng.within(0.5, 1.1);
    let (noise, weather) = (&stage.noise, &stage.weather);
    let height = |x: f32, z: f32| {
        let range = smoothstep(rise.0, rise.1, z);
        let (dx, dz) = (x - summit.0, z - summit.1);
        let peak = cone * (1.0 - (dx * dx + 0.6 * dz * dz).sqrt() / 0.33).max(0.0);
        let ridges = noise.ridged(x * detail + ox, z * detail + oz, 6);
        let land = hills * smoothstep(0.08, 0.4, z) * noise.fbm(x * 6.0 + oz, z * 6.0 + ox, 3)
            + range * size * ridges
            + peak * (0.6 + 0.7 * ridges);
        if lake { land.max(0.02) } else { land }
    };
    let material = |spot: Spot| {
        let fine = noise.fbm(spot.x * 60.0 / (0.3 + spot.z), spot.height * 80.0 + spot.z * 26.0, 2);
        let strata = noise.value(spot.x * 9.0, spot.height * 90.0);
        let facing = spot.facing * 1.25 + rough * (fine - 0.5);
        let high = spot.height + 0.09 * (fine - 0.5) - 0.10 * (1.0 - spot.level);
        if high > snow_line && spot.level > 0.42 + 0.35 * (strata - 0.5) {
            return weather.lit(SNOW, 0.25 + spot.facing + 0.3 * (fine - 0.5));
        }
        let stone = rock * (0.75 + 0.3 * strata + 0.2 * fine);
        if high < tree_line && spot.level > 0.35 {
            let crowns = noise.value(spot.x * 130.0 / (0.2 + spot.z), spot.z * 160.0 + spot.height * 150.0);
            return weather.lit(woods * (0.5 + 0.8 * crowns), spot.facing + 0.4 * (crowns - 0.5));
        }
        let green = smoothstep(0.24, 0.05, high) * smoothstep(0.5, 0.8, spot.level);
        weather.lit(stone.mix(grass * (0.8 + 0.4 * fine), green), facing)
    };
    terrain::draw(&mut stage.canvas, weather, view, height, material);
}

/// Far ranges as bands, each paler than the one before it.
fn blue_ridges(stage: &mut Stage<'_>, horizon: f32) {
    let layers = stage.rng.count(1, 4);
    let tone = stage.rock() * 0.6;
    for layer in 0..layers {
        let far = 1.0 - layer as f32 / layers as f32;
        let base = horizon - 0.05 - 0.22 * far * stage.rng.within(0.5, 1.2);
        let (offset, tall) = (stage.rng.within(0.0, 50.0), stage.rng.within(0.08, 0.25));
        let (noise, weather) = (&stage.noise, &stage.weather);
        let colour = weather.lit(tone, 0.4).mix(weather.haze, 0.35 + 0.5 * far);
        for column in 0..stage.canvas.side() {
            let x = stage.canvas.position(column);
            let top = base - tall * (noise.ridged(x * 2.2 + offset, offset, 5) - 0.4);
            for row in stage.canvas.index(top)..stage.canvas.index(horizon + 0.2) {
                *stage.canvas.sample_mut(column, row) = colour;
            }
        }
    }
}

/// A few trees close by, as frames of the view.
fn firs(stage: &mut Stage<'_>) {
    let leaves = Rgb::hsv(stage.rng.within(0.3, 0.42), 0.4, stage.rng.within(0.15, 0.32));
    let bark = stage.bark();
    for _ in 0..stage.rng.count(2, 9) {
        let rng = &mut *stage.rng;
        let height = rng.within(0.12, 0.4);
        let tree = Tree {
            x: rng.unit(),
            base: rng.within(0.92, 1.08),
            height,
            width: height * rng.within(0.28, 0.42),
            leaves: leaves * rng.within(0.8, 1.2),
            bark,
            snow: 0.0,
            distance: 0.05,
        };
        plants::conifer(&mut stage.canvas, &stage.noise, &stage.weather, tree);
    }
}
