//! A real MLflow server.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::HttpClient;

/// MLflow imports slowly and makes its database first.
const START: Duration = Duration::from_secs(180);

/// A server of MLflow's own, ended with the value, with all its workers; may be started again on the same data and port.
#[derive(Debug)]
pub struct MlflowServer {
    child: Option<Child>,
    python: PathBuf,
    dir: PathBuf,
    address: SocketAddr,
}

impl MlflowServer {
    /// A server that is not running yet, of a Python that has MLflow, with its data in a folder.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn new(python: &Path, dir: &Path) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        Self { child: None, python: python.into(), dir: dir.into(), address }
    }

    /// `http://127.0.0.1:port`, also while it is down.
    pub fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(&mut self) {
        let log = std::fs::File::create(self.dir.join("server.log")).expect("a folder that can be written");
        let child = Command::new(&self.python)
            .args([
                "-m",
                "mlflow",
                "server",
                "--host",
                "127.0.0.1",
                "--workers",
                "1",
                "--port",
                &self.address.port().to_string(),
            ])
            .arg("--backend-store-uri")
            .arg(format!("sqlite:///{}/mlflow.db", self.dir.display()))
            .arg("--artifacts-destination")
            .arg(self.dir.join("artifacts"))
            .current_dir(&self.dir)
            .env("PATH", path_of(&self.python))
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("an open file"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("Python was run before");
        let child = self.child.insert(child);
        let begun = Instant::now();
        while !HttpClient::new(self.address).get("/health").is_ok_and(|answer| answer.status == 200) {
            let log = || std::fs::read_to_string(self.dir.join("server.log")).unwrap_or_default();
            let ended = matches!(child.try_wait(), Ok(Some(_)) | Err(_));
            assert!(!ended && begun.elapsed() < START, "the MLflow server does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Ends it at once, with its workers.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            let _ = child.wait();
        }
    }
}

impl Drop for MlflowServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The search path with the Python's own folder first: MLflow starts uvicorn by its name.
fn path_of(python: &Path) -> String {
    format!("{}:{}", python.parent().unwrap_or(Path::new("")).display(), std::env::var("PATH").unwrap_or_default())
}
