//! A runtime API as Lambda offers it: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

/// How long a reply is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came back for an event.
#[derive(Debug)]
pub enum LambdaReply {
    /// What the function answered.
    Response(Vec<u8>),
    /// The invocation failed, as the runtime says.
    Error(Vec<u8>),
}

/// A runtime API on loopback, under which one function runs.
#[derive(Debug)]
pub struct LambdaRuntimeApi {
    address: SocketAddr,
    events: Sender<Vec<u8>>,
    replies: Receiver<LambdaReply>,
}

impl LambdaRuntimeApi {
    /// Begins to listen.
    ///
    /// # Panics
    /// When loopback cannot be listened on.
    #[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (events, next) = channel();
        let (told, replies) = channel();
        thread::spawn(move || {
            let next = Arc::new(Mutex::new(next));
            for stream in listener.incoming().flatten() {
                let (next, told) = (Arc::clone(&next), told.clone());
                // A connection that breaks is the end of the function's life.
                thread::spawn(move || drop(converse(stream, &next, &told)));
            }
        });
        Self { address, events, replies }
    }

    /// Where it listens, for [`lambda_command`].
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends an event as Lambda would, and waits for what comes back; `None` if nothing does within a minute.
    pub fn invoke(&self, event: impl Into<Vec<u8>>) -> Option<LambdaReply> {
        self.events.send(event.into()).ok()?;
        self.replies.recv_timeout(PATIENCE).ok()
    }
}

/// The function's binary under a runtime API, with Lambda's variables and no others.
pub fn lambda_command(bootstrap: impl AsRef<Path>, api: &str, function: &str) -> Command {
    let mut command = Command::new(bootstrap.as_ref());
    command
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", api)
        .env("AWS_LAMBDA_FUNCTION_NAME", function)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "g")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "s");
    command
}

fn converse(stream: TcpStream, next: &Mutex<Receiver<Vec<u8>>>, told: &Sender<LambdaReply>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (line, body) = read(&mut reader)?;
        let answer = if line.contains("/invocation/next") {
            let Ok(Ok(event)) = next.lock().map(|next| next.recv()) else { return Ok(()) };
            let head = "lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
                        lambda-runtime-deadline-ms: 99999999999999\r\n\
                        lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:123456789012:function:kidu\r\n\
                        content-type: application/json\r\n";
            let head = format!("HTTP/1.1 200 OK\r\n{head}content-length: {}\r\n\r\n", event.len());
            [head.into_bytes(), event].concat()
        } else {
            let reply = if line.contains("/response") { LambdaReply::Response } else { LambdaReply::Error };
            let _ = told.send(reply(body));
            b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_vec()
        };
        out.write_all(&answer)?;
    }
}

/// The request line and the body.
fn read(reader: &mut impl BufRead) -> io::Result<(String, Vec<u8>)> {
    let (mut first, mut length, mut chunked) = (String::new(), 0, false);
    if reader.read_line(&mut first)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        match line.split_once(':') {
            Some(("content-length", n)) => length = n.trim().parse().map_err(io::Error::other)?,
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
        let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        body.extend_from_slice(&chunk[..size]);
        chunked = size > 0;
    }
    Ok((first, body))
}
