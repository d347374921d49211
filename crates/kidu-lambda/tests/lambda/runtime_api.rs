//! `bootstrap` under a runtime API.

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use image::{DynamicImage, RgbImage};
pub(crate) use kidu_testing::LambdaReply as Reply;
use kidu_testing::{LambdaRuntimeApi, lambda_command};
use serde_json::Value;

/// `bootstrap` under a runtime API.
pub(crate) struct Lambda {
    child: Child,
    api: LambdaRuntimeApi,
    log: PathBuf,
}

impl Lambda {
    pub(crate) fn start(scratch: &Path, variables: &[(&str, &str)]) -> Self {
        let api = LambdaRuntimeApi::start();
        let log = scratch.join("log");
        let child = bootstrap(&api.address().to_string(), "kidu", &log, variables);
        Self { child, api, log }
    }

    /// Sends an event as Lambda would, and waits for what comes back.
    pub(crate) fn invoke_raw(&self, event: impl Into<Vec<u8>>) -> Reply {
        self.api.invoke(event).unwrap_or_else(|| panic!("no reply: {}", self.logged()))
    }

    pub(crate) fn invoke(&self, event: &Value) -> Value {
        match self.invoke_raw(event.to_string()) {
            Reply::Response(body) => serde_json::from_slice(&body).unwrap(),
            Reply::Error(body) => panic!("{}", String::from_utf8_lossy(&body)),
        }
    }

    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        (code, self.logged())
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the binary under a runtime API.
pub(crate) fn bootstrap(address: &str, function: &str, log: &Path, variables: &[(&str, &str)]) -> Child {
    lambda_command(env!("CARGO_BIN_EXE_bootstrap"), address, function)
        .envs(variables.iter().copied())
        .stdout(std::fs::File::create(log).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

pub(crate) const CLASSES: [&str; 4] = ["forest", "glacier", "sea", "street"];

pub(crate) fn bundle(dir: &Path) -> kidu_core::Bundle {
    kidu_testing::bundle(dir, "mobilenetv2_100", 64, &CLASSES)
}

pub(crate) fn jpeg(seed: u32) -> Vec<u8> {
    let image = RgbImage::from_fn(90, 70, |x, y| image::Rgb([(x * 3 + seed * 40) as u8, (y * 5) as u8, (x ^ y) as u8]));
    let mut bytes = Vec::new();
    let jpeg = image::ImageFormat::Jpeg;
    DynamicImage::ImageRgb8(image).write_to(&mut std::io::Cursor::new(&mut bytes), jpeg).unwrap();
    bytes
}

/// What the engine says without a function around it, as it is written and read.
pub(crate) fn expected(bundle: &kidu_core::Bundle, image: &[u8]) -> Value {
    let predictor = kidu_engine::Predictor::open(bundle, 1).unwrap();
    let manifest = predictor.manifest();
    let input =
        kidu_image::Preprocessor::new(&manifest.image).preprocess(image, &kidu_image::Limits::default()).unwrap();
    let logits = predictor.logits(&input).unwrap();
    let prediction = kidu_core::Prediction::from_logits(&logits[0], manifest.temperature, &manifest.classes);
    serde_json::from_str(&serde_json::to_string(&prediction).unwrap()).unwrap()
}
