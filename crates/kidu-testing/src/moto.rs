//! AWS without an account: moto's server.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::HttpClient;

/// moto imports slowly on a busy machine.
const START: Duration = Duration::from_secs(90);
const ANSWER: Duration = Duration::from_secs(30);

/// A server of moto on a port of its own, ended with the value (also when the test panics).
///
/// It takes any credentials. What it does otherwise than AWS is in no test's power to find out: it checks no SHA-256,
/// no policy and no permission.
#[derive(Debug)]
pub struct MotoServer {
    child: Child,
    address: SocketAddr,
}

impl MotoServer {
    /// Starts `moto.server` of the peers' Python and waits until it answers; `None` where a peer may be missing (see
    /// [`crate::peer_python`]).
    ///
    /// # Panics
    /// When the server does not start, or the peer must be there and is not.
    pub fn start(test: &str) -> Option<Self> {
        let python = crate::peer_python(test, &["moto", "flask"])?;
        // The port is free now; if somebody else takes it before moto does, moto ends and another one is tried.
        for _ in 0..3 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let address = listener.local_addr().expect("a bound listener has an address");
            drop(listener);
            let child = Command::new(&python)
                .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &address.port().to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("Python was run before");
            let mut server = Self { child, address };
            if server.answers_in_time() {
                return Some(server);
            }
        }
        panic!("{test}: `{} -m moto.server` does not answer", python.display());
    }

    /// `http://127.0.0.1:port`, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a process needs to talk to it: endpoint, region and credentials, and no others of the machine.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        environment(self.url(), "us-east-1")
    }

    /// Makes a bucket in us-east-1.
    ///
    /// # Panics
    /// When moto refuses.
    pub fn create_bucket(&self, name: &str) {
        let (status, body) = self.request("PUT", &format!("/{name}"), &[], b"");
        assert!(status == 200, "bucket {name}: {status} {body}");
    }

    /// Forgets everything that was made in it.
    ///
    /// # Panics
    /// When moto refuses.
    pub fn reset(&self) {
        let (status, body) = self.request("POST", "/moto-api/reset", &[], b"");
        assert!(status == 200, "reset: {status} {body}");
    }

    /// A plain request without a signature, which moto takes; status and body.
    ///
    /// # Panics
    /// When moto does not answer.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        // Tells moto the service and region, as a signature would.
        let authorization = "AWS4-HMAC-SHA256 Credential=emulator/20260101/us-east-1/s3/aws4_request";
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\nAuthorization: {authorization}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(self.address).expect("moto runs");
        stream.set_read_timeout(Some(ANSWER)).expect("a time-out above 0");
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(b"\r\n")).expect("moto reads");
        stream.write_all(body).expect("moto reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("moto answers");
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("an HTTP status"), body.to_owned())
    }

    /// Whether it answers before the time is over; `false` at once if the process has ended.
    fn answers_in_time(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < START {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return false;
            }
            // Somebody else may have the port by now: moto alone knows this.
            if HttpClient::new(self.address).get("/moto-api/data.json").is_ok_and(|answer| answer.status == 200) {
                return true;
            }
            thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

/// Endpoint, region and any credentials, and no others of the machine.
pub(crate) fn environment(url: String, region: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", url),
        ("AWS_REGION", region.into()),
        ("AWS_ACCESS_KEY_ID", "emulator".into()),
        ("AWS_SECRET_ACCESS_KEY", "emulator".into()),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ("AWS_CONFIG_FILE", "/dev/null".into()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".into()),
        ("NO_PROXY", "127.0.0.1".into()),
    ]
}

impl Drop for MotoServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
