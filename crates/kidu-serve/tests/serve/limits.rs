//! What clients may not do to the server.

use std::{
    io::{BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use kidu_serve::{ServiceSettings, contract::RequestLimits, server::ConnectionLimits};
use kidu_testing::{Answer, HttpClient, read_answer};
use serde_json::Value;

use crate::support::{Server, jpeg, limits, slow};

fn raw(server: &Server, bytes: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(server.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(bytes)?;
    read_answer(&mut BufReader::new(stream), false)
}

fn code(answer: &Answer) -> String {
    let value: Value = serde_json::from_slice(&answer.body).unwrap();
    value["error"]["code"].as_str().unwrap().to_owned()
}

fn tight() -> ServiceSettings {
    let limits = RequestLimits { max_body: 20_000, ..RequestLimits::default() };
    ServiceSettings { limits, ..ServiceSettings::default() }
}

#[test]
fn a_body_that_is_too_long_is_refused_before_and_while_it_arrives() {
    let server = Server::start(tight(), slow(Duration::ZERO));
    let stated = server.client().post("/", "image/jpeg", &[0xFF; 30_000]).unwrap();
    assert_eq!((stated.status, code(&stated)), (413, "too_large".into()));
    // In chunks, without a stated length.
    let chunk = [b"1000\r\n".to_vec(), vec![b'x'; 0x1000], b"\r\n".to_vec()].concat();
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let answer = raw(&server, &[head, chunk.repeat(6), b"0\r\n\r\n".to_vec()].concat()).unwrap();
    assert_eq!((answer.status, code(&answer)), (413, "too_large".into()));
    // A length that no machine has; and one that is told before the body is sent.
    let answer =
        raw(&server, b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 99999999999\r\n\r\n")
            .unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(server.client().post("/", "image/jpeg", &jpeg(1)).unwrap().status, 200);
}

/// Asks until that status comes, and does something before each time.
fn wait(server: &Server, wanted: u16, mut before: impl FnMut()) -> Answer {
    let start = Instant::now();
    loop {
        before();
        let answer = server.client().post("/", "image/jpeg", &jpeg(1)).unwrap();
        if answer.status == wanted {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{} {}", answer.status, answer.text());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn bodies_share_a_bounded_memory_that_comes_back() {
    let tight = ConnectionLimits { max_memory: 40_000, ..limits() };
    let server = Server::start_with(self::tight(), slow(Duration::ZERO), tight);
    // Two that have stated their length and do not send it hold all there is. One that came while an image had its share
    // is refused, and another takes its place.
    let mut holders: Vec<TcpStream> = Vec::new();
    let hold = || {
        let mut holder = TcpStream::connect(server.address).unwrap();
        holder.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 19000\r\n\r\nx").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        holder
    };
    let refused = wait(&server, 429, || holders.push(hold()));
    assert_eq!((code(&refused), refused.header("retry-after")), ("overloaded".into(), Some("1")));
    drop(holders);
    wait(&server, 200, || {});
}

#[test]
fn slow_clients_are_sent_away_and_others_do_not_notice() {
    let quick = ConnectionLimits {
        head_timeout: Duration::from_secs(2),
        body_timeout: Duration::from_secs(2),
        max_connections: 20,
        ..limits()
    };
    let server = Server::start_with(ServiceSettings::default(), slow(Duration::ZERO), quick);
    let mut loris: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    for stream in &mut loris {
        stream.write_all(b"POST / HTTP/1.1\r\nhost: ").unwrap();
    }
    // All places are taken; they come back within the time-out.
    let start = Instant::now();
    assert_eq!(server.client().get("/health").unwrap().status, 200);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    for mut stream in loris {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    }
    let answer = raw(&server, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc").unwrap();
    assert_eq!((answer.status, code(&answer)), (408, "request_timeout".into()));
}

#[test]
fn heads_that_are_too_long_or_no_http_are_refused() {
    let server = Server::start(ServiceSettings::default(), slow(Duration::ZERO));
    let headers: String = (0..100).map(|i| format!("x-{i}: y\r\n")).collect();
    let many = raw(&server, format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes()).unwrap();
    assert_eq!(many.status, 431);
    let long = raw(&server, format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(600_000)).as_bytes());
    assert_eq!(long.unwrap().status, 431);
    assert_eq!(raw(&server, b"\x16\x03\x01 hello\r\n\r\n").unwrap().status, 400);
    assert_eq!(server.client().get("/health").unwrap().status, 200);
}

#[test]
fn other_origins_may_ask_where_they_are_named_and_never_with_credentials() {
    let ask = |origins: &[&str], method: &str, origin: &str| {
        let cors_origins = origins.iter().map(|o| (*o).to_owned()).collect();
        let server =
            Server::start(ServiceSettings { cors_origins, ..ServiceSettings::default() }, slow(Duration::ZERO));
        let answer = server.client().send(method, "/v1/predict", &[("origin", origin)], b"").unwrap();
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(ask(&[], "OPTIONS", "https://a.example"), None);
    assert_eq!(ask(&["https://a.example"], "OPTIONS", "https://a.example").as_deref(), Some("https://a.example"));
    assert_eq!(ask(&["https://a.example"], "POST", "https://a.example").as_deref(), Some("https://a.example"));
    assert_eq!(ask(&["https://a.example"], "OPTIONS", "https://b.example"), None);
    assert_eq!(ask(&["*"], "OPTIONS", "https://b.example").as_deref(), Some("*"));
}

const JPEG: &[(&str, &str)] = &[("content-type", "image/jpeg")];

#[test]
fn who_is_still_sending_sees_the_refusal() {
    let limits_of_requests = RequestLimits { max_body: 4 << 20, ..RequestLimits::default() };
    let settings = ServiceSettings { limits: limits_of_requests, ..ServiceSettings::default() };
    let server =
        Server::start_with(settings, slow(Duration::ZERO), ConnectionLimits { max_memory: 5 << 20, ..limits() });
    let (piece, pause) = (64 << 10, Duration::from_millis(5));
    let ask = |client: &mut HttpClient, path: &str, bytes: usize| {
        let answer = client.post_slowly(path, JPEG, &vec![7; bytes], piece, pause).unwrap();
        (answer.status, client.is_kept())
    };
    let mut client = server.client();
    // Where no body is wanted it is read all the same, within the limits.
    assert_eq!(ask(&mut client, "/nowhere", 3 << 20), (404, true));
    assert_eq!(ask(&mut client, "/health", 3 << 20), (405, true));
    for bytes in [(4 << 20) + 1, 10 << 20] {
        assert_eq!(ask(&mut client, "/", bytes), (413, false));
        assert_eq!(ask(&mut client, "/nowhere", bytes), (404, false));
    }
    // Nearly all memory is taken by one that does not send: which one, a busy machine decides.
    let mut holders = Vec::new();
    let mut hold = || {
        let mut holder = TcpStream::connect(server.address).unwrap();
        holder.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\nx").unwrap();
        holders.push(holder);
        server.client().post("/", "image/jpeg", &[7; 2 << 20]).unwrap().status
    };
    let start = Instant::now();
    while hold() != 429 {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(ask(&mut client, "/", 3 << 20), (429, false));
    drop(holders);
    wait(&server, 200, || {});

    // Too slow, and still sending when it is told so.
    let quick = ConnectionLimits { body_timeout: Duration::from_secs(4), ..limits() };
    let server = Server::start_with(tight(), slow(Duration::ZERO), quick);
    let answer = server.client().post_slowly("/", JPEG, &[7; 12_000], 500, Duration::from_millis(250)).unwrap();
    assert_eq!((answer.status, code(&answer)), (408, "request_timeout".into()));
}
