//! A real Label Studio.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::HttpClient;

/// It makes its database first, which took up to 90 s on two cores with nothing else to do.
const START: Duration = Duration::from_secs(400);

/// A Label Studio on a port and data of its own, with one user, ended with the value with all its processes.
///
/// It may ask private addresses and takes legacy tokens, which both are off by default.
#[derive(Debug)]
pub struct LabelStudioServer {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl LabelStudioServer {
    /// The legacy token of the user.
    pub const TOKEN: &'static str = "0123456789abcdef0123456789abcdef01234567";
    /// The user's address.
    pub const USER: &'static str = "annotator@example.com";
    /// The user's password.
    pub const PASSWORD: &'static str = "Passw0rd123";

    /// Starts the one beside a peers' Python, with its data in a folder, and waits until it answers; `None` where a peer
    /// may be missing (see [`crate::peer_python`]).
    ///
    /// # Panics
    /// When it does not start, or the peer must be there and is not.
    pub fn start(test: &str, dir: &Path) -> Option<Self> {
        let python = crate::peer_python(test, &["label_studio"])?;
        let program = python.with_file_name("label-studio");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        drop(listener);
        let log = dir.join("label-studio.log");
        let file = std::fs::File::create(&log).expect("a folder that can be written");
        let child = Command::new(&program)
            .args(["start", "--no-browser", "--internal-host", "127.0.0.1", "--enable-legacy-api-token", "--port"])
            .arg(address.port().to_string())
            .envs([
                ("LABEL_STUDIO_USERNAME", Self::USER),
                ("LABEL_STUDIO_PASSWORD", Self::PASSWORD),
                ("LABEL_STUDIO_USER_TOKEN", Self::TOKEN),
                ("LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN", "true"),
                ("LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS", "false"),
                ("LABEL_STUDIO_COLLECT_ANALYTICS", "false"),
                ("LABEL_STUDIO_LATEST_VERSION_CHECK", "false"),
                ("LABEL_STUDIO_SENTRY_DSN", ""),
                ("LABEL_STUDIO_FRONTEND_SENTRY_DSN", ""),
                ("NO_PROXY", "127.0.0.1"),
                ("no_proxy", "127.0.0.1"),
            ])
            .env("LABEL_STUDIO_HOST", format!("http://{address}"))
            .env("LABEL_STUDIO_BASE_DATA_DIR", dir.join("label-studio"))
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("an open file"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .expect("Label Studio's program lies beside its Python");
        let mut server = Self { child, address, log };
        server.wait(test);
        Some(server)
    }

    fn wait(&mut self, test: &str) {
        let begun = Instant::now();
        while !HttpClient::new(self.address).get("/health").is_ok_and(|answer| answer.status == 200) {
            let ended = matches!(self.child.try_wait(), Ok(Some(_)) | Err(_));
            assert!(!ended && begun.elapsed() < START, "{test}: Label Studio does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has written to its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A request with the token; status and JSON.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let authorization = format!("Token {}", Self::TOKEN);
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let answer = HttpClient::new(self.address).send(method, path, &headers, body.as_bytes());
        let answer = answer.expect("Label Studio answers");
        (answer.status, answer.text())
    }

    /// A personal access token of the user.
    ///
    /// # Panics
    /// When Label Studio gives none; it gives one only once.
    pub fn personal_token(&self) -> String {
        let (status, body) = self.request("POST", "/api/token/", "{}");
        assert!(status < 300, "a personal access token: {status} {body}");
        let token = body.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next());
        token.unwrap_or_else(|| panic!("no token in {body}")).to_owned()
    }
}

impl Drop for LabelStudioServer {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}
