//! What the function costs: start of the process to the first answer, memory, latency.
//!
//! `cargo run --release -p kidu-lambda --example lambda_load -- --bootstrap target/release/bootstrap --bundle DIR IMAGE...`
//!
//! The binary runs under a runtime API of this process (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>),
//! or, with `--emulator ADDRESS`, under a `cargo lambda watch --only-lambda-apis` that listens there.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Stdio},
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kidu_testing::{HttpClient, LambdaReply, LambdaRuntimeApi, lambda_command, memory_of, percentiles};
use serde_json::json;

const MIB: f64 = 1_048_576.0;

struct Options {
    bootstrap: PathBuf,
    bundle: PathBuf,
    emulator: Option<SocketAddr>,
    invocations: usize,
    starts: usize,
    images: Vec<PathBuf>,
}

fn options() -> Options {
    let mut options = Options {
        bootstrap: "target/release/bootstrap".into(),
        bundle: PathBuf::new(),
        emulator: None,
        invocations: 200,
        starts: 15,
        images: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap();
        match argument.as_str() {
            "--bootstrap" => options.bootstrap = value().into(),
            "--bundle" => options.bundle = value().into(),
            "--emulator" => options.emulator = Some(value().parse().unwrap()),
            "--invocations" => options.invocations = value().parse().unwrap(),
            "--starts" => options.starts = value().parse().unwrap(),
            image => options.images.push(image.into()),
        }
    }
    assert!(!options.images.is_empty() && options.bundle.is_dir(), "give --bundle DIR and JPEG files");
    options
}

/// Whoever hands events on.
enum Front {
    Own(LambdaRuntimeApi),
    Emulator(Box<HttpClient>, SocketAddr),
}

impl Front {
    fn start(options: &Options) -> Self {
        if let Some(address) = options.emulator {
            return Self::Emulator(Box::new(HttpClient::new(address)), address);
        }
        Self::Own(LambdaRuntimeApi::start())
    }

    fn api(&self) -> String {
        match self {
            Self::Own(api) => api.address().to_string(),
            Self::Emulator(_, address) => format!("{address}/.rt"),
        }
    }

    /// Hands on an event, and waits for what comes back.
    fn invoke(&mut self, event: &[u8]) {
        match self {
            Self::Own(api) => match api.invoke(event) {
                Some(LambdaReply::Response(body)) if body.starts_with(b"[{") => {}
                other => panic!("{other:?}"),
            },
            Self::Emulator(client, _) => {
                let path = "/2015-03-31/functions/_/invocations";
                let answer = client.post(path, "application/json", event).unwrap();
                assert!(answer.status == 200 && answer.body.starts_with(b"[{"), "{}", answer.text());
            }
        }
    }
}

/// The binary, ended with the value.
struct Function(Child);

impl Function {
    fn start(options: &Options, front: &Front) -> Self {
        let child = lambda_command(&options.bootstrap, &front.api(), "_")
            .env("KIDU_BUNDLE", &options.bundle)
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// Of `/proc`: resident now and at most, in MiB.
    fn memory(&self) -> (f64, f64) {
        let (now, most) = memory_of(self.0.id());
        (now as f64 / MIB, most as f64 / MIB)
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn told(label: &str, values: Vec<f64>) {
    println!("{label:<44} {}", percentiles(values));
}

fn main() {
    let options = options();
    let images = options.images.iter().map(|path| fs::read(path).unwrap());
    let events: Vec<Vec<u8>> =
        images.map(|image| json!({"image": STANDARD.encode(image)}).to_string().into_bytes()).collect();

    let mut cold = Vec::new();
    for i in 0..options.starts.max(1) {
        let mut front = Front::start(&options);
        let start = Instant::now();
        let _function = Function::start(&options, &front);
        front.invoke(&events[i % events.len()]);
        cold.push(start.elapsed().as_secs_f64() * 1e3);
    }
    told("start of the process to the first answer", cold);

    let mut front = Front::start(&options);
    let function = Function::start(&options, &front);
    front.invoke(&events[0]);
    println!("{:<44} {:.1} MiB resident, {:.1} at most", "memory after one", function.memory().0, function.memory().1);
    let mut warm = Vec::new();
    for i in 1..options.invocations {
        let start = Instant::now();
        front.invoke(&events[i % events.len()]);
        warm.push(start.elapsed().as_secs_f64() * 1e3);
    }
    told("each of the others", warm);
    let (now, most) = function.memory();
    println!("{:<44} {now:.1} MiB resident, {most:.1} at most", format!("memory after {}", options.invocations));
}
