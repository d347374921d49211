//! The check before traffic, run by a real Python with a `boto3` of our own in the place of AWS's: what it asks the new
//! version, and what it tells CodeDeploy.

use std::{fs, process::Command};

use serde_json::Value;

use crate::synthesised;

/// Stands for AWS: a function that answers as its mode says, and CodeDeploy, which takes down what it is told.
const BOTO3: &str = r#"
import base64, io, json, os
MODE = os.environ["MODE"]
class Lambda:
    def invoke(self, FunctionName, Payload):
        assert FunctionName == "arn:version"
        event = json.loads(Payload)
        http = event["requestContext"]["http"]
        body = base64.b64decode(event["body"])
        if http["path"] == "/ready":
            answer = {"statusCode": 503 if MODE == "unready" else 200, "body": "{}"}
        elif body.startswith(b"\x89PNG"):
            open(os.environ["IMAGE"], "wb").write(body)
            probabilities = {"a": 0.75, "b": 0.5 if MODE == "wrong" else 0.25}
            answer = {"statusCode": 200, "body": json.dumps({"predictions": [{"probabilities": probabilities}]})}
        else:
            answer = {"statusCode": 500 if MODE == "fragile" else 422, "body": "{}"}
        if MODE == "crash":
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b"exit status 1")}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}
class CodeDeploy:
    def put_lifecycle_event_hook_execution_status(self, **told):
        print("TOLD", json.dumps(told))
def client(name):
    return {"lambda": Lambda, "codedeploy": CodeDeploy}[name]()
"#;

#[test]
fn only_a_version_that_answers_well_gets_traffic() {
    let test = "only_a_version_that_answers_well_gets_traffic";
    let Some(python) = kidu_testing::peer_python(test, &["json"]) else { return };
    let assembly = synthesised();
    let (_, function) = assembly.stack("inference").unwrap().template.resource_at("Hook/Function").unwrap();
    let code = function.pointer("/Properties/Code/ZipFile").unwrap().as_str().unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("index.py"), code).unwrap();
    fs::write(dir.path().join("boto3.py"), BOTO3).unwrap();
    let image = dir.path().join("image.png");
    for (mode, expected) in
        [("well", "Succeeded"), ("unready", "Failed"), ("wrong", "Failed"), ("fragile", "Failed"), ("crash", "Failed")]
    {
        let out = Command::new(&python)
            .args([
                "-c",
                "import index; index.handler({'DeploymentId': 'd', 'LifecycleEventHookExecutionId': 'e'}, None)",
            ])
            .current_dir(dir.path())
            .envs([("MODE", mode), ("VERSION_ARN", "arn:version"), ("PYTHONPATH", "")])
            .env("IMAGE", &image)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        let told = said.lines().find_map(|l| l.strip_prefix("TOLD ")).unwrap_or_else(|| {
            panic!("{mode}: {said}{}", String::from_utf8_lossy(&out.stderr));
        });
        let told: Value = serde_json::from_str(told).unwrap();
        assert_eq!(told["status"], expected, "{mode}: {said}");
        assert_eq!(told["deploymentId"], "d");
        assert_eq!(told["lifecycleEventHookExecutionId"], "e");
    }
    // What it sends is a PNG that our own decoder reads.
    let decoded = image::open(&image).unwrap();
    assert_eq!((decoded.width(), decoded.height()), (64, 64));
}
