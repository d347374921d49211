//! Plans with made-up weights. That they predict what the networks do is tested beside the networks.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{collections::BTreeMap, fs};

use common::{MadeUp, images};
use kidu_core::model;
use kidu_engine::{Plan, Point, TensorMap, Weights};

fn plan(name: &str, size: (usize, usize)) -> Plan {
    Plan::new(&model::find(name).unwrap().architecture, 4, size, &MadeUp::default()).unwrap()
}

#[test]
fn any_size_of_image_works_and_shapes_are_said() {
    for name in ["resnet18", "mobilenetv2_100", "spnasnet_100", "efficientnet_lite0", "tf_efficientnet_lite0"] {
        for size in [(224, 224), (33, 47), (1, 1), (8, 130)] {
            let plan = plan(name, size);
            let logits = plan.logits(&images(2, size), 2).unwrap();
            assert_eq!(logits.len(), 8);
            assert!(logits.iter().all(|v| v.is_finite()), "{name} {size:?}");
            assert_eq!(plan.shape(Point::Image), [3, size.0, size.1]);
            assert_eq!(plan.shape(Point::Features)[1..], [1, 1]);
            assert_eq!(plan.shape(Point::Stage(99)), plan.shape(Point::Stage(if name == "resnet18" { 4 } else { 7 })));
        }
    }
}

#[test]
fn many_callers_at_once_get_what_one_gets() {
    let size = (64, 64);
    let plan = plan("mobilenetv2_100", size);
    let images = images(1, size);
    let expected = plan.logits(&images, 1).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| (0..20).for_each(|_| assert_eq!(plan.logits(&images, 2).unwrap(), expected)));
        }
    });
}

#[test]
fn what_is_wrong_is_named() {
    let architecture = &model::find("mobilenetv2_100").unwrap().architecture;
    let fails = |weights: MadeUp, size| Plan::new(architecture, 4, size, &weights).unwrap_err().to_string();
    let message = fails(MadeUp { without: Some("blocks.1.0.bn2.running_var"), ..MadeUp::default() }, (32, 32));
    assert!(message.contains("'blocks.1.0.bn2.running_var' is missing"), "{message}");
    let message = fails(MadeUp { shape: Some(("classifier.weight", vec![1000, 1280])), ..MadeUp::default() }, (32, 32));
    assert!(message.contains("[1000, 1280] instead of [4, 1280]"), "{message}");
    assert!(fails(MadeUp::default(), (0, 32)).contains("32x0"));

    let plan = plan("mobilenetv2_100", (32, 32));
    let message = plan.logits(&[0.0; 100], 1).unwrap_err().to_string();
    assert!(message.contains("100 values are not a whole number of [3, 32, 32]"), "{message}");
    let features = vec![0.0; 1280];
    let message = plan.run_between(&features, Point::Features, Point::Image, 1).unwrap_err().to_string();
    assert!(message.contains("comes after"), "{message}");
    assert!(plan.logits(&[], 1).unwrap().is_empty());
}

#[test]
fn weights_files_are_read_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.safetensors");
    let bytes: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let write = |dtype| {
        let view = safetensors::tensor::TensorView::new(
            dtype,
            vec![bytes.len() / if dtype == safetensors::Dtype::F32 { 4 } else { 2 }],
            &bytes,
        )
        .unwrap();
        fs::write(&path, safetensors::serialize(BTreeMap::from([("a.weight", view)]), None).unwrap()).unwrap();
    };
    write(safetensors::Dtype::F32);
    let read = TensorMap::read(&path).unwrap();
    assert_eq!(read.values("a.weight", &[2]).unwrap(), [1.5, -2.0]);
    assert!(read.values("a.weight", &[1, 2]).unwrap_err().to_string().contains("[2] instead of [1, 2]"));
    assert!(read.values("b", &[2]).unwrap_err().to_string().contains("'b' is missing"));
    write(safetensors::Dtype::F16);
    assert!(TensorMap::read(&path).unwrap_err().to_string().contains("F16"));
    fs::write(&path, b"nothing").unwrap();
    let message = TensorMap::read(&path).unwrap_err().to_string();
    assert!(message.contains("not a whole safetensors file") && message.contains("weights.safetensors"), "{message}");
    assert!(TensorMap::read(&dir.path().join("none")).unwrap_err().to_string().contains("cannot be read"));
}
