//! `kidu train logger=many_loggers`: what each tracker keeps of one run, an MLflow server that is down, and
//! `kidu track send` once it is up.

use std::{fs, path::Path, process::Command};

use kidu_testing::MlflowServer;
use serde_json::{Value, json};

use crate::{
    command::{Ended, end_of, kidu},
    fixture::{scratch, short, words},
};

const TEST: &str = "a_run_is_kept_by_every_tracker";

/// Runs a script of `tests/peers` and reads what it prints as JSON.
fn script(python: &Path, name: &str, arguments: &[&str]) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers").join(name);
    let output = Command::new(python).arg(path).args(arguments).env("NO_PROXY", "127.0.0.1").output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A short training of two epochs with all trackers, for a server that is down.
fn train(dir: &Path, uri: &str) -> Ended {
    let settings = [
        "logger=many_loggers",
        "logger.mlflow.experiment_name=scenes",
        "logger.mlflow.wait_at_end=0.5",
        "logger.mlflow.log_every_n_steps=1",
    ];
    let short = short();
    let arguments = [&["train", "--out", "run"][..], &words(&short), &settings, &["trainer.max_epochs=2"]].concat();
    let mut command = kidu(dir, &arguments);
    command.env("MLFLOW_TRACKING_URI", uri).env("NO_PROXY", "127.0.0.1");
    end_of(command).ok()
}

/// The values of a column of `metrics.csv` by step, where there are any.
fn column(csv: &str, name: &str) -> Vec<(u64, f64)> {
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let heading = lines.next().unwrap();
    let place = |name: &str| heading.iter().position(|h| *h == name).unwrap_or_else(|| panic!("{name} in {heading:?}"));
    let (step, value) = (place("step"), place(name));
    lines.filter_map(|row| Some((row[step].parse().ok()?, row[value].parse().ok()?))).collect()
}

#[track_caller]
fn assert_points(found: &Value, expected: &[(u64, f64)], what: &str) {
    let found = found.as_array().unwrap_or_else(|| panic!("no {what}"));
    assert_eq!(found.len(), expected.len(), "{what}: {found:?} {expected:?}");
    for (point, (step, value)) in found.iter().zip(expected) {
        assert_eq!(point[0].as_u64(), Some(*step), "{what}");
        // Event files hold floats of 32 bits.
        assert!((point[1].as_f64().unwrap() - value).abs() <= 1e-6 * value.abs().max(1.0), "{what}: {point} {value}");
    }
}

#[test]
fn a_run_is_kept_by_every_tracker() {
    let mlflow = kidu_testing::peer_python(TEST, &["mlflow"]);
    let dir = scratch();
    let mut server = mlflow.as_ref().map(|python| MlflowServer::new(python, dir.path()));
    // Nobody listens there in either case: the server is started later.
    let uri = server.as_ref().map_or("http://127.0.0.1:9".to_string(), MlflowServer::uri);
    let ended = train(dir.path(), &uri);
    assert!(ended.err.contains("not delivered") && ended.err.contains("kidu track send"), "{ended:#?}");

    let run = dir.path().join("run");
    let csv = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let validated = column(&csv, "val/acc");
    assert_eq!(validated.len(), 2, "{csv}");
    let jsonl = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let rows: Vec<Value> = jsonl.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let there: Vec<f64> = rows.iter().filter_map(|row| row["val/acc"].as_f64()).collect();
    assert_eq!(there, validated.iter().map(|v| v.1).collect::<Vec<_>>());
    assert!(run.join("curves.png").is_file() && run.join("curves.svg").is_file());
    assert!(run.join("bundle/bundle.json").is_file(), "the training went on");

    if let Some(python) = kidu_testing::peer_python(TEST, &["tensorboard"]) {
        let board = script(&python, "tensorboard_read.py", &[run.join("tensorboard").to_str().unwrap()]);
        assert_points(&board["scalars"]["val/acc"], &validated, "val/acc in the event file");
        let texts = board["texts"].to_string();
        assert!(texts.contains("resnet18"), "the configuration: {texts}");
        assert!(!board["images"].as_object().unwrap().is_empty());
        assert_eq!(board["hparams"]["start"]["values"]["model.name"], "resnet18");
    }
    let Some((server, python)) = server.as_mut().zip(mlflow) else { return };
    delivered_later(dir.path(), server, &python, &validated);
}

fn delivered_later(dir: &Path, server: &mut MlflowServer, python: &Path, validated: &[(u64, f64)]) {
    let send = |wait: &str| {
        let mut command = kidu(dir, &["track", "send", "run", "--wait", wait]);
        command.env("NO_PROXY", "127.0.0.1");
        end_of(command)
    };
    let down = send("1").code(1);
    assert!(down.err.contains("still not delivered"), "{down:#?}");
    server.start();
    let sent = send("60").ok();
    assert!(sent.out.contains(&format!("everything is at {}", server.uri())), "{sent:#?}");
    let identity = fs::read_to_string(dir.join("run/mlflow.json")).unwrap();
    let identity: Value = serde_json::from_str(&identity).unwrap();
    let key = identity["identity"]["key"].as_str().unwrap_or_else(|| panic!("a key in {identity}"));
    let seen = script(python, "mlflow_read.py", &[&server.uri(), "scenes", key]);
    assert_eq!((&seen["runs"], &seen["status"], &seen["name"]), (&json!(1), &json!("FINISHED"), &json!("run")));
    assert_points(&seen["metrics"]["val/acc"], validated, "val/acc on the server");
    assert_eq!(seen["params"]["model.name"], "resnet18");
    let artifacts = seen["artifacts"].as_object().unwrap();
    for name in ["config.yaml", "metrics.csv", "curves.png", "bundle/bundle.json"] {
        let bytes = fs::metadata(dir.join("run").join(name)).unwrap().len();
        assert_eq!(artifacts.get(name).and_then(Value::as_u64), Some(bytes), "{name} of {artifacts:?}");
    }
    // Twice does no harm.
    send("60").ok();
}
