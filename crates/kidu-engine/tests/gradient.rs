//! Gradients of made-up networks. That they are PyTorch's is tested with the explanations.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{MadeUp, images};
use kidu_core::model;
use kidu_engine::{InputGradients, Plan};

const NAMES: [&str; 5] = ["resnet18", "mobilenetv2_100", "spnasnet_100", "efficientnet_lite0", "tf_efficientnet_lite0"];

fn networks(name: &str, size: (usize, usize)) -> (InputGradients, Plan) {
    let architecture = &model::find(name).unwrap().architecture;
    let weights = MadeUp::default();
    (InputGradients::new(architecture, 4, size, &weights).unwrap(), Plan::new(architecture, 4, size, &weights).unwrap())
}

#[test]
fn logits_are_the_plans_for_any_size() {
    for name in NAMES {
        for size in [(64, 64), (33, 47), (1, 1)] {
            let (gradients, plan) = networks(name, size);
            let images = images(2, size);
            let expected = plan.logits(&images, 1).unwrap();
            let (found, logits) = gradients.gradients(&images, 3).unwrap();
            assert_eq!(found.len(), images.len());
            assert!(found.iter().all(|v| v.is_finite()), "{name} {size:?}");
            for (image, logit) in logits.iter().enumerate() {
                let wanted = expected[image * 4 + 3];
                assert!((logit - wanted).abs() < 1e-3 * wanted.abs().max(1.0), "{name} {size:?}: {logit}, {wanted}");
            }
        }
    }
}

#[test]
fn the_gradient_is_the_slope() {
    // The made-up mobile networks saturate; their gradients are compared with captum's beside the explanations.
    let (gradients, plan) = networks("resnet18", (64, 48));
    let image = images(1, (64, 48));
    let (gradient, _) = gradients.gradients(&image, 1).unwrap();
    // Along the gradient the slope is its length; kinks of the activations cost a little.
    let length = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    let step = 2e-3;
    let logit = |sign: f64| {
        let along = |(x, g): (&f32, &f32)| x + (sign * step * f64::from(*g) / length) as f32;
        let moved: Vec<f32> = image.iter().zip(&gradient).map(along).collect();
        f64::from(plan.logits(&moved, 1).unwrap()[1])
    };
    let slope = (logit(1.0) - logit(-1.0)) / (2.0 * step);
    assert!((slope / length - 1.0).abs() < 0.05, "{slope} along a gradient of {length}");
}

#[test]
fn images_do_not_touch_each_other_and_threads_change_nothing() {
    let size = (48, 64);
    for name in NAMES {
        let (gradients, _) = networks(name, size);
        let images = images(5, size);
        let all = gradients.gradients(&images, 2).unwrap();
        let len = images.len() / 5;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        for (i, image) in images.chunks(len).enumerate() {
            let (alone, logit) = pool.install(|| gradients.gradients(image, 2)).unwrap();
            assert_eq!(alone, all.0[i * len..][..len], "{name}");
            assert_eq!(logit[0], all.1[i], "{name}");
        }
    }
}

#[test]
fn the_feature_map_has_the_weights_of_the_class() {
    let (gradients, _) = networks("mobilenetv2_100", (64, 96));
    let map = gradients.feature_map(&images(1, (64, 96)), 2).unwrap();
    assert_eq!(map.shape, [1280, 2, 3]);
    assert!(map.values.iter().all(|v| (0.0..=6.0).contains(v)) && map.values.iter().any(|v| *v > 0.0));
    // One weight, shared among the pixels of a channel.
    assert!(map.gradient.chunks(6).all(|channel| channel.iter().all(|g| *g == channel[0])));
    assert!(map.gradient.iter().any(|g| *g != 0.0));
}

#[test]
fn what_is_wrong_is_named() {
    let (gradients, _) = networks("resnet18", (32, 32));
    let message = gradients.gradients(&[0.0; 100], 0).unwrap_err().to_string();
    assert!(message.contains("100 values are not a whole number of [3, 32, 32]"), "{message}");
    let message = gradients.gradients(&images(1, (32, 32)), 4).unwrap_err().to_string();
    assert!(message.contains("4 is no class of the 4"), "{message}");
    let message = gradients.feature_map(&images(2, (32, 32)), 0).unwrap_err().to_string();
    assert!(message.contains("are not one image"), "{message}");
    assert!(gradients.gradients(&[], 0).unwrap().0.is_empty());
}
