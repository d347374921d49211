//! What is asked and answered, over a socket, with the real engine.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::ImageFormat;
use kidu_core::{Bundle, Prediction};
use kidu_engine::Predictor;
use kidu_image::{Limits, Preprocessor};
use serde_json::{Value, json};

use crate::support::{self, Server, jpeg};

/// What the engine says without a server.
fn expected(bundle: &Bundle, image: &[u8]) -> Prediction {
    let predictor = Predictor::open(bundle, 2).unwrap();
    let manifest = predictor.manifest();
    let input = Preprocessor::new(&manifest.image).preprocess(image, &Limits::default()).unwrap();
    Prediction::from_logits(&predictor.logits(&input).unwrap()[0], manifest.temperature, &manifest.classes)
}

/// As it is written and read: a float32 in few digits is another float64.
fn written(prediction: &Prediction) -> Value {
    serde_json::from_str(&serde_json::to_string(prediction).unwrap()).unwrap()
}

fn list(prediction: &Prediction) -> Value {
    written(prediction)["probabilities"].clone()
}

#[test]
fn every_form_gives_the_probabilities_of_the_engine_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = support::bundle(dir.path());
    let server = Server::of_bundle(dir.path());
    let mut client = server.client();
    let image = jpeg(1);
    let want = expected(&bundle, &image);
    let uri = format!("data:image/jpeg;base64,{}", STANDARD.encode(&image));
    let legacy = json!({"body": [uri]}).to_string();
    let bodies = [
        ("image/jpeg", image.clone()),
        ("application/json", json!({"image": uri}).to_string().into_bytes()),
        ("application/json", json!({"images": [uri]}).to_string().into_bytes()),
        ("application/json", legacy.clone().into_bytes()),
        ("application/json", json!(legacy).to_string().into_bytes()),
    ];
    for (kind, body) in &bodies {
        let answer = client.post("/", kind, body).unwrap();
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json")),
            "{}",
            answer.text()
        );
        let found: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(found, json!([list(&want)]));
        // Most probable first, in the text.
        let names: Vec<&String> = found[0].as_object().unwrap().keys().collect();
        assert_eq!(names, want.probabilities.iter().map(|(name, _)| name).collect::<Vec<_>>());
        for path in ["/v1/predict", "/invocations"] {
            let answer = client.post(path, kind, body).unwrap();
            let found: Value = serde_json::from_slice(&answer.body).unwrap();
            let model = json!({"name": "mobilenetv2_100", "version": bundle.manifest().version()});
            assert_eq!(found, json!({"predictions": [written(&want)], "model": model}));
            assert_eq!(
                answer.header("x-kidu-model"),
                Some(&*format!("mobilenetv2_100@{}", bundle.manifest().version()))
            );
        }
    }
}

#[test]
fn a_batch_is_answered_in_order_and_as_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = support::bundle(dir.path());
    let server = Server::of_bundle(dir.path());
    let images: Vec<Vec<u8>> = (0..11).map(jpeg).collect();
    let body = json!({"images": images.iter().map(|i| STANDARD.encode(i)).collect::<Vec<_>>()}).to_string();
    let answer = server.client().post("/", "application/json", body.as_bytes()).unwrap();
    let found: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(found, Value::Array(images.iter().map(|i| list(&expected(&bundle, i))).collect()));
}

#[test]
fn the_original_clients_requests_are_answered() {
    let Some(shared) = kidu_testing::shared("the_original_clients_requests_are_answered") else { return };
    let contracts = shared.join("contracts/http");
    let dir = tempfile::tempdir().unwrap();
    let bundle = support::bundle(dir.path());
    let server = Server::of_bundle(dir.path());
    let mut answers = Vec::new();
    for name in ["legacy-request-double-encoded.txt", "legacy-request-single-encoded.json", "request-image.json"] {
        let body = fs::read(contracts.join(name)).unwrap();
        let answer = server.client().post("/", "application/json", &body).unwrap();
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        answers.push(serde_json::from_slice::<Value>(&answer.body).unwrap());
    }
    assert!(answers.windows(2).all(|w| w[0] == w[1]));
    let shape: Value =
        serde_json::from_slice(&fs::read(contracts.join("legacy-response-shape.json")).unwrap()).unwrap();
    let same_shape = |a: &Value, b: &Value| {
        let values = |v: &Value| v.as_array().unwrap()[0].as_object().unwrap().values().all(Value::is_f64);
        a.as_array().unwrap().len() == b.as_array().unwrap().len() && values(a) && values(b)
    };
    assert!(same_shape(&answers[0], &shape));
    let image: Value = serde_json::from_slice(&fs::read(contracts.join("request-image.json")).unwrap()).unwrap();
    let bytes = STANDARD.decode(image["image"].as_str().unwrap().split_once(',').unwrap().1).unwrap();
    assert_eq!(answers[0], json!([list(&expected(&bundle, &bytes))]));
}

#[test]
fn formats_and_orientation_are_read_and_the_rest_is_refused_by_code() {
    let dir = tempfile::tempdir().unwrap();
    support::bundle(dir.path());
    let server = Server::of_bundle(dir.path());
    let mut client = server.client();
    let picture = support::picture(80, 50, 3);
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
        let answer = client.post("/", "image/x", &support::encode(&picture, format)).unwrap();
        assert_eq!(answer.status, 200, "{format:?}");
    }
    // The same pixels, once stored upright and once on their side with an EXIF orientation of 6, lossless.
    let turned = image::imageops::rotate270(&picture);
    let mut sideways = support::encode(&turned, ImageFormat::Png);
    let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut chunk = Vec::from(b"eXIf");
    chunk.extend_from_slice(exif);
    let crc = crc32(&chunk).to_be_bytes();
    let chunk = [&(exif.len() as u32).to_be_bytes()[..], &chunk, &crc].concat();
    sideways.splice(33..33, chunk);
    let upright = client.post("/", "image/png", &support::encode(&picture, ImageFormat::Png)).unwrap();
    let rotated = client.post("/", "image/png", &sideways).unwrap();
    assert_eq!(upright.text(), rotated.text());

    let mut cut = jpeg(1);
    cut.truncate(cut.len() / 2);
    let huge = {
        let mut png = support::encode(&picture, ImageFormat::Png);
        png[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        png[20..24].copy_from_slice(&60_000u32.to_be_bytes());
        let crc = crc32(&png[12..29]).to_be_bytes();
        png[29..33].copy_from_slice(&crc);
        png
    };
    let cases: [(&str, &[u8], u16, &str); 8] = [
        ("image/jpeg", &cut, 422, "undecodable"),
        ("image/jpeg", b"GIF89a rather", 415, "unsupported_media_type"),
        ("image/jpeg", b"hello", 415, "unsupported_media_type"),
        ("text/html", b"<p>", 415, "unsupported_media_type"),
        ("image/png", &huge, 413, "too_large"),
        ("application/json", b"{\"image\": 1}", 400, "malformed"),
        ("application/json", b"\xFF\xFE", 400, "malformed"),
        ("image/jpeg", b"", 400, "malformed"),
    ];
    for (kind, body, status, code) in cases {
        let answer = client.post("/v1/predict", kind, body).unwrap();
        let error: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, error["error"]["code"].as_str()), (status, Some(code)), "{error}");
        assert!(!error["error"]["message"].as_str().unwrap().is_empty());
    }
    for (method, path, status) in
        [("GET", "/nothing", 404), ("DELETE", "/", 405), ("POST", "/health", 405), ("POST", "/admin/reload", 404)]
    {
        let answer = client.send(method, path, &[], b"").unwrap();
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("allow").is_some(), status == 405);
    }
}

/// CRC-32 of PNG chunks (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, b| {
        (0..8).fold(crc ^ u32::from(*b), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
    })
}

#[test]
fn one_bad_image_refuses_its_request_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    support::bundle(dir.path());
    let server = Server::of_bundle(dir.path());
    let good = STANDARD.encode(jpeg(1));
    let mixed = json!({"images": [good, STANDARD.encode(b"hello"), good]}).to_string();
    let fine = json!({"images": [good, good]}).to_string();
    std::thread::scope(|scope| {
        for i in 0..8 {
            let (mixed, fine, server) = (&mixed, &fine, &server);
            scope.spawn(move || {
                for _ in 0..10 {
                    let body = if i % 2 == 0 { mixed } else { fine };
                    let answer = server.client().post("/", "application/json", body.as_bytes()).unwrap();
                    if i % 2 == 0 {
                        assert_eq!(answer.status, 415);
                        assert!(answer.text().contains("image 1 (from 0)"), "{}", answer.text());
                    } else {
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        assert_eq!(serde_json::from_slice::<Vec<Value>>(&answer.body).unwrap().len(), 2);
                    }
                }
            });
        }
    });
}

#[test]
fn the_serving_path_prepares_an_image_as_training_does_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = support::bundle(dir.path());
    let model = kidu_serve::Model::open(dir.path(), 1).unwrap();
    let spec = &bundle.manifest().image;
    for image in [jpeg(0), jpeg(9), support::encode(&support::picture(300, 20, 1), ImageFormat::Png)] {
        // What the loader of the training data does: decode, resize, normalise, channels first.
        let training = Preprocessor::new(spec);
        let resized = training.resize(&kidu_image::decode(&image, &Limits::default()).unwrap());
        let mut tensor = vec![0.0; spec.values()];
        training.normalize_into(&resized, kidu_image::Layout::Chw, &mut tensor);
        let serving = model.preprocessor().preprocess(&image, &Limits::default()).unwrap();
        assert!(tensor.iter().zip(&serving).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
}

#[test]
fn state_model_metrics_and_page_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = support::bundle(dir.path());
    let server = Server::of_bundle(dir.path());
    let mut client = server.client();
    for path in ["/health", "/ready", "/ping", "/v1/model", "/metrics", "/openapi.json", "/"] {
        assert_eq!(client.get(path).unwrap().status, 200, "{path}");
        let head = client.send("HEAD", path, &[], b"").unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    let info: Value = serde_json::from_slice(&client.get("/v1/model").unwrap().body).unwrap();
    assert_eq!(info["version"], bundle.manifest().version());
    assert_eq!(info["classes"], json!(support::CLASSES));
    assert_eq!(info["metrics"]["test/acc"], 0.5);
    let page = client.get("/").unwrap();
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));

    assert_eq!(client.post("/", "image/jpeg", &jpeg(1)).unwrap().status, 200);
    assert_eq!(client.post("/", "image/jpeg", b"no").unwrap().status, 415);
    let metrics = client.get("/metrics").unwrap().text();
    for line in [
        "kidu_images_total 1",
        "kidu_ready 1",
        "kidu_requests_total{route=\"/\",status=\"200\"} 4",
        "kidu_refusals_total{code=\"unsupported_media_type\"} 1",
        "kidu_request_duration_seconds_count 1",
        &format!("kidu_model{{name=\"mobilenetv2_100\",version=\"{}\"}} 1", bundle.manifest().version()),
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[test]
fn explanations_name_the_cells_that_matter() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = support::bundle(dir.path());
    let server = Server::of_bundle(dir.path());
    let image = jpeg(5);
    let answer = server.client().post("/v1/explain", "image/jpeg", &image).unwrap();
    let found: Value = serde_json::from_slice(&answer.body).unwrap();
    let want = expected(&bundle, &image);
    assert_eq!((found["label"].as_str(), found["grid"].as_u64()), (Some(&*want.label), Some(7)));
    // One cell by hand: the third row, the second column.
    let predictor = Predictor::open(&bundle, 1).unwrap();
    let mut input = Preprocessor::new(&bundle.manifest().image).preprocess(&image, &Limits::default()).unwrap();
    let size = support::SIZE as usize;
    for (i, value) in input.iter_mut().enumerate() {
        let (y, x) = (i / size % size, i % size);
        if (2 * size / 7..3 * size / 7).contains(&y) && (size / 7..2 * size / 7).contains(&x) {
            *value = 0.0;
        }
    }
    let manifest = bundle.manifest();
    let covered =
        Prediction::from_logits(&predictor.logits(&input).unwrap()[0], manifest.temperature, &manifest.classes);
    let score = covered.probabilities.iter().find(|(name, _)| *name == want.label).unwrap().1;
    let drop = found["drops"][2][1].as_f64().unwrap();
    assert!((drop - f64::from(want.score - score)).abs() < 1e-6, "{drop}");
    let two = json!({"images": [STANDARD.encode(&image), STANDARD.encode(&image)]}).to_string();
    assert_eq!(server.client().post("/v1/explain", "application/json", two.as_bytes()).unwrap().status, 400);
}

#[test]
fn request_ids_are_taken_over_or_made() {
    let dir = tempfile::tempdir().unwrap();
    support::bundle(dir.path());
    let server = Server::of_bundle(dir.path());
    let mut client = server.client();
    let mut with = |id: &str| {
        let answer = client.send("GET", "/health", &[("x-request-id", id)], b"").unwrap();
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(with("Root=1-67891233-abcdef012345678912345678"), "Root=1-67891233-abcdef012345678912345678");
    for bad in ["a b", "{\"x\"}", &"x".repeat(200)] {
        assert_eq!(with(bad).len(), 16, "{bad}");
    }
}

#[test]
fn a_bundle_that_is_not_whole_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    support::bundle(dir.path());
    let weights = dir.path().join(Bundle::WEIGHTS);
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let error = kidu_serve::Model::open(dir.path(), 1).unwrap_err();
    assert!(error.to_string().contains("does not match its recorded SHA-256"), "{error}");
    assert!(kidu_serve::Model::open(Path::new("/nowhere"), 1).is_err());
}
