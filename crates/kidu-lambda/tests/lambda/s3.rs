//! The bundle from S3, under moto.
#![cfg(feature = "s3")]

use kidu_core::Sha256Hex;
use kidu_testing::MotoServer;
use serde_json::json;

use crate::runtime_api::{Lambda, bundle, jpeg};

#[test]
fn the_bundle_comes_from_s3_once_and_checked() {
    let Some(moto) = MotoServer::start("the_bundle_comes_from_s3_once_and_checked") else { return };
    moto.create_bucket("models");
    let dir = tempfile::tempdir().unwrap();
    let bundle = bundle(&dir.path().join("bundle"));
    let archive = dir.path().join("model.tar.gz");
    bundle.pack(&archive).unwrap();
    let bytes = std::fs::read(&archive).unwrap();
    assert_eq!(moto.request("PUT", "/models/a/model.tar.gz", &[], &bytes).0, 200);
    let scratch = dir.path().join("scratch");
    let environment = moto.environment();
    let judged = bundle.digest().unwrap();
    let start_with = |sha256: &str, uri: &str, judged: &str| {
        let mut variables: Vec<(&str, &str)> = environment.iter().map(|(k, v)| (*k, v.as_str())).collect();
        variables.extend([
            ("MODEL_S3_URI", uri),
            ("KIDU_SCRATCH", scratch.to_str().unwrap()),
            ("MODEL_SHA256", sha256),
            ("KIDU_BUNDLE_SHA256", judged),
        ]);
        Lambda::start(dir.path(), &variables)
    };
    let start = |sha256: &str, uri: &str| start_with(sha256, uri, judged.as_str());
    let sha256 = Sha256Hex::of_bytes(&bytes);
    let image = json!({"image": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, jpeg(1))});
    let uri = "s3://models/a/model.tar.gz";
    for (turn, told) in [(0, "the bundle came from S3"), (1, "in the scratch space already")] {
        let lambda = start(sha256.as_str(), uri);
        assert!(lambda.invoke(&image).is_array(), "turn {turn}");
        assert!(lambda.logged().contains(told), "{}", lambda.logged());
    }
    let (code, log) = start(&"0".repeat(64), uri).wait();
    assert_eq!((code, log.contains("does not match its checksum")), (Some(1), true), "{log}");
    // Whole, and not what was evaluated.
    let (code, log) = start_with(sha256.as_str(), uri, &"0".repeat(64)).wait();
    assert_eq!((code, log.contains("is not the one that was evaluated")), (Some(1), true), "{log}");
    let (code, log) = start_with(sha256.as_str(), uri, "0").wait();
    assert_eq!((code, log.contains("KIDU_BUNDLE_SHA256=0: is no SHA-256")), (Some(1), true), "{log}");
    let (code, log) = start("", "s3://models/a/other.tar.gz").wait();
    assert_eq!((code, log.contains("there is no object s3://models/a/other.tar.gz")), (Some(1), true), "{log}");
}
