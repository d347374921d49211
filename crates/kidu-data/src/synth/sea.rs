//! Seas: open water, beaches, rocky coasts, breaking waves.

use super::{
    canvas::Region,
    color::{Rgb, smoothstep},
    noise::Dice,
    props,
    stage::Stage,
    weather::Mood,
};

pub(super) const MOODS: &[(Mood, f32)] = &[
    (Mood::Clear, 2.0),
    (Mood::Fair, 3.0),
    (Mood::Overcast, 2.0),
    (Mood::Mist, 0.5),
    (Mood::Golden, 1.8),
    (Mood::Dusk, 1.2),
];

pub(super) fn draw(stage: &mut Stage<'_>) {
    let rng = &mut *stage.rng;
    let horizon = if rng.chance(0.85) { rng.within(0.22, 0.62) } else { rng.within(0.02, 0.2) };
    let calm = rng.within(0.15, 1.0);
    stage.sky(horizon, horizon + 0.01);
    if stage.rng.chance(0.35) {
        far_coast(stage, horizon);
    }
    waves(stage, horizon, calm);
    let sails = if stage.rng.chance(0.3) { stage.rng.count(1, 3) } else { 0 };
    for _ in 0..sails {
        let t = stage.rng.unit();
        let place = (stage.rng.within(0.05, 0.95), horizon + 0.004 + 0.12 * t * t);
        let size = (0.03 + 0.14 * t) * stage.rng.within(0.6, 1.3);
        props::boat(&mut stage.canvas, &stage.weather, place, size, stage.rng);
    }
    match stage.rng.count(0, 9) {
        0..=3 => beach(stage, horizon),
        4..=5 => rocks(stage, horizon),
        6 => cliff(stage, horizon),
        _ => {}
    }
}

/// Rows of waves that grow towards the viewer, with the sky's colour at grazing angles, glitter and whitecaps.
fn waves(stage: &mut Stage<'_>, horizon: f32, rough: f32) {
    let rng = &mut *stage.rng;
    let near = match rng.count(0, 4) {
        0 => Rgb::hsv(rng.within(0.44, 0.52), rng.within(0.35, 0.75), rng.within(0.5, 0.85)),
        1 => Rgb::hsv(rng.within(0.35, 0.6), rng.within(0.05, 0.25), rng.within(0.3, 0.6)),
        _ => Rgb::hsv(rng.within(0.52, 0.63), rng.within(0.35, 0.8), rng.within(0.25, 0.65)),
    };
    let far = near.mix(Rgb::hsv(0.6, 0.6, 0.4), rng.within(0.0, 0.7));
    let mirror = rng.within(0.25, 0.75);
    let length = rng.within(3.0, 9.0);
    let white = if rng.chance(0.5) { rng.within(0.62, 0.8) } else { 2.0 };
    let (ox, skew) = (rng.within(0.0, 50.0), rng.within(-0.6, 0.6));
    let (noise, weather) = (&stage.noise, &stage.weather);
    let sun_at = weather.disc().unwrap_or(0.5 + 0.5 * weather.direction[0]);
    let glitter = if weather.disc().is_some() { 1.2 } else { 0.25 };
    stage.canvas.paint(Region::rows(horizon, 1.0), |x, y, _| {
        let down = y - horizon;
        let depth = 0.3 / (down + 0.012);
        let (u, v) = ((x - 0.5) * depth * 2.0 + skew * depth, depth * length);
        let swell = noise.value(u * 0.9 + ox, v);
        let chop = noise.fbm(u * 2.6, v * 2.7 + ox, 2);
        let slope = rough * (0.7 * (swell - 0.5) + 0.8 * (chop - 0.5));
        let steep = smoothstep(0.0, 0.7, down);
        let sky = weather.sky_at(0.1 + 0.8 * steep + slope);
        let body = weather.lit(far.mix(near, steep * 1.4), 0.45 + 0.9 * slope);
        let mut water = body.mix(sky, mirror * (1.0 - 0.6 * steep) * (0.8 - slope));
        let path = (1.0 - ((x - sun_at).abs() / (0.06 + 0.35 * down)).min(1.0)) * glitter;
        if path > 0.0 {
            water += weather.horizon * (path * smoothstep(0.5, 0.75, chop + 0.25 * slope));
        }
        let cap = smoothstep(white, white + 0.08, 0.6 * chop + 0.4 * swell);
        weather.veil(water.mix(weather.lit(Rgb::grey(0.95), 0.5), cap), 0.25 * smoothstep(0.1, 0.0, down))
    });
}

/// An island or headland at the horizon.
fn far_coast(stage: &mut Stage<'_>, horizon: f32) {
    let land = if stage.rng.chance(0.5) { stage.rock() } else { stage.foliage() * 0.8 };
    let rng = &mut *stage.rng;
    let (left, wide, tall) = (rng.within(-0.3, 0.9), rng.within(0.2, 0.9), rng.within(0.02, 0.14));
    let (ox, far) = (rng.within(0.0, 50.0), rng.within(0.3, 1.0));
    let (noise, weather) = (&stage.noise, &stage.weather);
    for column in 0..stage.canvas.side() {
        let x = stage.canvas.position(column);
        let t = ((x - left) / wide).clamp(0.0, 1.0);
        let top = horizon - tall * (4.0 * t * (1.0 - t)).sqrt() * (0.3 + noise.ridged(x * 3.0 + ox, ox, 4));
        for row in stage.canvas.index(top)..stage.canvas.index(horizon) {
            let y = stage.canvas.position(row);
            let fine = noise.value(x * 60.0, y * 80.0);
            *stage.canvas.sample_mut(column, row) = weather.veil(weather.lit(land * (0.7 + 0.5 * fine), 0.4), far);
        }
    }
}

/// Sand at the bottom or a corner of the picture, with the wash of the last wave along it.
fn beach(stage: &mut Stage<'_>, horizon: f32) {
    let rng = &mut *stage.rng;
    let sand = Rgb::hsv(rng.within(0.07, 0.14), rng.within(0.08, 0.42), rng.within(0.5, 0.92));
    let (edge, slant) = (rng.within(0.5, 0.85), rng.within(-0.9, 0.9));
    let edge = horizon + (1.0 - horizon) * edge;
    let (ox, wash) = (rng.within(0.0, 50.0), rng.within(0.02, 0.09));
    let stones = if rng.chance(0.3) { 0.85 } else { 2.0 };
    let (noise, weather) = (&stage.noise, &stage.weather);
    let foam = weather.lit(Rgb::grey(0.97), 0.5);
    stage.canvas.paint(Region::rows(horizon + 0.03, 1.0), |x, y, under| {
        let bay = slant * (x - 0.5) + 0.12 * (noise.fbm(x * 3.0 + ox, ox, 3) - 0.5);
        let past = y - edge - bay;
        if past < -2.5 * wash {
            return under;
        }
        let lace = noise.fbm(x * 16.0, y * 26.0 + ox, 3);
        if past < 0.0 {
            // Shallow water, then the breaking edge: bands of foam.
            let band = ((past / wash) * 4.0 + 2.5 * lace).sin();
            let shallow = under.mix(weather.lit(sand, 0.4), 0.35 * (1.0 + past / (2.5 * wash)));
            return shallow.mix(foam, smoothstep(0.35, 0.8, band) * smoothstep(-2.5, -0.6, past / wash + lace - 0.5));
        }
        if past < 0.012 + 0.02 * lace {
            return foam;
        }
        let wet = smoothstep(0.12, 0.02, past);
        let pebble = if noise.value(x * 70.0, y * 95.0) > stones { 0.5 } else { 1.0 };
        let dry = weather.lit(sand * ((0.9 + 0.25 * (lace - 0.5)) * pebble), 0.6);
        dry.mix((sand * 0.6 * weather.ambient).mix(weather.sky_at(0.3), 0.35), 0.75 * wet)
    });
}

/// Rocks in the surf.
fn rocks(stage: &mut Stage<'_>, horizon: f32) {
    let stone = stage.rock() * 0.7;
    for _ in 0..stage.rng.count(2, 8) {
        let rng = &mut *stage.rng;
        let t = rng.unit();
        let (cx, cy) = (rng.within(-0.05, 1.05), horizon + 0.06 + (1.05 - horizon) * t * 0.9);
        let rx = (0.03 + 0.26 * t) * rng.within(0.5, 1.2);
        let (tall, offset) = (rx * rng.within(0.4, 1.3), rng.within(0.0, 50.0));
        let (noise, weather) = (&stage.noise, &stage.weather);
        let foam = weather.lit(Rgb::grey(0.96), 0.5);
        let side = weather.direction[0];
        let area = Region::new(cx - rx * 1.3, cx + rx * 1.3, cy - tall, cy + 0.25 * rx);
        stage.canvas.paint(area, |x, y, under| {
            let (dx, up) = ((x - cx) / rx, (cy - y) / tall);
            let fine = noise.fbm(x * 26.0 + offset, y * 26.0, 3);
            let shape = (1.0 - dx * dx) * (0.4 + 0.9 * noise.fbm(dx * 1.7 + offset, 3.0, 3));
            if up > shape || dx.abs() > 1.0 || up < 0.0 {
                let spray = up < 0.15 && fine > 0.42 + 0.35 * (dx.abs() - 0.6).max(0.0) + 0.4 * (-up).max(0.0);
                return if spray && up < 0.1 + shape.max(0.0) { under.mix(foam, 0.85) } else { under };
            }
            if up < 0.12 * fine {
                return foam;
            }
            weather.lit(stone * (0.5 + 0.8 * fine), 0.25 + 0.35 * side * dx + 0.6 * (fine - 0.5))
        });
    }
}

/// A cliff that falls to the water at one side.
fn cliff(stage: &mut Stage<'_>, horizon: f32) {
    let (stone, turf) = (stage.rock(), stage.grass());
    let rng = &mut *stage.rng;
    let from_left = rng.chance(0.5);
    let (reach, tall, offset) = (rng.within(0.3, 0.65), rng.within(0.12, 0.45), rng.within(0.0, 50.0));
    let (noise, weather) = (&stage.noise, &stage.weather);
    let foam = weather.lit(Rgb::grey(0.96), 0.5);
    stage.canvas.paint(Region::ALL, |x, y, under| {
        let inward = if from_left { x } else { 1.0 - x };
        let t = 1.0 - inward / (reach * (0.85 + 0.4 * noise.fbm(offset, y * 5.0, 3)));
        if t < 0.0 {
            return under;
        }
        let top = horizon - tall * t.sqrt().min(1.0) * (0.7 + 0.5 * noise.fbm(x * 5.0 + offset, 2.0, 3));
        let foot = horizon + 0.02 + 0.4 * t + 0.03 * noise.value(x * 20.0, offset);
        if y < top || y > foot {
            return under;
        }
        let fine = noise.fbm(x * 30.0, y * 14.0 + offset, 3);
        if y > foot - 0.02 * fine - 0.006 {
            return foam;
        }
        if y < top + 0.03 + 0.05 * fine {
            return weather.lit(turf * (0.7 + 0.5 * fine), 0.6);
        }
        weather.lit(stone * (0.6 + 0.6 * fine), 0.25 + 0.9 * (fine - 0.4))
    });
}
