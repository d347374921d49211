//! Five steps of training against PyTorch's losses and the logits after them.

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use kidu_core::model;
use kidu_models::{Array, Network, StateDict, parameters};
use kidu_train::{
    OptimizerSettings,
    loss::CrossEntropy,
    optimizer::Optimizer,
    settings::{ClassWeights, OptimizerName},
};
use serde_json::Value;

fn network(name: &str) -> Network {
    let network = Network::new(&model::find(name).unwrap().architecture, 6, 0, &Device::flex());
    let arrays = parameters::infos(&network)
        .into_iter()
        .map(|i| (i.key.clone(), Array { values: kidu_testing::weight(&i.key, &i.shape), shape: i.shape }));
    StateDict(arrays.collect()).apply(network, name).unwrap()
}

/// The losses before each of five steps and the first image's logits in prediction mode afterwards.
fn run(name: &str, settings: &OptimizerSettings, lr: f64) -> (Vec<f64>, Vec<f32>) {
    let mut network = network(name).train();
    let mut optimizer = Optimizer::new(settings, 1.0);
    let criterion = CrossEntropy::new(&ClassWeights::None, 0.0, &[1; 6]).unwrap();
    let x = Tensor::<4>::from_data(TensorData::new(kidu_testing::images(8, 64), [8, 3, 64, 64]), &Device::flex());
    let labels: Vec<usize> = (0..8).map(|i| i % 6).collect();
    let mut losses = Vec::new();
    for _ in 0..5 {
        let loss = criterion.forward(network.forward(Tensor::from_inner(x.clone())), &labels);
        losses.push(f64::from(loss.clone().into_scalar::<f32>()));
        let gradients = parameters::take_gradients(&network, &mut loss.backward());
        network = optimizer.step(network, gradients, lr);
    }
    let logits = network.valid().forward(x).slice([0..1, 0..6]);
    (losses, logits.into_data().try_into_vec().unwrap())
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn five_steps_are_pytorchs() {
    let Some(shared) = kidu_testing::shared("five_steps_are_pytorchs") else { return };
    let golden: Value =
        serde_json::from_slice(&std::fs::read(shared.join("goldens/models/models.json")).unwrap()).unwrap();
    let with =
        |name, momentum| OptimizerSettings { name, momentum: Some(momentum), weight_decay: 0.0, ..Default::default() };
    let optimizers = [
        ("adam", with(OptimizerName::Adam, 0.0), 1e-4),
        ("sgd", with(OptimizerName::Sgd, 0.0), 1e-3),
        ("sgd_momentum", with(OptimizerName::Sgd, 0.9), 1e-3),
        ("rmsprop", with(OptimizerName::RmsProp, 0.0), 1e-5),
    ];
    for model in ["resnet18", "mobilenetv2_100"] {
        for (name, settings, lr) in &optimizers {
            let expected = numbers(&golden["training"]["losses"][model][name]);
            let (losses, logits) = run(model, settings, *lr);
            let what = format!("{model} {name}: {losses:?}, expected {expected:?}");
            let near = |i: usize, tolerance: f64| (losses[i] - expected[i]).abs() < tolerance * expected[i].max(1.0);
            assert!(near(0, 2e-5), "{what}");
            if model == "resnet18" {
                assert!((1..5).all(|i| near(i, 5e-3)), "{what}");
                let wanted = numbers(&golden["training"]["eval_logits_after"][model][name]);
                let largest = wanted.iter().fold(0f64, |m, v| m.max(v.abs()));
                let worst = logits.iter().zip(&wanted).fold(0f64, |m, (a, b)| m.max((f64::from(*a) - b).abs()));
                assert!(worst < 5e-3 * largest, "{model} {name}: {logits:?}, expected {wanted:?}");
            } else {
                // This network amplifies the noise of float32; see the reference numbers' own notes.
                assert!(near(1, 2e-3), "{what}");
                let stable = ["adam", "rmsprop"].contains(name);
                assert!(!stable || (2..5).all(|i| near(i, 5e-2)), "{what}");
            }
        }
    }
}
