//! AWS as recorded: a server that answers each operation with what the service's documentation shows, for what moto does
//! not implement and for faults that it never makes.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// The caller that [`RecordedAws`] knows: account 111122223333.
const CALLER: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                      <GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/ana</Arn><UserId>AIDA</UserId>\
                      <Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// `CreateTrainingJob`.
    pub operation: String,
    /// The body.
    pub body: String,
}

/// A server of recorded answers on a port of its own, ended with the value.
#[derive(Debug)]
pub struct RecordedAws {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Recorded>>>,
    ended: Arc<AtomicBool>,
}

/// Answers by operation: status and body, in the order they are given; the last one stays.
type Answers = BTreeMap<String, Vec<(u16, String)>>;

impl RecordedAws {
    /// Answers an operation of a JSON or query service with these (operation, status, body); requests to S3 have no operation.
    /// `GetCallerIdentity` of STS is known.
    ///
    /// # Panics
    /// Without a free port.
    pub fn start(answers: &[(&str, u16, &str)]) -> Self {
        let mut by_operation = Answers::new();
        for (operation, status, body) in answers {
            by_operation.entry((*operation).into()).or_default().push((*status, (*body).into()));
        }
        by_operation.entry("GetCallerIdentity".into()).or_insert_with(|| vec![(200, CALLER.into())]);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (requests, ended) = (Arc::<Mutex<Vec<Recorded>>>::default(), Arc::<AtomicBool>::default());
        let (seen, over) = (Arc::clone(&requests), Arc::clone(&ended));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                // A client that breaks off is the test's business.
                let _ = serve(stream, &mut by_operation, &seen);
            }
        });
        Self { address, requests, ended }
    }

    /// `http://127.0.0.1:port`, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a process needs to talk to it: endpoint, region eu-west-1 and credentials, and no others of the machine.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        crate::moto::environment(self.url(), "eu-west-1")
    }

    /// The requests so far.
    ///
    /// # Panics
    /// When the server has panicked.
    pub fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }

    /// The bodies of an operation's requests so far.
    ///
    /// # Panics
    /// When the server has panicked.
    pub fn bodies(&self, operation: &str) -> Vec<String> {
        self.requests().into_iter().filter(|r| r.operation == operation).map(|r| r.body).collect()
    }
}

impl Drop for RecordedAws {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, answers: &mut Answers, seen: &Mutex<Vec<Recorded>>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let (mut target, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            match line.trim() {
                "" => break,
                _ => continue,
            }
        };
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => target = value.trim().rsplit('.').next().unwrap_or_default().into(),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let of_form = || body.split('&').find_map(|p| p.strip_prefix("Action=")).unwrap_or_default().to_owned();
    let operation = if target.is_empty() { of_form() } else { target };
    let (status, answer) = match answers.get_mut(&operation) {
        Some(queue) if queue.len() > 1 => queue.remove(0),
        Some(queue) => queue[0].clone(),
        None => (400, format!(r#"{{"__type":"NotRecorded","message":"no answer was recorded for {operation}"}}"#)),
    };
    seen.lock().unwrap().push(Recorded { operation, body });
    let kind = if answer.starts_with('<') { "text/xml" } else { "application/x-amz-json-1.1" };
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nx-amzn-requestid: recorded\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    )
}
