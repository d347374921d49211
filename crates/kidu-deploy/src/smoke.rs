//! The smoke test: is the deployed thing that model, does it predict, and does it refuse nonsense properly?

use std::{fs, path::Path, time::Duration};

use kidu_core::{Bundle, BundleManifest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    client::{Call, Reply},
    error::Result,
};

/// A gradient, 64 pixels a side.
const IMAGE: &[u8] = include_bytes!("smoke.png");

/// What is asked.
#[derive(Clone, Debug)]
pub struct Smoke<'a> {
    /// Where the server answers, `http://host:port`.
    pub url: &'a str,
    /// The model that must answer there.
    pub manifest: &'a BundleManifest,
    /// The number under which the front announces it; nothing for a server without a front.
    pub version: Option<u32>,
    /// An image, or one of ours.
    pub image: Option<&'a Path>,
    /// The label that it must get.
    pub expected_label: Option<&'a str>,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// One thing that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
}

/// The outcome; `smoke.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether all is as it must be.
    pub passed: bool,
    /// Each thing that was asked.
    pub checks: Vec<Check>,
}

impl Report {
    /// What is not as it must be, as a sentence.
    pub fn failures(&self) -> String {
        let failed = self.checks.iter().filter(|c| !c.ok);
        failed.map(|c| format!("{}: {}", c.name, c.detail)).collect::<Vec<_>>().join("; ")
    }
}

/// Asks everything, also after something was wrong.
///
/// # Errors
/// [`DeployError::Core`](crate::DeployError::Core) for an image that cannot be read. What the server does wrong is in the
/// report.
pub async fn run(smoke: &Smoke<'_>) -> Result<Report> {
    let image = match smoke.image {
        None => IMAGE.to_vec(),
        Some(path) => fs::read(path).map_err(|e| kidu_core::Error::io("read", path, e))?,
    };
    let url = |path: &str| format!("{}{path}", smoke.url.trim_end_matches('/'));
    let mut checks = Vec::new();
    for (name, path) in [("health", "/health"), ("ready", "/ready")] {
        let reply = Call::get(&url(path), smoke.timeout).send().await;
        checks.push(check(name, reply.map_err(|e| e.to_string()).and_then(|reply| status(&reply, 200))));
    }
    let reply = Call::get(&url("/v1/model"), smoke.timeout).send().await;
    checks.push(check("model", reply.map_err(|e| e.to_string()).and_then(|r| is_model(&r, smoke.manifest))));
    let reply = Call::post(&url("/v1/predict"), "application/octet-stream", image, smoke.timeout).send().await;
    checks.push(check("prediction", reply.map_err(|e| e.to_string()).and_then(|r| is_prediction(&r, smoke))));
    let broken = [IMAGE.get(..60).unwrap_or_default(), &[0; 64]].concat();
    for (name, media_type, body) in [
        ("corrupt image", "image/png", broken),
        ("no image", "image/jpeg", b"not an image".to_vec()),
        ("no request", "application/json", b"{\"image\": 3".to_vec()),
    ] {
        let reply = Call::post(&url("/v1/predict"), media_type, body, smoke.timeout).send().await;
        checks.push(check(name, reply.map_err(|e| e.to_string()).and_then(|r| is_refusal(&r))));
    }
    Ok(Report { passed: checks.iter().all(|c| c.ok), checks })
}

fn check(name: &str, outcome: Result<String, String>) -> Check {
    let ok = outcome.is_ok();
    Check { name: name.into(), ok, detail: outcome.unwrap_or_else(|why| why) }
}

fn status(reply: &Reply, wanted: u16) -> Result<String, String> {
    match reply.status.as_u16() {
        got if got == wanted => Ok(got.to_string()),
        got => Err(format!("answers {got} instead of {wanted}")),
    }
}

fn is_model(reply: &Reply, manifest: &BundleManifest) -> Result<String, String> {
    status(reply, 200)?;
    let info = reply.json().ok_or("the answer is not JSON")?;
    let (name, version) = (info["name"].as_str().unwrap_or_default(), info["version"].as_str().unwrap_or_default());
    if (name, version) != (manifest.model.as_str(), manifest.version()) {
        return Err(format!("serves {name}@{version} instead of {}@{}", manifest.model, manifest.version()));
    }
    Ok(format!("{name}@{version}"))
}

fn is_prediction(reply: &Reply, smoke: &Smoke<'_>) -> Result<String, String> {
    status(reply, 200)?;
    let answer = reply.json().ok_or("the answer is not JSON")?;
    let prediction = &answer["predictions"][0];
    let probabilities = prediction["probabilities"].as_object().ok_or("the answer has no probabilities")?;
    let mut got: Vec<&str> = probabilities.keys().map(String::as_str).collect();
    let mut wanted: Vec<&str> = smoke.manifest.classes.iter().collect();
    got.sort_unstable();
    wanted.sort_unstable();
    if got != wanted {
        return Err(format!("the labels are {} instead of {}", got.join(", "), wanted.join(", ")));
    }
    let sum: f64 = probabilities.values().filter_map(Value::as_f64).sum();
    if (sum - 1.0).abs() > 1e-3 {
        return Err(format!("the probabilities add up to {sum}"));
    }
    let label = prediction["label"].as_str().unwrap_or_default();
    if let Some(expected) = smoke.expected_label.filter(|l| *l != label) {
        return Err(format!("the label is '{label}' instead of '{expected}'"));
    }
    let announced = reply.header(crate::front::VERSION);
    if let Some(version) = smoke.version.filter(|v| announced != Some(v.to_string().as_str())) {
        return Err(format!("version {} answers instead of {version}", announced.unwrap_or("(unnamed)")));
    }
    Ok(format!("'{label}', of {} labels", got.len()))
}

/// A client's mistake is never a 5xx.
fn is_refusal(reply: &Reply) -> Result<String, String> {
    match reply.status.is_client_error() {
        true => Ok(reply.status.as_u16().to_string()),
        false => Err(format!("answers {} instead of 4xx", reply.status.as_u16())),
    }
}

/// Asks a server about a bundle from a thread without a runtime.
///
/// # Errors
/// As [`run`], and when the bundle cannot be opened.
pub fn run_blocking(
    url: &str,
    bundle: &Path,
    image: Option<&Path>,
    label: Option<&str>,
    timeout: Duration,
) -> Result<Report> {
    let bundle = Bundle::open(bundle)?;
    let smoke = Smoke { url, manifest: bundle.manifest(), version: None, image, expected_label: label, timeout };
    crate::control::block_on(run(&smoke))?
}
