//! What the function costs: start of the process to the first answer, memory, latency.
//!
//! `cargo run --release -p kidu-lambda --example lambda_load -- --bootstrap target/release/bootstrap --bundle DIR IMAGE...`
//!
//! The binary runs under a runtime API of this process (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>),
//! or, with `--emulator ADDRESS`, under a `cargo lambda watch --only-lambda-apis` that listens there.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kidu_testing::HttpClient;
use serde_json::json;

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
    Own { address: SocketAddr, events: Sender<Vec<u8>>, replies: Receiver<(bool, Vec<u8>)> },
    Emulator(Box<HttpClient>, SocketAddr),
}

impl Front {
    fn start(options: &Options) -> Self {
        if let Some(address) = options.emulator {
            return Self::Emulator(Box::new(HttpClient::new(address)), address);
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (events, next) = channel();
        let (told, replies) = channel();
        thread::spawn(move || {
            let next = Arc::new(Mutex::new(next));
            for stream in listener.incoming().map_while(Result::ok) {
                let (next, told) = (Arc::clone(&next), told.clone());
                // A connection that breaks is the end of the binary's life.
                thread::spawn(move || drop(converse(stream, &next, &told)));
            }
        });
        Self::Own { address, events, replies }
    }

    fn api(&self) -> String {
        match self {
            Self::Own { address, .. } => address.to_string(),
            Self::Emulator(_, address) => format!("{address}/.rt"),
        }
    }

    /// Hands on an event, and waits for what comes back.
    fn invoke(&mut self, event: &[u8]) {
        match self {
            Self::Own { events, replies, .. } => {
                events.send(event.to_vec()).unwrap();
                let (ok, body) = replies.recv_timeout(Duration::from_secs(60)).unwrap();
                assert!(ok && body.starts_with(b"[{"), "{}", String::from_utf8_lossy(&body));
            }
            Self::Emulator(client, _) => {
                let path = "/2015-03-31/functions/_/invocations";
                let answer = client.post(path, "application/json", event).unwrap();
                assert!(answer.status == 200 && answer.body.starts_with(b"[{"), "{}", answer.text());
            }
        }
    }
}

fn converse(stream: TcpStream, next: &Mutex<Receiver<Vec<u8>>>, told: &Sender<(bool, Vec<u8>)>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            match header.trim_end().to_ascii_lowercase().split_once(": ") {
                Some(("content-length", n)) => length = n.parse().unwrap(),
                Some(("transfer-encoding", how)) => panic!("{how} is not read here"),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let answer = if line.contains("/invocation/next") {
            let Ok(event) = next.lock().unwrap().recv() else { return Ok(()) };
            let head = "lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
                        lambda-runtime-deadline-ms: 99999999999999\r\n\
                        lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:123456789012:function:kidu\r\n\
                        content-type: application/json\r\n";
            [format!("HTTP/1.1 200 OK\r\n{head}content-length: {}\r\n\r\n", event.len()).into_bytes(), event].concat()
        } else {
            told.send((line.contains("/response"), body)).ok();
            b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_vec()
        };
        out.write_all(&answer)?;
    }
}

/// The binary, ended with the value.
struct Function(Child);

impl Function {
    fn start(options: &Options, front: &Front) -> Self {
        let child = Command::new(&options.bootstrap)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", front.api())
            .env("AWS_LAMBDA_FUNCTION_NAME", "_")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "2048")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "g")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "s")
            .env("KIDU_BUNDLE", &options.bundle)
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// Of `/proc`: resident now and at most, in MiB.
    fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let of = |key: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(key)).unwrap();
            line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
        };
        (of("VmRSS:"), of("VmHWM:"))
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn told(label: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let [p50, p95, p99, most] =
        [0.5, 0.95, 0.99, 1.0].map(|p| values[((values.len() - 1) as f64 * p).round() as usize]);
    println!("{label:<44} p50 {p50:7.2}   p95 {p95:7.2}   p99 {p99:7.2}   most {most:7.2} ms");
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
