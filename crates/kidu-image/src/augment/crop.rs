//! The rectangle of a random resized crop.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::settings::RandomResizedCropSettings;
use crate::resize::Rect;

/// A random rectangle inside an image of `width` x `height`, by torchvision's algorithm: an area share drawn
/// uniformly from `scale`, an aspect ratio drawn log-uniformly from `ratio`, ten tries to make them fit, else the
/// largest rectangle in the middle whose ratio is allowed.
pub(super) fn random_rect(width: u32, height: u32, settings: &RandomResizedCropSettings, rng: &mut ChaCha8Rng) -> Rect {
    let area = f64::from(width) * f64::from(height);
    let [log_low, log_high] = settings.ratio.map(f64::ln);
    for _ in 0..10 {
        let target = area * between(settings.scale[0], settings.scale[1], rng);
        let ratio = between(log_low, log_high, rng).exp();
        let (w, h) = ((target * ratio).sqrt().round_ties_even(), (target / ratio).sqrt().round_ties_even());
        if (1.0..=f64::from(width)).contains(&w) && (1.0..=f64::from(height)).contains(&h) {
            let (w, h) = (w as u32, h as u32);
            let top = rng.random_range(0..=height - h);
            let left = rng.random_range(0..=width - w);
            return Rect { left, top, width: w, height: h };
        }
    }
    central(width, height, settings.ratio)
}

fn between(low: f64, high: f64, rng: &mut ChaCha8Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

fn central(width: u32, height: u32, [least, greatest]: [f64; 2]) -> Rect {
    let ratio = f64::from(width) / f64::from(height);
    // A very thin image would otherwise round to nothing.
    let side = |length: f64, at_most: u32| (length.round_ties_even() as u32).clamp(1, at_most);
    let (w, h) = if ratio < least {
        (width, side(f64::from(width) / least, height))
    } else if ratio > greatest {
        (side(f64::from(height) * greatest, width), height)
    } else {
        (width, height)
    };
    Rect { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
}

#[cfg(test)]
mod tests {
    use kidu_core::rng;

    use super::*;

    #[test]
    fn rectangles_fit_and_keep_to_the_ranges() {
        let settings = RandomResizedCropSettings { scale: [0.2, 0.6], ratio: [0.5, 2.0] };
        let mut rng = rng::stream(3, "crop", &[]);
        let (mut wide, mut area) = (0, 0.0);
        for _ in 0..2000 {
            let rect = random_rect(200, 150, &settings, &mut rng);
            assert!(rect.is_inside(200, 150));
            let share = f64::from(rect.width * rect.height) / 30_000.0;
            let ratio = f64::from(rect.width) / f64::from(rect.height);
            assert!((0.19..0.61).contains(&share) && (0.48..2.1).contains(&ratio), "{rect:?}");
            wide += usize::from(ratio > 1.0);
            area += share / 2000.0;
        }
        // Log-uniform in [1/2, 2] is as often above 1 as below; a wide image favours wide rectangles a little.
        assert!((900..1300).contains(&wide), "{wide}");
        assert!((0.37..0.43).contains(&area), "{area}");
    }

    #[test]
    fn the_whole_image_when_nothing_else_is_allowed() {
        let settings = RandomResizedCropSettings { scale: [1.0, 1.0], ratio: [1.0, 1.0] };
        let rect = random_rect(64, 64, &settings, &mut rng::stream(3, "crop", &[]));
        assert_eq!(rect, Rect { left: 0, top: 0, width: 64, height: 64 });
    }

    #[test]
    fn the_fallback_is_central() {
        let ratio = [0.75, 4.0 / 3.0];
        // Nothing with such a ratio covers all of so wide an image.
        let settings = RandomResizedCropSettings { scale: [1.0, 1.0], ratio };
        let wide = random_rect(300, 90, &settings, &mut rng::stream(3, "crop", &[]));
        assert_eq!(wide, Rect { left: 90, top: 0, width: 120, height: 90 });
        assert_eq!(central(90, 300, ratio), Rect { left: 0, top: 90, width: 90, height: 120 });
        assert_eq!(central(100, 90, ratio), Rect { left: 0, top: 0, width: 100, height: 90 });
        assert_eq!(central(5000, 1, [0.1, 0.2]), Rect { left: 2499, top: 0, width: 1, height: 1 });
    }
}
