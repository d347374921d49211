//! Integrated Gradients against captum's numbers, and the maps on a network whose answer is known.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use burn::tensor::Device;
use kidu_core::model;
use kidu_explain::{
    Baseline, Differentiable, ExplainError, HeatMap, IntegratedGradients, Method, faithfulness, grad_cam::grad_cam,
    occlusion::Occlusion,
};
use kidu_models::{Array, Network, StateDict, parameters};
use serde_json::Value;

fn network(name: &str, size: usize) -> Differentiable {
    let device = Device::flex();
    let network = Network::new(&model::find(name).unwrap().architecture, 6, 0, &device);
    let arrays = parameters::infos(&network)
        .into_iter()
        .map(|i| (i.key.clone(), Array { values: kidu_testing::weight(&i.key, &i.shape), shape: i.shape }));
    let network = StateDict(arrays.collect()).apply(network, name).unwrap();
    Differentiable::new(network.architecture(), 6, [3, size, size], &StateDict::of(&network)).unwrap()
}

#[test]
fn attributions_are_captums() {
    let Some(shared) = kidu_testing::shared("attributions_are_captums") else { return };
    let golden: Value =
        serde_json::from_slice(&std::fs::read(shared.join("goldens/models/models.json")).unwrap()).unwrap();
    let image = kidu_testing::images(1, 64);
    for (name, expected) in golden["integrated_gradients"]["models"].as_object().unwrap() {
        let number = |key: &str| expected[key].as_f64().unwrap();
        let found = IntegratedGradients::default()
            .attribute(&network(name, 64), &image, number("target") as usize, |_| {})
            .unwrap();
        let close = |found: f64, wanted: f64, tolerance: f64| {
            assert!((found - wanted).abs() <= tolerance, "{name}: {found} instead of {wanted}");
        };
        let sum: f64 = found.values.iter().map(|v| f64::from(*v)).sum();
        let magnitude: f64 = found.values.iter().map(|v| f64::from(v.abs())).sum();
        close(f64::from(found.logit), number("logit"), 1e-3);
        close(f64::from(found.logit_at_baseline), number("logit_at_baseline"), 1e-3);
        close(sum, number("sum"), 1e-2 * number("sum").abs().max(1.0));
        close(magnitude, number("abs_sum"), 1e-2 * number("abs_sum"));
        close(found.convergence_delta, number("convergence_delta"), 1e-2);
        let largest = found.values.iter().fold(0f32, |m, v| m.max(v.abs()));
        for (found, wanted) in found.values.iter().zip(expected["first_16"].as_array().unwrap()) {
            close(f64::from(*found), wanted.as_f64().unwrap(), 1e-2 * f64::from(largest));
        }
    }
}

#[test]
fn every_rule_and_baseline_is_complete_and_repeats() {
    let network = network("resnet18", 64);
    let image = kidu_testing::images(1, 64);
    for method in Method::ALL {
        let options = IntegratedGradients { method, steps: 120, ..IntegratedGradients::default() };
        let found = options.attribute(&network, &image, 2, |_| {}).unwrap();
        assert!(found.delta_percent() < 3.0, "{}: {} %", method.name(), found.delta_percent());
    }
    for baseline in [Baseline::Blur(4.0), Baseline::Noise { samples: 2, std: 0.5, seed: 1 }] {
        let options = IntegratedGradients { baseline, ..IntegratedGradients::default() };
        let found = options.attribute(&network, &image, 2, |_| {}).unwrap();
        assert!(found.delta_percent() < 5.0, "{:?}: {} %", options.baseline, found.delta_percent());
        let smaller = IntegratedGradients { internal_batch_size: 7, ..options.clone() };
        let again = smaller.attribute(&network, &image, 2, |_| {}).unwrap();
        let difference = found.values.iter().zip(&again.values).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(difference < 1e-4, "{difference}");
    }
}

#[test]
fn too_few_steps_are_refused_above_the_limit() {
    let network = network("mobilenetv2_100", 64);
    let image = kidu_testing::images(1, 64);
    let few = IntegratedGradients {
        steps: 2,
        method: Method::RiemannLeft,
        max_delta_percent: Some(0.5),
        ..IntegratedGradients::default()
    };
    let error = few.attribute(&network, &image, 2, |_| {}).unwrap_err();
    assert!(matches!(error, ExplainError::Convergence { steps: 2, .. }), "{error}");
    assert!(error.to_string().contains("take more steps (now 2)"), "{error}");
    let error = IntegratedGradients { steps: 0, ..few }.attribute(&network, &image, 2, |_| {}).unwrap_err();
    assert!(error.to_string().contains("steps"), "{error}");
}

#[test]
fn steps_are_doubled_until_the_delta_is_within_the_limit() {
    let network = network("mobilenetv2_100", 64);
    let image = kidu_testing::images(1, 64);
    let few = IntegratedGradients {
        steps: 2,
        method: Method::RiemannLeft,
        max_delta_percent: Some(3.0),
        ..IntegratedGradients::default()
    };
    let passes = std::cell::Cell::new(0);
    let count = |n| passes.set(passes.get() + n);
    let (found, steps) = few.attribute_within(&network, &image, 1, 1024, count).unwrap();
    assert!(steps > 2 && steps.is_power_of_two(), "{steps}");
    assert!(found.delta_percent() <= 3.0, "{}", found.delta_percent());
    assert_eq!(passes.get(), 2 * steps - 2, "passes of all attempts");
    let same = IntegratedGradients { steps, ..few.clone() }.attribute(&network, &image, 1, |_| {}).unwrap();
    assert_eq!(found, same);
    let refused = few.attribute_within(&network, &image, 1, 3, |_| {});
    assert!(matches!(refused, Err(ExplainError::Convergence { steps: 2, .. })), "{refused:?}");
}

#[test]
fn better_maps_have_better_curves() {
    let network = network("resnet18", 64);
    let image = kidu_testing::images(1, 64);
    let target = 2;
    let integrated = IntegratedGradients::default().attribute(&network, &image, target, |_| {}).unwrap();
    let shape = network.shape();
    let windows = Occlusion::for_side(64);
    let maps = [
        HeatMap::of_magnitudes(&integrated.values, shape),
        grad_cam(&network, &image, target).unwrap(),
        windows.attribute(&network, &image, target, |_| {}).unwrap(),
    ];
    for map in &maps {
        assert_eq!((map.height, map.width), (64, 64));
        assert!(map.values.iter().all(|v| v.is_finite()));
        let (deletion, insertion) = faithfulness(&network, &image, map, target, 16).unwrap();
        assert_eq!(deletion.shares.len(), 17);
        // Both begin and end at known images.
        let probability = |image: &[f32]| {
            let logits = network.logits(image).unwrap();
            f64::from(kidu_core::prediction::softmax(&logits, 1.0)[target])
        };
        assert!((deletion.probabilities[0] - probability(&image)).abs() < 1e-5);
        assert!((deletion.probabilities[16] - probability(&vec![0.0; image.len()])).abs() < 1e-5);
        assert!((insertion.probabilities[16] - probability(&image)).abs() < 1e-5);
        assert!((0.0..=1.0).contains(&deletion.area()) && (0.0..=1.0).contains(&insertion.area()));
    }
    // A map by the signed attributions deletes faster than its opposite.
    let signed: Vec<f32> = (0..64 * 64).map(|i| (0..3).map(|c| integrated.values[c * 4096 + i]).sum()).collect();
    let opposite = signed.iter().map(|v| -v).collect();
    let area = |values| {
        let map = HeatMap { values, height: 64, width: 64 };
        faithfulness(&network, &image, &map, target, 16).unwrap().0.area()
    };
    assert!(area(signed) < area(opposite));
}
