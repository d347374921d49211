//! The binary: builds, kills, signals and exit codes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use kidu_label_studio::training::{BuildEnd, Entry};
use kidu_testing::HttpClient;
use serde_json::{Value, json};

use crate::support::{CLASSES, Endpoint, bundle, json_of, wait_for};

/// The real binary.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) log: PathBuf,
}

impl Process {
    fn start(scratch: &Path, endpoint: &str, more: &[&str]) -> Self {
        Self::start_in(scratch, endpoint, more, &[])
    }

    pub(crate) fn start_in(scratch: &Path, endpoint: &str, more: &[&str], variables: &[(&str, String)]) -> Self {
        let log = scratch.join("log");
        let file = fs::File::options().create(true).append(true).open(&log).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_kidu-label-studio"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("KIDU_WEBHOOK_SECRET", "0123456789abcdef-never-shown")
            .env("SCRATCH", scratch)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .args(["--endpoint", endpoint, "--port", "0", "--drain-timeout", "5"])
            .arg("--state-dir")
            .arg(scratch.join("state"))
            .args(more)
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told = line.trim().strip_prefix("listening on http://");
        let told = told.unwrap_or_else(|| panic!("{line} {}", fs::read_to_string(&log).unwrap()));
        Self { address: told.parse().unwrap(), child, log }
    }

    pub(crate) fn event(&self, body: &Value) -> u16 {
        let mut client = HttpClient::new(self.address);
        let headers = [("x-kidu-webhook-secret", "0123456789abcdef-never-shown")];
        client.send("POST", "/webhook", &headers, body.to_string().as_bytes()).unwrap().status
    }

    pub(crate) fn versions(&self) -> Value {
        json_of(&HttpClient::new(self.address).get("/versions").unwrap())
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program in the place of `kidu`: notes when each build begins and ends, and that no two run at a time.
pub(crate) fn program(scratch: &Path, body: &str) -> String {
    let path = scratch.join("kidu");
    let text = format!(
        "#!/bin/sh\nmkdir \"$SCRATCH/busy\" || {{ echo overlap >> \"$SCRATCH/notes\"; exit 1; }}\n\
         echo \"begin $KIDU_BUILD_ID $*\" >> \"$SCRATCH/notes\"\n{body}\n\
         echo \"end $KIDU_BUILD_ID\" >> \"$SCRATCH/notes\"\nrmdir \"$SCRATCH/busy\"\nexit ${{code:-0}}\n"
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

pub(crate) fn notes(scratch: &Path) -> Vec<String> {
    fs::read_to_string(scratch.join("notes")).unwrap_or_default().lines().map(str::to_owned).collect()
}

pub(crate) fn annotation(id: u64, time: u64) -> Value {
    let annotation =
        json!({"id": id, "result": [{}], "updated_at": format!("2026-11-26T00:00:{time:02}Z"), "created_at": "2026"});
    json!({"action": "ANNOTATION_CREATED", "annotation": annotation, "project": {"id": 1, "token": "t0ken"}})
}

fn entries(scratch: &Path) -> Vec<Entry> {
    let text = fs::read_to_string(scratch.join("state/loop.jsonl")).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

pub(crate) struct Scene {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) endpoint: Endpoint,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        bundle(&dir.path().join("bundle"), &CLASSES);
        let endpoint = Endpoint::of_bundle(&dir.path().join("bundle"));
        Self { dir, endpoint }
    }

    pub(crate) fn start(&self, more: &[&str]) -> Process {
        Process::start(self.dir.path(), &self.endpoint.url(), more)
    }
}

#[test]
fn enough_annotations_run_the_command_without_a_shell_and_the_gates_no_is_told() {
    let scene = Scene::new();
    let kidu = program(scene.dir.path(), "env > \"$SCRATCH/env\"; echo 'refused: not better'; code=3");
    let more = [
        "--train-after",
        "3",
        "--debounce",
        "0.3",
        "--build-program",
        &kidu,
        "--build-arg",
        "data.root=a b; $(touch owned)",
        "--build-arg",
        "--json",
        "--label-studio",
        "http://127.0.0.1:1",
    ];
    let process = scene.start(&more);
    for id in 1..=2 {
        assert_eq!(process.event(&annotation(id, 0)), 201);
    }
    assert_eq!(process.event(&annotation(2, 0)), 201, "the same once more");
    std::thread::sleep(Duration::from_millis(700));
    assert!(notes(scene.dir.path()).is_empty(), "two of three");
    assert_eq!(process.event(&annotation(3, 0)), 201);
    wait_for("a build", || process.versions()["builds"].as_array().is_some_and(|b| b.len() == 1));
    let build = process.versions()["builds"][0].clone();
    assert_eq!((build["end"].as_str(), build["annotations"].as_u64()), (Some("refused"), Some(3)), "{build}");
    assert_eq!(build["detail"], "the gate said no: refused: not better");
    let begun = &notes(scene.dir.path())[0];
    assert!(begun.ends_with(" pipeline run data.root=a b; $(touch owned) --json"), "{begun}");
    let environment = fs::read_to_string(scene.dir.path().join("env")).unwrap();
    assert!(environment.contains("KIDU_BUILD_ID=") && !environment.contains("never-shown"), "{environment}");
    assert!(environment.contains("KIDU_LABEL_STUDIO=http://127.0.0.1:1"), "uploads come from there: {environment}");
    assert_eq!(process.versions()["pending_annotations"], 0);
    // Asked for, without anything new.
    assert_eq!(process.event(&json!({"action": "START_TRAINING", "project": {"id": 1}})), 201);
    wait_for("another build", || process.versions()["builds"].as_array().is_some_and(|b| b.len() == 2));
    let log = fs::read_to_string(&process.log).unwrap();
    assert!(!log.contains("never-shown") && !log.contains("t0ken"), "secrets stay out of the log");
    assert!(log.lines().all(|l| serde_json::from_str::<Value>(l).is_ok_and(|v| v["level"].is_string())), "{log}");
}

#[test]
fn killed_at_any_point_no_event_is_lost_and_none_is_trained_on_twice() {
    let scene = Scene::new();
    let scratch = scene.dir.path();
    let kidu = program(scratch, "sleep 0.25");
    let more = [
        "--train-after",
        "4",
        "--debounce",
        "0.05",
        "--longest-wait",
        "0.5",
        "--build-program",
        &kidu,
        "--build-arg",
        "x=1",
    ];
    let mut sent = BTreeSet::new();
    let mut process = scene.start(&more);
    for round in 0u64..8 {
        for id in round * 5..round * 5 + 5 {
            assert_eq!(process.event(&annotation(id, 1)), 201);
            sent.insert(id.to_string());
        }
        // Somebody delivers an earlier event once more.
        process.event(&annotation(round * 3, 1));
        std::thread::sleep(Duration::from_millis(round * 67 % 400));
        process.kill();
        process = scene.start(&more);
    }
    assert_eq!(process.event(&json!({"action": "START_TRAINING", "project": {"id": 1}})), 201);
    wait_for("everything is built", || {
        let v = process.versions();
        v["building"].is_null() && v["pending_annotations"] == 0 && v["asked"] == false
    });
    drop(process);
    // By the journal: what each build took over, and how it ended.
    let (mut pending, mut trained, mut known) = (BTreeSet::new(), BTreeMap::<String, usize>::new(), BTreeSet::new());
    let (mut current, mut ends) = (None, 0);
    for entry in entries(scratch) {
        match entry {
            Entry::Event { event, .. } => {
                pending.extend(event.changes.into_iter().map(|c| c.annotation).filter(|a| known.insert(a.clone())));
            }
            Entry::Planned { build, .. } => {
                assert!(current.is_none(), "one build at a time");
                current = Some((build, std::mem::take(&mut pending)));
            }
            Entry::Ended { build, end, .. } => {
                let (planned, taken) = current.take().unwrap();
                assert_eq!((planned, end), (build, BuildEnd::Succeeded));
                taken.into_iter().for_each(|a| *trained.entry(a).or_default() += 1);
                ends += 1;
            }
            Entry::Attempt { build, .. } => assert_eq!(current.as_ref().map(|c| &c.0), Some(&build)),
            Entry::Model { .. } => {}
            Entry::Compacted { .. } => panic!("it is short"),
        }
    }
    assert!(current.is_none() && pending.is_empty());
    assert_eq!(trained.keys().cloned().collect::<BTreeSet<_>>(), sent, "no event is lost");
    assert!(trained.values().all(|n| *n == 1), "none is trained on twice: {trained:?}");
    let notes = notes(scratch);
    assert!(!notes.iter().any(|n| n == "overlap"), "{notes:?}");
    let begun: BTreeSet<&str> = notes.iter().filter_map(|n| n.strip_prefix("begin ")?.split(' ').next()).collect();
    assert_eq!(begun.len(), ends, "no build has two names");
}

#[test]
fn a_build_that_outlives_its_backend_is_waited_for() {
    let scene = Scene::new();
    let scratch = scene.dir.path();
    let kidu = program(scratch, "while [ ! -e \"$SCRATCH/go\" ]; do sleep 0.05; done");
    let more = ["--debounce", "0", "--build-program", &kidu, "--build-arg", "x=1"];
    let process = scene.start(&more);
    process.event(&json!({"action": "START_TRAINING", "project": {"id": 1}}));
    wait_for("the build runs", || notes(scratch).len() == 1);
    process.kill();
    assert_eq!(notes(scratch).len(), 1, "it still runs");
    let process = scene.start(&more);
    assert!(process.versions()["building"].is_object());
    fs::write(scratch.join("go"), "").unwrap();
    wait_for("its end", || process.versions()["builds"].as_array().is_some_and(|b| b.len() == 1));
    let notes = notes(scratch);
    assert_eq!(notes.len(), 4, "{notes:?}");
    assert!(notes[0] == notes[2] && notes[1] == notes[3], "the same build, one run after the other: {notes:?}");
    assert_eq!(process.versions()["builds"][0]["end"], "succeeded");
}

#[test]
fn sigterm_ends_in_order_and_the_build_goes_on_next_time() {
    let scene = Scene::new();
    let scratch = scene.dir.path();
    let kidu = program(
        scratch,
        "trap 'echo saved >> \"$SCRATCH/notes\"; rmdir \"$SCRATCH/busy\"; exit 130' TERM\necho ready >> \"$SCRATCH/notes\"\n\
         [ -e \"$SCRATCH/again\" ] || while :; do sleep 0.1; done",
    );
    let more = ["--debounce", "0", "--build-program", &kidu, "--build-arg", "x=1"];
    let mut process = scene.start(&more);
    process.event(&json!({"action": "START_TRAINING", "project": {"id": 1}}));
    wait_for("the build runs", || notes(scratch).len() == 2);
    fs::write(scratch.join("again"), "").unwrap();
    process.signal("TERM");
    assert_eq!(process.wait(), Some(0));
    wait_for("the build has saved", || notes(scratch).len() == 3);
    assert_eq!(notes(scratch)[1..], ["ready", "saved"]);
    let process = scene.start(&more);
    wait_for("its end", || process.versions()["builds"].as_array().is_some_and(|b| b.len() == 1));
    let begun: BTreeSet<String> = notes(scratch).into_iter().filter(|n| n.starts_with("begin")).collect();
    assert_eq!(begun.len(), 1, "one build: {begun:?}");
}

#[test]
fn exit_codes_are_those_of_the_documentation() {
    let scratch = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kidu-label-studio"));
        command.env_clear().args(arguments).arg("--state-dir").arg(scratch.path().join("state"));
        let out = command.output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    assert_eq!(run(&[]).0, Some(2));
    let (code, told) = run(&["--endpoint", "not a url"]);
    assert!(code == Some(2) && told.contains("--endpoint"), "{told}");
    let (code, told) = run(&["--endpoint", "http://h", "--basic-auth-user", "u"]);
    assert!(code == Some(2) && told.contains("KIDU_BASIC_AUTH_PASSWORD"), "{told}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, told) = run(&["--endpoint", "http://h", "--port", &port]);
    assert!(code == Some(1) && told.contains("choose another"), "{told}");
    let journal = kidu_label_studio::training::LoopJournal::open(&scratch.path().join("state")).unwrap();
    let (code, told) = run(&["--endpoint", "http://h", "--port", "0"]);
    assert!(code == Some(1) && told.contains("in use by another"), "{told}");
    drop(journal);
}

#[cfg(feature = "aws")]
#[test]
fn objects_are_read_with_our_own_credentials() {
    let Some(moto) = kidu_testing::MotoServer::start("objects_are_read_with_our_own_credentials") else { return };
    moto.create_bucket("photos");
    assert_eq!(moto.request("PUT", "/photos/raw/a.jpg", &[], &crate::support::jpeg(1)).0, 200);
    let scene = Scene::new();
    let more = ["--s3", "--retries", "0", "--allow-bucket", "photos"];
    let process = Process::start_in(scene.dir.path(), &scene.endpoint.url(), &more, &moto.environment());
    let addresses = ["s3://photos/raw/a.jpg", "s3://photos/raw/none.jpg", "s3://others/raw/a.jpg"].map(str::to_owned);
    let body = crate::support::predict_body(&addresses).to_string();
    let answer = HttpClient::new(process.address).post("/predict", "application/json", body.as_bytes()).unwrap();
    let results = json_of(&answer)["results"].clone();
    assert!(results[0]["score"].is_number(), "{results}");
    assert_eq!((&results[1], &results[2]), (&json!({}), &json!({})));
    let log = fs::read_to_string(&process.log).unwrap();
    assert!(log.contains("\"code\":\"not_found\"") && log.contains("\"code\":\"bucket_not_allowed\""), "{log}");
}
