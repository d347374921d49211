//! A client for HTTP/1.1 on loopback that tells what became of a request, for tests that count them.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names, in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One connection, kept as long as the server keeps it.
#[derive(Debug)]
pub struct HttpClient {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
    /// When the last request began, or the connection.
    began: Instant,
    /// From then until this request was sent.
    silence: Duration,
}

/// After so long a server that ends may close a connection.
const QUIET: Duration = Duration::from_secs(1);

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl HttpClient {
    /// A client of a server; nothing is connected yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None, began: Instant::now(), silence: Duration::ZERO }
    }

    /// Sends a request and reads the answer. Nothing is sent twice: an error after connecting is a lost request.
    ///
    /// # Errors
    /// [`io::ErrorKind::ConnectionRefused`] where nobody listens; others when the connection breaks.
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        let mut message = self.head(method, path, headers, body.len()).into_bytes();
        message.extend_from_slice(body);
        let mut connection = self.connect()?;
        let begins = Instant::now();
        let sent = connection.get_mut().write_all(&message);
        self.silence = self.began.elapsed();
        self.began = begins;
        sent?;
        self.answer(connection, method == "HEAD")
    }

    fn head(&self, method: &str, path: &str, headers: &[(&str, &str)], length: usize) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {length}\r\n", self.address);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    fn connect(&mut self) -> io::Result<BufReader<TcpStream>> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        self.began = Instant::now();
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    }

    fn answer(&mut self, mut connection: BufReader<TcpStream>, no_body: bool) -> io::Result<Answer> {
        let answer = read_answer(&mut connection, no_body)?;
        if answer.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    /// Whether a second or more had passed since the request before, or since connecting, when the last request of
    /// [`HttpClient::send`] was sent: a client that stands still so long, as on a busy machine, can cross with the end of its
    /// connection, as HTTP allows.
    pub fn stood_still(&self) -> bool {
        self.silence >= QUIET
    }

    /// Whether the last answer left the connection open.
    pub fn is_kept(&self) -> bool {
        self.connection.is_some()
    }

    /// `POST` over a slow line: so many bytes of the body at a time, with a pause after each, and nothing is read before
    /// all is sent, as many clients do it.
    ///
    /// # Errors
    /// As [`HttpClient::send`]; also when the server stops reading before the body has ended.
    pub fn post_slowly(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        piece: usize,
        pause: Duration,
    ) -> io::Result<Answer> {
        let head = self.head("POST", path, headers, body.len());
        let mut connection = self.connect()?;
        connection.get_mut().write_all(head.as_bytes())?;
        for piece in body.chunks(piece) {
            connection.get_mut().write_all(piece)?;
            std::thread::sleep(pause);
        }
        self.answer(connection, false)
    }

    /// `GET`.
    ///
    /// # Errors
    /// As [`HttpClient::send`].
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send("GET", path, &[], b"")
    }

    /// `POST` of a body of a media type.
    ///
    /// # Errors
    /// As [`HttpClient::send`].
    pub fn post(&mut self, path: &str, media_type: &str, body: &[u8]) -> io::Result<Answer> {
        self.send("POST", path, &[("content-type", media_type)], body)
    }
}

/// Reads one answer with a stated length.
///
/// # Errors
/// When the connection ends before the answer does.
pub fn read_answer(connection: &mut impl BufRead, no_body: bool) -> io::Result<Answer> {
    let early = || io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended before the answer");
    let mut line = String::new();
    if connection.read_line(&mut line)? == 0 {
        return Err(early());
    }
    let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(early)?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            return Err(early());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(n, _)| n == "content-length").and_then(|(_, v)| v.parse().ok()).unwrap_or(0);
    let mut body = vec![0; if no_body { 0 } else { length }];
    connection.read_exact(&mut body)?;
    Ok(Answer { status, headers, body })
}
