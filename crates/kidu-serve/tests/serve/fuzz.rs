//! Bodies that no client should send: never a 5xx, never a panic.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::ImageFormat;
use kidu_core::rng;
use rand::{Rng, RngExt};
use serde_json::{Value, json};

use crate::support::{self, Server};

/// A body of some kind, whole or damaged, and its media type.
fn body(r: &mut impl Rng, images: &[Vec<u8>]) -> (&'static str, Vec<u8>) {
    let kind = ["application/json", "image/jpeg", "", "text/plain", "image/png", "application/octet-stream", "a/b"]
        [r.random_range(0..7)];
    let mut image = images[r.random_range(0..images.len())].clone();
    if r.random_bool(0.7) {
        damage(r, &mut image);
    }
    let text = match r.random_range(0..4) {
        0 => STANDARD.encode(&image),
        1 => format!("data:image/png;base64,{}", STANDARD.encode(&image)),
        2 => format!("data:{},{}", "x".repeat(r.random_range(0..9)), STANDARD.encode(&image)),
        _ => String::from_utf8_lossy(&image).into_owned(),
    };
    let value = match r.random_range(0..9) {
        0 => json!({"image": text}),
        1 => json!({"images": vec![text; r.random_range(0..4)]}),
        2 => json!({"body": [text]}),
        3 => json!(json!({"body": [text]}).to_string()),
        4 => json!({"images": nested(r.random_range(0..200))}),
        5 => json!({"image": r.random_range(-1e300..1e300)}),
        6 => json!([text, null, {"image": true}]),
        7 => json!({"imege": text}),
        _ => return (kind, image),
    };
    let mut bytes = value.to_string().into_bytes();
    if r.random_bool(0.5) {
        damage(r, &mut bytes);
    }
    (kind, bytes)
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!([inner]))
}

/// Flips, cuts, repeats and replaces bytes.
fn damage(r: &mut impl Rng, bytes: &mut Vec<u8>) {
    for _ in 0..r.random_range(1..6) {
        if bytes.is_empty() {
            return;
        }
        let at = r.random_range(0..bytes.len());
        match r.random_range(0..5) {
            0 => bytes[at] ^= 1 << r.random_range(0..8),
            1 => bytes[at] = r.random(),
            2 => bytes.truncate(at),
            3 => {
                let end = (at + r.random_range(1..40)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let end = (at + r.random_range(1..9)).min(bytes.len());
                bytes[at..end].fill(r.random());
            }
        }
    }
}

fn fuzz(count: usize) {
    let dir = tempfile::tempdir().unwrap();
    support::bundle(dir.path());
    let server = Server::of_bundle(dir.path());
    let picture = support::picture(40, 30, 2);
    let images: Vec<_> = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP]
        .iter()
        .map(|f| support::encode(&picture, *f))
        .collect();
    let workers = 4;
    let statuses = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                let (server, images) = (&server, &images);
                scope.spawn(move || {
                    let mut client = server.client();
                    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
                    for i in (worker..count).step_by(workers) {
                        let mut r = rng::stream(7, "fuzz", &[i as u64]);
                        let (kind, body) = body(&mut r, images);
                        let path = ["/", "/v1/predict", "/invocations"][i % 3];
                        let answer = client.post(path, kind, &body).unwrap();
                        assert!(
                            answer.status < 500 && answer.status != 404,
                            "body {i}: {} {}",
                            answer.status,
                            answer.text()
                        );
                        serde_json::from_slice::<Value>(&answer.body).unwrap();
                        *statuses.entry(answer.status).or_default() += 1;
                    }
                    statuses
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).fold(
            std::collections::BTreeMap::new(),
            |mut all, (s, n)| {
                *all.entry(s).or_insert(0) += n;
                all
            },
        )
    });
    println!("{count} bodies: {statuses:?}");
    assert_eq!(statuses.values().sum::<usize>(), count);
    for status in [200, 400, 415, 422] {
        assert!(statuses.contains_key(&status), "no {status} in {statuses:?}");
    }
    let metrics = server.client().get("/metrics").unwrap().text();
    assert!(!metrics.contains("code=\"internal\""), "{metrics}");
}

#[test]
fn three_thousand_bodies_give_no_5xx() {
    fuzz(3_000);
}

#[test]
#[ignore = "takes minutes; the same with more bodies"]
fn a_hundred_thousand_bodies_give_no_5xx() {
    fuzz(100_000);
}
