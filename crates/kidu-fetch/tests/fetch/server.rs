//! A small HTTP server of the tests: whole answers as bytes, and what was asked.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use kidu_fetch::{Address, BlockingFetcher, FetchError, FetchOptions, Policy, Retry};

/// What a client asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization").map(String::as_str)
    }
}

/// A server on a port of its own, until the process ends.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// How an answer is written: all at once, or as the test wants.
pub(crate) type Answer = Box<dyn FnOnce(&mut dyn Write) + Send>;

impl Server {
    /// Starts; `answer` gets each request and its number.
    pub(crate) fn start(answer: impl Fn(&Asked, usize) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (asked.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (log.clone(), answer.clone());
                thread::spawn(move || serve(stream, &log, &*answer));
            }
        });
        Self { at, asked }
    }

    /// What was asked so far, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    pub(crate) fn address(&self, path: &str) -> Address {
        Address::parse(&self.url(path)).unwrap()
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked, usize) -> Answer) {
    let Some(asked) = read_request(&mut BufReader::new(stream.try_clone().unwrap())) else { return };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(asked.clone());
        log.len() - 1
    };
    answer(&asked, number)(&mut stream);
}

pub(crate) fn read_request(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_string(), words.next()?.to_string());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_string());
    }
    let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// A whole answer: status line, headers, and the body's length.
pub(crate) fn whole(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut bytes = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
    headers.iter().for_each(|(name, value)| bytes += &format!("{name}: {value}\r\n"));
    let bytes = [(bytes + "\r\n").as_bytes(), body].concat();
    Box::new(move |stream| drop(stream.write_all(&bytes)))
}

pub(crate) fn ok(body: &[u8]) -> Answer {
    whole(200, &[], body)
}

pub(crate) fn redirect(to: &str) -> Answer {
    whole(302, &[("Location", to)], b"")
}

/// Options for a test: quick retries, and this server may be asked although it is local.
pub(crate) fn options(servers: &[&Server]) -> FetchOptions {
    FetchOptions {
        policy: Policy {
            private: servers.iter().map(|s| s.at.to_string().parse().unwrap()).collect(),
            ..Policy::default()
        },
        retry: Retry { retries: 2, base: Duration::from_millis(5), longest: Duration::from_millis(50) },
        connect_timeout: Duration::from_secs(5),
        try_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(20),
        ..FetchOptions::default()
    }
}

/// Fetches one address.
pub(crate) fn fetch(options: FetchOptions, address: &Address) -> Result<Vec<u8>, FetchError> {
    BlockingFetcher::new(options).unwrap().fetch(address, None)
}
