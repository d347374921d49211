//! The emitted definition, executed step by step on this machine: each job's entry, arguments, inputs and outputs as the
//! JSON says, with the real `kidu` in a folder tree laid out as SageMaker lays it out and a folder in the place of S3.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kidu_infra::Settings;
use serde_json::Value;
use tempfile::TempDir;

/// A SageMaker of one machine.
struct Machine {
    dir: TempDir,
    binary: PathBuf,
    parameters: BTreeMap<String, String>,
    /// Steps that are done, by name.
    done: BTreeMap<String, Value>,
    /// What each training left, by step.
    models: BTreeMap<String, String>,
    /// How the execution ended.
    registered: Option<Value>,
    refused: Option<String>,
}

impl Machine {
    /// Nothing if `kidu` was not built.
    fn new(definition: &Value, parameters: &[(&str, &str)]) -> Option<Self> {
        let beside = || assert_cmd::cargo::cargo_bin("kidu-infra").with_file_name("kidu");
        let binary = std::env::var_os("KIDU_BINARY").map_or_else(beside, PathBuf::from);
        if !binary.is_file() {
            #[expect(clippy::print_stderr, reason = "the line is for whoever reads the test's output")]
            {
                eprintln!(
                    "skipped, there is no {}: build it by cargo build -p kidu, or set KIDU_BINARY, or set KIDU_BINARY",
                    binary.display()
                );
            }
            assert!(std::env::var("CI").as_deref() != Ok("true"), "kidu was not built");
            return None;
        }
        let declared = definition["Parameters"].as_array().unwrap().iter();
        let default = |p: &Value| Some((p["Name"].as_str()?.to_string(), text(p.get("DefaultValue")?)));
        let mut values: BTreeMap<String, String> = declared.filter_map(default).collect();
        values.extend(parameters.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())));
        Some(Self {
            dir: tempfile::tempdir().unwrap(),
            binary,
            parameters: values,
            done: BTreeMap::new(),
            models: BTreeMap::new(),
            registered: None,
            refused: None,
        })
    }

    fn s3(&self, uri: &str) -> PathBuf {
        self.dir.path().join("s3").join(uri.strip_prefix("s3://").unwrap_or_else(|| panic!("'{uri}' is not in S3")))
    }

    fn ml(&self, step: &str) -> PathBuf {
        self.dir.path().join("jobs").join(step)
    }

    /// A value with its references worked out.
    fn value(&self, value: &Value) -> String {
        if let Some(reference) = value["Get"].as_str() {
            return self.reference(reference);
        }
        match &value["Std:Join"] {
            Value::Object(join) => {
                let parts = join["Values"].as_array().unwrap().iter().map(|v| self.value(v));
                parts.collect::<Vec<_>>().join(join["On"].as_str().unwrap())
            }
            _ => text(value),
        }
    }

    fn reference(&self, reference: &str) -> String {
        let words: Vec<&str> = reference.splitn(3, '.').collect();
        match words.as_slice() {
            ["Parameters", name] => self.parameters[*name].clone(),
            ["Execution", "PipelineExecutionId"] => "execution1".into(),
            ["Execution", "PipelineName"] => "kidu-build".into(),
            ["Steps", step, "ModelArtifacts.S3ModelArtifacts"] => self.models[*step].clone(),
            ["Steps", step, path] => {
                let output = path.split('\'').nth(1).unwrap();
                let outputs = &self.done[*step]["Arguments"]["ProcessingOutputConfig"]["Outputs"];
                let found = outputs.as_array().unwrap().iter().find(|o| o["OutputName"] == output).unwrap();
                self.value(&found["S3Output"]["S3Uri"])
            }
            _ => panic!("{reference}"),
        }
    }

    fn run(&mut self, steps: &Value) {
        for step in steps.as_array().unwrap() {
            match step["Type"].as_str().unwrap() {
                "Processing" => self.processing(step),
                "Training" => self.training(step),
                "Condition" => {
                    let holds = step["Arguments"]["Conditions"].as_array().unwrap().iter().all(|c| self.holds(c));
                    self.run(&step["Arguments"][if holds { "IfSteps" } else { "ElseSteps" }]);
                }
                "RegisterModel" => self.registered = Some(step["Arguments"].clone()),
                "Fail" => self.refused = Some(self.value(&step["Arguments"]["ErrorMessage"])),
                other => panic!("{other}"),
            }
            self.done.insert(step["Name"].as_str().unwrap().into(), step.clone());
        }
    }

    fn processing(&mut self, step: &Value) {
        let name = step["Name"].as_str().unwrap();
        let local = |path: &Value| PathBuf::from(self.inside(name, path.as_str().unwrap()));
        for input in step["Arguments"]["ProcessingInputs"].as_array().unwrap() {
            let from = self.s3(&self.value(&input["S3Input"]["S3Uri"]));
            copy(&from, &local(&input["S3Input"]["LocalPath"]));
        }
        self.job(step, "AppSpecification");
        for output in step["Arguments"]["ProcessingOutputConfig"]["Outputs"].as_array().unwrap() {
            copy(&local(&output["S3Output"]["LocalPath"]), &self.s3(&self.value(&output["S3Output"]["S3Uri"])));
        }
    }

    fn training(&mut self, step: &Value) {
        let name = step["Name"].as_str().unwrap();
        for channel in step["Arguments"]["InputDataConfig"].as_array().unwrap() {
            let from = self.s3(&self.value(&channel["DataSource"]["S3DataSource"]["S3Uri"]));
            copy(&from, &self.ml(name).join("input/data").join(channel["ChannelName"].as_str().unwrap()));
        }
        self.job(step, "AlgorithmSpecification");
        let place =
            format!("{}/job1/output/model.tar.gz", self.value(&step["Arguments"]["OutputDataConfig"]["S3OutputPath"]));
        let archive = self.s3(&place);
        fs::create_dir_all(archive.parent().unwrap()).unwrap();
        let packed =
            Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(self.ml(name).join("model")).arg(".").status();
        assert!(packed.unwrap().success());
        self.models.insert(name.into(), place);
    }

    fn inside(&self, step: &str, text: &str) -> String {
        text.replace("/opt/ml", &self.ml(step).display().to_string())
    }

    /// Runs a job's container: the image's entry with the step's arguments and environment.
    fn job(&self, step: &Value, specification: &str) {
        let name = step["Name"].as_str().unwrap();
        let specification = &step["Arguments"][specification];
        let entry = specification["ContainerEntrypoint"][0].as_str().unwrap();
        let entry = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker").join(entry);
        let arguments = specification["ContainerArguments"].as_array().unwrap().iter();
        let path = format!("{}:{}", self.binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(entry);
        command
            .args(arguments.map(|a| self.inside(name, &self.value(a))))
            .env("PATH", path)
            .env("KIDU_ML", self.ml(name));
        for (variable, value) in step["Arguments"]["Environment"].as_object().unwrap() {
            command.env(variable, self.inside(name, &self.value(value)));
        }
        let work = self.ml(name).join("home");
        fs::create_dir_all(&work).unwrap();
        let out = command.current_dir(work).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{name}: {}", said.lines().rev().take(12).collect::<Vec<_>>().join("\n"));
    }

    fn holds(&self, condition: &Value) -> bool {
        let get = &condition["LeftValue"]["Std:JsonGet"];
        let file = get["PropertyFile"]["Get"].as_str().unwrap();
        let (step, file) = file.strip_prefix("Steps.").unwrap().split_once(".PropertyFiles.").unwrap();
        let files = self.done[step]["PropertyFiles"].as_array().unwrap();
        let found = files.iter().find(|f| f["PropertyFileName"] == file).unwrap();
        let output = format!(
            "Steps.{step}.ProcessingOutputConfig.Outputs['{}'].S3Output.S3Uri",
            found["OutputName"].as_str().unwrap()
        );
        let place = self.s3(&self.reference(&output)).join(found["FilePath"].as_str().unwrap());
        let report: Value = serde_json::from_slice(&fs::read(place).unwrap()).unwrap();
        let pointer = format!("/{}", get["Path"].as_str().unwrap().replace('.', "/"));
        let left = report.pointer(&pointer).and_then(Value::as_f64).unwrap();
        assert_eq!(condition["Type"], "GreaterThanOrEqualTo");
        left >= self.value(&condition["RightValue"]).parse::<f64>().unwrap()
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// A file into a folder, or what is in a folder into another: as S3 prefixes are laid out.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    if from.is_file() {
        fs::copy(from, to.join(from.file_name().unwrap())).unwrap();
        return;
    }
    for entry in fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => copy(&path, &to.join(path.file_name().unwrap())),
            false => drop(fs::copy(&path, to.join(path.file_name().unwrap())).unwrap()),
        }
    }
}

#[test]
fn the_definition_makes_a_model_on_this_machine() {
    let overrides = ["trainer.max_epochs=2", "data.num_workers=0", "seed=3"].map(String::from).to_vec();
    let settings = Settings {
        account: Some("111122223333".into()),
        region: Some("eu-central-1".into()),
        image_tag: Some("v1".into()),
        overrides,
        ..Settings::default()
    };
    let definition = kidu_infra::synth(&settings).unwrap().documents["pipeline-definition.json"].clone();
    let parameters = [
        ("InputDatasetZip", "s3://raw/dataset/scenes"),
        ("Model", "mobilenetv2_100"),
        ("Batch_Size", "8"),
        ("Accuracy_Threshold", "0"),
    ];
    let Some(mut machine) = Machine::new(&definition, &parameters) else { return };
    let scenes = machine.s3("s3://raw/dataset/scenes");
    let made = Command::new(&machine.binary)
        .args(["data", "synth", "--size", "64", "--train-per-class", "6", "--test-per-class", "2", "--out"])
        .arg(&scenes)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    machine.run(&definition["Steps"]);
    assert_eq!(machine.refused, None);
    let registered = machine.registered.clone().unwrap();
    let model = machine.value(&registered["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]);
    assert!(machine.s3(&model).is_file(), "{model}");
    let report = machine.value(&registered["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]);
    let report: Value = serde_json::from_slice(&fs::read(machine.s3(&report)).unwrap()).unwrap();
    assert!(report.pointer("/multiclass_classification_metrics/accuracy/value").is_some());
    // What the stages hold the function to: the bundle in the archive is the one that was evaluated.
    let unpacked = tempfile::tempdir().unwrap();
    kidu_core::Bundle::unpack(&machine.s3(&model), &unpacked.path().join("bundle")).unwrap();
    let bundle = kidu_core::Bundle::open(&unpacked.path().join("bundle")).unwrap();
    assert_eq!(report["kidu"]["bundle_sha256"], bundle.digest().unwrap().as_str());
    assert_eq!(machine.value(&registered["ModelApprovalStatus"]), "PendingManualApproval");
    assert_eq!(machine.value(&registered["ModelPackageGroupName"]), "kidu");
    // The same execution with a threshold that no model reaches: nothing is registered, and the reason is said.
    machine.registered = None;
    machine.parameters.insert("Accuracy_Threshold".into(), "1.1".into());
    let gate = definition["Steps"].as_array().unwrap().iter().filter(|s| s["Type"] == "Condition").cloned().collect();
    machine.run(&gate);
    assert!(machine.registered.is_none());
    let reason = machine.refused.unwrap();
    assert!(reason.contains("accuracy.value >= 1.1. See s3://") && reason.ends_with("evaluation.json"), "{reason}");
}
