//! The front alone, before backends that do what no server of ours does.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use kidu_deploy::{
    canary::Window,
    front::{Backend, Front, Limits, Metrics},
    state::Environment,
    status::Board,
};
use kidu_testing::HttpClient;
use tokio::sync::watch;

use crate::support::version_of;

const LIMITS: Limits = Limits {
    max_body: 100_000,
    max_connections: 64,
    head_timeout: Duration::from_secs(20),
    body_timeout: Duration::from_secs(20),
    answer_timeout: Duration::from_secs(20),
};

/// A front in this process.
struct Running {
    address: SocketAddr,
    front: Arc<Front>,
    end: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

fn start() -> Running {
    start_with(LIMITS)
}

fn start_with(limits: Limits) -> Running {
    let front = Front::new(Environment::Production, limits, Arc::new(Metrics::default()), Arc::new(Board::default()));
    let (end, ending) = watch::channel(false);
    let (told, address) = mpsc::channel();
    let serving = Arc::clone(&front);
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            serving.serve(listener, ending, Duration::from_secs(5)).await;
        });
    });
    Running { address: address.recv().unwrap(), front, end, thread: Some(thread) }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end.send(true);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn backend(version: u32, address: SocketAddr) -> Arc<Backend> {
    let window = Arc::new(Mutex::new(Window::new(100)));
    Arc::new(Backend::new(Environment::Production, version, address, window))
}

/// Nobody listens there.
fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

/// A request as a backend saw it.
#[derive(Clone, Debug, Default)]
struct Got {
    head: Vec<String>,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|l| l.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v))
    }
}

/// Reads one request; nothing when the connection ends.
fn read(stream: &mut BufReader<TcpStream>) -> Option<Got> {
    let mut got = Got::default();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        got.head.push(line.trim().into());
    }
    if got.header("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let mut chunk = vec![0; usize::from_str_radix(line.trim(), 16).ok()? + 2];
            stream.read_exact(&mut chunk).ok()?;
            chunk.truncate(chunk.len() - 2);
            if chunk.is_empty() {
                break;
            }
            got.body.extend(chunk);
        }
    } else if let Some(len) = got.header("content-length").and_then(|v| v.parse().ok()) {
        got.body = vec![0; len];
        stream.read_exact(&mut got.body).ok()?;
    }
    Some(got)
}

/// A backend on threads; `answer` writes, and says whether the connection is kept.
fn raw(answer: impl Fn(&Got, &mut TcpStream) -> bool + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || {
                let mut writer = stream.try_clone().unwrap();
                let mut reader = BufReader::new(stream);
                while read(&mut reader).is_some_and(|got| answer(&got, &mut writer)) {}
            });
        }
    });
    address
}

fn respond(stream: &mut TcpStream, head: &str, body: &str) -> bool {
    stream.write_all(format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes()).is_ok()
}

#[test]
fn headers_of_the_connection_end_here_in_both_directions() {
    let running = start();
    let (seen, got) = mpsc::channel();
    let seen = Mutex::new(seen);
    let address = raw(move |got, stream| {
        seen.lock().unwrap().send(got.clone()).unwrap();
        respond(
            stream,
            "200 OK\r\nconnection: x-inner\r\nx-inner: 1\r\nkeep-alive: timeout=9\r\nx-kidu-version: 99\r\nx-outer: 2",
            "hi",
        )
    });
    running.front.route(vec![(backend(7, address), 1)]);
    let mut client = HttpClient::new(running.address);
    let headers = [("connection", "x-mine"), ("x-mine", "1"), ("te", "trailers"), ("upgrade", "h2c"), ("x-kept", "3")];
    let answer = client.send("POST", "http://other.example/v1/predict?a=b", &headers, b"body").unwrap();
    assert_eq!((answer.status, answer.text().as_str(), version_of(&answer).as_str()), (200, "hi", "7"));
    assert_eq!(
        (answer.header("x-inner"), answer.header("keep-alive"), answer.header("x-outer")),
        (None, None, Some("2"))
    );
    let got = got.recv().unwrap();
    assert_eq!(got.head[0], "POST /v1/predict?a=b HTTP/1.1");
    assert_eq!(got.body, b"body");
    for gone in ["connection", "x-mine", "te", "upgrade"] {
        assert_eq!(got.header(gone), None, "{got:?}");
    }
    assert_eq!((got.header("x-kept"), got.header("x-forwarded-for")), (Some("3"), Some("127.0.0.1")));
    assert_eq!(got.header("x-request-id"), answer.header("x-request-id"));
    assert_eq!(client.send("CONNECT", "other.example:443", &[], b"").unwrap().status, 405);
}

#[test]
fn bodies_are_streamed_and_limited() {
    let running = start();
    let address = raw(|got, stream| respond(stream, "200 OK", &got.body.len().to_string()));
    running.front.route(vec![(backend(1, address), 1)]);
    let chunked = |running: &Running, chunks: &[&[u8]], pause: Duration| {
        let mut stream = TcpStream::connect(running.address).unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        for chunk in chunks {
            thread::sleep(pause);
            let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
            if stream.write_all(&framed).is_err() {
                break;
            }
        }
        let _ = stream.write_all(b"0\r\n\r\n");
        kidu_testing::read_answer(&mut BufReader::new(stream), false).unwrap()
    };
    let none = Duration::ZERO;
    assert_eq!(chunked(&running, &[b"abc", &[1; 50_000], b"d"], none).text(), "50004");
    assert_eq!(chunked(&running, &[&[1; 60_000], &[1; 60_000]], none).status, 413);
    let impatient = start_with(Limits { body_timeout: Duration::from_secs(2), ..LIMITS });
    impatient.front.route(vec![(backend(1, address), 1)]);
    let slow = chunked(&impatient, &[b"a".as_slice(); 20], Duration::from_millis(200));
    assert_eq!((slow.status, slow.text().contains("request_timeout")), (408, true), "{slow:?}");
    assert_eq!(impatient.front_sample().errors, 0);
    let mut client = HttpClient::new(running.address);
    assert_eq!(client.post("/", "x/y", &vec![0; 100_001]).unwrap().status, 413);
    assert_eq!(client.post("/", "x/y", &vec![0; 100_000]).unwrap().text(), "100000");
    // A client's faults are not its server's.
    let sample = running.front_sample();
    assert_eq!((sample.errors, sample.requests), (0, 2), "{sample:?}");
}

impl Running {
    fn front_sample(&self) -> kidu_deploy::canary::Sample {
        self.front.backends()[0].sample(None)
    }
}

#[test]
fn who_cannot_be_reached_is_passed_over() {
    let running = start();
    let address = raw(|_, stream| respond(stream, "200 OK", "hi"));
    let gone = backend(2, nowhere());
    running.front.route(vec![(backend(1, address), 0), (Arc::clone(&gone), 1)]);
    let mut client = HttpClient::new(running.address);
    for _ in 0..5 {
        let answer = client.post("/", "x/y", b"body").unwrap();
        assert_eq!((answer.status, version_of(&answer).as_str()), (200, "1"));
    }
    assert_eq!((gone.sample(None).errors, gone.sample(None).requests), (5, 5), "and it counts against it");
    let metrics = client.get("/metrics").unwrap().text();
    assert!(metrics.contains("kidu_front_retried_total{environment=\"production\"} 5\n"), "{metrics}");
    running.front.route(vec![(gone, 1)]);
    let answer = client.post("/", "x/y", b"body").unwrap();
    assert_eq!((answer.status, answer.text().contains("bad_gateway")), (502, true));
    running.front.route(vec![]);
    let answer = client.post("/", "x/y", b"body").unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
}

#[test]
fn what_was_sent_is_not_sent_again() {
    let running = start();
    let (seen, got) = mpsc::channel();
    let seen = Mutex::new(seen);
    // Takes the request and goes.
    let rude = raw(move |got, _| {
        seen.lock().unwrap().send(got.clone()).unwrap();
        false
    });
    let good = raw(|_, stream| respond(stream, "200 OK", "hi"));
    let (rude, good) = (backend(1, rude), backend(2, good));
    running.front.route(vec![(Arc::clone(&rude), 1), (good, 0)]);
    let mut client = HttpClient::new(running.address);
    assert_eq!(client.post("/", "x/y", b"body").unwrap().status, 502);
    assert_eq!(got.try_iter().count(), 1);
    assert_eq!(rude.sample(None).errors, 1);
}

#[test]
fn silence_and_half_answers_count_as_failures() {
    let running = start_with(Limits { answer_timeout: Duration::from_secs(8), ..LIMITS });
    let silent = backend(
        1,
        raw(|_, _| {
            thread::sleep(Duration::from_secs(60));
            false
        }),
    );
    running.front.route(vec![(Arc::clone(&silent), 1)]);
    let mut client = HttpClient::new(running.address);
    let asking = thread::spawn(move || client.post("/", "x/y", b"body").unwrap());
    let mut waiting = silent.sample(None);
    crate::support::wait_until("who waits longer than the limit is counted as it waits", || {
        waiting = silent.sample(Some(Duration::from_millis(200)));
        waiting.requests == 1
    });
    assert_eq!(waiting.errors, 0);
    assert!(waiting.p95_ms.unwrap() >= 200.0);
    assert_eq!(asking.join().unwrap().status, 504);
    assert_eq!((silent.sample(None).requests, silent.sample(None).errors, silent.under_way()), (1, 1, 0));

    let half = backend(
        2,
        raw(|_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
            false
        }),
    );
    running.front.route(vec![(Arc::clone(&half), 1)]);
    assert!(HttpClient::new(running.address).post("/", "x/y", b"body").is_err(), "half an answer is not made whole");
    crate::support::wait_until("it is counted", || half.sample(None).errors == 1);
}

#[test]
fn connections_are_kept_and_closed_ones_replaced() {
    let running = start();
    let connections = Arc::new(Mutex::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::clone(&connections);
    let (closes, closed) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            *count.lock().unwrap() += 1;
            let mut writer = stream.try_clone().unwrap();
            let mut reader = BufReader::new(stream);
            let closes = closes.clone();
            // Three answers, then it goes without a word.
            thread::spawn(move || {
                let answered = (0..3).all(|_| read(&mut reader).is_some() && respond(&mut writer, "200 OK", "hi"));
                drop((reader, writer));
                let _ = closes.send(answered);
            });
        }
    });
    running.front.route(vec![(backend(1, address), 1)]);
    let mut client = HttpClient::new(running.address);
    for i in 1..=9 {
        assert_eq!(client.post("/", "x/y", b"body").unwrap().status, 200);
        // The connection comes back when the answer has gone out; that it has ended is noticed a moment after that.
        thread::sleep(Duration::from_millis(20));
        if i % 3 == 0 && closed.recv_timeout(Duration::from_secs(10)).unwrap_or_default() {
            thread::sleep(Duration::from_millis(500));
        }
    }
    // One for each three; a busy machine may miss that one has come back.
    let connections = *connections.lock().unwrap();
    assert!((3..=5).contains(&connections), "{connections}");
    assert_eq!(client.send("HEAD", "/", &[], b"").unwrap().status, 200);
}

/// For bodies of some megabytes that take their time.
const WIDE: Limits = Limits {
    max_body: 4 << 20,
    body_timeout: Duration::from_secs(20),
    answer_timeout: Duration::from_secs(20),
    ..LIMITS
};

/// Sends in pieces of 64 KiB, a third of a second for 3 MB.
fn slowly(client: &mut HttpClient, path: &str, bytes: usize) -> std::io::Result<kidu_testing::Answer> {
    client.post_slowly(path, &[("content-type", "image/jpeg")], &vec![7; bytes], 64 << 10, Duration::from_millis(7))
}

#[test]
fn who_is_still_sending_sees_that_no_version_is_in_service() {
    let running = start_with(WIDE);
    let mut client = HttpClient::new(running.address);
    for path in ["/", "/v1/predict", "/v1/predict"] {
        let answer = slowly(&mut client, path, 3 << 20).unwrap();
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert!(client.is_kept(), "a body that was read to its end leaves the connection usable");
    }
    running.front.route(vec![(backend(1, nowhere()), 1)]);
    assert_eq!(slowly(&mut client, "/", 3 << 20).unwrap().status, 502);
    assert_eq!(slowly(&mut client, "/admin/reload", 3 << 20).unwrap().status, 404);
    assert!(client.is_kept());
    // Who asks before sending is told before sending.
    let mut stream = TcpStream::connect(running.address).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n").unwrap();
    let answer = kidu_testing::read_answer(&mut BufReader::new(stream), false).unwrap();
    assert_eq!((answer.status, answer.header("connection")), (502, Some("close")));
}

#[test]
fn who_is_still_sending_sees_that_it_is_too_much() {
    let running = start_with(WIDE);
    running.front.route(vec![(backend(1, raw(|_, stream| respond(stream, "200 OK", "hi"))), 1)]);
    for bytes in [(4 << 20) + 1, 12 << 20] {
        let answer = slowly(&mut HttpClient::new(running.address), "/", bytes).unwrap();
        assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    }
    // Without a stated length it turns out as it arrives.
    let mut stream = TcpStream::connect(running.address).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    let piece = [b"10000\r\n".as_slice(), &[7; 0x10000], b"\r\n"].concat();
    for _ in 0..160 {
        stream.write_all(&piece).unwrap();
        thread::sleep(Duration::from_millis(2));
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(kidu_testing::read_answer(&mut BufReader::new(stream), false).unwrap().status, 413);
}

#[test]
fn an_answer_before_the_end_of_the_body_comes_through() {
    let running = start_with(WIDE);
    // Answers what it has not read, as a server does that is overloaded.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut some = [0; 1000];
                let _ = stream.read(&mut some);
                respond(&mut stream, "429 Too Many Requests\r\nconnection: close", "busy");
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
            });
        }
    });
    running.front.route(vec![(backend(1, address), 1)]);
    let mut client = HttpClient::new(running.address);
    for _ in 0..3 {
        let answer = slowly(&mut client, "/", 3 << 20).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (429, "busy"));
    }
    assert!(running.front.backends()[0].sample(None).requests >= 3);
}
