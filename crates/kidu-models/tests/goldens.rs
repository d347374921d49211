//! The networks against timm's numbers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use burn::tensor::{Device, Tensor, TensorData};
use kidu_core::{PadType, model};
use kidu_models::{Accelerator, Array, Network, StateDict, parameters, weights};
use serde_json::Value;

/// The backend under test: flex, or LibTorch when the tests are built with the feature `tch`.
fn device() -> Device {
    let accelerator = if cfg!(feature = "tch") { Accelerator::Libtorch } else { Accelerator::Flex };
    accelerator.device().unwrap()
}

fn read(path: std::path::PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|v| v.as_f64().map(|f| vec![f as f32]).unwrap_or_else(|| numbers(v)))
        .collect()
}

/// Largest difference relative to the largest expected number.
fn relative(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
    found.iter().zip(expected).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / largest
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_into_vec().unwrap()
}

fn formula_network(name: &str, classes: usize) -> Network {
    let network = Network::new(&model::find(name).unwrap().architecture, classes, 0, &device());
    let arrays = parameters::infos(&network)
        .into_iter()
        .map(|i| (i.key.clone(), Array { values: kidu_testing::weight(&i.key, &i.shape), shape: i.shape }));
    StateDict(arrays.collect()).apply(network, name).unwrap()
}

#[test]
fn keys_logits_and_features_are_timms() {
    let Some(shared) = kidu_testing::shared("keys_logits_and_features_are_timms") else { return };
    let golden = read(shared.join("goldens/models/models.json"));
    for (name, expected) in golden["models"].as_object().unwrap() {
        let network = formula_network(name, 6);
        let infos = parameters::infos(&network);
        let mut keys: Vec<(String, Vec<usize>)> = infos.iter().map(|i| (i.key.clone(), i.shape.clone())).collect();
        let norms = infos.iter().filter(|i| i.key.ends_with("running_var"));
        keys.extend(norms.map(|i| (i.key.replace("running_var", "num_batches_tracked"), vec![])));
        keys.sort();
        let mut wanted: Vec<(String, Vec<usize>)> =
            serde_json::from_value::<serde_json::Map<_, _>>(expected["state_dict"].clone())
                .unwrap()
                .into_iter()
                .map(|(k, v)| (k, serde_json::from_value(v).unwrap()))
                .collect();
        wanted.sort();
        assert_eq!(keys, wanted, "{name}");
        let parameters: usize = infos.iter().filter(|i| !i.is_buffer).map(|i| i.shape.iter().product::<usize>()).sum();
        assert_eq!(parameters as u64, expected["parameters"].as_u64().unwrap());
        for size in [224, 160] {
            let data = TensorData::new(kidu_testing::images(2, size), [2, 3, size, size]);
            let x = Tensor::<4>::from_data(data, &device());
            let logits = relative(&host(network.forward(x.clone())), &numbers(&expected["logits"][size.to_string()]));
            assert!(logits < 1e-4, "{name} at {size}: {logits}");
            let features = host(network.forward_features(x).mean_dim(2).mean_dim(3).slice([0..1, 0..8]));
            let features = relative(&features, &numbers(&expected["features_mean"][size.to_string()]));
            assert!(features < 1e-4, "{name} features at {size}: {features}");
        }
    }
}

#[test]
fn published_weights_give_timms_logits() {
    let Some(shared) = kidu_testing::shared("published_weights_give_timms_logits") else { return };
    let golden = read(shared.join("goldens/models/pretrained.json"));
    for (name, expected) in golden.as_object().unwrap() {
        let record = model::find(name).unwrap();
        let pad = if expected["create_model"]["pad_type"] == "same" { PadType::Same } else { PadType::Symmetric };
        let architecture = match name.as_str() {
            "tf_efficientnet_lite0" => record.architecture.clone(),
            _ => record.architecture.clone().with_pad_type(pad).unwrap(),
        };
        let network = Network::new(&architecture, 1000, 0, &device());
        let file = shared.join("weights").join(expected["weights"].as_str().unwrap());
        let (network, report) = weights::load(network, record, &weights::WeightsSpec::File(file)).unwrap();
        assert!(report.head_reinitialised.is_none() && report.source.contains("sha256:"));
        for (image, numbers_of) in expected["images"].as_object().unwrap() {
            let png = format!("goldens/preprocess/{}.bicubic.png", image.replace('/', "_").replace(".jpg", ""));
            let pixels = image::open(shared.join(png)).unwrap().to_rgb8();
            let values: Vec<f32> = (0..3)
                .flat_map(|c| pixels.pixels().map(move |p| (f32::from(p[c]) / 255.0 - 0.5) / 0.5).collect::<Vec<_>>())
                .collect();
            let x = Tensor::<4>::from_data(TensorData::new(values, [1, 3, 224, 224]), &device());
            let logits = host(network.forward(x.clone()));
            let mut order: Vec<usize> = (0..1000).collect();
            order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
            assert_eq!(order[0] as u64, numbers_of["top5"][0][0].as_u64().unwrap(), "{name} {image}");
            let largest = logits.iter().fold(0f32, |m, v| m.max(v.abs()));
            let wanted = numbers(&numbers_of["logits_first_8"]);
            let worst = logits[..8].iter().zip(&wanted).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / largest;
            assert!(worst < 1e-3, "{name} {image}: {worst}");
            let features = host(network.forward_features(x).mean_dim(2).mean_dim(3).slice([0..1, 0..8]));
            let features = relative(&features, &numbers(&numbers_of["features_first_8"]));
            assert!(features < 1e-3, "{name} {image} features: {features}");
        }
    }
}

#[test]
fn another_number_of_classes_keeps_a_random_head_and_says_so() {
    let Some(shared) = kidu_testing::shared("another_number_of_classes") else { return };
    let record = model::find("tf_efficientnet_lite0").unwrap();
    let file = shared.join("weights/tf_efficientnet_lite0.timm.safetensors");
    let network = Network::new(&record.architecture, 6, 0, &device());
    let (network, report) = weights::load(network, record, &weights::WeightsSpec::File(file.clone())).unwrap();
    assert!(report.head_reinitialised.unwrap().contains("1000 classes, the data 6"));
    assert_eq!(StateDict::of(&network).0["classifier.weight"].shape, [6, 1280]);

    let other = model::find("efficientnet_lite0").unwrap();
    let resnet = Network::new(&model::find("resnet18").unwrap().architecture, 1000, 0, &device());
    let message = weights::load(resnet, other, &weights::WeightsSpec::File(file)).unwrap_err().to_string();
    assert!(message.contains("missing keys") && message.contains("unexpected keys"), "{message}");
}
