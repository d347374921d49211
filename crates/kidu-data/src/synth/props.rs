//! Small things that stand about: cars, people, lamps, boats.

use kidu_core::rng::ChaCha8Rng;

use super::{
    canvas::{Canvas, Region},
    city::View,
    color::Rgb,
    noise::Dice,
    weather::Weather,
};

/// A colour that cars are painted in.
pub(super) fn paintwork(rng: &mut ChaCha8Rng) -> Rgb {
    if rng.chance(0.65) {
        Rgb::grey(rng.within(0.1, 0.95))
    } else {
        Rgb::hsv(rng.pick(&[0.0, 0.02, 0.13, 0.35, 0.58, 0.62]), rng.within(0.5, 0.9), rng.within(0.4, 0.9))
    }
}

/// A car seen from the front or the back, its wheels on the ground at (x, z), in metres.
pub(super) fn car(canvas: &mut Canvas, weather: &Weather, view: &View, (x, z): (f32, f32), colour: Rgb, coming: bool) {
    let tone = |c: Rgb, facing: f32| weather.veil(weather.lit(c, facing), z / view.far);
    let at = |dx: f32, y: f32| view.project([x + dx, y, z]);
    let quad = |canvas: &mut Canvas, half_low: f32, low: f32, half_high: f32, high: f32, c: Rgb| {
        canvas
            .polygon(&[at(-half_low, low), at(half_low, low), at(half_high, high), at(-half_high, high)], |_, _, _| c);
    };
    let (cx, cy) = at(0.0, 0.0);
    let s = view.scale(z);
    canvas.ellipse((cx, cy), (1.15 * s, 0.25 * s), |_, _, under| under * 0.55);
    quad(canvas, 0.85, 0.0, 0.85, 0.5, tone(Rgb::grey(0.06), 0.0));
    quad(canvas, 0.92, 0.28, 0.9, 0.92, tone(colour, 0.35));
    quad(canvas, 0.86, 0.9, 0.62, 1.45, tone(colour, 0.6));
    quad(canvas, 0.74, 0.93, 0.56, 1.36, tone(Rgb::new(0.12, 0.15, 0.2), 0.3));
    quad(canvas, 0.3, 0.42, 0.3, 0.56, tone(Rgb::grey(0.85), 0.2));
    let lamp = if coming { Rgb::new(1.0, 0.97, 0.85) } else { Rgb::new(0.85, 0.08, 0.06) };
    for side in [-1.0, 1.0] {
        let (lx, ly) = at(side * 0.72, 0.72);
        let shown = if weather.lamps() { lamp } else { tone(lamp, 0.3) };
        canvas.ellipse((lx, ly), (0.15 * s, 0.1 * s), |_, _, _| shown);
        if weather.lamps() {
            canvas.glow((lx, ly), 0.7 * s, lamp * 0.5);
        }
    }
}

/// A car seen from the side.
pub(super) fn car_aside(canvas: &mut Canvas, weather: &Weather, view: &View, (x, z): (f32, f32), colour: Rgb) {
    let tone = |c: Rgb, facing: f32| weather.veil(weather.lit(c, facing), z / view.far);
    let at = |dx: f32, y: f32| view.project([x + dx, y, z]);
    let s = view.scale(z);
    canvas.ellipse(at(0.0, 0.0), (2.3 * s, 0.22 * s), |_, _, under| under * 0.55);
    let body =
        [(-2.1, 0.3), (2.1, 0.3), (2.1, 0.8), (1.3, 0.95), (0.7, 1.45), (-1.0, 1.45), (-1.7, 0.95), (-2.1, 0.85)];
    canvas.polygon(&body.map(|(dx, y)| at(dx, y)), |_, _, _| tone(colour, 0.45));
    let glass = [(1.05, 0.95), (0.6, 1.36), (-0.9, 1.36), (-1.4, 0.95)];
    canvas.polygon(&glass.map(|(dx, y)| at(dx, y)), |_, _, _| tone(Rgb::new(0.12, 0.16, 0.22), 0.3));
    for wheel in [-1.3, 1.35] {
        canvas.ellipse(at(wheel, 0.32), (0.33 * s, 0.33 * s), |_, _, _| tone(Rgb::grey(0.07), 0.0));
        canvas.ellipse(at(wheel, 0.32), (0.15 * s, 0.15 * s), |_, _, _| tone(Rgb::grey(0.5), 0.2));
    }
}

/// Somebody standing or walking.
pub(super) fn person(canvas: &mut Canvas, weather: &Weather, view: &View, (x, z): (f32, f32), rng: &mut ChaCha8Rng) {
    let tall = rng.within(0.9, 1.05);
    let coat = Rgb::hsv(rng.unit(), rng.within(0.0, 0.7), rng.within(0.1, 0.85));
    let legs = Rgb::hsv(rng.pick(&[0.6, 0.08]), rng.within(0.1, 0.5), rng.within(0.1, 0.4));
    let stride = rng.within(0.05, 0.2);
    let tone = |c: Rgb| weather.veil(weather.lit(c, 0.4), z / view.far);
    let at = |dx: f32, y: f32| view.project([x + dx, y * tall, z]);
    let s = view.scale(z) * tall;
    canvas.ellipse(at(0.0, 0.0), (0.35 * s, 0.07 * s), |_, _, under| under * 0.6);
    for side in [-1.0, 1.0] {
        canvas.stroke(at(side * stride, 0.0), at(side * 0.08, 0.85), 0.14 * s, 0.18 * s, tone(legs));
    }
    canvas.ellipse(at(0.0, 1.13), (0.25 * s, 0.36 * s), |_, _, _| tone(coat));
    canvas.ellipse(at(0.0, 1.6), (0.11 * s, 0.14 * s), |_, y, _| {
        let hair = y < at(0.0, 1.63).1;
        tone(if hair { Rgb::new(0.2, 0.14, 0.1) } else { Rgb::new(0.8, 0.6, 0.48) })
    });
}

/// A street lamp whose arm reaches towards the road by `reach` metres (negative: to the left).
pub(super) fn lamp(canvas: &mut Canvas, weather: &Weather, view: &View, (x, z): (f32, f32), height: f32, reach: f32) {
    let iron = weather.veil(weather.lit(Rgb::grey(0.2), 0.2), z / view.far);
    let s = view.scale(z);
    let (foot, top, head) =
        (view.project([x, 0.0, z]), view.project([x, height, z]), view.project([x + reach, height + 0.2, z]));
    canvas.stroke(foot, top, 0.18 * s, 0.11 * s, iron);
    canvas.stroke(top, head, 0.1 * s, 0.09 * s, iron);
    let bulb = if weather.lamps() { Rgb::new(1.0, 0.9, 0.65) } else { weather.lit(Rgb::grey(0.75), 0.5) };
    canvas.ellipse(head, (0.32 * s, 0.13 * s), |_, _, _| bulb);
    if weather.lamps() {
        canvas.glow(head, 2.6 * s, Rgb::new(0.75, 0.6, 0.35));
    }
}

/// A sailing boat or a ship with its waterline at (x, y), `size` long as a fraction of the side.
pub(super) fn boat(canvas: &mut Canvas, weather: &Weather, (x, y): (f32, f32), size: f32, rng: &mut ChaCha8Rng) {
    let hull = weather.lit(paintwork(rng), 0.4);
    let half = size / 2.0;
    let mirrored = rng.sign();
    let at = |dx: f32, dy: f32| (x + mirrored * dx * half, y - dy * half);
    canvas.polygon(&[at(-0.8, 0.0), at(0.75, 0.0), at(1.0, 0.35), at(-0.95, 0.3)], |_, _, _| hull);
    if rng.chance(0.65) {
        let sail = weather.lit(Rgb::hsv(rng.unit(), if rng.chance(0.8) { 0.04 } else { 0.6 }, 0.97), 0.6);
        canvas.stroke(at(0.0, 0.3), at(0.0, 2.6), size * 0.03, size * 0.02, weather.lit(Rgb::grey(0.3), 0.3));
        canvas.polygon(&[at(-0.05, 0.45), at(-0.85, 0.5), at(-0.05, 2.5)], |_, _, _| sail);
        canvas.polygon(&[at(0.08, 0.45), at(0.85, 0.5), at(0.05, 2.2)], |_, _, _| sail * 0.93);
    } else {
        let cabin = weather.lit(Rgb::grey(0.92), 0.5);
        canvas.polygon(&[at(-0.7, 0.3), at(0.1, 0.3), at(0.05, 0.75), at(-0.65, 0.75)], |_, _, _| cabin);
        let (cx, cy) = at(-0.4, 0.9);
        canvas.paint(Region::new(cx - half * 0.1, cx + half * 0.1, cy - half * 0.2, cy + half * 0.2), |_, _, _| hull);
    }
}
