//! The entry of the job image in a folder tree laid out as SageMaker lays it out, with a `kidu` that tells how it was
//! called. The arguments are those of the definition.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// Prints its arguments; trains as `kidu train` does, as far as folders go; obeys `STUB`.
const KIDU: &str = r#"#!/bin/sh
printf '%s\n' "$@"
case $STUB in
fail) echo "first line" >&2; echo "error: no image in data.root" >&2; exit 1 ;;
wait) trap 'echo saved >&2; exit 130' TERM; touch "$STARTED"; while :; do sleep 0.05; done ;;
esac
if [ "$1" = train ]; then
    while [ "$#" -gt 1 ]; do [ "$1" = --out ] && out=$2; [ "$1" = --resume ] && out=$2; shift; done
    mkdir -p "$out/bundle"
    echo bundle > "$out/bundle/bundle.json"
    echo config > "$out/config.yaml"
    echo '{}' > "$out/summary.json"
fi
"#;

struct Container {
    dir: TempDir,
}

impl Container {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir_all(&bin).unwrap();
        for name in ["kidu", "kidu-serve"] {
            fs::write(bin.join(name), KIDU).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { dir }
    }

    fn ml(&self) -> PathBuf {
        self.dir.path().join("ml")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.ml().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn command(&self, arguments: &[String], stub: &str) -> Command {
        let entry = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker/kidu-sagemaker");
        let path = format!("{}:{}", self.dir.path().join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(entry);
        command.args(arguments).env("PATH", path).env("KIDU_ML", self.ml()).env("STUB", stub);
        command.env("STARTED", self.dir.path().join("started")).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[String], stub: &str) -> Output {
        self.command(arguments, stub).output().unwrap()
    }

    /// The arguments of a step of the definition, in this container's folders and with every parameter at "P".
    fn arguments(&self, step: &str, specification: &str) -> Vec<String> {
        let definition = crate::synthesised().documents["pipeline-definition.json"].clone();
        let step = definition["Steps"].as_array().unwrap().iter().find(|s| s["Name"] == step).unwrap().clone();
        assert_eq!(step["Arguments"][specification]["ContainerEntrypoint"], serde_json::json!(["kidu-sagemaker"]));
        let text = |v: &Value| match v {
            Value::String(text) => text.replace("/opt/ml", &self.ml().display().to_string()),
            other => {
                other["Std:Join"]["Values"].as_array().unwrap().iter().map(|p| p.as_str().unwrap_or("P")).collect()
            }
        };
        step["Arguments"][specification]["ContainerArguments"].as_array().unwrap().iter().map(text).collect()
    }
}

fn lines(out: &Output) -> Vec<String> {
    String::from_utf8_lossy(&out.stdout).lines().map(str::to_string).collect()
}

#[test]
fn an_archive_is_found_and_a_folder_stays_one() {
    let container = Container::new();
    let arguments = container.arguments("preprocess", "AppSpecification");
    container.write("processing/input/dataset/intel.zip", "zip");
    let out = container.run(&arguments, "");
    assert!(out.status.success());
    let root = container.ml().join("processing/input/dataset");
    assert_eq!(lines(&out).last().unwrap(), &format!("data.root={}", root.join("intel.zip").display()));
    container.write("processing/input/dataset/train/a/1.jpg", "jpg");
    assert_eq!(lines(&container.run(&arguments, "")).last().unwrap(), &format!("data.root={}", root.display()));
}

#[test]
fn a_model_is_unpacked_where_the_verb_looks_for_it() {
    let container = Container::new();
    container.write("bundle/bundle.json", "{}");
    let model = container.ml().join("processing/input/model");
    fs::create_dir_all(&model).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(model.join("model.tar.gz")).arg("-C").arg(container.ml().join("bundle")).arg(".");
    let packed = tar.status();
    assert!(packed.unwrap().success());
    let arguments = container.arguments("evaluate", "AppSpecification");
    let out = container.run(&arguments, "");
    assert!(out.status.success());
    let bundle = arguments.iter().position(|a| a == "--bundle").map(|i| PathBuf::from(&arguments[i + 1])).unwrap();
    assert!(bundle.join("bundle.json").is_file(), "{}", bundle.display());
    assert_eq!(lines(&out), arguments);
}

#[test]
fn training_leaves_the_bundle_and_goes_on_after_an_interruption() {
    let container = Container::new();
    let arguments = container.arguments("train", "AlgorithmSpecification");
    let out = container.run(&arguments, "");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(lines(&out), arguments);
    assert!(container.ml().join("model/bundle.json").is_file());
    assert!(container.ml().join("output/data/summary.json").is_file());
    // The checkpoints that SageMaker restores are the run's folder.
    let out = container.run(&arguments, "");
    let run = container.ml().join("checkpoints/run").display().to_string();
    assert_eq!(lines(&out), ["train", "--resume", &run]);
}

/// As SageMaker calls an image: with `train` alone.
#[test]
fn a_job_without_arguments_trains_on_its_channels() {
    let container = Container::new();
    let train = ["train".to_string()];
    let [run, data] = ["checkpoints/run", "input/data"].map(|p| container.ml().join(p).display().to_string());
    container.write("input/data/train/a/1.jpg", "jpg");
    let called = lines(&container.run(&train, ""));
    assert_eq!(called, ["train", "--out", &run, &format!("data.root={data}")]);
    assert!(container.ml().join("model/bundle.json").is_file());

    let container = Container::new();
    let [run, data] = ["checkpoints/run", "input/data/dataset"].map(|p| container.ml().join(p).display().to_string());
    let hyperparameters = container.ml().join("input/config/hyperparameters.json").display().to_string();
    container.write("input/config/hyperparameters.json", "{}");
    container.write("input/data/dataset/scenes.zip", "zip");
    let expected =
        ["train", "--out", &run, &format!("data.root={data}/scenes.zip"), "--hyperparameters", &hyperparameters];
    assert_eq!(lines(&container.run(&train, "")), expected);
    fs::remove_dir_all(container.ml().join("checkpoints")).unwrap();
    container.write("input/data/dataset/manifest.json", "{}");
    let expected =
        ["train", "--out", &run, "--manifest", &format!("{data}/manifest.json"), "--hyperparameters", &hyperparameters];
    assert_eq!(lines(&container.run(&train, "")), expected);
    // It goes on with its own configuration.
    assert_eq!(lines(&container.run(&train, "")), ["train", "--resume", &run]);
}

#[test]
fn a_failure_says_why_where_sagemaker_shows_it() {
    let container = Container::new();
    let out = container.run(&container.arguments("train", "AlgorithmSpecification"), "fail");
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("first line"));
    for file in ["output/failure", "output/message"] {
        let said = fs::read_to_string(container.ml().join(file)).unwrap();
        assert!(said.ends_with("error: no image in data.root\n"), "{said}");
    }
    assert!(!container.ml().join("model").exists());
    assert_eq!(container.run(&[], "").status.code(), Some(2));
}

#[test]
fn a_signal_reaches_kidu_and_its_exit_code_comes_back() {
    let container = Container::new();
    let mut child = container.command(&container.arguments("train", "AlgorithmSpecification"), "wait").spawn().unwrap();
    let start = Instant::now();
    while !container.dir.path().join("started").exists() {
        assert!(start.elapsed() < Duration::from_secs(20), "kidu did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let said = fs::read_to_string(container.ml().join("output/failure")).unwrap();
    assert!(said.contains("saved"), "{said}");
}

#[test]
fn hosting_serves_the_model() {
    let container = Container::new();
    let out = container.run(&["serve".to_string()], "");
    let model = container.ml().join("model").display().to_string();
    assert_eq!(lines(&out), ["--bundle", &model, "--host", "0.0.0.0", "--port", "8080"]);
}
