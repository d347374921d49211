//! A runtime API as Lambda offers it: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use image::{DynamicImage, RgbImage};
use serde_json::Value;

/// What came back for an event.
#[derive(Debug)]
pub(crate) enum Reply {
    Response(Vec<u8>),
    /// The invocation failed, as the runtime says.
    Error(Vec<u8>),
}

/// `bootstrap` under a runtime API.
pub(crate) struct Lambda {
    child: Child,
    events: Sender<Vec<u8>>,
    replies: Receiver<Reply>,
    log: Arc<std::path::PathBuf>,
}

impl Lambda {
    pub(crate) fn start(scratch: &Path, variables: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (events, next) = channel::<Vec<u8>>();
        let (told, replies) = channel();
        thread::spawn(move || {
            let next = Arc::new(std::sync::Mutex::new(next));
            for stream in listener.incoming() {
                let (next, told) = (Arc::clone(&next), told.clone());
                // A connection that breaks is the end of the binary's life.
                thread::spawn(move || {
                    let Ok(stream) = stream else { return };
                    let _ = converse(stream, &next, &told);
                });
            }
        });
        let log = scratch.join("log");
        let child = bootstrap(&address, "kidu", &log, variables);
        Self { child, events, replies, log: Arc::new(log) }
    }

    /// Sends an event as Lambda would, and waits for what comes back.
    pub(crate) fn invoke_raw(&self, event: impl Into<Vec<u8>>) -> Reply {
        self.events.send(event.into()).unwrap();
        self.replies.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("no reply: {}", self.logged()))
    }

    pub(crate) fn invoke(&self, event: &Value) -> Value {
        match self.invoke_raw(event.to_string()) {
            Reply::Response(body) => serde_json::from_slice(&body).unwrap(),
            Reply::Error(body) => panic!("{}", String::from_utf8_lossy(&body)),
        }
    }

    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(&*self.log).unwrap()
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
    Command::new(env!("CARGO_BIN_EXE_bootstrap"))
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", address)
        .env("AWS_LAMBDA_FUNCTION_NAME", function)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "g")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "s")
        .envs(variables.iter().copied())
        .stdout(std::fs::File::create(log).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn converse(
    stream: TcpStream,
    next: &std::sync::Mutex<Receiver<Vec<u8>>>,
    told: &Sender<Reply>,
) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (line, body) = read(&mut reader)?;
        let answer = if line.contains("/invocation/next") {
            let Ok(event) = next.lock().unwrap().recv() else { return Ok(()) };
            let head = "lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
                        lambda-runtime-deadline-ms: 99999999999999\r\n\
                        lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:123456789012:function:kidu\r\n\
                        content-type: application/json\r\n";
            let head = format!("HTTP/1.1 200 OK\r\n{head}content-length: {}\r\n\r\n", event.len());
            [head.into_bytes(), event].concat()
        } else {
            let reply = if line.contains("/response") { Reply::Response(body) } else { Reply::Error(body) };
            told.send(reply).ok();
            b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_vec()
        };
        out.write_all(&answer)?;
    }
}

/// The request line and the body.
fn read(reader: &mut impl BufRead) -> std::io::Result<(String, Vec<u8>)> {
    let (mut first, mut length, mut chunked) = (String::new(), 0, false);
    if reader.read_line(&mut first)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        match line.split_once(':') {
            Some(("content-length", n)) => length = n.trim().parse().unwrap(),
            Some(("transfer-encoding", how)) => chunked = how.contains("chunked"),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    while chunked {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        body.extend_from_slice(&chunk[..size]);
        chunked = size > 0;
    }
    Ok((first, body))
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
