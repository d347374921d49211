//! Integrated Gradients of one image, beside captum's.

use std::hint::black_box;

use kidu_core::{Bundle, ModelRecord};
use kidu_explain::{Differentiable, IntegratedGradients};
use serde::Serialize;
use serde_json::json;

use super::{
    CLASSES,
    networks::Place,
    peer::Peers,
    turns::{self, Measured, Rival, Rules},
};
use crate::Outcome;

/// One network, one number of threads.
#[derive(Debug, Serialize)]
pub(super) struct Explanations {
    pub(super) model: &'static str,
    pub(super) threads: usize,
    /// Nodes of the integral.
    pub(super) steps: usize,
    /// Seconds are those of one image.
    #[serde(flatten)]
    pub(super) measured: Measured,
}

/// Measures Kidu, and captum if there is a peer: once as it comes, with all nodes in one batch, and once with batches
/// of Kidu's size.
pub(super) fn measure(
    (record, bundle): (&'static ModelRecord, &Bundle),
    at: &Place<'_>,
    peers: &mut Peers,
) -> Outcome<Explanations> {
    let integrated = IntegratedGradients::default();
    let network = Differentiable::open(bundle).map_err(anyhow::Error::from)?;
    let image: Vec<f32> = (0..network.len()).map(|i| (i % 251) as f32 / 125.0 - 1.0).collect();
    let mut pass = || {
        black_box(integrated.attribute(&network, &image, 0, |_| {}).map_err(anyhow::Error::from)?);
        Ok(())
    };
    let ask = |batch: Option<usize>| {
        json!({
            "kind": "captum",
            "model": record.name,
            "batch": 1,
            "size": record.image.height,
            "classes": CLASSES,
            "steps": integrated.steps,
            "internal_batch": batch,
        })
    };
    let rivals = [
        Rival { name: "captum", request: ask(None) },
        Rival { name: "captum, internal batches", request: ask(Some(integrated.internal_batch_size)) },
    ];
    let mut ours = |seconds| at.pool.install(|| turns::turn(seconds, &mut pass));
    let rules = Rules { rounds: at.rounds, units: 1 };
    let measured = turns::in_turn(rules, &mut ours, peers.at(at.threads)?, &rivals)?;
    Ok(Explanations { model: record.name, threads: at.threads, steps: integrated.steps, measured })
}
