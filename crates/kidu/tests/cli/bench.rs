//! `kidu bench`: that it measures, never how fast.

use serde_json::Value;

use crate::{command::run, fixture::scratch};

/// Asserts a number above 0.
#[track_caller]
fn assert_positive(value: &Value) {
    assert!(value.as_f64().is_some_and(|v| v > 0.0 && v.is_finite()), "{value}");
}

#[test]
fn machine_and_images_are_measured() {
    let arguments = ["bench", "--only", "machine,images", "--threads", "1,2", "--rounds", "1", "--json"];
    let report = run(scratch().path(), &arguments).ok().json();
    for (at, threads) in [1, 2].iter().enumerate() {
        assert_eq!(report["machine"]["peaks"][at]["threads"], *threads);
        assert_positive(&report["machine"]["peaks"][at]["gflops"]);
        assert_positive(&report["machine"]["traffic"][at]["copy"]);
        assert_positive(&report["machine"]["traffic"][at]["triad"]);
    }
    assert_positive(&report["images"]["images_per_second"]);
    assert_positive(&report["images"]["kidu"]["seconds"]);
    assert_eq!(report["images"]["peers"], serde_json::json!([]));
    assert!(report["train"].is_null() && report["predict"].is_null(), "{report}");
}

#[test]
fn networks_are_measured_with_their_share_of_the_peak() {
    let case = ["--models", "mobilenetv2_100", "--batch", "2", "--predict-batch", "1", "--threads", "1"];
    let arguments = [&["bench", "--only", "train,predict,request,explain", "--rounds", "1"], &case[..]].concat();
    let dir = scratch();
    let report = run(dir.path(), &[&arguments[..], &["--json"]].concat()).ok().json();
    for part in ["train", "predict"] {
        for name in ["gflop", "gflops", "share_of_peak", "images_per_second"] {
            assert_positive(&report[part][0][name]);
        }
        assert_positive(&report[part][0]["kidu"]["seconds"]);
    }
    assert_positive(&report["request"][0]["requests_per_second"]);
    assert_positive(&report["explain"][0]["kidu"]["seconds"]);
    if cfg!(target_os = "linux") {
        assert_positive(&report["memory"][0]["kidu"]["peak"]);
    }
    let shown = run(dir.path(), &arguments).ok();
    for word in [
        "Training step",
        "Prediction",
        "Request",
        "Integrated Gradients",
        "mobilenetv2_100",
        "of peak",
        "Memory of training",
    ] {
        assert!(shown.out.contains(word), "{word} is missing in {shown:#?}");
    }
}

#[test]
fn wrong_options_are_refused_before_anything_is_measured() {
    let dir = scratch();
    let refused = |arguments: &[&str], words: &[&str]| {
        run(dir.path(), &[&["bench"], arguments].concat()).fails(2, words);
    };
    refused(
        &["--only", "machine", "--peer-python", "/nonexistent"],
        &["--peer-python /nonexistent", "give the path of a Python 3", "leave the option out"],
    );
    refused(&["--models", "resnet81"], &["did you mean 'resnet18'"]);
    refused(&["--photos", "nowhere"], &["--photos nowhere is no folder"]);
    refused(&["--batch", "16,0"], &["--batch", "whole numbers from 1"]);
    refused(&["--rounds", "0"], &["--rounds"]);
}

/// Runs when `KIDU_PEER_PYTHON` names a Python with some of the peers.
#[test]
fn peers_take_turns_with_us() {
    let modules = ["torch", "timm", "PIL"];
    let Some(python) = kidu_testing::heavy_peer_python("peers_take_turns_with_us", &modules) else { return };
    let python = python.to_str().unwrap();
    let case = ["--models", "tf_efficientnet_lite0", "--batch", "2", "--predict-batch", "2", "--threads", "1"];
    let parts =
        ["bench", "--only", "images,train,predict,request,explain", "--rounds", "2", "--json", "--peer-python", python];
    let report = run(scratch().path(), &[&parts[..], &case[..]].concat()).ok().json();
    let of_networks = ["train", "predict", "request", "explain"].map(|part| &report[part][0]);
    for measured in of_networks.into_iter().chain([&report["images"]]) {
        let peers = measured["peers"].as_array().unwrap();
        assert!(!peers.is_empty(), "{measured}");
        for peer in peers {
            if peer["missing"].as_str().is_some_and(|reason| reason.starts_with("not installed")) {
                continue;
            }
            assert_positive(&peer["ratio"]["median"]);
            assert_eq!(peer["rounds"].as_array().unwrap().len(), 2, "{peer}");
        }
    }
}
