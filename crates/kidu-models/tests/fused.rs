//! The fused operations and the inference plan against Burn's own operations.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![recursion_limit = "256"]

use std::collections::BTreeMap;

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use kidu_core::{PadType, model};
use kidu_models::{Cut, Inference, Network, StateDict, fused::with_reference_ops, parameters, state_dict::to_host};

const SIZE: [usize; 3] = [3, 70, 61];

/// A network whose batch norms are not the identity.
fn network(name: &str, pad_type: PadType) -> Network {
    let architecture = model::find(name).unwrap().architecture.clone().with_pad_type(pad_type).unwrap();
    let network = Network::new(&architecture, 5, 3, &Device::flex());
    let mut state = StateDict::of(&network);
    for (n, (key, array)) in state.0.iter_mut().enumerate() {
        if array.shape.len() == 1 {
            let wave = |i: usize| ((i * 7 + n) as f32 * 0.37).sin();
            let is_scale = key.ends_with("running_var") || key.ends_with("weight");
            let start = if is_scale { 1.0 } else { 0.0 };
            array.values.iter_mut().enumerate().for_each(|(i, v)| *v = start + 0.3 * wave(i));
        }
    }
    state.apply(network, name).unwrap()
}

fn images(count: usize, device: &Device) -> Tensor<4> {
    let [c, h, w] = SIZE;
    let values: Vec<f32> =
        (0..count * c * h * w).map(|i| ((i as f32 * 0.013).sin() + (i as f32 * 0.31).cos()) * 0.8).collect();
    Tensor::from_data(TensorData::new(values, [count, c, h, w]), device)
}

#[track_caller]
fn assert_near(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    let worst = found.iter().zip(expected).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(worst <= tolerance * largest, "{what}: {worst} apart, largest {largest}");
}

/// Logits, gradients by key and the state afterwards of one training pass.
fn pass(network: &Network) -> (Vec<f32>, BTreeMap<String, Vec<f32>>, StateDict) {
    let network = network.clone().train();
    let x = Tensor::from_inner(images(3, &Device::flex()));
    let logits = network.forward(x);
    // Not the plain sum: the gradient of that is zero before a batch norm.
    let weights: Vec<f32> = (0..15).map(|i| (i as f32 * 1.3).sin()).collect();
    let weights = Tensor::<2>::from_inner(Tensor::from_data(TensorData::new(weights, [3, 5]), &Device::flex()));
    let mut gradients = (logits.clone() * weights).sum().backward();
    let found = parameters::take_gradients(&network, &mut gradients);
    let found = found.into_iter().map(|(key, g)| (key, to_host(g))).collect();
    (to_host(logits.inner()), found, StateDict::of(&network.valid()))
}

#[test]
fn training_passes_are_those_of_burns_operations() {
    for (name, pad_type) in [
        ("resnet18", PadType::Symmetric),
        ("mobilenetv2_100", PadType::Symmetric),
        ("mobilenetv2_100", PadType::Same),
        ("spnasnet_100", PadType::Symmetric),
        ("tf_efficientnet_lite0", PadType::Same),
    ] {
        // A clone shares its running statistics: each pass gets a network of its own.
        let (logits, gradients, state) = pass(&network(name, pad_type));
        let (expected, expected_gradients, expected_state) = with_reference_ops(|| pass(&network(name, pad_type)));
        assert_near(name, &logits, &expected, 2e-3);
        assert_eq!(gradients.len(), expected_gradients.len());
        let norm =
            |g: &BTreeMap<String, Vec<f32>>| g.values().flatten().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        assert!((norm(&gradients) / norm(&expected_gradients) - 1.0).abs() < 5e-3, "{name}");
        for (key, gradient) in &gradients {
            // ReLU's kinks turn a rounding into a step of single gradients; the whole vector stays. A bias in front of
            // another batch norm has no gradient but rounding.
            let expected = &expected_gradients[key];
            let apart: f64 = gradient.iter().zip(expected).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            let size: f64 = expected.iter().map(|v| f64::from(*v).powi(2)).sum();
            assert!(
                apart.sqrt() <= 0.05 * size.sqrt() + 1e-4 * norm(&expected_gradients),
                "{name} {key}: {} of {}",
                apart.sqrt(),
                size.sqrt()
            );
        }
        for (key, array) in &state.0 {
            assert_near(&format!("{name} {key}"), &array.values, &expected_state.0[key].values, 2e-3);
        }
    }
}

#[test]
fn the_plan_predicts_what_the_network_does_at_every_cut() {
    for (name, pad_type) in [
        ("resnet18", PadType::Symmetric),
        ("mobilenetv2_100", PadType::Same),
        ("spnasnet_100", PadType::Symmetric),
        ("efficientnet_lite0", PadType::Symmetric),
        ("tf_efficientnet_lite0", PadType::Same),
    ] {
        let network = network(name, pad_type);
        let inference = Inference::new(&network, SIZE).unwrap();
        let x = images(2, &Device::flex());
        let logits = inference.logits(x.clone(), Cut::Image).unwrap();
        let expected = with_reference_ops(|| to_host(network.forward(x.clone())));
        assert_near(name, &logits, &expected, 1e-4);
        for cut in (0..=network.num_stages()).map(Cut::Stage).chain([Cut::Features]) {
            let found = inference.between(x.clone(), Cut::Image, cut).unwrap();
            let reference = with_reference_ops(|| network.forward_between(x.clone(), Cut::Image, cut));
            assert_eq!(found.dims(), reference.dims());
            assert_near(&format!("{name} {cut:?}"), &to_host(found.clone()), &to_host(reference), 1e-4);
            assert_near(name, &inference.logits(found, cut).unwrap(), &logits, 1e-5);
        }
    }
}

#[test]
fn predictions_do_not_depend_on_threads_or_batches() {
    for name in ["resnet18", "mobilenetv2_100", "tf_efficientnet_lite0"] {
        let network = network(name, PadType::Symmetric);
        let inference = Inference::new(&network, SIZE).unwrap();
        let in_pool = |threads: usize, x: Tensor<4>| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| inference.logits(x, Cut::Image).unwrap())
        };
        let whole = in_pool(1, images(5, &Device::flex()));
        for threads in [2, 3, 7] {
            assert_eq!(in_pool(threads, images(5, &Device::flex())), whole, "{name}, {threads} threads");
            let single = images(5, &Device::flex()).narrow(0, 3, 1);
            assert_eq!(in_pool(threads, single), whole[15..20], "{name}, {threads} threads");
        }
    }
}
