//! Places in S3 as settings: what is fetched, what is not fetched again, and what is said when it cannot be.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kidu_testing::MotoServer;
use tempfile::TempDir;

use crate::{
    command::{Ended, end_of, kidu, run},
    fixture::{SCENES, TRAINED, scratch, short, snapshot, words},
};

struct Setup {
    moto: MotoServer,
    dir: TempDir,
}

impl Setup {
    /// A bucket `kidu-tests` with the scenes as a folder, as an archive and as a list, and weights.
    fn start(test: &str) -> Option<Self> {
        let moto = MotoServer::start(test)?;
        moto.create_bucket("kidu-tests");
        let setup = Self { moto, dir: scratch() };
        let files = files_below(&SCENES);
        for (key, path) in &files {
            setup.put(&format!("data/scenes/{key}"), &fs::read(path).unwrap());
        }
        setup.put("data/scenes.tar.gz", &archive(&SCENES));
        setup.put("weights/mine.safetensors", &fs::read(TRAINED.join("bundle/weights.safetensors")).unwrap());
        Some(setup)
    }

    fn put(&self, key: &str, bytes: &[u8]) {
        let (status, body) = self.moto.request("PUT", &format!("/kidu-tests/{key}"), &[], bytes);
        assert_eq!(status, 200, "{key}: {body}");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = kidu(self.dir.path(), arguments);
        command.envs(self.moto.environment());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        end_of(self.command(arguments))
    }

    /// The version of the dataset that `kidu data split` makes of a root, and how it ended.
    fn split(&self, root: &str) -> (String, Ended) {
        let ended = self.run(&["data", "split", "--json", &format!("data.root={root}")]).ok();
        (ended.json()["version"].as_str().unwrap().to_owned(), ended)
    }
}

/// Keys and files.
fn files_below(dir: &Path) -> Vec<(String, PathBuf)> {
    let key = |path: &PathBuf| path.strip_prefix(dir).unwrap().display().to_string();
    snapshot(dir).into_keys().map(|path| (key(&path), path)).collect()
}

/// A `.tar.gz` by the system's tar, as people make them.
fn archive(dir: &Path) -> Vec<u8> {
    let output = Command::new("tar").args(["-cz", "-C"]).arg(dir).arg(".").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn data_in_s3_is_the_same_data_and_is_fetched_once() {
    let Some(s3) = Setup::start("data_in_s3_is_the_same_data") else { return };
    let (local, _) = s3.split(&SCENES.display().to_string());
    let (folder, first) = s3.split("s3://kidu-tests/data/scenes/");
    assert_eq!(folder, local);
    let objects = format!("{} objects", files_below(&SCENES).len());
    assert!(first.err.contains(&objects) && !first.err.contains("fetched 0.0 MB"), "{first:#?}");
    let (again, second) = s3.split("s3://kidu-tests/data/scenes");
    assert_eq!(again, local);
    assert!(second.err.contains("fetched 0.0 MB"), "{second:#?}");
    let (packed, _) = s3.split("s3://kidu-tests/data/scenes.tar.gz");
    assert_eq!(packed, local);
}

#[test]
fn training_starts_from_weights_in_s3_and_the_run_says_so() {
    let Some(s3) = Setup::start("training_starts_from_weights_in_s3") else { return };
    let mut arguments = vec!["train".to_string(), "--out".into(), "run".into(), "--json".into()];
    arguments.extend(short());
    arguments.push("model.weights=s3://kidu-tests/weights/mine.safetensors".into());
    s3.run(&words(&arguments)).ok();
    let bundle = fs::read_to_string(s3.dir.path().join("run/bundle/bundle.json")).unwrap();
    assert!(bundle.contains("mine.safetensors sha256:"), "{bundle}");
    let config = fs::read_to_string(s3.dir.path().join("run/config.yaml")).unwrap();
    assert!(config.contains("s3://kidu-tests/weights/mine.safetensors"), "{config}");
}

#[test]
fn a_pipeline_on_data_in_s3_runs_again_only_when_the_data_changed() {
    let Some(s3) = Setup::start("a_pipeline_on_data_in_s3") else { return };
    let mut arguments: Vec<String> =
        ["pipeline", "run", "--json", "gate.min_accuracy=0.0"].map(ToString::to_string).to_vec();
    arguments.extend(short().into_iter().filter(|a| !a.starts_with("data.root=")));
    arguments.push("data.root=s3://kidu-tests/data/scenes".into());
    arguments.push("model.weights=s3://kidu-tests/weights/mine.safetensors".into());
    let statuses = |ended: &Ended| {
        let record = ended.json();
        let steps = record["steps"].as_array().unwrap().clone();
        steps.iter().map(|s| s["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&s3.run(&words(&arguments)).ok()), ["succeeded"; 5]);
    assert_eq!(statuses(&s3.run(&words(&arguments)).ok()), ["cached"; 5]);
    let (key, _) = files_below(&SCENES).into_iter().find(|(key, _)| key.contains("train")).unwrap();
    let (status, _) = s3.moto.request("DELETE", &format!("/kidu-tests/data/scenes/{key}"), &[], b"");
    assert_eq!(status, 204);
    assert_eq!(statuses(&s3.run(&words(&arguments)).ok())[..2], ["succeeded"; 2]);
}

#[test]
fn what_is_not_there_is_said_before_anything_is_written() {
    let Some(s3) = Setup::start("what_is_not_there_is_said") else { return };
    let split = |root: &str| s3.run(&["data", "split", "--json", &format!("data.root={root}")]);
    split("s3://kidu-tests/none").fails(1, &["no objects below s3://kidu-tests/none", "aws s3 ls"]);
    split("s3://no-such-bucket/x").fails(1, &["no bucket no-such-bucket"]);
    split("s3://kidu-tests/none.zip").fails(1, &["no object s3://kidu-tests/none.zip"]);
    split("s3://kidu-tests/weights/mine.safetensors").fails(1, &["neither a folder nor an archive"]);
    split("s3://Bad_Bucket/x").fails(2, &["data.root", "lower-case"]);
}

#[test]
fn without_credentials_or_region_the_way_to_get_them_is_said() {
    let dir = scratch();
    let split = |variables: &[(&str, &str)]| {
        let mut command = kidu(dir.path(), &["data", "split", "--json", "data.root=s3://kidu-tests/x.zip"]);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            command.env_remove(name);
        }
        let none = [
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "none"),
            ("AWS_SHARED_CREDENTIALS_FILE", "none"),
        ];
        command.envs(none).envs(variables.iter().copied());
        end_of(command)
    };
    split(&[]).fails(2, &["AWS_REGION"]);
    split(&[("AWS_REGION", "eu-west-1")]).fails(2, &["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "s3://kidu-tests/x.zip"]);
    // Places that are no S3 never ask for AWS.
    let root = format!("data.root={}", SCENES.display());
    run(dir.path(), &["data", "split", &root]).ok();
}

#[test]
fn the_doctor_tries_credentials_and_places() {
    let Some(moto) = MotoServer::start("the_doctor_tries_credentials_and_places") else { return };
    moto.create_bucket("kidu-tests");
    let dir = scratch();
    let doctor = |places: &str, hidden: &[&str]| {
        let mut command = kidu(dir.path(), &["doctor", "--aws", "--place", places, "--json"]);
        command.envs(moto.environment());
        for name in hidden {
            command.env_remove(name);
        }
        end_of(command)
    };
    let state = |ended: &Ended, name: &str| {
        let checks = ended.json();
        let check = checks.as_array().unwrap().iter().find(|c| c["name"] == name).cloned();
        check.unwrap_or_else(|| panic!("no check '{name}': {checks}"))
    };
    let well = doctor("s3://kidu-tests/kidu", &[]).ok();
    for check in ["aws region", "aws credentials", "list s3://kidu-tests/kidu", "remove s3://kidu-tests/kidu"] {
        assert_eq!(state(&well, check)["ok"], true, "{check}");
    }
    let (_, left) = moto.request("GET", "/kidu-tests?list-type=2", &[], b"");
    assert!(!left.contains("kidu-doctor"), "the probe stays: {left}");
    let missing = doctor("s3://kidu-nowhere", &[]).code(1);
    assert!(state(&missing, "list s3://kidu-nowhere")["detail"].as_str().unwrap().contains("kidu-nowhere"));
    let lost = doctor("s3://kidu-tests", &["AWS_REGION", "AWS_DEFAULT_REGION"]).code(1);
    assert!(state(&lost, "aws region")["detail"].as_str().unwrap().contains("set AWS_REGION"));
}
