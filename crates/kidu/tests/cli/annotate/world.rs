//! Label Studio, S3, an endpoint and the real backend, each a process of its own.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use kidu_annotate::{LabelStudioClient, client::Task};
use kidu_fetch::{FetchOptions, LabelStudio, Token};
use kidu_testing::{HttpClient, LabelStudioServer, MotoServer};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    command::{Ended, end_of, isolate, kidu},
    fixture::{SCENES, TRAINED, scratch, set},
};

pub(super) const TITLE: &str = "scenes";
const SECRET: &str = "0123456789abcdef-never-shown";
/// A build trains a model; several tests run at once.
const PATIENCE: Duration = Duration::from_secs(300);

/// Label Studio, S3, an endpoint and the backend.
pub(super) struct World {
    pub(super) dir: TempDir,
    studio: LabelStudioServer,
    pub(super) moto: MotoServer,
    pub(super) client: LabelStudioClient,
    personal: String,
    pub(super) backend: Backend,
    _endpoint: Served,
}

/// A process that is killed with the value.
pub(super) struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) struct Backend {
    address: SocketAddr,
    state: PathBuf,
    pub(super) log: PathBuf,
    _process: Served,
}

/// The backend's binary lies beside the command where both are built.
fn backend_program(test: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_kidu")).with_file_name("kidu-label-studio");
    if path.is_file() {
        return Some(path);
    }
    let reason = format!("{test}: skipped, {} is not built; cargo build -p kidu-label-studio", path.display());
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}");
    eprintln!("{reason}");
    None
}

/// `kidu serve` of what a link leads to, which is looked at all the time.
fn serve(dir: &Path) -> (Served, String) {
    let port = dir.join("port");
    let mut command =
        kidu(dir, &["serve", "--bundle", "current", "--port", "0", "--port-file", "port", "--watch-seconds", "1"]);
    let log = fs::File::create(dir.join("serve.log")).unwrap();
    let child = Served(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    wait_for("the endpoint", || fs::read_to_string(&port).is_ok_and(|p| p.trim().parse::<u16>().is_ok()));
    (child, format!("http://127.0.0.1:{}", fs::read_to_string(&port).unwrap().trim()))
}

/// The real backend, which builds with the real command.
fn start_backend(program: &Path, dir: &Path, studio: &str, endpoint: &str, moto: &MotoServer) -> Backend {
    let (state, log) = (dir.join("backend"), dir.join("backend.log"));
    let mut command = Command::new(program);
    isolate(&mut command, dir);
    command
        .env("KIDU_WEBHOOK_SECRET", SECRET)
        .env("KIDU_LABEL_STUDIO_TOKEN", LabelStudioServer::TOKEN)
        .envs(moto.environment())
        .args(["--endpoint", endpoint, "--label-studio", studio, "--port", "0", "--allow-private", "127.0.0.1"])
        .args(["--train-after", "4", "--debounce", "1", "--model-seconds", "1", "--state-dir"])
        .arg(&state)
        .args(["--build-program", env!("CARGO_BIN_EXE_kidu")]);
    let small = ["model=resnet18", "data.image_size=32", "data.batch_size=8", "trainer.max_epochs=1"];
    let easy = ["trainer.limit_train_batches=2", "gate.min_accuracy=0.0", "-p", "Annotations=s3://labels/annotations"];
    for argument in [set("data.root", &SCENES)].iter().map(String::as_str).chain(small).chain(easy) {
        command.args(["--build-arg", argument]);
    }
    let file = fs::File::create(&log).unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(file).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told = line.trim().strip_prefix("listening on http://");
    let address = told.unwrap_or_else(|| panic!("{line} {}", fs::read_to_string(&log).unwrap())).parse().unwrap();
    Backend { address, state, log, _process: Served(child) }
}

#[track_caller]
pub(super) fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}

impl World {
    pub(super) fn start(test: &str) -> Option<Self> {
        let program = backend_program(test)?;
        let moto = MotoServer::start(test)?;
        let dir = scratch();
        let studio = LabelStudioServer::start(test, dir.path())?;
        symlink(TRAINED.join("bundle"), dir.path().join("current")).unwrap();
        let (endpoint, url) = serve(dir.path());
        let backend = start_backend(&program, dir.path(), &studio.url(), &url, &moto);
        let token = Some(Token::from_text(LabelStudioServer::TOKEN));
        let label_studio = Some(LabelStudio::new(&studio.url(), token).unwrap());
        let client = LabelStudioClient::new(FetchOptions { label_studio, ..FetchOptions::default() }).unwrap();
        let personal = studio.personal_token();
        Some(Self { dir, studio, moto, client, personal, backend, _endpoint: endpoint })
    }

    /// The command with everything that the environment should say; the token is the personal one.
    pub(super) fn kidu(&self, arguments: &[&str]) -> Ended {
        let mut command = kidu(self.dir.path(), arguments);
        command
            .env("KIDU_LABEL_STUDIO", self.studio.url())
            .env("KIDU_LABEL_STUDIO_TOKEN", &self.personal)
            .env("KIDU_WEBHOOK_SECRET", SECRET)
            .env("KIDU_STORAGE_SECRET", "emulator")
            .env("KIDU_ALLOW_PRIVATE", "127.0.0.1")
            .envs(self.moto.environment());
        end_of(command)
    }

    pub(super) fn set_up(&self) -> Value {
        let (backend, endpoint) = (format!("http://{}", self.backend.address), self.moto.url());
        let arguments = [
            ["annotate", "project"].as_slice(),
            &["--title", TITLE, "--bundle", "current", "--json"],
            &["--source", "s3://raw/in", "--target", "s3://labels/annotations", "--storage-key", "emulator"],
            &["--storage-region", "us-east-1", "--storage-endpoint", &endpoint, "--backend", &backend],
        ];
        self.kidu(&arguments.concat()).ok().json()
    }

    pub(super) fn tasks(&self, project: u64) -> Vec<Task> {
        self.client.tasks(project, |_, _| ()).unwrap()
    }

    /// The versions of all predictions of each task.
    pub(super) fn predicted(&self, project: u64) -> Vec<BTreeSet<String>> {
        let version = |p: &Value| p["model_version"].as_str().unwrap().to_owned();
        self.tasks(project).iter().map(|t| t.predictions.iter().map(version).collect()).collect()
    }

    pub(super) fn versions(&self) -> Value {
        let answer = HttpClient::new(self.backend.address).get("/versions").unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// What builds have written.
    pub(super) fn build_logs(&self) -> String {
        let builds = fs::read_dir(self.backend.state.join("builds")).unwrap().map(|e| e.unwrap().path().join("log"));
        builds.map(|log| fs::read_to_string(log).unwrap_or_default()).collect()
    }

    /// Actions of the events in the backend's journal.
    pub(super) fn events(&self) -> Vec<String> {
        let text = fs::read_to_string(self.backend.state.join("loop.jsonl")).unwrap_or_default();
        let entries = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        entries.filter_map(|e| Some(e["event"]["action"].as_str()?.to_owned())).collect()
    }
}
