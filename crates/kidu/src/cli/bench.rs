//! The options of `kidu bench`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, ValueEnum, ValueHint};

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BenchPart {
    /// What the machine can do at most: arithmetic and memory.
    Machine,
    /// Decode, resize and normalise photographs, on one core.
    Images,
    /// Training steps, and their memory.
    Train,
    /// Predictions.
    Predict,
    /// Requests: base64 in JSON to probabilities in JSON, in this process.
    Request,
    /// Integrated Gradients of an image.
    Explain,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  kidu bench --only machine,images
  kidu bench --only predict --models mobilenetv2_100 --predict-batch 1 --threads 1,2
  kidu bench --peer-python .venv/bin/python --json > bench.json

Kidu and its peers take turns, so that what else the machine does hits all of them. See docs/performance.md.")]
pub(crate) struct BenchArgs {
    /// Measure only these parts; default: all of them, which takes the better part of an hour with peers.
    #[arg(long, env = "KIDU_BENCH_ONLY", value_enum, value_name = "PART", value_delimiter = ',')]
    pub(crate) only: Vec<BenchPart>,
    /// Models by their names; default: all five.
    #[arg(long, env = "KIDU_BENCH_MODELS", value_name = "NAME", value_delimiter = ',')]
    pub(crate) models: Vec<String>,
    /// Images of a training step.
    #[arg(long, env = "KIDU_BENCH_BATCH", value_name = "N", value_delimiter = ',', value_parser = count)]
    #[arg(default_value = "16,32")]
    pub(crate) batch: Vec<usize>,
    /// Images of a prediction.
    #[arg(long, env = "KIDU_BENCH_PREDICT_BATCH", value_name = "N", value_delimiter = ',', value_parser = count)]
    #[arg(default_value = "1,2,4,8,16,32")]
    pub(crate) predict_batch: Vec<usize>,
    /// Numbers of threads; default: 1 and as many as there are cores.
    #[arg(long, env = "KIDU_BENCH_THREADS", value_name = "N", value_delimiter = ',', value_parser = count)]
    pub(crate) threads: Vec<usize>,
    /// How often everyone has a turn.
    #[arg(long, env = "KIDU_BENCH_ROUNDS", value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Folder of photographs (.jpg) for the images part; default: scenes that are drawn.
    #[arg(long, env = "KIDU_BENCH_PHOTOS", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) photos: Option<PathBuf>,
    /// A Python with some of torch and timm, captum, onnxruntime and onnx, Pillow: the peers.
    #[arg(long, env = "KIDU_PEER_PYTHON", value_name = "FILE", value_hint = ValueHint::ExecutablePath)]
    pub(crate) peer_python: Option<OsString>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Trains a few steps in this process and prints its memory: MODEL,BATCH,THREADS.
    #[arg(long, hide = true, value_name = "CASE")]
    pub(crate) memory_of: Option<String>,
}

/// A number of images or threads.
fn count(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(n @ 1..=1024) => Ok(n),
        _ => Err("give whole numbers from 1 to 1024, separated by commas".into()),
    }
}
