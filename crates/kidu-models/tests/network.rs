//! Networks, weights and freezing, without data from outside.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use kidu_core::model;
use kidu_models::{Cut, Freeze, ModelError, Network, StateDict, parameters, weights};

fn network(name: &str, seed: u64) -> Network {
    Network::new(&model::find(name).unwrap().architecture, 4, seed, &Device::flex())
}

fn input(device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(kidu_testing::images(2, 32), [2, 3, 32, 32]), device)
}

fn host<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().convert::<f32>().try_into_vec().unwrap()
}

#[test]
fn parameter_counts_are_timms() {
    for record in model::records() {
        let network = Network::new(&record.architecture, 1000, 0, &Device::flex());
        let infos = parameters::infos(&network);
        let count: usize = infos.iter().filter(|i| !i.is_buffer).map(|i| i.shape.iter().product::<usize>()).sum();
        assert_eq!(count, record.parameters, "{}", record.name);
    }
}

#[test]
fn the_seed_decides_the_initial_weights() {
    let a = StateDict::of(&network("mobilenetv2_100", 1));
    assert_eq!(a, StateDict::of(&network("mobilenetv2_100", 1)));
    assert_ne!(a, StateDict::of(&network("mobilenetv2_100", 2)));
    let values = &a.0["conv_head.weight"].values;
    let n = values.len() as f64;
    let variance = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n;
    assert!((variance - 2.0 / 1280.0).abs() < 2e-5, "{variance}");
}

#[test]
fn the_parts_make_the_whole() {
    for name in ["resnet18", "spnasnet_100"] {
        let network = network(name, 0);
        let whole = host(network.forward(input(&Device::flex())));
        for cut in (0..=network.num_stages()).map(Cut::Stage).chain([Cut::Image, Cut::Features]) {
            let first = network.forward_between(input(&Device::flex()), Cut::Image, cut);
            let rest = network.classify(network.forward_between(first, cut, Cut::Features));
            assert_eq!(host(rest), whole, "{name} {cut:?}");
        }
    }
}

#[test]
fn frozen_parts_get_no_gradient_and_keep_their_statistics() {
    let device = Device::flex().autodiff();
    for (freeze, key, trained) in [
        (Freeze::Stages(3), "blocks.2.1.bn1.running_mean", false),
        (Freeze::Stages(3), "blocks.3.0.bn1.running_mean", true),
        (Freeze::Backbone, "bn2.running_mean", false),
        (Freeze::None, "bn1.running_mean", true),
    ] {
        let network = network("efficientnet_lite0", 0).freeze(freeze, false).unwrap().train();
        let before = StateDict::of(&network).0[key].clone();
        let mut gradients = network.forward(input(&device)).sum().backward();
        let gradients = parameters::take_gradients(&network, &mut gradients);
        assert_eq!(StateDict::of(&network).0[key] != before, trained, "{freeze} {key}");
        assert_eq!(gradients.contains_key(&key.replace("running_mean", "weight")), trained, "{freeze} {key}");
        assert!(gradients.contains_key("classifier.weight"));
        assert!(!gradients.contains_key(key));
    }
    let message = network("resnet18", 0).freeze(Freeze::Stages(9), false).unwrap_err().to_string();
    assert!(message.contains("the network has 4"), "{message}");
}

#[test]
fn weights_round_trip_and_bad_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDict::of(&network("resnet18", 3));
    let bytes = state.to_safetensors(Some(7)).unwrap();
    assert_eq!(StateDict::from_safetensors(&bytes, dir.path()).unwrap(), state);
    let path = dir.path().join("w.safetensors");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    for (path, words) in [
        (path, "not a readable safetensors file"),
        (dir.path().join("none.pth"), "no such weights file"),
        (dir.path().join("w.safetensors").with_extension("onnx"), "no such weights file"),
    ] {
        let message = weights::read(&path).unwrap_err().to_string();
        assert!(message.contains(words) && message.contains(&path.display().to_string()), "{message}");
    }
    let mut wrong = state.clone();
    wrong.0.remove("fc.bias");
    wrong.0.insert("head.bias".into(), state.0["fc.bias"].clone());
    let Err(ModelError::StateDict { missing, unexpected, .. }) = wrong.apply(network("resnet18", 0), "resnet18") else {
        panic!("must be refused")
    };
    assert_eq!((missing, unexpected), (vec!["fc.bias".to_string()], vec!["head.bias".to_string()]));
}
