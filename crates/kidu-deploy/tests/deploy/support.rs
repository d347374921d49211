//! Registries, supervisors and load.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use kidu_deploy::{
    DeployError,
    control::{self, Command},
    state::{Environment, Phase},
    status::Status,
};
use kidu_pipeline::{Lineage, Registry, registry::Registration};
use kidu_testing::{Answer, HttpClient};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::roles::{FAULTS, SERVER, SUPERVISION};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const CLASSES: [&str; 6] = ["forest", "glacier", "mountain", "sea", "street", "village"];

/// An image that every server takes.
pub(crate) fn png() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 6, y as u8 * 8, 90]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A folder with a registry, and the settings of its supervisor.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) settings: Value,
    faults: bool,
}

/// A registry with so many versions, all of them pending.
pub(crate) fn world(versions: u32) -> World {
    let dir = tempfile::tempdir().unwrap();
    let work = dir.path().join("work");
    for n in 1..=versions {
        // Other classes make other weights, and so another version.
        let bundle = work.join(n.to_string());
        kidu_testing::bundle(&bundle, "mobilenetv2_100", 32, &CLASSES[..n as usize + 1]);
        let evaluation = work.join("evaluation.json");
        fs::write(&evaluation, "{}").unwrap();
        let what = Registration {
            bundle: &bundle,
            evaluation: &evaluation,
            attachments: &[],
            lineage: Lineage {
                dataset_version: "d".into(),
                data_snapshot: None,
                test_version: Some("t".into()),
                config_hash: "c".into(),
                git_commit: None,
                kidu_version: "0".into(),
                initial_weights: "none".into(),
                metrics: BTreeMap::new(),
                run: None,
            },
            status: kidu_pipeline::Status::PendingManualApproval,
            actor: "eve",
        };
        let receipt = Registry::open(&dir.path().join("registry"), "scenes").unwrap().register(&what).unwrap();
        assert_eq!(receipt.version, n);
        fs::remove_dir_all(&bundle).unwrap();
    }
    // What follows the script's name are a server's arguments.
    let own = std::env::current_exe().unwrap();
    let script = format!(
        "export {SERVER}=\"$(printf '%s\\n' \"$@\")\"; exec '{}' roles::server --exact --ignored --nocapture",
        own.display()
    );
    let settings = json!({
        "dir": dir.path().join("deploy"), "on_approval": true, "watch_seconds": 0.1, "manual_approval": true,
        "front": {"host": "127.0.0.1", "production_port": 0, "staging_port": 0,
                  "max_body_bytes": 1 << 20, "max_connections": 128, "head_timeout": 30.0, "body_timeout": 10.0,
                  "answer_timeout": 10.0},
        "server": {"command": ["sh", "-c", script, "server"], "arguments": ["--threads", "2"], "ready_timeout": 50.0,
                   "drain_timeout": 20.0, "health_seconds": 0.5, "restart_delay": 0.05, "max_restart_delay": 1.0},
        "canary": {"steps": [0.1, 1.0], "bake_seconds": 1.0, "min_requests": 20, "max_error_rate": 0.05,
                   "max_p95_ms": null, "max_p95_ratio": null, "window": 1000, "without_traffic": "proceed"},
        "smoke": {"image": null, "expected_label": null, "timeout": 20.0},
        "robustness": {"enabled": true, "data_root": "photos", "max_drop": 0.25, "command": ["sh", "-c", "echo '{}'; test {url} && test {data} = photos"],
                       "timeout": 30.0},
    });
    World { dir, settings, faults: true }
}

impl World {
    /// With the real server.
    pub(crate) fn real(mut self) -> Self {
        self.faults = false;
        self
    }

    /// Changes a setting, by its JSON pointer.
    pub(crate) fn with(mut self, pointer: &str, value: Value) -> Self {
        *self.settings.pointer_mut(pointer).unwrap() = value;
        self
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("deploy")
    }

    pub(crate) fn registry(&self) -> Registry {
        Registry::open(&self.dir.path().join("registry"), "scenes").unwrap()
    }

    pub(crate) fn approve(&self, version: u32) {
        self.registry().approve(version, "ana", Some("good")).unwrap();
    }

    /// What a server of production does from here on.
    pub(crate) fn fault(&self, version: u32, fault: &str) {
        let dir = self.dir.path().join("faults");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("production-{version}")), fault).unwrap();
    }

    /// Starts the supervisor and waits until it takes commands.
    pub(crate) fn up(&self) -> Supervisor<'_> {
        let file = self.dir.path().join("supervision.json");
        let value = json!({"settings": self.settings, "registry": self.dir.path().join("registry")});
        fs::write(&file, value.to_string()).unwrap();
        let log = self.dir.path().join("log");
        let mut command = Process::new(std::env::current_exe().unwrap());
        command.args(["roles::supervisor", "--exact", "--ignored", "--nocapture"]).env(SUPERVISION, file);
        if self.faults {
            command.env(FAULTS, self.dir.path().join("faults"));
        }
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let supervisor = Supervisor { world: self, child };
        supervisor.wait_for("the supervisor", |_| true);
        supervisor
    }

    /// Everything below the folder that helps to understand a failure.
    fn logged(&self) -> String {
        let mut text = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        for entry in fs::read_dir(self.path().join("logs")).into_iter().flatten().flatten() {
            text +=
                &format!("\n== {}\n{}", entry.path().display(), fs::read_to_string(entry.path()).unwrap_or_default());
        }
        let from = text.len().saturating_sub(12_000);
        text.split_off(text.floor_char_boundary(from))
    }
}

/// A running supervisor, killed with the value.
pub(crate) struct Supervisor<'a> {
    pub(crate) world: &'a World,
    pub(crate) child: Child,
}

impl Supervisor<'_> {
    pub(crate) fn production(&self) -> SocketAddr {
        let places = self.status().environments;
        let place = places.into_iter().find(|p| p.environment == Environment::Production).unwrap();
        place.url.unwrap().strip_prefix("http://").unwrap().parse().unwrap()
    }

    pub(crate) fn call(&self, command: &Command) -> Result<Status, DeployError> {
        control::call(&self.world.path(), command)
    }

    pub(crate) fn status(&self) -> Status {
        self.call(&Command::Status).unwrap()
    }

    /// Asks until something holds.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, mut holds: impl FnMut(&Status) -> bool) -> Status {
        let start = Instant::now();
        loop {
            let status = self.call(&Command::Status);
            if let Some(status) = status.as_ref().ok().filter(|s| holds(s)) {
                return status.clone();
            }
            assert!(start.elapsed() < PATIENCE, "never: {what}; {status:?}\n{}", self.world.logged());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn run(&self, version: u32) -> Result<Status, DeployError> {
        self.call(&Command::Run { version: Some(version), actor: "ana".into(), reason: None })
    }

    pub(crate) fn wait_for_approval(&self, version: u32) {
        self.wait_for("waiting for approval", |s| {
            s.release.as_ref().is_some_and(|r| r.request.version == version && r.phase == Phase::Waiting)
        });
    }

    pub(crate) fn approve(&self, version: u32) {
        let reason = Some("staging looks right".to_string());
        self.call(&Command::Approve { version: Some(version), actor: "bob".into(), reason }).unwrap();
    }

    pub(crate) fn wait_for_live(&self, version: u32) {
        self.wait_for("in production", |s| s.live == Some(version) && s.release.is_none());
    }

    /// From approved to production.
    pub(crate) fn deploy(&self, version: u32) {
        self.wait_for_approval(version);
        self.approve(version);
        self.wait_for_live(version);
    }

    pub(crate) fn wait_for_canary(&self, version: u32) {
        self.wait_for("a canary", |s| {
            let canary = |r: &kidu_deploy::state::Release| matches!(r.phase, Phase::Canary { .. });
            s.release.as_ref().is_some_and(|r| r.request.version == version && canary(r))
        });
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Process::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The processes of the servers that are written down.
    pub(crate) fn servers(&self) -> BTreeMap<String, u64> {
        let inside =
            |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect::<Vec<_>>();
        let entries = inside(&self.world.path().join("servers")).into_iter().flat_map(|dir| inside(&dir));
        let records = entries.filter(|p| p.extension().is_some_and(|e| e == "json"));
        let pid =
            |p: &Path| -> Option<u64> { serde_json::from_slice::<Value>(&fs::read(p).ok()?).ok()?["pid"].as_u64() };
        records.filter_map(|p| Some((p.file_stem()?.to_str()?.to_owned(), pid(&p)?))).collect()
    }
}

impl Drop for Supervisor<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.world.logged());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process runs.
pub(crate) fn is_alive(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// What clients saw: answers by version and status, and requests without an answer.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answers: BTreeMap<(String, u16), usize>,
    pub(crate) lost: Vec<String>,
}

impl Seen {
    pub(crate) fn by(&self, version: &str) -> usize {
        self.answers.iter().filter(|((v, _), _)| v == version).map(|(_, n)| n).sum()
    }

    pub(crate) fn with(&self, status: u16) -> usize {
        self.answers.iter().filter(|((_, s), _)| *s == status).map(|(_, n)| n).sum()
    }

    pub(crate) fn all(&self) -> usize {
        self.answers.values().sum()
    }
}

/// Clients that ask without a pause until they are stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(address: SocketAddr, clients: usize) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Seen>>::default());
        let image = png();
        let ask = |i: usize| {
            let (stop, seen, image) = (Arc::clone(&stop), Arc::clone(&seen), image.clone());
            thread::spawn(move || {
                let mut client = HttpClient::new(address);
                while !stop.load(Ordering::SeqCst) {
                    let answer = client.post("/v1/predict", "image/png", &image);
                    let mut seen = seen.lock().unwrap();
                    match answer {
                        Ok(answer) => *seen.answers.entry((version_of(&answer), answer.status)).or_default() += 1,
                        Err(error) => {
                            seen.lost.push(error.to_string());
                            client = HttpClient::new(address);
                        }
                    }
                    drop(seen);
                    // Some on fresh connections, most on kept ones.
                    if i == 0 {
                        client = HttpClient::new(address);
                    }
                    thread::sleep(Duration::from_millis(2));
                }
            })
        };
        let clients = (0..clients).map(ask).collect();
        Self { stop, seen, clients }
    }

    /// What was seen so far.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }

    pub(crate) fn end(self) -> Seen {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.into_iter().for_each(|c| c.join().unwrap());
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// The version that answered, or `front`.
pub(crate) fn version_of(answer: &Answer) -> String {
    answer.header("x-kidu-version").unwrap_or("front").to_string()
}
