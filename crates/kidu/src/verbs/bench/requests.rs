//! From a request's body to the answer's: a photograph as base64 in JSON, decoded, predicted, its probabilities as JSON.
//! The peer does what the Python handler of a Lambda does, without the network and the cold start.

use std::hint::black_box;

use anyhow::{Context, anyhow};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use kidu_core::{Bundle, ModelRecord, Prediction};
use kidu_engine::Predictor;
use kidu_image::{Limits, Preprocessor};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    images::Photographs,
    networks::Place,
    peer::Peers,
    turns::{self, Measured, Rival, Rules},
};
use crate::Outcome;

/// One network, one number of threads.
#[derive(Debug, Serialize)]
pub(super) struct Requests {
    pub(super) model: &'static str,
    pub(super) threads: usize,
    pub(super) requests_per_second: f64,
    /// Seconds are those of one request.
    #[serde(flatten)]
    pub(super) measured: Measured,
}

/// Answers requests in this process.
struct Handler {
    predictor: Predictor,
    preprocessor: Preprocessor,
    limits: Limits,
}

impl Handler {
    fn open(bundle: &Bundle, threads: usize) -> Outcome<Self> {
        let predictor = Predictor::open(bundle, threads).map_err(anyhow::Error::from)?;
        let preprocessor = Preprocessor::new(&predictor.manifest().image);
        Ok(Self { predictor, preprocessor, limits: Limits::default() })
    }

    fn answer(&self, body: &str) -> anyhow::Result<String> {
        let request: Value = serde_json::from_str(body)?;
        let image = request["image"].as_str().ok_or_else(|| anyhow!("the request has no image"))?;
        let encoded = image.split_once(',').map_or(image, |(_, encoded)| encoded);
        let input = self.preprocessor.preprocess(&STANDARD.decode(encoded)?, &self.limits)?;
        let manifest = self.predictor.manifest();
        let logits = self.predictor.logits(&input)?;
        let prediction = Prediction::from_logits(&logits[0], manifest.temperature, &manifest.classes);
        let ranked = prediction.probabilities.into_iter().map(|(class, p)| (class, json!(p)));
        Ok(json!([ranked.collect::<serde_json::Map<_, _>>()]).to_string())
    }
}

/// Measures Kidu, and the Python handler if there is a peer.
pub(super) fn measure(
    (record, bundle): (&'static ModelRecord, &Bundle),
    photographs: &Photographs,
    at: &Place<'_>,
    peers: &mut Peers,
) -> Outcome<Requests> {
    let handler = Handler::open(bundle, at.threads)?;
    let uri = |bytes: &Vec<u8>| format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes));
    let bodies: Vec<String> = photographs.files.iter().map(|f| json!({"image": uri(f)}).to_string()).collect();
    let mut pass = || {
        for body in &bodies {
            black_box(handler.answer(body).with_context(|| format!("a photograph of {}", photographs.source))?);
        }
        Ok(())
    };
    let request = json!({
        "kind": "handler",
        "model": record.name,
        "classes": bundle.manifest().classes,
        "size": record.image.height,
        "bodies": bodies,
    });
    let rivals = [Rival { name: "Python handler", request }];
    let rules = Rules { rounds: at.rounds, units: bodies.len() };
    let mut ours = |seconds| at.pool.install(|| turns::turn(seconds, &mut pass));
    let measured = turns::in_turn(rules, &mut ours, peers.at(at.threads)?, &rivals)?;
    let rate = 1.0 / measured.kidu.seconds;
    Ok(Requests { model: record.name, threads: at.threads, requests_per_second: rate, measured })
}
